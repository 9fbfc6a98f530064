// The threads of the log. The log thread takes what is queued, frames it into one buffer, writes it
// with one call (two where the segment rolls), syncs, publishes the ends and hands the groups to
// the sink. The supply thread makes the next segment ready. What only the log thread touches is
// marked so and needs no lock.
#include "log/commit_log.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "log/frame.h"
#include "log/recovery.h"
#include "log/segment_supply.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/thread_priority.h"
#include "wire/record_batch.h"

namespace millrace::log {
namespace {

constexpr std::uint64_t kSegmentBytesMin = 4096;
/// An ends table may take this part of a segment; above it the segment goes without.
constexpr std::uint64_t kEndsTableShare = 8;
/// A mark is written whenever the log falls idle: it carries its table only while that is small.
constexpr std::size_t kIdleMarkEndsMax = 256;

std::unexpected<Error> stopping() {
  return fail(ErrorCode::kUnavailable, error_id::kStopping, "the log is stopping");
}

class SegmentedCommitLog final : public CommitLog {
 public:
  SegmentedCommitLog(runtime::FileSystem& files, LogOptions options)
      : options_(std::move(options)), supply_(files, options_), files_(files) {}
  ~SegmentedCommitLog() override { SegmentedCommitLog::stop(); }
  SegmentedCommitLog(const SegmentedCommitLog&) = delete;
  SegmentedCommitLog& operator=(const SegmentedCommitLog&) = delete;

  Status open(const std::map<StreamPartition, Offset>& first_offsets,
              const std::function<Status(const RecoveredBatch&)>& visit);

  void start(CommitSink sink) override EXCLUDES(mutex_, threads_mutex_);
  void stop() override EXCLUDES(mutex_, threads_mutex_);
  Status append(LogGroup group) override EXCLUDES(mutex_);
  [[nodiscard]] Result<std::string> read(const LogPlace& place) const override EXCLUDES(mutex_);
  Status trim(const std::map<StreamPartition, Offset>& covered) override
      EXCLUDES(mutex_, trim_mutex_);
  [[nodiscard]] Offset end(StreamId stream, PartitionId partition) const override EXCLUDES(mutex_);
  [[nodiscard]] LogStatistics statistics() const override EXCLUDES(mutex_);

 private:
  struct Queued {
    LogGroup group;
    std::uint64_t bytes = 0;
  };
  struct Segment {
    std::shared_ptr<runtime::File> file;
    EndByPartition ends;
  };
  /// Where the log thread writes.
  struct Active {
    std::uint64_t number = 0;
    std::shared_ptr<runtime::File> file;
    std::uint64_t size_bytes = 0;
    std::uint64_t salt = 0;
    std::uint64_t write_offset = 0;
  };
  /// Bytes of one commit in one segment.
  struct Piece {
    Active segment;
    std::string* bytes = nullptr;
    EndByPartition ends;
  };

  void run_log() EXCLUDES(mutex_);
  void run_supply() EXCLUDES(mutex_);
  std::vector<LogGroup> take_groups(std::uint64_t& bytes) REQUIRES(mutex_);
  Status commit(std::vector<LogGroup>& groups) EXCLUDES(mutex_);
  [[nodiscard]] bool fits(const std::vector<LogGroup>& groups) const;
  Result<PreparedSegment> take_prepared() EXCLUDES(mutex_);
  void frame_groups(std::vector<LogGroup>& groups, std::optional<PreparedSegment> next,
                    std::vector<Piece>& pieces);
  void begin_segment(PreparedSegment next, std::vector<Piece>& pieces);
  Status write_pieces(const std::vector<Piece>& pieces);
  void publish(std::vector<Piece> pieces, const std::vector<LogGroup>& groups) EXCLUDES(mutex_);
  Status write_mark(bool with_every_end);
  [[nodiscard]] std::string ends_table(std::size_t bytes_max) const;

  [[nodiscard]] std::uint64_t group_bytes_max() const {
    return options_.segment_bytes - options_.segment_bytes / kEndsTableShare -
           2 * kFrameHeaderBytes;
  }

  const LogOptions options_;
  SegmentSupply supply_;
  runtime::FileSystem& files_;

