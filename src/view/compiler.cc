#include "view/compiler.h"

#include <algorithm>
#include <map>
#include <set>

#define XXH_INLINE_ALL
#include <fmt/ranges.h>
#include <xxhash.h>

#include "base/ascii_case.h"
#include "model/value_text.h"
#include "sql/syntax.h"
#include "view/aggregate_calls.h"
#include "view/join_analysis.h"
#include "view/key_codec.h"
#include "view/select_tree.h"

namespace millrace::view {

namespace json = boost::json;

std::optional<std::size_t> CompiledView::output_of_key(std::size_t key) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].key == key) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> CompiledView::find_output(std::string_view name) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (same_name(outputs[i].name, name)) return i;
  }
  return std::nullopt;
}

namespace {

/// An alias may name an alias; one that names itself ends here.
constexpr int kAliasDepthMax = 8;
constexpr std::size_t kGroupingSetsMax = 256;
constexpr std::size_t kBranchesMax = 16;

/// The names under which a subquery hands the place of its rows on.
constexpr std::string_view kInnerTime = "_event_time";
constexpr std::string_view kInnerPartition = "_event_partition";
constexpr std::string_view kInnerOffset = "_event_offset";

/// DuckDB learns the types of our own functions by macros of the same type.
constexpr std::string_view kOwnFunctions =
    "CREATE TEMP MACRO hop(t, slide, size) AS time_bucket(slide, t);"
    "CREATE TEMP MACRO session(t, gap) AS t;"
    "CREATE TEMP MACRO map_agg(k, v) AS map_from_entries(list({'k': k, 'v': v}));"
    "CREATE TEMP MACRO top_k(x, k) AS [{'value': any_value(x), 'count': count(*)::UBIGINT}], "
    "(x, k, w) AS [{'value': any_value(x), 'sum': sum(w)}]";

constexpr std::string_view kOtherJoins =
    "it joins streams in another way than FROM a JOIN b ON a.k = b.k AND b.time BETWEEN a.time - … "
    "AND a.time + …";

/// Intervals have no order to the bit: 30 days are a month, and are not.
bool has_no_state(const Type& type) {
  if (type.is_nested())
    return std::ranges::any_of(type.fields(),
                               [](const auto& field) { return has_no_state(field.type); });
  return type.kind == TypeKind::kInterval;
}

/// The column that tells when an event was.
std::string_view time_of(const StreamDefinition& stream) {
  return stream.time_column ? std::string_view(stream.columns[*stream.time_column].name)
                            : kArrivalColumn;
}

class Compiler {
 public:
  Compiler(sql::Database& database, std::string_view select,
           std::span<const StreamDefinition> streams, std::span<const TableDefinition> tables)
      : database_(database), select_(select), streams_(streams), tables_(tables) {}

  Result<CompiledView> run(const json::object& statement);
  Result<RowSelect> run_rows(const json::object& statement);

 private:
  struct Key {
    json::value tree;
    std::string identity;
  };
  using NamedType = std::pair<std::string, std::string>;

  std::unexpected<Error> refuse(const json::value& node, std::string reason) const {
    return std::unexpected(Error{
        .code = ErrorCode::kInvalidArgument,
        .id = std::string(error_id::kNotMergeable),
        .message = (rows_only_ ? "a derived stream cannot be made of this: "
                               : "a materialized view cannot maintain this: ") +
                   std::move(reason),
        .hint = rows_only_ ? "a derived stream takes each event by itself; group in a view over it"
                           : "use CREATE VIEW, which may say all of SQL and is computed when it is "
                             "read",
        .place = place_of(select_, node)});
  }
  /// A reason that the aggregate calls gave, with the place and the way out.
  std::unexpected<Error> refuse(const json::value& node, Error error) const {
    if (error.id != error_id::kNotMergeable) return std::unexpected(std::move(error));
    return refuse(node, std::move(error.message));
  }

  // --- what the rows are made of ---
  /// The statement once for each branch of the UNION ALL in it.
  Status split_unions(const json::object& statement);
  Status check_rows(const json::object& node, bool top);
  /// `top`: of the view's own SELECT.
  Status check_from(const json::object& from, bool top);
  /// Whether it is a join of two streams that stand in it themselves.
  [[nodiscard]] bool is_stream_join(const json::object& from) const;
  /// That join, in a FROM that has it.
  [[nodiscard]] json::object& stream_join_in(json::object& from) const;
  Status take_stream_join(const json::object& from);
  [[nodiscard]] const StreamDefinition* stream_named(std::string_view name) const;
  Status check_scalar(const json::value& expression) const;
  Status find_columns(const json::object& node);
  /// Makes every subquery and CTE over the stream hand the places of its rows on: event time,
  /// partition and offset. Whether `node` reads the stream.
  enum class Depth { kNone, kHere, kInside };
  struct Branch {
    json::object statement;
    const StreamDefinition* stream = nullptr;
    /// The partition, different from those of the other branches.
    json::value partition;
  };
  bool hand_places_on(json::object& node, bool top, std::size_t branch);
  Depth hand_places_on_from(json::object& from, std::size_t branch);

  // --- expressions ---
  /// The spelling of one of the columns that FROM gives; empty where it has none of this name.
  [[nodiscard]] std::string_view column_named(std::string_view name) const;
  /// The expression with the aliases of the select list put in, and one spelling for each column.
  json::value canonical(const json::value& expression, int depth = 0) const;

