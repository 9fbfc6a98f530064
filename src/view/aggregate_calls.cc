#include "view/aggregate_calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ascii_case.h"
#include "base/check.h"
#include "sql/syntax.h"
#include "view/select_tree.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

/// A collection of a group never holds more by a limit that somebody wrote.
constexpr std::uint32_t kLimitMax = 1'000'000;

std::unexpected<Error> refused(std::string reason) {
  return fail(ErrorCode::kInvalidArgument, error_id::kNotMergeable, "{}", reason);
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

/// The SQL of a constant expression; an error where it names a column.
Result<std::string> constant_text(std::string_view function, const json::value& tree) {
  if (any_node(tree,
               [](const json::object& node) { return text_of(node, "class") == "COLUMN_REF"; })) {
    return refused(fmt::format("the last argument of {}() must be a constant", function));
  }
  return sql::expression_text(tree);
}

Result<double> constant_number(std::string_view function, const json::value& tree) {
  MR_TRY(std::string text, constant_text(function, tree));
  // A decimal constant is written with a CAST around it in some spellings; digits are enough.
  if (const auto quote = text.find('\''); quote != std::string::npos) {
    text = text.substr(quote + 1, text.find('\'', quote + 1) - quote - 1);
  }
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) {
    return refused(fmt::format("the last argument of {}() must be a number", function));
  }
  return value;
}

Result<std::uint32_t> constant_limit(std::string_view function, const json::value& tree) {
  MR_TRY(const double value, constant_number(function, tree));
  if (!(value >= 1 && value <= kLimitMax) || value != static_cast<std::uint32_t>(value)) {
    return refused(fmt::format("the number of values of {}() is a whole number from 1 to {}",
                               function, kLimitMax));
  }
  return static_cast<std::uint32_t>(value);
}

}  // namespace

std::string key_column_name(std::size_t key) { return fmt::format("k{}", key); }
std::string group_column_name(std::size_t column) { return fmt::format("a{}", column); }

/// A call, taken apart.
struct AggregateCalls::Call {
  std::string function;  // one spelling
  const json::array& children;
  std::optional<std::uint32_t> filter;
  const json::value* filter_tree = nullptr;
  bool distinct = false;
  const json::array* orders = nullptr;  // null where there is no ORDER BY

  [[nodiscard]] Status check_children(std::size_t least, std::size_t most) const {
    if (children.size() >= least && children.size() <= most) return {};
    return refused(fmt::format("{}() with {} arguments", function, children.size()));
  }
  [[nodiscard]] Result<std::string> text(std::size_t child) const {
    return sql::expression_text(children[child]);
  }
};

std::uint32_t AggregateCalls::argument(const json::value& tree) {
  auto identity = identity_of(tree);
  const auto found = std::ranges::find(argument_identities_, identity);
  if (found != argument_identities_.end())
    return static_cast<std::uint32_t>(found - argument_identities_.begin());
  arguments_.push_back(tree);
  argument_identities_.push_back(std::move(identity));
  return static_cast<std::uint32_t>(arguments_.size() - 1);
}

Result<std::uint32_t> AggregateCalls::argument(std::string_view sql) {
  MR_TRY(const auto tree, parse_expression(sql));
  return argument(tree);
}

std::uint32_t AggregateCalls::probe(const json::value& tree) {
  probes_.push_back(tree);
  return static_cast<std::uint32_t>(probes_.size() - 1);
}

AggregateCalls::ComponentId AggregateCalls::component(Component wanted) {
  const auto found = std::ranges::find(components_, wanted);
  if (found != components_.end()) return static_cast<ComponentId>(found - components_.begin());
  components_.push_back(std::move(wanted));
  return static_cast<ComponentId>(components_.size() - 1);
}

void AggregateCalls::ensure_component() {
  if (components_.empty()) component({ComponentKind::kCountRows, {}, {}, 0});
}

