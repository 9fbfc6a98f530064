// Which topics are streams' (CREATE STREAM … WITH (mqtt = 'site/{site}/reading')), and how a
// message becomes an event of its stream: one line of JSON, made of the topic's levels and the
// payload. So a read full of messages is one body for the decoder that everybody's events go
// through. Thread: any; the rules are a constant table, made anew when a stream changes. Errors:
// none here: what is no event goes on as it is and is refused by the decoder, with its reason, into
// the quarantine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/padded_bytes.h"
#include "broker/topic_tree.h"
#include "format/payload.h"
#include "model/topic_rule.h"
#include "speed/speed_layer.h"

namespace millrace::broker {

/// What a topic means for its stream.
struct StreamTopic {
  std::shared_ptr<speed::StreamState> stream;
  /// The levels that are columns: {"site":"a","sensor":7 — without a comma or bracket behind.
  std::string head;
  /// The only column that no level gives, if there is just one: a bare number is its value.
  std::string bare_column;
  /// What payloads are where the message does not say; none: JSON, or a bare value.
  std::optional<format::PayloadType> type = {};
  /// The levels again, for payloads that are not JSON.
  std::vector<format::BoundText> bound = {};

  /// How to decode a message on its own; none where it goes into a line with append_event(). A
  /// Content-Type that means nothing to a stream leaves it with the stream's.
  [[nodiscard]] std::optional<format::PayloadType> type_of(
      std::optional<std::string_view> content_type, std::string_view payload) const;

  /// Appends the message as one line of JSON, with its line break.
  void append_event(std::string_view payload, PaddedBytes& lines) const;
};

class StreamTopics {
 public:
  explicit StreamTopics(const speed::SpeedLayer& speed);
  /// Nothing where the topic is no stream's.
  [[nodiscard]] std::optional<StreamTopic> find(std::string_view topic) const;
  [[nodiscard]] bool empty() const { return rules_.size() == 0; }

 private:
  struct Rule {
    TopicRule topic;
    std::shared_ptr<speed::StreamState> stream;
  };
  mutable TopicTree<Rule> rules_;
};

/// The streams' topics as one thread knows them: what it looked up stays until a stream changes.
/// Thread: one.
class StreamTopicCache {
 public:
  explicit StreamTopicCache(const speed::SpeedLayer& speed) : speed_(speed) {}
  /// nullptr where the topic is no stream's. Good until the next call.
  [[nodiscard]] const StreamTopic* find(std::string_view topic);

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return XXH3_64bits(text.data(), text.size());
    }
  };
  const speed::SpeedLayer& speed_;
  std::uint64_t changes_ = 0;
  std::unique_ptr<StreamTopics> topics_;
  std::unordered_map<std::string, std::optional<StreamTopic>, TextHash, std::equal_to<>> known_;
};

}  // namespace millrace::broker
