// One run of the batch layer for one view: map, the partial states of a set of lake files; reduce,
// merge by key with the generation before. The result is the next generation's states. The files
// are verified in full just before they are scanned. DuckDB scans them on all its threads; each
// thread fills a table of its own, which becomes a sorted run where it has had its share of the
// memory; tables, runs and the generation before are merged in one pass into the next one's file.
// Thread: run() on one; progress and cancel on any. Errors: kDataLoss names the file; kCancelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "batch/state_files.h"
#include "lake/lake.h"
#include "sql/database.h"
#include "sql/reference_table.h"
#include "view/compiler.h"
#include "view/evaluator.h"
#include "view/group_parts.h"
#include "view/state_run.h"

namespace millrace::batch {

struct BatchProgress {
  std::atomic<std::uint64_t> rows_total{0};  // of the files
  std::atomic<std::uint64_t> rows_done{0};   // that passed the view's filter
  std::atomic<bool> cancel{false};
};

/// The commits of a stream that are mapped: those after `after`, up to and with `upto`.
struct CommitRange {
  const StreamDefinition* stream = nullptr;
  CommitNumber after;
  CommitNumber upto;
};

struct BatchInput {
  const view::CompiledView* view = nullptr;
  std::vector<CommitRange> streams;  // all that the view reads
  /// The generation that ends where each stream's range begins; empty where those are all 0.
  std::shared_ptr<const view::StateRun> base;
  /// The reference tables that the view joins.
  std::span<const sql::ReferenceTable> tables = {};
  /// Where groups go that do not fit the memory; null: all of them stay there.
  view::RunScratch* scratch = nullptr;
  std::uint64_t table_bytes_max = std::uint64_t{512} << 20;
  /// Sees each row that is skipped, and its stream, where given; an error ends the job.
  std::function<Status(StreamId, view::FailedRow)> failed = {};
};

struct BatchOutput {
  StateFiles::Written generation;
  std::uint64_t skipped_rows = 0;  // in the mapped files
};

/// The generation's file gets `name`, and is there when it returns without an error.
Result<BatchOutput> run_batch_job(sql::Database& database, lake::Lake& lake, StateFiles& states,
                                  const std::string& name, const BatchInput& input,
                                  BatchProgress& progress);

/// The partial states of the view over the ranges of commits, without a generation: also how a
/// delta is rebuilt at a start.
Result<view::GroupParts> map_commits(sql::Database& database, lake::Lake& lake,
                                     const BatchInput& input, BatchProgress& progress,
                                     std::uint64_t& skipped_rows);

}  // namespace millrace::batch
