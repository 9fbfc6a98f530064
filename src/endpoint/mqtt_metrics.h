// What the MQTT listener counts. Written by the I/O threads, read by anybody (the /metrics page).
// Thread: any; each number is exact, a set of them is not a snapshot.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::endpoint {

struct MqttMetrics {
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_open{0};
  /// Closed at once because there were too many.
  std::atomic<std::uint64_t> connections_refused{0};
  std::atomic<std::uint64_t> received_bytes{0};
  std::atomic<std::uint64_t> sent_bytes{0};
  std::atomic<std::uint64_t> received_packets{0};
  std::atomic<std::uint64_t> sent_messages{0};
  /// Packets against the specification; each ends its connection.
  std::atomic<std::uint64_t> violations{0};
  std::atomic<std::uint64_t> not_authorized{0};
  std::atomic<std::uint64_t> timeouts{0};
  /// Times that a client was not read because it published faster than it may.
  std::atomic<std::uint64_t> paced{0};
  std::atomic<std::uint64_t> bytes_in_flight{0};
};

}  // namespace millrace::endpoint
