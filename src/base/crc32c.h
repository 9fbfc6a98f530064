// CRC32C (Castagnoli), as Kafka's record batches and all our files carry it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace millrace {

/// CRC32C of the bytes; `seed` is the checksum of the bytes before them (0 at the start).
[[nodiscard]] std::uint32_t crc32c(ByteSpan bytes, std::uint32_t seed = 0);
[[nodiscard]] inline std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0) {
  return crc32c(as_bytes(bytes), seed);
}

}  // namespace millrace
