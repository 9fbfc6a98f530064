// JSON into columns, once: simdjson On-Demand over the whole body, each field written straight into
// its column. What is accepted and what a bad record is told stands in docs/reference/json.md; it
// does not depend on which path (whole body, or line by line) met the record. Thread: one decoder
// per thread. Errors: a bad record is a RejectedRecord, never an Error.
#pragma once

#include <memory>

#include "base/padded_bytes.h"
#include "format/column_rules.h"
#include "format/decoded.h"
#include "format/payload.h"
#include "model/stream.h"

namespace millrace::format {

class JsonDecoder {
 public:
  explicit JsonDecoder(DecodeLimits limits = {});
  ~JsonDecoder();
  JsonDecoder(const JsonDecoder&) = delete;
  JsonDecoder& operator=(const JsonDecoder&) = delete;

  /// Decodes a body for a stream. `body` must outlive the values of the result.
  Decoded decode(const PaddedBytes& body, JsonFraming framing, const StreamDefinition& stream) {
    return decode(body, framing, stream, ColumnRules(stream));
  }
  Decoded decode(const PaddedBytes& body, JsonFraming framing, const StreamDefinition& stream,
                 const ColumnRules& rules);

 private:
  struct Parsers;
  DecodeLimits limits_;
  std::unique_ptr<Parsers> parsers_;
};

}  // namespace millrace::format
