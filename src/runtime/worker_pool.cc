#include "runtime/worker_pool.h"

#include "runtime/thread_priority.h"

namespace millrace::runtime {

WorkerPool::WorkerPool(const char* name, std::size_t threads, std::size_t queue_max)
    : name_(name), queue_max_(queue_max) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
}

WorkerPool::~WorkerPool() { close(); }

bool WorkerPool::post(std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (closed_ || queue_.size() >= queue_max_) return false;
  queue_.push_back(std::move(task));
  changed_.notify_one();
  return true;
}

void WorkerPool::close() {
  {
    const MutexLock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::loop() {
  name_thread(name_);
  for (;;) {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      while (queue_.empty() && !closed_) changed_.wait(mutex_);
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace millrace::runtime