std::string AggregateCalls::column(OutputKind kind, std::vector<std::uint32_t> inputs,
                                   std::uint32_t of_column, std::uint32_t limit,
                                   std::vector<double> quantiles,
                                   std::optional<std::uint32_t> probed) {
  GroupColumn wanted{{.name = {},
                      .type = {},
                      .kind = kind,
                      .inputs = std::move(inputs),
                      .column = of_column,
                      .limit = limit,
                      .quantiles = std::move(quantiles)},
                     probed,
                     {}};
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto& other = columns_[i];
    if (other.output.kind == kind && other.output.inputs == wanted.output.inputs &&
        other.output.column == of_column && other.output.limit == limit && !other.probe &&
        !probed) {
      return group_column_name(i);
    }
  }
  wanted.output.name = group_column_name(columns_.size());
  wanted.call = call_;
  columns_.push_back(std::move(wanted));
  return columns_.back().output.name;
}

Result<std::string> AggregateCalls::add(const json::object& node) {
  call_ = node;
  static const json::array kNone;
  const auto* children = array_of(node, "children");
  Call call{.function = lower_name(text_of(node, "function_name")),
            .children = children == nullptr ? kNone : *children,
            .filter = {},
            .distinct = is_set(node, "distinct")};
  static constexpr auto kSpellings = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"mean", "avg"},
      {"count_star", "count"},
      {"countif", "count_if"},
      {"kahan_sum", "fsum"},
      {"sumkahan", "fsum"},
      {"sum_no_overflow", "sum"},
      {"arbitrary", "first"},
      {"first_value", "first"},
      {"last_value", "last"},
      {"argmin", "arg_min"},
      {"min_by", "arg_min"},
      {"argmax", "arg_max"},
      {"max_by", "arg_max"},
      {"variance", "var_samp"},
      {"stddev", "stddev_samp"},
      {"geometric_mean", "geomean"},
      {"wavg", "weighted_avg"},
      {"array_agg", "list"},
      {"group_concat", "string_agg"},
      {"listagg", "string_agg"},
      {"quantile", "quantile_disc"},
  });
  for (const auto& [spelling, name] : kSpellings) {
    if (call.function == spelling) call.function = name;
  }
  if (const auto* orders = node.if_contains("order_bys");
      orders != nullptr && orders->is_object()) {
    call.orders = array_of(orders->get_object(), "orders");
    if (call.orders != nullptr && call.orders->empty()) call.orders = nullptr;
  }
  if (is_set(node, "filter")) {
    call.filter_tree = &node.at("filter");
    MR_TRY(const auto text, sql::expression_text(*call.filter_tree));
    MR_TRY(call.filter, argument(fmt::format("CAST({} AS BOOLEAN)", text)));
  }
  const std::string_view f = call.function;
  if (is_one_of(f, {"first", "last", "any_value", "list", "string_agg", "map_agg"}))
    return ordered(call);
  if (is_one_of(f, {"min", "max"})) return extremes(call);
  if (is_one_of(f, {"arg_min", "arg_max", "arg_min_null", "arg_max_null"})) return best(call);
  if (is_one_of(f, {"top_k", "approx_top_k"})) return tops(call);
  if (is_one_of(f, {"approx_count_distinct", "approx_quantile"})) return sketches(call);
  if (is_one_of(f, {"bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"})) return extremes(call);
  if (is_one_of(f, {"median", "mode", "mad", "quantile_cont", "quantile_disc", "entropy", "product",
                    "histogram"})) {
    return collected(call);
  }
  if (is_one_of(f, {"covar_pop", "covar_samp", "corr", "regr_slope", "regr_intercept", "regr_r2",
                    "regr_sxx", "regr_syy", "regr_sxy", "regr_avgx", "regr_avgy", "regr_count",
                    "weighted_avg"})) {
    return pairs(call);
  }
  if (call.distinct && f != "count" &&
      is_one_of(f, {"sum", "avg", "fsum", "favg", "var_pop", "var_samp", "stddev_pop",
                    "stddev_samp", "sem", "skewness", "kurtosis", "kurtosis_pop"})) {
    return collected(call);
  }
  if (is_one_of(f, {"count", "count_if"})) return counts(call);
  if (is_one_of(f, {"sum", "avg", "fsum", "favg", "geomean"})) return sums(call);
  if (is_one_of(f, {"var_pop", "var_samp", "stddev_pop", "stddev_samp", "sem", "skewness",
                    "kurtosis", "kurtosis_pop"})) {
    return moments(call);
  }
  return refused(fmt::format("{}() is not among the aggregates with a mergeable state", f));
}