  Status collect_keys(const json::object& node);
  Status add_key(const json::value& expression);
  Status take_session(json::object& call, const json::value& expression);
  Status collect_outputs(const json::object& node);
  /// The expression over the columns of a group. `lambda` has the names that lambdas around bind.
  Result<json::value> over_groups(const json::value& expression, const json::value& origin,
                                  std::vector<std::string>& lambda);
  Result<json::value> grouping(const json::object& call, const json::value& origin) const;

  Result<std::string> stage_text(json::object statement, json::array items) const;
  /// The items' texts over the rows of one branch.
  Result<std::string> branch_text(std::size_t branch, json::array items);
  Status make_inputs();
  Status make_input(std::size_t branch, json::array items);
  Status make_join();
  Status prepare_connection();
  Result<std::vector<NamedType>> describe(std::string_view sql) const;
  Result<std::vector<Type>> bind_items(const json::array& items, std::size_t stateful);
  Status bind_types();
  Status make_outputs();
  Status make_standing_keys();
  void make_fingerprint();

  sql::Database& database_;
  bool rows_only_ = false;
  std::string_view select_;
  std::span<const StreamDefinition> streams_;
  std::span<const TableDefinition> tables_;
  std::unique_ptr<sql::Connection> connection_;
  std::vector<Branch> branches_;

  // FROM
  std::set<std::string> ctes_;         // lower case
  std::set<std::string> stream_ctes_;  // those that read the stream
  const StreamDefinition* stream_read_ = nullptr;
  std::optional<JoinAnalysis> joined_;      // of two streams
  std::vector<std::string> using_columns_;  // that they are joined by
  bool plain_from_ = false;                 // FROM is the stream itself
  std::string alias_;                       // of the only relation of FROM
  bool stream_is_inside_ = false;           // of a subquery
  std::vector<std::string> columns_;

