// The value that a column takes where a record has no such field, and that rows have which are
// older than the column. It is kept as a JSON token, so that it means what it would mean in an
// event. Thread: any. Errors: kInvalidArgument (kBadOption) where the column's type does not take
// it.
#pragma once

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::format {

/// One row of one column: the default, or NULL where there is none.
Result<ColumnBatch> default_value(const Column& column);

}  // namespace millrace::format
