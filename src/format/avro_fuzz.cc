// Any bytes as an Avro payload: a container, or a record in a frame, of the schema in front.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/payload_decoder.h"

namespace millrace::format {
namespace {

class OneSchema : public SchemaLookup {
 public:
  explicit OneSchema(std::string_view text) {
    auto avro = AvroSchema::parse(text);
    if (!avro) return;
    auto schema = std::make_shared<WriterSchema>();
    schema->avro = std::make_shared<const AvroSchema>(std::move(*avro));
    schema_ = std::move(schema);
    MR_CHECK(avro_read_faults(*schema_->avro, *schema_->avro).size() < 100, "too many faults");
  }
  [[nodiscard]] Result<std::shared_ptr<const WriterSchema>> schema(std::uint32_t) const override {
    if (schema_ != nullptr) return schema_;
    return fail(ErrorCode::kNotFound, error_id::kUnknownSchema, "none");
  }

 private:
  std::shared_ptr<const WriterSchema> schema_;
};

}  // namespace
}  // namespace millrace::format

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // The schema, a line end, the payload.
  const auto line = input.find('\n');
  const auto schema = input.substr(0, line);
  const auto payload = line == std::string_view::npos ? input : input.substr(line + 1);
  static const StreamDefinition kStream = [] {
    StreamDefinition stream;
    for (const auto* type : {"BIGINT", "VARCHAR", "JSON", "TIMESTAMP", "DECIMAL(9,2)"})
      stream.columns.push_back(
          {std::string(1, static_cast<char>('a' + stream.columns.size())), *Type::parse(type)});
    return stream;
  }();
  const format::OneSchema schemas(schema);
  format::PayloadDecoder decoder({}, &schemas);
  const auto body = PaddedBytes::copy_of(payload);
  const auto decoded = decoder.decode(*format::payload_type_of("application/avro"), body, kStream);
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
