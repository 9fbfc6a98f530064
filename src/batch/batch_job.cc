#include "batch/batch_job.h"

#include <list>

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

/// Row by row where a row cannot be evaluated: slower, and it finds the rows.
Result<view::GroupTable> map_carefully(sql::Database& database,
                                       std::span<const std::filesystem::path> paths,
                                       const BatchInput& input, BatchProgress& progress,
                                       std::uint64_t& skipped_rows) {
  MR_TRY(const auto evaluator,
         view::Evaluator::make(database, *input.view, 0, *input.stream, input.tables));
  view::GroupTable groups(input.view->plan);
  progress.rows_done = 0;
  MR_RETURN_IF_ERROR(
      sql::read_lake_files(database, paths, *input.stream, [&](const StreamBatch& batch) -> Status {
        if (progress.cancel)
          return fail(ErrorCode::kCancelled, error_id::kStopping, "the batch run was cancelled");
        progress.rows_done += batch.columns->rows();
        Status told;
        MR_RETURN_IF_ERROR(
            evaluator->run(std::span(&batch, 1), groups, skipped_rows, [&](view::FailedRow row) {
              if (input.failed && told) told = input.failed(std::move(row));
            }));
        return told;
      }));
  return groups;
}

}  // namespace

Result<view::GroupTable> map_commits(sql::Database& database, lake::Lake& lake,
                                     const BatchInput& input, BatchProgress& progress,
                                     std::uint64_t& skipped_rows) {
  const auto snapshot = lake.snapshot(input.stream->id);
  std::vector<std::filesystem::path> paths;
  std::uint64_t rows = 0;
  for (const auto& commit : snapshot->commits) {
    if (commit.number <= input.after || commit.number > input.upto) continue;
    for (const auto& file : commit.files) {
      if (progress.cancel)
        return fail(ErrorCode::kCancelled, error_id::kStopping, "the batch run was cancelled");
      MR_RETURN_IF_ERROR(lake.verify(input.stream->id, file));
      paths.push_back(lake.path(input.stream->id, file));
      rows += file.rows;
    }
  }
  progress.rows_total = rows;
  progress.rows_done = 0;
  if (paths.empty()) return view::GroupTable(input.view->plan);

  ThreadTables tables(input.view->plan);
  const std::size_t columns = input.view->plan.keys.size() + input.view->plan.arguments.size();
  const sql::ScanStage stage{input.view->inputs[0].sql,
                             [&tables, columns]() -> sql::RowSink {
                               auto& table = tables.add();
                               return [&table, columns](const BatchView& chunk) {
                                 table.update({chunk.columns.subspan(0, columns), chunk.rows});
                               };
                             },
                             input.tables};
  auto scanned = sql::scan_lake_files(database, paths, *input.stream, stage, progress.rows_done,
                                      progress.cancel);
  if (!scanned && scanned.error().id == error_id::kEvaluation) {
    return map_carefully(database, paths, input, progress, skipped_rows);
  }
  if (!scanned) return std::unexpected(std::move(scanned).error());
  return tables.merged();
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

Result<Drift> audit(const view::AggregatePlan& plan, const view::StateRun& base,
                    const view::GroupTable& delta, const view::StateRun& generation) {
  view::StateRunWriter writer(0);
  delta.for_each_sorted(
      [&](std::string_view key, std::string_view state) { writer.add(key, state); });
  MR_TRY(const auto delta_run, view::StateRun::parse(writer.finish(), 0));
  Drift drift;
  std::size_t next = 0;
  const auto differs = [&](std::string_view key) {
    if (drift.rows++ == 0) drift.first_key = key;
  };
  MR_RETURN_IF_ERROR(
      view::merge_runs(plan, base, *delta_run, [&](std::string_view key, std::string_view state) {
        while (next < generation.entries() && generation.entry(next).key < key)
          differs(generation.entry(next++).key);
        if (next == generation.entries() || generation.entry(next).key != key) {
          differs(key);
        } else if (generation.entry(next++).state != state) {
          differs(key);
        }
      }));
  while (next < generation.entries()) differs(generation.entry(next++).key);
  return drift;
}

}  // namespace millrace::batch