Result<std::string> AggregateCalls::counts(const Call& call) {
  if (call.function == "count_if") {
    MR_RETURN_IF_ERROR(call.check_children(1, 1));
    MR_TRY(const auto text, call.text(0));
    // Not a count: as in DuckDB it is the sum of a BOOLEAN, HUGEINT, and NULL where nothing went
    // in.
    MR_TRY(const auto condition, argument(fmt::format("CAST({} AS BOOLEAN)", text)));
    const auto sum = component({ComponentKind::kSumInteger, {{condition}}, call.filter, 0});
    const auto count = component({ComponentKind::kCount, {{condition}}, call.filter, 0});
    return column(OutputKind::kSum, {sum, count});
  }
  if (call.children.empty())
    return column(OutputKind::kCount, {component({ComponentKind::kCountRows, {}, call.filter, 0})});
  MR_RETURN_IF_ERROR(call.check_children(1, 1));
  const auto counted = argument(call.children[0]);
  if (call.distinct) {
    return column(OutputKind::kDistinctCount,
                  {component({ComponentKind::kDistinct, {{counted}}, call.filter, 0})});
  }
  return column(OutputKind::kCount,
                {component({ComponentKind::kCount, {{counted}}, call.filter, 0})});
}

Result<std::string> AggregateCalls::sums(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(1, 1));
  std::uint32_t summed = 0;
  if (call.function == "sum" || call.function == "avg") {
    summed = argument(call.children[0]);
  } else {
    MR_TRY(const auto text, call.text(0));
    MR_TRY(summed, argument(fmt::format("{}(CAST({} AS DOUBLE))",
                                        call.function == "geomean" ? "ln" : "", text)));
  }
  // Whether it is the sum of integers or of doubles is decided when the types are known.
  const auto sum = component({ComponentKind::kSumInteger, {{summed}}, call.filter, 0});
  const auto count = component({ComponentKind::kCount, {{summed}}, call.filter, 0});
  if (call.function == "sum" || call.function == "fsum")
    return column(OutputKind::kSum, {sum, count});
  const auto average = column(OutputKind::kAvg, {sum, count});
  return call.function == "geomean" ? fmt::format("exp({})", average) : average;
}

