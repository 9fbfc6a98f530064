// How much one client may publish a second: a bucket of one second's worth that is filled steadily.
// What is in excess is not refused: the client is not read until it is due. Thread: the
// connection's. Errors: none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace millrace::endpoint {

class MqttPace {
 public:
  using Clock = std::chrono::steady_clock;

  /// How long the next message has to wait; 0: it may come now.
  [[nodiscard]] Clock::duration wait(Clock::time_point now) const {
    return std::max(full_at_ - now - kBurst, Clock::duration(0));
  }
  /// A message that was taken. A rate of 0 is any. One that is larger than the bucket leaves a
  /// debt.
  void charge(Clock::time_point now, std::uint64_t amount, std::uint64_t per_second) {
    if (per_second == 0) return;
    const auto seconds = static_cast<double>(amount) / static_cast<double>(per_second);
    full_at_ = std::max(full_at_, now) +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

 private:
  static constexpr std::chrono::seconds kBurst{1};
  Clock::time_point full_at_{};  // when the bucket is full again
};

}  // namespace millrace::endpoint
