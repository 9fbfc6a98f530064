#include "view/group_parts.h"

#include <algorithm>
#include <utility>

namespace millrace::view {

void GroupParts::add(GroupParts other) {
  runs.insert(runs.end(), std::make_move_iterator(other.runs.begin()),
              std::make_move_iterator(other.runs.end()));
  tables.insert(tables.end(), std::make_move_iterator(other.tables.begin()),
                std::make_move_iterator(other.tables.end()));
}

std::uint64_t GroupParts::groups() const {
  std::uint64_t sum = 0;
  for (const auto& run : runs) sum += run->entries();
  for (const auto& table : tables) sum += table->groups();
  return sum;
}

std::size_t GroupParts::table_bytes() const {
  std::size_t sum = 0;
  for (const auto& table : tables) sum += table->size_bytes();
  return sum;
}

bool GroupParts::is_cached(std::span<const std::string> keys) const {
  return std::ranges::all_of(runs, [&](const auto& run) {
    return std::ranges::all_of(keys, [&](const auto& key) { return run->is_cached(key); });
  });
}

Result<bool> GroupParts::add_to(std::string_view key, GroupTable& merged) const {
  bool any = false;
  for (const auto& run : runs) {
    MR_TRY(const auto found, run->find(key));
    if (!found) continue;
    any = true;
    MR_RETURN_IF_ERROR(merged.merge_state(key, found->state));
  }
  std::string state;
  for (const auto& table : tables) {
    state.clear();
    if (!table->find_state(key, state)) continue;
    any = true;
    MR_RETURN_IF_ERROR(merged.merge_state(key, state));
  }
  return any;
}

Status GroupParts::visit(std::string_view prefix, const Visit& visit) const {
  for (const auto& run : runs) {
    RunCursor cursor(run, !prefix.empty());
    MR_RETURN_IF_ERROR(cursor.seek(prefix));
    while (!cursor.at_end() && cursor.key().starts_with(prefix)) {
      MR_RETURN_IF_ERROR(visit(cursor.key(), cursor.state()));
      MR_RETURN_IF_ERROR(cursor.next());
    }
  }
  Status status;
  std::string state;
  for (const auto& table : tables) {
    table->for_each_key([&](std::string_view key) {
      if (!status || !key.starts_with(prefix)) return;
      state.clear();
      if (table->find_state(key, state)) status = visit(key, state);
    });
  }
  return status;
}

Result<std::unique_ptr<MergedCursor>> GroupParts::cursor(const AggregatePlan& plan, bool keep,
                                                         std::string_view from) const {
  std::vector<std::unique_ptr<StateCursor>> parts;
  for (const auto& run : runs) {
    auto cursor = std::make_unique<RunCursor>(run, keep);
    MR_RETURN_IF_ERROR(cursor->seek(from));
    parts.push_back(std::move(cursor));
  }
  for (const auto& table : tables) parts.push_back(std::make_unique<SortedGroups>(table, from));
  auto merged = std::make_unique<MergedCursor>(plan, std::move(parts));
  MR_RETURN_IF_ERROR(merged->start());
  return merged;
}

SpillingGroups::SpillingGroups(const AggregatePlan& plan, std::uint64_t fingerprint,
                               RunScratch* scratch, std::uint64_t bytes_max)
    : plan_(plan),
      fingerprint_(fingerprint),
      scratch_(scratch),
      bytes_max_(bytes_max),
      table_(plan) {}

Status SpillingGroups::spill_if_large() {
  if (scratch_ == nullptr || table_.size_bytes() <= bytes_max_ || table_.groups() == 0) return {};
  auto full = std::make_shared<const GroupTable>(std::exchange(table_, GroupTable(plan_)));
  MR_TRY(auto run, spill(*scratch_, fingerprint_, std::move(full)));
  runs_.push_back(std::move(run));
  return {};
}

GroupParts SpillingGroups::take() {
  GroupParts out{.runs = std::exchange(runs_, {}), .tables = {}};
  if (table_.groups() != 0) {
    out.tables.push_back(
        std::make_shared<const GroupTable>(std::exchange(table_, GroupTable(plan_))));
  }
  return out;
}

Result<std::shared_ptr<const StateRun>> spill(RunScratch& scratch, std::uint64_t fingerprint,
                                              std::shared_ptr<const GroupTable> table) {
  return scratch.spill(fingerprint, [&](StateRunWriter& writer) {
    SortedGroups groups(table);
    return write_all(groups, writer);
  });
}

}  // namespace millrace::view