Result<std::string> AggregateCalls::extremes(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(1, is_one_of(call.function, {"min", "max"}) ? 2 : 1));
  const auto value = argument(call.children[0]);
  if (call.children.size() == 2) {
    MR_TRY(const auto limit, constant_limit(call.function, call.children[1]));
    MR_TRY(auto condition, call.text(0));
    condition = fmt::format("({}) IS NOT NULL", condition);
    if (call.filter_tree != nullptr) {
      MR_TRY(const auto filter, sql::expression_text(*call.filter_tree));
      condition += fmt::format(" AND CAST({} AS BOOLEAN)", filter);
    }
    MR_TRY(const auto filter, argument(condition));
    std::uint32_t first_value = 0;
    MR_TRY(const auto rows_id, rows(call, {{value, call.function == "max", true}}, false, {}, limit,
                                    filter, first_value));
    return column(OutputKind::kRowList, {rows_id}, 0);
  }
  const auto make = [&](ComponentKind kind, OutputKind output) {
    return column(output, {component({kind, {{value}}, call.filter, 0})});
  };
  // FALSE is less than TRUE: "all" is the least of them, "any" the greatest.
  if (call.function == "min") return make(ComponentKind::kMin, OutputKind::kMin);
  if (call.function == "max") return make(ComponentKind::kMax, OutputKind::kMax);
  if (call.function == "bit_and") return make(ComponentKind::kBitAnd, OutputKind::kBits);
  if (call.function == "bit_or") return make(ComponentKind::kBitOr, OutputKind::kBits);
  if (call.function == "bit_xor") return make(ComponentKind::kBitXor, OutputKind::kBits);
  MR_TRY(const auto text, call.text(0));
  MR_TRY(const auto condition, argument(fmt::format("CAST({} AS BOOLEAN)", text)));
  const bool all = call.function == "bool_and";
  return column(
      all ? OutputKind::kMin : OutputKind::kMax,
      {component(
          {all ? ComponentKind::kMin : ComponentKind::kMax, {{condition}}, call.filter, 0})});
}

Result<std::string> AggregateCalls::moments(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(1, 1));
  MR_TRY(const auto text, call.text(0));
  MR_TRY(const auto x, argument(fmt::format("CAST({} AS DOUBLE)", text)));
  struct Moment {
    std::string_view function;
    OutputKind output;
    std::uint32_t powers;
  };
  static constexpr auto kMoments = std::to_array<Moment>({
      {"var_pop", OutputKind::kVarPop, 2},
      {"var_samp", OutputKind::kVarSamp, 2},
      {"stddev_pop", OutputKind::kStddevPop, 2},
      {"stddev_samp", OutputKind::kStddevSamp, 2},
      {"sem", OutputKind::kSem, 2},
      {"skewness", OutputKind::kSkewness, 3},
      {"kurtosis", OutputKind::kKurtosis, 4},
      {"kurtosis_pop", OutputKind::kKurtosisPop, 4},
  });
  const auto* moment = std::ranges::find(kMoments, call.function, &Moment::function);
  MR_CHECK(moment != kMoments.end(), "{} is no moment", call.function);
  std::vector<std::uint32_t> inputs = {
      component({ComponentKind::kCount, {{x}}, call.filter, 0}),
      component({ComponentKind::kSumDouble, {{x}}, call.filter, 0})};
  for (std::uint32_t power = 2; power <= moment->powers; ++power) {
    inputs.push_back(component({ComponentKind::kSumPower, {{x}}, call.filter, power}));
  }
  return column(moment->output, std::move(inputs));
}

Result<std::string> AggregateCalls::pairs(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(2, 2));
  MR_TRY(const auto first, call.text(0));
  MR_TRY(const auto second, call.text(1));
  // Only rows where both are there count, for every one of the sums.
  const auto half = [&](const std::string& value, const std::string& other) {
    return argument(
        fmt::format("CASE WHEN ({}) IS NOT NULL THEN CAST({} AS DOUBLE) END", other, value));
  };
  MR_TRY(const auto y, half(first, second));
  MR_TRY(const auto x, half(second, first));
  const auto sum = [&](std::uint32_t of) {
    return component({ComponentKind::kSumDouble, {{of}}, call.filter, 0});
  };
  const auto square = [&](std::uint32_t of) {
    return component({ComponentKind::kSumPower, {{of}}, call.filter, 2});
  };
  const auto count = component({ComponentKind::kCount, {{x}}, call.filter, 0});
  const std::string_view f = call.function;
  if (f == "regr_count") return column(OutputKind::kCount, {count});
  if (f == "regr_avgx") return column(OutputKind::kAvg, {sum(x), count});
  if (f == "regr_avgy") return column(OutputKind::kAvg, {sum(y), count});
  const auto product = component({ComponentKind::kSumProduct, {{y}, {x}}, call.filter, 0});
  if (f == "weighted_avg") {
    return fmt::format("{} / {}", column(OutputKind::kSum, {product, count}),
                       column(OutputKind::kSum, {sum(x), count}));
  }
  std::vector<std::uint32_t> inputs = {count, sum(x), sum(y), product};
  if (f == "covar_pop") return column(OutputKind::kCovarPop, std::move(inputs));
  if (f == "covar_samp") return column(OutputKind::kCovarSamp, std::move(inputs));
  inputs.push_back(square(x));
  inputs.push_back(square(y));
  const OutputKind kind = f == "corr"             ? OutputKind::kCorr
                          : f == "regr_slope"     ? OutputKind::kRegrSlope
                          : f == "regr_intercept" ? OutputKind::kRegrIntercept
                          : f == "regr_r2"        ? OutputKind::kRegrR2
                          : f == "regr_sxx"       ? OutputKind::kRegrSxx
                          : f == "regr_syy"       ? OutputKind::kRegrSyy
                                                  : OutputKind::kRegrSxy;
  return column(kind, std::move(inputs));
}

