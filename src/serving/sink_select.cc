#include "serving/sink_select.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "sql/allow_list.h"
#include "sql/syntax.h"
#include "view/select_tree.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;

std::unexpected<Error> refuse(std::string message, std::string hint = {}, TextPlace place = {}) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kNotSinkable),
                               .message = "a sink cannot be made of this: " + std::move(message),
                               .hint = std::move(hint),
                               .place = place});
}

/// The parts of a SELECT that make of some rows others than one or none of each.
Status check_rows_alone(const json::object& node, std::string_view select) {
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"modifiers", "ORDER BY, LIMIT or DISTINCT"},
      {"group_expressions", "GROUP BY"},
      {"group_sets", "GROUP BY"},
      {"having", "HAVING"},
      {"qualify", "QUALIFY"},
      {"sample", "a sample"}};
  if (view::text_of(node, "type") != "SELECT_NODE") return refuse("a set operation");
  for (const auto& [field, shown] : kParts) {
    if (!view::is_set(node, field)) continue;
    return refuse(fmt::format("{} stands in it", shown),
                  "a sink takes each row of a view by itself: say that in the view");
  }
  TextPlace place;
  const bool others = view::any_node(node, [&](const json::object& one) {
    const auto kind = view::text_of(one, "class");
    const bool refused = kind == "SUBQUERY" || kind == "WINDOW" || view::is_aggregate_call(one) ||
                         view::text_of(one, "function_name") == "unnest";
    if (refused) place = view::place_of(select, one);
    return refused;
  });
  if (!others) return {};
  return refuse("an aggregate, a window or a subquery stands in it",
                "a sink takes each row of a view by itself: say that in the view", place);
}

struct Item {
  std::string name;    // in the store
  std::string source;  // the column of the view that it is as it is; empty: an expression
};

/// The columns that the SELECT gives; replaces a star by what it stands for.
Result<std::vector<Item>> take_items(json::object& node, std::span<const Column> columns,
                                     std::string_view select) {
  std::vector<Item> items;
  json::array list;
  for (const auto& value : node.at("select_list").as_array()) {
    const auto& one = value.as_object();
    const auto kind = view::text_of(one, "class");
    const std::string alias(view::text_of(one, "alias"));
    if (kind == "STAR") {
      for (const std::string_view part :
           {"exclude_list", "replace_list", "rename_list", "qualified_exclude_list", "expr"}) {
        if (view::is_set(one, part))
          return refuse("a * with EXCLUDE, REPLACE or RENAME", "name the columns one by one",
                        view::place_of(select, value));
      }
      for (const auto& column : columns) {
        list.push_back(view::column_reference(column.name));
        items.push_back({column.name, column.name});
      }
      continue;
    }
    list.push_back(value);
    if (kind == "COLUMN_REF") {
      const auto& names = one.at("column_names").as_array();
      std::string source(names.back().as_string());
      items.push_back({alias.empty() ? source : alias, source});
    } else if (alias.empty()) {
      return refuse("an expression has no name", "give it one with AS",
                    view::place_of(select, value));
    } else {
      items.push_back({alias, {}});
    }
  }
  node["select_list"] = std::move(list);
  return items;
}

Status check_names(std::span<const Item> items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    MR_RETURN_IF_ERROR(check_column_name(items[i].name));
    for (std::size_t k = 0; k < i; ++k) {
      if (same_name(items[k].name, items[i].name))
        return refuse(fmt::format("two columns are named {}", items[i].name),
                      "give one another name with AS");
    }
  }
  return {};
}

/// A column of the key must be one that the store can look up.
Status check_key_type(const Column& column) {
  if (!column.type.is_nested() && column.type.kind != TypeKind::kJson) return {};
  return refuse(fmt::format("the key column {} has type {}, which names no row in a store",
                            column.name, column.type.sql()),
                "group the view by a scalar of it");
}

Status find_key(const view::CompiledView& view, std::span<const Item> items,
                sink::TargetShape& shape) {
  for (std::size_t k = 0; k < view.plan.keys.size(); ++k) {
    const auto output = view.output_of_key(k);
    if (!output) {
      return refuse("the view does not show a part of its group key",
                    "select all of its GROUP BY in the view");
    }
    const std::string& name = view.outputs[*output].name;
    const auto item =
        std::ranges::find_if(items, [&](const Item& one) { return same_name(one.source, name); });
    if (item == items.end()) {
      return refuse(fmt::format("{} of the view's group key is not selected", name),
                    "the group key names the rows in the store: select all of it, as it is or "
                    "under another name");
    }
    const auto index = static_cast<std::uint32_t>(item - items.begin());
    MR_RETURN_IF_ERROR(check_key_type({items[index].name, view.plan.keys[k]}));
    shape.key.push_back(index);
  }
  shape.unit_parts = shape.key.size() - (view.session_gap_us ? 1 : 0);
  return {};
}

}  // namespace

