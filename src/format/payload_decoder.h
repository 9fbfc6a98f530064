// Any payload into columns: the one door that endpoints and ingest use. Chooses the decoder, and
// sees to it that each good record also has the JSON that the log keeps. Thread: one decoder per
// thread, kept for its buffers. Errors: a bad record is a RejectedRecord; a body that cannot be
// read at all is one of them.
#pragma once

#include <span>

#include "base/padded_bytes.h"
#include "format/avro_decoder.h"
#include "format/csv_decoder.h"
#include "format/decoded.h"
#include "format/json_decoder.h"
#include "format/json_value.h"
#include "format/payload.h"
#include "format/protobuf_decoder.h"

namespace millrace::format {

class PayloadDecoder {
 public:
  /// `schemas`, if there is one, outlives it.
  explicit PayloadDecoder(DecodeLimits limits = {}, const SchemaLookup* schemas = nullptr)
      : limits_(limits),
        json_(limits),
        csv_(limits),
        avro_(limits, schemas),
        protobuf_(limits, schemas) {}

  /// `body` must outlive the values of the result.
  Decoded decode(const PayloadType& type, const PaddedBytes& body, const StreamDefinition& stream,
                 std::span<const BoundText> bound = {});

 private:
  Decoded decode_columns(const PayloadType& type, const PaddedBytes& body,
                         const StreamDefinition& stream, const ColumnRules& rules);

  Decoded decode_cloud_events(const PaddedBytes& body, const StreamDefinition& stream);
  void add_cloud_event(std::uint64_t number, std::string_view text, const StreamDefinition& stream,
                       Decoded& out);

  DecodeLimits limits_;
  JsonDecoder json_;
  CsvDecoder csv_;
  AvroDecoder avro_;
  ProtobufDecoder protobuf_;
  JsonValueCheck events_;
};

}  // namespace millrace::format
