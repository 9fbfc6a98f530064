// Names without regard to the case of ASCII letters, as SQL compares them. Independent of the
// locale.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace millrace {

[[nodiscard]] constexpr char lower_letter(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Whether two names are the same to SQL.
[[nodiscard]] inline bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b,
                            [](char x, char y) { return lower_letter(x) == lower_letter(y); });
}

[[nodiscard]] inline std::string lower_name(std::string_view name) {
  std::string out(name);
  std::ranges::transform(out, out.begin(), lower_letter);
  return out;
}

}  // namespace millrace
