// Any bytes as CloudEvents in the JSON form, and as the headers of one in the binary form.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/cloud_event.h"
#include "format/payload_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static const StreamDefinition kStream = [] {
    StreamDefinition stream;
    for (const auto* name : {"ce_id", "ce_key", "ce_source", "a"})
      stream.columns.push_back({name, *Type::parse("VARCHAR")});
    stream.columns.push_back({"ce_time", *Type::parse("TIMESTAMP")});
    stream.columns.push_back({"n", *Type::parse("BIGINT")});
    return stream;
  }();
  format::PayloadDecoder decoder;
  const auto body = PaddedBytes::copy_of(input);
  const auto decoded =
      decoder.decode(*format::payload_type_of("application/cloudevents+json"), body, kStream);
  MR_CHECK(decoded.values.size() == decoded.columns->rows(), "rows and values differ");
  std::vector<format::CloudAttribute> attributes;
  std::string_view rest = input;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    attributes.push_back(
        {std::string(line.substr(0, colon)), format::decoded_attribute(line.substr(colon + 1))});
  }
  format::FieldFault fault;
  const auto bound = format::bind_attributes(attributes, fault);
  MR_CHECK(bound.has_value() || !fault.text.empty(), "refused without a reason");
  if (bound) {
    const auto empty = PaddedBytes::copy_of("{}");
    const auto one = decoder.decode(format::JsonFraming::kDocument, empty, kStream, *bound);
    MR_CHECK(one.values.size() + one.rejected.size() == 1, "one event is one record");
  }
  return 0;
}