  // The log thread's own, set up by open().
  CommitSink sink_;
  std::optional<Active> active_;
  std::uint64_t last_commit_ = 0;
  EndByPartition next_offsets_;
  std::string buffers_[2];
  std::string mark_buffer_;
  /// The next idle moment writes a mark.
  bool mark_due_ = false;

  mutable Mutex mutex_;
  CondVar work_;      // the log thread waits: groups, the next segment, the end
  CondVar shortage_;  // the supply thread waits
  std::deque<Queued> queue_ GUARDED_BY(mutex_);
  std::uint64_t queue_bytes_ GUARDED_BY(mutex_) = 0;  // with the groups being committed
  bool log_waits_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool log_ended_ GUARDED_BY(mutex_) = false;
  std::optional<Error> failure_ GUARDED_BY(mutex_);
  std::map<std::uint64_t, Segment> segments_ GUARDED_BY(mutex_);
  EndByPartition ends_ GUARDED_BY(mutex_);
  LogStatistics statistics_ GUARDED_BY(mutex_);
  // The next segment: wanted by the log thread, made by the supply thread.
  std::uint64_t next_number_ GUARDED_BY(mutex_) = 1;
  bool next_wanted_ GUARDED_BY(mutex_) = false;
  std::optional<PreparedSegment> next_ GUARDED_BY(mutex_);
  std::optional<Error> next_error_ GUARDED_BY(mutex_);

  Mutex trim_mutex_;
  /// Streams that the last trim() did not name.
  std::set<StreamId> unnamed_ GUARDED_BY(trim_mutex_);

  Mutex threads_mutex_;
  std::thread log_thread_ GUARDED_BY(threads_mutex_);
  std::thread supply_thread_ GUARDED_BY(threads_mutex_);
};

Status SegmentedCommitLog::open(const std::map<StreamPartition, Offset>& first_offsets,
                                const std::function<Status(const RecoveredBatch&)>& visit) {
  if (options_.segment_bytes < kSegmentBytesMin || options_.segment_bytes % kFrameAlignment != 0) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "a log segment of {} bytes: at least {}, and a multiple of {}",
                options_.segment_bytes, kSegmentBytesMin, kFrameAlignment);
  }
  MR_RETURN_IF_ERROR(files_.create_directories(options_.folder));
  if (options_.folder.has_parent_path()) {
    MR_RETURN_IF_ERROR(files_.sync_directory(options_.folder.parent_path()));
  }
  MR_TRY(RecoveredLog recovered, recover_log(files_, options_, first_offsets, visit));
  MR_RETURN_IF_ERROR(supply_.open());

  if (!recovered.segments.empty()) {
    BegunSegment& last = recovered.segments.back();
    if (last.size_bytes < options_.segment_bytes && recovered.write_offset < last.size_bytes) {
      MR_RETURN_IF_ERROR(SegmentSupply::fill(*last.file, last.size_bytes, options_.segment_bytes));
      last.size_bytes = options_.segment_bytes;
    }
    active_ = Active{.number = last.number,
                     .file = last.file,
                     .size_bytes = last.size_bytes,
                     .salt = last.salt,
                     .write_offset = recovered.write_offset};
    mark_due_ = true;
  }
  last_commit_ = recovered.last_commit;
  next_offsets_ = recovered.ends;

  const MutexLock lock(mutex_);
  ends_ = std::move(recovered.ends);
  for (BegunSegment& segment : recovered.segments) {
    segments_[segment.number] = {.file = std::move(segment.file), .ends = std::move(segment.ends)};
  }
  next_number_ = recovered.next_number;
  next_ = std::move(recovered.prepared);
  statistics_.torn_tail_bytes = recovered.torn_tail_bytes;
  return {};
}

void SegmentedCommitLog::start(CommitSink sink) {
  const MutexLock threads(threads_mutex_);
  MR_CHECK(!log_thread_.joinable(), "the log was started twice");
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    next_wanted_ = !active_.has_value() && !next_.has_value();
  }
  sink_ = std::move(sink);
  supply_thread_ = std::thread([this] {
    runtime::name_thread("log-supply");
    run_supply();
  });
  log_thread_ = std::thread([this] {
    runtime::name_thread("log");
    run_log();
  });
}

void SegmentedCommitLog::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  // The log thread may still need a segment: the supply ends after it.
  const MutexLock threads(threads_mutex_);
  if (log_thread_.joinable()) log_thread_.join();
  {
    const MutexLock lock(mutex_);
    log_ended_ = true;
    shortage_.notify_all();
  }
  if (supply_thread_.joinable()) supply_thread_.join();
}

