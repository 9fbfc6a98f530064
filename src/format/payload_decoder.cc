#include "format/payload_decoder.h"

#include "base/error.h"
#include "format/cloud_event.h"
#include "format/column_rules.h"
#include "format/record_json.h"

namespace millrace::format {

namespace {

constexpr std::string_view kTooLargeTogether =
    "the records of this body are too large together: send fewer at once";

/// Nothing of the body counts.
Decoded refused(const PaddedBytes& body, const DecodeLimits& limits, const StreamDefinition& stream,
                const RecordFault& fault) {
  Decoded out;
  out.columns = std::make_shared<ColumnBatch>(stream.types());
  out.refuse(limits, {.line = 1,
                      .id = std::string(fault.id),
                      .reason = fault.reason,
                      .raw = std::string(body.view().substr(0, kRawBytesMax))});
  return out;
}

}  // namespace

Decoded PayloadDecoder::decode(const PayloadType& type, const PaddedBytes& body,
                               const StreamDefinition& stream, std::span<const BoundText> bound) {
  // Each event has values of its own, and is written by them.
  if (type.format == Format::kCloudEvents) return decode_cloud_events(body, stream);
  const ColumnRules rules(stream, bound);
  if (rules.fault()) return refused(body, limits_, stream, *rules.fault());
  Decoded out = decode_columns(type, body, stream, rules);
  if (type.is_json() && !rules.has_bound()) return out;
  if (write_records(stream, out)) return out;
  return refused(body, limits_, stream,
                 {error_id::kRecordTooLarge, std::string(kTooLargeTogether)});
}

Decoded PayloadDecoder::decode_columns(const PayloadType& type, const PaddedBytes& body,
                                       const StreamDefinition& stream, const ColumnRules& rules) {
  Decoded out;
  switch (type.format) {
    case Format::kJsonLines:
      return json_.decode(body, JsonFraming::kLines, stream, rules);
    case Format::kJson:
      return json_.decode(body, JsonFraming::kDocument, stream, rules);
    case Format::kCsv:
      out.columns = std::make_shared<ColumnBatch>(stream.types());
      csv_.decode(body, type.csv, stream, rules, out);
      break;
    case Format::kAvro:
      out.columns = std::make_shared<ColumnBatch>(stream.types());
      avro_.decode(body, stream, rules, out);
      break;
    case Format::kProtobuf:
      out.columns = std::make_shared<ColumnBatch>(stream.types());
      protobuf_.decode(body, type, stream, rules, out);
      break;
    case Format::kCloudEvents:
      break;
  }
  return out;
}

Decoded PayloadDecoder::decode_cloud_events(const PaddedBytes& body,
                                            const StreamDefinition& stream) {
  Decoded out;
  out.columns = std::make_shared<ColumnBatch>(stream.types());
  const auto begin = body.view().find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  const std::string_view text =
      begin == std::string_view::npos ? std::string_view() : body.view().substr(begin);
  if (!text.starts_with('[')) {
    add_cloud_event(1, text, stream, out);
  } else {
    FieldFault problem;
    const auto events = events_.elements_of(text, problem);
    if (!events) return refused(body, limits_, stream, {problem.id, problem.text});
    std::uint64_t number = 0;
    for (const auto event : *events) add_cloud_event(++number, event, stream, out);
  }
  if (write_records(stream, out)) return out;
  return refused(body, limits_, stream,
                 {error_id::kRecordTooLarge, std::string(kTooLargeTogether)});
}

void PayloadDecoder::add_cloud_event(std::uint64_t number, std::string_view text,
                                     const StreamDefinition& stream, Decoded& out) {
  const auto refuse = [&](std::string_view id, std::string reason) {
    out.refuse(limits_, {.line = number,
                         .id = std::string(id),
                         .reason = std::move(reason),
                         .raw = std::string(text.substr(0, kRawBytesMax))});
  };
  if (text.size() > limits_.record_bytes_max) {
    refuse(error_id::kRecordTooLarge, fmt::format("the event has {} bytes, {} are allowed",
                                                  text.size(), limits_.record_bytes_max));
    return;
  }
  FieldFault problem;
  const auto event = read_cloud_event(events_, text, problem);
  if (!event) {
    refuse(problem.id, std::move(problem.text));
    return;
  }
  const ColumnRules rules(stream, event->bound);
  if (rules.fault()) {
    refuse(rules.fault()->id, rules.fault()->reason);
    return;
  }
  const PaddedBytes data = PaddedBytes::copy_of(event->data);
  const Decoded decoded = decode_columns(event->type, data, stream, rules);
  if (!decoded.rejected.empty()) {
    refuse(decoded.rejected.front().id, decoded.rejected.front().reason);
    return;
  }
  const auto views = decoded.columns->views();
  out.columns->append_all({views, decoded.columns->rows()});
}

}  // namespace millrace::format
