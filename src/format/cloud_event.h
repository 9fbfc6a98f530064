// CloudEvents 1.0: what is an event's envelope, in its binary and its JSON form, becomes values
// bound to its record (payload.h), under the names of the attributes with "ce_" before them.
// Thread: one owner. Errors: a FieldFault.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/json_value.h"
#include "format/payload.h"

namespace millrace::format {

/// Source and id together name an event; this column has both, for streams that deduplicate.
inline constexpr std::string_view kCloudEventKeyColumn = "ce_key";

struct CloudAttribute {
  std::string name;  // "id", "source", "myextension"
  std::string value;
};

/// Checks the attributes of one event and gives the values of its columns.
[[nodiscard]] std::optional<std::vector<BoundText>> bind_attributes(
    std::span<const CloudAttribute> attributes, FieldFault& fault);

/// Of a header of the binary HTTP form: %41 is an A (HTTP binding 1.0.2, section 3.1.3.2).
[[nodiscard]] std::string decoded_attribute(std::string_view value);

struct CloudEvent {
  std::vector<BoundText> bound;
  PayloadType type;  // of the data
  std::string data;
};

/// Reads an event in the JSON form. `text` is as in JsonValueCheck::fields_of().
[[nodiscard]] std::optional<CloudEvent> read_cloud_event(JsonValueCheck& json,
                                                         std::string_view text, FieldFault& fault);

}  // namespace millrace::format
