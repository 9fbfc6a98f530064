#include "serving/view_scan.h"

#include <algorithm>
#include <numeric>

#include "serving/best_rows.h"
#include "view/group_rows.h"
#include "view/key_codec.h"

namespace millrace::serving {

namespace {

/// So many rows are made at once.
constexpr std::size_t kPieceRows = 4096;
/// More best rows than this are all rows.
constexpr std::uint64_t kBestMax = 100'000;
/// Of a view whose HAVING may take rows away: so many groups are tried before asking again whether
/// the rows are enough.
constexpr std::uint64_t kTriedMin = 256;

/// An order that is that of the keys.
struct KeyWalk {
  view::ScanDirection direction = view::ScanDirection::kUp;
  /// NULL, which is the least in a key, comes last.
  bool nulls_last = false;
  std::size_t columns = 0;  // of the key, behind the fixed ones
};

bool is_sortable(const Type& type) {
  switch (type.kind) {
    case TypeKind::kBlob:
    case TypeKind::kJson:
    case TypeKind::kInterval:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      return false;
    default:
      return true;
  }
}

std::optional<KeyWalk> key_walk(const view::CompiledView& view, const ViewScan& scan) {
  KeyWalk walk;
  const std::size_t columns_max = view.final_sql.empty() ? view.plan.keys.size() : 1;
  for (const auto& one : scan.order) {
    const auto key = view.outputs[one.output].key;
    if (key && *key < scan.keys.fixed_columns) continue;  // the same in all rows
    const bool first = walk.columns == 0;
    const auto direction = one.descending ? view::ScanDirection::kDown : view::ScanDirection::kUp;
    const bool fits = key && *key == scan.keys.fixed_columns + walk.columns &&
                      is_sortable(view.outputs[one.output].type) && walk.columns < columns_max &&
                      !(one.descending && one.nulls_first) &&
                      (first || (direction == walk.direction &&
                                 walk.nulls_last == (!one.descending && !one.nulls_first)));
    if (!fits) break;
    walk.direction = direction;
    walk.nulls_last = !one.descending && !one.nulls_first;
    ++walk.columns;
  }
  if (walk.columns == 0 && !scan.order.empty()) return std::nullopt;
  return walk;
}

/// So that the bytes order as the numbers do.
void append_number(std::string& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
}

class Scanner {
 public:
  Scanner(const speed::ViewState& view, const speed::ViewSnapshot& snapshot, const ViewScan& scan)
      : view_(view), compiled_(view.compiled()), scan_(scan), rows_(compiled_, scan.outputs) {
    parts_.runs = {snapshot.base.get()};
    if (snapshot.frozen != nullptr) parts_.tables.push_back(snapshot.frozen.get());
    parts_.tables.push_back(snapshot.active.get());
    if (!compiled_.session_gap_us) parts_.standing = compiled_.standing_keys;
    out_.coverage = snapshot.coverage;
  }

  Result<ScannedRows> run() {
    const auto way = way_of(compiled_, scan_);
    if (scan_.limit == 0U) return std::move(out_);
    switch (way) {
      case ScanWay::kAll:
        MR_RETURN_IF_ERROR(read_all());
        break;
      case ScanWay::kFirst:
        MR_RETURN_IF_ERROR(read_first());
        break;
      case ScanWay::kBest:
        MR_RETURN_IF_ERROR(read_best());
        break;
    }
    return std::move(out_);
  }

 private:
  Status walk(const view::KeyRanges& ranges, view::ScanDirection direction,
              const view::VisitGroup& visit) {
    MR_TRY(const auto counts, view::scan_groups(parts_, ranges, direction, visit));
    out_.counts.from_runs += counts.from_runs;
    out_.counts.from_tables += counts.from_tables;
    return {};
  }

