#include "view/join_evaluator.h"

#include <algorithm>

#include "base/check.h"
#include "view/key_codec.h"

namespace millrace::view {

namespace {

/// Candidates that one execution of the stage looks at: bounds the copies of their rows.
constexpr std::size_t kCandidatesAtOnce = 8192;

}  // namespace

Result<std::unique_ptr<JoinEvaluator>> JoinEvaluator::make(
    sql::Database& database, const CompiledView& view, std::span<const StreamDefinition> streams,
    std::span<const sql::ReferenceTable> tables) {
  MR_CHECK(view.join.has_value(), "the view joins no two streams");
  std::unique_ptr<JoinEvaluator> out(new JoinEvaluator());
  out->columns_ = view.plan.keys.size() + view.plan.arguments.size();
  out->keys_ = view.join->keys();
  std::array<sql::PairStage::Relation, 2> relations;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& side = view.join->sides[i];
    const auto stream = std::ranges::find(streams, side.stream, &StreamDefinition::id);
    MR_CHECK(stream != streams.end(), "stream {} of the join is not given", side.stream);
    auto& made = out->sides_[i];
    made.types = side.types;
    made.stream_columns = stream->columns;
    MR_TRY(made.stage, sql::ScalarStage::prepare(database, rows_sql(side, stream->name), *stream));
    relations[i].name = kJoinRelations[i];
    for (std::size_t c = 0; c < side.columns.size(); ++c)
      relations[i].columns.push_back({.name = side.columns[c], .type = side.types[c]});
    for (auto& column : sql::hidden_columns()) relations[i].columns.push_back(std::move(column));
  }
  MR_TRY(out->pairs_, sql::PairStage::prepare(database, view.join->pair_sql, relations, tables));
  return out;
}

void JoinEvaluator::take_rows(std::size_t side, const BatchView& rows, JoinRows& out) const {
  const auto& low = rows.columns[0];
  const auto& high = rows.columns[1];
  const auto keys = rows.columns.subspan(kSpanColumns, keys_);
  std::vector<std::uint32_t> taken;
  for (std::uint32_t i = 0; i < rows.rows; ++i) {
    const bool whole = low.valid(i) && high.valid(i) &&
                       std::ranges::all_of(keys, [&](const auto& key) { return key.valid(i); });
    if (!whole) continue;
    auto& row = out.rows.emplace_back();
    row.low = low.as<std::int64_t>()[i];
    row.high = high.as<std::int64_t>()[i];
    encode_key(keys, i, row.key);
    taken.push_back(i);
  }
  const auto columns = rows.columns.subspan(kSpanColumns + keys_, sides_[side].types.size());
  out.columns.append_rows({columns, rows.rows}, taken);
}

/// All rows, or an error and none.
Status JoinEvaluator::read_rows(std::size_t side, std::span<const StreamBatch> batches,
                                JoinRows& out) {
  JoinRows found(sides_[side].types);
  MR_RETURN_IF_ERROR(sides_[side].stage->run(
      batches, [&](const BatchView& chunk) { take_rows(side, chunk, found); }));
  if (out.rows.empty()) {
    out = std::move(found);
    return {};
  }
  const auto views = found.columns.views();
  out.columns.append_all({views, found.columns.rows()});
  std::ranges::move(found.rows, std::back_inserter(out.rows));
  return {};
}

Status JoinEvaluator::rows_one_by_one(std::size_t side, const StreamBatch& batch, JoinRows& out,
                                      std::uint64_t& skipped, const FailureVisitor& failed) {
  auto status = read_rows(side, std::span(&batch, 1), out);
  if (status || status.error().id != error_id::kEvaluation) return status;
  const std::size_t rows = batch.columns->rows();
  if (rows == 1) {
    ++skipped;
    if (failed) failed(failed_row(sides_[side].stream_columns, batch, status.error().message));
    return {};
  }
  MR_RETURN_IF_ERROR(rows_one_by_one(side, slice(batch, 0, rows / 2), out, skipped, failed));
  return rows_one_by_one(side, slice(batch, rows / 2, rows), out, skipped, failed);
}

