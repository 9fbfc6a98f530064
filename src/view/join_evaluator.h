// The scalar and aggregate stage of a view that joins two streams. New rows of one side are joined
// with rows of the other that somebody kept (join_index.h); each pair is given to the groups once,
// when its second row comes. A row on whose key, time or own condition an expression fails is
// skipped and reported; a pair on which one fails is skipped and counted. Both depend on the rows
// alone, so every layer skips the same. Pure, as the index; thread: one at a time. Errors:
// kInternal and what cannot be blamed on a row.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "sql/pair_stage.h"
#include "view/compiler.h"
#include "view/evaluator.h"
#include "view/group_table.h"
#include "view/join_index.h"

namespace millrace::view {

class JoinEvaluator {
 public:
  /// `view` has a join; `streams` are those of its two sides.
  static Result<std::unique_ptr<JoinEvaluator>> make(
      sql::Database& database, const CompiledView& view, std::span<const StreamDefinition> streams,
      std::span<const sql::ReferenceTable> tables = {});

  /// What the rows of one side are joined by, of those that may have partners.
  Result<JoinRows> rows_of(std::size_t side, std::span<const StreamBatch> batches,
                           std::uint64_t& skipped, const FailureVisitor& failed = {});
  /// Adds rows as sound_rows_sql() gives them.
  void take_rows(std::size_t side, const BatchView& rows, JoinRows& out) const;
  /// Of the columns in an index of this side.
  [[nodiscard]] std::span<const Type> types(std::size_t side) const { return sides_[side].types; }

  /// Adds the pairs of these rows of `side` with all rows of the other side in `others`.
  Status join(std::size_t side, const JoinRows& rows, std::span<const JoinIndex* const> others,
              GroupTable& groups, std::uint64_t& skipped_pairs);

 private:
  struct Side {
    std::vector<Type> types;
    std::vector<Column> stream_columns;
    std::unique_ptr<sql::ScalarStage> stage;
  };
  /// A row that is joined, and one of the other side.
  struct Candidate {
    std::uint32_t row;
    std::uint32_t index;
    std::uint32_t other;
  };
  JoinEvaluator() = default;
  Status read_rows(std::size_t side, std::span<const StreamBatch> batches, JoinRows& out);
  Status rows_one_by_one(std::size_t side, const StreamBatch& batch, JoinRows& out,
                         std::uint64_t& skipped, const FailureVisitor& failed);
  Status evaluate(std::size_t side, const JoinRows& rows, std::span<const JoinIndex* const> others,
                  std::span<const Candidate> candidates, GroupTable& groups,
                  std::uint64_t& skipped_pairs);

  std::size_t columns_ = 0;  // keys and arguments of the plan
  std::size_t keys_ = 0;     // of the join
  std::array<Side, 2> sides_;
  std::unique_ptr<sql::PairStage> pairs_;
};

}  // namespace millrace::view
