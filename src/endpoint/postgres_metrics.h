// What the PostgreSQL listener counts. Written by its threads, read by anybody (the /metrics page).
// Thread: any; each number is exact, a set of them is not a snapshot.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::endpoint {

struct PostgresMetrics {
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_open{0};
  /// Closed at once because there were too many.
  std::atomic<std::uint64_t> connections_refused{0};
  std::atomic<std::uint64_t> received_bytes{0};
  std::atomic<std::uint64_t> sent_bytes{0};
  std::atomic<std::uint64_t> statements{0};
  /// Statements that ended with an error.
  std::atomic<std::uint64_t> statement_errors{0};
  std::atomic<std::uint64_t> sent_rows{0};
  /// Messages against the protocol; each ends its connection.
  std::atomic<std::uint64_t> violations{0};
  std::atomic<std::uint64_t> not_authorized{0};
  std::atomic<std::uint64_t> timeouts{0};
  std::atomic<std::uint64_t> cancels{0};
  /// Of answers that their clients have not read yet.
  std::atomic<std::uint64_t> held_bytes{0};
};

}  // namespace millrace::endpoint
