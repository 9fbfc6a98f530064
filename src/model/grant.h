// What a user may do, and with what: the values behind GRANT. Thread: any, values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

enum class Privilege : std::uint8_t {
  kPublish,    // put events into a stream, messages into a topic
  kSubscribe,  // get changes of a view, events of a stream, messages of a topic, as they come
  kSelect,     // read a view, a stream, a table
  kAdmin,      // everything, also what changes what exists
};

/// "PUBLISH", ...
[[nodiscard]] std::string_view privilege_name(Privilege privilege);
[[nodiscard]] std::optional<Privilege> parse_privilege(std::string_view name);

enum class GrantTarget : std::uint8_t {
  kAll,       // every stream, view, table and topic
  kRelation,  // a stream, view or table, by its name in lower case, which it need not have yet
  kTopic,     // MQTT topics, by a topic filter
};

struct Grant {
  Privilege privilege = Privilege::kSelect;
  GrantTarget target = GrantTarget::kAll;
  std::string object = {};  // empty for kAll

  bool operator==(const Grant&) const = default;
  /// "SELECT ON trips", "PUBLISH ON TOPIC 'site/#'", "ADMIN"
  [[nodiscard]] std::string text() const;
};

}  // namespace millrace
