// Reads of the merged answer of a view that read no more of it than is wanted: the groups of some
// ranges of keys, some of the columns, and with a limit the first rows of an order. An order by the
// first columns of the key that are not fixed is a walk that ends early; one by other columns keeps
// the best rows while it reads, and passes over blocks of the generation that have none
// (block_bounds.h). The rows come in pieces, in the order of the keys; the best ones in the wanted
// order. Thread: any. Errors: kUnavailable (kViewBuilding), those of the
// view's final stage.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"
#include "serving/key_conditions.h"
#include "speed/view_state.h"
#include "view/group_scan.h"
#include "view/key_ranges.h"

namespace millrace::serving {

struct ViewScan {
  struct Order {
    std::uint32_t output = 0;
    bool descending = false;
    bool nulls_first = false;
  };
  KeyConditions keys;
  std::vector<std::uint32_t> outputs;  // of the view, in the order of the rows' columns
  /// All rows of the ranges where there is no limit; otherwise at least so many first ones of the
  /// order, if there are so many.
  std::optional<std::uint64_t> limit;
  std::vector<Order> order;
};

/// All rows, all columns.
[[nodiscard]] ViewScan whole_scan(const view::CompiledView& view);

/// What the mentions of a view leave of it.
[[nodiscard]] ViewScan scan_of(const view::CompiledView& view, const SelectReads& reads,
                               std::string_view name);

/// How a scan goes about its order.
enum class ScanWay {
  kAll,    // every group of the ranges is read and handed over
  kFirst,  // the walk over the keys ends when there are enough
  kBest,   // all groups of the ranges that may be among the best are read, the best handed over
};
[[nodiscard]] ScanWay way_of(const view::CompiledView& view, const ViewScan& scan);

struct ScannedRows {
  std::vector<std::shared_ptr<const ColumnBatch>> batches;  // none of them is empty
  speed::Coverage coverage;
  view::ScanCounts counts;
};

Result<ScannedRows> scan_view(const speed::ViewState& view, const ViewScan& scan);
/// The same of the view as it was.
Result<ScannedRows> scan_view(const speed::ViewState& view, const speed::ViewSnapshot& snapshot,
                              const ViewScan& scan);

/// The columns of the rows.
[[nodiscard]] std::vector<Column> columns_of(const view::CompiledView& view, const ViewScan& scan);

}  // namespace millrace::serving
