#include "view/evaluator.h"

#include <numeric>
#include <vector>

namespace millrace::view {

namespace {

constexpr std::size_t kRawBytesMax = std::size_t{64} << 10;

/// The batch's one row as an object, without its NULLs: as it could be sent again.
std::string row_text(std::span<const Column> columns, const ColumnBatch& row) {
  std::string out = "{";
  const auto views = row.views();
  for (std::size_t c = 0; c < columns.size() && out.size() < kRawBytesMax; ++c) {
    if (!views[c].valid(0)) continue;
    if (out.size() > 1) out += ',';
    append_json_string(out, columns[c].name);
    out += ':';
    append_json(out, views[c], 0);
  }
  out += '}';
  if (out.size() > kRawBytesMax) out.resize(kRawBytesMax);
  return out;
}

}  // namespace

FailedRow failed_row(std::span<const Column> columns, const StreamBatch& row, std::string reason) {
  FailedRow out{row.partition, row.base_offset, std::move(reason), row_text(columns, *row.columns)};
  if (row.columns->column_count() != columns.size()) {
    const auto partition = row.columns->column(columns.size()).data<std::int32_t>()[0];
    const auto offset = row.columns->column(columns.size() + 1).data<std::int64_t>()[0];
    out.partition = PartitionId(static_cast<std::uint32_t>(partition));
    out.offset = Offset(static_cast<std::uint64_t>(offset));
  }
  return out;
}

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
                                                   const StreamDefinition& stream,
                                                   std::span<const sql::ReferenceTable> tables) {
  const std::size_t columns = view.plan.keys.size() + view.plan.arguments.size();
  // count(*) without keys has no columns at all: the native stage would have no rows to give.
  const StageInput& stage_input = view.inputs[input];
  auto native = stage_input.items.empty() ? nullptr : NativeStage::compile(stage_input, stream);
  std::unique_ptr<sql::ScalarStage> stage;
  if (native == nullptr) {
    MR_TRY(stage, sql::ScalarStage::prepare(database, stage_input.sql, stream, tables));
  }
  return std::unique_ptr<Evaluator>(
      new Evaluator(std::move(native), std::move(stage), columns, stream));
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
                                 std::uint64_t& skipped, const FailureVisitor& failed) {
  const StreamBatch one[] = {batch};
  auto status = run_stage(one, groups);
  if (status || status.error().id != error_id::kEvaluation) return status;
  const std::size_t rows = batch.columns->rows();
  if (rows == 1) {
    ++skipped;
    if (failed) failed(failed_row(stream_columns_, batch, status.error().message));
    return {};
  }
  MR_RETURN_IF_ERROR(run_row_by_row(slice(batch, 0, rows / 2), groups, skipped, failed));
  return run_row_by_row(slice(batch, rows / 2, rows), groups, skipped, failed);
}

Status Evaluator::run(std::span<const StreamBatch> batches, GroupTable& groups,
                      std::uint64_t& skipped, const FailureVisitor& failed) {
  if (native_ != nullptr) {
    for (const auto& batch : batches) {
      native_->run(*batch.columns, [&](const BatchView& rows) { groups.update(rows); });
    }
    return {};
  }
  if (batches.empty()) return {};
  auto status = run_stage(batches, groups);
  if (status || status.error().id != error_id::kEvaluation) return status;
  for (const auto& batch : batches)
    MR_RETURN_IF_ERROR(run_row_by_row(batch, groups, skipped, failed));
  return {};
}

}  // namespace millrace::view
