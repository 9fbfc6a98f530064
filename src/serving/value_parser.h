// A value of a query string as a value of a column's type: "2001-01-01T00:00:00" for a TIMESTAMP.
// The same forms that events have in JSON.
#pragma once

#include <string_view>

#include "base/result.h"
#include "model/column_batch.h"

namespace millrace::serving {

/// Appends the value to a column. Errors: kInvalidArgument (kBadValue) with the type's name.
Status push_parsed(std::string_view text, ColumnVector& column, Arena& arena);

}  // namespace millrace::serving
