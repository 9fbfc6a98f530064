#include "view/join_index.h"

#include <algorithm>

namespace millrace::view {

namespace {

/// Entries out of order that a key may have beside a quarter of those in order.
constexpr std::size_t kUnsortedMax = 32;
/// What a key costs beside its bytes and entries.
constexpr std::size_t kKeyBytes = 96;

/// `value` - `distance`, or the least there is.
std::int64_t below(std::int64_t value, std::uint64_t distance) {
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  const auto room = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(kLeast);
  if (distance >= room) return kLeast;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) - distance);
}

}  // namespace

void JoinIndex::put(OfKey& of_key, const Entry& entry) {
  auto& entries = of_key.entries;
  if (entry.high > entry.low) {
    of_key.width_max = std::max(of_key.width_max, static_cast<std::uint64_t>(entry.high) -
                                                      static_cast<std::uint64_t>(entry.low));
  }
  const bool in_order =
      of_key.sorted == entries.size() && (entries.empty() || entries.back().low <= entry.low);
  entries.push_back(entry);
  if (in_order) {
    ++of_key.sorted;
    return;
  }
  if (entries.size() - of_key.sorted <= kUnsortedMax + of_key.sorted / 4) return;
  const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(of_key.sorted);
  std::ranges::sort(middle, entries.end(), {}, &Entry::low);
  std::vector<Entry> merged(entries.size());
  std::ranges::merge(entries.begin(), middle, middle, entries.end(), merged.begin(), {},
                     &Entry::low, &Entry::low);
  entries = std::move(merged);
  of_key.sorted = entries.size();
}

void JoinIndex::add(const JoinRows& added) {
  if (added.rows.empty()) return;
  const auto views = added.columns.views();
  columns_.append_all({views, added.columns.rows()});
  for (const auto& row : added.rows) {
    const auto [place, is_new] = keys_.try_emplace(row.key);
    put(place->second, {row.low, row.high, static_cast<std::uint32_t>(rows_++)});
    entry_bytes_ += sizeof(Entry) + (is_new ? row.key.size() + kKeyBytes : 0);
    low_min_ = std::min(low_min_, row.low);
    high_max_ = std::max(high_max_, row.high);
  }
}

std::size_t JoinIndex::find(const JoinRow& row, std::vector<std::uint32_t>& out) const {
  const auto found = keys_.find(row.key);
  if (found == keys_.end()) return 0;
  const std::size_t before = out.size();
  const auto& [entries, sorted, width_max] = found->second;
  const auto end = entries.begin() + static_cast<std::ptrdiff_t>(sorted);
  // No span that begins earlier than this reaches to `row.low`.
  auto entry =
      std::ranges::lower_bound(entries.begin(), end, below(row.low, width_max), {}, &Entry::low);
  for (; entry != end && entry->low <= row.high; ++entry) {
    if (entry->high >= row.low) out.push_back(entry->row);
  }
  for (entry = end; entry != entries.end(); ++entry) {
    if (entry->low <= row.high && entry->high >= row.low) out.push_back(entry->row);
  }
  return out.size() - before;
}

}  // namespace millrace::view
