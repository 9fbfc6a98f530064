// Avro's encoding by hand, for tests: what a producer would send.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "format/writer_schema.h"

namespace millrace::format {

inline std::string avro_long(std::int64_t value) {
  auto bits = static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
  std::string out;
  for (; bits >= 0x80; bits >>= 7) out += static_cast<char>(bits | 0x80);
  return out + static_cast<char>(bits);
}
inline std::string avro_bytes(std::string_view bytes) {
  return avro_long(static_cast<std::int64_t>(bytes.size())) + std::string(bytes);
}
template <class T>
std::string avro_number(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
inline std::string avro_block(std::int64_t records, std::string_view bytes) {
  return avro_long(records) + avro_bytes(bytes) + "0123456789abcdef";
}
inline std::string avro_header(std::string_view schema, std::string_view codec = "null") {
  return "Obj\x01" + avro_long(2) + avro_bytes("avro.codec") + avro_bytes(codec) +
         avro_bytes("avro.schema") + avro_bytes(schema) + avro_long(0) + "0123456789abcdef";
}
inline std::string framed(std::uint32_t id, std::string_view data) {
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(id >> shift);
  return out + std::string(data);
}

/// Schemas by their ids.
class FixedSchemas : public SchemaLookup {
 public:
  void add_avro(std::uint32_t id, std::string_view text) {
    auto schema = std::make_shared<WriterSchema>();
    schema->id = id;
    schema->avro = std::make_shared<const AvroSchema>(*AvroSchema::parse(text));
    schemas_[id] = std::move(schema);
  }
  void add(std::shared_ptr<const WriterSchema> schema) { schemas_[schema->id] = std::move(schema); }
  [[nodiscard]] Result<std::shared_ptr<const WriterSchema>> schema(
      std::uint32_t id) const override {
    const auto found = schemas_.find(id);
    if (found != schemas_.end()) return found->second;
    return fail(ErrorCode::kNotFound, error_id::kUnknownSchema, "there is no schema {}", id);
  }

 private:
  std::map<std::uint32_t, std::shared_ptr<const WriterSchema>> schemas_;
};

}  // namespace millrace::format
