#include "format/payload_decoder.h"

#include "base/error.h"
#include "format/column_rules.h"
#include "format/record_json.h"

namespace millrace::format {

namespace {

/// Nothing of the body counts.
Decoded refused(const PaddedBytes& body, const StreamDefinition& stream, const RecordFault& fault) {
  Decoded out;
  out.columns = std::make_shared<ColumnBatch>(stream.types());
  out.rejected.push_back({.line = 1,
                          .id = std::string(fault.id),
                          .reason = fault.reason,
                          .raw = std::string(body.view().substr(0, kRawBytesMax))});
  return out;
}

}  // namespace

Decoded PayloadDecoder::decode(const PayloadType& type, const PaddedBytes& body,
                               const StreamDefinition& stream, std::span<const BoundText> bound) {
  const ColumnRules rules(stream, bound);
  if (rules.fault()) return refused(body, stream, *rules.fault());
  Decoded out = decode_columns(type, body, stream, rules);
  if (type.is_json() && !rules.has_bound()) return out;
  if (write_records(stream, out)) return out;
  return refused(body, stream,
                 {error_id::kRecordTooLarge,
                  "the records of this body are too large together: send fewer at once"});
}

Decoded PayloadDecoder::decode_columns(const PayloadType& type, const PaddedBytes& body,
                                       const StreamDefinition& stream, const ColumnRules& rules) {
  switch (type.format) {
    case Format::kJsonLines:
      return json_.decode(body, JsonFraming::kLines, stream, rules);
    case Format::kJson:
      return json_.decode(body, JsonFraming::kDocument, stream, rules);
    case Format::kCsv: {
      Decoded out;
      out.columns = std::make_shared<ColumnBatch>(stream.types());
      csv_.decode(body, type.csv, stream, rules, out);
      return out;
    }
  }
  return {};
}

}  // namespace millrace::format
