#include "format/json_field.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "base/error.h"
#include "format/base64.h"
#include "format/json_text.h"
#include "model/value_text.h"

namespace millrace::format {

namespace {

constexpr std::size_t kShownBytesMax = 64;
// Years 0001 to 9999: what a timestamp has as text, so that it can be written and read back.
constexpr std::int64_t kTimestampMin = -62'135'596'800'000'000;
constexpr std::int64_t kTimestampMax = 253'402'300'799'999'999;

FieldFault out_of_range(std::string_view token, const Type& type) {
  return {error_id::kOutOfRange,
          fmt::format("{} is out of range of {}", shortened(token, kShownBytesMax), type.sql())};
}

bool is_string(std::string_view token) { return token.front() == '"'; }
bool is_number_start(std::string_view token) {
  return token.front() == '-' || static_cast<unsigned char>(token.front() - '0') < 10;
}

/// The text of a string token; into `scratch` only where it has escapes.
std::optional<std::string_view> string_text(std::string_view token, std::string& scratch) {
  const std::string_view inside = token.substr(1, token.size() - 2);
  if (inside.empty() || std::memchr(inside.data(), '\\', inside.size()) == nullptr) return inside;
  scratch.clear();
  if (!unescape(inside, scratch)) return std::nullopt;
  return scratch;
}

class FieldWriter {
 public:
  FieldWriter(std::string_view token, ColumnVector& column, Arena& arena, std::string& scratch,
              FieldFault& fault)
      : token_(token), column_(column), arena_(arena), scratch_(scratch), fault_(fault) {}

  bool boolean() {
    if (token_ == "true") return push<std::uint8_t>(1);
    if (token_ == "false") return push<std::uint8_t>(0);
    return wrong();
  }

  template <class T>
  bool integer() {
    JsonNumber number;
    if (!is_number_start(token_)) {
      // JavaScript has no integers behind 2^53, so its clients send large ones as strings.
      if (sizeof(T) < 8 || !is_string(token_)) return wrong();
      const std::string_view inside = token_.substr(1, token_.size() - 2);
      if (inside.empty() || !scan_number(inside, number) || !number.plain) return wrong();
      return integer_of<T>(inside, number);
    }
    if (!scan_number(token_, number)) return not_json();
    if (number.plain && number.digits <= 18 && sizeof(T) <= 8) {
      const auto magnitude = static_cast<std::int64_t>(number.mantissa);
      return in_range<T>(number.negative ? -magnitude : magnitude);
    }
    return integer_of<T>(token_, number);
  }

  template <class T>
  bool floating() {
    if (is_string(token_)) {
      if (token_ == R"("NaN")") return push(std::numeric_limits<T>::quiet_NaN());
      if (token_ == R"("Infinity")") return push(std::numeric_limits<T>::infinity());
      if (token_ == R"("-Infinity")") return push(-std::numeric_limits<T>::infinity());
      return wrong();
    }
    JsonNumber number;
    if (!is_number_start(token_)) return wrong();
    if (!scan_number(token_, number)) return not_json();
    T value = 0;
    if constexpr (sizeof(T) == 8) {
      value = nearest_double(token_, number);
    } else {
      value = nearest_float(token_, number);
    }
    if (std::isinf(value)) return too_large();
    return push(value);
  }

  bool decimal() {
    JsonNumber number;
    const std::string_view inside =
        is_string(token_) ? token_.substr(1, token_.size() - 2) : token_;
    if (inside.empty()) return wrong();
    if (!scan_number(inside, number))
      return is_string(token_) || !is_number_start(token_) ? wrong() : not_json();
    const Type& type = column_.type();
    const auto value = parse_decimal(inside, type.width, type.scale);
    if (!value) return too_large();
    switch (type.physical()) {
      case PhysicalType::kInt16:
        return push(static_cast<std::int16_t>(*value));
      case PhysicalType::kInt32:
        return push(static_cast<std::int32_t>(*value));
      case PhysicalType::kInt64:
        return push(static_cast<std::int64_t>(*value));
      default:
        return push(*value);
    }
  }

  bool varchar() {
    if (!is_string(token_)) return wrong();
    const auto text = string_text(token_, scratch_);
    if (!text) return bad_escape();
    column_.push_string(*text, arena_);
    return true;
  }

  bool json() {
    if (is_string(token_)) {
      if (!string_text(token_, scratch_)) return bad_escape();
    } else if (token_ != "true" && token_ != "false") {
      JsonNumber number;
      if (!scan_number(token_, number)) return not_json();
    }
    column_.push_string(token_, arena_);
    return true;
  }

  bool blob() {
    if (!is_string(token_)) return wrong();
    const auto text = string_text(token_, scratch_);
    if (!text) return bad_escape();
    const auto bytes = base64_decode(*text);
    if (!bytes) return wrong();
    column_.push_string(*bytes, arena_);
    return true;
  }

  bool timestamp() {
    std::optional<std::int64_t> micros;
    if (is_string(token_)) {
      const auto text = string_text(token_, scratch_);
      if (!text) return bad_escape();
      micros = parse_timestamp(*text);
      if (!micros) return wrong();
    } else {
      JsonNumber number;
      if (!is_number_start(token_)) return wrong();
      if (!scan_number(token_, number)) return not_json();
      const auto millis = exact_integer(token_, number);
      if (!millis) return std::abs(nearest_double(token_, number)) < 1e18 ? wrong() : too_large();
      if (*millis < kTimestampMin / 1000 || *millis > kTimestampMax / 1000) return too_large();
      micros = static_cast<std::int64_t>(*millis) * 1000;
    }
    if (*micros < kTimestampMin || *micros > kTimestampMax) return too_large();
    return push(*micros);
  }

