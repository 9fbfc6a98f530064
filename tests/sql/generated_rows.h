// Events that a seed makes for the columns of a stream: NULLs and missing fields, NaN, -0.0,
// Unicode, decimals, the ends of the integer types, equal and late times, a hot key. A column's
// name decides about doubles: `wild...` has NaN, infinities and magnitudes from 5e-324 to 1.8e308,
// `fine...` has decimal fractions, and any other one has small multiples of 1/8, which plain
// arithmetic sums without rounding. A BIGINT column `seq` numbers the rows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/stream.h"

namespace millrace::sql_cases {

/// One JSON object a row, without a line end.
[[nodiscard]] std::vector<std::string> generated_rows(const StreamDefinition& stream,
                                                      std::size_t rows, std::uint64_t seed);

}  // namespace millrace::sql_cases
