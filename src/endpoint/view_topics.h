// Views as MQTT topics: views/<view>/<key>/<key>..., the columns of the view's key in their order.
// How a value becomes a level of a topic and back (docs/reference/mqtt.md), and which keys of which
// views a topic filter can match. Pure. Errors: none: a filter that no topic of a view has matches
// nothing. Invariant: different keys of a view have different topics, and each topic is legal (MQTT
// 5, 4.7.3): at most 65,535 bytes, no U+0000, no '+' and '#'.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/change_feed.h"

namespace millrace::endpoint {

inline constexpr std::string_view kViewTopics = "views/";

/// A text as one level: '/', '+', '#', '%', control characters and bytes that are no UTF-8 as %XX,
/// the empty text as "%empty". What would be longer than `bytes_max` is its hash instead.
void append_topic_level(std::string& topic, std::string_view text, std::size_t bytes_max);
inline constexpr std::string_view kNullLevel = "%null";
/// The text of such a level. None where it is NULL, or a hash, or nothing that the above makes.
[[nodiscard]] std::optional<std::string> text_of_topic_level(std::string_view level);

/// "views/trips_by_city"
[[nodiscard]] std::string topic_of_view(std::string_view view);
/// Appends the levels of key `row`.
void append_key_levels(std::string& topic, std::span<const ColumnView> key, std::size_t row);

/// What a topic filter means for views.
struct ViewFilter {
  /// Nothing but rows of views can match.
  bool only_views = false;
  /// Of this view alone; none: of any.
  std::optional<std::string> view;
  /// The levels of the key that the filter names; none: any value.
  std::vector<std::optional<std::string>> key;
  /// It ends in '#'.
  bool open_end = false;

  /// None where no topic of a view can match.
  [[nodiscard]] static std::optional<ViewFilter> parse(std::string_view filter);
  /// The conditions under which the feed need not look at the whole view; none where no key of such
  /// a view matches. What the feed then gives is still to be compared with the filter.
  [[nodiscard]] std::optional<std::vector<serving::ViewRequest::Equal>> conditions(
      const speed::ViewState& state) const;
};

/// The rows of one batch as messages, made once for all who get the batch.
struct ViewMessages {
  struct One {
    std::uint32_t topic_end = 0;
    std::uint32_t payload_end = 0;
  };
  std::shared_ptr<const serving::FeedBatch> batch;
  std::string bytes;  // topic and payload of each message
  std::vector<One> all;

  [[nodiscard]] std::string_view topic(std::size_t i) const {
    const std::uint32_t begin = i == 0 ? 0 : all[i - 1].payload_end;
    return std::string_view(bytes).substr(begin, all[i].topic_end - begin);
  }
  /// Empty where the key has no row any more.
  [[nodiscard]] std::string_view payload(std::size_t i) const {
    return std::string_view(bytes).substr(all[i].topic_end, all[i].payload_end - all[i].topic_end);
  }
  [[nodiscard]] static std::shared_ptr<const ViewMessages> of(
      const std::shared_ptr<const serving::FeedBatch>& batch);
};

}  // namespace millrace::endpoint
