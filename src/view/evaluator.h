// One view's scalar and aggregate stage over stream batches: what the speed layer runs on every
// event, and what the batch layer falls back to where a row cannot be evaluated. Takes the native
// short cut where there is one. A row whose evaluation fails is skipped and counted; the same row
// is skipped by every layer, since whether it fails depends on the row alone. Thread: one at a
// time. Errors: kInternal and what the scalar stage cannot blame on a row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "sql/scalar_stage.h"
#include "view/compiler.h"
#include "view/group_table.h"
#include "view/native_stage.h"

namespace millrace::view {

/// A row that an expression of the view failed on. Where the batch carries the hidden columns, the
/// position is the one that they tell.
struct FailedRow {
  PartitionId partition;
  Offset offset;
  std::string reason;  // DuckDB's
  std::string raw;     // the row as JSON, cut at 64 KiB
};
using FailureVisitor = std::function<void(FailedRow)>;
/// Of a batch of one row.
[[nodiscard]] FailedRow failed_row(std::span<const Column> columns, const StreamBatch& row,
                                   std::string reason);

class Evaluator {
 public:
  /// Of one of the view's inputs; `stream` is the one that it reads.
  static Result<std::unique_ptr<Evaluator>> make(sql::Database& database, const CompiledView& view,
                                                 std::size_t input, const StreamDefinition& stream,
                                                 std::span<const sql::ReferenceTable> tables = {});

  /// Adds the batches' rows to `groups`, and the number of rows that were skipped to `skipped`;
  /// `failed`, where given, sees each of them, in the order of the batches.
  Status run(std::span<const StreamBatch> batches, GroupTable& groups, std::uint64_t& skipped,
             const FailureVisitor& failed = {});
  [[nodiscard]] bool is_native() const { return native_ != nullptr; }

 private:
  Evaluator(std::unique_ptr<NativeStage> native, std::unique_ptr<sql::ScalarStage> stage,
            std::size_t columns, const StreamDefinition& stream)
      : native_(std::move(native)),
        stage_(std::move(stage)),
        columns_(columns),
        stream_columns_(stream.columns) {}
  Status run_stage(std::span<const StreamBatch> batches, GroupTable& groups);
  Status run_row_by_row(const StreamBatch& batch, GroupTable& groups, std::uint64_t& skipped,
                        const FailureVisitor& failed);

  std::unique_ptr<NativeStage> native_;
  std::unique_ptr<sql::ScalarStage> stage_;
  std::size_t columns_;  // keys and arguments
  std::vector<Column> stream_columns_;
};

/// The rows [begin, end) of a batch as a batch of their own.
[[nodiscard]] StreamBatch slice(const StreamBatch& batch, std::size_t begin, std::size_t end);

}  // namespace millrace::view
