#include "model/value_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "model/column_batch.h"
#include "model/nested_value.h"

namespace millrace {

std::int64_t days_from_civil(CivilDate date) {
  const std::int64_t y = date.year - (date.month <= 2 ? 1 : 0);
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<std::int64_t>(y - era * 400);
  const std::int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
  const std::int64_t doy = (153 * month_from_march + 2) / 5 + date.day - 1;
  const std::int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

CivilDate civil_from_days(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t doe = days - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  const auto day = static_cast<unsigned>(doy - (153 * mp + 2) / 5 + 1);
  const auto month = static_cast<unsigned>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

namespace {

/// Reads exactly `digits` digits off the front.
std::optional<unsigned> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  unsigned value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_date(std::string_view& text) {
  const auto year = take_digits(text, 4);
  if (!year || *year == 0 || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || *month < 1 || *month > 12 || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || *day < 1 || *day > 31) return std::nullopt;
  const CivilDate date{*year, *month, *day};
  const std::int64_t days = days_from_civil(date);
  if (civil_from_days(days).day != *day) return std::nullopt;  // 30 February
  return days;
}

/// "hh:mm[:ss[.ffffff]]" off the front, as microseconds.
std::optional<std::int64_t> take_time(std::string_view& text, unsigned hour_max) {
  std::int64_t micros = 0;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > hour_max || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  micros = (static_cast<std::int64_t>(*hour) * 60 + *minute) * 60'000'000;
  if (take(text, ':')) {
    const auto second = take_digits(text, 2);
    if (!second || *second > 59) return std::nullopt;
    micros += static_cast<std::int64_t>(*second) * 1'000'000;
    if (take(text, '.')) {
      std::int64_t unit = 100'000;
      std::size_t digits = 0;
      while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        const int digit = text.front() - '0';
        if (unit == 0 && digit != 0) return std::nullopt;
        micros += digit * unit;
        unit /= 10;
        text.remove_prefix(1);
        ++digits;
      }
      if (digits == 0) return std::nullopt;
    }
  }
  return micros;
}

/// "Z", "+hh", "+hhmm", "+hh:mm": minutes east of UTC.
std::optional<std::int64_t> take_zone(std::string_view& text) {
  if (take(text, 'Z') || take(text, 'z')) return 0;
  std::int64_t sign = 0;
  if (take(text, '+'))
    sign = 1;
  else if (take(text, '-'))
    sign = -1;
  else
    return std::nullopt;
  const auto hours = take_digits(text, 2);
  if (!hours || *hours > 18) return std::nullopt;
  std::int64_t minutes = *hours * 60;
  if (!text.empty()) {
    take(text, ':');
    const auto rest = take_digits(text, 2);
    if (!rest || *rest > 59) return std::nullopt;
    minutes += *rest;
  }
  return sign * minutes;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class Float>
std::string floating_text(Float value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 40> raw{};
  const auto [end, code] = std::to_chars(raw.data(), raw.data() + raw.size(), value);
  std::string out(raw.data(), end);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace

std::optional<std::int32_t> parse_date(std::string_view text) {
  const auto days = take_date(text);
  if (!days || !text.empty()) return std::nullopt;
  return static_cast<std::int32_t>(*days);
}

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  const auto days = take_date(text);
  if (!days) return std::nullopt;
  std::int64_t micros = *days * kMicrosPerDay;
  if (text.empty()) return micros;
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
  const auto time = take_time(text, 23);
  if (!time) return std::nullopt;
  micros += *time;
  if (text.empty()) return micros;
  if (text.front() == ' ') text.remove_prefix(1);
  const auto zone = take_zone(text);
  if (!zone || !text.empty()) return std::nullopt;
  return micros - *zone * 60'000'000;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  const auto micros = take_time(text, 24);
  if (!micros || !text.empty() || *micros > kMicrosPerDay) return std::nullopt;
  return micros;
}

std::optional<Int128> parse_uuid(std::string_view text) {
  if (text.size() != 36 && text.size() != 32) return std::nullopt;
  const bool dashes = text.size() == 36;
  UInt128 value = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (dashes && (i == 8 || i == 13 || i == 18 || i == 23)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<UInt128>(digit);
  }
  return static_cast<Int128>(value ^ (UInt128{1} << 127));
}

std::optional<Int128> parse_decimal(std::string_view text, std::uint8_t width, std::uint8_t scale) {
  const bool negative = take(text, '-');
  // The digits without the point, and where the point stands behind them.
  std::string digits;
  std::int64_t point = 0;
  bool any = false;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    digits.push_back(text.front());
    text.remove_prefix(1);
    any = true;
  }
  if (take(text, '.')) {
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      digits.push_back(text.front());
      --point;
      text.remove_prefix(1);
      any = true;
    }
  }
  if (!any || digits.size() > 400) return std::nullopt;
  if (take(text, 'e') || take(text, 'E')) {
    take(text, '+');
    int exponent = 0;
    const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (code != std::errc() || stop != text.data() + text.size()) return std::nullopt;
    point += exponent;
  } else if (!text.empty()) {
    return std::nullopt;
  }
  std::int64_t shift = point + scale;
  while (shift < 0 && !digits.empty()) {
    if (digits.back() != '0') return std::nullopt;  // would have to be rounded
    digits.pop_back();
    ++shift;
  }
  const auto first = digits.find_first_not_of('0');
  if (first == std::string::npos) return Int128{0};
  digits.erase(0, first);
  if (shift > 38 || digits.size() + static_cast<std::size_t>(shift) > width) return std::nullopt;
  digits.append(static_cast<std::size_t>(shift), '0');
  Int128 value = 0;
  for (const char c : digits) value = value * 10 + (c - '0');
  return negative ? -value : value;
}

std::string int128_text(Int128 value) {
  if (value == 0) return "0";
  UInt128 rest = value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value);
  std::string out;
  while (rest != 0) {
    out.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
    rest /= 10;
  }
  if (value < 0) out.push_back('-');
  std::ranges::reverse(out);
  return out;
}

std::string decimal_text(Int128 value, std::uint8_t scale) {
  std::string digits = int128_text(value < 0 ? -value : value);
  if (scale != 0) {
    if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
    digits.insert(digits.size() - scale, ".");
  }
  return value < 0 ? "-" + digits : digits;
}

std::string date_text(std::int32_t days) {
  const auto date = civil_from_days(days);
  return fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
}

std::string timestamp_text(std::int64_t micros, bool with_zone) {
  std::int64_t days = micros / kMicrosPerDay;
  std::int64_t rest = micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  std::string out = date_text(static_cast<std::int32_t>(days)) + " " + time_text(rest);
  if (with_zone) out += "+00";
  return out;
}

std::string time_text(std::int64_t micros) {
  const std::uint64_t length =
      micros < 0 ? -static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  const std::uint64_t seconds = length / 1'000'000;
  const std::uint64_t fraction = length % 1'000'000;
  std::string out = fmt::format("{}{:02}:{:02}:{:02}", micros < 0 ? "-" : "", seconds / 3600,
                                seconds / 60 % 60, seconds % 60);
  if (fraction != 0) {
    out += fmt::format(".{:06}", fraction);
    while (out.back() == '0') out.pop_back();
  }
  return out;
}

std::string interval_text(const Interval& interval) {
  std::string out;
  const auto add = [&out](std::int32_t count, std::string_view unit) {
    if (count == 0) return;
    out += fmt::format("{}{} {}{}", out.empty() ? "" : " ", count, unit,
                       count == 1 || count == -1 ? "" : "s");
  };
  add(interval.months / 12, "year");
  add(interval.months % 12, "month");
  add(interval.days, "day");
  if (interval.micros != 0 || out.empty()) {
    if (!out.empty()) out.push_back(' ');
    out += time_text(interval.micros);
  }
  return out;
}

std::string uuid_text(Int128 value) {
  const UInt128 raw = static_cast<UInt128>(value) ^ (UInt128{1} << 127);
  std::string out;
  for (int nibble = 31; nibble >= 0; --nibble) {
    out.push_back("0123456789abcdef"[static_cast<unsigned>(raw >> (nibble * 4)) & 15]);
    if (nibble == 24 || nibble == 20 || nibble == 16 || nibble == 12) out.push_back('-');
  }
  return out;
}

std::string double_text(double value) { return floating_text(value); }
std::string float_text(float value) { return floating_text(value); }

namespace {

Int128 integer_value(const ColumnView& column, std::size_t row) {
  switch (column.type.physical()) {
    case PhysicalType::kBool:
    case PhysicalType::kUInt8:
      return column.as<std::uint8_t>()[row];
    case PhysicalType::kInt8:
      return column.as<std::int8_t>()[row];
    case PhysicalType::kInt16:
      return column.as<std::int16_t>()[row];
    case PhysicalType::kInt32:
      return column.as<std::int32_t>()[row];
    case PhysicalType::kInt64:
      return column.as<std::int64_t>()[row];
    case PhysicalType::kInt128:
      return column.as<Int128>()[row];
    case PhysicalType::kUInt16:
      return column.as<std::uint16_t>()[row];
    case PhysicalType::kUInt32:
      return column.as<std::uint32_t>()[row];
    case PhysicalType::kUInt64:
      return column.as<std::uint64_t>()[row];
    case PhysicalType::kFloat:
    case PhysicalType::kDouble:
    case PhysicalType::kString:
      break;
  }
  MR_CHECK(false, "{} is no integer type", column.type.sql());
  return 0;
}

std::string blob_text(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02X}", byte);
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> value_text(const ColumnView& column, std::size_t row) {
  if (!column.valid(row)) return std::nullopt;
  switch (column.type.kind) {
    case TypeKind::kBoolean:
      return column.as<std::uint8_t>()[row] != 0 ? "true" : "false";
    case TypeKind::kFloat:
      return float_text(column.as<float>()[row]);
    case TypeKind::kDouble:
      return double_text(column.as<double>()[row]);
    case TypeKind::kDecimal:
      return decimal_text(integer_value(column, row), column.type.scale);
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      return std::string(column.as<StringRef>()[row].view());
    case TypeKind::kBlob:
      return blob_text(column.as<StringRef>()[row].view());
    case TypeKind::kTimestamp:
      return timestamp_text(column.as<std::int64_t>()[row], false);
    case TypeKind::kTimestampTz:
      return timestamp_text(column.as<std::int64_t>()[row], true);
    case TypeKind::kDate:
      return date_text(column.as<std::int32_t>()[row]);
    case TypeKind::kUuid:
      return uuid_text(column.as<Int128>()[row]);
    case TypeKind::kInterval:
      return interval_text(column.as<Interval>()[row]);
    case TypeKind::kTime:
      return time_text(column.as<std::int64_t>()[row]);
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap: {
      std::string out;
      append_nested_text(out, column.type, column.as<StringRef>()[row].view());
      return out;
    }
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInteger:
    case TypeKind::kBigInt:
    case TypeKind::kHugeInt:
    case TypeKind::kUTinyInt:
    case TypeKind::kUSmallInt:
    case TypeKind::kUInteger:
    case TypeKind::kUBigInt:
      return int128_text(integer_value(column, row));
  }
  return std::nullopt;
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte >= 0x20) {
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += fmt::format("\\u{:04x}", byte);
    }
  }
  out.push_back('"');
}

