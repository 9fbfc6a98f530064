// Avro's object container file: header, blocks, codecs null, deflate, snappy and zstandard. Takes
// any bytes. Thread: one owner. Errors: kInvalidArgument (kBadPayload), kPayloadTooLarge
// (kRecordTooLarge) where blocks unpack to more than is allowed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/avro_schema.h"

namespace millrace::format {

struct AvroBlock {
  std::uint64_t records = 0;
  std::string_view bytes;  // unpacked; valid until the next block is read
};

class AvroContainer {
 public:
  /// Of all blocks of a body together.
  static constexpr std::uint64_t kUnpackedBytesMax = std::uint64_t{256} << 20;

  [[nodiscard]] static bool begins(std::string_view bytes) { return bytes.starts_with("Obj\x01"); }
  static Result<AvroContainer> open(std::string_view bytes);

  [[nodiscard]] const AvroSchema& schema() const { return *schema_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  Result<AvroBlock> next();

 private:
  enum class Codec : std::uint8_t { kNull, kDeflate, kSnappy, kZstandard };
  Status unpack(std::string_view packed);

  std::shared_ptr<const AvroSchema> schema_;
  Codec codec_ = Codec::kNull;
  std::string sync_;
  std::string_view rest_;
  std::string unpacked_;
  std::uint64_t left_ = kUnpackedBytesMax;
};

/// A container of one record: what a bad record is kept as, so that it can be read by itself.
[[nodiscard]] std::string avro_container_of(std::string_view schema, std::string_view record);

}  // namespace millrace::format
