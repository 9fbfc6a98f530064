// Numbers that nobody outside can guess, for ids and salts. Thread: any.
#pragma once

#include <cstdint>

namespace millrace::runtime {

/// 64 bits from the system's random source.
[[nodiscard]] std::uint64_t random_u64();

}  // namespace millrace::runtime