Status SegmentedCommitLog::append(LogGroup group) {
  std::uint64_t bytes = 0;
  for (const LogEntry& entry : group.entries) {
    if (entry.batch.size() < wire::kRecordBatchHeaderBytes || entry.record_count == 0) {
      return fail(ErrorCode::kInvalidArgument, error_id::kInternal,
                  "a record batch of {} bytes with {} records", entry.batch.size(),
                  entry.record_count);
    }
    bytes += framed_bytes(entry.batch.size());
  }
  if (bytes > group_bytes_max()) {
    return fail(ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
                "{} bytes are more than the log takes at once, which is {}", bytes,
                group_bytes_max());
  }
  const MutexLock lock(mutex_);
  if (failure_.has_value()) return std::unexpected(*failure_);
  if (stopping_) return stopping();
  if (queue_bytes_ > 0 && queue_bytes_ + bytes > options_.queue_bytes_max) {
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy,
                "{} bytes wait to be written to the log, the limit is {}", queue_bytes_,
                options_.queue_bytes_max);
  }
  queue_bytes_ += bytes;
  queue_.push_back({.group = std::move(group), .bytes = bytes});
  if (log_waits_) work_.notify_all();
  return {};
}

std::vector<LogGroup> SegmentedCommitLog::take_groups(std::uint64_t& bytes) {
  const std::uint64_t bytes_max = std::min(options_.commit_bytes_max, group_bytes_max());
  std::vector<LogGroup> groups;
  bytes = 0;
  while (!queue_.empty() && (groups.empty() || bytes + queue_.front().bytes <= bytes_max)) {
    bytes += queue_.front().bytes;
    groups.push_back(std::move(queue_.front().group));
    queue_.pop_front();
  }
  return groups;
}

void SegmentedCommitLog::run_log() {
  while (true) {
    std::vector<LogGroup> groups;
    std::uint64_t bytes = 0;
    Status status;
    {
      mutex_.lock();
      while (queue_.empty() && !stopping_) {
        if (mark_due_ && !failure_.has_value()) {
          // Nobody waits for the mark, and no acknowledgement depends on it: its error is the next
          // commit's.
          mutex_.unlock();
          static_cast<void>(write_mark(false));
          mark_due_ = false;
          mutex_.lock();
          continue;
        }
        log_waits_ = true;
        work_.wait(mutex_);
        log_waits_ = false;
      }
      const bool at_end = queue_.empty();
      const bool failed = failure_.has_value();
      if (!at_end) groups = take_groups(bytes);
      if (failed) status = std::unexpected(*failure_);
      mutex_.unlock();
      if (at_end) {
        // The close mark: damage to the last commit is told from a torn tail even after a power
        // loss.
        if (!failed && active_.has_value() && write_mark(true)) {
          static_cast<void>(active_->file->sync_data());
        }
        return;
      }
    }
    if (status) status = commit(groups);
    mark_due_ = true;
    {
      const MutexLock lock(mutex_);
      queue_bytes_ -= bytes;
    }
    sink_(std::move(groups), status);
  }
}

void SegmentedCommitLog::run_supply() {
  while (true) {
    std::uint64_t number = 0;
    {
      mutex_.lock();
      while (!log_ended_ && !(next_wanted_ && !next_.has_value() && !next_error_.has_value())) {
        shortage_.wait(mutex_);
      }
      const bool ended = log_ended_;
      number = next_number_;
      mutex_.unlock();
      if (ended) return;
    }
    auto prepared = supply_.prepare(number);
    const MutexLock lock(mutex_);
    next_wanted_ = false;
    if (prepared) {
      next_ = std::move(*prepared);
    } else {
      next_error_ = std::move(prepared).error();
    }
    work_.notify_all();
  }
}

bool SegmentedCommitLog::fits(const std::vector<LogGroup>& groups) const {
  if (!active_.has_value()) return false;
  std::uint64_t bytes = kFrameHeaderBytes;  // for the segment's end
  for (const LogGroup& group : groups) {
    for (const LogEntry& entry : group.entries) bytes += framed_bytes(entry.batch.size());
  }
  return active_->write_offset + bytes <= active_->size_bytes;
}

