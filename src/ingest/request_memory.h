// What requests with an Idempotency-Key were answered: the same key with the same bytes gets the
// same answer again, exactly, across restarts (docs/decisions/0023). A request's key and answer are
// a record of the log, in the group of its events, so both are durable or none; its positions
// follow from the batches before it. Before the lake takes events, what the log says of their
// requests is saved in files of its own, since the log may then let go of them. Memory: the newest
// kEntriesMax keys of the last kKeptUs. Threads: begin() and entry() on the endpoints', know() and
// finish() on the apply thread, save() on the lake writer's, meet() before all of them. Errors:
// kDataLoss (kChecksum) for a damaged file; those of the disk.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "ingest/ingest_reply.h"
#include "log/commit_log.h"
#include "runtime/file_system.h"

namespace millrace::ingest {

struct RequestKey {
  StreamId stream;
  std::string key;
  auto operator<=>(const RequestKey&) const = default;
};

/// XXH3 of what makes a request the same one.
struct RequestPrint {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const RequestPrint&) const = default;
};
[[nodiscard]] RequestPrint request_print(std::string_view type, std::string_view body);

class RequestMemory {
 public:
  using Done = std::function<void(Result<IngestReply>)>;
  static constexpr std::size_t kEntriesMax = 200'000;
  static constexpr std::int64_t kKeptUs = std::int64_t{24} * 3600 * 1'000'000;
  static constexpr std::size_t kKeyBytesMax = 255;

  static Result<std::unique_ptr<RequestMemory>> open(runtime::FileSystem& files,
                                                     std::filesystem::path folder);

  /// What the log need not have any more of kRequestsStream.
  [[nodiscard]] Offset saved_end() const;
  /// At the start: each batch of the log, in its order.
  Status meet(const log::RecoveredBatch& batch);

  /// nullopt: the request is new, and the caller calls finish() with its outcome, whatever it is.
  /// Else `done` was told, or will be when the first of its kind is finished.
  [[nodiscard]] bool begin(const RequestKey& key, const RequestPrint& print, std::int64_t now_us,
                           Done& done);
  /// The record that goes behind the request's events into its group.
  [[nodiscard]] log::LogEntry entry(const RequestKey& key, const RequestPrint& print,
                                    std::int64_t arrival_us, const IngestReply& reply,
                                    std::span<const PartitionId> partitions) const;
  /// The log has it: `end` is behind the request's record.
  void know(const RequestKey& key, const RequestPrint& print, std::int64_t arrival_us,
            const IngestReply& reply, Offset end);
  /// Tells who waits. After an error the key is free again.
  void finish(const RequestKey& key, const Result<IngestReply>& reply);

  /// What was known before the call is durable when it returns.
  Status save();
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    RequestPrint print;
    bool is_known = false;     // durable, with its positions
    bool is_finished = false;  // and visible: it may be told
    std::int64_t time_us = 0;
    IngestReply reply;
    std::vector<Done> waiting;
  };
  struct Record {
    RequestKey key;
    RequestPrint print;
    std::int64_t time_us = 0;
    IngestReply reply;
    std::uint64_t end = 0;
  };

  RequestMemory(runtime::FileSystem& files, std::filesystem::path folder)
      : files_(files), folder_(std::move(folder)) {}
  static std::string encode(const Record& record);
  static Result<Record> decode(std::string_view bytes);
  Status load();
  void keep(Record record, bool finished) REQUIRES(mutex_);
  void forget_old(std::int64_t now_us) REQUIRES(mutex_);
  [[nodiscard]] std::filesystem::path path_of(std::uint64_t number) const;
  Status write(std::uint64_t number, bool is_whole, const std::vector<Record>& records,
               std::uint64_t end);

  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
  mutable Mutex mutex_;
  std::map<RequestKey, Entry> entries_ GUARDED_BY(mutex_);
  std::deque<std::pair<std::int64_t, RequestKey>> by_age_ GUARDED_BY(mutex_);
  std::vector<Record> unsaved_ GUARDED_BY(mutex_);
  std::uint64_t known_end_ GUARDED_BY(mutex_) = 0;
  std::uint64_t saved_end_ GUARDED_BY(mutex_) = 0;
  /// At the start: where each partition stands in the log.
  std::map<log::StreamPartition, Offset> ends_;
  // The saving thread's alone.
  std::uint64_t next_file_ = 1;
  std::vector<std::uint64_t> live_files_;
};

}  // namespace millrace::ingest
