#include "endpoint/http_target.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>

namespace millrace::endpoint {
namespace {

int hex_digit(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

bool is_text(std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char letter) {
    return letter > 0 && static_cast<std::uint8_t>(letter) < 0x80;
  });
  return ascii || (text.find('\0') == std::string_view::npos &&
                   simdjson::validate_utf8(text.data(), text.size()));
}

// RFC 9112 section 3.2.2: a server must accept the absolute form, "http://host/path".
std::string_view without_authority(std::string_view target) {
  const std::size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos || target.front() == '/') return target;
  const std::size_t path = target.find_first_of("/?", scheme_end + 3);
  if (path == std::string_view::npos || target[path] == '?') return "/";
  return target.substr(path);
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_blank) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      if (at + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[at + 1]);
      const int low = hex_digit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      decoded += plus_is_blank && text[at] == '+' ? ' ' : text[at];
    }
  }
  if (!is_text(decoded)) return std::nullopt;
  return decoded;
}

std::optional<HttpTarget> parse_target(std::string_view target) {
  if (target.empty() || target.find('#') != std::string_view::npos) return std::nullopt;
  HttpTarget parsed;
  target = without_authority(target);
  const std::size_t question = target.find('?');
  parsed.raw_path = target.substr(0, question);
  if (parsed.raw_path != "*" && (parsed.raw_path.empty() || parsed.raw_path.front() != '/')) {
    return std::nullopt;
  }
  auto path = percent_decoded(parsed.raw_path);
  if (!path) return std::nullopt;
  parsed.path = std::move(*path);
  if (question == std::string_view::npos) return parsed;

  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decoded(pair.substr(0, equals), true);
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return std::nullopt;
    parsed.query.emplace_back(std::move(*name), std::move(*value));
  }
  return parsed;
}

}  // namespace millrace::endpoint
