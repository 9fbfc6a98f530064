// One pass over the segments, oldest first. A commit's batches wait until the commit is seen to be
// whole or a later commit proves that it was durable; then they are checked for continuity and
// visited. At the first place that is no frame, all that lies ahead is searched once for a frame of
// a later commit: with one the place is damage in acknowledged data, without one it is the end of
// the log.
#include "log/recovery.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "log/frame.h"

namespace millrace::log {

namespace fs = std::filesystem;

fs::path segment_path(const fs::path& folder, std::uint64_t number) {
  return folder / fmt::format("{:020}.log", number);
}

namespace {

constexpr std::string_view kSegmentSuffix = ".log";
constexpr std::size_t kNumberDigits = 20;

std::optional<std::uint64_t> segment_number(std::string_view name) {
  if (name.size() != kNumberDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  for (const char digit : name.substr(0, kNumberDigits)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    const auto value = static_cast<std::uint64_t>(digit - '0');
    if (number > (std::numeric_limits<std::uint64_t>::max() - value) / 10) return std::nullopt;
    number = number * 10 + value;
  }
  return number;
}

/// Reads whole segments into one buffer that is used again.
class SegmentBuffer {
 public:
  Result<std::string_view> load(runtime::File& file, std::uint64_t size) {
    if (capacity_ < size) {
      bytes_ = std::make_unique_for_overwrite<std::byte[]>(size);
      capacity_ = size;
    }
    MR_TRY(const std::size_t got, file.read_at(0, std::span(bytes_.get(), size)));
    return as_text(ByteSpan(bytes_.get(), got));
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::uint64_t capacity_ = 0;
};

class Recovery {
 public:
  Recovery(runtime::FileSystem& files, const LogOptions& options,
           const std::map<StreamPartition, Offset>& first_offsets,
           const std::function<Status(const RecoveredBatch&)>& visit)
      : files_(files), options_(options), visit_(visit) {
    for (const auto& [partition, offset] : first_offsets) {
      partitions_[partition_key(partition.first, partition.second)].lake_end = offset.value;
    }
  }

  Result<RecoveredLog> run() {
    MR_RETURN_IF_ERROR(open_segments());
    if (!segments_.empty()) {
      MR_RETURN_IF_ERROR(scan_all());
      MR_RETURN_IF_ERROR(erase_behind_the_end());
    }
    return take_result();
  }

 private:
  struct Segment {
    std::uint64_t number = 0;
    std::shared_ptr<runtime::File> file;
    std::uint64_t size_bytes = 0;
    std::uint64_t salt = 0;
    EndByPartition ends;
  };
  /// A place in the log: an index into segments_ and a byte offset.
  struct Place {
    std::size_t segment = 0;
    std::size_t offset = 0;
  };
  struct Partition {
    std::optional<std::uint64_t> lake_end;
    std::optional<std::uint64_t> seen_end;
    [[nodiscard]] std::uint64_t end() const {
      return std::max(lake_end.value_or(0), seen_end.value_or(0));
    }
  };
  /// A frame of the commit under way.
  struct Pending {
    Frame frame;
    std::size_t segment = 0;
    bool damaged = false;
  };
  enum class Outcome { kNextSegment, kEndOfLog };

  Status open_segments() {
    MR_TRY(const std::vector<std::string> names, files_.list(options_.folder));
    for (const std::string& name : names) {
      const auto number = segment_number(name);
      if (!number.has_value()) continue;
      MR_TRY(auto file, files_.open(options_.folder / name, runtime::OpenMode::kReadWrite));
      MR_TRY(const std::uint64_t size, file->size());
      segments_.push_back(
          {.number = *number, .file = std::move(file), .size_bytes = size, .ends = {}});
    }
    // The names have leading zeros and come sorted. Only the tail was ever under an unfinished
    // sync: there memory may know more than the device, so what is dirty is synced and the rest
    // read anew.
    const std::size_t tail =
        segments_.size() - std::min<std::size_t>(segments_.size(), kTailSegments);
    for (std::size_t i = tail; i < segments_.size(); ++i) {
      MR_RETURN_IF_ERROR(segments_[i].file->sync_data());
      MR_RETURN_IF_ERROR(segments_[i].file->forget_cached());
    }
    return {};
  }

  Status scan_all() {
    // A log that does not begin with segment 1 was trimmed, and trimming leaves a durable commit.
    trimmed_ = segments_.front().number != 1;
    complete_ = !trimmed_;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      MR_TRY(const Outcome outcome, scan_segment(i));
      if (outcome == Outcome::kEndOfLog) return check_end();
    }
    if (!hidden_.empty()) return check_end();
    return data_loss(segment_path(options_.folder, segments_.back().number + 1), 0,
                     "the file is missing, and the segment before says that the log goes on in it");
  }

  Status check_end() {
    if (!hidden_.empty()) return lost(hidden_);
    if (trimmed_ && last_commit_ == 0) {
      return data_loss(path_of(0), 0, "no valid frame, and the segments before it are gone");
    }
    return {};
  }

  Result<Outcome> scan_segment(std::size_t index) {
    Segment& segment = segments_[index];
    MR_TRY(const std::string_view bytes,
           buffers_[index % 2].load(*segment.file, segment.size_bytes));
    const SegmentScanner scanner(bytes, segment.number);
    segment.salt = scanner.salt();
    if (index > 0 && segment.number != segments_[index - 1].number + 1) {
      hide(segment_path(options_.folder, segments_[index - 1].number + 1), 0,
           "the file is missing");
    }
    std::size_t offset = 0;
    while (true) {
      Frame frame;
      FrameCheck check = scanner.check(offset, frame);
      if (check != FrameCheck::kNothing && !follows(frame)) check = FrameCheck::kNothing;
      if (check != FrameCheck::kNothing && frame.version != kFrameVersion) {
        return fail(ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
                    "{} has format version {}, this program knows {}", path_of(index).string(),
                    frame.version, kFrameVersion);
      }
      if (check == FrameCheck::kWhole) {
        if (frame.kind == FrameKind::kMark) {
          // The mark proves the commit before it; the next commit is written over the mark.
          MR_RETURN_IF_ERROR(flush());
          last_commit_ = frame.commit - 1;
          complete_ = true;
          if (frame.has_ends_table()) MR_RETURN_IF_ERROR(check_ends_table(frame));
          MR_TRY(const bool damage, durable_beyond(scanner, Place{index, offset}));
          if (!damage) return end_at(Place{index, offset});
          offset = scanner.after(frame);
          hide(path_of(index), offset, "no frame, though a later commit is there");
          continue;
        }
        MR_RETURN_IF_ERROR(note({.frame = frame, .segment = index}));
        if (frame.kind == FrameKind::kSegmentEnd) return Outcome::kNextSegment;
        offset = scanner.after(frame);
        continue;
      }
      MR_TRY(const bool damage, durable_beyond(scanner, Place{index, offset}));
      if (!damage) return end_at(Place{index, offset});
      // What was read of the broken commit is proven, and must not wait for a frame that is gone.
      MR_RETURN_IF_ERROR(flush());
      if (check == FrameCheck::kDamaged && frame.kind == FrameKind::kMark) {
        offset = scanner.after(frame);
        continue;
      }
      if (check == FrameCheck::kDamaged) {
        // The header is good: it says what was lost.
        MR_RETURN_IF_ERROR(note({.frame = frame, .segment = index, .damaged = true}));
        offset = scanner.after(frame);
        continue;
      }
      hide(path_of(index), offset, "no frame, though a later commit is there");
      if (find_next(scanner, offset, frame) == FrameCheck::kNothing) return Outcome::kNextSegment;
      offset = frame.offset;
    }
  }

  /// Whether the frame can come after what was read: commits only go up, and none goes on after its
  /// end.
  [[nodiscard]] bool follows(const Frame& frame) const {
    return frame.commit > last_commit_ || (frame.commit == last_commit_ && !complete_);
  }

  FrameCheck find_next(const SegmentScanner& scanner, std::size_t offset, Frame& frame) const {
    while (true) {
      const FrameCheck check = scanner.find(offset, frame);
      if (check == FrameCheck::kNothing || follows(frame)) return check;
      offset = scanner.after(frame);
    }
  }

  /// The commit to which the first byte that is not there belonged.
  [[nodiscard]] std::uint64_t broken_commit() const {
    return complete_ ? last_commit_ + 1 : last_commit_;
  }

  /// Whether a commit after the one broken at `place` was written: then all before it had been
  /// synced.
  Result<bool> durable_beyond(const SegmentScanner& here, const Place& place) {
    if (!commit_ahead_.has_value()) {
      // The highest of all that is ahead of the first such place. At a later place it is still
      // ahead whenever it is above the commit there.
      commit_ahead_ = 0;
      look_ahead(here, place.offset);
      SegmentBuffer buffer;
      for (std::size_t i = place.segment + 1; i < segments_.size(); ++i) {
        MR_TRY(const std::string_view bytes,
               buffer.load(*segments_[i].file, segments_[i].size_bytes));
        look_ahead(SegmentScanner(bytes, segments_[i].number), 0);
      }
    }
    return std::max(*commit_ahead_, proven_commit_) > broken_commit();
  }

  void look_ahead(const SegmentScanner& scanner, std::size_t offset) {
    Frame frame;
    for (; scanner.find(offset, frame) != FrameCheck::kNothing; offset = scanner.after(frame)) {
      commit_ahead_ = std::max(*commit_ahead_, frame.commit);
      frames_ahead_ = frames_ahead_ || frame.kind != FrameKind::kMark;
    }
  }

  Status note(Pending item) {
    const Frame& frame = item.frame;
    if (frame.commit != last_commit_) {
      // A later commit proves the one before.
      MR_RETURN_IF_ERROR(flush());
      if (last_commit_ == 0 && trimmed_) proven_commit_ = frame.commit + 1;
      before_commit_ = last_commit_;
      last_commit_ = frame.commit;
      commit_start_ = Place{item.segment, frame.offset};
    }
    complete_ = frame.last_of_commit();
    pending_.push_back(std::move(item));
    return complete_ ? flush() : Status{};
  }

  Status flush() {
    for (const Pending& item : pending_) {
      if (item.frame.kind == FrameKind::kBatch) {
        MR_RETURN_IF_ERROR(accept(item));
      } else if (item.frame.has_ends_table() && !item.damaged) {
        MR_RETURN_IF_ERROR(check_ends_table(item.frame));
      }
    }
    pending_.clear();
    return {};
  }

  Status accept(const Pending& item) {
    const Frame& frame = item.frame;
    const StreamId stream(frame.stream);
    const PartitionId partition(frame.partition);
    const std::uint64_t key = partition_key(stream, partition);
    Partition& state = partitions_[key];
    const std::uint64_t begin = frame.base_offset;
    const std::uint64_t end = begin + frame.record_count;
    const auto in_lake = [&](std::uint64_t offset) { return offset <= state.lake_end.value_or(0); };
    const fs::path path = path_of(item.segment);
    if (item.damaged && !in_lake(end)) {
      return data_loss(
          path, frame.offset,
          fmt::format("the record batch of stream {} partition {}, offsets {} to {}, fails "
                      "its checksum",
                      stream, partition, begin, end));
    }
    if (state.seen_end.has_value() ? begin < *state.seen_end : false) {
      return data_loss(path, frame.offset,
                       fmt::format("stream {} partition {} goes on at offset {}, expected {}",
                                   stream, partition, begin, *state.seen_end));
    }
    // A gap that the lake covers is none. The start of a partition of which nothing is known is
    // believed only where segments were trimmed.
    const bool unknown_start =
        trimmed_ && !state.seen_end.has_value() && !state.lake_end.has_value();
    if (begin != state.seen_end.value_or(0) && !in_lake(begin) && !unknown_start) {
      if (!hidden_.empty()) return lost(hidden_);
      return data_loss(path, frame.offset,
                       fmt::format("stream {} partition {} goes on at offset {}, expected {}",
                                   stream, partition, begin, state.end()));
    }
    state.seen_end = end;
    segments_[item.segment].ends[key] = end;
    if (item.damaged || (state.lake_end.has_value() && end <= *state.lake_end)) return {};
    return visit_(RecoveredBatch{
        .stream = stream,
        .partition = partition,
        .base_offset = Offset(begin),
        .record_count = frame.record_count,
        .place = {.segment = segments_[item.segment].number,
                  .offset = frame.offset + kFrameHeaderBytes,
                  .size_bytes = static_cast<std::uint32_t>(frame.payload.size())},
        .batch = frame.payload,
    });
  }

  /// What the log held at this place, against what was met or is in the lake. Settles hidden
  /// damage.
  Status check_ends_table(const Frame& frame) {
    const bool baseline = trimmed_ && frame.segment == segments_.front().number &&
                          frame.kind == FrameKind::kSegmentBegin;
    for (const PartitionEnd& line : decode_ends_table(frame.payload)) {
      const StreamId stream(line.stream);
      const PartitionId partition(line.partition);
      Partition& state = partitions_[partition_key(stream, partition)];
      if (baseline && !state.lake_end.has_value() && !state.seen_end.has_value()) {
        state.seen_end = line.end;  // of a dropped stream: nobody asks for what was trimmed
      }
      if (state.end() >= line.end) continue;
      if (!hidden_.empty()) return lost(hidden_);
      return data_loss(
          segment_path(options_.folder, frame.segment), frame.offset,
          fmt::format("the log before here held stream {} partition {} up to offset {}, "
                      "but log and lake have it up to {} only",
                      stream, partition, line.end, state.end()));
    }
    hidden_.clear();
    return {};
  }

  Result<Outcome> end_at(Place place) {
    if (!complete_ && last_commit_ != 0) {
      // All of a commit, or nothing of it.
      place = commit_start_;
      last_commit_ = before_commit_;
      pending_.clear();
      frames_ahead_ = true;
    }
    end_ = place;
    return Outcome::kEndOfLog;
  }

  /// Overwrites with zeros whatever frames lie behind the end, so that they never come back to
  /// life.
  Status erase_behind_the_end() {
    if (!frames_ahead_) return {};
    for (std::size_t i = end_.segment; i < segments_.size(); ++i) {
      Segment& segment = segments_[i];
      MR_TRY(const std::string_view bytes, buffers_[0].load(*segment.file, segment.size_bytes));
      const SegmentScanner scanner(bytes, segment.number);
      std::size_t begin = 0;
      if (i == end_.segment && end_.offset > 0) {
        MR_TRY(const std::size_t marked, mark_the_end(scanner, segment));
        begin = marked;
      }
      std::size_t end = begin;
      Frame frame;
      for (std::size_t offset = begin; scanner.find(offset, frame) != FrameCheck::kNothing;
           offset = scanner.after(frame)) {
        end = scanner.after(frame);
      }
      if (end == begin) continue;
      torn_tail_bytes_ += end - (i == end_.segment ? end_.offset : begin);
      const Bytes zeros(end - begin);
      MR_RETURN_IF_ERROR(segment.file->write_at(begin, zeros));
      MR_RETURN_IF_ERROR(segment.file->sync_data());
    }
    return {};
  }

  /// What lies behind the end may be what proves damage before it. A mark takes over that proof
  /// before it is erased. Gives where the mark ends.
  Result<std::size_t> mark_the_end(const SegmentScanner& scanner, Segment& segment) {
    Frame frame;
    if (scanner.check(end_.offset, frame) == FrameCheck::kWhole && frame.kind == FrameKind::kMark) {
      return scanner.after(frame);
    }
    if (end_.offset + kFrameHeaderBytes > segment.size_bytes) return end_.offset;
    std::string mark;
    append_frame({.kind = FrameKind::kMark,
                  .segment = segment.number,
                  .commit = last_commit_ + 1,
                  .salt = segment.salt,
                  .payload = {}},
                 mark);
    MR_RETURN_IF_ERROR(segment.file->write_at(end_.offset, as_bytes(mark)));
    MR_RETURN_IF_ERROR(segment.file->sync_data());
    return end_.offset + mark.size();
  }

  Result<RecoveredLog> take_result() {
    RecoveredLog result;
    result.torn_tail_bytes = torn_tail_bytes_;
    result.last_commit = last_commit_;
    for (const auto& [key, state] : partitions_) result.ends[key] = state.end();
    // A segment whose first commit was cut has not begun: it is the prepared one.
    const std::size_t begun = segments_.empty() ? 0 : end_.segment + (end_.offset > 0 ? 1 : 0);
    for (std::size_t i = 0; i < begun; ++i) {
      Segment& segment = segments_[i];
      result.segments.push_back({.number = segment.number,
                                 .file = segment.file,
                                 .size_bytes = segment.size_bytes,
                                 .salt = segment.salt,
                                 .ends = std::move(segment.ends)});
    }
    if (begun > 0) {
      result.write_offset = end_.offset;
      // Hidden damage may end in the segment before: then the next commit begins a new one.
      if (end_.offset == 0) result.write_offset = segments_[begun - 1].size_bytes;
      result.next_number = segments_[begun - 1].number + 1;
    } else if (!segments_.empty()) {
      result.next_number = segments_.front().number;
    }
    bool removed = false;
    for (std::size_t i = begun; i < segments_.size(); ++i) {
      Segment& segment = segments_[i];
      if (segment.number == result.next_number && segment.size_bytes == options_.segment_bytes) {
        result.prepared = PreparedSegment{
            .number = segment.number, .file = segment.file, .size_bytes = segment.size_bytes};
        continue;
      }
      MR_RETURN_IF_ERROR(files_.remove(path_of(i)));
      removed = true;
    }
    if (removed) MR_RETURN_IF_ERROR(files_.sync_directory(options_.folder));
    return result;
  }

  /// Remembers damage whose extent only a later ends table can tell.
  void hide(const fs::path& path, std::size_t offset, std::string_view what) {
    if (hidden_.empty()) hidden_ = fmt::format("{} at byte {}: {}", path.string(), offset, what);
  }

  [[nodiscard]] fs::path path_of(std::size_t index) const {
    return segment_path(options_.folder, segments_[index].number);
  }
  static std::unexpected<Error> data_loss(const fs::path& path, std::size_t offset,
                                          std::string_view what) {
    return lost(fmt::format("{} at byte {}: {}", path.string(), offset, what));
  }
  static std::unexpected<Error> lost(std::string_view what) {
    return std::unexpected(
        Error{.code = ErrorCode::kDataLoss,
              .id = std::string(error_id::kChecksum),
              .message = fmt::format("acknowledged events are damaged: {}", what),
              .hint = "restore the folder from a copy; nothing was changed in it",
              .place = {}});
  }

  /// A commit under way lies in at most two segments.
  static constexpr std::size_t kTailSegments = 3;

  runtime::FileSystem& files_;
  const LogOptions& options_;
  const std::function<Status(const RecoveredBatch&)>& visit_;

  std::vector<Segment> segments_;
  /// Two, since a commit may begin in one segment and end in the next.
  std::array<SegmentBuffer, 2> buffers_;
  std::unordered_map<std::uint64_t, Partition> partitions_;
  std::vector<Pending> pending_;

  bool trimmed_ = false;
  std::uint64_t last_commit_ = 0;    // of the last frame read
  std::uint64_t before_commit_ = 0;  // the one before it
  bool complete_ = true;             // that frame was its commit's last
  Place commit_start_;
  std::uint64_t proven_commit_ = 0;
  std::optional<std::uint64_t> commit_ahead_;
  bool frames_ahead_ = false;  // there may be frames behind the end
  std::string hidden_;         // the first damage whose extent is not settled; empty: none
  Place end_;
  std::uint64_t torn_tail_bytes_ = 0;
};

}  // namespace

Result<RecoveredLog> recover_log(runtime::FileSystem& files, const LogOptions& options,
                                 const std::map<StreamPartition, Offset>& first_offsets,
                                 const std::function<Status(const RecoveredBatch&)>& visit) {
  return Recovery(files, options, first_offsets, visit).run();
}

}  // namespace millrace::log
