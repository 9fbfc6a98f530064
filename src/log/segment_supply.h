// The segment that comes next, made ready before it is needed: a free one renamed, else a new one
// filled with zeros (a commit into written space costs a tenth of one into fresh space). Owns: the
// free files. Thread: any; prepare() on one at a time, and nothing waits for it. Errors: those of
// the file system; nothing half-made stays. Invariant: a file under a segment's name has its full
// size, and its name is durable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "log/commit_log.h"
#include "log/recovery.h"
#include "runtime/file_system.h"

namespace millrace::log {

class SegmentSupply {
 public:
  SegmentSupply(runtime::FileSystem& files, const LogOptions& options)
      : files_(files), options_(options) {}

  /// Takes over the free files of an earlier run, removes what it left half-made.
  Status open() EXCLUDES(mutex_);
  /// Whether prepare() will be a rename.
  [[nodiscard]] bool has_free() EXCLUDES(mutex_);
  Result<PreparedSegment> prepare(std::uint64_t number) EXCLUDES(mutex_);
  /// Takes a segment that is not needed any more: kept for reuse or removed.
  Status release(std::uint64_t number) EXCLUDES(mutex_);
  /// Writes zeros over [begin, end) and syncs them.
  static Status fill(runtime::File& file, std::uint64_t begin, std::uint64_t end);

 private:
  Result<PreparedSegment> create(std::uint64_t number);

  runtime::FileSystem& files_;
  const LogOptions& options_;
  Mutex mutex_;
  std::vector<std::string> free_ GUARDED_BY(mutex_);
};

}  // namespace millrace::log
