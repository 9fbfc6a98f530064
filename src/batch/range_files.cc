#include "batch/range_files.h"

namespace millrace::batch {

Error cancelled() {
  return {.code = ErrorCode::kCancelled,
          .id = std::string(error_id::kStopping),
          .message = "the batch run was cancelled",
          .hint = {},
          .place = {}};
}

Result<RangeFiles> files_of(lake::Lake& lake, const CommitRange& range,
                            const BatchProgress& progress) {
  RangeFiles out{.stream = range.stream, .files = {}, .rows = 0};
  const StreamId id = range.stream->id;
  const auto snapshot = lake.snapshot(id);
  for (const auto& commit : snapshot->commits) {
    if (commit.number <= range.after || commit.number > range.upto) continue;
    for (const auto& file : commit.files) {
      if (progress.cancel) return std::unexpected(cancelled());
      MR_RETURN_IF_ERROR(lake.verify(id, file));
      out.files.push_back({lake.path(id, file), commit.schema_version});
      out.rows += file.rows;
    }
  }
  return out;
}

}  // namespace millrace::batch