void append_json(std::string& out, const ColumnView& column, std::size_t row) {
  if (!column.valid(row)) {
    out += "null";
    return;
  }
  constexpr Int128 kExactMax = Int128{1} << 53;
  switch (column.type.kind) {
    case TypeKind::kBoolean:
      out += column.as<std::uint8_t>()[row] != 0 ? "true" : "false";
      return;
    case TypeKind::kFloat:
    case TypeKind::kDouble: {
      const double value = column.type.kind == TypeKind::kFloat
                               ? static_cast<double>(column.as<float>()[row])
                               : column.as<double>()[row];
      if (std::isnan(value))
        out += "\"NaN\"";
      else if (std::isinf(value))
        out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
      else
        out += *value_text(column, row);
      return;
    }
    case TypeKind::kJson:
      out += column.as<StringRef>()[row].view();
      return;
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInteger:
    case TypeKind::kUTinyInt:
    case TypeKind::kUSmallInt:
    case TypeKind::kUInteger:
    case TypeKind::kBigInt:
    case TypeKind::kUBigInt:
    case TypeKind::kHugeInt: {
      const Int128 value = integer_value(column, row);
      if (value >= -kExactMax && value <= kExactMax) {
        std::array<char, 24> raw{};
        const auto [end, code] =
            std::to_chars(raw.data(), raw.data() + raw.size(), static_cast<std::int64_t>(value));
        out.append(raw.data(), end);
      } else {
        append_json_string(out, int128_text(value));
      }
      return;
    }
    case TypeKind::kDecimal:
    case TypeKind::kVarchar:
    case TypeKind::kBlob:
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
    case TypeKind::kDate:
    case TypeKind::kUuid:
    case TypeKind::kInterval:
    case TypeKind::kTime:
      append_json_string(out, *value_text(column, row));
      return;
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      append_nested_json(out, column.type, column.as<StringRef>()[row].view());
      return;
  }
}

}  // namespace millrace