Result<std::string> relation_of_sink(std::string_view select) {
  MR_TRY(const auto tree, sql::parse_select(select));
  const auto* const node = tree.if_contains("node");
  const auto* const from = node == nullptr || !node->is_object()
                               ? nullptr
                               : node->get_object().if_contains("from_table");
  if (from == nullptr || !from->is_object() ||
      view::text_of(from->get_object(), "type") != "BASE_TABLE") {
    return refuse("its FROM is not one materialized view");
  }
  return std::string(view::text_of(from->get_object(), "table_name"));
}

SinkSelect::SinkSelect(std::unique_ptr<sql::ScalarStage> stage, sink::TargetShape shape,
                       bool sessions)
    : stage_(std::move(stage)), shape_(std::move(shape)), sessions_(sessions) {
  for (const auto& column : shape_.columns) row_types_.push_back(column.type);
  for (std::size_t i = 0; i < shape_.unit_parts; ++i)
    unit_types_.push_back(shape_.columns[shape_.key[i]].type);
}

Result<std::unique_ptr<SinkSelect>> SinkSelect::compile(sql::Database& database,
                                                        const speed::ViewState& view,
                                                        std::string_view select,
                                                        sink::StoreKind kind) {
  const auto& compiled = view.compiled();
  if (compiled.session_gap_us && kind == sink::StoreKind::kRedis) {
    return refuse("a view over sessions, whose keys come and go as sessions grow together",
                  "a sink into PostgreSQL can");
  }
  MR_TRY(auto tree, sql::parse_select(select));
  MR_TRY(const auto allowed, sql::check_select(
                                 tree, sql::Use::kView,
                                 [&](std::string_view name) {
                                   return same_name(name, view.record().name) ? view.record().name
                                                                              : std::string();
                                 },
                                 select));
  for (const auto& hidden : hidden_columns()) {
    if (allowed.columns.contains(hidden.name))
      return refuse(fmt::format("a view's rows have no {}", hidden.name));
  }
  StreamDefinition rows;
  rows.name = view.record().name;
  rows.columns = columns_of(compiled);
  auto& node = tree.at("node").as_object();
  MR_RETURN_IF_ERROR(check_rows_alone(node, select));
  MR_TRY(const auto items, take_items(node, rows.columns, select));
  MR_RETURN_IF_ERROR(check_names(items));
  sink::TargetShape shape;
  MR_RETURN_IF_ERROR(find_key(compiled, items, shape));
  // Which row of the batch it is made of.
  node.at("select_list").as_array().push_back(view::column_reference(kOffsetColumn));
  MR_TRY(const auto text, sql::select_text(tree));
  MR_TRY(auto stage, sql::ScalarStage::prepare(database, text, rows));
  for (std::size_t i = 0; i < items.size(); ++i)
    shape.columns.push_back({items[i].name, stage->types()[i]});
  return std::unique_ptr<SinkSelect>(
      new SinkSelect(std::move(stage), std::move(shape), compiled.session_gap_us.has_value()));
}

Result<sink::TargetChanges> SinkSelect::project(const FeedBatch& batch) {
  auto rows = std::make_shared<ColumnBatch>(row_types_);
  std::vector<bool> kept(batch.rows->rows());
  if (batch.rows->rows() != 0) {
    const StreamBatch input{
        .stream = {}, .partition = {}, .base_offset = {}, .arrival_us = 0, .columns = batch.rows};
    MR_RETURN_IF_ERROR(stage_->run(std::span(&input, 1), [&](const BatchView& out) {
      rows->append_all({out.columns.first(row_types_.size()), out.rows});
      const auto* const origin = out.columns.back().as<std::int64_t>();
      for (std::size_t row = 0; row < out.rows; ++row)
        kept[static_cast<std::size_t>(origin[row])] = true;
    }));
  }
  std::vector<std::uint32_t> gone;
  std::uint32_t begin = 0;
  for (std::uint32_t unit = 0; unit < batch.row_ends.size(); ++unit) {
    const std::uint32_t end = batch.row_ends[unit];
    // Sessions of a unit may have grown together: all of them are written anew.
    const bool is_there = !sessions_ && end > begin && kept[begin];
    if (!is_there) gone.push_back(unit);
    begin = end;
  }
  auto gone_keys = std::make_shared<ColumnBatch>(unit_types_);
  if (!unit_types_.empty()) gone_keys->append_rows({batch.keys->views(), batch.keys->rows()}, gone);
  return sink::TargetChanges{
      .rows = std::move(rows), .gone = std::move(gone_keys), .gone_count = gone.size()};
}

}  // namespace millrace::serving
