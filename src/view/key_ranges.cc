#include "view/key_ranges.h"

#include <algorithm>

namespace millrace::view {

namespace {

/// Of two ends the one that is further; an empty one is none.
bool ends_before(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return !a.empty();
  return a < b;
}

}  // namespace

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

KeyRanges::KeyRanges(std::vector<KeyRange> ranges) {
  std::erase_if(
      ranges, [](const KeyRange& range) { return !range.end.empty() && range.end <= range.begin; });
  std::ranges::sort(ranges, {}, &KeyRange::begin);
  for (auto& range : ranges) {
    if (!ranges_.empty()) {
      auto& last = ranges_.back();
      if (last.begin == range.begin && last.end == range.end) {
        last.point = last.point || range.point;
        continue;
      }
      if (last.end.empty() || range.begin < last.end) {
        if (ends_before(last.end, range.end)) last.end = std::move(range.end);
        last.point = false;
        continue;
      }
    }
    ranges_.push_back(std::move(range));
  }
}

KeyRanges KeyRanges::prefix(std::string_view prefix) {
  return KeyRanges({{.begin = std::string(prefix), .end = end_of_prefix(prefix)}});
}

bool KeyRanges::are_points() const { return std::ranges::all_of(ranges_, &KeyRange::point); }

bool KeyRanges::contains(std::string_view key) const {
  const auto behind = std::ranges::upper_bound(ranges_, key, {}, &KeyRange::begin);
  return behind != ranges_.begin() && std::prev(behind)->contains(key);
}

KeyRanges KeyRanges::united(const KeyRanges& other) const {
  auto both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return KeyRanges(std::move(both));
}

KeyRanges KeyRanges::within(const KeyRange& range) const {
  std::vector<KeyRange> out;
  for (KeyRange part : ranges_) {
    if (part.begin < range.begin) part.begin = range.begin;
    if (ends_before(range.end, part.end)) part.end = range.end;
    out.push_back(std::move(part));
  }
  return KeyRanges(std::move(out));
}

}  // namespace millrace::view
