// Reads a log folder back: which segments there are, where the log ends, what is lost. The rules
// stand in docs/internals/log_format.md. Runs once, before the log's threads; the caller's thread.
// Invariant: what was acknowledged is either visited, or covered by `first_offsets`, or recovery
// fails.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "log/commit_log.h"
#include "runtime/file_system.h"

namespace millrace::log {

/// A stream and a partition as one number, for the hot tables.
[[nodiscard]] constexpr std::uint64_t partition_key(StreamId stream, PartitionId partition) {
  return (std::uint64_t{stream.value} << 32) | partition.value;
}
[[nodiscard]] constexpr StreamPartition stream_partition(std::uint64_t key) {
  return {StreamId(static_cast<std::uint32_t>(key >> 32)),
          PartitionId(static_cast<std::uint32_t>(key))};
}
using EndByPartition = std::unordered_map<std::uint64_t, std::uint64_t>;

[[nodiscard]] std::filesystem::path segment_path(const std::filesystem::path& folder,
                                                 std::uint64_t number);

/// A segment that holds at least one commit, or the start of one.
struct BegunSegment {
  std::uint64_t number = 0;
  std::shared_ptr<runtime::File> file;
  std::uint64_t size_bytes = 0;
  std::uint64_t salt = 0;
  EndByPartition ends;  // of the batches in it
};

/// The segment that comes next; nothing in it counts yet.
struct PreparedSegment {
  std::uint64_t number = 0;
  std::shared_ptr<runtime::File> file;
  std::uint64_t size_bytes = 0;
};

struct RecoveredLog {
  std::vector<BegunSegment> segments;       // oldest first; the last one is written on
  std::uint64_t write_offset = 0;           // in the last one
  std::optional<PreparedSegment> prepared;  // number = the last one's + 1
  std::uint64_t next_number = 1;            // of the segment after the last begun one
  std::uint64_t last_commit = 0;
  EndByPartition ends;  // of all partitions known
  std::uint64_t torn_tail_bytes = 0;
};

Result<RecoveredLog> recover_log(runtime::FileSystem& files, const LogOptions& options,
                                 const std::map<StreamPartition, Offset>& first_offsets,
                                 const std::function<Status(const RecoveredBatch&)>& visit);

}  // namespace millrace::log
