#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace millrace {

std::uint32_t crc32c(ByteSpan bytes, std::uint32_t seed) {
  // ISA-L wants a non-const pointer and an int length, and leaves both inversions to us.
  std::uint32_t state = ~seed;
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  std::size_t left = bytes.size();
  while (left > 0) {
    const std::size_t piece = std::min<std::size_t>(left, std::size_t{1} << 30);
    state = crc32_iscsi(data, static_cast<int>(piece), state);
    data += piece;
    left -= piece;
  }
  return ~state;
}

}  // namespace millrace