Result<AggregateCalls::ComponentId> AggregateCalls::rows(
    const Call& call, std::vector<ComponentArgument> order, bool newest,
    std::span<const std::uint32_t> values, std::uint32_t limit, std::optional<std::uint32_t> filter,
    std::uint32_t& first_value) {
  std::vector<ComponentArgument> all;
  if (call.orders != nullptr) {
    for (const auto& entry : *call.orders) {
      const auto& one = entry.as_object();
      const bool descending = text_of(one, "type") == "DESCENDING";
      const bool nulls_first = text_of(one, "null_order") == "NULLS FIRST";
      all.push_back({argument(one.at("expression")), descending, !nulls_first});
    }
  }
  all.insert(all.end(), order.begin(), order.end());
  for (const auto& part : place_) {
    MR_TRY(const auto index, argument(part));
    all.push_back({index, newest, true});
  }
  first_value = static_cast<std::uint32_t>(all.size());
  for (const auto value : values) all.push_back({value, false, false});
  return component({ComponentKind::kRows, std::move(all), filter, limit});
}

Result<std::string> AggregateCalls::ordered(const Call& call) {
  const std::string_view f = call.function;
  const bool map = f == "map_agg";
  MR_RETURN_IF_ERROR(call.check_children(map ? 2 : 1, map || f == "string_agg" ? 2 : 1));
  std::string separator = "','";
  if (f == "string_agg" && call.children.size() == 2) {
    MR_TRY(separator, constant_text(f, call.children[1]));
  }
  std::uint32_t value = argument(call.children[0]);
  if (f == "string_agg") {
    MR_TRY(const auto text, call.text(0));
    MR_TRY(value, argument(fmt::format("CAST({} AS VARCHAR)", text)));
  }
  if (call.distinct && (f == "list" || f == "string_agg")) {
    if (call.orders != nullptr && !(call.orders->size() == 1 &&
                                    identity_of(call.orders->at(0).as_object().at("expression")) ==
                                        identity_of(call.children[0]))) {
      return refused(
          fmt::format("{}(DISTINCT … ORDER BY …) may order by the value itself only", f));
    }
    auto list = column(OutputKind::kValueList,
                       {component({ComponentKind::kDistinct, {{value}}, call.filter, 0})});
    const auto* order = call.orders == nullptr ? nullptr : &call.orders->at(0).as_object();
    if (order != nullptr && text_of(*order, "type") == "DESCENDING")
      list = fmt::format("list_reverse({})", list);
    if (f == "string_agg") return fmt::format("array_to_string({}, {})", list, separator);
    // A list has NULL too, once, which the set of values has not.
    const auto all =
        column(OutputKind::kCount, {component({ComponentKind::kCountRows, {}, call.filter, 0})});
    const auto values =
        column(OutputKind::kCount, {component({ComponentKind::kCount, {{value}}, call.filter, 0})});
    const bool first = order != nullptr && text_of(*order, "null_order") == "NULLS FIRST";
    return fmt::format("CASE WHEN {} = {} THEN {} ELSE {} END", all, values, list,
                       first ? fmt::format("list_prepend(NULL, {})", list)
                             : fmt::format("list_append({}, NULL)", list));
  }
  std::optional<std::uint32_t> filter = call.filter;
  if (f == "any_value" || f == "string_agg" || map) {
    MR_TRY(auto condition, call.text(0));
    condition = fmt::format("({}) IS NOT NULL", condition);
    if (call.filter_tree != nullptr) {
      MR_TRY(const auto text, sql::expression_text(*call.filter_tree));
      condition += fmt::format(" AND CAST({} AS BOOLEAN)", text);
    }
    MR_TRY(filter, argument(condition));
  }
  std::uint32_t first_value = 0;
  if (map) {
    if (call.orders != nullptr) return refused("ORDER BY inside map_agg()");
    const auto other = argument(call.children[1]);
    MR_TRY(const auto id, rows(call, {{value}}, false, {{other}}, 0, filter, first_value));
    return column(OutputKind::kRowMap, {id}, first_value);
  }
  const bool all = f == "list" || f == "string_agg";
  // With an ORDER BY the last row is the first one of the order turned round.
  Call turned = call;
  json::array orders;
  if (f == "last" && call.orders != nullptr) {
    for (const auto& entry : *call.orders) {
      json::object one = entry.as_object();
      const bool descending = text_of(one, "type") == "DESCENDING";
      const bool nulls_first = text_of(one, "null_order") == "NULLS FIRST";
      one["type"] = descending ? "ASCENDING" : "DESCENDING";
      one["null_order"] = nulls_first ? "NULLS LAST" : "NULLS FIRST";
      orders.push_back(std::move(one));
    }
    turned.orders = &orders;
  }
  MR_TRY(const auto id, rows(turned, {}, f == "last", {{value}}, all ? 0 : 1, filter, first_value));
  if (!all) return column(OutputKind::kRowValue, {id}, first_value);
  const auto list = column(OutputKind::kRowList, {id}, first_value);
  return f == "list" ? list : fmt::format("array_to_string({}, {})", list, separator);
}

