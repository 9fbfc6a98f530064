// What a request is told of its events. Values only.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "format/decoded.h"
#include "model/position.h"

namespace millrace::ingest {

struct IngestReply {
  std::uint64_t accepted = 0;
  /// Records that the stream has already, by its dedup column.
  std::uint64_t duplicates = 0;
  std::vector<format::RejectedRecord> rejected;
  /// May be more than are listed: where the request has an Idempotency-Key, or was rejected.
  std::uint64_t rejected_count = 0;
  /// The end offset behind this request's records, for each partition that got some.
  std::vector<std::pair<PartitionId, Offset>> position;
  /// This is the answer of an earlier request with the same Idempotency-Key.
  bool repeated = false;
};

}  // namespace millrace::ingest
