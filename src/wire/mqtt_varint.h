// The variable byte integer of MQTT (MQTT 5 1.5.5; MQTT 3.1.1 2.2.3): 1 to 4 bytes, 7 bits each,
// the low ones first. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::wire::mqtt {

inline constexpr std::uint32_t kMaxVarint = 268'435'455;

struct Varint {
  enum class State : std::uint8_t { kNeedMore, kComplete, kTooLong, kNotMinimal };
  State state = State::kNeedMore;
  std::uint32_t value = 0;
  std::size_t size = 0;
};

inline Varint read_varint(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == bytes.size()) return {};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    value |= static_cast<std::uint32_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      const bool minimal = i == 0 || byte != 0;
      return {.state = minimal ? Varint::State::kComplete : Varint::State::kNotMinimal,
              .value = value,
              .size = i + 1};
    }
  }
  return {.state = Varint::State::kTooLong, .value = 0, .size = 0};
}

constexpr std::size_t varint_size(std::uint32_t value) {
  return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

}  // namespace millrace::wire::mqtt
