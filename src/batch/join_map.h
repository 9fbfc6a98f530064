// The map of a view that joins two streams: the pairs of which at least one event is in the range
// of its stream, and the other in it or before. DuckDB joins them on all its threads, by the keys
// and a bucket of time, over the files whose time can have partners. Where a pair cannot be
// evaluated they are joined again one by one, as the speed layer does. Thread and errors: those of
// batch_job.h.
#pragma once

#include "batch/batch_job.h"

namespace millrace::batch {

Result<view::GroupParts> map_join(sql::Database& database, lake::Lake& lake,
                                  const BatchInput& input, BatchProgress& progress,
                                  std::uint64_t& skipped_rows);

}  // namespace millrace::batch
