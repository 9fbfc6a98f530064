#include "view/group_scan.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

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
    for (const auto& table : parts.groups.tables) {
      if (ranges.are_points()) {
        for (const auto& range : ranges.ranges()) {
          if (table->has_key(range.begin)) keys_.push_back({range.begin, table.get()});
        }
        continue;
      }
      const bool all = ranges.is_all();
      if (all) keys_.reserve(keys_.size() + table->groups());
      table->for_each_key([&](std::string_view key) {
        if (all || ranges.contains(key)) keys_.push_back({key, table.get()});
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
  RunWalk(std::shared_ptr<const StateRun> run, bool keep)
      : run_(std::move(run)), cursor_(run_, keep) {}

  /// To the first entry of the range, which must stay where it is.
  Status start(const KeyRange& range, bool down) {
    range_ = &range;
    down_ = down;
    front_.reset();
    if (range.point) return find();
    MR_RETURN_IF_ERROR(down ? cursor_.seek_before(range.end) : cursor_.seek(range.begin));
    load();
    return {};
  }

  /// Good until pop() and start().
  [[nodiscard]] const std::optional<RunBlock::Entry>& front() const { return front_; }
  Status pop() {
    front_.reset();
    if (range_->point) return {};
    MR_RETURN_IF_ERROR(down_ ? cursor_.prev() : cursor_.next());
    load();
    return {};
  }

 private:
  /// A look-up may know without reading a block that the key is not there.
  Status find() {
    MR_TRY(found_, run_->find(range_->begin));
    if (found_) front_ = RunBlock::Entry{.key = range_->begin, .state = found_->state};
    return {};
  }
  void load() {
    if (!cursor_.at_end() && range_->contains(cursor_.key()))
      front_ = RunBlock::Entry{.key = cursor_.key(), .state = cursor_.state()};
  }

  std::shared_ptr<const StateRun> run_;
  RunCursor cursor_;
  const KeyRange* range_ = nullptr;
  bool down_ = false;
  std::optional<StateRun::Found> found_;
  std::optional<RunBlock::Entry> front_;
};

class Scan {
 public:
  Scan(const ScanParts& parts, const KeyRanges& ranges, ScanDirection direction,
       const VisitGroup& visit)
      : down_(direction == ScanDirection::kDown),
        visit_(visit),
        loose_(parts, ranges, direction),
        texts_(parts.groups.tables.size()) {
    runs_.reserve(parts.groups.runs.size());
    for (const auto& run : parts.groups.runs) runs_.emplace_back(run, parts.keep_blocks);
  }

  Result<bool> range(const KeyRange& range) {
    for (auto& run : runs_) MR_RETURN_IF_ERROR(run.start(range, down_));
    while (const auto key = next_key(range)) {
      states_.clear();
      here_.clear();
      for (auto& run : runs_) {
        if (!run.front() || run.front()->key != *key) continue;
        here_.push_back(&run);
        states_.push_back(run.front()->state);
      }
      counts_.from_runs += states_.size();
      take_loose(*key);
      MR_TRY(const bool more, visit_(*key, states_));
      if (!more) return false;
      // From here on the key may be gone: its bytes lie in a block of one of the runs.
      for (auto* run : here_) MR_RETURN_IF_ERROR(run->pop());
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

  const bool down_;
  const VisitGroup& visit_;
  LooseKeys loose_;
  std::vector<RunWalk> runs_;
  std::vector<RunWalk*> here_;      // that have the present key
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
