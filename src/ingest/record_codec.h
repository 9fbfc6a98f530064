// Between the bytes of records and columns, for the two ways in: a request's body, and record
// batches that come back from the log (at recovery, and where the tail's columns were let go).
// Thread: any; decoders are kept per thread. Errors: kDataLoss where a record of the log does not
// decode: what was accepted once is accepted always.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/json_decoder.h"
#include "format/payload.h"
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

/// What a row of a quarantine stream says; none is NULL.
struct QuarantineRow {
  std::string_view code;
  std::string_view reason;
  std::optional<std::uint64_t> line = {};
  std::optional<std::string_view> raw = {};
  std::optional<std::string_view> endpoint = {};
  std::optional<std::string_view> view = {};
  std::optional<PartitionId> source_partition = {};
  std::optional<Offset> source_offset = {};
  std::optional<Offset> replays = {};
  std::optional<std::string_view> id = {};
};

/// Rows of a quarantine stream, as columns and as records.
class QuarantineRows {
 public:
  QuarantineRows();
  void add(const QuarantineRow& row);
  [[nodiscard]] const std::shared_ptr<ColumnBatch>& columns() const { return columns_; }
  /// Those of `rows`, ready for the log.
  [[nodiscard]] PartitionRecords encode(std::span<const std::uint32_t> rows,
                                        std::int64_t arrival_us) const;

 private:
  std::shared_ptr<ColumnBatch> columns_;
  std::vector<std::string> records_;
};

/// What the bytes of a quarantined record were read as, besides the record itself.
struct RecordOrigin {
  format::PayloadType type;
  std::vector<format::BoundText> bound;
};
/// The text of the column `endpoint`: "http", "http as text/csv", with the bound values as JSON
/// behind it: "mqtt as application/json with {\"site\":\"a\"}". Lines of JSON are just the
/// endpoint.
[[nodiscard]] std::string origin_text(std::string_view endpoint, const format::PayloadType& type,
                                      std::span<const format::BoundText> bound);
[[nodiscard]] RecordOrigin read_origin(std::string_view endpoint, std::string_view raw);

/// The rejected records as records of the quarantine stream.
PartitionRecords encode_quarantine(std::span<const format::RejectedRecord> rejected,
                                   std::string_view endpoint, std::int64_t arrival_us);

/// How many records these rows of a quarantine stream add to those that wait to be brought back:
/// one that could not be decoded adds 1, one that was brought back takes 1. `id` is their column.
[[nodiscard]] std::int64_t quarantined_by(const ColumnVector& id);
/// The id of the row that says that the record of this offset was brought back.
[[nodiscard]] std::string replay_id(Offset offset);
/// The id of the row that says that a view failed on a row of the stream.
[[nodiscard]] std::string failure_id(ViewId view, PartitionId partition, Offset offset);

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
