// JSON into columns, once: simdjson On-Demand over the whole body, each field written straight into
// its column. What is accepted and what a bad record is told stands in docs/reference/json.md; it
// does not depend on which path (whole body, or line by line) met the record. Thread: one decoder
// per thread. Errors: a bad record is a RejectedRecord, never an Error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/padded_bytes.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::format {

struct DecodeLimits {
  std::uint32_t depth_max = 64;
  std::uint32_t record_bytes_max = 1 << 20;
  bool operator==(const DecodeLimits&) const = default;
};

struct RejectedRecord {
  std::uint64_t line = 0;  // from 1: line of JSON Lines, element of an array
  std::string id;          // error_id, "MR2003"
  std::string reason;      // what, where, why: "column 'delay': \"x\" is not a BIGINT"
  std::string raw;         // the bytes as they came, cut at 64 KiB
};

struct Decoded {
  /// The good records, in order.
  std::shared_ptr<ColumnBatch> columns;
  /// Their bytes without the blanks around them, into the body: values.size() == columns->rows().
  std::vector<std::string_view> values;
  std::vector<RejectedRecord> rejected;
};

enum class JsonFraming {
  kLines,     // application/x-ndjson; blank lines are skipped but counted
  kDocument,  // application/json: one object, or an array of objects
};

class JsonDecoder {
 public:
  explicit JsonDecoder(DecodeLimits limits = {});
  ~JsonDecoder();
  JsonDecoder(const JsonDecoder&) = delete;
  JsonDecoder& operator=(const JsonDecoder&) = delete;

  /// Decodes a body for a stream. `body` must outlive the values of the result.
  Decoded decode(const PaddedBytes& body, JsonFraming framing, const StreamDefinition& stream);

 private:
  struct Parsers;
  DecodeLimits limits_;
  std::unique_ptr<Parsers> parsers_;
};

}  // namespace millrace::format
