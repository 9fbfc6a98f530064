// Packets written by hand in the tests of the MQTT codec: "10 02 'MQTT' 04" is hexadecimal bytes
// and quoted text; blanks mean nothing.
#pragma once

#include <string>
#include <string_view>

#include "base/check.h"

namespace millrace::wire::mqtt {

inline std::string hex(std::string_view source) {
  const auto digit = [](char c) {
    const std::size_t at = std::string_view("0123456789abcdef").find(c);
    MR_CHECK(at != std::string_view::npos, "'{}' is no hexadecimal digit", c);
    return static_cast<int>(at);
  };
  std::string out;
  for (std::size_t i = 0; i < source.size();) {
    if (source[i] == ' ') {
      ++i;
    } else if (source[i] == '\'') {
      const std::size_t end = source.find('\'', i + 1);
      out += source.substr(i + 1, end - i - 1);
      i = end + 1;
    } else {
      out.push_back(static_cast<char>(digit(source[i]) << 4 | digit(source[i + 1])));
      i += 2;
    }
  }
  return out;
}

}  // namespace millrace::wire::mqtt
