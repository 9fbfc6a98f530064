// A port of the loopback address that nobody has. Thread: any. Errors: 0 where there is none.
#pragma once

#include <cstdint>

namespace millrace::bench {

[[nodiscard]] std::uint16_t free_port();

}  // namespace millrace::bench
