// Sends bodies of events over several connections at once and measures what comes back.
// Owns: its threads. Thread: push() and finish() on one, figures() on any.
// Errors: the first that any connection met ends all of them; push() gives it.
// Bound: kBodiesMax bodies wait, then push() waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "cli/api_client.h"

namespace millrace::cli {

struct ReplayOptions {
  std::string server;
  std::string stream;
  std::string probed_view;  // asked for its coverage from time to time
  std::uint32_t connections = 3;
};

struct ReplayFigures {
  std::uint64_t events = 0;  // acknowledged
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;  // asked to come again later
  /// From the start of a POST until an answer of the view was seen that covers its events; the
  /// newest, and the worst, in milliseconds; negative before the first.
  double freshness_ms = -1;
  double freshness_worst_ms = -1;
  std::uint64_t generation = 0;
  std::uint64_t cut_events = 0;  // before the cut of that generation
};

class Replay {
 public:
  explicit Replay(ReplayOptions options);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  Status push(std::string body, std::uint64_t rows);
  /// Waits until everything is acknowledged.
  Status finish();
  [[nodiscard]] ReplayFigures figures() const;

 private:
  static constexpr std::size_t kBodiesMax = 16;
  struct Body {
    std::string text;
    std::uint64_t rows = 0;
  };

  void send_bodies(bool probes);
  Status send(client::HttpClient& http, const Body& body, std::string& position);
  Status probe(client::HttpClient& http, const std::string& position, std::int64_t posted_us);
  std::optional<Body> next_body();
  void stop_with(Error error);

  const ReplayOptions options_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Body> bodies_ GUARDED_BY(mutex_);
  std::uint32_t under_way_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::optional<Error> error_ GUARDED_BY(mutex_);
  ReplayFigures figures_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace millrace::cli
