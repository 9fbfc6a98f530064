// The time, for the few that may know it: arrival times, timeouts, rates.
#pragma once

#include <cstdint>

namespace millrace::runtime {

/// Microseconds since 1970-01-01 UTC; may jump.
[[nodiscard]] std::int64_t wall_us();
/// Microseconds from some start; never goes back.
[[nodiscard]] std::int64_t monotonic_us();

}  // namespace millrace::runtime
