// What the rows of a view are made of: one stream, subqueries and CTEs over it, joins, UNION ALL.
#include <algorithm>
#include <array>
#include <functional>

#include "base/ascii_case.h"
#include "sql/syntax.h"
#include "view/view_compiler.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

constexpr std::size_t kBranchesMax = 16;

/// The names under which a subquery hands the place of its rows on.
constexpr std::string_view kInnerTime = "_event_time";
constexpr std::string_view kInnerPartition = "_event_partition";
constexpr std::string_view kInnerOffset = "_event_offset";

constexpr std::string_view kOtherJoins =
    "it joins streams in another way than FROM a JOIN b ON a.k = b.k AND b.time BETWEEN a.time - … "
    "AND a.time + …";

/// The column that tells when an event was.
std::string_view time_of(const StreamDefinition& stream) {
  return stream.time_column ? std::string_view(stream.columns[*stream.time_column].name)
                            : kArrivalColumn;
}

/// The first set operation that gives rows to `node`, in a CTE or in FROM; with the alias of its
/// columns' names.
struct FoundUnion {
  json::object* holder = nullptr;  // whose "node" it is
  json::array* column_names = nullptr;
};

FoundUnion find_union(json::object& node) {
  const auto in_query = [](json::object& query, json::array* names) -> FoundUnion {
    auto& inner = query.at("node").as_object();
    if (text_of(inner, "type") == "SET_OPERATION_NODE") return {&query, names};
    return find_union(inner);
  };
  if (text_of(node, "type") != "SELECT_NODE") return {};
  if (auto* map = node.if_contains("cte_map"); map != nullptr && map->is_object()) {
    for (auto& entry : map->as_object().at("map").as_array()) {
      auto& value = entry.as_object().at("value").as_object();
      const auto found = in_query(value.at("query").as_object(), &value.at("aliases").as_array());
      if (found.holder != nullptr) return found;
    }
  }
  const std::function<FoundUnion(json::object&)> in_from = [&](json::object& from) -> FoundUnion {
    const auto kind = text_of(from, "type");
    if (kind == "SUBQUERY") {
      // Names of columns are written behind an alias only. Before any address is taken: a write to
      // the object may move what it holds.
      if (text_of(from, "alias").empty()) from["alias"] = "rows_of_all";
      return in_query(from.at("subquery").as_object(), &from.at("column_name_alias").as_array());
    }
    if (kind != "JOIN") return {};
    const auto left = in_from(from.at("left").as_object());
    return left.holder != nullptr ? left : in_from(from.at("right").as_object());
  };
  auto* from = node.if_contains("from_table");
  return from != nullptr && from->is_object() ? in_from(from->as_object()) : FoundUnion{};
}

