// Between the bytes of records and columns, for the two ways in: a request's body, and record
// batches that come back from the log (at recovery, and where the tail's columns were let go).
// Thread: any; decoders are kept per thread. Errors: kDataLoss where a record of the log does not
// decode: what was accepted once is accepted always.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/json_decoder.h"
#include "model/stream.h"

namespace millrace::ingest {

/// Events of one partition, decoded and encoded: ready for the log.
struct PartitionRecords {
  PartitionId partition;
  std::shared_ptr<const ColumnBatch> columns;
  std::string batch;  // record batch without its base offset
};

/// Deals the decoded records to the stream's partitions by the key column (Kafka's murmur2, so that
/// a Kafka producer with the same key finds the same partition; no key or NULL is partition 0) and
/// encodes them.
std::vector<PartitionRecords> encode_records(const StreamDefinition& stream,
                                             const format::Decoded& decoded,
                                             std::int64_t arrival_us);

/// The rejected records as records of the quarantine stream.
PartitionRecords encode_quarantine(std::span<const format::RejectedRecord> rejected,
                                   std::string_view endpoint, std::int64_t arrival_us);

/// Decodes a record batch of the log.
struct DecodedRecords {
  std::shared_ptr<const ColumnBatch> columns;
  std::int64_t arrival_us = 0;
};
Result<DecodedRecords> decode_record_batch(std::string_view batch, const StreamDefinition& stream);

/// Kafka's default partitioner: murmur2 of the key's bytes
/// (org.apache.kafka.common.utils.Utils.murmur2).
[[nodiscard]] std::uint32_t murmur2(std::string_view key);

}  // namespace millrace::ingest
