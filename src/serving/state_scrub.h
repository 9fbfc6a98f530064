// Reads what views answer from, block by block, so that a damaged one is found while the lake still
// has what it was made of, and not when somebody asks for it. Goes slowly: it takes turns with all
// else that reads the disk. Owns: a thread. Borrows: the views. Errors: a run that cannot be read
// is logged, with its file and offset; behind a round that found one `damaged` is called, which is
// to have the generations made again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "base/mutex.h"
#include "speed/speed_layer.h"

namespace millrace::serving {

struct StateScrubOptions {
  std::uint64_t interval_ms = 86'400'000;  // between two rounds; 0: none are made
  std::uint64_t bytes_per_second_max = std::uint64_t{32} << 20;
};

class StateScrub {
 public:
  StateScrub(const speed::SpeedLayer& speed, StateScrubOptions options,
             std::function<void()> damaged);
  ~StateScrub();
  StateScrub(const StateScrub&) = delete;
  StateScrub& operator=(const StateScrub&) = delete;

  void stop();
  [[nodiscard]] std::uint64_t rounds() const { return rounds_.load(std::memory_order_relaxed); }

 private:
  void loop();
  /// True where all could be read.
  bool round();
  /// False when the thread is to end.
  bool wait(std::uint64_t us);

  const speed::SpeedLayer& speed_;
  const StateScrubOptions options_;
  const std::function<void()> damaged_;
  std::atomic<std::uint64_t> rounds_{0};
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace::serving