  const json::array* items_ = nullptr;  // the select list
  std::vector<Key> keys_;
  /// The keys of each grouping set; one set of all keys where the view has no more.
  std::vector<std::vector<std::size_t>> sets_;
  bool has_sets_ = false;
  std::optional<std::size_t> session_key_;
  std::optional<AggregateCalls> calls_;
  std::vector<json::value> final_items_;
  json::value final_filter_;
  CompiledView out_;
};

// --- what the rows are made of
// ---------------------------------------------------------------------

const StreamDefinition* Compiler::stream_named(std::string_view name) const {
  for (const auto& stream : streams_) {
    if (same_name(stream.name, name)) return &stream;
  }
  return nullptr;
}

namespace {

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

// --- expressions
// -----------------------------------------------------------------------------------

std::string_view Compiler::column_named(std::string_view name) const {
  for (const auto& column : columns_) {
    if (same_name(column, name)) return column;
  }
  return {};
}

/// The names of arguments, as in struct_pack(a := 1), stand where aliases do: `made` of `call` gets
/// them back.
void keep_argument_names(const json::object& call, json::object& made) {
  const auto* children = array_of(call, "children");
  if (children == nullptr || text_of(call, "class") != "FUNCTION") return;
  auto& arguments = made.at("children").as_array();
  for (std::size_t i = 0; i < children->size(); ++i)
    arguments[i].as_object()["alias"] = text_of((*children)[i].as_object(), "alias");
}

json::value Compiler::canonical(const json::value& expression, int depth) const {
  if (const auto* object = expression.if_object()) {
    json::object out;
    for (const auto& field : *object) {
      out.emplace(field.key(),
                  field.key() == "alias" ? json::value("") : canonical(field.value(), depth));
    }
    keep_argument_names(*object, out);
    if (text_of(out, "class") != "COLUMN_REF") return out;
    auto& names = out["column_names"].as_array();
    if (names.size() == 2 && !alias_.empty() && same_name(names[0].as_string(), alias_))
      names.erase(names.begin());
    if (names.size() != 1) {
      for (auto& name : names) name = lower_name(name.as_string());
      return out;
    }
    // Both streams have it, with the same value.
    for (const auto& name : using_columns_) {
      if (!same_name(name, names[0].as_string())) continue;
      names = {lower_name(joined_->sources()[0].alias), lower_name(name)};
      return out;
    }
    // One spelling for a column, so that "Origin" and origin are the same key.
    if (const auto column = column_named(names[0].as_string()); !column.empty()) {
      names[0] = column;
      return out;
    }
    // DuckDB lets an expression name an alias of the select list where no column has that name.
    for (const auto& item : *items_) {
      if (depth < kAliasDepthMax &&
          same_name(text_of(item.as_object(), "alias"), names[0].as_string())) {
        return canonical(item, depth + 1);
      }
    }
    return out;
  }
  if (const auto* array = expression.if_array()) {
    json::array out;
    for (const auto& element : *array) out.push_back(canonical(element, depth));
    return out;
  }
  return expression;
}

/// An expression of the scalar stage.
Status Compiler::check_scalar(const json::value& expression) const {
  if (const auto* object = expression.if_object()) {
    const auto kind = text_of(*object, "class");
    if (kind == "SUBQUERY")
      return refuse(*object,
                    "a subquery in an expression reads what may change without the stream");
    if (kind == "WINDOW") return refuse(*object, "a window function needs all rows at once");
    if (kind == "STAR") return refuse(*object, "* names no group key; name the columns");
    if (kind == "FUNCTION") {
      const auto function = lower_name(text_of(*object, "function_name"));
      if (is_aggregate(function)) {
        return refuse(*object,
                      fmt::format("{}() stands inside a group key, a condition on rows or another "
                                  "aggregate",
                                  function));
      }
      if (function == "hop" || function == "session") {
        return refuse(*object, fmt::format("{}() stands by itself in GROUP BY", function));
      }
    }
    for (const auto& field : *object) MR_RETURN_IF_ERROR(check_scalar(field.value()));
  } else if (const auto* array = expression.if_array()) {
    for (const auto& element : *array) MR_RETURN_IF_ERROR(check_scalar(element));
  }
  return {};
}

// --- keys
// ------------------------------------------------------------------------------------------

Status Compiler::add_key(const json::value& expression) {
  auto tree = canonical(expression);
  // An alias of the select list may have brought an aggregate in.
  if (contains_aggregate(tree)) return refuse(expression, "an aggregate in GROUP BY");
  auto identity = identity_of(tree);
  if (std::ranges::any_of(keys_, [&](const Key& key) { return key.identity == identity; }))
    return {};
  if (auto* call = tree.if_object(); call != nullptr && text_of(*call, "class") == "FUNCTION") {
    const auto function = lower_name(text_of(*call, "function_name"));
    if (function == "session") {
      MR_RETURN_IF_ERROR(take_session(*call, expression));
    } else if (function == "hop") {
      auto& children = call->at("children").as_array();
      if (children.size() != 3) return refuse(expression, "hop() takes (time, slide, size)");
      for (const auto& child : children) MR_RETURN_IF_ERROR(check_scalar(child));
      MR_TRY(const auto time, sql::expression_text(children[0]));
      MR_TRY(const auto slide, sql::expression_text(children[1]));
      MR_TRY(const auto size, sql::expression_text(children[2]));
      // Of the windows [start, start + size), whose starts are multiples of slide, those with the
      // time in them. A row without a time is in the window NULL.
      MR_TRY(auto rows, parse_expression(
                            fmt::format("unnest(CASE WHEN {0} IS NULL THEN [NULL] ELSE "
                                        "generate_series(time_bucket({1}, ({0}) - ({2})) + ({1}), "
                                        "time_bucket({1}, {0}), {1}) END)",
                                        time, slide, size)));
      if (std::ranges::any_of(keys_, [](const Key& key) {
            return any_node(key.tree, [](const json::object& node) {
              return text_of(node, "function_name") == "unnest";
            });
          })) {
        return refuse(expression, "two hop() in one view");
      }
      keys_.push_back({std::move(rows), std::move(identity)});
      return {};
    } else {
      MR_RETURN_IF_ERROR(check_scalar(tree));
    }
  } else {
    MR_RETURN_IF_ERROR(check_scalar(tree));
  }
  if (session_key_ == keys_.size()) {
    tree = json::value(tree.as_object().at("children").as_array()[0]);
  }
  keys_.push_back({std::move(tree), std::move(identity)});
  return {};
}

Status Compiler::take_session(json::object& call, const json::value& expression) {
  auto& children = call.at("children").as_array();
  if (children.size() != 2) return refuse(expression, "session() takes (time, gap)");
  if (session_key_) return refuse(expression, "two session() in one view");
  MR_RETURN_IF_ERROR(check_scalar(children[0]));
  MR_TRY(const auto gap, sql::expression_text(children[1]));
  // The same length from two starts: not so for months.
  std::optional<std::int64_t> gap_us;
  const auto asked = connection_->query(
      fmt::format("SELECT epoch_us(TIMESTAMP '2000-01-01' + ({0})) - epoch_us(TIMESTAMP "
                  "'2000-01-01') AS a, epoch_us(TIMESTAMP '2000-02-01' + ({0})) - "
                  "epoch_us(TIMESTAMP '2000-02-01') AS b",
                  gap),
      [&](const BatchView& rows) -> Status {
        if (rows.rows == 1 && rows.columns[0].valid(0) && rows.columns[1].valid(0) &&
            rows.columns[0].as<std::int64_t>()[0] == rows.columns[1].as<std::int64_t>()[0]) {
          gap_us = rows.columns[0].as<std::int64_t>()[0];
        }
        return {};
      });
  if (!asked || !gap_us || *gap_us <= 0) {
    return refuse(expression,
                  "the gap of session() is a constant interval of a fixed length, "
                  "such as INTERVAL 30 MINUTES");
  }
  session_key_ = keys_.size();
  out_.session_gap_us = gap_us;
  return {};
}

Status Compiler::collect_keys(const json::object& node) {
  const auto& items = *items_;
  if (const auto* modifiers = array_of(node, "modifiers");
      modifiers != nullptr && !modifiers->empty()) {
    // DISTINCT without aggregates is GROUP BY of all items.
    if (is_set(node, "group_expressions") || contains_aggregate(node.at("select_list"))) {
      return refuse(modifiers->at(0), "DISTINCT over groups; the groups are distinct already");
    }
    for (const auto& item : items) MR_RETURN_IF_ERROR(add_key(item));
  } else if (text_of(node, "aggregate_handling") == "FORCE_AGGREGATES") {  // GROUP BY ALL
    for (const auto& item : items) {
      if (!contains_aggregate(canonical(item))) MR_RETURN_IF_ERROR(add_key(item));
    }
  } else if (const auto* groups = array_of(node, "group_expressions")) {
    std::vector<std::size_t> key_of_group;
    for (const auto& group : *groups) {
      const auto& object = group.as_object();
      const json::value* expression = &group;
      // GROUP BY 2 is the second select item; GROUP BY hour may be the alias of one, where the
      // stream has no such column.
      if (text_of(object, "class") == "CONSTANT") {
        const auto& value = object.at("value").as_object();
        const auto* number = value.if_contains("value");
        const bool position = number != nullptr && number->is_int64();
        if (!position || number->get_int64() < 1 ||
            static_cast<std::size_t>(number->get_int64()) > items.size()) {
          return refuse(object,
                        "GROUP BY takes a column, an expression, or the number of a select item");
        }
        expression = &items[static_cast<std::size_t>(number->get_int64()) - 1];
      }
      MR_RETURN_IF_ERROR(add_key(*expression));
      const auto identity = identity_of(canonical(*expression));
      key_of_group.push_back(static_cast<std::size_t>(
          std::ranges::find(keys_, identity, &Key::identity) - keys_.begin()));
    }
    const auto* sets = array_of(node, "group_sets");
    if (sets != nullptr && sets->size() > 1) {
      has_sets_ = true;
      if (sets->size() > kGroupingSetsMax) {
        return refuse(node.at("group_expressions"),
                      fmt::format("{} grouping sets; at most {}", sets->size(), kGroupingSetsMax));
      }
      for (const auto& set : *sets) {
        auto& out = sets_.emplace_back();
        for (const auto& member : set.as_array()) {
          out.push_back(
              key_of_group.at(static_cast<std::size_t>(member.to_number<std::uint64_t>())));
        }
      }
    }
  }
  if (has_sets_ && session_key_) {
    return refuse(node.at("group_expressions"), "session() together with grouping sets");
  }
  // Groups of one session lie side by side only where the time is the last key.
  if (session_key_) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(*session_key_);
    std::rotate(begin, begin + 1, keys_.end());
  }
  return {};
}

// --- outputs
// ---------------------------------------------------------------------------------------

Result<json::value> Compiler::grouping(const json::object& call, const json::value& origin) const {
  std::vector<std::size_t> asked;
  for (const auto& child : call.at("children").as_array()) {
    const auto identity = identity_of(child);
    const auto found = std::ranges::find(keys_, identity, &Key::identity);
    if (found == keys_.end())
      return refuse(origin, "GROUPING() of what is none of the GROUP BY expressions");
    asked.push_back(static_cast<std::size_t>(found - keys_.begin()));
  }
  if (!has_sets_) return parse_expression("0::BIGINT");
  std::string text = fmt::format("CASE {}", key_column_name(keys_.size()));
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    std::uint64_t bits = 0;
    for (const auto key : asked) {
      bits = bits << 1 | (std::ranges::find(sets_[set], key) == sets_[set].end() ? 1 : 0);
    }
    text += fmt::format(" WHEN {} THEN {}::BIGINT", set, bits);
  }
  return parse_expression(text + " END");
}

