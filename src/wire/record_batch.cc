// Record batch v2, field by field. Big-endian numbers, zig-zag varints in the records. No state,
// any thread; decoding takes any bytes and answers with an Error, never with a read past the end.
#include "wire/record_batch.h"

#include <bit>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/crc32c.h"

namespace millrace::wire {
namespace {

// Places of the fields (Kafka protocol guide, "Record Batch").
constexpr std::size_t kBaseOffsetAt = 0;        // int64
constexpr std::size_t kBatchLengthAt = 8;       // int32: bytes after this field
constexpr std::size_t kLeaderEpochAt = 12;      // int32
constexpr std::size_t kMagicAt = 16;            // int8: 2
constexpr std::size_t kChecksumAt = 17;         // uint32: CRC32C from the attributes to the end
constexpr std::size_t kAttributesAt = 21;       // int16
constexpr std::size_t kLastOffsetDeltaAt = 23;  // int32
constexpr std::size_t kBaseTimestampAt = 27;    // int64
constexpr std::size_t kMaxTimestampAt = 35;     // int64
constexpr std::size_t kProducerIdAt = 43;       // int64
constexpr std::size_t kProducerEpochAt = 51;    // int16
constexpr std::size_t kBaseSequenceAt = 53;     // int32
constexpr std::size_t kRecordCountAt = 57;      // int32
static_assert(kRecordCountAt + 4 == kRecordBatchHeaderBytes);

constexpr std::size_t kLengthOverhead = kLeaderEpochAt;  // what batchLength does not count
constexpr std::uint16_t kLogAppendTime = 1U << 3;
constexpr std::uint16_t kCompressionMask = 7;
constexpr char kMagic = 2;
/// A record's bytes beside the offset delta, the value's length and the value: attributes,
/// timestamp delta 0, key length -1, header count 0, a byte each.
constexpr std::size_t kRecordFixedBytes = 4;

template <class T>
void put_big(char* at, T value) {
  if constexpr (sizeof(T) == 8) {
    const std::uint64_t swapped = __builtin_bswap64(static_cast<std::uint64_t>(value));
    std::memcpy(at, &swapped, sizeof(T));
  } else if constexpr (sizeof(T) == 4) {
    const std::uint32_t swapped = __builtin_bswap32(static_cast<std::uint32_t>(value));
    std::memcpy(at, &swapped, sizeof(T));
  } else {
    static_assert(sizeof(T) == 2);
    const std::uint16_t swapped = __builtin_bswap16(static_cast<std::uint16_t>(value));
    std::memcpy(at, &swapped, sizeof(T));
  }
}

template <class T>
T get_big(const char* at) {
  if constexpr (sizeof(T) == 8) {
    std::uint64_t raw = 0;
    std::memcpy(&raw, at, sizeof(T));
    return static_cast<T>(__builtin_bswap64(raw));
  } else if constexpr (sizeof(T) == 4) {
    std::uint32_t raw = 0;
    std::memcpy(&raw, at, sizeof(T));
    return static_cast<T>(__builtin_bswap32(raw));
  } else {
    static_assert(sizeof(T) == 2);
    std::uint16_t raw = 0;
    std::memcpy(&raw, at, sizeof(T));
    return static_cast<T>(__builtin_bswap16(raw));
  }
}

/// Bytes of the varint of a number that is already zig-zagged.
std::size_t varint_bytes(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

/// A length or a delta that is not negative, zig-zagged.
std::uint64_t zigzag(std::uint64_t value) { return value << 1; }

char* put_varint(char* at, std::uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}

/// Reads the fields of records; turns bad at the first byte that is not there.
class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : rest_(bytes) {}

  /// A varint of at most `bits_max` bits, zig-zag undone.
  std::int64_t signed_varint(unsigned bits_max) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < bits_max && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      const auto low = static_cast<std::uint64_t>(byte & 0x7f);
      if (bits_max - shift < 7 && (low >> (bits_max - shift)) != 0) break;
      value |= low << shift;
      if (byte < 0x80) {
        return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
      }
    }
    ok_ = false;
    return 0;
  }
  std::string_view take(std::int64_t size) {
    if (!ok_ || size < 0 || static_cast<std::uint64_t>(size) > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return out;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace

void encode_record_batch(std::span<const std::string_view> values, std::int64_t arrival_us,
                         std::string& out) {
  MR_CHECK(!values.empty() && values.size() <= std::numeric_limits<std::int32_t>::max(),
           "a record batch of {} records", values.size());
  std::size_t total = kRecordBatchHeaderBytes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t body = kRecordFixedBytes + varint_bytes(zigzag(i)) +
                             varint_bytes(zigzag(values[i].size())) + values[i].size();
    total += varint_bytes(zigzag(body)) + body;
  }
  MR_CHECK(total <= std::numeric_limits<std::int32_t>::max(), "a record batch of {} bytes", total);

  const std::size_t start = out.size();
  out.resize_and_overwrite(start + total, [&](char* data, std::size_t size) {
    char* const head = data + start;
    const std::int64_t timestamp_ms = arrival_us / 1000;
    put_big<std::int64_t>(head + kBaseOffsetAt, 0);
    put_big<std::int32_t>(head + kBatchLengthAt,
                          static_cast<std::int32_t>(total - kLengthOverhead));
    put_big<std::int32_t>(head + kLeaderEpochAt, 0);
    head[kMagicAt] = kMagic;
    put_big<std::uint16_t>(head + kAttributesAt, kLogAppendTime);
    put_big<std::int32_t>(head + kLastOffsetDeltaAt, static_cast<std::int32_t>(values.size() - 1));
    put_big<std::int64_t>(head + kBaseTimestampAt, timestamp_ms);
    put_big<std::int64_t>(head + kMaxTimestampAt, timestamp_ms);
    put_big<std::int64_t>(head + kProducerIdAt, -1);
    put_big<std::int16_t>(head + kProducerEpochAt, -1);
    put_big<std::int32_t>(head + kBaseSequenceAt, -1);
    put_big<std::int32_t>(head + kRecordCountAt, static_cast<std::int32_t>(values.size()));
    char* at = head + kRecordBatchHeaderBytes;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::string_view value = values[i];
      const std::size_t body = kRecordFixedBytes + varint_bytes(zigzag(i)) +
                               varint_bytes(zigzag(value.size())) + value.size();
      at = put_varint(at, zigzag(body));
      *at++ = 0;  // attributes
      *at++ = 0;  // timestamp delta
      at = put_varint(at, zigzag(i));
      *at++ = 1;  // key length -1
      at = put_varint(at, zigzag(value.size()));
      if (!value.empty()) std::memcpy(at, value.data(), value.size());
      at += value.size();
      *at++ = 0;  // header count
    }
    MR_CHECK(at == head + total, "a record batch of {} bytes was sized as {}", at - head, total);
    put_big<std::uint32_t>(head + kChecksumAt,
                           crc32c(std::string_view(head + kAttributesAt, total - kAttributesAt)));
    return size;
  });
}

void set_base_offset(std::span<char> batch, std::uint64_t base_offset) {
  MR_CHECK(batch.size() >= kRecordBatchHeaderBytes, "a record batch of {} bytes", batch.size());
  put_big<std::uint64_t>(batch.data() + kBaseOffsetAt, base_offset);
}

Result<RecordBatchHeader> check_record_batch(std::string_view batch) {
  if (batch.size() < kRecordBatchHeaderBytes) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "a record batch has at least {} bytes, this one {}", kRecordBatchHeaderBytes,
                batch.size());
  }
  const char* const data = batch.data();
  if (data[kMagicAt] != kMagic) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "the record batch has format version {}, only 2 is known",
                static_cast<int>(data[kMagicAt]));
  }
  const auto length = get_big<std::int32_t>(data + kBatchLengthAt);
  if (length < 0 || static_cast<std::size_t>(length) != batch.size() - kLengthOverhead) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "the record batch says {} bytes follow its length field, there are {}", length,
                batch.size() - kLengthOverhead);
  }
  const auto stored = get_big<std::uint32_t>(data + kChecksumAt);
  const std::uint32_t computed = crc32c(batch.substr(kAttributesAt));
  if (stored != computed) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "the record batch's checksum is {:#010x}, its bytes give {:#010x}", stored,
                computed);
  }
  const auto count = get_big<std::int32_t>(data + kRecordCountAt);
  const auto last_delta = get_big<std::int32_t>(data + kLastOffsetDeltaAt);
  if (count <= 0 || last_delta != count - 1) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "the record batch has {} records and a last offset delta of {}", count, last_delta);
  }
  const auto base_offset = get_big<std::int64_t>(data + kBaseOffsetAt);
  if (base_offset < 0) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "the record batch has the base offset {}", base_offset);
  }
  return RecordBatchHeader{
      .base_offset = static_cast<std::uint64_t>(base_offset),
      .record_count = static_cast<std::uint32_t>(count),
      .base_timestamp_ms = get_big<std::int64_t>(data + kBaseTimestampAt),
      .max_timestamp_ms = get_big<std::int64_t>(data + kMaxTimestampAt),
      .attributes = get_big<std::uint16_t>(data + kAttributesAt),
      .size_bytes = batch.size(),
  };
}

