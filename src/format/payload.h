// What the bytes of a payload are, as a Content-Type (HTTP, MQTT 5) or the settings of a stream say
// it. Values only; any thread. Errors: kUnsupportedMediaType (kMediaType), kInvalidArgument
// (kBadRequest) for a parameter that means nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::format {

enum class JsonFraming {
  kLines,     // application/x-ndjson; blank lines are skipped but counted
  kDocument,  // application/json: one object, or an array of objects
};

enum class Format : std::uint8_t {
  kJsonLines,
  kJson,
  kCsv,
  kAvro,         // an object container file, or one record in Confluent's frame
  kProtobuf,     // one message, in Confluent's frame or by `schema_id`; or `delimited` ones
  kCloudEvents,  // in the JSON form: one, or an array of them
};

struct CsvOptions {
  char delimiter = ',';
  /// Whether the first record names the columns; else they come in the order of the stream.
  bool header = true;
  /// Whether a blank line is a record of one empty field; else it is passed over.
  bool blank_records = false;
  bool operator==(const CsvOptions&) const = default;
};

struct PayloadType {
  PayloadType() = default;
  // Not explicit: JSON is a PayloadType without any more to say.
  PayloadType(JsonFraming framing)  // NOLINT(google-explicit-constructor)
      : format(framing == JsonFraming::kLines ? Format::kJsonLines : Format::kJson) {}

  Format format = Format::kJsonLines;
  CsvOptions csv;
  /// Of Protobuf without a frame: the schema in the registry, and the message, by default the
  /// first.
  std::uint32_t schema_id = 0;
  std::string message;
  /// Each message has its length before it.
  bool delimited = false;
  bool operator==(const PayloadType&) const = default;

  [[nodiscard]] bool is_json() const {
    return format == Format::kJson || format == Format::kJsonLines;
  }
  /// The Content-Type that stands for it: payload_type_of(text()) is the same again.
  [[nodiscard]] std::string text() const;
};

/// Of a Content-Type with its parameters: "text/csv; header=absent".
[[nodiscard]] Result<PayloadType> payload_type_of(std::string_view content_type);

/// A value that every record of a payload gets from outside of its bytes: a topic level, an
/// attribute of a CloudEvent. The text is read as a field of CSV.
struct BoundText {
  std::string column;
  std::string text;
  bool operator==(const BoundText&) const = default;
};

}  // namespace millrace::format
