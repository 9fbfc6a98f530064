#include "batch/batch_job.h"

#include <map>

#include "batch/join_map.h"
#include "batch/range_files.h"
#include "batch/thread_tables.h"
#include "sql/scalar_stage.h"
#include "view/evaluator.h"
#include "view/group_table.h"

namespace millrace::batch {

namespace {

/// Row by row where a row cannot be evaluated: slower, and it finds the rows.
Result<view::GroupTable> map_carefully(sql::Database& database, const BatchInput& job,
                                       std::size_t input, const RangeFiles& files,
                                       BatchProgress& progress, std::uint64_t& skipped_rows) {
  const auto& compiled = *job.view;
  MR_TRY(const auto evaluator,
         view::Evaluator::make(database, compiled, input, *files.stream, job.tables));
  view::GroupTable groups(compiled.plan);
  MR_RETURN_IF_ERROR(sql::read_lake_files(
      database, files.files, *files.stream, [&](const StreamBatch& batch) -> Status {
        if (progress.cancel) return std::unexpected(cancelled());
        progress.rows_done += batch.columns->rows();
        Status told;
        MR_RETURN_IF_ERROR(
            evaluator->run(std::span(&batch, 1), groups, skipped_rows, [&](view::FailedRow row) {
              if (job.failed && told) told = job.failed(files.stream->id, std::move(row));
            }));
        return told;
      }));
  return groups;
}

/// One input of the view over the files of its stream.
Result<view::GroupTable> map_input(sql::Database& database, const BatchInput& job,
                                   std::size_t input, const RangeFiles& files,
                                   BatchProgress& progress, std::uint64_t& skipped_rows) {
  const auto& compiled = *job.view;
  if (files.files.empty()) return view::GroupTable(compiled.plan);
  const std::uint64_t done_before = progress.rows_done;
  ThreadTables tables(compiled.plan);
  const sql::ScanStage stage{compiled.inputs[input].sql, [&] { return tables.sink(); }, job.tables};
  auto scanned = sql::scan_lake_files(database, files.files, *files.stream, stage,
                                      progress.rows_done, progress.cancel);
  if (!scanned && scanned.error().id == error_id::kEvaluation) {
    progress.rows_done = done_before;
    return map_carefully(database, job, input, files, progress, skipped_rows);
  }
  if (!scanned) return std::unexpected(std::move(scanned).error());
  return tables.merged();
}

}  // namespace

Result<view::GroupTable> map_commits(sql::Database& database, lake::Lake& lake,
                                     const BatchInput& input, BatchProgress& progress,
                                     std::uint64_t& skipped_rows) {
  if (input.view->join) return map_join(database, lake, input, progress, skipped_rows);
  std::map<StreamId, RangeFiles> files;
  for (const auto& range : input.streams) {
    MR_TRY(auto found, files_of(lake, range, progress));
    files.emplace(range.stream->id, std::move(found));
  }
  const auto& inputs = input.view->inputs;
  progress.rows_done = 0;
  progress.rows_total = 0;
  for (const auto& one : inputs) progress.rows_total += files.at(one.stream).rows;
  view::GroupTable groups(input.view->plan);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    MR_TRY(auto mapped,
           map_input(database, input, i, files.at(inputs[i].stream), progress, skipped_rows));
    if (i == 0) {
      groups = std::move(mapped);
    } else {
      groups.merge(mapped);
    }
  }
  return groups;
}

Result<BatchOutput> run_batch_job(sql::Database& database, lake::Lake& lake,
                                  const BatchInput& input, BatchProgress& progress) {
  BatchOutput out;
  MR_TRY(const view::GroupTable groups,
         map_commits(database, lake, input, progress, out.skipped_rows));
  view::StateRunWriter writer(input.view->fingerprint);
  groups.for_each_sorted(
      [&](std::string_view key, std::string_view state) { writer.add(key, state); });
  out.run_bytes = writer.finish();
  MR_TRY(out.run, view::StateRun::parse(out.run_bytes, input.view->fingerprint));
  if (input.base == nullptr || input.base->entries() == 0) return out;

  view::StateRunWriter merged(input.view->fingerprint);
  MR_RETURN_IF_ERROR(view::merge_runs(
      input.view->plan, *input.base, *out.run,
      [&](std::string_view key, std::string_view state) { merged.add(key, state); }));
  out.run_bytes = merged.finish();
  MR_TRY(out.run, view::StateRun::parse(out.run_bytes, input.view->fingerprint));
  return out;
}

}  // namespace millrace::batch
