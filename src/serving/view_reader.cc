#include "serving/view_reader.h"

#include <algorithm>
#include <numeric>

#include "serving/value_parser.h"
#include "serving/view_scan.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

std::vector<Type> types_of(const view::CompiledView& view) {
  std::vector<Type> types;
  for (const auto& output : view.outputs) types.push_back(output.type);
  return types;
}

/// A condition on one column: its value as the key codec writes it, so that equality is equality of
/// bytes for every type.
struct BoundCondition {
  std::size_t output = 0;
  std::string encoded;
};

Error no_such_column(const speed::ViewState& view, std::string_view column) {
  std::vector<std::string> names;
  for (const auto& output : view.compiled().outputs) names.push_back(output.name);
  return {.code = ErrorCode::kInvalidArgument,
          .id = std::string(error_id::kColumnNotFound),
          .message = fmt::format("view {} has no column {}", view.record().name, column),
          .hint = fmt::format("its columns are {}", fmt::join(names, ", ")),
          .place = {}};
}

Result<BoundCondition> bind(const speed::ViewState& view, const ViewRequest::Equal& equal) {
  const auto& outputs = view.compiled().outputs;
  const auto output = view.compiled().find_output(equal.column);
  if (!output) return std::unexpected(no_such_column(view, equal.column));
  const Type type = outputs[*output].type;
  ColumnBatch value(std::span(&type, 1));
  auto parsed = push_parsed(equal.value, value.column(0), value.arena());
  if (!parsed) return std::unexpected(std::move(parsed).error().within("{}", equal.column));
  BoundCondition bound{*output, {}};
  const ColumnView views[] = {value.column(0).view()};
  view::encode_key(views, 0, bound.encoded);
  return bound;
}

Result<std::vector<BoundCondition>> bind_all(const speed::ViewState& view,
                                             const ViewRequest& request) {
  std::vector<BoundCondition> conditions;
  for (const auto& equal : request.where) {
    MR_TRY(auto bound, bind(view, equal));
    conditions.push_back(std::move(bound));
  }
  return conditions;
}

/// The conditions on the first key columns are a prefix of the encoded key; those on all of them
/// are the key.
struct KeyPrefix {
  std::string bytes;
  std::size_t columns = 0;
  bool is_key = false;
};

KeyPrefix key_prefix(const view::CompiledView& view, std::span<const BoundCondition> conditions) {
  KeyPrefix out;
  const std::size_t all = view.plan.keys.size();
  // The start of a session is no group's key before the sessions are folded.
  const std::size_t keys = all - (view.session_gap_us ? 1 : 0);
  for (; out.columns < keys; ++out.columns) {
    const auto output = view.output_of_key(out.columns);
    const auto found = std::ranges::find_if(
        conditions, [&](const auto& c) { return output && c.output == *output; });
    if (found == conditions.end()) break;
    out.bytes += found->encoded;
  }
  out.is_key = all != 0 && out.columns == all;
  return out;
}

bool matches(const ColumnBatch& rows, std::size_t row, std::span<const BoundCondition> conditions) {
  std::string encoded;
  return std::ranges::all_of(conditions, [&](const BoundCondition& condition) {
    encoded.clear();
    const ColumnView column[] = {rows.column(condition.output).view()};
    view::encode_key(column, row, encoded);
    return encoded == condition.encoded;
  });
}

/// Row numbers in the asked order; NULLs last, as in DuckDB, whatever the direction.
std::vector<std::uint32_t> ordered_rows(const speed::ViewState& view, const ColumnBatch& rows,
                                        std::vector<std::uint32_t> selected,
                                        std::span<const ViewRequest::Order> order,
                                        std::uint64_t limit) {
  struct SortKey {
    bool null;
    std::string bytes;
  };
  std::vector<std::vector<SortKey>> keys(order.size());
  std::vector<bool> descending;
  for (std::size_t o = 0; o < order.size(); ++o) {
    const ColumnView column[] = {rows.column(*view.compiled().find_output(order[o].column)).view()};
    keys[o].resize(rows.rows());
    for (const auto row : selected) {
      keys[o][row].null = !column[0].valid(row);
      view::encode_key(column, row, keys[o][row].bytes);
    }
    descending.push_back(order[o].descending);
  }
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    for (std::size_t o = 0; o < keys.size(); ++o) {
      const auto& left = keys[o][a];
      const auto& right = keys[o][b];
      if (left.null != right.null) return right.null;
      if (left.bytes != right.bytes) return (left.bytes < right.bytes) != descending[o];
    }
    return a < b;
  };
  const auto wanted = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(limit, selected.size()));
  std::partial_sort(selected.begin(), selected.begin() + wanted, selected.end(), before);
  return selected;
}

