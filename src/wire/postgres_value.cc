#include "wire/postgres_value.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <vector>

#include "model/nested_value.h"
#include "model/value_text.h"
#include "wire/postgres_array.h"

namespace millrace::wire::postgres {
namespace {

/// 2000-01-01, where PostgreSQL's days and microseconds begin.
constexpr std::int32_t kEpochDays = 10'957;
constexpr std::int64_t kEpochMicros = kEpochDays * kMicrosPerDay;
constexpr int kNumericBase = 10'000;  // NBASE
constexpr int kNumericDigits = 4;     // DEC_DIGITS
constexpr std::uint16_t kNumericNegative = 0x4000;
constexpr std::uint16_t kNumericNan = 0xC000;
constexpr std::uint16_t kNumericInfinity = 0xD000;
constexpr std::uint16_t kNumericMinusInfinity = 0xF000;
/// Digits before and after the point of a numeric that is read; wider than all of our types.
constexpr int kNumericDigitsMax = 1'000;

/// Lists of UINTEGER, which is what the catalogue's lists of OIDs are: drivers know their array.
constexpr std::uint32_t kOidArray = 1028;

struct OfKind {
  TypeKind kind;
  Oid oid;
  std::uint32_t array;
  std::int16_t bytes;
};

constexpr OfKind kKinds[] = {
    {TypeKind::kBoolean, Oid::kBool, 1000, 1},
    {TypeKind::kTinyInt, Oid::kInt2, 1005, 2},
    {TypeKind::kSmallInt, Oid::kInt2, 1005, 2},
    {TypeKind::kInteger, Oid::kInt4, 1007, 4},
    {TypeKind::kBigInt, Oid::kInt8, 1016, 8},
    {TypeKind::kHugeInt, Oid::kNumeric, 1231, -1},
    {TypeKind::kUTinyInt, Oid::kInt2, 1005, 2},
    {TypeKind::kUSmallInt, Oid::kInt4, 1007, 4},
    {TypeKind::kUInteger, Oid::kInt8, kOidArray, 8},
    {TypeKind::kUBigInt, Oid::kNumeric, 1231, -1},
    {TypeKind::kFloat, Oid::kFloat4, 1021, 4},
    {TypeKind::kDouble, Oid::kFloat8, 1022, 8},
    {TypeKind::kDecimal, Oid::kNumeric, 1231, -1},
    {TypeKind::kVarchar, Oid::kText, 1009, -1},
    {TypeKind::kBlob, Oid::kBytea, 1001, -1},
    {TypeKind::kTimestamp, Oid::kTimestamp, 1115, 8},
    {TypeKind::kTimestampTz, Oid::kTimestampTz, 1185, 8},
    {TypeKind::kDate, Oid::kDate, 1182, 4},
    {TypeKind::kUuid, Oid::kUuid, 2951, 16},
    {TypeKind::kJson, Oid::kJson, 199, -1},
    {TypeKind::kInterval, Oid::kInterval, 1187, 16},
    {TypeKind::kTime, Oid::kTime, 1183, 8},
};

const OfKind& of_kind(TypeKind kind) {
  const auto* found = std::ranges::find(kKinds, kind, &OfKind::kind);
  MR_CHECK(found != std::end(kKinds), "a nested type has no scalar of PostgreSQL");
  return *found;
}

Oid element_oid(const Type& type) {
  return type.kind == TypeKind::kUInteger ? Oid::kOid : of_kind(type.kind).oid;
}

bool is_array(const Type& type) {
  return type.kind == TypeKind::kList && !type.element().is_nested();
}

// --- binary out ---------------------------------------------------------------------------------

template <class Unsigned>
void put(Unsigned value, std::string& out) {
  for (int shift = sizeof(Unsigned) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>((value >> shift) & 0xff);
}

void put_i16(std::int16_t value, std::string& out) { put(static_cast<std::uint16_t>(value), out); }
void put_i32(std::int32_t value, std::string& out) { put(static_cast<std::uint32_t>(value), out); }
void put_i64(std::int64_t value, std::string& out) { put(static_cast<std::uint64_t>(value), out); }

/// Infinity is the largest value in both; minus infinity the smallest, of which DuckDB's is one
/// more.
template <class Integer>
Integer since_2000(Integer since_1970, Integer epoch) {
  constexpr auto kMax = std::numeric_limits<Integer>::max();
  if (since_1970 == kMax) return kMax;
  if (since_1970 < -kMax + epoch) return std::numeric_limits<Integer>::min();
  return since_1970 - epoch;
}

/// numeric_send: groups of four decimal digits, the weight of the first, the sign, and how many
/// digits stand behind the point.
void put_numeric(Int128 value, std::uint8_t scale, std::string& out) {
  const bool negative = value < 0;
  UInt128 rest = negative ? UInt128{0} - static_cast<UInt128>(value) : static_cast<UInt128>(value);
  std::array<std::uint16_t, 12> groups = {};  // the lowest first
  int count = 0;
  // The lowest group begins at the point, or at a multiple of four digits behind it.
  const int behind = (scale + kNumericDigits - 1) / kNumericDigits;
  for (int pad = behind * kNumericDigits - scale, first = 1; rest != 0; first = 0) {
    std::uint32_t unit = kNumericBase;
    std::uint32_t shift = 1;
    for (int i = 0; first != 0 && i < pad; ++i) {
      unit /= 10;
      shift *= 10;
    }
    groups[static_cast<std::size_t>(count++)] =
        static_cast<std::uint16_t>(static_cast<std::uint32_t>(rest % unit) * shift);
    rest /= unit;
  }
  int lowest = 0;
  while (lowest < count && groups[static_cast<std::size_t>(lowest)] == 0) ++lowest;
  put_i16(static_cast<std::int16_t>(count - lowest), out);
  put_i16(static_cast<std::int16_t>(count == 0 ? 0 : count - behind - 1), out);
  put(negative ? kNumericNegative : std::uint16_t{0}, out);
  put(std::uint16_t{scale}, out);
  for (int i = count - 1; i >= lowest; --i) put(groups[static_cast<std::size_t>(i)], out);
}

Int128 decimal_at(const ColumnView& column, std::size_t row) {
  switch (column.type.physical()) {
    case PhysicalType::kInt16:
      return column.as<std::int16_t>()[row];
    case PhysicalType::kInt32:
      return column.as<std::int32_t>()[row];
    case PhysicalType::kInt64:
      return column.as<std::int64_t>()[row];
    default:
      return column.as<Int128>()[row];
  }
}

void append_array(const ColumnView& column, std::size_t row, Format format, std::string& out);

void append_binary(const ColumnView& column, std::size_t row, std::string& out) {
  const auto bits = [&]<class T>(T value) {
    if constexpr (sizeof(T) == 4) {
      put(std::bit_cast<std::uint32_t>(value), out);
    } else {
      put(std::bit_cast<std::uint64_t>(value), out);
    }
  };
  switch (column.type.kind) {
    case TypeKind::kBoolean:
      out += static_cast<char>(column.as<bool>()[row] ? 1 : 0);
      return;
    case TypeKind::kTinyInt:
      return put_i16(column.as<std::int8_t>()[row], out);
    case TypeKind::kSmallInt:
      return put_i16(column.as<std::int16_t>()[row], out);
    case TypeKind::kInteger:
      return put_i32(column.as<std::int32_t>()[row], out);
    case TypeKind::kBigInt:
      return put_i64(column.as<std::int64_t>()[row], out);
    case TypeKind::kHugeInt:
      return put_numeric(column.as<Int128>()[row], 0, out);
    case TypeKind::kUTinyInt:
      return put_i16(column.as<std::uint8_t>()[row], out);
    case TypeKind::kUSmallInt:
      return put_i32(column.as<std::uint16_t>()[row], out);
    case TypeKind::kUInteger:
      return put_i64(column.as<std::uint32_t>()[row], out);
    case TypeKind::kUBigInt:
      return put_numeric(static_cast<Int128>(column.as<std::uint64_t>()[row]), 0, out);
    case TypeKind::kFloat:
      return bits(column.as<float>()[row]);
    case TypeKind::kDouble:
      return bits(column.as<double>()[row]);
    case TypeKind::kDecimal:
      return put_numeric(decimal_at(column, row), column.type.scale, out);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      return put_i64(since_2000(column.as<std::int64_t>()[row], kEpochMicros), out);
    case TypeKind::kDate:
      return put_i32(since_2000(column.as<std::int32_t>()[row], kEpochDays), out);
    case TypeKind::kTime:
      return put_i64(column.as<std::int64_t>()[row], out);
    case TypeKind::kUuid: {
      const auto value = static_cast<UInt128>(column.as<Int128>()[row]) ^ (UInt128{1} << 127);
      put(static_cast<std::uint64_t>(value >> 64), out);
      put(static_cast<std::uint64_t>(value), out);
      return;
    }
    case TypeKind::kInterval: {
      const auto& value = column.as<Interval>()[row];
      put_i64(value.micros, out);
      put_i32(value.days, out);
      put_i32(value.months, out);
      return;
    }
    case TypeKind::kVarchar:
    case TypeKind::kBlob:
    case TypeKind::kJson:
      out += column.as<StringRef>()[row].view();
      return;
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      if (is_array(column.type)) return append_array(column, row, Format::kBinary, out);
      append_nested_json(out, column.type, column.as<StringRef>()[row].view());
      return;
  }
}

// --- text out -----------------------------------------------------------------------------------

template <class Number>
void append_number(Number value, std::string& out) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

/// float8out with extra_float_digits = 1: the shortest that reads back, "NaN", "Infinity".
template <class Float>
void append_float(Float value, std::string& out) {
  if (value != value) {
    out += "NaN";
  } else if (value - value != 0) {
    out += value > 0 ? "Infinity" : "-Infinity";
  } else {
    append_number(value, out);
  }
}

void append_hex(std::string_view bytes, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\x";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

void append_text(const ColumnView& column, std::size_t row, std::string& out) {
  switch (column.type.kind) {
    case TypeKind::kBoolean:
      out += column.as<bool>()[row] ? 't' : 'f';
      return;
    case TypeKind::kTinyInt:
      return append_number(static_cast<int>(column.as<std::int8_t>()[row]), out);
    case TypeKind::kSmallInt:
      return append_number(column.as<std::int16_t>()[row], out);
    case TypeKind::kInteger:
      return append_number(column.as<std::int32_t>()[row], out);
    case TypeKind::kBigInt:
      return append_number(column.as<std::int64_t>()[row], out);
    case TypeKind::kHugeInt:
      out += int128_text(column.as<Int128>()[row]);
      return;
    case TypeKind::kUTinyInt:
      return append_number(static_cast<unsigned>(column.as<std::uint8_t>()[row]), out);
    case TypeKind::kUSmallInt:
      return append_number(column.as<std::uint16_t>()[row], out);
    case TypeKind::kUInteger:
      return append_number(column.as<std::uint32_t>()[row], out);
    case TypeKind::kUBigInt:
      return append_number(column.as<std::uint64_t>()[row], out);
    case TypeKind::kFloat:
      return append_float(column.as<float>()[row], out);
    case TypeKind::kDouble:
      return append_float(column.as<double>()[row], out);
    case TypeKind::kDecimal:
      out += decimal_text(decimal_at(column, row), column.type.scale);
      return;
    case TypeKind::kTimestamp:
      out += timestamp_text(column.as<std::int64_t>()[row], false);
      return;
    case TypeKind::kTimestampTz:
      out += timestamp_text(column.as<std::int64_t>()[row], true);
      return;
    case TypeKind::kDate:
      out += date_text(column.as<std::int32_t>()[row]);
      return;
    case TypeKind::kTime:
      out += time_text(column.as<std::int64_t>()[row]);
      return;
    case TypeKind::kUuid:
      out += uuid_text(column.as<Int128>()[row]);
      return;
    case TypeKind::kInterval:
      out += interval_text(column.as<Interval>()[row]);
      return;
    case TypeKind::kBlob:
      return append_hex(column.as<StringRef>()[row].view(), out);
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      out += column.as<StringRef>()[row].view();
      return;
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      if (is_array(column.type)) return append_array(column, row, Format::kText, out);
      append_nested_json(out, column.type, column.as<StringRef>()[row].view());
      return;
  }
}

/// array_out quotes what could be read in another way.
void append_array_text(std::string_view text, std::string& out) {
  const bool plain = !text.empty() && text.find_first_of("{}\",\\ \t\n\r\v\f") == text.npos &&
                     !(text.size() == 4 && (text[0] | 32) == 'n' && (text[1] | 32) == 'u' &&
                       (text[2] | 32) == 'l' && (text[3] | 32) == 'l');
  if (plain) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

/// array_out and array_send of one dimension.
void append_array(const ColumnView& column, std::size_t row, Format format, std::string& out) {
  NestedReader reader(column.as<StringRef>()[row].view());
  const Type& element = column.type.element();
  const std::size_t count = reader.read_count();
  const bool text = format == Format::kText;
  const std::size_t start = out.size();
  if (text) {
    out += '{';
  } else {
    put_i32(count == 0 ? 0 : 1, out);  // dimensions
    put_i32(0, out);                   // whether there is a NULL, set below
    put(static_cast<std::uint32_t>(element_oid(element)), out);
    if (count != 0) {
      put_i32(static_cast<std::int32_t>(count), out);
      put_i32(1, out);  // lower bound
    }
  }
  std::string one;
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    if (text && i != 0) out += ',';
    if (reader.is_null()) {
      if (text) {
        out += "NULL";
      } else {
        put_i32(-1, out);
        out[start + 7] = 1;
      }
      continue;
    }
    one.clear();
    if (element.is_string()) {
      const StringRef value(reader.read_string());
      append_value({element, &value, nullptr}, 0, format, one);
    } else {
      append_value(reader.read_scalar(element).column(), 0, format, one);
      if (!text && element_oid(element) == Oid::kOid) one.erase(0, 4);  // of an int8
    }
    if (text) {
      append_array_text(one, out);
    } else {
      put_i32(static_cast<std::int32_t>(one.size()), out);
      out += one;
    }
  }
  if (text) out += '}';
}

// --- parameters ---------------------------------------------------------------------------------

std::unexpected<Error> bad_parameter(std::string_view type, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadValue, "a parameter of type {} {}", type,
              what);
}

template <class Unsigned>
Unsigned read(std::string_view bytes, std::size_t at = 0) {
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i)
    value = static_cast<Unsigned>(value << 8 | static_cast<unsigned char>(bytes[at + i]));
  return value;
}

/// numeric_recv.
Result<std::string> numeric_text(std::string_view bytes) {
  if (bytes.size() < 8) return bad_parameter("numeric", "is shorter than its head");
  const std::size_t count = read<std::uint16_t>(bytes);
  const int weight = static_cast<std::int16_t>(read<std::uint16_t>(bytes, 2));
  const auto sign = read<std::uint16_t>(bytes, 4);
  const int scale = read<std::uint16_t>(bytes, 6);
  if (bytes.size() != 8 + 2 * count) return bad_parameter("numeric", "has another length");
  if (sign == kNumericNan) return std::string("NaN");
  if (sign == kNumericInfinity) return std::string("Infinity");
  if (sign == kNumericMinusInfinity) return std::string("-Infinity");
  if (sign != 0 && sign != kNumericNegative) return bad_parameter("numeric", "has no sign");
  if (scale > kNumericDigitsMax || weight > kNumericDigitsMax / kNumericDigits ||
      weight < -kNumericDigitsMax / kNumericDigits) {
    return bad_parameter("numeric", "has more than 1000 digits");
  }
  const auto group = [&](int of_weight) -> unsigned {
    const int at = weight - of_weight;
    return at < 0 || at >= static_cast<int>(count)
               ? 0U
               : read<std::uint16_t>(bytes, 8 + 2 * static_cast<std::size_t>(at));
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (read<std::uint16_t>(bytes, 8 + 2 * i) >= kNumericBase)
      return bad_parameter("numeric", "has a digit that is none");
  }
  std::string out = sign == kNumericNegative ? "-" : "";
  out += weight < 0 ? "0" : fmt::format("{}", group(weight));
  for (int i = weight - 1; i >= 0; --i) out += fmt::format("{:04}", group(i));
  if (scale == 0) return out;
  std::string fraction;
  for (int i = -1; static_cast<int>(fraction.size()) < scale; --i)
    fraction += fmt::format("{:04}", group(i));
  fraction.resize(static_cast<std::size_t>(scale));
  return out + "." + fraction;
}

Result<std::string> fixed_text(Oid oid, std::string_view bytes) {
  const auto size_is = [&](std::size_t size) { return bytes.size() == size; };
  const auto wrong = [&](std::string_view type) {
    return bad_parameter(type, "has another length");
  };
  switch (oid) {
    case Oid::kBool:
      if (!size_is(1)) return wrong("boolean");
      return std::string(bytes[0] != 0 ? "true" : "false");
    case Oid::kInt2:
      if (!size_is(2)) return wrong("smallint");
      return fmt::format("{}", static_cast<std::int16_t>(read<std::uint16_t>(bytes)));
    case Oid::kInt4:
      if (!size_is(4)) return wrong("integer");
      return fmt::format("{}", static_cast<std::int32_t>(read<std::uint32_t>(bytes)));
    case Oid::kOid:
      if (!size_is(4)) return wrong("oid");
      return fmt::format("{}", read<std::uint32_t>(bytes));
    case Oid::kInt8:
      if (!size_is(8)) return wrong("bigint");
      return fmt::format("{}", static_cast<std::int64_t>(read<std::uint64_t>(bytes)));
    case Oid::kFloat4:
      if (!size_is(4)) return wrong("real");
      return float_text(std::bit_cast<float>(read<std::uint32_t>(bytes)));
    case Oid::kFloat8:
      if (!size_is(8)) return wrong("double precision");
      return double_text(std::bit_cast<double>(read<std::uint64_t>(bytes)));
    case Oid::kDate: {
      if (!size_is(4)) return wrong("date");
      const auto days = static_cast<std::int32_t>(read<std::uint32_t>(bytes));
      if (days > std::numeric_limits<std::int32_t>::max() - kEpochDays)
        return bad_parameter("date", "is after the end of time");
      return date_text(days + kEpochDays);
    }
    case Oid::kTime:
      if (!size_is(8)) return wrong("time");
      return time_text(static_cast<std::int64_t>(read<std::uint64_t>(bytes)));
    case Oid::kTimestamp:
    case Oid::kTimestampTz: {
      if (!size_is(8)) return wrong("timestamp");
      const auto micros = static_cast<std::int64_t>(read<std::uint64_t>(bytes));
      if (micros > std::numeric_limits<std::int64_t>::max() - kEpochMicros)
        return bad_parameter("timestamp", "is after the end of time");
      return timestamp_text(micros + kEpochMicros, oid == Oid::kTimestampTz);
    }
    case Oid::kUuid: {
      if (!size_is(16)) return wrong("uuid");
      const auto value =
          static_cast<UInt128>(read<std::uint64_t>(bytes)) << 64 | read<std::uint64_t>(bytes, 8);
      return uuid_text(static_cast<Int128>(value ^ (UInt128{1} << 127)));
    }
    case Oid::kInterval:
      if (!size_is(16)) return wrong("interval");
      return interval_text({.months = static_cast<std::int32_t>(read<std::uint32_t>(bytes, 12)),
                            .days = static_cast<std::int32_t>(read<std::uint32_t>(bytes, 8)),
                            .micros = static_cast<std::int64_t>(read<std::uint64_t>(bytes))});
    default:
      return bad_parameter(fmt::format("{}", static_cast<std::uint32_t>(oid)),
                           "in binary form is not read; send it as text");
  }
}

/// A bytea as DuckDB's literal of a BLOB: printable bytes as they are, the others as \xAA.
std::string blob_literal(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '\\' || c == '\'' || c == '"') {
      out += fmt::format("\\x{:02X}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

/// byteain: "\x…" in hexadecimal digits, or the old form with octal escapes.
Result<std::string> bytea_bytes(std::string_view text) {
  std::string out;
  if (text.starts_with("\\x")) {
    text.remove_prefix(2);
    if (text.size() % 2 != 0) return bad_parameter("bytea", "has an odd number of digits");
    for (std::size_t i = 0; i < text.size(); i += 2) {
      unsigned byte = 0;
      const auto [end, failed] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
      if (failed != std::errc() || end != text.data() + i + 2)
        return bad_parameter("bytea", "has a digit that is not hexadecimal");
      out += static_cast<char>(byte);
    }
    return out;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == '\\') {
      out += text[++i];
    } else {
      unsigned byte = 0;
      if (i + 3 >= text.size()) return bad_parameter("bytea", "ends in an escape");
      const auto [end, failed] = std::from_chars(text.data() + i + 1, text.data() + i + 4, byte, 8);
      if (failed != std::errc() || end != text.data() + i + 4 || byte > 255)
        return bad_parameter("bytea", "has an escape that is none");
      out += static_cast<char>(byte);
      i += 3;
    }
  }
  return out;
}

}  // namespace

WireType wire_type(const Type& type) {
  if (is_array(type)) return {.oid = of_kind(type.element().kind).array};
  if (type.is_nested()) return {.oid = static_cast<std::uint32_t>(Oid::kJson)};
  const auto& known = of_kind(type.kind);
  WireType out{.oid = static_cast<std::uint32_t>(known.oid), .bytes = known.bytes};
  // VARHDRSZ and width, scale.
  if (type.kind == TypeKind::kDecimal) out.modifier = ((type.width << 16) | type.scale) + 4;
  return out;
}

void append_value(const ColumnView& column, std::size_t row, Format format, std::string& out) {
  if (format == Format::kBinary) {
    append_binary(column, row, out);
  } else {
    append_text(column, row, out);
  }
}

Result<std::string> parameter_text(std::uint32_t oid, Format format, std::string_view bytes) {
  const auto type = static_cast<Oid>(oid);
  if (type == Oid::kBytea) {
    if (format == Format::kBinary) return blob_literal(bytes);
    MR_TRY(const auto raw, bytea_bytes(bytes));
    return blob_literal(raw);
  }
  if (const auto element = array_element(oid); element != Oid::kUnknownToUs)
    return array_parameter_text(element, format, bytes);
  if (format == Format::kText) return std::string(bytes);
  switch (type) {
    case Oid::kUnknownToUs:
    case Oid::kUnknown:
    case Oid::kText:
    case Oid::kVarchar:
    case Oid::kBpchar:
    case Oid::kName:
    case Oid::kJson:
      return std::string(bytes);
    case Oid::kJsonb:
      if (bytes.empty() || bytes[0] != 1) return bad_parameter("jsonb", "is not of version 1");
      return std::string(bytes.substr(1));
    case Oid::kNumeric:
      return numeric_text(bytes);
    default:
      return fixed_text(type, bytes);
  }
}

std::string sql_type_of(std::uint32_t oid) {
  if (const auto element = array_element(oid); element != Oid::kUnknownToUs) {
    const auto of_element = sql_type_of(static_cast<std::uint32_t>(element));
    return of_element.empty() ? std::string() : of_element + "[]";
  }
  switch (static_cast<Oid>(oid)) {
    case Oid::kBool:
      return "BOOLEAN";
    case Oid::kBytea:
      return "BLOB";
    case Oid::kInt2:
      return "SMALLINT";
    case Oid::kInt4:
      return "INTEGER";
    case Oid::kInt8:
      return "BIGINT";
    case Oid::kOid:
      return "UINTEGER";
    case Oid::kFloat4:
      return "FLOAT";
    case Oid::kFloat8:
      return "DOUBLE";
    case Oid::kName:
    case Oid::kText:
    case Oid::kVarchar:
    case Oid::kBpchar:
      return "VARCHAR";
    case Oid::kJson:
    case Oid::kJsonb:
      return "JSON";
    case Oid::kDate:
      return "DATE";
    case Oid::kTime:
      return "TIME";
    case Oid::kTimestamp:
      return "TIMESTAMP";
    case Oid::kTimestampTz:
      return "TIMESTAMP WITH TIME ZONE";
    case Oid::kInterval:
      return "INTERVAL";
    case Oid::kUuid:
      return "UUID";
    case Oid::kNumeric:  // DuckDB decides by the digits
    case Oid::kUnknown:
    case Oid::kUnknownToUs:
      return {};
  }
  return {};
}

}  // namespace millrace::wire::postgres
