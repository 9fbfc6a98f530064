#include "batch/batch_job.h"

#include <list>
#include <map>

#include "base/mutex.h"
#include "sql/scalar_stage.h"
#include "view/evaluator.h"
#include "view/group_table.h"

namespace millrace::batch {

namespace {

/// The tables that the threads of one scan fill. A list, so that addresses stay.
class ThreadTables {
 public:
  explicit ThreadTables(const view::AggregatePlan& plan) : plan_(plan) {}
  view::GroupTable& add() {
    const MutexLock lock(mutex_);
    return tables_.emplace_back(plan_);
  }
  /// After the scan: all of them in one.
  view::GroupTable merged() {
    const MutexLock lock(mutex_);
    if (tables_.empty()) return view::GroupTable(plan_);
    auto largest = tables_.begin();
    for (auto table = tables_.begin(); table != tables_.end(); ++table) {
      if (table->groups() > largest->groups()) largest = table;
    }
    view::GroupTable out = std::move(*largest);
    tables_.erase(largest);
    for (const auto& table : tables_) out.merge(table);
    return out;
  }

 private:
  const view::AggregatePlan& plan_;
  Mutex mutex_;
  std::list<view::GroupTable> tables_ GUARDED_BY(mutex_);
};

/// The files that hold a range of commits, verified.
struct RangeFiles {
  const StreamDefinition* stream = nullptr;
  std::vector<sql::LakeFile> files;
  std::uint64_t rows = 0;
};

Error cancelled() {
  return {.code = ErrorCode::kCancelled,
          .id = std::string(error_id::kStopping),
          .message = "the batch run was cancelled",
          .hint = {},
          .place = {}};
}

Result<RangeFiles> files_of(lake::Lake& lake, const CommitRange& range,
                            const BatchProgress& progress) {
  RangeFiles out{.stream = range.stream, .files = {}, .rows = 0};
  const StreamId id = range.stream->id;
  const auto snapshot = lake.snapshot(id);
  for (const auto& commit : snapshot->commits) {
    if (commit.number <= range.after || commit.number > range.upto) continue;
    for (const auto& file : commit.files) {
      if (progress.cancel) return std::unexpected(cancelled());
      MR_RETURN_IF_ERROR(lake.verify(id, file));
      out.files.push_back({lake.path(id, file), commit.schema_version});
      out.rows += file.rows;
    }
  }
  return out;
}

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
  const std::size_t columns = compiled.plan.keys.size() + compiled.plan.arguments.size();
  const sql::ScanStage stage{compiled.inputs[input].sql,
                             [&tables, columns]() -> sql::RowSink {
                               auto& table = tables.add();
                               return [&table, columns](const BatchView& chunk) {
                                 table.update({chunk.columns.subspan(0, columns), chunk.rows});
                               };
                             },
                             job.tables};
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
