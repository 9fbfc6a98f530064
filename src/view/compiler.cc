#include "view/compiler.h"

#include <algorithm>
#include <array>
#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/ascii_case.h"
#include "model/value_text.h"
#include "sql/syntax.h"
#include "view/tree_fields.h"

namespace millrace::view {

namespace json = boost::json;

std::optional<std::size_t> CompiledView::output_of_key(std::size_t key) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].kind == OutputKind::kKey && outputs[i].inputs.front() == key) return i;
  }
  return std::nullopt;
}

namespace {

const json::array* array_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

bool is_set(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return false;
  if (value->is_bool()) return value->get_bool();
  if (value->is_array()) return !value->get_array().empty();
  return true;
}

std::optional<std::uint64_t> location_of(const json::value& tree, std::uint64_t end) {
  std::optional<std::uint64_t> first;
  const auto take = [&](std::optional<std::uint64_t> offset) {
    if (offset && *offset <= end && (!first || *offset < *first)) first = offset;
  };
  if (const auto* object = tree.if_object()) {
    if (const auto* location = object->if_contains("query_location")) {
      if (location->is_uint64()) take(location->get_uint64());
      if (location->is_int64()) take(static_cast<std::uint64_t>(location->get_int64()));
    }
    if (first) return first;
    // A node that has no place itself stands where the first of its parts stands.
    for (const auto& field : *object) take(location_of(field.value(), end));
  } else if (const auto* array = tree.if_array()) {
    for (const auto& element : *array) take(location_of(element, end));
  }
  return first;
}

/// The start of the SELECT where nothing in the tree knows its place.
TextPlace place_of(std::string_view select, const json::value& node) {
  const auto offset = location_of(node, select.size());
  TextPlace place{1, 1};
  for (const char c : select.substr(0, offset.value_or(0))) {
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else {
      ++place.column;
    }
  }
  return place;
}

class Compiler {
 public:
  Compiler(sql::Database& database, std::string_view select, const StreamDefinition& stream)
      : database_(database), select_(select), stream_(stream) {}

  Result<CompiledView> run(const json::object& statement);

 private:
  std::unexpected<Error> refuse(const json::value& node, std::string reason) const {
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kNotMergeable),
              .message = "a materialized view cannot maintain this: " + std::move(reason),
              .hint = "use CREATE VIEW, which may say all of SQL and is computed when it is read",
              .place = place_of(select_, node)});
  }
  /// The stream's spelling of one of its columns, the hidden ones too; empty where it has none of
  /// this name.
  [[nodiscard]] std::string_view column_named(std::string_view name) const {
    for (const auto& column : stream_.columns) {
      if (same_name(column.name, name)) return column.name;
    }
    for (const auto hidden : {kPartitionColumn, kOffsetColumn, kArrivalColumn}) {
      if (same_name(hidden, name)) return hidden;
    }
    return {};
  }
  Status check_shape(const json::object& node);
  /// The expression without aliases and places, and without the stream's name before its columns:
  /// equal expressions have equal trees.
  json::value canonical(const json::value& expression, int depth = 0) const;
  Status check_scalar(const json::value& expression) const;
  Result<std::uint32_t> key_of(const json::value& expression) const;
  std::uint32_t argument_of(const json::value& canonical_expression);
  std::uint32_t component(ComponentKind kind, std::uint32_t argument);
  Status collect_keys(const json::object& node);
  Status collect_outputs(const json::object& node);
  Result<OutputColumn> aggregate(const json::object& call);
  Status make_stage(const json::object& statement);
  Status bind_types();

  sql::Database& database_;
  std::string_view select_;
  const StreamDefinition& stream_;
  /// An alias may name an alias; one that names itself ends here.
  static constexpr int kAliasDepthMax = 8;
  std::string alias_;
  const json::array* items_ = nullptr;  // the select list
  std::vector<json::value> keys_;
  std::vector<json::value> arguments_;
  /// Aggregate calls whose argument types are checked when the types are known.
  struct Call {
    std::string function;
    std::uint32_t argument;
    json::object node;
  };
  std::vector<Call> calls_;
  CompiledView out_;
};

