// Reads the merged answer of a view without SQL, as GET asks for it: by key from the index, by the
// first columns of the key as a range of it, by anything else as a filter over all rows; the first
// rows of an order as view_scan.h has it. Thread: any. Errors:
// kInvalidArgument (kColumnNotFound, kBadValue), kUnavailable (kViewBuilding).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/stream.h"
#include "speed/view_state.h"

namespace millrace::serving {

struct ViewRequest {
  struct Equal {
    std::string column;
    std::string value;
  };
  struct Order {
    std::string column;
    bool descending = false;
  };
  std::vector<Equal> where;
  std::vector<Order> order;
  std::uint64_t limit = 10'000;
};

struct ViewRows {
  std::shared_ptr<const ColumnBatch> rows;  // the view's columns
  speed::Coverage coverage;
  bool truncated = false;  // there were more than the limit
};

Result<ViewRows> read_view(const speed::ViewState& view, const ViewRequest& request);

/// The same where it is a look-up by key in what memory has, or is refused: so little to do that an
/// I/O thread may. nullopt, and nothing was read, where it is more.
Result<std::optional<ViewRows>> read_at_hand(const speed::ViewState& view,
                                             const ViewRequest& request);

/// All merged rows, in the order of their keys.
Result<ViewRows> read_all(const speed::ViewState& view);

[[nodiscard]] std::vector<Column> columns_of(const view::CompiledView& view);

}  // namespace millrace::serving