Result<std::string> AggregateCalls::best(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(2, 3));
  if (call.orders != nullptr) return refused(fmt::format("ORDER BY inside {}()", call.function));
  const bool takes_null = call.function.ends_with("_null");
  const bool greatest = call.function.starts_with("arg_max");
  std::uint32_t limit = 1;
  if (call.children.size() == 3) {
    MR_TRY(limit, constant_limit(call.function, call.children[2]));
  }
  const auto value = argument(call.children[0]);
  const auto by = argument(call.children[1]);
  MR_TRY(const auto by_text, call.text(1));
  std::string condition = fmt::format("({}) IS NOT NULL", by_text);
  if (!takes_null) {
    MR_TRY(const auto text, call.text(0));
    condition += fmt::format(" AND ({}) IS NOT NULL", text);
  }
  if (call.filter_tree != nullptr) {
    MR_TRY(const auto text, sql::expression_text(*call.filter_tree));
    condition += fmt::format(" AND CAST({} AS BOOLEAN)", text);
  }
  MR_TRY(const auto filter, argument(condition));
  std::uint32_t first_value = 0;
  MR_TRY(const auto id,
         rows(call, {{by, greatest, true}}, false, {{value}}, limit, filter, first_value));
  return column(call.children.size() == 3 ? OutputKind::kRowList : OutputKind::kRowValue, {id},
                first_value);
}

