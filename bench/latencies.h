// How long each of many things took, and what share took at most how long.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace millrace::bench {

class Latencies {
 public:
  void add_us(double us) { us_.push_back(static_cast<float>(us)); }
  void add_all(const Latencies& other) {
    us_.insert(us_.end(), other.us_.begin(), other.us_.end());
  }
  [[nodiscard]] std::size_t count() const { return us_.size(); }
  /// In milliseconds; share 0.5 is the median. 0 where nothing was measured.
  [[nodiscard]] double ms(double share) const {
    if (us_.empty()) return 0;
    std::vector<float> sorted = us_;
    const auto rank = std::min(
        sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())));
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(rank),
                     sorted.end());
    return static_cast<double>(sorted[rank]) / 1000.0;
  }

 private:
  std::vector<float> us_;
};

}  // namespace millrace::bench