Result<json::value> Compiler::over_groups(const json::value& expression, const json::value& origin,
                                          std::vector<std::string>& lambda) {
  if (const auto* array = expression.if_array()) {
    json::array out;
    for (const auto& element : *array) {
      MR_TRY(auto made, over_groups(element, origin, lambda));
      out.push_back(std::move(made));
    }
    return out;
  }
  const auto* object = expression.if_object();
  if (object == nullptr) return expression;
  const auto kind = text_of(*object, "class");
  if (!kind.empty()) {
    const auto found = std::ranges::find(keys_, identity_of(expression), &Key::identity);
    if (found != keys_.end())
      return column_reference(key_column_name(static_cast<std::size_t>(found - keys_.begin())));
  }
  if (is_aggregate_call(expression)) {
    if (const auto* children = array_of(*object, "children")) {
      for (const auto& child : *children) MR_RETURN_IF_ERROR(check_scalar(child));
    }
    MR_RETURN_IF_ERROR(check_scalar(object->at("filter")));
    MR_RETURN_IF_ERROR(check_scalar(object->at("order_bys")));
    auto text = calls_->add(*object);
    if (!text) return refuse(expression, std::move(text).error());
    return parse_expression(*text);
  }
  if (kind == "OPERATOR" && text_of(*object, "type") == "GROUPING_FUNCTION")
    return grouping(*object, origin);
  if (kind == "FUNCTION" && (same_name(text_of(*object, "function_name"), "hop") ||
                             same_name(text_of(*object, "function_name"), "session"))) {
    return refuse(expression, fmt::format("{}() is not among the GROUP BY expressions",
                                          text_of(*object, "function_name")));
  }
  if (kind == "SUBQUERY")
    return refuse(expression,
                  "a subquery in an expression reads what may change without the stream");
  if (kind == "WINDOW") return refuse(expression, "a window function needs all rows at once");
  if (kind == "STAR") return refuse(expression, "* names no group key; name the columns");
  if (kind == "COLUMN_REF") {
    const auto name = object->at("column_names").as_array().front().as_string();
    if (std::ranges::any_of(lambda, [&](const auto& bound) { return same_name(bound, name); }))
      return expression;
    return refuse(expression,
                  "this column is neither in an aggregate nor one of the GROUP BY expressions");
  }
  const std::size_t bound = lambda.size();
  if (kind == "LAMBDA") {
    (void)any_node(object->at("lhs"), [&](const json::object& node) {
      if (text_of(node, "class") == "COLUMN_REF")
        lambda.emplace_back(node.at("column_names").as_array().front().as_string());
      return false;
    });
  }
  json::object out;
  for (const auto& field : *object) {
    MR_TRY(auto made, over_groups(field.value(), origin, lambda));
    out.emplace(field.key(), std::move(made));
  }
  keep_argument_names(*object, out);
  lambda.resize(bound);
  return out;
}

