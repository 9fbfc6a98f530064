#include "serving/state_scrub.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/clock.h"
#include "runtime/thread_priority.h"

namespace millrace::serving {

namespace {
/// Blocks are read without a pause until so much of one is due: a thread that sleeps for less only
/// costs.
constexpr std::int64_t kPauseUs = 20'000;
}  // namespace

StateScrub::StateScrub(const speed::SpeedLayer& speed, StateScrubOptions options,
                       std::function<void()> damaged)
    : speed_(speed), options_(options), damaged_(std::move(damaged)) {
  if (options_.interval_ms != 0) thread_ = std::thread([this] { loop(); });
}

StateScrub::~StateScrub() { stop(); }

void StateScrub::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

bool StateScrub::wait(std::uint64_t us) {
  const std::int64_t end = runtime::monotonic_us() + static_cast<std::int64_t>(us);
  const MutexLock lock(mutex_);
  while (!stopping_) {
    const std::int64_t left_us = end - runtime::monotonic_us();
    if (left_us <= 0) return true;
    wake_.wait_for(mutex_, std::chrono::microseconds(left_us));
  }
  return false;
}

void StateScrub::loop() {
  runtime::lower_thread_priority("scrub");
  while (wait(options_.interval_ms * 1000)) {
    const bool whole = round();
    rounds_.fetch_add(1, std::memory_order_relaxed);
    if (!whole) damaged_();
  }
}

bool StateScrub::round() {
  bool whole = true;
  bool go_on = true;
  for (const auto& view : speed_.views()) {
    for (const auto& run : view->runs()) {
      const double us_per_block = static_cast<double>(run->file_bytes()) * 1e6 /
                                  static_cast<double>(std::max<std::size_t>(1, run->blocks())) /
                                  static_cast<double>(options_.bytes_per_second_max);
      const std::int64_t started = runtime::monotonic_us();
      double due_us = 0;
      const auto status = run->verify([&] {
        const auto ahead = static_cast<std::int64_t>(due_us) - (runtime::monotonic_us() - started);
        due_us += us_per_block;
        go_on = wait(ahead < kPauseUs ? 0 : static_cast<std::uint64_t>(ahead));
        return go_on;
      });
      if (!go_on) return whole;
      if (status) continue;
      whole = false;
      spdlog::error("view {}: {}; a batch run makes it again from the lake", view->record().name,
                    status.error().message);
    }
  }
  return whole;
}

}  // namespace millrace::serving
