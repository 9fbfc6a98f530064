// Keeps the tables of all deltas within a budget: beyond it the largest one becomes a sorted run on
// disk, which answers go on to be merged from. The batch layer, which takes deltas away, is asked
// for at a smaller size; this is for when it cannot come in time. Where the disk does not come in
// time either, tables grow to twice the budget, and then events wait. Owns: a thread. Borrows: the
// views, the scratch files. Errors: where a run cannot be written all stays in memory, is logged,
// and is tried again after a pause.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "base/mutex.h"
#include "speed/speed_layer.h"
#include "view/run_bytes.h"

namespace millrace::speed {

class DeltaSpiller {
 public:
  DeltaSpiller(const SpeedLayer& speed, view::RunScratch& scratch, std::uint64_t table_bytes_max);
  ~DeltaSpiller();
  DeltaSpiller(const DeltaSpiller&) = delete;
  DeltaSpiller& operator=(const DeltaSpiller&) = delete;

  /// Whether more events may go into the views; waits for that, but not for longer than `most`.
  /// Thread: that which applies events. Within the budget it costs nothing.
  [[nodiscard]] bool wait_for_room(std::chrono::milliseconds most);

  [[nodiscard]] std::uint64_t spills() const { return spills_.load(std::memory_order_relaxed); }

 private:
  void loop();
  /// False where there is nothing to do, or nothing can be done.
  Result<bool> spill_one();

  const SpeedLayer& speed_;
  view::RunScratch& scratch_;
  const std::uint64_t table_bytes_max_;
  std::atomic<bool> over_{false};  // the budget, when it was last looked at
  std::atomic<std::uint64_t> spills_{0};
  Mutex mutex_;
  CondVar wake_;
  CondVar spilled_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace::speed
