// The lake files that hold a range of a stream's commits, verified. Thread: any. Errors: kDataLoss
// names the file; kCancelled.
#pragma once

#include <vector>

#include "batch/batch_job.h"
#include "sql/lake_select.h"

namespace millrace::batch {

struct RangeFiles {
  const StreamDefinition* stream = nullptr;
  std::vector<sql::LakeFile> files;
  std::uint64_t rows = 0;
};

Result<RangeFiles> files_of(lake::Lake& lake, const CommitRange& range,
                            const BatchProgress& progress);

[[nodiscard]] Error cancelled();

}  // namespace millrace::batch
