// Which lake files a SELECT over a stream can leave out: those whose events lie outside of its
// conditions on event time, partition, offset or arrival. Thread: any, values only. Errors: none.
// Invariant: a file with an event of which the conditions are TRUE is never left out.
#pragma once

#include <span>

#include "catalog/catalog.h"
#include "model/stream.h"
#include "serving/select_reads.h"

namespace millrace::serving {

/// `mentions`: where the SELECT names the stream; where there are none, every file is needed.
[[nodiscard]] bool is_needed(const catalog::FileRecord& file, const StreamDefinition& stream,
                             std::span<const Mention> mentions);

}  // namespace millrace::serving