Status Compiler::collect_outputs(const json::object& node) {
  std::vector<std::string> lambda;
  bool aggregates = false;
  for (const auto& item : *items_) {
    const auto tree = canonical(item);
    aggregates = aggregates || contains_aggregate(tree);
    MR_TRY(auto made, over_groups(tree, item, lambda));
    final_items_.push_back(std::move(made));
  }
  if (is_set(node, "having")) {
    const auto tree = canonical(node.at("having"));
    aggregates = aggregates || contains_aggregate(tree);
    MR_TRY(final_filter_, over_groups(tree, node.at("having"), lambda));
  }
  if (!aggregates && keys_.empty() && !has_sets_) {
    return refuse(node, "it has no aggregate and no GROUP BY, so its rows are the stream's own");
  }
  calls_->ensure_component();
  return {};
}

// --- stages
// ----------------------------------------------------------------------------------------

/// The view's rows with other select items.
Result<std::string> Compiler::stage_text(json::object statement, json::array items) const {
  auto& node = statement.at("node").as_object();
  node["select_list"] = std::move(items);
  node["group_expressions"] = json::array();
  node["group_sets"] = json::array();
  node["aggregate_handling"] = "STANDARD_HANDLING";
  node["modifiers"] = json::array();
  node["having"] = nullptr;
  if (is_set(node, "where_clause")) node["where_clause"] = canonical(node.at("where_clause"));
  return sql::select_text(statement);
}

Result<std::string> Compiler::branch_text(std::size_t branch, json::array items) {
  json::object statement = branches_[branch].statement;
  if (stream_is_inside_) hand_places_on(statement.at("node").as_object(), true, branch);
  return stage_text(std::move(statement), std::move(items));
}

Status Compiler::make_input(std::size_t branch, json::array items) {
  StageInput input;
  input.stream = branches_[branch].stream->id;
  const auto& node = branches_[branch].statement.at("node").as_object();
  if (plain_from_ && !has_sets_) {
    input.items = items;
    input.filter =
        is_set(node, "where_clause") ? canonical(node.at("where_clause")) : json::value();
  }
  const std::size_t columns = items.size();
  if (items.empty()) {
    MR_TRY(auto constant, parse_expression("TRUE"));
    items.push_back(std::move(constant));
  }
  if (!has_sets_) {
    MR_TRY(input.sql, branch_text(branch, std::move(items)));
    out_.inputs.push_back(std::move(input));
    return {};
  }
  // Each row once for each set, with NULL for the keys that the set lacks.
  std::string outer;
  for (std::size_t k = 0; k < keys_.size(); ++k) {
    std::vector<std::size_t> having;
    for (std::size_t set = 0; set < sets_.size(); ++set) {
      if (std::ranges::find(sets_[set], k) != sets_[set].end()) having.push_back(set);
    }
    outer +=
        fmt::format("CASE WHEN s.g IN ({1}) THEN r.k{0} END AS k{0}, ", k, fmt::join(having, ", "));
  }
  outer += "s.g";
  std::string sets;
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    sets += fmt::format("{}({})", set == 0 ? "" : ", ", set);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto& item = items[i].as_object();
    const bool is_key = i < keys_.size();
    item["alias"] = is_key ? key_column_name(i) : group_column_name(i - keys_.size());
    if (!is_key && i < columns) outer += fmt::format(", r.a{}", i - keys_.size());
  }
  MR_TRY(const auto inner, branch_text(branch, std::move(items)));
  input.sql = fmt::format("SELECT {} FROM ({}) AS r, (VALUES {}) AS s(g)", outer, inner, sets);
  out_.inputs.push_back(std::move(input));
  return {};
}

/// The types of items over the rows of all branches, of which the first `stateful` must be of types
/// that have a state.
Result<std::vector<Type>> Compiler::bind_items(const json::array& items, std::size_t stateful) {
  std::string all;
  for (std::size_t branch = 0; branch < branches_.size(); ++branch) {
    MR_TRY(const auto text, branch_text(branch, items));
    all += fmt::format("{}({})", branch == 0 ? "" : " UNION ALL ", text);
  }
  MR_TRY(const auto described, describe(fmt::format("SELECT * FROM ({})", all)));
  MR_CHECK(described.size() == items.size(), "{} items are described as {}", items.size(),
           described.size());
  std::vector<Type> types;
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto type = Type::parse(described[i].second);
    if (!type || (i < stateful && has_no_state(*type))) {
      return refuse(items[i],
                    fmt::format("a {} of type {}, which has no state; cast it to VARCHAR",
                                i < keys_.size() ? "group key" : "value", described[i].second));
    }
    types.push_back(std::move(*type));
  }
  return types;
}

Status Compiler::make_inputs() {
  json::array items;
  for (const auto& key : keys_) items.push_back(key.tree);
  for (const auto& argument : calls_->arguments()) items.push_back(argument);
  for (std::size_t branch = 0; branch < branches_.size(); ++branch) {
    json::array own = items;
    if (branches_.size() > 1 && !items.empty()) {
      // A branch whose type is narrower than that of all takes the wider one.
      MR_TRY(const auto text, branch_text(branch, items));
      MR_TRY(const auto described, describe(text));
      for (std::size_t i = 0; i < items.size(); ++i) {
        const auto& wanted =
            i < keys_.size() ? out_.plan.keys[i] : out_.plan.arguments[i - keys_.size()];
        if (described[i].second == wanted.sql()) continue;
        MR_TRY(const auto expression, sql::expression_text(items[i]));
        MR_TRY(own[i], parse_expression(fmt::format("CAST({} AS {})", expression, wanted.sql())));
      }
    }
    MR_RETURN_IF_ERROR(make_input(branch, std::move(own)));
  }
  return {};
}

