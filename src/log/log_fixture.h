// What the tests of the log share: batches whose records say where they belong, a sink that
// remembers, and a folder that goes away.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "log/commit_log.h"
#include "wire/record_batch.h"

namespace millrace::log {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count = 0;
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("millrace-log-{}-{}", ::getpid(), count.fetch_add(1));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// One record batch; its records are `text` and a number.
inline LogEntry entry(std::uint32_t stream, std::uint32_t partition, std::uint32_t records,
                      const std::string& text) {
  std::vector<std::string> values;
  for (std::uint32_t i = 0; i < records; ++i) values.push_back(fmt::format("{}/{}", text, i));
  const std::vector<std::string_view> views(values.begin(), values.end());
  LogEntry made{.stream = StreamId(stream),
                .partition = PartitionId(partition),
                .record_count = records,
                .batch = {},
                .base_offset = {},
                .place = {}};
  wire::encode_record_batch(views, 1'000, made.batch);
  return made;
}

inline LogGroup group(LogEntry first) {
  LogGroup made;
  made.entries.push_back(std::move(first));
  return made;
}

inline std::vector<std::string> values_of(std::string_view batch) {
  std::vector<std::string> values;
  const Status status =
      wire::for_each_record(batch, [&](std::string_view value) { values.emplace_back(value); });
  EXPECT_TRUE(status.has_value());
  return values;
}

struct Acknowledged {
  StreamPartition partition;
  std::uint64_t base_offset = 0;
  std::vector<std::string> values;
  LogPlace place;
};

/// Remembers what the log said, and lets a test wait for it.
class RememberingSink {
 public:
  CommitSink sink() {
    return [this](std::vector<LogGroup> groups, const Status& status) {
      const MutexLock lock(mutex_);
      for (LogGroup& group : groups) {
        ++groups_told_;
        if (!status) {
          failures_.push_back(status.error());
          continue;
        }
        for (LogEntry& entry : group.entries) {
          acknowledged_.push_back({.partition = {entry.stream, entry.partition},
                                   .base_offset = entry.base_offset.value,
                                   .values = values_of(entry.batch),
                                   .place = entry.place});
        }
      }
      told_.notify_all();
    };
  }
  /// False after 20 seconds.
  bool wait_for(std::size_t groups) {
    const MutexLock lock(mutex_);
    for (int turns = 0; groups_told_ < groups; ++turns) {
      if (turns == 200) return false;
      told_.wait_for(mutex_, std::chrono::milliseconds(100));
    }
    return true;
  }
  std::size_t groups_told() {
    const MutexLock lock(mutex_);
    return groups_told_;
  }
  std::vector<Acknowledged> acknowledged() {
    const MutexLock lock(mutex_);
    return acknowledged_;
  }
  std::vector<Error> failures() {
    const MutexLock lock(mutex_);
    return failures_;
  }

 private:
  Mutex mutex_;
  CondVar told_;
  std::size_t groups_told_ GUARDED_BY(mutex_) = 0;
  std::vector<Acknowledged> acknowledged_ GUARDED_BY(mutex_);
  std::vector<Error> failures_ GUARDED_BY(mutex_);
};

using Offsets = std::map<StreamPartition, Offset>;

/// A log that was opened, with what recovery visited.
struct OpenedLog {
  std::unique_ptr<CommitLog> log;
  std::vector<Acknowledged> visited;
  Error error;
};

inline OpenedLog open_log(runtime::FileSystem& files, const LogOptions& options,
                          const Offsets& first_offsets = {}) {
  OpenedLog opened;
  auto log =
      CommitLog::open(files, options, first_offsets, [&](const RecoveredBatch& batch) -> Status {
        opened.visited.push_back({.partition = {batch.stream, batch.partition},
                                  .base_offset = batch.base_offset.value,
                                  .values = values_of(batch.batch),
                                  .place = batch.place});
        EXPECT_EQ(opened.visited.back().values.size(), batch.record_count);
        return {};
      });
  if (log) {
    opened.log = std::move(*log);
  } else {
    opened.error = log.error();
  }
  return opened;
}

}  // namespace millrace::log
