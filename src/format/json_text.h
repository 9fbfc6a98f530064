// The small grammar of JSON that lies inside one token: numbers and strings (RFC 8259 sections 6
// and 7). Pure functions over a token's bytes; any thread; a wrong token is a false or nullopt,
// never more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::format {

/// A number as it is written: (-1)^negative * mantissa * 10^exponent, exact while digits <= 19.
struct JsonNumber {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;
  std::uint32_t digits = 0;  // of the mantissa, leading zeros not counted
  bool negative = false;
  bool plain = true;  // neither fraction nor exponent

  /// The double is mantissa * 10^exponent with both factors exact doubles.
  [[nodiscard]] bool is_exact_double() const {
    return digits <= 19 && mantissa <= std::uint64_t{1} << 53 && exponent >= -22 && exponent <= 22;
  }
};

/// False where `token` is not a JSON number.
[[nodiscard]] inline bool scan_number(std::string_view token, JsonNumber& number) {
  const char* at = token.data();
  const char* const end = at + token.size();
  const auto is_digit = [](char c) { return static_cast<unsigned char>(c - '0') < 10; };
  number = {};
  if (at != end && *at == '-') {
    number.negative = true;
    ++at;
  }
  if (at == end || !is_digit(*at)) return false;
  const auto take_digits = [&] {
    const char* first = at;
    while (at != end && is_digit(*at)) {
      if (number.digits < 19)
        number.mantissa = number.mantissa * 10 + static_cast<unsigned char>(*at - '0');
      if (number.digits != 0 || *at != '0') ++number.digits;
      ++at;
    }
    return at - first;
  };
  if (*at == '0') {
    ++at;
  } else {
    take_digits();
  }
  if (at == end) return true;
  number.plain = false;
  if (*at == '.') {
    ++at;
    const auto fraction = take_digits();
    if (fraction == 0) return false;
    number.exponent = -fraction;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    bool down = false;
    if (at != end && (*at == '+' || *at == '-')) down = *at++ == '-';
    if (at == end || !is_digit(*at)) return false;
    std::int64_t power = 0;
    while (at != end && is_digit(*at)) {
      // Far behind every range that a type has; more digits change nothing.
      if (power < 1'000'000'000) power = power * 10 + (*at - '0');
      ++at;
    }
    number.exponent += down ? -power : power;
  }
  return at == end;
}

/// The nearest number, infinite where the token is beyond the range. `token` is what scan_number
/// accepted.
[[nodiscard]] double nearest_double(std::string_view token, const JsonNumber& number);
[[nodiscard]] float nearest_float(std::string_view token, const JsonNumber& number);
/// The integer that the token stands for exactly ("1e3" is 1000); nullopt where there is none in
/// 128 bits.
[[nodiscard]] std::optional<__int128> exact_integer(std::string_view token,
                                                    const JsonNumber& number);

/// Appends the text of a string, given without its quotes. False where an escape is none of JSON's,
/// or a surrogate has no partner (what RFC 8259 section 8.2 leaves open is refused here).
[[nodiscard]] bool unescape(std::string_view inside, std::string& out);

/// The first byte that is not UTF-8 (RFC 3629), or the size.
[[nodiscard]] std::size_t first_bad_utf8(std::string_view text);
/// `text` cut to `bytes_max` at the border of a character, with "..." behind it where something was
/// cut.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t bytes_max);

}  // namespace millrace::format
