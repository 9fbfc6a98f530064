#include "wire/mqtt_topic.h"

#include <simdjson.h>

namespace millrace::wire::mqtt {
namespace {

constexpr std::string_view kShare = "$share/";

Violation malformed(std::string_view clause, std::string_view what) {
  return {.reason = ReasonCode::kMalformedPacket, .clause = clause, .what = what, .version = {}};
}

struct Scan {
  bool has_nul = false;
  bool has_wildcard = false;
  bool is_ascii = true;
};

/// One branchless pass, which the compiler turns into vector code.
Scan scan(std::string_view text) {
  unsigned nul = 0;
  unsigned wildcard = 0;
  unsigned bits = 0;
  for (const char c : text) {
    nul |= static_cast<unsigned>(c == '\0');
    wildcard |= static_cast<unsigned>(c == '+') | static_cast<unsigned>(c == '#');
    bits |= static_cast<unsigned char>(c);
  }
  return {.has_nul = nul != 0, .has_wildcard = wildcard != 0, .is_ascii = bits < 0x80};
}

std::optional<Violation> check_scanned(std::string_view text, const Scan& seen, Version version) {
  const bool v5 = version == Version::k5;
  if (text.size() > 0xffff) return malformed("[MQTT-4.7.3-3]", "a text of more than 65,535 bytes");
  if (!seen.is_ascii && !simdjson::validate_utf8(text.data(), text.size()))
    return malformed(v5 ? "[MQTT-1.5.4-1]" : "[MQTT-1.5.3-1]", "a text that is not valid UTF-8");
  if (seen.has_nul)
    return malformed(v5 ? "[MQTT-1.5.4-2]" : "[MQTT-1.5.3-2]", "a text that contains U+0000");
  return std::nullopt;
}

std::optional<Violation> check_levels(std::string_view filter, Version version) {
  const bool v5 = version == Version::k5;
  for (std::size_t start = 0;;) {
    const std::size_t slash = filter.find('/', start);
    const bool last = slash == std::string_view::npos;
    const std::string_view level = filter.substr(start, last ? slash : slash - start);
    if (level.find('#') != std::string_view::npos && (level.size() != 1 || !last))
      return malformed(v5 ? "[MQTT-4.7.1-1]" : "[MQTT-4.7.1-2]",
                       "a topic filter with '#' not alone in the last level");
    if (level.find('+') != std::string_view::npos && level.size() != 1)
      return malformed(v5 ? "[MQTT-4.7.1-2]" : "[MQTT-4.7.1-3]",
                       "a topic filter with '+' not alone in its level");
    if (last) return std::nullopt;
    start = slash + 1;
  }
}

}  // namespace

std::optional<Violation> check_text(std::string_view text, Version version) {
  return check_scanned(text, scan(text), version);
}

std::optional<Violation> check_topic_name(std::string_view name, Version version) {
  if (name.empty()) return malformed("[MQTT-4.7.3-1]", "an empty topic name");
  const Scan seen = scan(name);
  if (auto bad = check_scanned(name, seen, version)) return bad;
  if (seen.has_wildcard) return malformed("[MQTT-3.3.2-2]", "a topic name with a wildcard");
  return std::nullopt;
}

std::optional<Violation> check_topic_filter(std::string_view filter, Version version) {
  if (filter.empty()) return malformed("[MQTT-4.7.3-1]", "an empty topic filter");
  const Scan seen = scan(filter);
  if (auto bad = check_scanned(filter, seen, version)) return bad;
  if (!filter.starts_with(kShare))
    return seen.has_wildcard ? check_levels(filter, version) : std::nullopt;
  const std::string_view rest = filter.substr(kShare.size());
  const std::size_t slash = rest.find('/');
  const std::string_view group = rest.substr(0, slash);
  if (group.empty()) return malformed("[MQTT-4.8.2-1]", "a shared subscription without a name");
  if (group.find_first_of("+#") != std::string_view::npos)
    return malformed("[MQTT-4.8.2-2]", "a shared subscription with a wildcard in its name");
  if (slash == std::string_view::npos || slash + 1 == rest.size())
    return malformed("[MQTT-4.8.2-2]", "a shared subscription without a topic filter");
  return check_levels(rest.substr(slash + 1), version);
}

std::optional<SharedFilter> shared_filter(std::string_view filter) {
  if (!filter.starts_with(kShare)) return std::nullopt;
  const std::string_view rest = filter.substr(kShare.size());
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return SharedFilter{.group = rest.substr(0, slash), .filter = rest.substr(slash + 1)};
}

}  // namespace millrace::wire::mqtt