/// The names of a SELECT's columns as DuckDB gives them; false where a star hides them.
bool name_columns(const json::object& node, json::array& names) {
  if (text_of(node, "type") == "SET_OPERATION_NODE")
    return name_columns(node.at("left").as_object(), names);
  for (const auto& item : node.at("select_list").as_array()) {
    const auto& object = item.as_object();
    if (text_of(object, "class") == "STAR") return false;
    const auto* column = array_of(object, "column_names");
    if (!text_of(object, "alias").empty()) {
      names.emplace_back(text_of(object, "alias"));
    } else if (column != nullptr) {
      names.push_back(column->back());
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

const StreamDefinition* Compiler::stream_named(std::string_view name) const {
  for (const auto& stream : streams_) {
    if (same_name(stream.name, name)) return &stream;
  }
  return nullptr;
}

Status Compiler::split_unions(const json::object& statement) {
  std::vector<json::object> waiting = {statement};
  while (!waiting.empty()) {
    json::object next = std::move(waiting.back());
    waiting.pop_back();
    const auto found = find_union(next.at("node").as_object());
    if (found.holder == nullptr) {
      branches_.push_back({std::move(next), nullptr, {}});
      continue;
    }
    if (branches_.size() + waiting.size() + 2 > kBranchesMax)
      return refuse(statement, fmt::format("UNION ALL of more than {} streams", kBranchesMax));
    const json::object operation = found.holder->at("node").as_object();
    if (text_of(operation, "setop_type") != "UNION" || !is_set(operation, "setop_all")) {
      return refuse(operation,
                    "UNION, EXCEPT and INTERSECT need all rows at once; UNION ALL does not");
    }
    if (is_set(operation, "modifiers"))
      return refuse(operation, "ORDER BY, LIMIT or DISTINCT over a UNION ALL");
    if (found.column_names->empty()) {
      json::array names;
      if (name_columns(operation, names)) *found.column_names = std::move(names);
    }
    // The left branch comes out of `waiting` first.
    found.holder->at("node") = operation.at("right");
    waiting.push_back(next);
    found.holder->at("node") = operation.at("left");
    waiting.push_back(std::move(next));
  }
  return {};
}

/// A SELECT that gives rows to the aggregate stage: the view's own (`top`), or a subquery or CTE in
/// it, which must work on each row by itself.
Status Compiler::check_rows(const json::object& node, bool top) {
  if (text_of(node, "type") != "SELECT_NODE") {
    return refuse(node,
                  "it is a set operation or a recursive query; a view has one SELECT over one "
                  "stream");
  }
  if (const auto* map = node.if_contains("cte_map"); map != nullptr && map->is_object()) {
    if (const auto* entries = array_of(map->get_object(), "map")) {
      for (const auto& entry : *entries) {
        const auto& one = entry.as_object();
        const auto& query = one.at("value").as_object().at("query").as_object();
        MR_RETURN_IF_ERROR(check_rows(query.at("node").as_object(), false));
        ctes_.insert(lower_name(text_of(one, "key")));
      }
    }
  }
  if (const auto* modifiers = array_of(node, "modifiers")) {
    for (const auto& modifier : *modifiers) {
      const auto kind = text_of(modifier.as_object(), "type");
      if (kind == "DISTINCT_MODIFIER") {
        if (top && !is_set(modifier.as_object(), "distinct_on_targets")) continue;
        return refuse(modifier, top ? "DISTINCT ON keeps one row of many; use first() or arg_min()"
                                    : "DISTINCT in a subquery needs all rows at once");
      }
      if (kind == "ORDER_MODIFIER")
        return refuse(modifier, "the rows of a view have no order; order them when you read it");
      return refuse(
          modifier,
          "LIMIT and OFFSET have no mergeable state; limit the rows when you read the view");
    }
  }
  if (is_set(node, "qualify"))
    return refuse(node.at("qualify"), "QUALIFY needs all rows of a window at once");
  if (is_set(node, "sample")) return refuse(node, "a sample is another one each time");
  const auto* from = node.if_contains("from_table");
  if (from == nullptr || !from->is_object()) {
    return refuse(json::value(node), "it reads no stream");
  }
  if (!top) {
    if (is_set(node, "group_expressions") || is_set(node, "having") ||
        contains_aggregate(node.at("select_list"))) {
      return refuse(node,
                    "a subquery that aggregates; the view itself is the only place for GROUP BY "
                    "and aggregates");
    }
    for (const auto& item : node.at("select_list").as_array()) {
      if (text_of(item.as_object(), "class") != "STAR") MR_RETURN_IF_ERROR(check_scalar(item));
    }
    if (is_set(node, "where_clause")) MR_RETURN_IF_ERROR(check_scalar(node.at("where_clause")));
  }
  return check_from(from->get_object(), top);
}

bool Compiler::is_stream_join(const json::object& from) const {
  if (text_of(from, "type") != "JOIN") return false;
  return std::ranges::all_of(std::array{"left", "right"}, [&](const char* side) {
    const auto& table = from.at(side).as_object();
    return text_of(table, "type") == "BASE_TABLE" &&
           !ctes_.contains(lower_name(text_of(table, "table_name"))) &&
           stream_named(text_of(table, "table_name")) != nullptr;
  });
}

json::object& Compiler::stream_join_in(json::object& from) const {
  if (is_stream_join(from)) return from;
  auto& left = from.at("left").as_object();
  return text_of(left, "type") == "JOIN" ? stream_join_in(left)
                                         : stream_join_in(from.at("right").as_object());
}

Status Compiler::take_stream_join(const json::object& from) {
  std::array<JoinAnalysis::Source, 2> sources;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& table = from.at(i == 0 ? "left" : "right").as_object();
    if (is_set(table, "sample")) return refuse(table, "a sample is another one each time");
    if (is_set(table, "column_name_alias"))
      return refuse(table, "column names behind an alias of FROM");
    const auto name = text_of(table, "table_name");
    const auto alias = text_of(table, "alias");
    sources[i] = {stream_named(name), std::string(alias.empty() ? name : alias)};
  }
  if (stream_read_ != nullptr) return refuse(from, std::string(kOtherJoins));
  if (branches_.size() > 1) return refuse(from, "a join of streams in a branch of UNION ALL");
  const auto type = text_of(from, "join_type");
  if (type != "INNER") {
    return refuse(from, fmt::format("{} JOIN of two streams: whether an event has no partner is "
                                    "not known as long as one may come",
                                    type));
  }
  const auto kind = text_of(from, "ref_type");
  if (kind != "REGULAR" && kind != "CROSS") {
    return refuse(from, fmt::format("{} JOIN of two streams; write JOIN … ON", kind));
  }
  if (const auto* names = array_of(from, "using_columns")) {
    for (const auto& name : *names) using_columns_.emplace_back(name.as_string());
  }
  if (is_set(from, "condition")) MR_RETURN_IF_ERROR(check_scalar(from.at("condition")));
  stream_read_ = sources[0].stream;
  joined_.emplace(std::move(sources), [this](std::string_view sql) { return describe(sql); });
  return {};
}

Status Compiler::check_from(const json::object& from, bool top) {
  if (top && is_stream_join(from)) return take_stream_join(from);
  const auto kind = text_of(from, "type");
  if (is_set(from, "sample")) return refuse(from, "a sample is another one each time");
  if (is_set(from, "column_name_alias") && kind != "SUBQUERY")
    return refuse(from, "column names behind an alias of FROM");
  if (kind == "BASE_TABLE") {
    const auto name = text_of(from, "table_name");
    if (ctes_.contains(lower_name(name))) return {};
    if (const auto* stream = stream_named(name)) {
      if (stream_read_ != nullptr) {
        return refuse(from, joined_
                                ? "it joins three streams; a view joins two, and reference tables"
                                : std::string(kOtherJoins));
      }
      stream_read_ = stream;
      return {};
    }
    const bool table =
        std::ranges::any_of(tables_, [&](const auto& one) { return same_name(one.name, name); });
    if (!table) {
      return refuse(from, fmt::format("{} is neither its stream nor a reference table; a view has "
                                      "one stream in FROM",
                                      name));
    }
    return {};
  }
  if (kind == "SUBQUERY") {
    return check_rows(from.at("subquery").as_object().at("node").as_object(), false);
  }
  if (kind == "JOIN") {
    const auto type = text_of(from, "join_type");
    const auto* before = stream_read_;
    MR_RETURN_IF_ERROR(check_from(from.at("left").as_object(), top));
    const bool stream_left = stream_read_ != before;
    MR_RETURN_IF_ERROR(check_from(from.at("right").as_object(), top));
    if (text_of(from, "ref_type") == "POSITIONAL")
      return refuse(from, "a positional join depends on the order of all rows");
    if (is_set(from, "condition")) MR_RETURN_IF_ERROR(check_scalar(from.at("condition")));
    // A row that only the table has would be there once for each batch of events.
    const bool keeps_right = type == "RIGHT" || type == "OUTER" || type == "FULL";
    const bool keeps_left = type == "LEFT" || type == "OUTER" || type == "FULL" || type == "SEMI" ||
                            type == "ANTI" || type == "SINGLE";
    if ((keeps_right && (stream_left || type != "RIGHT")) || (keeps_left && !stream_left)) {
      return refuse(from,
                    "a join that keeps rows of the table which no event has; put the stream on the "
                    "side that is kept (stream LEFT JOIN table)");
    }
    return {};
  }
  return refuse(from,
                "FROM takes one stream, joins with reference tables, and subqueries that "
                "work row by row");
}

/// Names the columns of FROM, for aliases and for one spelling of each.
Status Compiler::find_columns(const json::object& node) {
  const auto& from = node.at("from_table").as_object();
  const auto alias_of = [](const json::object& table) {
    const auto alias = text_of(table, "alias");
    return std::string(alias.empty() ? text_of(table, "table_name") : alias);
  };
  const auto kind = text_of(from, "type");
  if (kind != "JOIN") alias_ = alias_of(from);
  // The stream where it stands in the outermost FROM.
  std::string stream_alias;
  const std::function<void(const json::object&)> visit = [&](const json::object& table) {
    const auto type = text_of(table, "type");
    if (type == "JOIN") {
      visit(table.at("left").as_object());
      visit(table.at("right").as_object());
    } else if (type == "BASE_TABLE" && !ctes_.contains(lower_name(text_of(table, "table_name"))) &&
               stream_named(text_of(table, "table_name")) != nullptr) {
      stream_alias = alias_of(table);
    }
  };
  visit(from);
  stream_is_inside_ = stream_alias.empty();
  plain_from_ = kind == "BASE_TABLE" && !stream_is_inside_;
  const auto& stream = *branches_.front().stream;
  if (plain_from_) {
    for (const auto& column : stream.columns) columns_.push_back(column.name);
  } else {
    json::object all{{"node", node}, {"named_param_map", json::array{}}};
    MR_TRY(const auto star, parse_expression("*"));
    all.at("node").as_object()["where_clause"] = nullptr;
    MR_TRY(const auto text, stage_text(all, json::array{star}));
    MR_TRY(const auto described, describe(text));
    for (const auto& [name, type] : described) columns_.push_back(name);
  }
  for (const auto hidden : {kPartitionColumn, kOffsetColumn, kArrivalColumn}) {
    if (column_named(hidden).empty()) columns_.emplace_back(hidden);
  }
  RowPlace place;
  if (stream_is_inside_) {
    place = {std::string(kInnerTime), std::string(kInnerPartition), std::string(kInnerOffset)};
  } else if (!joined_) {
    place = {(plain_from_ ? "" : quote_identifier(stream_alias) + ".") +
                 quote_identifier(time_of(stream)),
             std::string(kPartitionColumn), std::string(kOffsetColumn)};
  }
  if (joined_) {
    for (const auto& side : joined_->sources()) {
      for (const auto column : {time_of(*side.stream), kPartitionColumn, kOffsetColumn})
        place.push_back(quote_identifier(side.alias) + "." + quote_identifier(column));
    }
  }
  calls_.emplace(std::move(place));
  return {};
}

/// How far inside the stream stands in a FROM.
Compiler::Depth Compiler::hand_places_on_from(json::object& from, std::size_t branch) {
  const auto kind = text_of(from, "type");
  if (kind == "BASE_TABLE") {
    const auto name = lower_name(text_of(from, "table_name"));
    if (ctes_.contains(name)) return stream_ctes_.contains(name) ? Depth::kInside : Depth::kNone;
    return stream_named(name) != nullptr ? Depth::kHere : Depth::kNone;
  }
  if (kind == "SUBQUERY") {
    auto& inner = from.at("subquery").as_object().at("node").as_object();
    return hand_places_on(inner, false, branch) ? Depth::kInside : Depth::kNone;
  }
  return std::max(hand_places_on_from(from.at("left").as_object(), branch),
                  hand_places_on_from(from.at("right").as_object(), branch));
}

bool Compiler::hand_places_on(json::object& node, bool top, std::size_t branch) {
  if (auto* map = node.if_contains("cte_map"); map != nullptr && map->is_object()) {
    for (auto& entry : map->as_object().at("map").as_array()) {
      auto& one = entry.as_object();
      auto& query = one.at("value").as_object().at("query").as_object();
      if (hand_places_on(query.at("node").as_object(), false, branch))
        stream_ctes_.insert(lower_name(text_of(one, "key")));
    }
  }
  const Depth depth = hand_places_on_from(node.at("from_table").as_object(), branch);
  if (top || depth == Depth::kNone) return depth != Depth::kNone;
  auto& items = node.at("select_list").as_array();
  const auto add = [&](json::value column, std::string_view alias) {
    column.as_object()["alias"] = alias;
    items.push_back(std::move(column));
  };
  if (depth == Depth::kHere) {
    add(column_reference(time_of(*branches_[branch].stream)), kInnerTime);
    add(branches_[branch].partition, kInnerPartition);
    add(column_reference(kOffsetColumn), kInnerOffset);
    return true;
  }
  // A star shows what the subquery of the subquery handed on.
  const bool star = std::ranges::any_of(
      items, [](const json::value& item) { return text_of(item.as_object(), "class") == "STAR"; });
  if (star) return true;
  for (const auto name : {kInnerTime, kInnerPartition, kInnerOffset})
    add(column_reference(name), "");
  return true;
}

}  // namespace millrace::view
