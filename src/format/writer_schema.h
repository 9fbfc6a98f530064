// What framed payloads refer to: schemas by their id, and who gives them. Thread: any; what is
// found is never changed. Errors: kNotFound (kUnknownSchema).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/avro_schema.h"
#include "format/protobuf_schema.h"

namespace millrace::format {

enum class SchemaType : std::uint8_t { kAvro, kProtobuf, kJson };

/// A registered schema, parsed where we read data by it.
struct WriterSchema {
  std::uint32_t id = 0;
  SchemaType type = SchemaType::kAvro;
  std::string text;
  std::shared_ptr<const AvroSchema> avro;          // of kAvro
  std::shared_ptr<const ProtobufSchema> protobuf;  // of kProtobuf
};

class SchemaLookup {
 public:
  virtual ~SchemaLookup() = default;
  [[nodiscard]] virtual Result<std::shared_ptr<const WriterSchema>> schema(
      std::uint32_t id) const = 0;
};

/// Confluent's wire format: a byte 0, the id of the schema in 4 bytes, big endian, then the data.
struct SchemaFrame {
  std::uint32_t id = 0;
  std::string_view data;
};
[[nodiscard]] inline std::optional<SchemaFrame> schema_frame_of(std::string_view bytes) {
  if (bytes.size() < 5 || bytes[0] != '\0') return std::nullopt;
  SchemaFrame frame;
  for (std::size_t i = 1; i < 5; ++i)
    frame.id = frame.id << 8 | static_cast<std::uint8_t>(bytes[i]);
  frame.data = bytes.substr(5);
  return frame;
}

}  // namespace millrace::format
