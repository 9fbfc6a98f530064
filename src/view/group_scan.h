// The groups of a view in the order of their encoded keys, each with the states that the parts of
// the view have of it: its runs, which are sorted, and its tables, whose keys are sorted as far
// as the walk gets. So who needs the first few reads few. Thread: any, the parts must
// stay as they are meanwhile. Errors: those of `visit`. Cost: nothing is decoded or merged here.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/group_table.h"
#include "view/key_ranges.h"
#include "view/state_run.h"

namespace millrace::view {

/// What has states of the groups.
struct ScanParts {
  std::vector<const StateRun*> runs;
  std::vector<const GroupTable*> tables;
  /// Keys that are there even where no part has a state of them.
  std::span<const std::string> standing = {};
};

enum class ScanDirection { kUp, kDown };

/// How much was read.
struct ScanCounts {
  std::uint64_t from_runs = 0;    // entries
  std::uint64_t from_tables = 0;  // groups
};

/// Gives whether the walk goes on. The states are to be merged; there may be none.
using VisitGroup =
    std::function<Result<bool>(std::string_view key, std::span<const std::string_view> states)>;

Result<ScanCounts> scan_groups(const ScanParts& parts, const KeyRanges& ranges,
                               ScanDirection direction, const VisitGroup& visit);

}  // namespace millrace::view
