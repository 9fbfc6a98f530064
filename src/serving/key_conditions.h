// From conditions on columns to ranges of a view's encoded keys: equality on the first columns of
// the key, and behind them one range or prefix. Thread: any, values only. Errors: none. Invariant:
// each group of which the conditions are TRUE has its key in the ranges; where `exact`, no other.
#pragma once

#include <span>
#include <string>

#include "serving/select_reads.h"
#include "view/compiler.h"
#include "view/key_ranges.h"

namespace millrace::serving {

struct KeyConditions {
  view::KeyRanges ranges;
  /// Whether the ranges are all that the conditions say.
  bool exact = true;
  /// So many first columns of the key have one value each, whose encoding is `fixed`.
  std::size_t fixed_columns = 0;
  std::string fixed;
  /// As EXPLAIN says it: "origin = …, hour between"; empty where the ranges are all keys.
  std::string text;
};

[[nodiscard]] KeyConditions key_conditions(const view::CompiledView& view,
                                           std::span<const ColumnCondition> conditions);

}  // namespace millrace::serving
