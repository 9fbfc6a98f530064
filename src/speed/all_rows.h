// For tests: all rows of a view as one batch, in the order of their keys, and the groups that a
// snapshot has in some ranges of keys.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "speed/view_state.h"
#include "view/group_rows.h"
#include "view/group_scan.h"

namespace millrace::speed {

inline Result<std::shared_ptr<ColumnBatch>> rows_of(const ViewState& view,
                                                    const ViewSnapshot& snapshot) {
  const auto& compiled = view.compiled();
  std::vector<std::uint32_t> outputs(compiled.outputs.size());
  std::iota(outputs.begin(), outputs.end(), 0U);
  view::GroupRows rows(compiled, outputs);
  view::ScanParts parts{.groups = snapshot.parts};
  if (!compiled.session_gap_us) parts.standing = compiled.standing_keys;
  const auto counts = view::scan_groups(parts, {}, view::ScanDirection::kUp,
                                        [&](auto key, auto states) -> Result<bool> {
                                          MR_RETURN_IF_ERROR(rows.add(key, states));
                                          return true;
                                        });
  if (!counts) return std::unexpected(counts.error());
  MR_RETURN_IF_ERROR(rows.finish());
  return view.finish(rows.take());
}

inline Result<std::shared_ptr<ColumnBatch>> all_rows(const ViewState& view) {
  MR_TRY(const auto snapshot, view.snapshot());
  return rows_of(view, snapshot);
}

inline Result<std::vector<std::string>> keys_in(const ViewSnapshot& snapshot,
                                                const view::KeyRanges& ranges) {
  std::vector<std::string> keys;
  const auto counts =
      view::scan_groups({.groups = snapshot.parts}, ranges, view::ScanDirection::kUp,
                        [&](auto key, auto /*states*/) -> Result<bool> {
                          keys.emplace_back(key);
                          return true;
                        });
  if (!counts) return std::unexpected(counts.error());
  return keys;
}

}  // namespace millrace::speed
