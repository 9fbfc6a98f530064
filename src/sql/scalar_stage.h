// The scalar stage of a view on DuckDB: filter, group keys and arguments of a batch of events, or
// of lake files. The rows do not come out as a result: the statement ends in a sink function inside
// DuckDB, which gives each chunk's vectors to the aggregate stage on the thread that made them
// (docs/decisions/0003). `stage_sql` is a SELECT whose FROM names the stream by `stream_name`, with
// the stream's columns and the hidden ones: "SELECT origin, date_trunc('hour', date), delay FROM
// flights WHERE distance > 100". It may join reference tables by their names. Errors:
// kInvalidArgument (kEvaluation) where an expression fails on some row; then the sink has seen any
// part
//   of the rows, and the caller throws away what it made of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"
#include "sql/database.h"
#include "sql/lake_select.h"
#include "sql/reference_table.h"

namespace millrace::sql {

/// Gets the rows that passed the filter: one column per select item of stage_sql. Thread: of run().
using RowSink = std::function<void(const BatchView&)>;

/// Prepared once per view, run for every batch: about 25 us a call and 40 ns a row.
class ScalarStage {
 public:
  static Result<std::unique_ptr<ScalarStage>> prepare(Database& database,
                                                      std::string_view stage_sql,
                                                      const StreamDefinition& stream,
                                                      std::span<const ReferenceTable> tables = {});
  ~ScalarStage();
  /// Types of the select items.
  [[nodiscard]] const std::vector<Type>& types() const;
  /// Runs over the batches (of this stream) in order. The sink must not keep the views.
  Status run(std::span<const StreamBatch> batches, const RowSink& sink);

 private:
  struct Handle;
  explicit ScalarStage(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

/// One view's part in a scan of lake files.
struct ScanStage {
  std::string stage_sql;
  /// Called once on each DuckDB thread that takes part, for a sink of that thread's own; calls of
  /// the returned sink happen on that thread only.
  std::function<RowSink()> make_sink;
  std::span<const ReferenceTable> tables = {};
};

/// Runs the stage over Parquet files of the lake, on all threads of the database. `rows_done`
/// counts rows that passed the filter, for progress; set `cancel` to end it with kCancelled.
Status scan_lake_files(Database& database, std::span<const LakeFile> files,
                       const StreamDefinition& stream, const ScanStage& stage,
                       std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel);

/// Files of the lake under the name that a SELECT has for them.
struct LakeRelation {
  std::string name;
  const StreamDefinition* stream = nullptr;
  std::span<const LakeFile> files;
};
/// A SELECT under a name.
struct NamedSelect {
  std::string name;
  std::string select;
};
/// scan_lake_files() over some relations of files, and `selects` over those. None is empty.
Status scan_lake_relations(Database& database, std::span<const LakeRelation> files,
                           std::span<const NamedSelect> selects, const ScanStage& stage,
                           std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel);
/// The rows of a SELECT over lake files, on the caller's thread as they come. Errors:
/// kInvalidArgument where an expression fails.
Status query_lake_files(Database& database, const LakeRelation& files, std::string_view select,
                        const ChunkVisitor& visit);

struct FileSpan {
  std::int64_t low;
  std::int64_t high;
};
/// The least `low` and the greatest `high` of each file: BIGINT expressions over its rows, of which
/// those that fail do not count. None where no row has both.
Result<std::vector<std::optional<FileSpan>>> lake_file_spans(Database& database,
                                                             const LakeRelation& files,
                                                             std::string_view low,
                                                             std::string_view high);

/// Reads lake files back as stream batches (columns of the stream, one batch per run of offsets of
/// a partition, at most 2,048 rows each), in file order.
Status read_lake_files(Database& database, std::span<const LakeFile> files,
                       const StreamDefinition& stream,
                       const std::function<Status(const StreamBatch&)>& visit);

/// The same for files of the definition's own version.
Status scan_lake_files(Database& database, std::span<const std::filesystem::path> paths,
                       const StreamDefinition& stream, const ScanStage& stage,
                       std::atomic<std::uint64_t>& rows_done, const std::atomic<bool>& cancel);
Status read_lake_files(Database& database, std::span<const std::filesystem::path> paths,
                       const StreamDefinition& stream,
                       const std::function<Status(const StreamBatch&)>& visit);

struct ParquetStatistics {
  std::uint64_t rows = 0;
  /// Sum of the offset column, to compare a file that was read back with what was handed over.
  Int128 offset_sum = 0;
};

/// Writes the batches (columns of the stream, then _partition, _offset, _arrival) as one Parquet
/// file, zstd, row groups of 122,880. Does not sync.
Result<ParquetStatistics> write_parquet(Database& database, const std::filesystem::path& path,
                                        const StreamDefinition& stream,
                                        std::span<const StreamBatch> batches);
/// Reads rows and offset sum back from a file.
Result<ParquetStatistics> read_parquet_statistics(Database& database,
                                                  const std::filesystem::path& path);

}  // namespace millrace::sql
