// No figure counts before the answers are right: compares the three views of a server with the
// exact totals of the generator, every group, every double to the bit. Thread: any. Errors:
// kInternal names the first group that differs.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "event_generator.h"

namespace millrace::bench {

Status check_views(std::uint16_t port, const Totals& totals);

}  // namespace millrace::bench
