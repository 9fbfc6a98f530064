// What the HTTP server counts. Written by the I/O threads, read by anybody (the /metrics page).
// Thread: any; each number is exact, a set of them is not a snapshot.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace millrace::endpoint {

struct HttpMetrics {
  /// Answers by the first digit of their status: [2] is 2xx.
  std::array<std::atomic<std::uint64_t>, 6> answers_by_class{};
  std::atomic<std::uint64_t> received_bytes{0};
  std::atomic<std::uint64_t> sent_bytes{0};
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_open{0};
  /// Connections closed with 503 because there were too many.
  std::atomic<std::uint64_t> connections_refused{0};
  /// Requests refused because all bodies together were too large (429).
  std::atomic<std::uint64_t> requests_over_budget{0};
  /// Requests refused because their address had sent too many (429).
  std::atomic<std::uint64_t> requests_limited{0};
  /// Answers without an end, and upgraded connections.
  std::atomic<std::uint64_t> streams_open{0};
  /// Connections closed because a phase took too long.
  std::atomic<std::uint64_t> timeouts{0};
  /// Bytes of request bodies that are received or not yet answered.
  std::atomic<std::uint64_t> body_bytes_in_flight{0};
};

}  // namespace millrace::endpoint
