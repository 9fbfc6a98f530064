// Kafka's record batch format v2 (KIP-98; Kafka protocol guide, "Record Batch"): the form in which
// records lie in our log, so that Kafka clients and a real cluster see the very same bytes. The
// base offset and the partition leader epoch lie outside the checksum, so that a batch can be
// encoded and checksummed by any thread before the log gives it its offset.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::wire {

inline constexpr std::size_t kRecordBatchHeaderBytes = 61;

/// Encodes one uncompressed batch of records without keys and headers, all with the timestamp
/// `arrival_us` (milliseconds in the batch; attribute bit 3, LogAppendTime, is set), base offset 0,
/// appended to `out`. Shapes: one record per value; at least one, at most 2^31 - 1.
void encode_record_batch(std::span<const std::string_view> values, std::int64_t arrival_us,
                         std::string& out);

/// Writes the base offset into an encoded batch.
void set_base_offset(std::span<char> batch, std::uint64_t base_offset);

struct RecordBatchHeader {
  std::uint64_t base_offset = 0;
  std::uint32_t record_count = 0;
  std::int64_t base_timestamp_ms = 0;
  std::int64_t max_timestamp_ms = 0;
  std::uint16_t attributes = 0;
  std::size_t size_bytes = 0;  // of the whole batch
};

/// Reads and checks the header, and the CRC32C over the rest. Errors: kDataLoss (kChecksum),
/// kInvalidArgument.
Result<RecordBatchHeader> check_record_batch(std::string_view batch);

/// Gives the value of every record of a checked, uncompressed batch, in order. Errors: kDataLoss.
Status for_each_record(std::string_view batch,
                       const std::function<void(std::string_view value)>& visit);

}  // namespace millrace::wire
