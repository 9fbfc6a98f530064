// Rows of a view by many keys at once, as POST /v1/views/{view}/lookup asks for them. Thread: any.
// Errors: kInvalidArgument (kBadRequest, kColumnNotFound, kBadValue) that names the key, those of
// ViewState::read_units().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "speed/view_state.h"

namespace millrace::serving {

inline constexpr std::size_t kLookupKeysMax = 1000;

struct LookupKeys {
  std::vector<std::string> encoded;
  std::shared_ptr<const ColumnBatch> values;  // a row for each key, a column for each of the key's
};
/// `body`: a JSON array of objects {"column": value} or arrays of values, one for each key.
Result<LookupKeys> parse_lookup(const view::CompiledView& view, std::string_view name,
                                std::string_view body);

struct FoundRows {
  std::shared_ptr<const ColumnBatch> rows;
  /// For each key its row; none where the view has no group of this key.
  std::vector<std::optional<std::uint32_t>> places;
  speed::Coverage coverage;
};
Result<FoundRows> look_up(const speed::ViewState& view, const LookupKeys& keys);

/// A row for each key: whether it was found, then the view's columns, of which one that was not
/// found has only its key.
[[nodiscard]] std::shared_ptr<const ColumnBatch> marked_rows(const view::CompiledView& view,
                                                             const LookupKeys& keys,
                                                             const FoundRows& found);
[[nodiscard]] std::vector<Column> marked_columns(const view::CompiledView& view);

}  // namespace millrace::serving