constexpr std::array<std::string_view, 7> kAggregates = {"count", "count_star", "sum", "avg",
                                                         "mean",  "min",        "max"};

/// Aggregates of DuckDB that have no state here: inside a view they are refused by name, and not
/// taken for a scalar function (a test compares with DuckDB's own list).
// clang-format off
constexpr auto kOtherAggregates = std::to_array<std::string_view>({
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "arbitrary", "arg_max", "arg_min",
    "argmax", "argmin", "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bitstring_agg", "bool_and", "bool_or",
    "corr", "count_if", "countif", "covar_pop", "covar_samp", "entropy", "favg", "first", "fsum", "geomean",
    "geometric_mean", "group_concat", "histogram", "kahan_sum", "kurtosis", "kurtosis_pop", "last", "list",
    "listagg", "mad", "max_by", "median", "min_by", "mode", "product", "quantile", "quantile_cont", "quantile_disc",
    "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy",
    "regr_syy", "reservoir_quantile", "sem", "skewness", "stddev", "stddev_pop", "stddev_samp", "string_agg",
    "sumkahan", "var_pop", "var_samp",
    "variance", "arg_max_null", "arg_min_null", "arg_max_nulls_last", "arg_min_nulls_last", "first_value",
    "last_value", "histogram_exact", "json_group_array", "json_group_object", "json_group_structure",
    "sum_no_overflow", "wavg", "weighted_avg"});
// clang-format on

constexpr const char* kOverAggregates =
    "an expression over aggregates; keep the aggregates as they are and compute from them in a "
    "plain view over this one";

bool is_aggregate(std::string_view function) {
  return std::ranges::find(kAggregates, function) != kAggregates.end() ||
         std::ranges::find(kOtherAggregates, function) != kOtherAggregates.end();
}

bool contains_aggregate(const json::value& value) {
  if (const auto* object = value.if_object()) {
    if (text_of(*object, "class") == "FUNCTION" && is_aggregate(text_of(*object, "function_name")))
      return true;
    return std::ranges::any_of(*object,
                               [](const auto& field) { return contains_aggregate(field.value()); });
  }
  if (const auto* array = value.if_array()) return std::ranges::any_of(*array, contains_aggregate);
  return false;
}

Status Compiler::check_shape(const json::object& node) {
  if (text_of(node, "type") != "SELECT_NODE") {
    return refuse(
        node, "it is a set operation or a recursive query; a view has one SELECT over one stream");
  }
  if (const auto* map = node.if_contains("cte_map"); map != nullptr && map->is_object()) {
    const auto* entries = array_of(map->get_object(), "map");
    if (entries != nullptr && !entries->empty()) return refuse(node, "it has a WITH clause");
  }
  if (const auto* modifiers = array_of(node, "modifiers")) {
    for (const auto& modifier : *modifiers) {
      const auto kind = text_of(modifier.as_object(), "type");
      if (kind == "DISTINCT_MODIFIER")
        return refuse(node, "DISTINCT; write GROUP BY over all columns instead");
      if (kind == "ORDER_MODIFIER")
        return refuse(modifier, "the rows of a view have no order; order them when you read it");
      return refuse(
          modifier,
          "LIMIT and OFFSET have no mergeable state; limit the rows when you read the view");
    }
  }
  if (is_set(node, "having"))
    return refuse(node.at("having"), "HAVING; filter the groups when you read the view");
  if (is_set(node, "qualify"))
    return refuse(node.at("qualify"), "QUALIFY needs all rows of a window at once");
  if (is_set(node, "sample")) return refuse(node, "a sample is another one each time");
  const auto* from = node.if_contains("from_table");
  if (from == nullptr || !from->is_object() ||
      text_of(from->get_object(), "type") != "BASE_TABLE") {
    return refuse(from == nullptr ? json::value(node) : *from,
                  "FROM must name one stream (no join, subquery or table function)");
  }
  const auto& table = from->get_object();
  if (is_set(table, "sample")) return refuse(table, "a sample is another one each time");
  if (is_set(table, "column_name_alias"))
    return refuse(table, "column names behind the stream's alias");
  items_ = &node.at("select_list").as_array();
  alias_ = text_of(table, "alias").empty() ? stream_.name : std::string(text_of(table, "alias"));
  if (const auto* sets = array_of(node, "group_sets"); sets != nullptr && sets->size() > 1) {
    return refuse(node.at("group_expressions"),
                  "GROUPING SETS, ROLLUP and CUBE; make one view for each set");
  }
  return {};
}

