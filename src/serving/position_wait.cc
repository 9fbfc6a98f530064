#include "serving/position_wait.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "runtime/clock.h"
#include "runtime/thread_priority.h"

namespace millrace::serving {

namespace {

constexpr std::size_t kWaitersMax = 4096;
constexpr std::chrono::milliseconds kPause{1};

std::unexpected<Error> too_late(std::int64_t timeout_ms) {
  return std::unexpected(Error{
      .code = ErrorCode::kDeadlineExceeded,
      .id = std::string(error_id::kNotVisibleYet),
      .message = fmt::format("what at_least asks for was not visible within {} ms", timeout_ms),
      .hint = "ask again, or with a larger timeout_ms",
      .place = {}});
}

std::unexpected<Error> stopped() {
  return fail(ErrorCode::kCancelled, error_id::kStopping, "the server is stopping");
}

}  // namespace

PositionWait::~PositionWait() { stop(); }

bool PositionWait::is_visible(const PositionToken& wanted) const {
  return std::ranges::all_of(wanted.streams, [&](const auto& one) {
    const auto stream = speed_.stream(one.first);
    return stream == nullptr || stream->applied().covers(one.second);
  });
}

void PositionWait::wait(PositionToken wanted, std::int64_t timeout_ms, Then then) {
  if (is_visible(wanted)) {
    then({});
    return;
  }
  Status refused = too_late(timeout_ms);
  if (timeout_ms != 0) {
    const MutexLock lock(mutex_);
    if (stopping_) {
      refused = stopped();
    } else if (waiters_.size() == kWaitersMax) {
      refused = fail(ErrorCode::kResourceExhausted, error_id::kBusy,
                     "{} reads wait for a position already", kWaitersMax);
    } else {
      waiters_.push_back({.wanted = std::move(wanted),
                          .until_us = runtime::monotonic_us() + timeout_ms * 1000,
                          .timeout_ms = timeout_ms,
                          .then = std::move(then)});
      if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
      changed_.notify_all();
      return;
    }
  }
  then(refused);
}

void PositionWait::stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

void PositionWait::loop() {
  runtime::name_thread("position");
  for (;;) {
    std::vector<std::pair<Then, Status>> over;
    bool stopping = false;
    {
      const MutexLock lock(mutex_);
      while (waiters_.empty() && !stopping_) changed_.wait(mutex_);
      stopping = stopping_;
      const std::int64_t now_us = runtime::monotonic_us();
      std::erase_if(waiters_, [&](Waiter& waiter) {
        Status status;
        if (stopping) {
          status = stopped();
        } else if (!is_visible(waiter.wanted)) {
          if (now_us < waiter.until_us) return false;
          status = too_late(waiter.timeout_ms);
        }
        over.emplace_back(std::move(waiter.then), std::move(status));
        return true;
      });
      if (over.empty() && !stopping) changed_.wait_for(mutex_, kPause);
    }
    for (auto& [then, status] : over) then(status);
    if (stopping) return;
  }
}

}  // namespace millrace::serving
