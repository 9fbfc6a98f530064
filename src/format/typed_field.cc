#include "format/typed_field.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "format/base64.h"
#include "format/json_text.h"
#include "model/value_text.h"

namespace millrace::format {

namespace {

constexpr std::size_t kShownBytesMax = 64;
// Years 0001 to 9999, as in JSON.
constexpr std::int64_t kTimestampMin = -62'135'596'800'000'000;
constexpr std::int64_t kTimestampMax = 253'402'300'799'999'999;
constexpr std::int32_t kDateMin = -719'162;
constexpr std::int32_t kDateMax = 2'932'896;

template <class T>
void append_floating(std::string& out, T value, std::string (*text)(T)) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
  } else if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    out += text(value);
  }
}

}  // namespace

void append_json_number(std::string& out, double value) {
  append_floating(out, value, &double_text);
}
void append_json_number(std::string& out, float value) { append_floating(out, value, &float_text); }

bool TypedFieldWriter::token(std::string_view text) {
  if (put_field(text, *column_, *arena_, scratch_, *fault_)) return true;
  // There is no quote to put it into.
  if (column_->type().kind == TypeKind::kVarchar) {
    fault_->text = fmt::format("{} is not a VARCHAR", shortened(text, kShownBytesMax));
  }
  return false;
}

bool TypedFieldWriter::quoted(std::string_view text) {
  token_.clear();
  append_json_string(token_, text);
  return put_field(token_, *column_, *arena_, scratch_, *fault_);
}

bool TypedFieldWriter::out_of_range(std::string_view text) {
  *fault_ = {error_id::kOutOfRange,
             fmt::format("{} is out of range of {}", text, column_->type().sql())};
  return false;
}

bool TypedFieldWriter::boolean(bool value) { return token(value ? "true" : "false"); }

bool TypedFieldWriter::integer(std::int64_t value) {
  if (column_->type().kind == TypeKind::kBigInt) {
    column_->push(value);
    return true;
  }
  if (column_->type().kind == TypeKind::kInteger && std::in_range<std::int32_t>(value)) {
    column_->push(static_cast<std::int32_t>(value));
    return true;
  }
  return token(fmt::format_int(value).c_str());
}

bool TypedFieldWriter::unsigned_integer(std::uint64_t value) {
  return token(fmt::format_int(value).c_str());
}

bool TypedFieldWriter::floating(double value) {
  if (column_->type().kind == TypeKind::kDouble) {
    column_->push(std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value);
    return true;
  }
  if (column_->type().kind == TypeKind::kFloat) {
    const auto narrow = static_cast<float>(value);
    if (std::isinf(narrow) && !std::isinf(value)) return out_of_range(double_text(value));
    column_->push(std::isnan(narrow) ? std::numeric_limits<float>::quiet_NaN() : narrow);
    return true;
  }
  token_.clear();
  append_json_number(token_, value);
  return token(std::string(token_));
}

bool TypedFieldWriter::single(float value) {
  if (column_->type().kind == TypeKind::kDouble || column_->type().kind == TypeKind::kFloat)
    return floating(static_cast<double>(value));
  token_.clear();
  append_json_number(token_, value);
  return token(std::string(token_));
}

bool TypedFieldWriter::text(std::string_view value) {
  if (const std::size_t bad = first_bad_utf8(value); bad != value.size()) {
    *fault_ = {error_id::kBadUtf8, fmt::format("byte {} is not UTF-8", bad + 1)};
    return false;
  }
  if (column_->type().kind == TypeKind::kVarchar) {
    column_->push_string(value, *arena_);
    return true;
  }
  return quoted(value);
}

bool TypedFieldWriter::bytes(std::string_view value) {
  if (column_->type().kind == TypeKind::kBlob) {
    column_->push_string(value, *arena_);
    return true;
  }
  if (column_->type().kind == TypeKind::kJson) return quoted(base64_encode(value));
  *fault_ = {error_id::kBadValue, fmt::format("bytes are not a {}", column_->type().sql())};
  return false;
}

bool TypedFieldWriter::decimal(Int128 unscaled, std::uint8_t scale) {
  return token(decimal_text(unscaled, scale));
}

bool TypedFieldWriter::timestamp(std::int64_t micros) {
  if (micros < kTimestampMin || micros > kTimestampMax)
    return out_of_range(fmt::format("{} us since 1970", micros));
  const auto kind = column_->type().kind;
  if (kind == TypeKind::kTimestamp || kind == TypeKind::kTimestampTz) {
    column_->push(micros);
    return true;
  }
  return quoted(timestamp_text(micros, false));
}

bool TypedFieldWriter::date(std::int32_t days) {
  if (days < kDateMin || days > kDateMax)
    return out_of_range(fmt::format("{} days since 1970", days));
  return quoted(date_text(days));
}

bool TypedFieldWriter::time(std::int64_t micros) {
  if (micros < 0 || micros > kMicrosPerDay)
    return out_of_range(fmt::format("{} us since midnight", micros));
  return quoted(time_text(micros));
}

bool TypedFieldWriter::json(std::string_view text, std::string_view kind) {
  if (column_->type().kind == TypeKind::kJson) {
    column_->push_string(text, *arena_);
    return true;
  }
  *fault_ = {error_id::kBadValue, fmt::format("{} is not a {}", kind, column_->type().sql())};
  return false;
}

}  // namespace millrace::format
