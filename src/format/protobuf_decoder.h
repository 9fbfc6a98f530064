// Protobuf messages into columns: each field of the message to the column of its name. A body is
// one message, or many with their lengths before them; the message type comes from Confluent's
// frame, or from the payload's type. Thread: one decoder per thread. Errors: a bad record is a
// RejectedRecord.
#pragma once

#include <string_view>

#include "base/padded_bytes.h"
#include "format/column_rules.h"
#include "format/decoded.h"
#include "format/payload.h"
#include "format/writer_schema.h"

namespace millrace::format {

class ProtobufDecoder {
 public:
  ProtobufDecoder(DecodeLimits limits, const SchemaLookup* schemas)
      : limits_(limits), schemas_(schemas) {}

  /// Without the values: PayloadDecoder writes them.
  void decode(const PaddedBytes& body, const PayloadType& type, const StreamDefinition& stream,
              const ColumnRules& rules, Decoded& out);

 private:
  DecodeLimits limits_;
  const SchemaLookup* schemas_;
};

}  // namespace millrace::format
