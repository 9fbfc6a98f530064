// Avro into columns: an object container file of any number of records, or one record in
// Confluent's frame. Fields go to columns by their names; the schema is the writer's, there is no
// other. Bounded: what blocks unpack to is limited before it is unpacked. Thread: one decoder per
// thread. Errors: a bad record is a RejectedRecord with its number; where the bytes of a block
// cannot be followed, what is behind the place in that block is lost as one of them.
#pragma once

#include <string_view>

#include "base/padded_bytes.h"
#include "format/column_rules.h"
#include "format/decoded.h"
#include "format/typed_field.h"
#include "format/writer_schema.h"

namespace millrace::format {

class AvroDecoder {
 public:
  AvroDecoder(DecodeLimits limits, const SchemaLookup* schemas)
      : limits_(limits), schemas_(schemas) {}

  /// Without the values: PayloadDecoder writes them.
  void decode(const PaddedBytes& body, const StreamDefinition& stream, const ColumnRules& rules,
              Decoded& out);

 private:
  void decode_frame(std::string_view body, const StreamDefinition& stream, const ColumnRules& rules,
                    Decoded& out);

  DecodeLimits limits_;
  const SchemaLookup* schemas_;
};

}  // namespace millrace::format
