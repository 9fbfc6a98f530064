// Some ranges of time that cover given spans: when there are too many, near ones become one. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace millrace::view {

class TimeRanges {
 public:
  struct Range {
    std::int64_t low;
    std::int64_t high;
  };
  /// Of a span that is the wrong way round, all between its ends.
  void add(std::int64_t low, std::int64_t high) {
    ranges_.push_back({std::min(low, high), std::max(low, high)});
    if (ranges_.size() >= kPending) settle();
  }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  /// Disjoint, in order, at most kRanges.
  std::span<const Range> all() {
    settle();
    return ranges_;
  }
  bool meet(std::int64_t low, std::int64_t high) {
    return std::ranges::any_of(
        all(), [&](const Range& range) { return range.low <= high && low <= range.high; });
  }

 private:
  static constexpr std::size_t kRanges = 64;
  static constexpr std::size_t kPending = 8192;

  void settle() {
    std::ranges::sort(ranges_, {}, &Range::low);
    join_within(0);
    // The narrowest gaps go first.
    while (ranges_.size() > kRanges) {
      std::vector<std::uint64_t> gaps;
      for (std::size_t i = 1; i < ranges_.size(); ++i)
        gaps.push_back(gap(ranges_[i - 1].high, ranges_[i].low));
      const auto nth = gaps.begin() + static_cast<std::ptrdiff_t>(ranges_.size() - kRanges - 1);
      std::ranges::nth_element(gaps, nth);
      join_within(*nth);
    }
  }
  static std::uint64_t gap(std::int64_t end, std::int64_t begin) {
    return begin <= end ? 0 : static_cast<std::uint64_t>(begin) - static_cast<std::uint64_t>(end);
  }
  /// Joins those that are at most so far from each other.
  void join_within(std::uint64_t distance) {
    std::size_t last = 0;
    for (std::size_t i = 1; i < ranges_.size(); ++i) {
      if (gap(ranges_[last].high, ranges_[i].low) <= distance) {
        ranges_[last].high = std::max(ranges_[last].high, ranges_[i].high);
      } else {
        ranges_[++last] = ranges_[i];
      }
    }
    if (!ranges_.empty()) ranges_.resize(last + 1);
  }

  std::vector<Range> ranges_;
};

}  // namespace millrace::view
