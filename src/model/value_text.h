// Values as text, and text as dates and times: the one place that knows the calendar.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/type.h"

namespace millrace {

struct CivilDate {
  std::int64_t year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
};
/// Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms").
[[nodiscard]] std::int64_t days_from_civil(CivilDate date);
[[nodiscard]] CivilDate civil_from_days(std::int64_t days);

inline constexpr std::int64_t kMicrosPerDay = 86'400'000'000;

/// "2001-01-01"; the whole text must fit. Years 0001 to 9999.
[[nodiscard]] std::optional<std::int32_t> parse_date(std::string_view text);
/// "2001-01-01", "2001-01-01T00:00[:00[.123456]][Z|+hh[:mm]|-hh[:mm]]", 'T', 't' or one blank
/// between. An offset is taken off, so the result is UTC. More than 6 digits of a second are
/// refused unless they are 0.
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);
/// "00:00[:00[.123456]]" up to "24:00:00", as parse_timestamp() reads it behind the date; no
/// offset.
[[nodiscard]] std::optional<std::int64_t> parse_time(std::string_view text);
/// 36 characters with dashes, or 32 without, upper or lower case; the value has its top bit
/// flipped.
[[nodiscard]] std::optional<Int128> parse_uuid(std::string_view text);
/// A decimal number in any JSON form ("-12.50", "1e3") as value * 10^scale; nullopt where it does
/// not fit `width` digits or would have to be rounded.
[[nodiscard]] std::optional<Int128> parse_decimal(std::string_view text, std::uint8_t width,
                                                  std::uint8_t scale);

[[nodiscard]] std::string int128_text(Int128 value);
[[nodiscard]] std::string decimal_text(Int128 value, std::uint8_t scale);
[[nodiscard]] std::string date_text(std::int32_t days);
/// "2001-01-01 00:00:00[.123456]", with "+00" behind it for a TIMESTAMP WITH TIME ZONE.
[[nodiscard]] std::string timestamp_text(std::int64_t micros, bool with_zone);
/// "00:00:00[.123456]".
[[nodiscard]] std::string time_text(std::int64_t micros);
/// "1 year 2 months 3 days 04:05:06[.789]" with what is not 0, "00:00:00" where all is.
[[nodiscard]] std::string interval_text(const Interval& interval);
[[nodiscard]] std::string uuid_text(Int128 value);
/// The shortest text that reads back to the same bits: "0.1", "1e+300", "nan", "inf", "-inf",
/// "3.0".
[[nodiscard]] std::string double_text(double value);
[[nodiscard]] std::string float_text(float value);

}  // namespace millrace
