// Groups in parts: tables in memory and sorted runs beside it. The state of a key is the merge of
// its states in all parts. merge is associative and commutative to the bit, so how groups came to
// be divided changes no answer. Thread: the parts are immutable; a GroupParts is a value. Errors:
// those of the runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/group_table.h"
#include "view/state_cursor.h"
#include "view/state_run.h"

namespace millrace::view {

struct GroupParts {
  std::vector<std::shared_ptr<const StateRun>> runs;
  std::vector<std::shared_ptr<const GroupTable>> tables;

  [[nodiscard]] bool empty() const { return runs.empty() && tables.empty(); }
  void add(GroupParts other);
  /// Of each part; a key that several parts have counts in each.
  [[nodiscard]] std::uint64_t groups() const;
  /// Of the tables.
  [[nodiscard]] std::size_t table_bytes() const;

  /// Whether add_to() of these keys would read nothing now but memory.
  [[nodiscard]] bool is_cached(std::span<const std::string> keys) const;
  /// Adds the states of a key to `merged`; false where no part has it.
  [[nodiscard]] Result<bool> add_to(std::string_view key, GroupTable& merged) const;
  using Visit = std::function<Status(std::string_view key, std::string_view state)>;
  /// What each part has under keys that begin with `prefix`, part after part, in no order of keys.
  [[nodiscard]] Status visit(std::string_view prefix, const Visit& visit) const;
  /// Of all keys not less than `from`, ascending, each once with its states merged. The tables are
  /// sorted for it. `keep`: as of RunCursor.
  [[nodiscard]] Result<std::unique_ptr<MergedCursor>> cursor(const AggregatePlan& plan, bool keep,
                                                             std::string_view from = {}) const;
};

/// Groups that are being made, of which memory holds no more than a bound, and a chunk of rows:
/// beyond it the table becomes a run. Thread: one at a time.
class SpillingGroups {
 public:
  /// `scratch` may be null: then all stays in memory. It and the plan must live as long.
  SpillingGroups(const AggregatePlan& plan, std::uint64_t fingerprint, RunScratch* scratch,
                 std::uint64_t bytes_max);
  /// Where groups go in; spill_if_large() after each chunk.
  [[nodiscard]] GroupTable& table() { return table_; }
  [[nodiscard]] Status spill_if_large();
  /// Nothing is left here.
  [[nodiscard]] GroupParts take();

 private:
  const AggregatePlan& plan_;
  const std::uint64_t fingerprint_;
  RunScratch* const scratch_;
  const std::uint64_t bytes_max_;
  GroupTable table_;
  std::vector<std::shared_ptr<const StateRun>> runs_;
};

/// The groups of a table as a run.
Result<std::shared_ptr<const StateRun>> spill(RunScratch& scratch, std::uint64_t fingerprint,
                                              std::shared_ptr<const GroupTable> table);

}  // namespace millrace::view
