#include "speed/delta_spiller.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "runtime/thread_priority.h"

namespace millrace::speed {

namespace {
constexpr std::chrono::milliseconds kPause{20};
constexpr std::chrono::milliseconds kPauseAfterFailure{1000};
}  // namespace

DeltaSpiller::DeltaSpiller(const SpeedLayer& speed, view::RunScratch& scratch,
                           std::uint64_t table_bytes_max)
    : speed_(speed),
      scratch_(scratch),
      table_bytes_max_(table_bytes_max),
      thread_([this] { loop(); }) {}

DeltaSpiller::~DeltaSpiller() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

void DeltaSpiller::loop() {
  runtime::name_thread("spill");
  auto pause = kPause;
  for (;;) {
    {
      const MutexLock lock(mutex_);
      if (!stopping_) wake_.wait_for(mutex_, pause);
      if (stopping_) return;
    }
    const auto spilled = spill_one();
    {
      const MutexLock lock(mutex_);
      spilled_.notify_all();
    }
    pause = kPause;
    if (!spilled) {
      spdlog::warn("a delta stays in memory: {}", spilled.error().message);
      pause = kPauseAfterFailure;
    } else if (*spilled) {
      spills_.fetch_add(1, std::memory_order_relaxed);
      pause = std::chrono::milliseconds(0);
    }
  }
}

bool DeltaSpiller::wait_for_room(std::chrono::milliseconds most) {
  if (!over_.load(std::memory_order_relaxed)) return true;
  const auto has_room = [&] { return speed_.delta_bytes() / 2 <= table_bytes_max_; };
  if (has_room()) return true;
  {
    const MutexLock lock(mutex_);
    spilled_.wait_for(mutex_, most);
  }
  return has_room();
}

Result<bool> DeltaSpiller::spill_one() {
  std::vector<std::pair<std::size_t, std::shared_ptr<ViewState>>> views;
  std::uint64_t sum = 0;
  for (auto& view : speed_.views()) {
    const std::size_t bytes = view->delta_bytes();
    sum += bytes;
    views.emplace_back(bytes, std::move(view));
  }
  over_.store(sum > table_bytes_max_, std::memory_order_relaxed);
  if (sum <= table_bytes_max_) return false;
  std::ranges::sort(views, std::greater<>(), [](const auto& one) { return one.first; });
  for (const auto& [bytes, view] : views) {
    MR_TRY(const bool spilled, view->spill(scratch_));
    if (spilled) return true;
  }
  return false;
}

}  // namespace millrace::speed
