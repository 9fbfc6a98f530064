#include "serving/value_parser.h"

#include <charconv>
#include <limits>

#include "format/base64.h"
#include "model/value_text.h"

namespace millrace::serving {

namespace {

template <class T>
bool push_number(std::string_view text, ColumnVector& column) {
  T value{};
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || stop != text.data() + text.size()) return false;
  column.push(value);
  return true;
}

/// All of HUGEINT: its greatest values have a digit more than the widest DECIMAL.
bool push_hugeint(std::string_view text, ColumnVector& column) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) return false;
  Int128 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    const Int128 digit = negative ? '0' - c : c - '0';
    if (__builtin_mul_overflow(value, Int128{10}, &value)) return false;
    if (__builtin_add_overflow(value, digit, &value)) return false;
  }
  column.push(value);
  return true;
}

bool push_blob(std::string_view text, ColumnVector& column, Arena& arena) {
  const auto bytes = format::base64_decode(text);
  if (!bytes) return false;
  column.push_string(*bytes, arena);
  return true;
}

template <class T>
bool push_decimal(std::string_view text, ColumnVector& column) {
  const auto value = parse_decimal(text, column.type().width, column.type().scale);
  if (!value) return false;
  column.push(static_cast<T>(*value));
  return true;
}

template <class T, class Value>
bool push_optional(const std::optional<Value>& value, ColumnVector& column) {
  if (!value) return false;
  column.push(static_cast<T>(*value));
  return true;
}

bool push(std::string_view text, ColumnVector& column, Arena& arena) {
  switch (column.type().kind) {
    case TypeKind::kBoolean:
      if (text != "true" && text != "false") return false;
      column.push(static_cast<std::uint8_t>(text == "true"));
      return true;
    case TypeKind::kTinyInt:
      return push_number<std::int8_t>(text, column);
    case TypeKind::kSmallInt:
      return push_number<std::int16_t>(text, column);
    case TypeKind::kInteger:
      return push_number<std::int32_t>(text, column);
    case TypeKind::kBigInt:
      return push_number<std::int64_t>(text, column);
    case TypeKind::kUTinyInt:
      return push_number<std::uint8_t>(text, column);
    case TypeKind::kUSmallInt:
      return push_number<std::uint16_t>(text, column);
    case TypeKind::kUInteger:
      return push_number<std::uint32_t>(text, column);
    case TypeKind::kUBigInt:
      return push_number<std::uint64_t>(text, column);
    case TypeKind::kHugeInt:
      return push_hugeint(text, column);
    case TypeKind::kFloat:
      return push_number<float>(text, column);
    case TypeKind::kDouble:
      return push_number<double>(text, column);
    case TypeKind::kDecimal:
      switch (column.type().physical()) {
        case PhysicalType::kInt16:
          return push_decimal<std::int16_t>(text, column);
        case PhysicalType::kInt32:
          return push_decimal<std::int32_t>(text, column);
        case PhysicalType::kInt64:
          return push_decimal<std::int64_t>(text, column);
        default:
          return push_decimal<Int128>(text, column);
      }
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      column.push_string(text, arena);
      return true;
    case TypeKind::kBlob:
      return push_blob(text, column, arena);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      return push_optional<std::int64_t>(parse_timestamp(text), column);
    case TypeKind::kDate:
      return push_optional<std::int32_t>(parse_date(text), column);
    case TypeKind::kUuid:
      return push_optional<Int128>(parse_uuid(text), column);
    case TypeKind::kTime:
      return push_optional<std::int64_t>(parse_time(text), column);
    case TypeKind::kInterval:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      return false;  // no key has such a type
  }
  return false;
}

}  // namespace

Status push_parsed(std::string_view text, ColumnVector& column, Arena& arena) {
  if (push(text, column, arena)) return {};
  return fail(ErrorCode::kInvalidArgument, error_id::kBadValue, "'{}' is not a {}",
              text.substr(0, 64), column.type().sql());
}

}  // namespace millrace::serving