  /// The rows that were made, as the scan's columns.
  Result<std::shared_ptr<ColumnBatch>> take_rows() {
    MR_TRY(auto rows, view_.finish(rows_.take()));
    if (compiled_.final_sql.empty()) return rows;
    std::vector<Type> types;
    for (const auto output : scan_.outputs) types.push_back(compiled_.outputs[output].type);
    auto some = std::make_shared<ColumnBatch>(types);
    for (std::size_t i = 0; i < scan_.outputs.size(); ++i) {
      const auto from = rows->column(scan_.outputs[i]).view();
      some->column(i).reserve(rows->rows());
      for (std::size_t row = 0; row < rows->rows(); ++row)
        some->column(i).push_from(from, row, some->arena());
    }
    return some;
  }

  Status hand_over() {
    if (rows_.rows() == 0) return {};
    MR_TRY(auto rows, take_rows());
    given_ += rows->rows();
    if (rows->rows() != 0) out_.batches.push_back(std::move(rows));
    return {};
  }

  Status read_all() {
    MR_RETURN_IF_ERROR(walk(scan_.keys.ranges, view::ScanDirection::kUp,
                            [&](auto key, auto states) -> Result<bool> {
                              MR_RETURN_IF_ERROR(rows_.add(key, states));
                              if (rows_.rows() >= kPieceRows) MR_RETURN_IF_ERROR(hand_over());
                              return true;
                            }));
    MR_RETURN_IF_ERROR(rows_.finish());
    return hand_over();
  }

  Status read_first() {
    const auto order = *key_walk(compiled_, scan_);
    const auto& ranges = scan_.keys.ranges;
    if (!order.nulls_last || order.columns == 0) return read_first_of(ranges, order);
    const auto marked = [&](char mark) {
      const std::string begin = scan_.keys.fixed + mark;
      return ranges.within({.begin = begin, .end = view::end_of_prefix(begin)});
    };
    MR_RETURN_IF_ERROR(read_first_of(marked('\1'), order));
    return enough_ ? Status() : read_first_of(marked('\0'), order);
  }

  /// What a walk downwards gave, as a walk upwards gives it.
  void turn_round() {
    std::ranges::reverse(out_.batches);
    for (auto& batch : out_.batches) {
      std::vector<std::uint32_t> rows(batch->rows());
      std::iota(rows.rbegin(), rows.rend(), 0U);
      std::vector<Type> types;
      for (std::size_t i = 0; i < batch->column_count(); ++i)
        types.push_back(batch->column(i).type());
      auto turned = std::make_shared<ColumnBatch>(types);
      const auto views = batch->views();
      turned->append_rows({views, batch->rows()}, rows);
      batch = std::move(turned);
    }
  }

  /// Ends behind the last row that is equal to the one that makes it enough.
  Status read_first_of(const view::KeyRanges& ranges, const KeyWalk& order) {
    std::string last;
    bool begun = false;
    MR_RETURN_IF_ERROR(walk(ranges, order.direction, [&](auto key, auto states) -> Result<bool> {
      bool counts = true;
      const auto prefix = order_prefix(key, order, counts);
      if (begun && prefix != last) {
        MR_TRY(enough_, is_enough());
        if (enough_) return false;
      }
      begun = true;
      last = prefix;
      MR_RETURN_IF_ERROR(rows_.add(key, states));
      if (counts) ++counted_;
      if (rows_.rows() >= kPieceRows) MR_RETURN_IF_ERROR(hand_over());
      return true;
    }));
    MR_TRY(enough_, is_enough());
    MR_RETURN_IF_ERROR(hand_over());
    if (order.direction == view::ScanDirection::kDown) turn_round();
    return {};
  }

