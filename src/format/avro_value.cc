#include "format/avro_value.h"

#include <cstring>
#include <limits>

#include "base/error.h"
#include "format/base64.h"
#include "format/json_text.h"
#include "model/value_text.h"

namespace millrace::format {

using Kind = AvroNode::Kind;
using Logical = AvroNode::Logical;

namespace {

constexpr std::size_t kDepthMax = 64;
/// Of one value as JSON.
constexpr std::size_t kJsonBytesMax = std::size_t{1} << 20;

/// Big endian, two's complement; nullopt beyond 128 bits.
std::optional<Int128> big_integer(std::string_view bytes) {
  const char sign = !bytes.empty() && bytes[0] < 0 ? '\xff' : '\0';
  while (bytes.size() > 16 && bytes[0] == sign) bytes.remove_prefix(1);
  if (bytes.size() > 16 || (bytes.size() == 16 && (bytes[0] < 0) != (sign != 0)))
    return std::nullopt;
  auto value = static_cast<UInt128>(Int128{sign == 0 ? 0 : -1});
  for (const char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
  return static_cast<Int128>(value);
}

}  // namespace

bool AvroReader::bad(std::string_view reason) {
  if (reason_.empty()) reason_ = reason;
  rest_ = {};
  return false;
}

bool AvroReader::read_long(std::int64_t& value) {
  std::uint64_t bits = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) return bad("the data end inside of a number");
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    bits |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
      return true;
    }
  }
  return bad("a number has more than 64 bits");
}

bool AvroReader::read_length(std::size_t& size) {
  std::int64_t value = 0;
  if (!read_long(value)) return false;
  if (value < 0 || static_cast<std::uint64_t>(value) > rest_.size())
    return bad("a length goes beyond the end of the data");
  size = static_cast<std::size_t>(value);
  return true;
}

