// Reads that wait until this server shows what their client has seen or written elsewhere. Whether
// it does is looked at every millisecond, by one thread that sleeps while nobody waits. Memory: a
// bounded number of reads. Thread: any. Errors: kDeadlineExceeded (kNotVisibleYet),
// kResourceExhausted (kBusy), kCancelled (kStopping), each given to the read.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "serving/position_token.h"
#include "speed/speed_layer.h"

namespace millrace::serving {

class PositionWait {
 public:
  explicit PositionWait(speed::SpeedLayer& speed) : speed_(speed) {}
  ~PositionWait();

  /// Called once, at once on the caller's thread where nothing lacks, else on this object's: it
  /// must not block.
  using Then = std::function<void(const Status&)>;
  /// Streams that are dropped meanwhile are not waited for.
  void wait(PositionToken wanted, std::int64_t timeout_ms, Then then) EXCLUDES(mutex_);
  /// Those who wait are told so. Idempotent.
  void stop() EXCLUDES(mutex_);

 private:
  struct Waiter {
    PositionToken wanted;
    std::int64_t until_us = 0;
    std::int64_t timeout_ms = 0;
    Then then;
  };
  [[nodiscard]] bool is_visible(const PositionToken& wanted) const;
  void loop() EXCLUDES(mutex_);

  speed::SpeedLayer& speed_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<Waiter> waiters_ GUARDED_BY(mutex_);
  std::thread thread_ GUARDED_BY(mutex_);  // from the first waiter on
};

}  // namespace millrace::serving