  /// The columns of the key that the order goes by; all where there is none.
  std::string_view order_prefix(std::string_view key, const KeyWalk& order, bool& counts) const {
    if (scan_.order.empty()) return key;
    std::size_t size = scan_.keys.fixed.size();
    const auto& keys = compiled_.plan.keys;
    for (std::size_t k = 0; k < order.columns; ++k) {
      const auto rest = key.substr(size);
      // A NULL of a later column stands before what it comes after, so it does not tell that all
      // before it was read.
      if (k != 0 && order.nulls_last && rest.starts_with('\0')) counts = false;
      size += view::key_column_size(rest, keys[scan_.keys.fixed_columns + k]);
    }
    return key.substr(0, size);
  }

  Result<bool> is_enough() {
    const std::uint64_t limit = *scan_.limit;
    if (compiled_.final_sql.empty()) return counted_ >= limit;
    if (given_ + rows_.rows() < limit || rows_.rows() < tried_min_) return false;
    MR_RETURN_IF_ERROR(hand_over());
    tried_min_ = kTriedMin;
    return given_ >= limit;
  }

  Status read_best() {
    std::vector<Type> types;
    for (const auto output : scan_.outputs) types.push_back(compiled_.outputs[output].type);
    BestRows best(types, *scan_.limit);
    MR_RETURN_IF_ERROR(compiled_.final_sql.empty() ? read_best_groups(best) : read_best_rows(best));
    auto rows = best.take();
    if (rows->rows() != 0) out_.batches.push_back(std::move(rows));
    return {};
  }

  /// Of most groups only the columns of the order are made.
  Status read_best_groups(BestRows& best) {
    std::vector<view::OutputColumn> columns;
    std::vector<Type> types;
    std::vector<SortColumn> order;
    for (const auto& one : scan_.order) {
      columns.push_back(compiled_.group_columns[compiled_.plain_outputs[one.output]]);
      types.push_back(columns.back().type);
      order.push_back({static_cast<std::uint32_t>(order.size()), one.descending, one.nulls_first});
    }
    ColumnBatch probe(types);
    std::string sort_key;
    return walk(scan_.keys.ranges, view::ScanDirection::kUp,
                [&](auto key, auto states) -> Result<bool> {
                  if (probe.rows() == kPieceRows) probe = ColumnBatch(types);
                  const auto wants = [&] {
                    sort_key.clear();
                    const auto views = probe.views();
                    append_sort_key(views, probe.rows() - 1, order, sort_key);
                    sort_key += key;  // among equal ones, those of the first keys
                    return best.wants(sort_key);
                  };
                  MR_RETURN_IF_ERROR(rows_.add_if(key, states, columns, probe, wants));
                  if (rows_.rows() == 0) return true;
                  const auto row = rows_.take();
                  const auto views = row->views();
                  best.add(sort_key, {views, 1}, 0);
                  return true;
                });
  }

  Status read_best_rows(BestRows& best) {
    std::vector<SortColumn> order;
    for (const auto& one : scan_.order) {
      const auto place = std::ranges::find(scan_.outputs, one.output);
      order.push_back({static_cast<std::uint32_t>(place - scan_.outputs.begin()), one.descending,
                       one.nulls_first});
    }
    std::uint64_t number = 0;  // of the row: among equal ones, the first
    const auto keep = [&]() -> Status {
      MR_TRY(const auto rows, take_rows());
      const auto views = rows->views();
      for (std::uint32_t row = 0; row < rows->rows(); ++row) {
        std::string sort_key;
        append_sort_key(views, row, order, sort_key);
        append_number(sort_key, ++number);
        if (best.wants(sort_key)) best.add(std::move(sort_key), {views, rows->rows()}, row);
      }
      return {};
    };
    MR_RETURN_IF_ERROR(walk(scan_.keys.ranges, view::ScanDirection::kUp,
                            [&](auto key, auto states) -> Result<bool> {
                              MR_RETURN_IF_ERROR(rows_.add(key, states));
                              if (rows_.rows() >= kPieceRows) MR_RETURN_IF_ERROR(keep());
                              return true;
                            }));
    return keep();
  }

