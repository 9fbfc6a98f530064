#include "batch/batch_job.h"

#include <map>
#include <utility>

#include "batch/join_map.h"
#include "batch/range_files.h"
#include "batch/thread_tables.h"
#include "sql/scalar_stage.h"
#include "view/evaluator.h"

namespace millrace::batch {

namespace {

/// Row by row where a row cannot be evaluated: slower, and it finds the rows.
Result<view::GroupParts> map_carefully(sql::Database& database, const BatchInput& job,
                                       std::size_t input, const RangeFiles& files,
                                       BatchProgress& progress, std::uint64_t& skipped_rows) {
  const auto& compiled = *job.view;
  MR_TRY(const auto evaluator,
         view::Evaluator::make(database, compiled, input, *files.stream, job.tables));
  auto groups = groups_of(job, job.table_bytes_max);
  MR_RETURN_IF_ERROR(sql::read_lake_files(
      database, files.files, *files.stream, [&](const StreamBatch& batch) -> Status {
        if (progress.cancel) return std::unexpected(cancelled());
        progress.rows_done += batch.columns->rows();
        Status told;
        MR_RETURN_IF_ERROR(evaluator->run(std::span(&batch, 1), groups.table(), skipped_rows,
                                          [&](view::FailedRow row) {
                                            if (job.failed && told)
                                              told = job.failed(files.stream->id, std::move(row));
                                          }));
        MR_RETURN_IF_ERROR(told);
        return groups.spill_if_large();
      }));
  return groups.take();
}

/// One input of the view over the files of its stream.
Result<view::GroupParts> map_input(sql::Database& database, const BatchInput& job,
                                   std::size_t input, const RangeFiles& files,
                                   BatchProgress& progress, std::uint64_t& skipped_rows) {
  const auto& compiled = *job.view;
  if (files.files.empty()) return view::GroupParts();
  const std::uint64_t done_before = progress.rows_done;
  ThreadTables tables(job);
  const sql::ScanStage stage{compiled.inputs[input].sql, [&] { return tables.sink(); }, job.tables};
  auto scanned = sql::scan_lake_files(database, files.files, *files.stream, stage,
                                      progress.rows_done, progress.cancel);
  if (!scanned && scanned.error().id == error_id::kEvaluation) {
    progress.rows_done = done_before;
    return map_carefully(database, job, input, files, progress, skipped_rows);
  }
  if (!scanned) return std::unexpected(std::move(scanned).error());
  return tables.take();
}

/// Tables that are too much together become runs.
Status spill_tables(const BatchInput& input, view::GroupParts& parts) {
  if (input.scratch == nullptr || parts.table_bytes() <= input.table_bytes_max) return {};
  for (auto& table : parts.tables) {
    MR_TRY(auto run,
           view::spill(*input.scratch, input.view->fingerprint, std::exchange(table, nullptr)));
    parts.runs.push_back(std::move(run));
  }
  parts.tables.clear();
  return {};
}

}  // namespace

Result<view::GroupParts> map_commits(sql::Database& database, lake::Lake& lake,
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
  view::GroupParts groups;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    MR_TRY(auto mapped,
           map_input(database, input, i, files.at(inputs[i].stream), progress, skipped_rows));
    groups.add(std::move(mapped));
    MR_RETURN_IF_ERROR(spill_tables(input, groups));
  }
  return groups;
}

Result<BatchOutput> run_batch_job(sql::Database& database, lake::Lake& lake, StateFiles& states,
                                  const std::string& name, const BatchInput& input,
                                  BatchProgress& progress) {
  BatchOutput out;
  MR_TRY(auto groups, map_commits(database, lake, input, progress, out.skipped_rows));
  if (input.base != nullptr) groups.runs.push_back(input.base);
  const auto fill = [&](view::StateRunWriter& writer) -> Status {
    MR_TRY(const auto merged, groups.cursor(input.view->plan, false));
    while (!merged->at_end()) {
      MR_RETURN_IF_ERROR(writer.add(merged->key(), merged->state()));
      MR_RETURN_IF_ERROR(merged->next());
      if (progress.cancel.load(std::memory_order_relaxed)) return std::unexpected(cancelled());
    }
    return {};
  };
  MR_TRY(out.generation, states.write(name, input.view->fingerprint, fill));
  return out;
}

}  // namespace millrace::batch