Result<JoinRows> JoinEvaluator::rows_of(std::size_t side, std::span<const StreamBatch> batches,
                                        std::uint64_t& skipped, const FailureVisitor& failed) {
  JoinRows out(sides_[side].types);
  if (batches.empty()) return out;
  auto status = read_rows(side, batches, out);
  if (status) return out;
  if (status.error().id != error_id::kEvaluation) return std::unexpected(std::move(status).error());
  for (const auto& batch : batches)
    MR_RETURN_IF_ERROR(rows_one_by_one(side, batch, out, skipped, failed));
  return out;
}

Status JoinEvaluator::join(std::size_t side, const JoinRows& rows,
                           std::span<const JoinIndex* const> others, GroupTable& groups,
                           std::uint64_t& skipped_pairs) {
  std::vector<Candidate> candidates;
  std::vector<std::uint32_t> found;
  const auto flush = [&]() -> Status {
    MR_RETURN_IF_ERROR(evaluate(side, rows, others, candidates, groups, skipped_pairs));
    candidates.clear();
    return {};
  };
  for (std::uint32_t r = 0; r < rows.rows.size(); ++r) {
    const auto& row = rows.rows[r];
    for (std::uint32_t index = 0; index < others.size(); ++index) {
      if (!others[index]->meets(row.low, row.high)) continue;
      found.clear();
      if (others[index]->find(row, found) == 0) continue;
      for (const auto other : found) {
        candidates.push_back({r, index, other});
        if (candidates.size() == kCandidatesAtOnce) MR_RETURN_IF_ERROR(flush());
      }
    }
  }
  return candidates.empty() ? Status() : flush();
}

Status JoinEvaluator::evaluate(std::size_t side, const JoinRows& rows,
                               std::span<const JoinIndex* const> others,
                               std::span<const Candidate> candidates, GroupTable& groups,
                               std::uint64_t& skipped_pairs) {
  std::array<ColumnBatch, 2> gathered = {ColumnBatch(sides_[0].types),
                                         ColumnBatch(sides_[1].types)};
  std::vector<std::uint32_t> numbers;
  for (const auto& candidate : candidates) numbers.push_back(candidate.row);
  const auto mine = rows.columns.views();
  gathered[side].append_rows({mine, rows.columns.rows()}, numbers);
  for (std::size_t i = 0; i < candidates.size();) {
    const auto index = candidates[i].index;
    numbers.clear();
    for (; i < candidates.size() && candidates[i].index == index; ++i)
      numbers.push_back(candidates[i].other);
    const auto theirs = others[index]->columns().views();
    gathered[1 - side].append_rows({theirs, others[index]->rows()}, numbers);
  }
  // The rows are collected first: a failure in the middle must leave `groups` as it was.
  ColumnBatch made(std::span(pairs_->types()).first(columns_));
  std::size_t made_rows = 0;
  const auto left = gathered[0].views();
  const auto right = gathered[1].views();
  auto status = pairs_->run({BatchView{left, gathered[0].rows()}, {right, gathered[1].rows()}},
                            [&](const BatchView& chunk) {
                              made_rows += chunk.rows;
                              made.append_all({chunk.columns.subspan(0, columns_), chunk.rows});
                            });
  if (status) {
    const auto views = made.views();
    groups.update({views, made_rows});
    return {};
  }
  if (status.error().id != error_id::kEvaluation) return status;
  if (candidates.size() == 1) {
    ++skipped_pairs;
    return {};
  }
  const std::size_t half = candidates.size() / 2;
  MR_RETURN_IF_ERROR(evaluate(side, rows, others, candidates.first(half), groups, skipped_pairs));
  return evaluate(side, rows, others, candidates.subspan(half), groups, skipped_pairs);
}

}  // namespace millrace::view
