// The complete history: per stream a growing set of Parquet files, each commit one atomic step that
// carries the position, the file list and each file's size, rows and CRC32C (a row of the catalog;
// Iceberg metadata take its place later). Owns: the folder lake/<stream id>/. Borrows: Catalog,
// FileSystem, sql::Database. Thread: commit() and sweep() on one thread (the lake's), the rest on
// any. Errors: kDataLoss (kChecksum) names the file whose bytes are not those that were committed;
// kUnavailable. Invariant: a file is written, read back, synced, and its folder synced, before the
// commit names it; what no
//   commit names is garbage.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "model/stream.h"
#include "runtime/file_system.h"
#include "sql/database.h"

namespace millrace::lake {

/// What the lake has of a stream at one moment; never changes.
struct LakeSnapshot {
  std::vector<catalog::LakeCommit> commits;  // from number 1 on
  Position end;
  [[nodiscard]] CommitNumber last() const {
    return commits.empty() ? CommitNumber(0) : commits.back().number;
  }
};

struct LakeOptions {
  /// A file ends with the batch that reaches this many rows, so that a scan has several to share
  /// out.
  std::uint64_t rows_per_file_max = 1'000'000;
};

class Lake {
 public:
  static Result<std::unique_ptr<Lake>> open(runtime::FileSystem& files, catalog::Catalog& catalog,
                                            std::shared_ptr<sql::Database> database,
                                            std::filesystem::path folder, LakeOptions options = {});
  virtual ~Lake() = default;

  /// Makes the events of `batches`, which are exactly those from the stream's lake end to `end`,
  /// part of the history. Those of one partition come in the order of their offsets; partitions may
  /// alternate. Files hold at most `rows_per_file_max` rows, but a batch is never split. An empty
  /// range makes no commit and is an error. Errors: kInternal where the batches do not tile the
  /// range; then, and after any failure that is sure, no
  ///   file is left. After a failure of the catalog that is not sure the files stay for the next
  ///   start.
  virtual Result<catalog::LakeCommit> commit(const StreamDefinition& stream, const Position& end,
                                             std::span<const StreamBatch> batches) = 0;
  [[nodiscard]] virtual std::shared_ptr<const LakeSnapshot> snapshot(StreamId stream) const = 0;
  [[nodiscard]] virtual std::filesystem::path path(StreamId stream,
                                                   const catalog::FileRecord& file) const = 0;

  /// Reads the whole file and compares size and CRC32C. A file that is gone is kDataLoss, too.
  virtual Status verify(StreamId stream, const catalog::FileRecord& file) const = 0;
  /// As verify(), but remembers files by (size, mtime, inode), so that only the first query pays.
  virtual Status verify_once(StreamId stream, const catalog::FileRecord& file) = 0;

  /// Removes Parquet files that no commit names and folders of dropped streams; at start and when
  /// idle. Errors: kDataLoss where the lake has a stream that this catalog never created: then
  /// nothing is removed.
  virtual Status sweep() = 0;
};

}  // namespace millrace::lake