Result<std::string> AggregateCalls::collected(const Call& call) {
  const std::string_view f = call.function;
  const bool has_parameter = is_one_of(f, {"quantile_cont", "quantile_disc"});
  MR_RETURN_IF_ERROR(
      call.check_children(has_parameter ? 2 : 1, has_parameter || f == "histogram" ? 2 : 1));
  const auto value = argument(call.children[0]);
  const auto id = component({call.distinct ? ComponentKind::kDistinct : ComponentKind::kValues,
                             {{value}},
                             call.filter,
                             0});
  if (f == "histogram" && call.children.size() == 1 && !call.distinct)
    return column(OutputKind::kValueCounts, {id});
  const auto list = column(OutputKind::kValueList, {id});
  if (f == "histogram") {
    if (call.children.size() == 1) return fmt::format("list_aggregate({}, 'histogram')", list);
    MR_TRY(const auto bins, constant_text(f, call.children[1]));
    return fmt::format("(SELECT histogram(v, {}) FROM (SELECT unnest({}) AS v))", bins, list);
  }
  if (has_parameter) {
    MR_TRY(const auto parameter, constant_text(f, call.children[1]));
    return fmt::format("list_aggregate({}, '{}', {})", list, f, parameter);
  }
  // The entropy of nothing is 0, not NULL, as in DuckDB.
  if (f == "entropy")
    return fmt::format("coalesce(list_aggregate({}, 'entropy'), 0.0::DOUBLE)", list);
  return fmt::format("list_aggregate({}, '{}')", list, f);
}

Result<std::string> AggregateCalls::sketches(const Call& call) {
  if (call.function == "approx_count_distinct") {
    MR_RETURN_IF_ERROR(call.check_children(1, 1));
    return column(
        OutputKind::kApproxCount,
        {component({ComponentKind::kHyperLogLog, {{argument(call.children[0])}}, call.filter, 0})});
  }
  MR_RETURN_IF_ERROR(call.check_children(2, 2));
  std::vector<double> quantiles;
  const auto& parameter = call.children[1].as_object();
  const bool several = text_of(parameter, "function_name") == "list_value";
  const auto take = [&](const json::value& tree) -> Status {
    MR_TRY(const double quantile, constant_number(call.function, tree));
    if (!(quantile >= 0 && quantile <= 1)) return refused("a quantile lies between 0 and 1");
    quantiles.push_back(quantile);
    return {};
  };
  if (several) {
    for (const auto& one : parameter.at("children").as_array()) MR_RETURN_IF_ERROR(take(one));
  } else {
    MR_RETURN_IF_ERROR(take(parameter));
  }
  MR_TRY(const auto text, call.text(0));
  MR_TRY(const auto x, argument(fmt::format("CAST({} AS DOUBLE)", text)));
  const auto id = component({ComponentKind::kBuckets, {{x}}, call.filter, 0});
  return column(OutputKind::kApproxQuantile, {id}, several ? 1 : 0, 0, std::move(quantiles),
                probe(call.children[0]));
}

Result<std::string> AggregateCalls::tops(const Call& call) {
  MR_RETURN_IF_ERROR(call.check_children(2, call.function == "top_k" ? 3 : 2));
  MR_TRY(const auto limit, constant_limit(call.function, call.children[1]));
  const auto value = argument(call.children[0]);
  if (call.children.size() == 3) {
    const auto weight = argument(call.children[2]);
    const auto id = component({ComponentKind::kValues, {{value}, {weight}}, call.filter, 0});
    return column(OutputKind::kTopSum, {id}, 0, limit);
  }
  const auto id = component({ComponentKind::kValues, {{value}}, call.filter, 0});
  const auto top = column(OutputKind::kTopCount, {id}, 0, limit);
  if (call.function == "top_k") return top;
  return fmt::format("list_transform({}, lambda entry: entry.value)", top);
}

namespace {

bool is_float(const Type& type) {
  return type.kind == TypeKind::kDouble || type.kind == TypeKind::kFloat;
}

bool is_number(const Type& type) {
  return type.is_integer() || type.kind == TypeKind::kDecimal || is_float(type);
}

Type sum_type(const Type& argument) {
  if (is_float(argument)) return {TypeKind::kDouble};
  if (argument.kind == TypeKind::kDecimal) return {TypeKind::kDecimal, 38, argument.scale};
  return {TypeKind::kHugeInt};
}

}  // namespace