Result<PreparedSegment> SegmentedCommitLog::take_prepared() {
  const MutexLock lock(mutex_);
  // An error of an earlier attempt was told to nobody: it may be over.
  next_error_.reset();
  while (!next_.has_value()) {
    if (next_error_.has_value()) {
      Error error = std::move(*next_error_);
      next_error_.reset();
      return std::unexpected(std::move(error).within("cannot make the next log segment"));
    }
    next_wanted_ = true;
    shortage_.notify_all();
    work_.wait(mutex_);
  }
  PreparedSegment taken = std::move(*next_);
  next_.reset();
  next_number_ = taken.number + 1;
  return taken;
}

Status SegmentedCommitLog::commit(std::vector<LogGroup>& groups) {
  std::uint64_t entries = 0;
  for (const LogGroup& group : groups) entries += group.entries.size();
  if (entries == 0) return {};
  std::optional<PreparedSegment> next;
  if (!fits(groups)) {
    // Nothing is written yet: where the disk is full these groups fail and the log goes on.
    MR_TRY(PreparedSegment prepared, take_prepared());
    next = std::move(prepared);
  }
  ++last_commit_;
  std::vector<Piece> pieces;
  frame_groups(groups, std::move(next), pieces);
  const std::int64_t began_us = runtime::monotonic_us();
  if (auto written = write_pieces(pieces); !written) {
    // What of it reached the device is unknown: after a restart recovery looks.
    Error error = std::move(written).error().within("the log refuses appends until a restart");
    error.code = ErrorCode::kUnavailable;
    error.id = error_id::kDiskFailed;
    const MutexLock lock(mutex_);
    failure_ = error;
    return std::unexpected(std::move(error));
  }
  {
    const MutexLock lock(mutex_);
    statistics_.commits += 1;
    statistics_.sync_us_sum += static_cast<std::uint64_t>(runtime::monotonic_us() - began_us);
    for (const Piece& piece : pieces) statistics_.bytes += piece.bytes->size();
  }
  publish(std::move(pieces), groups);
  for (std::string& buffer : buffers_) {
    // One giant group must not hold its memory for ever.
    if (buffer.capacity() > 2 * options_.commit_bytes_max) std::string().swap(buffer);
  }
  return {};
}

void SegmentedCommitLog::frame_groups(std::vector<LogGroup>& groups,
                                      std::optional<PreparedSegment> next,
                                      std::vector<Piece>& pieces) {
  if (active_.has_value()) {
    buffers_[0].clear();
    pieces.push_back({.segment = *active_, .bytes = &buffers_[0], .ends = {}});
  } else {
    begin_segment(std::move(*next), pieces);
    next.reset();
  }
  LogEntry* last = nullptr;
  for (LogGroup& group : groups) {
    if (!group.entries.empty()) last = &group.entries.back();
  }
  for (LogGroup& group : groups) {
    for (LogEntry& entry : group.entries) {
      const std::uint64_t key = partition_key(entry.stream, entry.partition);
      const std::uint64_t needed = framed_bytes(entry.batch.size()) + kFrameHeaderBytes;
      if (next.has_value()) {
        const Piece& piece = pieces.back();
        if (piece.segment.write_offset + piece.bytes->size() + needed > piece.segment.size_bytes) {
          begin_segment(std::move(*next), pieces);
          next.reset();
        }
      }
      Piece& piece = pieces.back();
      std::uint64_t& offset = next_offsets_[key];
      entry.base_offset = Offset(offset);
      offset += entry.record_count;
      wire::set_base_offset(entry.batch, entry.base_offset.value);
      entry.place = {.segment = piece.segment.number,
                     .offset = piece.segment.write_offset + piece.bytes->size() + kFrameHeaderBytes,
                     .size_bytes = static_cast<std::uint32_t>(entry.batch.size())};
      append_frame({.kind = FrameKind::kBatch,
                    .flags = &entry == last ? kLastOfCommit : std::uint8_t{0},
                    .segment = piece.segment.number,
                    .commit = last_commit_,
                    .salt = piece.segment.salt,
                    .base_offset = entry.base_offset.value,
                    .stream = entry.stream.value,
                    .partition = entry.partition.value,
                    .record_count = entry.record_count,
                    .payload = entry.batch},
                   *piece.bytes);
      piece.ends[key] = offset;
    }
  }
}