  const speed::ViewState& view_;
  const view::CompiledView& compiled_;
  const ViewScan& scan_;
  view::ScanParts parts_;
  view::GroupRows rows_;
  std::uint64_t given_ = 0;
  std::uint64_t counted_ = 0;
  std::uint64_t tried_min_ = 1;
  bool enough_ = false;
  ScannedRows out_;
};

/// The first column of the key, or the first of all: of what only counts its rows.
std::uint32_t cheapest_output(const view::CompiledView& view) {
  const auto key =
      std::ranges::find_if(view.outputs, [](const auto& o) { return o.key.has_value(); });
  return key == view.outputs.end() ? 0 : static_cast<std::uint32_t>(key - view.outputs.begin());
}

bool take_order(const view::CompiledView& view, const WantedRows& wanted, ViewScan& scan) {
  for (const auto& one : wanted.order) {
    const auto output = view.find_output(one.column);
    if (!output) return false;
    scan.order.push_back({static_cast<std::uint32_t>(*output), one.descending, one.nulls_first});
  }
  return true;
}

}  // namespace

ViewScan whole_scan(const view::CompiledView& view) {
  ViewScan scan;
  for (std::uint32_t i = 0; i < view.outputs.size(); ++i) scan.outputs.push_back(i);
  return scan;
}

ViewScan scan_of(const view::CompiledView& view, const SelectReads& reads, std::string_view name) {
  const auto mentions = reads.mentions(name);
  if (mentions.empty()) return whole_scan(view);
  ViewScan scan;
  for (std::uint32_t i = 0; i < view.outputs.size(); ++i) {
    if (reads.wants(view.outputs[i].name)) scan.outputs.push_back(i);
  }
  if (scan.outputs.empty()) scan.outputs.push_back(cheapest_output(view));
  if (mentions.size() == 1) {
    const auto& mention = mentions.front();
    scan.keys = key_conditions(view, mention.conditions);
    if (mention.wanted && scan.keys.exact && !view.session_gap_us &&
        take_order(view, *mention.wanted, scan)) {
      scan.limit = mention.wanted->rows;
      if (way_of(view, scan) != ScanWay::kAll) return scan;
    }
    scan.limit.reset();
    scan.order.clear();
    return scan;
  }
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    auto one = key_conditions(view, mentions[i].conditions);
    if (i == 0) {
      scan.keys = std::move(one);
      continue;
    }
    scan.keys.ranges = scan.keys.ranges.united(one.ranges);
    if (!one.text.empty() && !scan.keys.text.empty()) {
      scan.keys.text += " or " + one.text;
    } else {
      scan.keys.text.clear();
    }
  }
  if (mentions.size() > 1) {
    scan.keys.fixed.clear();
    scan.keys.fixed_columns = 0;
  }
  return scan;
}

ScanWay way_of(const view::CompiledView& view, const ViewScan& scan) {
  if (!scan.limit || view.session_gap_us) return ScanWay::kAll;
  if (key_walk(view, scan)) return ScanWay::kFirst;
  const bool sortable = std::ranges::all_of(scan.order, [&](const ViewScan::Order& one) {
    return is_sortable(view.outputs[one.output].type);
  });
  return sortable && *scan.limit <= kBestMax ? ScanWay::kBest : ScanWay::kAll;
}

Result<ScannedRows> scan_view(const speed::ViewState& view, const ViewScan& scan) {
  MR_TRY(const auto snapshot, view.snapshot(scan.keys.ranges));
  return scan_view(view, snapshot, scan);
}

Result<ScannedRows> scan_view(const speed::ViewState& view, const speed::ViewSnapshot& snapshot,
                              const ViewScan& scan) {
  return Scanner(view, snapshot, scan).run();
}

std::vector<Column> columns_of(const view::CompiledView& view, const ViewScan& scan) {
  std::vector<Column> columns;
  for (const auto output : scan.outputs)
    columns.push_back({view.outputs[output].name, view.outputs[output].type});
  return columns;
}

}  // namespace millrace::serving
