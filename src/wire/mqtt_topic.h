// Text, topic names and topic filters of MQTT: what is allowed (MQTT 5 1.5.4, 4.7, 4.8.2;
// MQTT 3.1.1 1.5.3, 4.7), and the parts of a shared subscription's filter. Pure. Each check gives
// the first rule that is broken, by clause.
#pragma once

#include <optional>
#include <string_view>

#include "wire/mqtt_reason.h"

namespace millrace::wire::mqtt {

/// Well-formed UTF-8 (no overlong form, no surrogate) without U+0000, at most 65,535 bytes.
[[nodiscard]] std::optional<Violation> check_text(std::string_view text, Version version);
/// Text, not empty, without wildcards. Leading "$" and empty levels are allowed.
[[nodiscard]] std::optional<Violation> check_topic_name(std::string_view name, Version version);
/// Text, not empty, "+" and "#" each as a whole level, "#" last. "$share/..." is taken apart in
/// version 5, where the group must not be empty and has no wildcard; before that it is a plain
/// filter in the specification, but every broker reads it as shared, and so does this.
[[nodiscard]] std::optional<Violation> check_topic_filter(std::string_view filter, Version version);

struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
/// The parts of "$share/group/filter"; none if the (checked) filter is not shared.
[[nodiscard]] std::optional<SharedFilter> shared_filter(std::string_view filter);

}  // namespace millrace::wire::mqtt
