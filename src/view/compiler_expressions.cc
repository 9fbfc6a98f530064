// Keys, arguments and outputs of a view as expressions: over its rows, and over its groups.
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/ascii_case.h"
#include "sql/syntax.h"
#include "view/view_compiler.h"

namespace millrace::view {

namespace json = boost::json;

namespace {

/// An alias may name an alias; one that names itself ends here.
constexpr int kAliasDepthMax = 8;
constexpr std::size_t kGroupingSetsMax = 256;

/// The names of arguments, as in struct_pack(a := 1), stand where aliases do: `made` of `call` gets
/// them back.
void keep_argument_names(const json::object& call, json::object& made) {
  const auto* children = array_of(call, "children");
  if (children == nullptr || text_of(call, "class") != "FUNCTION") return;
  auto& arguments = made.at("children").as_array();
  for (std::size_t i = 0; i < children->size(); ++i)
    arguments[i].as_object()["alias"] = text_of((*children)[i].as_object(), "alias");
}

}  // namespace

std::string_view Compiler::column_named(std::string_view name) const {
  for (const auto& column : columns_) {
    if (same_name(column, name)) return column;
  }
  return {};
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

}  // namespace millrace::view
