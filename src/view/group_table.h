// The aggregate stage: a flat hash table from group key to partial state, updated column by column.
// merge is associative and commutative to the bit: whatever the order of rows and merges,
// encode_state() gives the same bytes. Owns all its memory; copyable (a copy is a snapshot).
// Thread: one at a time. Errors: kDataLoss for state bytes that are none. Cost: no allocation per
// row. Source of the encodings: docs/reference/state_format.md (version 1)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "view/aggregate_plan.h"

namespace millrace::view {

class GroupTable {
 public:
  explicit GroupTable(const AggregatePlan& plan);
  GroupTable(const GroupTable& other);
  GroupTable(GroupTable&& other) noexcept;
  GroupTable& operator=(GroupTable&& other) noexcept;
  ~GroupTable();

  /// Adds rows: the columns are the plan's keys, then its arguments.
  void update(const BatchView& rows);
  /// Adds one encoded state to the group of an encoded key.
  Status merge_state(std::string_view key, std::string_view state);
  void merge(const GroupTable& other);

  [[nodiscard]] std::size_t groups() const;
  [[nodiscard]] std::size_t size_bytes() const;
  /// Appends the encoded state of a key; false where there is no such group.
  bool find_state(std::string_view key, std::string& state) const;
  [[nodiscard]] bool has_key(std::string_view key) const;
  /// Visits groups in the order of their keys (sorts once per call).
  void for_each_sorted(
      const std::function<void(std::string_view key, std::string_view state)>& visit) const;
  /// Visits groups in no particular order, without encoding the states.
  void for_each_key(const std::function<void(std::string_view key)>& visit) const;
  void clear();

  /// Appends one row per group to `out`, whose columns have the types of `outputs`: finalize.
  /// Order: by key when `sorted`. Errors: kInvalidArgument (kOutOfRange) where a sum does not fit
  /// its type.
  Status finalize(std::span<const OutputColumn> outputs, bool sorted, ColumnBatch& out) const;
  /// The row of one group; false in the result where there is no such group.
  Result<bool> finalize_one(std::string_view key, std::span<const OutputColumn> outputs,
                            ColumnBatch& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The states of any groups folded into one by merge, and that one's row: of a session of several
/// groups, or, before anything is added, of no row at all (a view without GROUP BY has one row then
/// too). Thread: one at a time. Errors: kDataLoss for bytes that are no state; then it stays as it
/// was.
class GroupFold {
 public:
  explicit GroupFold(const AggregatePlan& plan);
  GroupFold(GroupFold&& other) noexcept;
  GroupFold& operator=(GroupFold&& other) noexcept;
  ~GroupFold();

  Status add(std::string_view state);
  /// Appends the encoded state.
  void encode(std::string& out);
  /// Appends the row to `out`, as GroupTable::finalize() does. `key` is an encoded key of the plan,
  /// empty where it has none.
  Status finalize(std::string_view key, std::span<const OutputColumn> outputs, ColumnBatch& out);
  void clear();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// merge(a, b) of two encoded states of a plan, appended to `out`. Errors: kDataLoss.
Status merge_states(const AggregatePlan& plan, std::string_view a, std::string_view b,
                    std::string& out);

}  // namespace millrace::view
