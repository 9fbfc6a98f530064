#include "view/group_scan.h"

#include <algorithm>
#include <optional>

namespace millrace::view {

namespace {

/// A key that a table has.
struct LooseKey {
  std::string_view key;
  const GroupTable* table;  // null: a standing key
};

/// The keys that tables have in the ranges; sorted piece by piece, since many walks end early.
class LooseKeys {
 public:
  LooseKeys(const ScanParts& parts, const KeyRanges& ranges, ScanDirection direction)
      : down_(direction == ScanDirection::kDown) {
    for (const auto* table : parts.tables) {
      if (ranges.are_points()) {
        for (const auto& range : ranges.ranges()) {
          if (table->has_key(range.begin)) keys_.push_back({range.begin, table});
        }
        continue;
      }
      const bool all = ranges.is_all();
      if (all) keys_.reserve(keys_.size() + table->groups());
      table->for_each_key([&](std::string_view key) {
        if (all || ranges.contains(key)) keys_.push_back({key, table});
      });
    }
    for (const auto& key : parts.standing) {
      if (ranges.contains(key)) keys_.push_back({key, nullptr});
    }
  }

  /// The next one in the walk's direction; null at the end.
  const LooseKey* front() {
    if (next_ == keys_.size()) return nullptr;
    if (next_ == sorted_) sort_more();
    return &keys_[next_];
  }
  void pop() { ++next_; }

 private:
  static constexpr std::size_t kFirstPiece = 256;

  void sort_more() {
    const auto before = [&](const LooseKey& a, const LooseKey& b) {
      return down_ ? b.key < a.key : a.key < b.key;
    };
    const std::size_t piece = std::max(kFirstPiece, sorted_ * 3);
    const auto from = keys_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    sorted_ = keys_.size() - sorted_ <= piece ? keys_.size() : sorted_ + piece;
    const auto to = keys_.begin() + static_cast<std::ptrdiff_t>(sorted_);
    if (to != keys_.end()) std::nth_element(from, to, keys_.end(), before);
    std::sort(from, to, before);
  }

  const bool down_;
  std::vector<LooseKey> keys_;
  std::size_t sorted_ = 0;
  std::size_t next_ = 0;
};

/// The entries of the run in one range, in either direction.
class RunWalk {
 public:
  RunWalk(const StateRun& run, const KeyRange& range, bool down)
      : run_(&run),
        down_(down),
        begin_(run.lower_bound(range.begin)),
        end_(range.end.empty() ? run.entries() : run.lower_bound(range.end)) {
    if (end_ < begin_) end_ = begin_;
    load();
  }

  [[nodiscard]] const std::optional<StateRun::Entry>& front() const { return front_; }
  void pop() {
    down_ ? --end_ : ++begin_;
    load();
  }

 private:
  void load() {
    front_.reset();
    if (begin_ < end_) front_ = run_->entry(down_ ? end_ - 1 : begin_);
  }

  const StateRun* run_;
  bool down_;
  std::size_t begin_;
  std::size_t end_;
  std::optional<StateRun::Entry> front_;
};

class Scan {
 public:
  Scan(const ScanParts& parts, const KeyRanges& ranges, ScanDirection direction,
       const VisitGroup& visit)
      : parts_(parts),
        down_(direction == ScanDirection::kDown),
        visit_(visit),
        loose_(parts, ranges, direction),
        texts_(parts.tables.size()) {}

  Result<bool> range(const KeyRange& range) {
    runs_.clear();
    for (const auto* run : parts_.runs) runs_.emplace_back(*run, range, down_);
    while (const auto key = next_key(range)) {
      states_.clear();
      for (auto& run : runs_) {
        if (run.front() && run.front()->key == *key) states_.push_back(run.front()->state);
      }
      counts_.from_runs += states_.size();
      take_loose(*key);
      MR_TRY(const bool more, visit_(*key, states_));
      if (!more) return false;
      for (auto& run : runs_) {
        if (run.front() && run.front()->key == *key) run.pop();
      }
    }
    return true;
  }

  [[nodiscard]] const ScanCounts& counts() const { return counts_; }

 private:
  std::optional<std::string_view> next_key(const KeyRange& range) {
    std::optional<std::string_view> next;
    const auto take = [&](std::string_view key) {
      if (!next || (down_ ? key > *next : key < *next)) next = key;
    };
    for (const auto& run : runs_) {
      if (run.front()) take(run.front()->key);
    }
    const auto* loose = loose_.front();
    if (loose != nullptr && range.contains(loose->key)) take(loose->key);
    return next;
  }

  /// The states that the tables have of this key.
  void take_loose(std::string_view key) {
    std::size_t used = 0;
    for (const auto* loose = loose_.front(); loose != nullptr && loose->key == key;
         loose = loose_.front()) {
      if (loose->table != nullptr) {
        auto& text = texts_[used++];
        text.clear();
        loose->table->find_state(key, text);
        states_.emplace_back(text);
        ++counts_.from_tables;
      }
      loose_.pop();
    }
  }

  const ScanParts& parts_;
  const bool down_;
  const VisitGroup& visit_;
  LooseKeys loose_;
  std::vector<RunWalk> runs_;
  std::vector<std::string> texts_;  // one for each table
  std::vector<std::string_view> states_;
  ScanCounts counts_;
};

}  // namespace

Result<ScanCounts> scan_groups(const ScanParts& parts, const KeyRanges& ranges,
                               ScanDirection direction, const VisitGroup& visit) {
  Scan scan(parts, ranges, direction, visit);
  const auto& all = ranges.ranges();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& range = direction == ScanDirection::kUp ? all[i] : all[all.size() - 1 - i];
    MR_TRY(const bool more, scan.range(range));
    if (!more) break;
  }
  return scan.counts();
}

}  // namespace millrace::view
