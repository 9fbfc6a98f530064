// The commit log of one node: record batches of all streams and partitions, in one order. It is
// what makes an event durable. Owns: the segment files and the index (stream, partition, offset) ->
// place. Borrows: FileSystem. Durable: a group's `committed` is called after the fdatasync that
// covers it; what arrives meanwhile shares
//   the next one (group commit without a timer).
// Thread: append(), read(), trim() on any; the committed callback on the log's own thread, in log
// order. Errors: kResourceExhausted (kBusy) the queue is full; kUnavailable (kDiskFailed) a write
// or sync failed: no
//   append until restart, reads go on; kDataLoss (kChecksum) a checksum is wrong inside
//   acknowledged data.
// Invariant: synced end <= written end; offsets of a partition have no gap and no overlap.
// Source: docs/internals/log_format.md
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "runtime/file_system.h"

namespace millrace::log {

struct LogOptions {
  std::filesystem::path folder;
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  /// A commit takes at most this much, so that one sync stays short.
  std::uint64_t commit_bytes_max = std::uint64_t{4} << 20;
  /// append() refuses above this.
  std::uint64_t queue_bytes_max = std::uint64_t{64} << 20;
  /// Segments that are free again are kept for reuse up to this number, the others removed.
  std::uint32_t spare_segments_max = 16;
};

/// Where a record batch lies in the log.
struct LogPlace {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  std::uint32_t size_bytes = 0;  // of the record batch
};

/// One encoded record batch (wire/record_batch.h) on its way into the log.
struct LogEntry {
  StreamId stream;
  PartitionId partition;
  std::uint32_t record_count = 0;
  std::string batch;
  // Filled in by the log before `committed`:
  Offset base_offset;
  LogPlace place;
};

/// What becomes durable together and is told together: the record batches of one request.
struct LogGroup {
  std::vector<LogEntry> entries;
  /// Carried through to the sink, owned by whoever appended.
  std::shared_ptr<void> context;
};

/// Called on the log's thread with the groups of one commit, in order: durable, or all failed with
/// `status`. While it runs the next commit's bytes gather; it should hand over quickly.
using CommitSink = std::function<void(std::vector<LogGroup> groups, const Status& status)>;

/// One record batch met at recovery.
struct RecoveredBatch {
  StreamId stream;
  PartitionId partition;
  Offset base_offset;
  std::uint32_t record_count = 0;
  LogPlace place;
  std::string_view batch;  // valid during the call only
};

using StreamPartition = std::pair<StreamId, PartitionId>;

struct LogStatistics {
  std::uint64_t commits = 0;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t queue_bytes = 0;
  std::uint64_t segments = 0;
  std::uint64_t sync_us_sum = 0;
  std::uint64_t torn_tail_bytes = 0;  // cut at the last recovery
};

class CommitLog {
 public:
  /// Opens the folder and recovers: cuts a torn tail, fails with kDataLoss where acknowledged bytes
  /// are damaged, and calls `visit` for every record batch in log order. `first_offsets` says for
  /// each partition what the lake already has: batches that end at or before it are not visited
  /// (their damage does not matter either), and a partition without batches goes on from there. It
  /// should name every partition of every stream that exists, at 0 where the lake has nothing: a
  /// partition that it does not name is taken for one of a dropped stream, and what was trimmed of
  /// it is not missed.
  static Result<std::unique_ptr<CommitLog>> open(
      runtime::FileSystem& files, LogOptions options,
      const std::map<StreamPartition, Offset>& first_offsets,
      const std::function<Status(const RecoveredBatch&)>& visit);
  /// Writes what is queued, syncs, and stops the thread.
  virtual ~CommitLog() = default;

  /// Starts the threads; appends before it wait in the queue.
  virtual void start(CommitSink sink) = 0;
  /// Stops taking groups, commits what is queued, ends the thread. Idempotent.
  virtual void stop() = 0;
  virtual Status append(LogGroup group) = 0;
  /// The record batch at a place, checked. Errors: kNotFound where the segment was trimmed,
  /// kDataLoss.
  [[nodiscard]] virtual Result<std::string> read(const LogPlace& place) const = 0;
  /// Segments whose every batch lies before these ends may go: the lake has them. The map must name
  /// every stream that exists; a stream that two calls in a row do not name is taken for dropped,
  /// and pins nothing.
  virtual Status trim(const std::map<StreamPartition, Offset>& covered) = 0;
  [[nodiscard]] virtual Offset end(StreamId stream, PartitionId partition) const = 0;
  [[nodiscard]] virtual LogStatistics statistics() const = 0;
};

}  // namespace millrace::log