  bool date() {
    if (!is_string(token_)) return wrong();
    const auto text = string_text(token_, scratch_);
    if (!text) return bad_escape();
    const auto days = parse_date(*text);
    return days ? push(*days) : wrong();
  }

  bool time() {
    if (!is_string(token_)) return wrong();
    const auto text = string_text(token_, scratch_);
    if (!text) return bad_escape();
    const auto micros = parse_time(*text);
    return micros ? push(*micros) : wrong();
  }

  bool uuid() {
    if (!is_string(token_)) return wrong();
    const auto text = string_text(token_, scratch_);
    if (!text) return bad_escape();
    const auto value = parse_uuid(*text);
    return value ? push(*value) : wrong();
  }

 private:
  template <class T>
  bool push(T value) {
    column_.push(value);
    return true;
  }

  template <class T>
  bool in_range(std::int64_t value) {
    if constexpr (sizeof(T) <= 8) {
      if (!std::in_range<T>(value)) return too_large();
    }
    return push(static_cast<T>(value));
  }

  template <class T>
  bool integer_of(std::string_view digits, const JsonNumber& number) {
    const auto value = exact_integer(digits, number);
    if (!value) {
      // A fraction, or too large: both are not exact, but a person wants to know which.
      return std::abs(nearest_double(digits, number)) < 1e18 ? wrong() : too_large();
    }
    if constexpr (sizeof(T) <= 8) {
      if (*value < Int128{std::numeric_limits<T>::min()} ||
          *value > Int128{std::numeric_limits<T>::max()}) {
        return too_large();
      }
    }
    return push(static_cast<T>(*value));
  }

  bool wrong() {
    fault_ = is_string(token_) || is_number_start(token_) || token_ == "true" || token_ == "false"
                 ? wrong_type(token_, column_.type())
                 : bad_word(token_);
    return false;
  }
  bool not_json() {
    fault_ = bad_word(token_);
    return false;
  }
  bool bad_escape() {
    fault_ = {error_id::kBadJson, fmt::format("{} has a wrong escape, or half of a surrogate pair",
                                              shortened(token_, kShownBytesMax))};
    return false;
  }
  bool too_large() {
    fault_ = out_of_range(token_, column_.type());
    return false;
  }

  std::string_view token_;
  ColumnVector& column_;
  Arena& arena_;
  std::string& scratch_;
  FieldFault& fault_;
};

}  // namespace

FieldFault bad_word(std::string_view token) {
  return {error_id::kBadJson,
          fmt::format("{} is not a JSON value", shortened(token, kShownBytesMax))};
}

FieldFault wrong_type(std::string_view token, const Type& type) {
  const char first = token.front();
  if (first == '{' || first == '[') {
    return {error_id::kBadValue,
            fmt::format("an {} is not a {}", first == '{' ? "object" : "array", type.sql())};
  }
  std::string_view hint;
  if (first != '"' && type.kind == TypeKind::kVarchar) hint = ": put it into quotes";
  if (first == '"' && type.kind == TypeKind::kBlob) hint = ": base64 is expected";
  return {error_id::kBadValue,
          fmt::format("{} is not a {}{}", shortened(token, kShownBytesMax), type.sql(), hint)};
}

bool put_field(std::string_view token, ColumnVector& column, Arena& arena, std::string& scratch,
               FieldFault& fault) {
  FieldWriter writer(token, column, arena, scratch, fault);
  switch (column.type().kind) {
    case TypeKind::kBoolean:
      return writer.boolean();
    case TypeKind::kTinyInt:
      return writer.integer<std::int8_t>();
    case TypeKind::kSmallInt:
      return writer.integer<std::int16_t>();
    case TypeKind::kInteger:
      return writer.integer<std::int32_t>();
    case TypeKind::kBigInt:
      return writer.integer<std::int64_t>();
    case TypeKind::kHugeInt:
      return writer.integer<Int128>();
    case TypeKind::kUTinyInt:
      return writer.integer<std::uint8_t>();
    case TypeKind::kUSmallInt:
      return writer.integer<std::uint16_t>();
    case TypeKind::kUInteger:
      return writer.integer<std::uint32_t>();
    case TypeKind::kUBigInt:
      return writer.integer<std::uint64_t>();
    case TypeKind::kFloat:
      return writer.floating<float>();
    case TypeKind::kDouble:
      return writer.floating<double>();
    case TypeKind::kDecimal:
      return writer.decimal();
    case TypeKind::kVarchar:
      return writer.varchar();
    case TypeKind::kBlob:
      return writer.blob();
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      return writer.timestamp();
    case TypeKind::kDate:
      return writer.date();
    case TypeKind::kUuid:
      return writer.uuid();
    case TypeKind::kJson:
      return writer.json();
    case TypeKind::kTime:
      return writer.time();
    case TypeKind::kInterval:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      break;  // no stream has such a column
  }
  fault = wrong_type(token, column.type());
  return false;
}

}  // namespace millrace::format