void SegmentedCommitLog::begin_segment(PreparedSegment next, std::vector<Piece>& pieces) {
  if (!pieces.empty()) {
    Piece& before = pieces.back();
    if (before.segment.write_offset + before.bytes->size() + kFrameHeaderBytes <=
        before.segment.size_bytes) {
      append_frame({.kind = FrameKind::kSegmentEnd,
                    .segment = before.segment.number,
                    .commit = last_commit_,
                    .salt = before.segment.salt,
                    .payload = {}},
                   *before.bytes);
    }
  }
  buffers_[1].clear();
  Piece piece{.segment = {.number = next.number,
                          .file = std::move(next.file),
                          .size_bytes = next.size_bytes,
                          .salt = runtime::random_u64(),
                          .write_offset = 0},
              .bytes = &buffers_[1],
              .ends = {}};
  const std::string table = ends_table(next.size_bytes / kEndsTableShare);
  append_frame({.kind = FrameKind::kSegmentBegin,
                .flags = table.empty() ? std::uint8_t{0} : kHasEndsTable,
                .segment = piece.segment.number,
                .commit = last_commit_,
                .salt = piece.segment.salt,
                .payload = table},
               *piece.bytes);
  pieces.push_back(std::move(piece));
}

Status SegmentedCommitLog::write_pieces(const std::vector<Piece>& pieces) {
  for (const Piece& piece : pieces) {
    MR_RETURN_IF_ERROR(
        piece.segment.file->write_at(piece.segment.write_offset, as_bytes(*piece.bytes)));
  }
  for (const Piece& piece : pieces) {
    if (!piece.bytes->empty()) MR_RETURN_IF_ERROR(piece.segment.file->sync_data());
  }
  return {};
}

void SegmentedCommitLog::publish(std::vector<Piece> pieces, const std::vector<LogGroup>& groups) {
  active_ = pieces.back().segment;
  active_->write_offset += pieces.back().bytes->size();
  const bool supply_now = supply_.has_free();
  const MutexLock lock(mutex_);
  for (Piece& piece : pieces) {
    // A segment counts as begun from its first durable commit on: trimming relies on it.
    Segment& segment = segments_[piece.segment.number];
    segment.file = piece.segment.file;
    for (const auto& [key, end] : piece.ends) {
      segment.ends[key] = end;
      ends_[key] = end;
    }
  }
  for (const LogGroup& group : groups) {
    for (const LogEntry& entry : group.entries) statistics_.records += entry.record_count;
  }
  // A rename is quick; zeros for a whole segment wait until a quarter of this one is used.
  if (!next_.has_value() && !next_wanted_ &&
      (supply_now || active_->write_offset >= active_->size_bytes / 4)) {
    next_error_.reset();
    next_wanted_ = true;
    shortage_.notify_all();
  }
}

std::string SegmentedCommitLog::ends_table(std::size_t bytes_max) const {
  if (next_offsets_.size() * kPartitionEndBytes > bytes_max) return {};
  std::vector<PartitionEnd> lines;
  lines.reserve(next_offsets_.size());
  for (const auto& [key, end] : next_offsets_) {
    const auto [stream, partition] = stream_partition(key);
    lines.push_back({.stream = stream.value, .partition = partition.value, .end = end});
  }
  return encode_ends_table(lines);
}

Status SegmentedCommitLog::write_mark(bool with_every_end) {
  if (!active_.has_value()) return {};
  const std::uint64_t room = active_->size_bytes - active_->write_offset;
  if (room < kFrameHeaderBytes) return {};
  std::uint64_t table_bytes_max =
      std::min(room - kFrameHeaderBytes, active_->size_bytes / kEndsTableShare);
  if (!with_every_end) {
    table_bytes_max =
        std::min<std::uint64_t>(table_bytes_max, kIdleMarkEndsMax * kPartitionEndBytes);
  }
  const std::string table = ends_table(table_bytes_max);
  mark_buffer_.clear();
  append_frame({.kind = FrameKind::kMark,
                .flags = table.empty() ? std::uint8_t{0} : kHasEndsTable,
                .segment = active_->number,
                .commit = last_commit_ + 1,
                .salt = active_->salt,
                .payload = table},
               mark_buffer_);
  return active_->file->write_at(active_->write_offset, as_bytes(mark_buffer_));
}

