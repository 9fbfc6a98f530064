// A piece of a stream's history out of lake files: so many events from a position on. Thread: any.
// Errors: those of read_lake_files().
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "model/stream.h"
#include "sql/database.h"
#include "sql/lake_select.h"

namespace millrace::sql {

/// The first `rows_max` events of the files at or after `from`, by partition and offset, in batches
/// of consecutive offsets.
Status read_lake_page(Database& database, std::span<const LakeFile> files,
                      const StreamDefinition& stream, const Position& from, std::uint64_t rows_max,
                      const std::function<Status(const StreamBatch&)>& visit);

/// For each partition the first offset that arrived after `time_us`, where there is one.
Status first_arrivals(Database& database, std::span<const LakeFile> files,
                      const StreamDefinition& stream, std::int64_t time_us,
                      const std::function<void(PartitionId, Offset)>& visit);

}  // namespace millrace::sql
