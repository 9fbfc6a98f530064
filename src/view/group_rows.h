// The rows of groups, made one after the other without a table of them: the states of a group are
// folded, and the wanted columns of it appended. Groups of one session are folded into its row.
// Thread: one at a time. Errors: kDataLoss for bytes that are no state, kInvalidArgument
// (kOutOfRange) where a sum does not fit its type.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "view/compiler.h"
#include "view/group_table.h"
#include "view/session_keys.h"

namespace millrace::view {

class GroupRows {
 public:
  /// The columns that `outputs` of the view are; where it has a final stage of SQL, all columns
  /// that this stage reads.
  GroupRows(const CompiledView& view, std::span<const std::uint32_t> outputs);

  /// In the order of the keys where the view is over sessions.
  Status add(std::string_view key, std::span<const std::string_view> states);
  /// Behind the last group.
  Status finish();
  /// As add(), but only where `wants` says so of a row with the columns of `first`, which goes away
  /// after the call. Not of a view over sessions.
  template <class Wants>
  Status add_if(std::string_view key, std::span<const std::string_view> states,
                std::span<const OutputColumn> first, ColumnBatch& row, Wants&& wants) {
    MR_RETURN_IF_ERROR(fold(states));
    MR_RETURN_IF_ERROR(fold_.finalize(key, first, row));
    if (!wants()) return {};
    return fold_.finalize(key, columns_, *rows_);
  }

  [[nodiscard]] std::size_t rows() const { return rows_->rows(); }
  /// The rows so far; afterwards there are none.
  std::shared_ptr<ColumnBatch> take();

 private:
  Status fold(std::span<const std::string_view> states);

  std::vector<OutputColumn> columns_;
  std::vector<Type> types_;
  std::shared_ptr<ColumnBatch> rows_;
  GroupFold fold_;
  std::optional<SessionKeys> sessions_;
  std::string session_;  // whose states fold_ has; empty: none
};

}  // namespace millrace::view