/// The SQL over pairs is the view's own, with the two relations taken row by row, and joined by
/// what the scan adds.
Status Compiler::make_join() {
  json::object statement = branches_.front().statement;
  const auto& node = statement.at("node").as_object();
  const auto& from = stream_join_in(statement.at("node").as_object().at("from_table").as_object());
  json::array conditions;
  for (const auto& name : using_columns_) {
    MR_TRY(auto equal, parse_expression(fmt::format(
                           "{0}.{2} = {1}.{2}", quote_identifier(joined_->sources()[0].alias),
                           quote_identifier(joined_->sources()[1].alias), quote_identifier(name))));
    conditions.push_back(std::move(equal));
  }
  if (is_set(from, "condition")) conditions.push_back(canonical(from.at("condition")));
  if (is_set(node, "where_clause")) conditions.push_back(canonical(node.at("where_clause")));
  for (const auto& condition : conditions)
    MR_RETURN_IF_ERROR(joined_->add_condition(condition.as_object()));
  for (const auto& key : keys_) joined_->add_use(key.tree);
  for (const auto& argument : calls_->arguments()) joined_->add_use(argument);
  joined_->add_use(node.at("from_table"));
  auto made = joined_->finish();
  if (!made) return refuse(from, std::move(made).error());
  out_.join = std::move(*made);

  const auto stage_over = [&](std::string_view ref_type,
                              const std::string& condition) -> Result<std::string> {
    json::object changed = statement;
    auto& select = changed.at("node").as_object();
    MR_TRY(auto where, parse_expression(condition));
    select["where_clause"] = std::move(where);
    auto& join = stream_join_in(select.at("from_table").as_object());
    join["ref_type"] = ref_type;
    join["using_columns"] = json::array();
    join["condition"] = nullptr;
    for (std::size_t i = 0; i < 2; ++i) {
      auto& table = join.at(i == 0 ? "left" : "right").as_object();
      table["table_name"] = kJoinRelations[i];
      table["alias"] = joined_->sources()[i].alias;
    }
    branches_.front().statement = std::move(changed);
    out_.inputs.clear();
    MR_RETURN_IF_ERROR(make_inputs());
    return std::move(out_.inputs.front().sql);
  };
  std::vector<std::string> all;
  for (const auto& condition : conditions) {
    MR_TRY(auto text, sql::expression_text(condition));
    all.push_back("(" + text + ")");
  }
  MR_TRY(out_.join->pair_sql, stage_over("POSITIONAL", fmt::format("{}", fmt::join(all, " AND "))));
  const auto left = quote_identifier(joined_->sources()[0].alias);
  const auto right = quote_identifier(joined_->sources()[1].alias);
  MR_TRY(
      out_.join->scan_sql,
      stage_over("CROSS", fmt::format("{0} AND {1}.{3} = {2}.{3} AND {1}.{3} = greatest({1}.{4}, "
                                      "{2}.{4})",
                                      fmt::join(joined_->conditions_of_both(), " AND "), left,
                                      right, kBucketColumn, kFirstBucketColumn)));
  out_.inputs.clear();
  return {};
}

Status Compiler::prepare_connection() {
  MR_TRY(connection_, database_.connect());
  const auto make_table = [&](std::string_view name, std::span<const Column> columns,
                              std::string_view rest) {
    std::string table = fmt::format("CREATE TEMP TABLE {} (", quote_identifier(name));
    for (const auto& column : columns) {
      if (&column != columns.data()) table += ", ";
      table += fmt::format("{} {}", quote_identifier(column.name), column.type.sql());
    }
    return connection_->execute(table + std::string(rest) + ")");
  };
  for (const auto& stream : streams_) {
    MR_RETURN_IF_ERROR(
        make_table(stream.name, stream.columns,
                   ", _partition INTEGER, _offset BIGINT, _arrival TIMESTAMP WITH TIME ZONE"));
  }
  for (const auto& table : tables_) MR_RETURN_IF_ERROR(make_table(table.name, table.columns, ""));
  return connection_->execute(kOwnFunctions);
}

Result<std::vector<Compiler::NamedType>> Compiler::describe(std::string_view sql) const {
  std::vector<NamedType> rows;
  auto columns =
      connection_->query(fmt::format("DESCRIBE {}", sql), [&](const BatchView& chunk) -> Status {
        for (std::size_t row = 0; row < chunk.rows; ++row) {
          rows.emplace_back(value_text(chunk.columns[0], row).value_or(""),
                            value_text(chunk.columns[1], row).value_or(""));
        }
        return {};
      });
  if (!columns) return std::unexpected(std::move(columns).error());
  return rows;
}

