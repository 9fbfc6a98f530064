#include "serving/view_scan.h"

#include <algorithm>
#include <numeric>

#include "serving/best_rows.h"
#include "serving/block_bounds.h"
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
/// Of the best groups: so many blocks are kept in the cache for whoever asks again.
constexpr std::size_t kKeptBlocks = 64;

/// An order that is that of the keys.
struct KeyOrder {
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

std::optional<KeyOrder> key_order(const view::CompiledView& view, const ViewScan& scan) {
  KeyOrder walk;
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
    parts_.groups = snapshot.parts;
    if (!compiled_.session_gap_us) parts_.standing = compiled_.standing_keys;
    out_.coverage = snapshot.coverage;
  }

  Result<ScannedRows> run() {
    const auto way = way_of(compiled_, scan_);
    // A walk over the whole view would push out what look-ups have in the cache.
    parts_.keep_blocks = way == ScanWay::kFirst || !scan_.keys.ranges.is_all();
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
    const auto order = *key_order(compiled_, scan_);
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
  Status read_first_of(const view::KeyRanges& ranges, const KeyOrder& order) {
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
  std::string_view order_prefix(std::string_view key, const KeyOrder& order, bool& counts) const {
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

  /// Makes of a group the columns of the order, and all that are wanted only of one that is among
  /// the best so far.
  class BestGroups {
   public:
    BestGroups(Scanner& scanner, BestRows& best) : rows_(scanner.rows_), best_(best) {
      const auto& compiled = scanner.compiled_;
      for (const auto& one : scanner.scan_.order) {
        columns_.push_back(compiled.group_columns[compiled.plain_outputs[one.output]]);
        types_.push_back(columns_.back().type);
        order_.push_back(
            {static_cast<std::uint32_t>(order_.size()), one.descending, one.nulls_first});
      }
      probe_ = ColumnBatch(types_);
    }

    Status consider(std::string_view key, std::span<const std::string_view> states) {
      const auto wants = [&] {
        sort_key_.clear();
        append_key(order_);
        sort_key_ += key;  // among equal ones, those of the first keys
        return best_.wants(sort_key_);
      };
      MR_RETURN_IF_ERROR(probe(key, states, wants));
      if (rows_.rows() == 0) return {};
      const auto row = rows_.take();
      const auto views = row->views();
      best_.add(sort_key_, {views, 1}, 0);
      return {};
    }

    /// The sort key by the first column of the order.
    Status first_of_key(std::string_view key, std::string_view state, std::string& out) {
      MR_RETURN_IF_ERROR(probe(key, {&state, 1}, [&] {
        sort_key_.clear();
        append_key(std::span(order_).first(1));
        return false;
      }));
      out += sort_key_;
      return {};
    }

   private:
    template <class Wants>
    Status probe(std::string_view key, std::span<const std::string_view> states, Wants&& wants) {
      if (probe_.rows() == kPieceRows) probe_ = ColumnBatch(types_);
      return rows_.add_if(key, states, columns_, probe_, std::forward<Wants>(wants));
    }
    void append_key(std::span<const SortColumn> order) {
      const auto views = probe_.views();
      append_sort_key(views, probe_.rows() - 1, order, sort_key_);
    }

    view::GroupRows& rows_;
    BestRows& best_;
    std::vector<view::OutputColumn> columns_;
    std::vector<Type> types_;
    std::vector<SortColumn> order_;
    ColumnBatch probe_;
    std::string sort_key_;
  };

  Status read_best_groups(BestRows& best) {
    BestGroups groups(*this, best);
    if (bounds_help()) return read_best_blocks(groups, best);
    return walk(scan_.keys.ranges, view::ScanDirection::kUp,
                [&](auto key, auto states) -> Result<bool> {
                  MR_RETURN_IF_ERROR(groups.consider(key, states));
                  return true;
                });
  }

  /// Whether most groups have their state in one run, and what it has of them is all.
  [[nodiscard]] bool bounds_help() const {
    const auto& parts = parts_.groups;
    return parts.runs.size() == 1 && parts_.standing.empty() && scan_.keys.ranges.is_all() &&
           (parts.groups() - parts.runs.front()->entries()) * 4 <= parts.runs.front()->entries();
  }

  /// What tables have is read as it is. Of the run, block by block in the order of their bounds,
  /// until the next one has nothing better.
  Status read_best_blocks(BestGroups& groups, BestRows& best) {
    const auto& run = *parts_.groups.runs.front();
    MR_RETURN_IF_ERROR(read_best_of_tables(groups));
    const auto& first = scan_.order.front();
    const std::uint64_t order =
        std::uint64_t{first.output} * 4 + (first.descending ? 2 : 0) + (first.nulls_first ? 1 : 0);
    MR_TRY(const auto bounds,
           BlockBounds::of(run, order, [&](auto key, auto state, std::string& out) {
             return groups.first_of_key(key, state, out);
           }));
    std::vector<std::uint32_t> blocks(run.blocks());
    std::iota(blocks.begin(), blocks.end(), 0U);
    const auto worse = [&](std::uint32_t a, std::uint32_t b) {
      const int by_bound = bounds->least(a).compare(bounds->least(b));
      return by_bound != 0 ? by_bound > 0 : a > b;
    };
    std::ranges::make_heap(blocks, worse);
    std::string at_best;
    for (std::size_t read = 0; !blocks.empty(); ++read) {
      const auto number = blocks.front();
      at_best = bounds->least(number);
      if (scan_.order.size() == 1 && bounds->is_whole(number)) at_best += run.first_key(number);
      if (!best.wants(at_best)) break;
      MR_RETURN_IF_ERROR(read_best_of_block(run, number, read < kKeptBlocks, groups));
      std::ranges::pop_heap(blocks, worse);
      blocks.pop_back();
    }
    return {};
  }

  Status read_best_of_block(const view::StateRun& run, std::size_t number, bool kept,
                            BestGroups& groups) {
    MR_TRY(const auto block, run.block(number, kept));
    out_.counts.from_runs += block->entries();
    const auto& tables = parts_.groups.tables;
    for (std::size_t i = 0; i < block->entries(); ++i) {
      const auto entry = block->entry(i);
      const bool loose =
          std::ranges::any_of(tables, [&](const auto& t) { return t->has_key(entry.key); });
      if (!loose) MR_RETURN_IF_ERROR(groups.consider(entry.key, {&entry.state, 1}));
    }
    return {};
  }

  Status read_best_of_tables(BestGroups& groups) {
    const auto& run = *parts_.groups.runs.front();
    const auto& tables = parts_.groups.tables;
    Status status;
    std::vector<std::string> texts(tables.size());
    std::vector<std::string_view> states;
    const auto take = [&](std::size_t table, std::string_view key) -> Status {
      states.clear();
      MR_TRY(const auto found, run.find(key));
      if (found) states.push_back(found->state);
      for (std::size_t other = 0; other < tables.size(); ++other) {
        texts[other].clear();
        if (!tables[other]->find_state(key, texts[other])) continue;
        if (other < table) return {};  // it came with that table
        states.emplace_back(texts[other]);
      }
      out_.counts.from_tables += states.size() - (found ? 1 : 0);
      out_.counts.from_runs += found ? 1 : 0;
      return groups.consider(key, states);
    };
    for (std::size_t table = 0; table < tables.size(); ++table) {
      tables[table]->for_each_key([&](std::string_view key) {
        if (status) status = take(table, key);
      });
    }
    return status;
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
  if (key_order(view, scan)) return ScanWay::kFirst;
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
