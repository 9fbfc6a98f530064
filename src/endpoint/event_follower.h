// A client that reads a stream's events: a page is read on the pool when the one before has left,
// and where the client follows, as soon as there is something new. EventPages looks after all of
// them: it knows who waits for new events. Threads: the pool's for reading, the connection's for
// what an HttpStreamSource is told, one of its own that looks for new events. Errors: end the
// answer, as an event or as the last line.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "endpoint/http_stream.h"
#include "runtime/worker_pool.h"
#include "serving/event_reader.h"
#include "speed/speed_layer.h"

namespace millrace::endpoint {

struct EventRequest {
  std::shared_ptr<speed::StreamState> stream;
  Position from;
  std::uint64_t limit = 0;  // events; 0: all
  bool follow = false;
  bool server_sent = false;  // Server-Sent Events instead of JSON Lines
  runtime::WorkShare share = {};
  /// Asked for each page and about once a second: an error ends the answer.
  std::function<Status()> allowed = {};
};

class EventPages;

class EventFollower : public HttpStreamSource, public std::enable_shared_from_this<EventFollower> {
 public:
  EventFollower(EventPages& pages, EventRequest request, HttpStreamWriter writer);

  void drained() override;
  void heartbeat() override;
  void closed() override { gone_ = true; }

 private:
  friend class EventPages;
  enum class State : std::uint8_t { kReady, kReading, kSending, kWaiting };
  /// Reads and writes a page. On the pool.
  void step();
  void give(const serving::EventPage& page, bool last);
  void give_error(const Error& error);
  [[nodiscard]] bool has_news() const;

  EventPages& pages_;
  const EventRequest request_;
  const HttpStreamWriter writer_;
  std::atomic<State> state_{State::kReady};
  std::atomic<bool> gone_{false};
  Mutex writing_;
  // Of the one step that runs.
  Position position_;
  Position stop_;
  std::uint64_t given_ = 0;
  std::uint64_t page_rows_ = 64;
};

class EventPages {
 public:
  /// The pool is closed before this object goes.
  EventPages(serving::EventReader& reader, speed::SpeedLayer& speed, runtime::WorkerPool& pool);
  ~EventPages();
  EventPages(const EventPages&) = delete;
  EventPages& operator=(const EventPages&) = delete;

  void add(const std::shared_ptr<EventFollower>& follower) EXCLUDES(mutex_);

 private:
  friend class EventFollower;
  void loop();
  /// Has the next page read if it is time; with `look_anyway`, also where nothing is new.
  void wake(EventFollower& follower, bool look_anyway = false);

  serving::EventReader& reader_;
  speed::SpeedLayer& speed_;
  runtime::WorkerPool& pool_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<EventFollower>> followers_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace millrace::endpoint