Status Compiler::bind_types() {
  auto described = describe(select_);
  json::array items;
  for (const auto& key : keys_) items.push_back(key.tree);
  for (const auto& argument : calls_->arguments()) items.push_back(argument);
  const std::size_t stateful = items.size();
  for (const auto& probe : calls_->probes()) items.push_back(probe);
  std::vector<Type> types;
  if (!items.empty()) {
    auto bound = bind_items(items, stateful);
    // Where both are wrong, what is said of the user's own text is said.
    if (!bound) {
      const bool ours = bound.error().id == error_id::kNotMergeable;
      return std::unexpected(ours || described ? std::move(bound).error()
                                               : std::move(described).error());
    }
    types = std::move(*bound);
  }
  const std::span<const Type> all(types);
  out_.plan.keys.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keys_.size()));
  if (has_sets_) out_.plan.keys.push_back({TypeKind::kInteger});
  for (std::uint32_t k = 0; k < out_.plan.keys.size(); ++k) {
    out_.group_columns.push_back({.name = key_column_name(k),
                                  .type = out_.plan.keys[k],
                                  .kind = OutputKind::kKey,
                                  .inputs = {k},
                                  .quantiles = {}});
  }
  if (session_key_) {
    const auto kind = out_.plan.keys.back().kind;
    if (kind != TypeKind::kTimestamp && kind != TypeKind::kTimestampTz) {
      return refuse(keys_.back().tree, fmt::format("session() over {}; its time is a TIMESTAMP",
                                                   out_.plan.keys.back().sql()));
    }
  }
  const std::size_t arguments = calls_->arguments().size();
  auto resolved =
      calls_->resolve(all.subspan(keys_.size(), arguments), all.subspan(keys_.size() + arguments),
                      out_.plan, out_.group_columns);
  if (!resolved) return refuse(calls_->blamed(), std::move(resolved).error());
  if (!described) return std::unexpected(std::move(described).error());

  const auto& result = *described;
  MR_CHECK(result.size() == items_->size(), "{} columns are described as {}", items_->size(),
           result.size());
  std::map<std::string, int> seen;
  for (std::size_t i = 0; i < result.size(); ++i) {
    ViewColumn column{.name = result[i].first, .type = {}};
    if (++seen[lower_name(column.name)] > 1) {
      return refuse((*items_)[i],
                    fmt::format("two columns are named {}; give one another alias", column.name));
    }
    auto type = Type::parse(result[i].second);
    if (!type) {
      return refuse((*items_)[i],
                    fmt::format("column {} has type {}", column.name, result[i].second));
    }
    column.type = *type;
    out_.outputs.push_back(std::move(column));
  }
  return {};
}

Status Compiler::make_outputs() {
  // The group's columns as a table, to learn the types of the final stage.
  std::string table = fmt::format("CREATE TEMP TABLE {} (", kGroupRelation);
  for (const auto& column : out_.group_columns) {
    if (&column != out_.group_columns.data()) table += ", ";
    table += fmt::format("{} {}", column.name, column.type.sql());
  }
  MR_RETURN_IF_ERROR(connection_->execute(table + ")"));
  std::vector<std::string> texts;
  std::string types_sql;
  for (const auto& item : final_items_) {
    MR_TRY(auto text, sql::expression_text(item));
    types_sql += fmt::format("{}{} AS c{}", texts.empty() ? "SELECT " : ", ", text, texts.size());
    texts.push_back(std::move(text));
  }
  MR_TRY(const auto described, describe(fmt::format("{} FROM {}", types_sql, kGroupRelation)));
  bool plain = final_filter_.is_null();
  std::string select;
  for (std::size_t i = 0; i < final_items_.size(); ++i) {
    auto& output = out_.outputs[i];
    std::optional<std::size_t> group_column;
    for (std::size_t c = 0; c < out_.group_columns.size(); ++c) {
      if (same_name(texts[i], out_.group_columns[c].name)) group_column = c;
    }
    if (group_column && out_.group_columns[*group_column].kind == OutputKind::kKey)
      output.key = out_.group_columns[*group_column].inputs[0];
    // What DuckDB gives for the same SELECT says the type: count_if() is HUGEINT, for one.
    const auto type = Type::parse(described[i].second);
    const bool same_type = type && *type == output.type;
    plain = plain && group_column && same_type;
    if (plain) out_.plain_outputs.push_back(static_cast<std::uint32_t>(*group_column));
    const std::string value =
        same_type ? texts[i] : fmt::format("CAST({} AS {})", texts[i], output.type.sql());
    select +=
        fmt::format("{}{} AS {}", i == 0 ? "SELECT " : ", ", value, quote_identifier(output.name));
  }
  if (plain) return {};
  out_.plain_outputs.clear();
  out_.final_sql = fmt::format("{} FROM {}", select, kGroupRelation);
  if (!final_filter_.is_null()) {
    MR_TRY(const auto filter, sql::expression_text(final_filter_));
    out_.final_sql += fmt::format(" WHERE {}", filter);
  }
  // Its own mistakes are found now, not at the first answer.
  auto checked = describe(out_.final_sql);
  if (!checked) return std::unexpected(std::move(checked).error());
  return {};
}

Status Compiler::make_standing_keys() {
  const auto& keys = out_.plan.keys;
  if (keys.empty()) {
    out_.standing_keys.emplace_back();
    return {};
  }
  for (std::size_t set = 0; set < sets_.size(); ++set) {
    if (!sets_[set].empty()) continue;
    ColumnBatch row(keys);
    for (std::size_t k = 0; k + 1 < keys.size(); ++k) row.column(k).push_null();
    row.column(keys.size() - 1).push(static_cast<std::int32_t>(set));
    encode_key(row.views(), 0, out_.standing_keys.emplace_back());
  }
  return {};
}

