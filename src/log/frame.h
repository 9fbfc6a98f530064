// The frames of which a log segment consists, and the scanner that finds them again in bytes of any
// kind. No I/O, no thread of its own. Source: docs/internals/log_format.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::log {

inline constexpr std::uint32_t kFrameMagic = 0x3146'524D;  // "MRF1"
inline constexpr std::uint8_t kFrameVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 64;
inline constexpr std::size_t kFrameAlignment = 8;
/// Bytes at the front of a record batch that its own checksum leaves out; the frame's checksum has
/// them.
inline constexpr std::size_t kBatchBytesOutsideChecksum = 21;

enum class FrameKind : std::uint8_t {
  kSegmentBegin = 1,  // first in each segment; payload: ends table
  kBatch = 2,         // payload: one record batch
  kSegmentEnd = 3,    // the log goes on in the next segment
  kMark = 4,          // nothing more was acknowledged before; payload: ends table
};

/// The last frame of a commit carries it: all of the commit is there, or none of it counts.
inline constexpr std::uint8_t kLastOfCommit = 1;
/// The payload is a table of the end offsets of all partitions at this place.
inline constexpr std::uint8_t kHasEndsTable = 2;

struct Frame {
  FrameKind kind = FrameKind::kBatch;
  std::uint8_t flags = 0;
  std::uint8_t version = kFrameVersion;
  std::uint64_t segment = 0;
  std::uint64_t commit = 0;
  /// Random, one per segment: bytes of a record cannot pose as a frame.
  std::uint64_t salt = 0;
  std::uint64_t base_offset = 0;
  std::uint32_t stream = 0;
  std::uint32_t partition = 0;
  std::uint32_t record_count = 0;
  std::string_view payload;
  std::size_t offset = 0;  // of the frame in its segment

  [[nodiscard]] bool last_of_commit() const { return (flags & kLastOfCommit) != 0; }
  [[nodiscard]] bool has_ends_table() const { return (flags & kHasEndsTable) != 0; }
};

/// One line of an ends table: the first offset of the partition that is not in the log before this
/// place.
struct PartitionEnd {
  std::uint32_t stream = 0;
  std::uint32_t partition = 0;
  std::uint64_t end = 0;
};
inline constexpr std::size_t kPartitionEndBytes = 16;

[[nodiscard]] std::string encode_ends_table(const std::vector<PartitionEnd>& ends);
[[nodiscard]] std::vector<PartitionEnd> decode_ends_table(std::string_view payload);

/// Bytes that a frame with such a payload takes.
[[nodiscard]] constexpr std::size_t framed_bytes(std::size_t payload_bytes) {
  return (kFrameHeaderBytes + payload_bytes + kFrameAlignment - 1) / kFrameAlignment *
         kFrameAlignment;
}

/// Appends the frame, its checksums and its padding. A batch's payload must already carry its base
/// offset.
void append_frame(const Frame& frame, std::string& out);

enum class FrameCheck {
  kNothing,  // no frame header here
  kDamaged,  // a frame header, but its payload is wrong, or cut off where the file ends
  kWhole,
};

/// The frame of `segment` that starts at `offset`; of any salt where none is given.
[[nodiscard]] FrameCheck check_frame(std::string_view bytes, std::size_t offset,
                                     std::uint64_t segment, std::optional<std::uint64_t> salt,
                                     Frame& frame);

/// Reads one segment's bytes. Takes anything and never fails: what is no frame of this segment is
/// kNothing.
class SegmentScanner {
 public:
  /// `bytes` must outlive the scanner.
  SegmentScanner(std::string_view bytes, std::uint64_t segment);

  /// Whether any frame of this segment is there.
  [[nodiscard]] bool begun() const { return salt_.has_value(); }
  [[nodiscard]] std::uint64_t salt() const { return salt_.value_or(0); }
  /// The frame that starts at `offset`.
  [[nodiscard]] FrameCheck check(std::size_t offset, Frame& frame) const {
    return check_frame(bytes_, offset, segment_, salt_, frame);
  }
  /// The first frame header at or after `offset`; kNothing at the end.
  [[nodiscard]] FrameCheck find(std::size_t offset, Frame& frame) const;
  /// Where the frame after this one starts; at most bytes.size().
  [[nodiscard]] std::size_t after(const Frame& frame) const;

 private:
  std::string_view bytes_;
  std::uint64_t segment_;
  std::optional<std::uint64_t> salt_;
};

}  // namespace millrace::log
