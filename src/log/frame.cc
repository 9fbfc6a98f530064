// Frame headers, byte by byte (docs/internals/log_format.md has the same table). Little-endian.
#include "log/frame.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "wire/record_batch.h"

namespace millrace::log {
namespace {

constexpr std::size_t kMagicAt = 0;          // u32
constexpr std::size_t kHeaderSumAt = 4;      // u32: CRC32C from the version on, see checked_bytes()
constexpr std::size_t kVersionAt = 8;        // u8
constexpr std::size_t kKindAt = 9;           // u8
constexpr std::size_t kFlagsAt = 10;         // u8, then one zero byte
constexpr std::size_t kPayloadBytesAt = 12;  // u32
constexpr std::size_t kSegmentAt = 16;       // u64
constexpr std::size_t kCommitAt = 24;        // u64
constexpr std::size_t kSaltAt = 32;          // u64
constexpr std::size_t kBaseOffsetAt = 40;    // u64
constexpr std::size_t kStreamAt = 48;        // u32
constexpr std::size_t kPartitionAt = 52;     // u32
constexpr std::size_t kRecordCountAt = 56;   // u32
constexpr std::size_t kPayloadSumAt =
    60;  // u32: CRC32C of the payload; 0 for a batch, which has its own
static_assert(kPayloadSumAt + 4 == kFrameHeaderBytes);
static_assert(kBatchBytesOutsideChecksum < wire::kRecordBatchHeaderBytes);

template <class T>
void put(char* at, T value) {
  std::memcpy(at, &value, sizeof(T));
}
template <class T>
T get(const char* at) {
  T value{};
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// What the header's checksum covers: the header, and of a batch the bytes that its own checksum
/// leaves out.
std::size_t checked_bytes(FrameKind kind) {
  return kFrameHeaderBytes - kVersionAt +
         (kind == FrameKind::kBatch ? kBatchBytesOutsideChecksum : 0);
}

bool known(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(FrameKind::kSegmentBegin) &&
         kind <= static_cast<std::uint8_t>(FrameKind::kMark);
}

}  // namespace

std::string encode_ends_table(const std::vector<PartitionEnd>& ends) {
  std::string out;
  out.reserve(ends.size() * kPartitionEndBytes);
  ByteWriter writer(out);
  for (const PartitionEnd& line : ends) {
    writer.put(line.stream);
    writer.put(line.partition);
    writer.put(line.end);
  }
  return out;
}

std::vector<PartitionEnd> decode_ends_table(std::string_view payload) {
  std::vector<PartitionEnd> ends(payload.size() / kPartitionEndBytes);
  ByteReader reader(payload);
  for (PartitionEnd& line : ends) {
    line.stream = reader.get<std::uint32_t>();
    line.partition = reader.get<std::uint32_t>();
    line.end = reader.get<std::uint64_t>();
  }
  return ends;
}

void append_frame(const Frame& frame, std::string& out) {
  const bool is_batch = frame.kind == FrameKind::kBatch;
  MR_CHECK(!is_batch || frame.payload.size() >= wire::kRecordBatchHeaderBytes,
           "a record batch of {} bytes", frame.payload.size());
  char header[kFrameHeaderBytes] = {};
  put<std::uint32_t>(header + kMagicAt, kFrameMagic);
  put<std::uint8_t>(header + kVersionAt, frame.version);
  put<std::uint8_t>(header + kKindAt, static_cast<std::uint8_t>(frame.kind));
  put<std::uint8_t>(header + kFlagsAt, frame.flags);
  put<std::uint32_t>(header + kPayloadBytesAt, static_cast<std::uint32_t>(frame.payload.size()));
  put<std::uint64_t>(header + kSegmentAt, frame.segment);
  put<std::uint64_t>(header + kCommitAt, frame.commit);
  put<std::uint64_t>(header + kSaltAt, frame.salt);
  put<std::uint64_t>(header + kBaseOffsetAt, frame.base_offset);
  put<std::uint32_t>(header + kStreamAt, frame.stream);
  put<std::uint32_t>(header + kPartitionAt, frame.partition);
  put<std::uint32_t>(header + kRecordCountAt, frame.record_count);
  put<std::uint32_t>(header + kPayloadSumAt, is_batch ? 0 : crc32c(frame.payload));

  const std::size_t start = out.size();
  out.append(header, kFrameHeaderBytes);
  out.append(frame.payload);
  out.append(framed_bytes(frame.payload.size()) - kFrameHeaderBytes - frame.payload.size(), '\0');
  const std::string_view checked(out.data() + start + kVersionAt, checked_bytes(frame.kind));
  put<std::uint32_t>(out.data() + start + kHeaderSumAt, crc32c(checked));
}

FrameCheck check_frame(std::string_view bytes, std::size_t offset, std::uint64_t segment,
                       std::optional<std::uint64_t> salt, Frame& frame) {
  if (offset > bytes.size() || bytes.size() - offset < kFrameHeaderBytes) {
    return FrameCheck::kNothing;
  }
  const char* const header = bytes.data() + offset;
  if (get<std::uint32_t>(header + kMagicAt) != kFrameMagic ||
      get<std::uint64_t>(header + kSegmentAt) != segment) {
    return FrameCheck::kNothing;
  }
  const auto found_salt = get<std::uint64_t>(header + kSaltAt);
  if (salt.has_value() && found_salt != *salt) return FrameCheck::kNothing;
  const auto kind = get<std::uint8_t>(header + kKindAt);
  if (!known(kind)) return FrameCheck::kNothing;
  frame.kind = static_cast<FrameKind>(kind);
  const std::size_t checked = checked_bytes(frame.kind);
  if (bytes.size() - offset - kVersionAt < checked ||
      crc32c(std::string_view(header + kVersionAt, checked)) !=
          get<std::uint32_t>(header + kHeaderSumAt)) {
    return FrameCheck::kNothing;
  }
  frame.version = get<std::uint8_t>(header + kVersionAt);
  frame.flags = get<std::uint8_t>(header + kFlagsAt);
  frame.segment = segment;
  frame.commit = get<std::uint64_t>(header + kCommitAt);
  frame.salt = found_salt;
  frame.base_offset = get<std::uint64_t>(header + kBaseOffsetAt);
  frame.stream = get<std::uint32_t>(header + kStreamAt);
  frame.partition = get<std::uint32_t>(header + kPartitionAt);
  frame.record_count = get<std::uint32_t>(header + kRecordCountAt);
  frame.offset = offset;
  const std::size_t payload_bytes = get<std::uint32_t>(header + kPayloadBytesAt);
  // Shorter than said where the file ends.
  const std::string_view payload = bytes.substr(offset + kFrameHeaderBytes, payload_bytes);
  frame.payload = payload;
  if (payload.size() != payload_bytes) return FrameCheck::kDamaged;
  if (frame.kind != FrameKind::kBatch) {
    return crc32c(payload) == get<std::uint32_t>(header + kPayloadSumAt) ? FrameCheck::kWhole
                                                                         : FrameCheck::kDamaged;
  }
  const auto batch = wire::check_record_batch(payload);
  const bool whole = batch.has_value() && batch->base_offset == frame.base_offset &&
                     batch->record_count == frame.record_count;
  return whole ? FrameCheck::kWhole : FrameCheck::kDamaged;
}

SegmentScanner::SegmentScanner(std::string_view bytes, std::uint64_t segment)
    : bytes_(bytes), segment_(segment) {
  Frame first;
  if (find(0, first) != FrameCheck::kNothing) salt_ = first.salt;
}

FrameCheck SegmentScanner::find(std::size_t offset, Frame& frame) const {
  offset = (offset + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
  for (; offset + kFrameHeaderBytes <= bytes_.size(); offset += kFrameAlignment) {
    if (get<std::uint32_t>(bytes_.data() + offset) != kFrameMagic) continue;
    if (const FrameCheck outcome = check(offset, frame); outcome != FrameCheck::kNothing) {
      return outcome;
    }
  }
  return FrameCheck::kNothing;
}

std::size_t SegmentScanner::after(const Frame& frame) const {
  return std::min(frame.offset + framed_bytes(frame.payload.size()), bytes_.size());
}

}  // namespace millrace::log