Status for_each_record(std::string_view batch,
                       const std::function<void(std::string_view value)>& visit) {
  if (batch.size() < kRecordBatchHeaderBytes) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "a record batch of {} bytes",
                batch.size());
  }
  if ((get_big<std::uint16_t>(batch.data() + kAttributesAt) & kCompressionMask) != 0) {
    return fail(ErrorCode::kUnimplemented, error_id::kEncoding,
                "compressed record batches cannot be read");
  }
  const auto count = get_big<std::int32_t>(batch.data() + kRecordCountAt);
  RecordReader records(batch.substr(kRecordBatchHeaderBytes));
  for (std::int32_t i = 0; i < count; ++i) {
    RecordReader record(records.take(records.signed_varint(32)));
    record.take(1);            // attributes
    record.signed_varint(64);  // timestamp delta
    const std::int64_t offset_delta = record.signed_varint(32);
    const std::int64_t key_bytes = record.signed_varint(32);
    if (key_bytes >= 0) record.take(key_bytes);
    const std::int64_t value_bytes = record.signed_varint(32);
    // A null value (-1) is read as an empty one: the streams have no tombstones.
    const std::string_view value =
        value_bytes == -1 ? std::string_view() : record.take(value_bytes);
    const std::int64_t headers = record.signed_varint(32);
    for (std::int64_t header = 0; header < headers && record.ok(); ++header) {
      record.take(record.signed_varint(32));  // its key
      const std::int64_t header_bytes = record.signed_varint(32);
      if (header_bytes >= 0) record.take(header_bytes);
    }
    if (!records.ok() || !record.ok() || !record.empty() || offset_delta != i || key_bytes < -1 ||
        headers < 0) {
      return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                  "record {} of {} of the record batch is malformed", i, count);
    }
    visit(value);
  }
  if (!records.empty()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum,
                "the record batch has bytes behind its {} records", count);
  }
  return {};
}

}  // namespace millrace::wire
