#include "view/evaluator.h"

#include <numeric>
#include <vector>

namespace millrace::view {

StreamBatch slice(const StreamBatch& batch, std::size_t begin, std::size_t end) {
  std::vector<Type> types;
  for (std::size_t c = 0; c < batch.columns->column_count(); ++c)
    types.push_back(batch.columns->column(c).type());
  auto columns = std::make_shared<ColumnBatch>(types);
  std::vector<std::uint32_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(begin));
  const auto views = batch.columns->views();
  columns->append_rows({views, batch.columns->rows()}, rows);
  StreamBatch out = batch;
  out.base_offset = Offset(batch.base_offset.value + begin);
  out.columns = std::move(columns);
  return out;
}

Result<std::unique_ptr<Evaluator>> Evaluator::make(sql::Database& database,
                                                   const CompiledView& view, std::size_t input,
                                                   const StreamDefinition& stream) {
  const std::size_t columns = view.plan.keys.size() + view.plan.arguments.size();
  // count(*) without keys has no columns at all: the native stage would have no rows to give.
  const StageInput& stage_input = view.inputs[input];
  auto native = stage_input.items.empty() ? nullptr : NativeStage::compile(stage_input, stream);
  std::unique_ptr<sql::ScalarStage> stage;
  if (native == nullptr) {
    MR_TRY(stage, sql::ScalarStage::prepare(database, stage_input.sql, stream));
  }
  return std::unique_ptr<Evaluator>(new Evaluator(std::move(native), std::move(stage), columns));
}

Status Evaluator::run_stage(std::span<const StreamBatch> batches, GroupTable& groups) {
  // The rows are collected first: a failure in the middle must leave `groups` as it was.
  std::vector<Type> types(stage_->types().begin(),
                          stage_->types().begin() + static_cast<std::ptrdiff_t>(columns_));
  ColumnBatch rows(types);
  std::size_t row_count = 0;
  MR_RETURN_IF_ERROR(stage_->run(batches, [&](const BatchView& chunk) {
    row_count += chunk.rows;
    rows.append_all({chunk.columns.subspan(0, columns_), chunk.rows});
  }));
  const auto views = rows.views();
  groups.update({views, row_count});
  return {};
}

Status Evaluator::run_row_by_row(const StreamBatch& batch, GroupTable& groups,
                                 std::uint64_t& skipped) {
  const StreamBatch one[] = {batch};
  auto status = run_stage(one, groups);
  if (status || status.error().id != error_id::kEvaluation) return status;
  const std::size_t rows = batch.columns->rows();
  if (rows == 1) {
    ++skipped;
    return {};
  }
  MR_RETURN_IF_ERROR(run_row_by_row(slice(batch, 0, rows / 2), groups, skipped));
  return run_row_by_row(slice(batch, rows / 2, rows), groups, skipped);
}

Status Evaluator::run(std::span<const StreamBatch> batches, GroupTable& groups,
                      std::uint64_t& skipped) {
  if (native_ != nullptr) {
    for (const auto& batch : batches) {
      native_->run(*batch.columns, [&](const BatchView& rows) { groups.update(rows); });
    }
    return {};
  }
  if (batches.empty()) return {};
  auto status = run_stage(batches, groups);
  if (status || status.error().id != error_id::kEvaluation) return status;
  for (const auto& batch : batches) MR_RETURN_IF_ERROR(run_row_by_row(batch, groups, skipped));
  return {};
}

}  // namespace millrace::view
