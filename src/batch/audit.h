// The audit: the states that the speed layer had at the cut of a new generation against those that
// the batch layer computed. Both are the same bytes, or one of the layers is wrong: then the rows
// that differ are named. Thread: any. Errors: kDataLoss for states that are none.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "view/compiler.h"
#include "view/group_parts.h"
#include "view/state_run.h"

namespace millrace::batch {

/// Groups in which the layers differ: 0, or one of them is wrong.
struct Drift {
  static constexpr std::size_t kRowsKept = 10;
  std::uint64_t rows = 0;
  std::vector<catalog::DriftRow> first;  // by key, at most kRowsKept
};

/// `speed` is what the speed layer's answers were merged from until the cut of `generation`.
Result<Drift> audit(const view::CompiledView& view, const view::GroupParts& speed,
                    const std::shared_ptr<const view::StateRun>& generation);

}  // namespace millrace::batch
