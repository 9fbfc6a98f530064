// What happens to persistent sessions and retained messages, as records of the broker's partition
// of the log: one record an event. The broker's durable state is what these events, in the order of
// the log, make of it; so nothing in them depends on who is connected or what time it is, but what
// they say themselves. Bytes: docs/internals/mqtt_events.md. Pure. Errors: decode_event() gives
// nothing where the bytes are no event of this version.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "broker/message.h"
#include "wire/mqtt.h"

namespace millrace::broker {

/// The offset of the event that made the session; those that are not persistent count from here.
using SessionId = std::uint64_t;
inline constexpr SessionId kFirstVolatileSession = std::uint64_t{1} << 63;
/// In a session's expiry: it never ends.
inline constexpr std::uint32_t kNeverExpires = 0xffff'ffff;

struct Will {
  std::shared_ptr<const Message> message;
  std::uint32_t delay_s = 0;
};

/// A client connected. Its session is made, or made anew, or goes on.
struct Opened {
  std::string client_id;
  bool clean = false;
  /// 0: it ends with the connection, and no restart brings it back.
  std::uint32_t expiry_s = 0;
  std::optional<Will> will;
};
struct Ended {
  SessionId session = 0;
};
struct SubscriptionOptions {
  wire::mqtt::QoS qos = wire::mqtt::QoS::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  std::uint32_t id = 0;  // 0: none
};
struct Subscribed {
  struct One {
    std::string filter;
    SubscriptionOptions options;
    /// Retained messages that were not expired at `at_ms` are sent.
    bool send_retained = false;
  };
  SessionId session = 0;
  std::int64_t at_ms = 0;
  std::vector<One> all;
};
struct Unsubscribed {
  SessionId session = 0;
  std::vector<std::string> filters;
};
/// A message to everyone who is subscribed at this place of the log, and to those of shared
/// subscriptions that were chosen before.
struct Published {
  struct Chosen {
    SessionId session = 0;
    SubscriptionOptions options;
  };
  std::shared_ptr<const Message> message;
  std::vector<Chosen> chosen;
  /// Not in the log: for those alone who are connected, and no session's queue.
  bool passing = false;
};
/// A PUBLISH of QoS 2 was taken; the same packet id is a repeat until it is released.
struct Received {
  SessionId session = 0;
  std::uint16_t packet_id = 0;
};
struct Released {
  SessionId session = 0;
  std::uint16_t packet_id = 0;
};
/// The client has these, by their sequence numbers in the session.
struct Acked {
  SessionId session = 0;
  std::vector<std::uint64_t> sequences;
};
/// The client has received these of QoS 2 (PUBREC): from here on only PUBREL is sent.
struct PubReceived {
  SessionId session = 0;
  std::vector<std::uint64_t> sequences;
};
struct Detached {
  SessionId session = 0;
  std::int64_t at_ms = 0;
  bool keeps_will = false;
  std::optional<std::uint32_t> expiry_s;
};
/// The session's will was published, or will not be.
struct WillDone {
  SessionId session = 0;
};

using Event = std::variant<Opened, Ended, Subscribed, Unsubscribed, Published, Received, Released,
                           Acked, PubReceived, Detached, WillDone>;

void encode_event(const Event& event, std::string& out);
[[nodiscard]] std::optional<Event> decode_event(std::string_view bytes);

}  // namespace millrace::broker