Status AggregateCalls::resolve(std::span<const Type> arguments, std::span<const Type> probes,
                               AggregatePlan& plan, std::vector<OutputColumn>& columns) {
  plan.arguments.assign(arguments.begin(), arguments.end());
  for (auto& one : components_) {
    if (one.kind == ComponentKind::kSumInteger && is_float(arguments[one.arguments[0].index]))
      one.kind = ComponentKind::kSumDouble;
  }
  for (auto& [output, probed, call] : columns_) {
    blamed_ = call;
    const Component& first = components_[output.inputs[0]];
    const auto type_of = [&](std::uint32_t column) {
      return arguments[first.arguments[column].index];
    };
    switch (output.kind) {
      case OutputKind::kKey:
        break;
      case OutputKind::kCount:
      case OutputKind::kDistinctCount:
      case OutputKind::kApproxCount:
        output.type = {TypeKind::kBigInt};
        break;
      case OutputKind::kSum:
        if (!is_number(type_of(0)) && type_of(0).kind != TypeKind::kBoolean)
          return refused(fmt::format("the sum of {}", type_of(0).sql()));
        output.type = sum_type(type_of(0));
        break;
      case OutputKind::kAvg:
        if (!is_number(type_of(0)))
          return refused(fmt::format("the average of {}", type_of(0).sql()));
        output.type = {TypeKind::kDouble};
        break;
      case OutputKind::kBits:
        if (!type_of(0).is_integer()) return refused(fmt::format("bits of {}", type_of(0).sql()));
        output.type = type_of(0);
        break;
      case OutputKind::kMin:
      case OutputKind::kMax:
        output.type = type_of(0);
        if (output.type.is_nested()) {
          // The bytes of a nested value do not order as it does, those of a composite do.
          auto& component = components_[output.inputs[0]];
          if (component.kind != ComponentKind::kRows) {
            component.arguments[0].descending = component.kind == ComponentKind::kMax;
            component.arguments[0].nulls_last = true;
            component.kind = ComponentKind::kRows;
            component.parameter = 1;
          }
          output.kind = OutputKind::kRowValue;
        }
        break;
      case OutputKind::kRowValue:
        output.type = type_of(output.column);
        break;
      case OutputKind::kRowList:
        output.type = Type::list(type_of(output.column));
        break;
      case OutputKind::kRowMap:
        output.type = Type::map(type_of(0), type_of(output.column));
        break;
      case OutputKind::kValueList:
        output.type = Type::list(type_of(0));
        break;
      case OutputKind::kValueCounts:
        output.type = Type::map(type_of(0), {TypeKind::kUBigInt});
        break;
      case OutputKind::kTopCount:
        output.type =
            Type::list(Type::structure({{"value", type_of(0)}, {"count", {TypeKind::kUBigInt}}}));
        break;
      case OutputKind::kTopSum:
        if (!is_number(type_of(1)))
          return refused(fmt::format("top_k() by the sum of {}", type_of(1).sql()));
        output.type =
            Type::list(Type::structure({{"value", type_of(0)}, {"sum", sum_type(type_of(1))}}));
        break;
      case OutputKind::kApproxQuantile: {
        const Type type = probes[*probed];
        if (!is_number(type)) {
          return refused(
              fmt::format("approx_quantile() of {}, whose error would be relative to the year 1970 "
                          "or has no meaning; quantile_disc() is exact",
                          type.sql()));
        }
        output.type = output.column == 1 ? Type::list(type) : type;
        break;
      }
      default:
        output.type = {TypeKind::kDouble};
        break;
    }
    columns.push_back(output);
  }
  plan.components = std::move(components_);
  return {};
}

}  // namespace millrace::view
