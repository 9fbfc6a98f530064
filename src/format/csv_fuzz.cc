// Any bytes as CSV: each record decodes or is refused, and what the log keeps decodes again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/payload_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  static const StreamDefinition kStream = [] {
    StreamDefinition stream;
    for (const auto* type : {"BIGINT", "VARCHAR", "JSON", "TIMESTAMP", "DOUBLE", "BLOB"})
      stream.columns.push_back(
          {std::string(1, static_cast<char>('a' + stream.columns.size())), *Type::parse(type)});
    stream.columns.push_back({"rest", *Type::parse("JSON")});
    stream.unknown_fields = UnknownFields::kKeep;
    stream.unknown_column = 6;
    return stream;
  }();
  format::PayloadType type;
  type.format = format::Format::kCsv;
  type.csv.header = (data[0] & 1) != 0;
  type.csv.delimiter = (data[0] & 2) != 0 ? ';' : ',';
  type.csv.blank_records = (data[0] & 4) != 0;
  format::PayloadDecoder decoder(format::DecodeLimits{.record_bytes_max = 4096});
  const auto body = PaddedBytes::copy_of({reinterpret_cast<const char*>(data + 1), size - 1});
  const auto decoded = decoder.decode(type, body, kStream);
  MR_CHECK(decoded.values.size() == decoded.columns->rows(), "rows and values differ");
  PaddedBytes lines;
  for (const auto value : decoded.values) {
    lines.append(value);
    lines.append("\n");
  }
  format::JsonDecoder json;
  MR_CHECK(json.decode(lines, format::JsonFraming::kLines, kStream).rejected.empty(),
           "what the log keeps does not decode");
  return 0;
}
