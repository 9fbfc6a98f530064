// Lengths of time as options of statements write them: '7 days', '36 hours', '1 day 12 hours'.
// Months and years have no fixed length and are refused. Thread: any. Errors: kInvalidArgument
// (kBadOption), with what is taken.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::sql {

/// Microseconds, greater than 0.
Result<std::int64_t> parse_duration(std::string_view text);

}  // namespace millrace::sql
