// A few threads for work that blocks (SQL, large scans), so that I/O threads never do. Fair: owners
// of work take turns, whatever one of them has queued, and so do the clients of one owner, those
// with nothing else under way first; a client never has more than half of the threads, an owner
// never all of them. So who asks for little waits for a task to end, and not for all. Bounded:
// post() refuses when the queue is full, or its owner has most of it, and the caller tells its
// client so. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"

namespace millrace::runtime {

/// Whose work it is.
struct WorkShare {
  std::uint64_t owner = 0;   // a user, an address
  std::uint64_t client = 0;  // a connection
};

class WorkerPool {
 public:
  WorkerPool(const char* name, std::size_t threads, std::size_t queue_max);
  ~WorkerPool();

  /// False where the queue is full or the pool is closed; the task is not run then.
  [[nodiscard]] bool post(WorkShare share, std::function<void()> task);
  /// Runs what is queued, then ends the threads. Idempotent.
  void close();

 private:
  using Task = std::function<void()>;
  struct Client {
    std::deque<Task> waiting;
    std::size_t running = 0;
  };
  struct Owner {
    std::unordered_map<std::uint64_t, Client> clients;
    /// Those with waiting work; the next one first. Those who had none before go before the others.
    std::deque<std::uint64_t> fresh;
    std::deque<std::uint64_t> turns;
    std::size_t waiting = 0;
    std::size_t running = 0;
  };
  struct Taken {
    WorkShare share;
    Task task;  // empty: nothing may run now
  };

  void loop();
  Taken take() REQUIRES(mutex_);
  /// Nothing where none of them may have another thread.
  [[nodiscard]] std::optional<std::uint64_t> next_client(Owner& owner) const;
  void done(WorkShare share) REQUIRES(mutex_);

  const char* const name_;
  const std::size_t queue_max_;
  const std::size_t owner_queue_max_;
  const std::size_t owner_threads_max_;
  const std::size_t client_threads_max_;
  Mutex mutex_;
  CondVar changed_;
  /// Who has work that waits or runs.
  std::unordered_map<std::uint64_t, Owner> owners_ GUARDED_BY(mutex_);
  /// Those with waiting work; the next one first.
  std::deque<std::uint64_t> turns_ GUARDED_BY(mutex_);
  std::size_t waiting_ GUARDED_BY(mutex_) = 0;
  bool closed_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::runtime
