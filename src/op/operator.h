// A view's operator outside of the server: events in, (key, state) out; states in, states or rows
// out. It holds one table of groups, which the caller empties; who drains it after every batch has
// an operator without memory. The states are those of both layers of the server, byte for byte:
// the same scalar stage, the same table. Thread: one at a time. Errors: kInvalidArgument (kPlan,
// kArrow, ...) for what came in, which changes nothing; every other error may have left a part of a
// batch in the table, so each later call gives it again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "op/arrow_array.h"
#include "op/plan.h"
#include "sql/database.h"
#include "view/compiler.h"
#include "view/evaluator.h"
#include "view/finalizer.h"
#include "view/group_table.h"

namespace millrace::op {

inline constexpr int kAbiVersion = 1;
inline constexpr std::uint64_t kMemoryBytesDefault = std::uint64_t{256} << 20;

using BatchVisitor = std::function<Status(OwnedBatch)>;

class Operator {
 public:
  /// `plan` is the document of plan.h; `memory_bytes` 0 is the default.
  static Result<std::unique_ptr<Operator>> open(std::string_view plan, std::uint64_t memory_bytes);

  /// JSON: ABI, version and digest of this build, digest of the plan, the view and its fingerprint.
  [[nodiscard]] const std::string& hello() const { return hello_; }

  /// Adds rows of a stream; empty names the only one.
  Status partial(std::string_view stream, const ArrayBatchView& batch);
  /// Adds states: binary columns key and state. Errors: kDataLoss (kChecksum), kResourceExhausted
  /// (kOperatorMemory) where the table has outgrown its memory: merged states cannot leave in
  /// parts.
  Status merge(const ArrayBatchView& batch);
  /// Every later call gives this error: the caller has given up in the middle of something.
  void give_up(Error error) { failure_ = std::move(error); }
  /// The table has reached its memory: drain it before the next rows.
  [[nodiscard]] bool is_full() const { return groups_.size_bytes() >= memory_bytes_; }

  /// Gives the states in the order of their keys, about kStatesBytes a batch, and empties the
  /// table.
  Status drain_states(const BatchVisitor& visit);
  /// Gives the rows that were skipped since the last call: stream, _partition, _offset, reason, and
  /// raw: the row as JSON.
  Status drain_skipped(const BatchVisitor& visit);
  /// Gives the view's rows in the order of their keys and empties the table. `whole`: the table has
  /// all groups of the view.
  Status finalize(bool whole, const BatchVisitor& visit);

 private:
  static constexpr std::size_t kStatesBytes = std::size_t{4} << 20;
  static constexpr std::size_t kRowsPerBatch = 16'384;

  /// A stream that the view reads, by one branch of a UNION ALL or by several.
  struct Source {
    StreamDefinition stream;
    std::vector<Column> columns;  // and the hidden ones
    std::vector<std::unique_ptr<view::Evaluator>> evaluators;
  };

  Operator(std::shared_ptr<sql::Database> database, view::CompiledView view,
           std::unique_ptr<view::Finalizer> finalizer, std::uint64_t memory_bytes);
  Result<Source*> find_source(std::string_view stream);
  Status broken(Status status);

  std::shared_ptr<sql::Database> database_;
  view::CompiledView view_;
  std::unique_ptr<view::Finalizer> finalizer_;
  std::uint64_t memory_bytes_;
  std::string hello_;
  std::vector<Source> sources_;
  view::GroupTable groups_;
  std::vector<Column> skipped_columns_;
  std::unique_ptr<ColumnBatch> skipped_;
  std::optional<Error> failure_;
};

}  // namespace millrace::op
