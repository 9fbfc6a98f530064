#include "format/protobuf_wire.h"

namespace millrace::format {

namespace {
constexpr std::size_t kGroupDepthMax = 64;
}

bool ProtobufFields::fail_here() {
  bad_ = true;
  rest_ = {};
  return false;
}

bool ProtobufFields::read_varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return fail_here();
}

bool ProtobufFields::read_little_endian(std::size_t size, std::uint64_t& value) {
  if (rest_.size() < size) return fail_here();
  value = 0;
  for (std::size_t i = size; i-- != 0;) value = value << 8 | static_cast<std::uint8_t>(rest_[i]);
  rest_.remove_prefix(size);
  return true;
}

bool ProtobufFields::read_bytes(std::string_view& bytes) {
  std::uint64_t size = 0;
  if (!read_varint(size)) return false;
  if (size > rest_.size()) return fail_here();
  bytes = rest_.substr(0, static_cast<std::size_t>(size));
  rest_.remove_prefix(static_cast<std::size_t>(size));
  return true;
}

bool ProtobufFields::next(ProtobufField& field) {
  for (;;) {
    if (rest_.empty()) return false;
    std::uint64_t tag = 0;
    if (!read_varint(tag)) return false;
    const std::uint64_t number = tag >> 3;
    field.wire_type = static_cast<std::uint8_t>(tag & 7);
    if (number == 0 || number > 0x1fffffff) return fail_here();
    field.number = static_cast<std::uint32_t>(number);
    switch (field.wire_type) {
      case 0:
        return read_varint(field.value);
      case 1:
        return read_little_endian(8, field.value);
      case 2:
        return read_bytes(field.bytes);
      case 3:  // a group: proto2's old way of nesting, which no field of a column has
        if (!skip_group(field.number)) return false;
        continue;
      case 5:
        return read_little_endian(4, field.value);
      default:
        return fail_here();
    }
  }
}

bool ProtobufFields::skip_group(std::uint32_t number) {
  std::uint32_t open[kGroupDepthMax];
  std::size_t depth = 0;
  open[depth++] = number;
  while (depth != 0) {
    std::uint64_t tag = 0;
    std::uint64_t value = 0;
    std::string_view bytes;
    if (!read_varint(tag)) return false;
    switch (tag & 7) {
      case 0:
        if (!read_varint(value)) return false;
        break;
      case 1:
        if (!read_little_endian(8, value)) return false;
        break;
      case 2:
        if (!read_bytes(bytes)) return false;
        break;
      case 3:
        if (depth == kGroupDepthMax) return fail_here();
        open[depth++] = static_cast<std::uint32_t>(tag >> 3);
        break;
      case 4:
        if (open[--depth] != static_cast<std::uint32_t>(tag >> 3)) return fail_here();
        break;
      case 5:
        if (!read_little_endian(4, value)) return false;
        break;
      default:
        return fail_here();
    }
  }
  return true;
}

bool ProtobufFields::next_packed(std::uint8_t wire_type, std::uint64_t& value) {
  if (rest_.empty()) return false;
  if (wire_type == 0) return read_varint(value);
  return read_little_endian(wire_type == 1 ? 8 : 4, value);
}

}  // namespace millrace::format