/// The pieces as one.
std::shared_ptr<const ColumnBatch> joined(
    const speed::ViewState& view, std::span<const std::shared_ptr<const ColumnBatch>> pieces) {
  if (pieces.size() == 1) return pieces.front();
  auto out = std::make_shared<ColumnBatch>(types_of(view.compiled()));
  for (const auto& piece : pieces) {
    const auto views = piece->views();
    out->append_all({views, piece->rows()});
  }
  return out;
}

/// A scan of the groups whose keys begin with `prefix`, which is that of so many columns.
ViewScan prefix_scan(const view::CompiledView& view, const std::string& prefix,
                     std::size_t columns) {
  auto scan = whole_scan(view);
  if (columns == 0) return scan;
  scan.keys.ranges = view::KeyRanges::prefix(prefix);
  scan.keys.fixed = prefix;
  scan.keys.fixed_columns = columns;
  return scan;
}

/// One row more than asked for tells whether there were more.
void limit_scan(const view::CompiledView& view, const ViewRequest& request, ViewScan& scan) {
  if (request.limit == UINT64_MAX) return;
  scan.limit = request.limit + 1;
  for (const auto& order : request.order) {
    const auto output = view.find_output(order.column);
    scan.order.push_back({static_cast<std::uint32_t>(*output), order.descending, false});
  }
}

}  // namespace

std::vector<Column> columns_of(const view::CompiledView& view) {
  std::vector<Column> columns;
  for (const auto& output : view.outputs) columns.push_back({output.name, output.type});
  return columns;
}

Result<ViewRows> read_all(const speed::ViewState& view) {
  MR_TRY(auto found, scan_view(view, whole_scan(view.compiled())));
  return ViewRows{joined(view, found.batches), std::move(found.coverage), false};
}

namespace {

/// What a request says, in terms of the view.
struct BoundRequest {
  std::vector<BoundCondition> conditions;
  KeyPrefix prefix;
};

Result<BoundRequest> bind_request(const speed::ViewState& view, const ViewRequest& request) {
  BoundRequest out;
  MR_TRY(out.conditions, bind_all(view, request));
  for (const auto& order : request.order) {
    if (!view.compiled().find_output(order.column)) {
      return std::unexpected(no_such_column(view, order.column).within("order"));
    }
  }
  out.prefix = key_prefix(view.compiled(), out.conditions);
  return out;
}

Result<ViewRows> read_bound(const speed::ViewState& view, const ViewRequest& request,
                            const BoundRequest& bound) {
  const auto& compiled = view.compiled();
  const auto& conditions = bound.conditions;
  const auto& [prefix, covered, is_key] = bound.prefix;
  ViewRows out;
  std::shared_ptr<const ColumnBatch> all;
  if (is_key) {
    MR_TRY(auto found, view.lookup(std::span(&prefix, 1)));
    out.coverage = found.coverage;
    if (conditions.size() == covered && request.limit > 0) {
      out.rows = std::move(found.rows);
      return out;
    }
    all = std::move(found.rows);
  } else {
    auto scan = prefix_scan(compiled, prefix, covered);
    if (conditions.size() == covered) limit_scan(compiled, request, scan);
    MR_TRY(auto found, scan_view(view, scan));
    out.coverage = std::move(found.coverage);
    all = joined(view, found.batches);
  }

  const std::size_t rows = all->rows();
  if (conditions.empty() && request.order.empty() && rows <= request.limit) {
    out.rows = std::move(all);
    return out;
  }
  std::vector<std::uint32_t> selected;
  for (std::size_t row = 0; row < rows; ++row) {
    if (matches(*all, row, conditions)) selected.push_back(static_cast<std::uint32_t>(row));
  }
  if (!request.order.empty())
    selected = ordered_rows(view, *all, std::move(selected), request.order, request.limit);
  out.truncated = selected.size() > request.limit;
  if (out.truncated) selected.resize(request.limit);
  auto chosen = std::make_shared<ColumnBatch>(types_of(compiled));
  const auto views = all->views();
  chosen->append_rows({views, rows}, selected);
  out.rows = std::move(chosen);
  return out;
}

}  // namespace

Result<ViewRows> read_view(const speed::ViewState& view, const ViewRequest& request) {
  MR_TRY(const auto bound, bind_request(view, request));
  return read_bound(view, request, bound);
}

Result<std::optional<ViewRows>> read_at_hand(const speed::ViewState& view,
                                             const ViewRequest& request) {
  MR_TRY(const auto bound, bind_request(view, request));
  if (!bound.prefix.is_key || !view.is_cached(std::span(&bound.prefix.bytes, 1)))
    return std::optional<ViewRows>();
  MR_TRY(auto rows, read_bound(view, request, bound));
  return std::optional(std::move(rows));
}

}  // namespace millrace::serving
