// The final stage of a view: from the states of groups to the view's rows. Columns that are made of
// components alone come straight from the states; expressions over them and HAVING are computed by
// DuckDB on the rows of groups. Groups of one session are folded here. Thread: one at a time.
// Errors: kInvalidArgument (kOutOfRange, kEvaluation) where a value cannot be made.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "sql/database.h"
#include "sql/scalar_stage.h"
#include "view/compiler.h"
#include "view/group_table.h"

namespace millrace::view {

class Finalizer {
 public:
  static Result<std::unique_ptr<Finalizer>> make(sql::Database& database, const CompiledView& view);
  ~Finalizer();

  /// The rows of all groups in the order of their keys. `whole`: the table has all groups of the
  /// view, so the standing ones are there too.
  Result<std::shared_ptr<ColumnBatch>> rows(const GroupTable& groups, bool whole) const;
  /// The rows of some keys, in their order; of those that no group has none.
  Result<std::shared_ptr<ColumnBatch>> rows_of(const GroupTable& groups,
                                               std::span<const std::string> keys) const;
  /// The view's rows of rows of group columns (GroupRows), which are the same where the view has no
  /// final stage of SQL.
  Result<std::shared_ptr<ColumnBatch>> finish(std::shared_ptr<ColumnBatch> groups) const;

 private:
  Finalizer(const CompiledView& view, std::unique_ptr<sql::ScalarStage> stage);
  [[nodiscard]] GroupTable with_standing(const GroupTable& groups,
                                         std::span<const std::string> keys) const;
  Result<GroupTable> fold_sessions(const GroupTable& groups) const;

  AggregatePlan plan_;
  std::vector<OutputColumn> columns_;  // that the states give
  std::vector<Type> output_types_;
  std::vector<std::string> standing_keys_;
  std::optional<std::int64_t> session_gap_us_;
  std::unique_ptr<sql::ScalarStage> stage_;  // null where there is no final SQL
};

}  // namespace millrace::view
