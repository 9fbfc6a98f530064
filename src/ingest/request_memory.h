// What requests with an Idempotency-Key were answered: the same key with the same bytes gets the
// same answer again, exactly, across restarts (docs/decisions/0023). A request's key and answer are
// a record of the log, in the group of its events, so both are durable or none; its positions
// follow from the batches before it. Before the lake takes events, what the log says of their
// requests is saved in files of its own, since the log may then let go of them. Memory: the newest
// answers within RequestLimits. Threads: begin() and entry() on the endpoints', know()
// on the log's, finish() on the apply thread, save() on the lake writer's, meet() before all of
// them. Errors: kDataLoss (kChecksum) for a damaged file; those of the disk.
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

/// What is remembered; what is older or more goes, the oldest first.
struct RequestLimits {
  std::uint64_t entries_max = 200'000;
  std::uint64_t bytes_max = std::uint64_t{128} << 20;
  std::int64_t kept_us = std::int64_t{24} * 3600 * 1'000'000;
};

class RequestMemory {
 public:
  using Done = std::function<void(Result<IngestReply>)>;
  static constexpr std::size_t kKeyBytesMax = 255;

  static Result<std::unique_ptr<RequestMemory>> open(runtime::FileSystem& files,
                                                     std::filesystem::path folder,
                                                     RequestLimits limits);
  /// An answer that is to be remembered lists only the first refused records, and not all of a
  /// long reason: so it is the same each time.
  static void shorten(IngestReply& reply);

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
  /// Enough is known of requests that brought no events, for which the lake has no reason to save.
  [[nodiscard]] bool is_save_due() const;
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    RequestPrint print;
    bool is_known = false;     // durable, with its positions
    bool is_finished = false;  // and visible: it may be told
    std::uint64_t bytes = 0;   // that it counts for, once it is known
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

  struct File;
  RequestMemory(runtime::FileSystem& files, std::filesystem::path folder, RequestLimits limits)
      : files_(files), folder_(std::move(folder)), limits_(limits) {}
  static std::string encode(const Record& record);
  static Result<Record> decode(std::string_view bytes);
  Result<File> read(std::uint64_t number) const;
  Status load();
  void keep(Record record, bool finished) REQUIRES(mutex_);
  void forget_old(std::int64_t now_us) REQUIRES(mutex_);
  [[nodiscard]] std::filesystem::path path_of(std::uint64_t number) const;
  Status write(std::uint64_t number, bool is_whole, const std::vector<Record>& records,
               std::uint64_t end);

  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
  const RequestLimits limits_;
  mutable Mutex mutex_;
  std::map<RequestKey, Entry> entries_ GUARDED_BY(mutex_);
  std::deque<std::pair<std::int64_t, RequestKey>> by_age_ GUARDED_BY(mutex_);
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;
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
