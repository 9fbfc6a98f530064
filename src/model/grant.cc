#include "model/grant.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/ascii_case.h"

namespace millrace {

namespace {
constexpr std::array<std::pair<Privilege, std::string_view>, 4> kNames = {
    {{Privilege::kPublish, "PUBLISH"},
     {Privilege::kSubscribe, "SUBSCRIBE"},
     {Privilege::kSelect, "SELECT"},
     {Privilege::kAdmin, "ADMIN"}}};
}  // namespace

std::string_view privilege_name(Privilege privilege) {
  for (const auto& [value, name] : kNames) {
    if (value == privilege) return name;
  }
  return {};
}

std::optional<Privilege> parse_privilege(std::string_view name) {
  for (const auto& [value, known] : kNames) {
    if (same_name(known, name)) return value;
  }
  return std::nullopt;
}

std::string Grant::text() const {
  const auto name = privilege_name(privilege);
  switch (target) {
    case GrantTarget::kAll:
      return privilege == Privilege::kAdmin ? std::string(name) : fmt::format("{} ON ALL", name);
    case GrantTarget::kRelation:
      return fmt::format("{} ON {}", name, object);
    case GrantTarget::kTopic:
      return fmt::format("{} ON TOPIC '{}'", name, object);
  }
  return {};
}

}  // namespace millrace