void Compiler::make_fingerprint() {
  std::string identity = "2\n";
  for (const auto& input : out_.inputs)
    identity += fmt::format("{}\n{}\n", input.stream, input.sql);
  if (out_.join) {
    for (const auto& side : out_.join->sides)
      identity += fmt::format("{}\n{}\n", side.stream, rows_sql(side, "stream"));
    identity += out_.join->pair_sql + "\n";
  }
  for (const auto& key : out_.plan.keys) identity += key.sql() + "\n";
  for (const auto& component : out_.plan.components) {
    identity += fmt::format("{} {} {}", static_cast<int>(component.kind), component.parameter,
                            component.filter ? static_cast<int>(*component.filter) : -1);
    for (const auto& argument : component.arguments) {
      identity += fmt::format(" {}{}{}", argument.index, argument.descending ? "d" : "",
                              argument.nulls_last ? "l" : "");
    }
    identity += "\n";
  }
  out_.fingerprint = XXH3_64bits(identity.data(), identity.size());
}

Result<CompiledView> Compiler::run(const json::object& statement) {
  const auto* found = statement.if_contains("node");
  MR_CHECK(found != nullptr && found->is_object(), "a statement without node");
  const auto& node = found->get_object();
  MR_RETURN_IF_ERROR(split_unions(statement));
  for (auto& branch : branches_) {
    stream_read_ = nullptr;
    ctes_.clear();
    MR_RETURN_IF_ERROR(check_rows(branch.statement.at("node").as_object(), true));
    if (stream_read_ == nullptr) return refuse(node, "it reads no stream");
    branch.stream = stream_read_;
    MR_TRY(branch.partition,
           parse_expression(
               fmt::format("{} + {}", kPartitionColumn,
                           kPartitionsMax * static_cast<std::size_t>(&branch - branches_.data()))));
  }
  items_ = &node.at("select_list").as_array();
  for (const auto& item : *items_) {
    if (text_of(item.as_object(), "class") == "STAR")
      return refuse(item, "* names no group key; name the columns");
  }
  if (is_set(node, "where_clause")) MR_RETURN_IF_ERROR(check_scalar(node.at("where_clause")));
  MR_RETURN_IF_ERROR(prepare_connection());
  MR_RETURN_IF_ERROR(find_columns(node));
  MR_RETURN_IF_ERROR(collect_keys(node));
  MR_RETURN_IF_ERROR(collect_outputs(node));
  MR_RETURN_IF_ERROR(bind_types());
  MR_RETURN_IF_ERROR(joined_ ? make_join() : make_inputs());
  MR_RETURN_IF_ERROR(make_outputs());
  MR_RETURN_IF_ERROR(make_standing_keys());
  make_fingerprint();
  return std::move(out_);
}

Result<RowSelect> Compiler::run_rows(const json::object& statement) {
  rows_only_ = true;
  const auto& node = statement.at("node").as_object();
  if (is_set(node, "modifiers"))
    return refuse(array_of(node, "modifiers")->at(0), "ORDER BY, LIMIT or DISTINCT");
  MR_RETURN_IF_ERROR(check_rows(node, false));
  if (stream_read_ == nullptr) return refuse(node, "it reads no stream");
  // A copy: the tree that is walked may be one, too.
  std::optional<json::object> hidden;
  (void)any_node(node, [&](const json::object& one) {
    const auto* names =
        text_of(one, "class") == "COLUMN_REF" ? array_of(one, "column_names") : nullptr;
    if (names == nullptr) return false;
    for (const auto column : {kPartitionColumn, kOffsetColumn}) {
      if (same_name(names->back().as_string(), column)) hidden = one;
    }
    return hidden.has_value();
  });
  if (hidden) {
    return refuse(*hidden,
                  "the partition and offset of an event are given when it is stored; the "
                  "derived event has its own");
  }
  MR_TRY(connection_, database_.connect());
  std::string table = fmt::format("CREATE TEMP TABLE {} (", quote_identifier(stream_read_->name));
  for (const auto& column : stream_read_->columns)
    table += fmt::format("{} {}, ", quote_identifier(column.name), column.type.sql());
  MR_RETURN_IF_ERROR(connection_->execute(table + "_arrival TIMESTAMP WITH TIME ZONE)"));
  RowSelect out;
  MR_TRY(const auto described, describe(select_));
  std::map<std::string, int> seen;
  for (const auto& [name, type_name] : described) {
    if (name == kArrivalColumn) continue;  // of a star; the derived event has its own
    const auto type = Type::parse(type_name);
    if (!type || type->is_nested() || type->kind == TypeKind::kInterval) {
      return refuse(node, fmt::format("column {} has type {}, which a stream cannot have; cast it",
                                      name, type_name));
    }
    if (++seen[lower_name(name)] > 1)
      return refuse(node, fmt::format("two columns are named {}; give one another alias", name));
    MR_RETURN_IF_ERROR(check_column_name(name));
    out.sql += fmt::format("{}{}", out.sql.empty() ? "SELECT " : ", ", quote_identifier(name));
    out.columns.push_back({name, *type});
  }
  if (out.columns.size() > kColumnsMax || out.columns.empty())
    return refuse(node, fmt::format("{} columns", out.columns.size()));
  MR_TRY(const auto text, sql::select_text(statement));
  out.sql += fmt::format(" FROM ({}) AS derived_rows", text);
  return out;
}

}  // namespace

Result<RowSelect> compile_row_select(sql::Database& database, std::string_view select,
                                     const boost::json::object& statement,
                                     const StreamDefinition& stream) {
  return Compiler(database, select, std::span(&stream, 1), {}).run_rows(statement);
}

Result<CompiledView> compile_view(sql::Database& database, std::string_view select,
                                  const boost::json::object& statement,
                                  std::span<const StreamDefinition> streams,
                                  std::span<const TableDefinition> tables) {
  return Compiler(database, select, streams, tables).run(statement);
}

}  // namespace millrace::view
