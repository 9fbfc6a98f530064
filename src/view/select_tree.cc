#include "view/select_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/ascii_case.h"
#include "sql/syntax.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

// clang-format off
/// A test compares with DuckDB's own list, so that none is taken for a scalar function.
constexpr auto kAggregates = std::to_array<std::string_view>({
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "arbitrary", "arg_max",
    "arg_max_null", "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last", "argmax", "argmin",
    "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bitstring_agg", "bool_and", "bool_or", "corr", "count",
    "count_if", "count_star", "countif", "covar_pop", "covar_samp", "entropy", "favg", "first", "first_value",
    "fsum", "geomean", "geometric_mean", "group_concat", "histogram", "histogram_exact", "json_group_array",
    "json_group_object", "json_group_structure", "kahan_sum", "kurtosis", "kurtosis_pop", "last", "last_value",
    "list", "listagg", "mad", "map_agg", "max", "max_by", "mean", "median", "min", "min_by", "mode", "product",
    "quantile", "quantile_cont", "quantile_disc", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept",
    "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "reservoir_quantile", "sem", "skewness",
    "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "sum_no_overflow", "sumkahan", "top_k",
    "var_pop", "var_samp", "variance", "wavg", "weighted_avg"});
// clang-format on

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

/// `named`: the alias of an argument is a part of what the call means, as in struct_pack(a := 1).
void write_identity(const json::value& tree, bool named, std::string& out) {
  if (const auto* object = tree.if_object()) {
    const bool call = text_of(*object, "class") == "FUNCTION";
    out.push_back('{');
    for (const auto& field : *object) {
      if (field.key() == "query_location" || (field.key() == "alias" && !named)) continue;
      out += field.key();
      out.push_back(':');
      write_identity(field.value(), call && field.key() == "children", out);
    }
    out.push_back('}');
  } else if (const auto* array = tree.if_array()) {
    out.push_back('[');
    for (const auto& element : *array) {
      write_identity(element, named, out);
      out.push_back(',');
    }
    out.push_back(']');
  } else {
    out += json::serialize(tree);
  }
  out.push_back(';');
}

}  // namespace

std::string_view text_of(const json::object& node, std::string_view field) {
  const auto* value = node.if_contains(field);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

const json::array* array_of(const json::object& node, std::string_view field) {
  const auto* value = node.if_contains(field);
  return value != nullptr ? value->if_array() : nullptr;
}

const json::object* object_of(const json::object& node, std::string_view field) {
  const auto* value = node.if_contains(field);
  return value != nullptr ? value->if_object() : nullptr;
}

bool is_set(const json::object& node, std::string_view field) {
  const auto* value = node.if_contains(field);
  if (value == nullptr || value->is_null()) return false;
  if (value->is_bool()) return value->get_bool();
  if (value->is_array()) return !value->get_array().empty();
  return true;
}

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

std::string identity_of(const json::value& expression) {
  std::string out;
  write_identity(expression, false, out);
  return out;
}

bool is_aggregate(std::string_view function) {
  return std::ranges::any_of(kAggregates,
                             [&](std::string_view name) { return same_name(name, function); });
}

bool is_aggregate_call(const json::value& node) {
  const auto* object = node.if_object();
  return object != nullptr && text_of(*object, "class") == "FUNCTION" &&
         is_aggregate(text_of(*object, "function_name"));
}

bool any_node(const json::value& tree, const std::function<bool(const json::object&)>& is_wanted) {
  if (const auto* object = tree.if_object()) {
    return is_wanted(*object) || std::ranges::any_of(*object, [&](const auto& field) {
             return any_node(field.value(), is_wanted);
           });
  }
  const auto* array = tree.if_array();
  return array != nullptr && std::ranges::any_of(*array, [&](const json::value& element) {
           return any_node(element, is_wanted);
         });
}

bool contains_aggregate(const json::value& tree) {
  return any_node(tree, [](const json::object& node) { return is_aggregate_call(node); });
}

json::value column_reference(std::string_view name) {
  return json::object{{"class", "COLUMN_REF"},
                      {"type", "COLUMN_REF"},
                      {"alias", ""},
                      {"query_location", 0},
                      {"column_names", json::array{name}}};
}

Result<json::value> parse_expression(std::string_view sql) {
  MR_TRY(const auto statement, sql::parse_select(fmt::format("SELECT {}", sql)));
  return statement.at("node").as_object().at("select_list").as_array().at(0);
}

}  // namespace millrace::view
