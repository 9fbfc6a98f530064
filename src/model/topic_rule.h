// Which MQTT topics a stream takes, and which of their levels are values of columns:
// 'site/{site}/sensor/{sensor}/reading'. A level is a text, '+' (any one), '#' (all that is left,
// last) or a column in braces. Before the topic may stand how payloads are written:
// 'csv:site/{site}'. Pure. Errors: kInvalidArgument (kBadOption).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace {

struct TopicRule {
  enum class Kind : std::uint8_t { kText, kAny, kColumn, kRest };
  struct Level {
    Kind kind = Kind::kText;
    std::string text;  // or the column's name
  };
  std::vector<Level> levels;
  /// The Content-Type of payloads; empty: JSON.
  std::string content_type;

  static Result<TopicRule> parse(std::string_view text);
  /// As a subscription's filter: columns are '+'.
  [[nodiscard]] std::string filter() const;
  /// Whether there is a topic that both take.
  [[nodiscard]] bool overlaps(const TopicRule& other) const;
};

}  // namespace millrace
