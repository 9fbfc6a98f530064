// A varint of an encoding that is canonical: in its shortest form only; nothing where there is
// none.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace millrace::view {

[[nodiscard]] inline std::optional<std::uint64_t> get_short_varint(ByteReader& in) {
  const std::size_t before = in.remaining();
  const std::uint64_t value = in.get_varint();
  const std::size_t used = before - in.remaining();
  const auto bits = static_cast<std::size_t>(std::bit_width(value));
  if (!in.ok() || used != std::max<std::size_t>(1, (bits + 6) / 7)) return std::nullopt;
  return value;
}

}  // namespace millrace::view
