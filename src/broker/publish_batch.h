// What clients publish, from packets to log groups: a stream's messages become lines for ingest,
// the others events of the broker; both together where a topic is a stream's and somebody's.
// Thread: the connection's; answers come on the apply thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/padded_bytes.h"
#include "broker/broker.h"
#include "broker/stream_topics.h"

namespace millrace::broker {

/// Of a message that gets no answer (QoS 0).
inline constexpr std::uint64_t kNoSlot = ~std::uint64_t{0};

/// The messages of one read of one connection on their way: those of a stream are one request to
/// ingest, those that must survive one group of events. Thread: the connection's.
class PublishBatch {
 public:
  struct Answer {
    std::uint64_t slot = 0;
    wire::mqtt::ReasonCode reason = wire::mqtt::ReasonCode::kSuccess;
  };
  /// On the apply thread, or at once where nothing could be appended: then an error for all of the
  /// slots that it names.
  using Done = std::function<void(std::vector<Answer> answers, std::optional<Error> error)>;

  PublishBatch(Broker& broker, StreamTopicCache& topics, Done done)
      : broker_(broker), topics_(topics), done_(std::move(done)) {}

  enum class Outcome : std::uint8_t { kAnswered, kPending, kFull };
  struct Added {
    Outcome outcome = Outcome::kPending;
    wire::mqtt::ReasonCode reason = wire::mqtt::ReasonCode::kSuccess;
  };
  /// Takes one message. kAnswered: it is done with, and this is the answer. kFull: a subscriber has
  /// no room; nothing was taken.
  Added add(const std::shared_ptr<Session>& session, const wire::mqtt::Publish& publish,
            std::uint64_t slot, std::int64_t now_ms);
  /// A message that is an event of this topic's stream and nothing else, wherever it came from.
  void add_event(const StreamTopic& topic, const wire::mqtt::Publish& publish, std::uint64_t slot);
  /// A message of the server's own, and events of the same commit.
  void add_own(const std::shared_ptr<const Message>& message, std::vector<Event> with);
  /// Hands over what was taken.
  void flush();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Part {
    std::shared_ptr<speed::StreamState> stream;  // null: no stream's
    PaddedBytes lines;
    /// A message on its own, which is not JSON, and what its topic says.
    std::optional<format::PayloadType> type = {};
    std::vector<format::BoundText> bound = {};
    std::vector<std::uint64_t> slots;  // of the lines; or of the events' messages
    std::vector<std::pair<std::shared_ptr<Session>, std::uint16_t>> received;
    std::vector<Event> events;
  };
  Part& part_of(const std::shared_ptr<speed::StreamState>& stream);
  /// Puts an event of the topic's stream where it goes; null: no stream's.
  Part& part_for(const StreamTopic* topic, std::optional<std::string_view> content_type,
                 std::string_view payload);
  void send(Part part);

  Broker& broker_;
  StreamTopicCache& topics_;
  const Done done_;
  std::vector<Part> parts_;
  std::uint64_t bytes_ = 0;
};

}  // namespace millrace::broker
