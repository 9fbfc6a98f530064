// Any bytes as messages of a schema that has a field of every kind, and any text as a schema.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "format/payload_decoder.h"
#include "format/protobuf_schema.h"

namespace millrace::format {
namespace {

constexpr std::string_view kProto = R"(syntax = "proto3";
import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
message M {
  int64 n = 1; string s = 2; M inner = 3; repeated sint32 list = 4; map<string, M> map = 5;
  google.protobuf.Timestamp at = 6; google.protobuf.StringValue w = 7; bytes raw = 8;
  double d = 9; optional float f = 10; repeated string texts = 11; bool flag = 12;
  enum E { A = 0; B = 1; } E e = 13; fixed32 x = 14;
})";

class OneSchema : public SchemaLookup {
 public:
  OneSchema() {
    auto schema = std::make_shared<WriterSchema>();
    schema->type = SchemaType::kProtobuf;
    schema->protobuf = *ProtobufSchema::parse(kProto);
    schema_ = std::move(schema);
  }
  [[nodiscard]] Result<std::shared_ptr<const WriterSchema>> schema(std::uint32_t) const override {
    return schema_;
  }

 private:
  std::shared_ptr<const WriterSchema> schema_;
};

}  // namespace
}  // namespace millrace::format

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  static const format::OneSchema kSchemas;
  static const StreamDefinition kStream = [] {
    StreamDefinition stream;
    const std::pair<const char*, const char*> columns[] = {
        {"n", "BIGINT"}, {"s", "VARCHAR"},    {"inner", "JSON"}, {"list", "JSON"},
        {"map", "JSON"}, {"at", "TIMESTAMP"}, {"w", "VARCHAR"},  {"raw", "BLOB"},
        {"d", "DOUBLE"}, {"f", "FLOAT"},      {"texts", "JSON"}, {"flag", "BOOLEAN"},
        {"e", "VARCHAR"}};
    for (const auto& [name, type] : columns) stream.columns.push_back({name, *Type::parse(type)});
    return stream;
  }();
  format::PayloadType type;
  type.format = format::Format::kProtobuf;
  type.schema_id = 1;
  type.delimited = (data[0] & 1) != 0;
  if ((data[0] & 2) != 0) {
    const auto schema =
        format::ProtobufSchema::parse({reinterpret_cast<const char*>(data + 1), size - 1});
    MR_CHECK(!schema || format::protobuf_read_faults(**schema, **schema).empty(),
             "a schema does not read its own data");
    return 0;
  }
  format::PayloadDecoder decoder({}, &kSchemas);
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
