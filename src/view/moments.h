// Variance, covariance and what is made of them, from the exact sums of powers and products: the
// formula is computed in whole numbers and rounded once, a root of it once more, so that the result
// depends on the sums alone and does not suffer from cancellation. Pure functions. Errors: none.
//
// Where the result is no number DuckDB's rules hold: NULL for too few rows, NaN or NULL without
// variance (see docs/reference). A sum that is not finite (NaN or an infinity came in, or a power
// beyond the largest double) makes the result NaN; DuckDB refuses the query, or gives NaN, as it
// comes. A product below the least double is 0 in a sum; what that makes negative counts as 0.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "view/aggregate_plan.h"
#include "view/exact_sum.h"

namespace millrace::view {

/// One of the sums that OutputColumn::inputs names behind the number of rows.
struct MomentSum {
  ExactDigits digits;
  bool finite = true;
};

/// The value of an output of kVarPop to kRegrSxy; nothing for NULL. `sums` are those that the kind
/// names, without the number of rows.
[[nodiscard]] std::optional<double> moment(OutputKind kind, std::int64_t rows,
                                           std::span<const MomentSum> sums);

[[nodiscard]] bool is_moment(OutputKind kind);

}  // namespace millrace::view
