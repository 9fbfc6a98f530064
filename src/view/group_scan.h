// The groups of a view in the order of their encoded keys, each with the states that the parts of
// the view have of it: its runs, which are sorted and read block by block, and its tables, whose
// keys are sorted as far as the walk gets. So who needs the first few reads few. Thread: any.
// Errors: those of the runs and of `visit`. Cost: nothing is decoded or merged here.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "view/group_parts.h"
#include "view/key_ranges.h"

namespace millrace::view {

/// What has states of the groups.
struct ScanParts {
  GroupParts groups;
  /// Keys that are there even where no part has a state of them.
  std::span<const std::string> standing = {};
  /// As of RunCursor. The blocks of single keys are kept in any case.
  bool keep_blocks = false;
};

enum class ScanDirection { kUp, kDown };

/// How much was read.
struct ScanCounts {
  std::uint64_t from_runs = 0;    // entries
  std::uint64_t from_tables = 0;  // groups
};

/// Gives whether the walk goes on. The states are to be merged; there may be none. Key and states
/// are good until it returns.
using VisitGroup =
    std::function<Result<bool>(std::string_view key, std::span<const std::string_view> states)>;

Result<ScanCounts> scan_groups(const ScanParts& parts, const KeyRanges& ranges,
                               ScanDirection direction, const VisitGroup& visit);

}  // namespace millrace::view
