#include "serving/touched_keys.h"

#include <algorithm>

#include "runtime/clock.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

/// Of one unit, beside its bytes: the nodes of two maps.
constexpr std::size_t kUnitBytes = 160;

bool covers(std::span<const Position> later, std::span<const Position> earlier) {
  return std::ranges::equal(later, earlier,
                            [](const auto& a, const auto& b) { return a.covers(b); });
}

}  // namespace

TouchedKeys::TouchedKeys(const view::CompiledView& view, TouchedKeysLimits limits,
                         std::function<void()> wake)
    : limits_(limits),
      wake_(std::move(wake)),
      key_types_(view.plan.keys),
      sessions_(view.session_gap_us.has_value()) {}

void TouchedKeys::touched(const view::GroupTable& changed, std::span<const Position> delta_end) {
  {
    const MutexLock lock(mutex_);
    std::vector<std::string_view> columns;
    changed.for_each_key([&](std::string_view key) REQUIRES(mutex_) {
      if (!sessions_) {
        touch(key);
        return;
      }
      const auto split = view::split_key(key, key_types_, columns);
      MR_CHECK(split.has_value(), "a group has a key that is none");
      touch(key.substr(0, key.size() - columns.back().size()));
    });
    note_position(delta_end);
    while (units_.size() > limits_.keys_max || bytes_ > limits_.bytes_max) forget_oldest();
  }
  wake_();
}

void TouchedKeys::phase_changed() { wake_(); }

void TouchedKeys::touch(std::string_view unit) {
  auto found = units_.find(unit);
  ++newest_;
  if (found != units_.end()) {
    auto node = order_.extract(found->second);
    node.key() = newest_;
    found->second = order_.insert(order_.end(), std::move(node));
    return;
  }
  found = units_.emplace(unit, order_.end()).first;
  found->second = order_.emplace_hint(order_.end(), newest_, &found->first);
  bytes_ += unit.size() + kUnitBytes;
}

void TouchedKeys::note_position(std::span<const Position> position) {
  position_.assign(position.begin(), position.end());
  const std::int64_t now_us = runtime::monotonic_us();
  // Where many come, some are left out: whoever stands at one of those gets a little twice.
  if (reached_.size() < limits_.positions_max / 2 ||
      now_us - reached_.back().since_us >= limits_.position_pause_us) {
    reached_.push_back({.position = {}, .newest = 0, .since_us = now_us});
  }
  reached_.back().position = position_;
  reached_.back().newest = newest_;
  if (reached_.size() > limits_.positions_max) reached_.pop_front();
}

void TouchedKeys::forget_oldest() {
  const auto oldest = order_.begin();
  forgotten_ = oldest->first;
  const auto unit = units_.find(*oldest->second);
  bytes_ -= unit->first.size() + kUnitBytes;
  order_.erase(oldest);
  units_.erase(unit);
  while (!reached_.empty() && reached_.front().newest < forgotten_) reached_.pop_front();
}

std::uint64_t TouchedKeys::newest() const {
  const MutexLock lock(mutex_);
  return newest_;
}

TouchedKeys::Now TouchedKeys::now() const {
  const MutexLock lock(mutex_);
  return {newest_, position_};
}

std::optional<std::vector<Position>> TouchedKeys::position_at(std::uint64_t cursor) const {
  const MutexLock lock(mutex_);
  if (cursor != newest_) return std::nullopt;
  return position_;
}

std::optional<std::uint64_t> TouchedKeys::cursor_at(std::span<const Position> position) const {
  const MutexLock lock(mutex_);
  if (position.size() != position_.size() || !covers(position_, position)) return std::nullopt;
  const auto last = std::ranges::find_if(reached_.rbegin(), reached_.rend(), [&](const auto& one) {
    return covers(position, one.position);
  });
  if (last == reached_.rend() || last->newest < forgotten_) return std::nullopt;
  return last->newest;
}

TouchedKeys::Taken TouchedKeys::take(std::uint64_t& cursor, const Matches& matches,
                                     std::size_t units_max, std::vector<std::string>& units) const {
  const MutexLock lock(mutex_);
  if (cursor < forgotten_) return Taken::kLost;
  for (auto at = order_.upper_bound(cursor); at != order_.end(); ++at) {
    if (matches(*at->second)) {
      if (units.size() >= units_max) return Taken::kMore;
      units.push_back(*at->second);
    }
    cursor = at->first;
  }
  cursor = newest_;
  return Taken::kAll;
}

TouchedKeys::Taken TouchedKeys::skip(std::uint64_t& cursor, const Matches& matches) const {
  const MutexLock lock(mutex_);
  if (cursor < forgotten_) return Taken::kLost;
  for (auto at = order_.upper_bound(cursor); at != order_.end(); ++at) {
    if (matches(*at->second)) return Taken::kMore;
    cursor = at->first;
  }
  cursor = newest_;
  return Taken::kAll;
}

}  // namespace millrace::serving