bool AvroReader::read_fixed(std::size_t size, std::string_view& bytes) {
  if (size > rest_.size()) return bad("the data end inside of a value");
  bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool AvroReader::read_bytes(std::string_view& bytes) {
  std::size_t size = 0;
  return read_length(size) && read_fixed(size, bytes);
}

template <class T>
bool AvroReader::read_number(T& value) {
  std::string_view bytes;
  if (!read_fixed(sizeof(T), bytes)) return false;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return true;
}

bool AvroReader::read_block(std::int64_t& count) {
  if (!read_long(count)) return false;
  if (count < 0) {
    if (count == std::numeric_limits<std::int64_t>::min()) return bad("a count is too large");
    count = -count;
    std::size_t size = 0;
    if (!read_length(size)) return false;
  }
  // An element may take no byte at all: without this a few bytes could stand for ever so many.
  if (static_cast<std::uint64_t>(count) > rest_.size())
    return bad("an array or map has more elements than bytes");
  return true;
}

bool AvroReader::read_branch(const AvroNode& node, std::uint32_t& branch) {
  std::int64_t index = 0;
  if (!read_long(index)) return false;
  if (index < 0 || static_cast<std::uint64_t>(index) >= node.children.size())
    return bad("a union has no such branch");
  branch = node.children[static_cast<std::size_t>(index)];
  return true;
}

bool AvroReader::enter() {
  if (depth_ >= kDepthMax) return bad("values are nested too deep");
  ++depth_;
  return true;
}

bool AvroReader::skip(std::uint32_t index) {
  const AvroNode& node = schema_.node(index);
  std::int64_t number = 0;
  std::string_view bytes;
  switch (node.kind) {
    case Kind::kNull:
      return true;
    case Kind::kBoolean:
      return read_fixed(1, bytes);
    case Kind::kInt:
    case Kind::kLong:
    case Kind::kEnum:
      return read_long(number);
    case Kind::kFloat:
      return read_fixed(4, bytes);
    case Kind::kDouble:
      return read_fixed(8, bytes);
    case Kind::kBytes:
    case Kind::kString:
      return read_bytes(bytes);
    case Kind::kFixed:
      return read_fixed(node.size, bytes);
    case Kind::kRecord: {
      if (!enter()) return false;
      for (const auto& field : node.fields) {
        if (!skip(field.type)) return false;
      }
      --depth_;
      return true;
    }
    case Kind::kUnion: {
      std::uint32_t branch = 0;
      if (!read_branch(node, branch) || !enter() || !skip(branch)) return false;
      --depth_;
      return true;
    }
    case Kind::kArray:
    case Kind::kMap:
      if (!enter() || !skip_elements(node)) return false;
      --depth_;
      return true;
  }
  return false;
}

bool AvroReader::skip_elements(const AvroNode& node) {
  for (;;) {
    std::int64_t count = 0;
    if (!read_block(count)) return false;
    if (count == 0) return true;
    for (; count != 0; --count) {
      std::string_view key;
      if (node.kind == Kind::kMap && !read_bytes(key)) return false;
      if (!skip(node.children[0])) return false;
    }
  }
}

bool AvroReader::append_json(std::uint32_t index, std::string& out, std::size_t bytes_max) {
  const AvroNode& node = schema_.node(index);
  if (out.size() > bytes_max) return bad("a value is too large as JSON");
  switch (node.kind) {
    case Kind::kUnion: {
      std::uint32_t branch = 0;
      if (!read_branch(node, branch) || !enter() || !append_json(branch, out, bytes_max))
        return false;
      --depth_;
      return true;
    }
    case Kind::kRecord:
    case Kind::kArray:
    case Kind::kMap:
      if (!enter() || !append_nested(node, out, bytes_max)) return false;
      --depth_;
      return true;
    default:
      return append_scalar(node, out);
  }
}

bool AvroReader::append_nested(const AvroNode& node, std::string& out, std::size_t bytes_max) {
  if (node.kind == Kind::kRecord) {
    char before = '{';
    for (const auto& field : node.fields) {
      out += before;
      before = ',';
      append_json_string(out, field.name);
      out += ':';
      if (!append_json(field.type, out, bytes_max)) return false;
    }
    out += node.fields.empty() ? "{}" : "}";
    return true;
  }
  const bool is_map = node.kind == Kind::kMap;
  out += is_map ? '{' : '[';
  bool first = true;
  for (;;) {
    std::int64_t count = 0;
    if (!read_block(count)) return false;
    if (count == 0) break;
    for (; count != 0; --count) {
      if (!first) out += ',';
      first = false;
      if (is_map) {
        std::string_view key;
        if (!read_bytes(key)) return false;
        if (first_bad_utf8(key) != key.size()) return bad("a key is not UTF-8");
        append_json_string(out, key);
        out += ':';
      }
      if (!append_json(node.children[0], out, bytes_max)) return false;
    }
  }
  out += is_map ? '}' : ']';
  return true;
}

bool AvroReader::append_scalar(const AvroNode& node, std::string& out) {
  // By way of a JSON column, so that a value is written the same wherever it stands.
  ColumnVector column(Type{TypeKind::kJson});
  Arena arena;
  FieldFault fault;
  TypedFieldWriter writer;
  writer.aim(column, arena, fault);
  switch (put_scalar(node, writer, fault)) {
    case Outcome::kStored:
      out += column.rows() == 0 || !column.valid(0) ? "null" : column.data<StringRef>()[0].view();
      return true;
    case Outcome::kRefused:
      return bad(fault.text);
    case Outcome::kBad:
      return false;
  }
  return false;
}

AvroReader::Outcome AvroReader::put(std::uint32_t index, TypedFieldWriter& writer,
                                    ColumnVector& column, FieldFault& fault) {
  const AvroNode* node = &schema_.node(index);
  while (node->kind == Kind::kUnion) {
    std::uint32_t branch = 0;
    if (!read_branch(*node, branch)) return Outcome::kBad;
    node = &schema_.node(index = branch);
  }
  switch (node->kind) {
    case Kind::kNull:
      column.push_null();
      return Outcome::kStored;
    case Kind::kRecord:
    case Kind::kArray:
    case Kind::kMap: {
      std::string text;
      if (!append_json(index, text, kJsonBytesMax)) return Outcome::kBad;
      return writer.json(text, node->kind == Kind::kArray ? "an array"
                               : node->kind == Kind::kMap ? "a map"
                                                          : "a record")
                 ? Outcome::kStored
                 : Outcome::kRefused;
    }
    default:
      return put_scalar(*node, writer, fault);
  }
}

AvroReader::Outcome AvroReader::put_scalar(const AvroNode& node, TypedFieldWriter& writer,
                                           FieldFault& fault) {
  const auto told = [](bool stored) { return stored ? Outcome::kStored : Outcome::kRefused; };
  const auto refuse = [&](std::string reason) {
    fault = {error_id::kOutOfRange, std::move(reason)};
    return Outcome::kRefused;
  };
  std::int64_t number = 0;
  std::string_view bytes;
  switch (node.kind) {
    case Kind::kBoolean: {
      if (!read_fixed(1, bytes)) return Outcome::kBad;
      if (bytes[0] != 0 && bytes[0] != 1) {
        bad("a boolean is neither 0 nor 1");
        return Outcome::kBad;
      }
      return told(writer.boolean(bytes[0] == 1));
    }
    case Kind::kInt:
    case Kind::kLong:
      if (!read_long(number)) return Outcome::kBad;
      if (node.kind == Kind::kInt && !std::in_range<std::int32_t>(number)) {
        bad("an int has more than 32 bits");
        return Outcome::kBad;
      }
      break;
    case Kind::kEnum:
      if (!read_long(number)) return Outcome::kBad;
      if (number < 0 || static_cast<std::uint64_t>(number) >= node.symbols.size()) {
        bad("an enum has no such symbol");
        return Outcome::kBad;
      }
      return told(writer.text(node.symbols[static_cast<std::size_t>(number)]));
    case Kind::kFloat: {
      float value = 0;
      return read_number(value) ? told(writer.single(value)) : Outcome::kBad;
    }
    case Kind::kDouble: {
      double value = 0;
      return read_number(value) ? told(writer.floating(value)) : Outcome::kBad;
    }
    case Kind::kString:
      return read_bytes(bytes) ? told(writer.text(bytes)) : Outcome::kBad;
    case Kind::kBytes:
    case Kind::kFixed: {
      if (node.kind == Kind::kBytes ? !read_bytes(bytes) : !read_fixed(node.size, bytes))
        return Outcome::kBad;
      if (node.logical == Logical::kDecimal) {
        const auto value = big_integer(bytes);
        if (!value) return refuse("a decimal has more than 38 digits");
        return told(writer.decimal(*value, node.scale));
      }
      if (node.logical == Logical::kUuid) {
        UInt128 bits = 0;
        for (const char c : bytes) bits = bits << 8 | static_cast<std::uint8_t>(c);
        return told(writer.text(uuid_text(static_cast<Int128>(bits ^ (UInt128{1} << 127)))));
      }
      return told(writer.bytes(bytes));
    }
    default:
      return Outcome::kStored;  // null
  }
  switch (node.logical) {
    case Logical::kDate:
      return told(writer.date(static_cast<std::int32_t>(number)));
    case Logical::kTimeMillis:
      return told(writer.time(number * 1000));
    case Logical::kTimeMicros:
      return told(writer.time(number));
    case Logical::kTimestampMillis: {
      constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max() / 1000;
      if (number > kMax || number < -kMax)
        return refuse(fmt::format("{} ms since 1970 are out of range", number));
      return told(writer.timestamp(number * 1000));
    }
    case Logical::kTimestampMicros:
      return told(writer.timestamp(number));
    case Logical::kTimestampNanos:
      if (number % 1000 != 0)
        return refuse(fmt::format("{} ns since 1970 would have to be rounded", number));
      return told(writer.timestamp(number / 1000));
    default:
      return told(writer.integer(number));
  }
}

}  // namespace millrace::format
