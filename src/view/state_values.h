// What comes out of partial states: the finalized value of every output that is not a key. Pure
// functions. Errors: check_value() names the column whose value does not fit its type.
#pragma once

#include "base/result.h"
#include "model/column_batch.h"
#include "view/aggregate_plan.h"
#include "view/state_layout.h"

namespace millrace::view {

/// Whether a state can give the value of an output; then push_value() cannot fail.
Status check_value(const StateLayout& layout, const char* state, const OutputColumn& output);

/// Appends the finalized value of any output that is not a key. Nested values are in the form of
/// model/nested_value.h.
void push_value(const StateLayout& layout, const char* state, const OutputColumn& output,
                ColumnVector& out, Arena& arena);

}  // namespace millrace::view
