// A few threads for work that blocks (SQL, large scans), so that I/O threads never do.
// Bounded: post() refuses when the queue is full, and the caller tells its client so.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace millrace::runtime {

class WorkerPool {
 public:
  WorkerPool(const char* name, std::size_t threads, std::size_t queue_max);
  ~WorkerPool();

  /// False where the queue is full or the pool is closed; the task is not run then.
  [[nodiscard]] bool post(std::function<void()> task);
  /// Runs what is queued, then ends the threads. Idempotent.
  void close();

 private:
  void loop();

  const char* const name_;
  const std::size_t queue_max_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> queue_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace::runtime