json::value Compiler::canonical(const json::value& expression, int depth) const {
  if (const auto* object = expression.if_object()) {
    json::object out;
    for (const auto& field : *object) {
      if (field.key() == "query_location") continue;
      out.emplace(field.key(),
                  field.key() == "alias" ? json::value("") : canonical(field.value(), depth));
    }
    if (text_of(out, "class") != "COLUMN_REF") return out;
    auto& names = out["column_names"].as_array();
    if (names.size() == 2 && same_name(names[0].as_string(), alias_)) names.erase(names.begin());
    if (names.size() != 1) return out;
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

Status Compiler::check_scalar(const json::value& expression) const {
  if (const auto* object = expression.if_object()) {
    const auto kind = text_of(*object, "class");
    if (kind == "SUBQUERY")
      return refuse(*object, "a subquery reads what may change without the stream");
    if (kind == "WINDOW") return refuse(*object, "a window function needs all rows at once");
    if (kind == "STAR") return refuse(*object, "* names no group key; name the columns");
    if (kind == "FUNCTION" && is_aggregate(text_of(*object, "function_name"))) {
      return refuse(
          *object,
          fmt::format("{}() stands inside another expression; keep the aggregates as they are and "
                      "compute from them in a plain view over this one",
                      text_of(*object, "function_name")));
    }
    for (const auto& field : *object) MR_RETURN_IF_ERROR(check_scalar(field.value()));
  } else if (const auto* array = expression.if_array()) {
    for (const auto& element : *array) MR_RETURN_IF_ERROR(check_scalar(element));
  }
  return {};
}

Result<std::uint32_t> Compiler::key_of(const json::value& expression) const {
  const auto wanted = canonical(expression);
  if (contains_aggregate(wanted)) return refuse(expression, kOverAggregates);
  const auto found = std::ranges::find(keys_, wanted);
  if (found == keys_.end()) {
    return refuse(expression,
                  "this column is neither an aggregate nor one of the GROUP BY expressions");
  }
  return static_cast<std::uint32_t>(found - keys_.begin());
}

std::uint32_t Compiler::argument_of(const json::value& canonical_expression) {
  const auto found = std::ranges::find(arguments_, canonical_expression);
  if (found != arguments_.end()) return static_cast<std::uint32_t>(found - arguments_.begin());
  arguments_.push_back(canonical_expression);
  return static_cast<std::uint32_t>(arguments_.size() - 1);
}

std::uint32_t Compiler::component(ComponentKind kind, std::uint32_t argument) {
  auto& components = out_.plan.components;
  Component wanted{.kind = kind, .arguments = {}, .filter = {}};
  if (kind != ComponentKind::kCountRows) wanted.arguments.push_back({.index = argument});
  const auto found = std::ranges::find(components, wanted);
  if (found != components.end()) return static_cast<std::uint32_t>(found - components.begin());
  components.push_back(wanted);
  return static_cast<std::uint32_t>(components.size() - 1);
}

Status Compiler::collect_keys(const json::object& node) {
  const auto& items = node.at("select_list").as_array();
  const auto add = [&](const json::value& expression) -> Status {
    MR_RETURN_IF_ERROR(check_scalar(expression));
    auto key = canonical(expression);
    // An alias of the select list may have brought an aggregate in.
    if (contains_aggregate(key)) return refuse(expression, kOverAggregates);
    if (std::ranges::find(keys_, key) == keys_.end()) keys_.push_back(std::move(key));
    return {};
  };
  if (text_of(node, "aggregate_handling") == "FORCE_AGGREGATES") {  // GROUP BY ALL
    for (const auto& item : items) {
      if (!contains_aggregate(item)) MR_RETURN_IF_ERROR(add(item));
    }
    return {};
  }
  const auto* groups = array_of(node, "group_expressions");
  if (groups == nullptr) return {};
  for (const auto& group : *groups) {
    const auto& object = group.as_object();
    // GROUP BY 2 is the second select item; GROUP BY hour may be the alias of one, where the stream
    // has no such column.
    if (text_of(object, "class") == "CONSTANT") {
      const auto& value = object.at("value").as_object();
      const auto* number = value.if_contains("value");
      const bool position = number != nullptr && number->is_int64();
      if (!position || number->get_int64() < 1 ||
          static_cast<std::size_t>(number->get_int64()) > items.size()) {
        return refuse(object,
                      "GROUP BY takes a column, an expression, or the number of a select item");
      }
      MR_RETURN_IF_ERROR(add(items[static_cast<std::size_t>(number->get_int64()) - 1]));
      continue;
    }
    const json::value* expression = &group;
    if (text_of(object, "class") == "COLUMN_REF") {
      const auto& names = object.at("column_names").as_array();
      const std::string_view name = names.back().as_string();
      const bool is_column = names.size() > 1 || !column_named(name).empty();
      if (!is_column) {
        for (const auto& item : items) {
          if (same_name(text_of(item.as_object(), "alias"), name)) expression = &item;
        }
      }
    }
    MR_RETURN_IF_ERROR(add(*expression));
  }
  return {};
}

Result<OutputColumn> Compiler::aggregate(const json::object& call) {
  std::string function(text_of(call, "function_name"));
  if (function == "mean") function = "avg";
  if (std::ranges::find(kAggregates, function) == kAggregates.end()) {
    return refuse(
        call,
        fmt::format(
            "{}() is not among the aggregates with a mergeable state (count, sum, avg, min, max)",
            function));
  }
  if (is_set(call, "filter"))
    return refuse(call, "FILTER behind an aggregate; use a CASE inside it");
  if (is_set(call, "distinct") && function != "min" && function != "max") {
    return refuse(call, fmt::format("{}(DISTINCT …) would have to keep every value", function));
  }
  if (const auto* orders = call.if_contains("order_bys");
      orders != nullptr && orders->is_object()) {
    const auto* list = array_of(orders->get_object(), "orders");
    if (list != nullptr && !list->empty()) return refuse(call, "ORDER BY inside an aggregate");
  }
  const auto& children = call.at("children").as_array();
  OutputColumn column;
  if (function == "count_star" || (function == "count" && children.empty())) {
    column.kind = OutputKind::kCount;
    column.inputs = {component(ComponentKind::kCountRows, 0)};
    return column;
  }
  if (children.size() != 1) {
    return refuse(call, fmt::format("{}() with {} arguments", function, children.size()));
  }
  MR_RETURN_IF_ERROR(check_scalar(children[0]));
  const std::uint32_t argument = argument_of(canonical(children[0]));
  calls_.push_back({function, argument, call});
  if (function == "count") {
    column.kind = OutputKind::kCount;
    column.inputs = {component(ComponentKind::kCount, argument)};
  } else if (function == "sum" || function == "avg") {
    // Whether it is the sum of integers or of doubles is decided when the types are known.
    column.kind = function == "sum" ? OutputKind::kSum : OutputKind::kAvg;
    column.inputs = {component(ComponentKind::kSumInteger, argument),
                     component(ComponentKind::kCount, argument)};
  } else {
    column.kind = function == "min" ? OutputKind::kMin : OutputKind::kMax;
    column.inputs = {
        component(function == "min" ? ComponentKind::kMin : ComponentKind::kMax, argument)};
  }
  return column;
}

Status Compiler::collect_outputs(const json::object& node) {
  for (const auto& item : node.at("select_list").as_array()) {
    const auto& object = item.as_object();
    if (text_of(object, "class") == "FUNCTION" && is_aggregate(text_of(object, "function_name"))) {
      MR_TRY(OutputColumn column, aggregate(object));
      out_.outputs.push_back(std::move(column));
      continue;
    }
    if (text_of(object, "class") == "WINDOW")
      return refuse(object, "a window function needs all rows at once");
    if (contains_aggregate(item)) {
      return refuse(object, kOverAggregates);
    }
    OutputColumn column;
    MR_TRY(const std::uint32_t key, key_of(item));
    column.inputs = {key};
    out_.outputs.push_back(std::move(column));
  }
  const bool any_aggregate =
      std::ranges::any_of(out_.outputs, [](const auto& o) { return o.kind != OutputKind::kKey; });
  if (!any_aggregate && keys_.empty()) {
    return refuse(node, "it has no aggregate and no GROUP BY, so its rows are the stream's own");
  }
  // A view of keys alone still needs a state, so that a group is told from none.
  if (out_.plan.components.empty()) component(ComponentKind::kCountRows, 0);
  return {};
}

Status Compiler::make_stage(const json::object& statement) {
  json::object stage = statement;
  auto& node = stage.at("node").as_object();
  json::array items;
  for (const auto* list : {&keys_, &arguments_}) {
    for (const auto& expression : *list) items.push_back(expression);
  }
  out_.stage_items = items;
  out_.stage_filter =
      is_set(node, "where_clause") ? canonical(node.at("where_clause")) : json::value();
  if (items.empty()) {
    MR_TRY(const auto constant, sql::parse_select("SELECT TRUE"));
    items.push_back(constant.at("node").as_object().at("select_list").as_array()[0]);
  }
  node["select_list"] = std::move(items);
  node["group_expressions"] = json::array();
  node["group_sets"] = json::array();
  node["aggregate_handling"] = "STANDARD_HANDLING";
  node["modifiers"] = json::array();
  if (!out_.stage_filter.is_null()) node["where_clause"] = out_.stage_filter;
  MR_TRY(out_.stage_sql, sql::select_text(stage));
  return {};
}

Status Compiler::bind_types() {
  MR_TRY(const auto connection, database_.connect());
  std::string table = fmt::format("CREATE TEMP TABLE {} (", quote_identifier(stream_.name));
  for (const auto& column : stream_.columns) {
    table += fmt::format("{} {}, ", quote_identifier(column.name), column.type.sql());
  }
  table += "_partition INTEGER, _offset BIGINT, _arrival TIMESTAMP WITH TIME ZONE)";
  MR_RETURN_IF_ERROR(connection->execute(table));

  using NamedType = std::pair<std::string, std::string>;
  const auto describe = [&](std::string_view sql) -> Result<std::vector<NamedType>> {
    std::vector<NamedType> rows;
    auto columns =
        connection->query(fmt::format("DESCRIBE {}", sql), [&](const BatchView& chunk) -> Status {
          for (std::size_t row = 0; row < chunk.rows; ++row) {
            rows.emplace_back(value_text(chunk.columns[0], row).value_or(""),
                              value_text(chunk.columns[1], row).value_or(""));
          }
          return {};
        });
    if (!columns) return std::unexpected(std::move(columns).error());
    return rows;
  };

  auto described = describe(select_);
  auto stage_described = describe(out_.stage_sql);
  // Where both are wrong, what is said of the user's own text is said.
  if (!stage_described)
    return std::unexpected(std::move(described ? stage_described : described).error());
  const auto& stage = *stage_described;
  const std::size_t items = keys_.size() + arguments_.size();
  MR_CHECK(stage.size() == std::max<std::size_t>(items, 1), "a stage of {} items has {} columns",
           items, stage.size());
  for (std::size_t i = 0; i < items; ++i) {
    auto type = Type::parse(stage[i].second);
    // Two INTERVALs of other bits may be equal, and so may two nested values.
    if (!type || type->is_nested() || type->kind == TypeKind::kInterval) {
      const auto& node = (i < keys_.size() ? keys_[i] : arguments_[i - keys_.size()]).as_object();
      return refuse(node, fmt::format("a {} of type {}, which has no state; cast it to VARCHAR",
                                      i < keys_.size() ? "group key" : "value", stage[i].second));
    }
    (i < keys_.size() ? out_.plan.keys : out_.plan.arguments).push_back(*type);
  }
  for (const auto& call : calls_) {
    const Type type = out_.plan.arguments[call.argument];
    const bool number = type.is_integer() || type.kind == TypeKind::kDecimal ||
                        type.kind == TypeKind::kDouble || type.kind == TypeKind::kFloat ||
                        (call.function == "sum" && type.kind == TypeKind::kBoolean);
    if ((call.function == "sum" || call.function == "avg") && !number) {
      return refuse(call.node, fmt::format("{}() of {}", call.function, type.sql()));
    }
  }
  if (!described) return std::unexpected(std::move(described).error());
  const auto& result = *described;
  MR_CHECK(result.size() == out_.outputs.size(), "{} columns are described as {}",
           out_.outputs.size(), result.size());
  for (auto& component : out_.plan.components) {
    if (component.kind != ComponentKind::kSumInteger) continue;
    const auto kind = out_.plan.arguments[component.arguments.front().index].kind;
    if (kind == TypeKind::kDouble || kind == TypeKind::kFloat)
      component.kind = ComponentKind::kSumDouble;
  }
  std::map<std::string, int> seen;
  for (std::size_t i = 0; i < result.size(); ++i) {
    auto& column = out_.outputs[i];
    column.name = result[i].first;
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
  }
  return {};
}

Result<CompiledView> Compiler::run(const json::object& statement) {
  const auto* node = statement.if_contains("node");
  MR_CHECK(node != nullptr && node->is_object(), "a statement without node");
  MR_RETURN_IF_ERROR(check_shape(node->get_object()));
  if (is_set(node->get_object(), "where_clause")) {
    MR_RETURN_IF_ERROR(check_scalar(node->get_object().at("where_clause")));
  }
  MR_RETURN_IF_ERROR(collect_keys(node->get_object()));
  MR_RETURN_IF_ERROR(collect_outputs(node->get_object()));
  MR_RETURN_IF_ERROR(make_stage(statement));
  MR_RETURN_IF_ERROR(bind_types());
  std::string identity = fmt::format("1\n{}\n{}\n", stream_.id, out_.stage_sql);
  for (const auto& key : out_.plan.keys) identity += key.sql() + "\n";
  for (const auto& component : out_.plan.components) {
    identity += fmt::format("{}", static_cast<int>(component.kind));
    for (const auto& argument : component.arguments) identity += fmt::format(" {}", argument.index);
    identity += "\n";
  }
  out_.fingerprint = XXH3_64bits(identity.data(), identity.size());
  return std::move(out_);
}

}  // namespace

std::optional<std::size_t> CompiledView::find_output(std::string_view name) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (same_name(outputs[i].name, name)) return i;
  }
  return std::nullopt;
}

Result<CompiledView> compile_view(sql::Database& database, std::string_view select,
                                  const boost::json::object& statement,
                                  const StreamDefinition& stream) {
  return Compiler(database, select, stream).run(statement);
}

}  // namespace millrace::view