Result<std::string> SegmentedCommitLog::read(const LogPlace& place) const {
  const auto trimmed = [&] {
    return fail(ErrorCode::kNotFound, error_id::kInternal,
                "log segment {} was trimmed: its events are in the lake", place.segment);
  };
  std::shared_ptr<runtime::File> file;
  {
    const MutexLock lock(mutex_);
    const auto found = segments_.find(place.segment);
    if (found == segments_.end()) return trimmed();
    file = found->second.file;
  }
  if (place.offset < kFrameHeaderBytes) {
    return fail(ErrorCode::kInvalidArgument, error_id::kInternal,
                "log segment {} has no batch at byte {}", place.segment, place.offset);
  }
  std::string bytes;
  bytes.resize_and_overwrite(kFrameHeaderBytes + place.size_bytes,
                             [](char*, std::size_t size) { return size; });
  auto got = file->read_at(place.offset - kFrameHeaderBytes,
                           std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  if (!got) return std::unexpected(std::move(got).error());
  bytes.resize(*got);
  Frame frame;
  const bool whole =
      check_frame(bytes, 0, place.segment, std::nullopt, frame) == FrameCheck::kWhole &&
      frame.kind == FrameKind::kBatch && frame.payload.size() == place.size_bytes;
  if (whole) {
    bytes.erase(0, kFrameHeaderBytes);
    return bytes;
  }
  // Trimmed and written anew while it was read?
  const MutexLock lock(mutex_);
  if (!segments_.contains(place.segment)) return trimmed();
  return fail(ErrorCode::kDataLoss, error_id::kChecksum,
              "log segment {} has no whole record batch of {} bytes at byte {}", place.segment,
              place.size_bytes, place.offset);
}

Status SegmentedCommitLog::trim(const std::map<StreamPartition, Offset>& covered) {
  std::set<StreamId> named;
  for (const auto& [partition, offset] : covered) named.insert(partition.first);
  std::set<StreamId> unnamed;
  std::vector<std::uint64_t> released;
  const MutexLock trimming(trim_mutex_);
  const std::set<StreamId> dropped = unnamed_;
  {
    const MutexLock lock(mutex_);
    for (const auto& [number, segment] : segments_) {
      for (const auto& [key, end] : segment.ends) {
        const StreamId stream = stream_partition(key).first;
        if (!named.contains(stream)) unnamed.insert(stream);
      }
    }
    const auto is_covered = [&](std::uint64_t key, std::uint64_t end) {
      const StreamPartition partition = stream_partition(key);
      if (!named.contains(partition.first)) return dropped.contains(partition.first);
      const auto found = covered.find(partition);
      return found != covered.end() && end <= found->second.value;
    };
    while (segments_.size() > 1) {
      const auto& [number, segment] = *segments_.begin();
      bool all = true;
      for (const auto& [key, end] : segment.ends) all = all && is_covered(key, end);
      if (!all) break;
      released.push_back(number);
      segments_.erase(segments_.begin());
    }
  }
  unnamed_ = std::move(unnamed);
  for (const std::uint64_t number : released) MR_RETURN_IF_ERROR(supply_.release(number));
  if (!released.empty()) MR_RETURN_IF_ERROR(files_.sync_directory(options_.folder));
  return {};
}

Offset SegmentedCommitLog::end(StreamId stream, PartitionId partition) const {
  const MutexLock lock(mutex_);
  const auto found = ends_.find(partition_key(stream, partition));
  return Offset(found == ends_.end() ? 0 : found->second);
}

LogStatistics SegmentedCommitLog::statistics() const {
  const MutexLock lock(mutex_);
  LogStatistics statistics = statistics_;
  statistics.queue_bytes = queue_bytes_;
  statistics.segments = segments_.size();
  return statistics;
}

}  // namespace

Result<std::unique_ptr<CommitLog>> CommitLog::open(
    runtime::FileSystem& files, LogOptions options,
    const std::map<StreamPartition, Offset>& first_offsets,
    const std::function<Status(const RecoveredBatch&)>& visit) {
  auto log = std::make_unique<SegmentedCommitLog>(files, std::move(options));
  MR_RETURN_IF_ERROR(log->open(first_offsets, visit));
  return log;
}

}  // namespace millrace::log
