#include "format/json_text.h"

#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "model/value_text.h"

namespace millrace::format {

namespace {

template <class Float>
Float nearest(std::string_view token, const JsonNumber& number) {
  Float value = 0;
  const auto [end, code] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (code != std::errc::result_out_of_range) return value;
  // Too large and too small are told alike: the power of ten of the first digit tells them apart.
  const bool large =
      number.digits != 0 && number.exponent + static_cast<std::int64_t>(number.digits) > 0;
  value = large ? std::numeric_limits<Float>::infinity() : Float{0};
  return number.negative ? -value : value;
}

std::optional<std::uint32_t> hex4(std::string_view digits) {
  if (digits.size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const char c = digits[i];
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9')
      digit = static_cast<std::uint32_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
      digit = static_cast<std::uint32_t>(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
      digit = static_cast<std::uint32_t>(c - 'A' + 10);
    else
      return std::nullopt;
    value = value << 4 | digit;
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

/// Reads "uXXXX" or the pair "uXXXX\uXXXX" behind a backslash; nullopt where it is neither.
std::optional<std::uint32_t> take_unicode(std::string_view& rest) {
  auto code = hex4(rest.substr(1));
  if (!code || (*code >= 0xdc00 && *code < 0xe000)) return std::nullopt;
  rest.remove_prefix(5);
  if (*code < 0xd800 || *code >= 0xdc00) return code;
  if (!rest.starts_with("\\u")) return std::nullopt;
  const auto low = hex4(rest.substr(2));
  if (!low || *low < 0xdc00 || *low >= 0xe000) return std::nullopt;
  rest.remove_prefix(6);
  return 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
}

}  // namespace

double nearest_double(std::string_view token, const JsonNumber& number) {
  // Both factors are exact doubles, so the one rounding of the product is the right one (Clinger
  // 1990).
  static constexpr std::array<double, 23> kPowers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (number.is_exact_double()) {
    auto value = static_cast<double>(number.mantissa);
    if (number.exponent < 0) {
      value /= kPowers[static_cast<std::size_t>(-number.exponent)];
    } else {
      value *= kPowers[static_cast<std::size_t>(number.exponent)];
    }
    return number.negative ? -value : value;
  }
  return nearest<double>(token, number);
}

float nearest_float(std::string_view token, const JsonNumber& number) {
  return nearest<float>(token, number);
}

std::optional<__int128> exact_integer(std::string_view token, const JsonNumber& number) {
  if (number.plain && number.digits <= 18) {
    const auto value = static_cast<std::int64_t>(number.mantissa);
    return number.negative ? -value : value;
  }
  if (!number.plain || number.digits <= 38) return parse_decimal(token, 38, 0);
  if (number.digits > 39) return std::nullopt;
  __int128 value = 0;
  for (const char c : token) {
    if (c == '-') continue;
    const int digit = number.negative ? '0' - c : c - '0';
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) {
      return std::nullopt;
    }
  }
  return value;
}

bool unescape(std::string_view inside, std::string& out) {
  while (!inside.empty()) {
    const auto* slash = static_cast<const char*>(std::memchr(inside.data(), '\\', inside.size()));
    if (slash == nullptr) {
      out.append(inside);
      return true;
    }
    const auto before = static_cast<std::size_t>(slash - inside.data());
    out.append(inside.substr(0, before));
    inside.remove_prefix(before + 1);
    if (inside.empty()) return false;
    const char escape = inside.front();
    if (escape == 'u') {
      const auto code = take_unicode(inside);
      if (!code) return false;
      append_utf8(out, *code);
      continue;
    }
    inside.remove_prefix(1);
    switch (escape) {
      case '"':
      case '\\':
      case '/':
        out.push_back(escape);
        break;
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      default:
        return false;
    }
  }
  return true;
}

std::size_t first_bad_utf8(std::string_view text) {
  std::size_t i = 0;
  const auto byte = [&](std::size_t at) -> unsigned {
    return static_cast<unsigned char>(text[at]);
  };
  while (i < text.size()) {
    const unsigned first = byte(i);
    std::size_t more = 0;
    if (first >= 0x80) {
      if (first >= 0xc2 && first < 0xe0)
        more = 1;
      else if (first >= 0xe0 && first < 0xf0)
        more = 2;
      else if (first >= 0xf0 && first < 0xf5)
        more = 3;
      else
        return i;
    }
    for (std::size_t k = 1; k <= more; ++k) {
      if (i + k >= text.size() || (byte(i + k) & 0xc0) != 0x80) return i;
    }
    // Overlong forms, surrogates, and what lies behind U+10FFFF show in the second byte.
    if (more >= 2) {
      const unsigned second = byte(i + 1);
      if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
          (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90)) {
        return i;
      }
    }
    i += more + 1;
  }
  return text.size();
}

std::string shortened(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  std::size_t size = bytes_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return std::string(text.substr(0, size)) + "...";
}

}  // namespace millrace::format
