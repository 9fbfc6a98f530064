#include "view/nested_key.h"

#include "base/check.h"
#include "view/key_codec.h"
#include "view/ordered_bits.h"

namespace millrace::view {
namespace {

constexpr char kEnd = 0;
constexpr char kValue = 1;
constexpr char kNull = 2;

void append_value(std::string& out, const Type& type, NestedReader& in);

void append_element(std::string& out, const Type& type, NestedReader& in) {
  const bool null = in.is_null();
  out.push_back(null ? kNull : kValue);
  if (!null) append_value(out, type, in);
}

void append_value(std::string& out, const Type& type, NestedReader& in) {
  if (!type.is_nested()) {
    if (type.is_string()) {
      append_text_key(out, in.read_string());
      return;
    }
    const ScalarValue value = in.read_scalar(type);
    visit_fixed(type.physical(), [&](auto example) {
      using T = decltype(example);
      char raw[sizeof(T)];
      store_big_endian(raw, to_ordered(load_value<T>(value.data(), 0)));
      out.append(raw, sizeof(T));
    });
    return;
  }
  if (type.kind == TypeKind::kStruct) {
    for (const Type::Field& field : type.fields()) append_element(out, field.type, in);
    return;
  }
  for (std::size_t left = in.read_count(); left != 0; --left) {
    // One of a LIST, key and value of a MAP.
    for (const Type::Field& field : type.fields()) append_element(out, field.type, in);
  }
  out.push_back(kEnd);
}

bool parse_value(std::string_view& key, const Type& type, std::string& out);

/// The element whose mark was taken from `key`.
bool parse_element(char mark, std::string_view& key, const Type& type, std::string& out) {
  if (mark == kNull) {
    append_null_element(out);
    return true;
  }
  if (mark != kValue) return false;
  out.push_back(kValue);
  return parse_value(key, type, out);
}

bool take_mark(std::string_view& key, char& mark) {
  if (key.empty()) return false;
  mark = key.front();
  key.remove_prefix(1);
  return true;
}

bool parse_scalar(std::string_view& key, const Type& type, std::string& out) {
  if (type.is_string()) {
    const std::size_t size = text_key_size(key);
    if (size == 0) return false;
    std::string text;
    append_key_text(text, key.substr(0, size));
    ByteWriter(out).put_string(text);
    key.remove_prefix(size);
    return true;
  }
  return visit_fixed(type.physical(), [&](auto example) {
    using T = decltype(example);
    if (key.size() < sizeof(T)) return false;
    const auto bits = load_big_endian<OrderedBits<T>>(key.data());
    if (!is_canonical<T>(bits)) return false;
    const T value = from_ordered<T>(bits);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out.append(raw, sizeof(T));
    key.remove_prefix(sizeof(T));
    return true;
  });
}

bool parse_value(std::string_view& key, const Type& type, std::string& out) {
  if (!type.is_nested()) return parse_scalar(key, type, out);
  char mark = 0;
  const auto& fields = type.fields();
  if (type.kind == TypeKind::kStruct) {
    for (const Type::Field& field : fields) {
      if (!take_mark(key, mark) || !parse_element(mark, key, field.type, out)) return false;
    }
    return true;
  }
  std::string body;
  std::size_t count = 0;
  while (true) {
    if (!take_mark(key, mark)) return false;
    if (mark == kEnd) break;
    // A key of a MAP is not NULL.
    if (type.kind == TypeKind::kMap && mark == kNull) return false;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i != 0 && !take_mark(key, mark)) return false;
      if (!parse_element(mark, key, fields[i].type, body)) return false;
    }
    ++count;
  }
  append_count(out, count);
  out += body;
  return true;
}

}  // namespace

void append_nested_key(std::string& out, const Type& type, std::string_view value) {
  NestedReader in(value);
  append_value(out, type, in);
  MR_CHECK(in.at_end(), "{} bytes are no {}", value.size(), type.sql());
}

bool parse_nested_key(std::string_view& key, const Type& type, std::string& out) {
  return parse_value(key, type, out);
}

}  // namespace millrace::view
