// Runs checked SELECTs of users in a process of its own that can be killed: Landlock (the lake
// read-only, nothing else), seccomp (no network, no exec), rlimits, a deadline. Rows that only the
// server has (log tail, merged views) are handed over in shared memory. An answer comes back into
// memory, up to a bound; where its query wants all of it, what is beyond goes to disk. Thread:
// run() on any; at most `workers_max` at once, others wait until their deadline. Errors:
// kDeadlineExceeded (kSqlDeadline), kResourceExhausted (kSqlMemory, kBusy), kInvalidArgument
// (kSqlFailed),
//   kFailedPrecondition where this kernel has no Landlock, kInternal where a query ended its
//   process. A worker that dies or is killed is replaced; nobody else notices.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"
#include "runtime/file_system.h"
#include "sql/spilled_rows.h"

namespace millrace::sql {

struct QueryWorkerOptions {
  /// Run as `executable sql-worker`.
  std::filesystem::path executable = "/proc/self/exe";
  std::filesystem::path lake_folder;
  std::uint32_t workers_max = 2;
  std::uint64_t memory_bytes_max = std::uint64_t{1} << 30;
  std::uint32_t threads = 2;
  /// Goes on where the kernel has no Landlock: then only DuckDB's own settings keep a query from
  /// reading files.
  bool allow_unsandboxed = false;
  /// Of answers that are wanted whole: so many bytes are held in memory, or one batch; then files
  /// of this folder, which are nameless from the start, take the rest. It is there already.
  runtime::FileSystem* files = &runtime::system_files();
  std::filesystem::path spill_folder;
  std::uint64_t spill_after_bytes = std::uint64_t{8} << 20;
};

/// A relation that the query may name: rows from lake files (columns + hidden), then rows from
/// memory.
struct QueryRelation {
  std::string name;
  std::vector<Column> columns;  // without the hidden ones
  bool hidden_columns = false;  // whether to show _partition, _offset, _arrival too
  std::vector<std::filesystem::path> lake_files;  // Parquet, verified by the caller
  /// Files of other columns, with the select items that give these.
  struct OtherFiles {
    std::string items;
    std::vector<std::filesystem::path> files;
  };
  std::vector<OtherFiles> other_files = {};
  std::vector<StreamBatch> tail;  // a stream's events that the lake does not have
  std::vector<std::shared_ptr<const ColumnBatch>> rows;  // a view's rows
};

/// A plain view that the query may name: defined in order, before the query.
struct QueryView {
  std::string name;
  std::string select;  // checked text
};

/// Set by another thread, which then calls QueryWorkers::wake().
using CancelFlag = std::shared_ptr<std::atomic<bool>>;

struct Query {
  std::string select;  // text made of the checked tree
  std::vector<QueryRelation> relations;
  std::vector<QueryView> views;
  /// Statements of ours that make macros over the relations, in order (catalogue_functions.h).
  std::vector<std::string> macros = {};
  std::uint64_t deadline_ms = 30'000;
  std::uint64_t rows_max = 100'000;
  std::uint64_t result_bytes_max = std::uint64_t{256} << 20;
  /// Not 0: the answer is wanted whole, in memory and on disk, up to so many bytes. rows_max does
  /// not count then, and result_bytes_max bounds a single row.
  std::uint64_t spill_bytes_max = 0;
  /// Nothing runs: columns and the types of parameters are the answer.
  bool prepare_only = false;
  /// Once it is true the query ends with kCancelled; null: nobody cancels it.
  CancelFlag cancelled = {};
};

struct QueryResult {
  std::vector<Column> columns;  // types that model::Type lacks come as VARCHAR
  std::vector<std::shared_ptr<const ColumnBatch>> batches;
  std::shared_ptr<SpilledRows> rest = {};  // behind those of `batches`; null: there are none
  std::uint64_t rows = 0;                  // of both
  bool truncated = false;                  // there were more than the query allows
  std::vector<std::optional<Type>> parameters = {};  // with prepare_only
};

class QueryWorkers {
 public:
  static Result<std::unique_ptr<QueryWorkers>> start(QueryWorkerOptions options);
  ~QueryWorkers();
  Result<QueryResult> run(const Query& query);
  /// Queries whose flag is set end now, with their worker process. Thread: any.
  void wake();
  [[nodiscard]] const SpillCounters& spilled() const;
  /// Ends the queries that run, and refuses later ones, with kUnavailable (kStopping).
  void stop();

 private:
  struct Pool;
  explicit QueryWorkers(std::unique_ptr<Pool> pool);
  std::unique_ptr<Pool> pool_;
};

/// The main function of the worker process: `millrace sql-worker` with its socket as descriptor 3.
int query_worker_main(int argc, char** argv);

}  // namespace millrace::sql
