// The wire format of Protobuf alone: the fields of one message, one after the other, as views into
// its bytes. Takes any bytes. Thread: one owner. Errors: bad() where the bytes are no message.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::format {

struct ProtobufField {
  std::uint32_t number = 0;
  std::uint8_t wire_type = 0;  // 0 varint, 1 64 bits, 2 bytes, 5 32 bits
  std::uint64_t value = 0;     // of 0, 1 and 5
  std::string_view bytes;      // of 2
};

class ProtobufFields {
 public:
  explicit ProtobufFields(std::string_view message) : rest_(message) {}

  /// False at the end, or where the bytes are bad.
  [[nodiscard]] bool next(ProtobufField& field);
  [[nodiscard]] bool bad() const { return bad_; }

  /// Elements of a packed field. False at the end, or where the bytes are bad.
  [[nodiscard]] bool next_packed(std::uint8_t wire_type, std::uint64_t& value);
  [[nodiscard]] bool read_varint(std::uint64_t& value);
  [[nodiscard]] std::string_view rest() const { return rest_; }
  /// Bytes with their length before them. False where the bytes are bad.
  [[nodiscard]] bool read_bytes(std::string_view& bytes);

 private:
  bool fail_here();
  bool read_little_endian(std::size_t size, std::uint64_t& value);
  bool skip_group(std::uint32_t number);

  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace millrace::format
