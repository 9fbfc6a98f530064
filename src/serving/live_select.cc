#include "serving/live_select.h"

#include <algorithm>

#include "base/ascii_case.h"
#include "serving/feed_keys.h"
#include "sql/allow_list.h"
#include "sql/syntax.h"
#include "view/select_tree.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;
using view::is_set;
using view::text_of;

/// The number of a row among those that are looked at; no column of a view is called so by chance.
constexpr std::string_view kRowNumber = "row of the piece";

constexpr std::string_view kMakeAView =
    "make a materialized view of it (CREATE MATERIALIZED VIEW ... AS SELECT ...) and subscribe to "
    "that";

class Checker {
 public:
  explicit Checker(std::string_view text) : text_(text) {}

  Status check(const json::object& node) const {
    if (text_of(node, "type") != "SELECT_NODE")
      return refuse(node, "it combines several SELECTs", kMakeAView);
    if (const auto* map = node.if_contains("cte_map"); map != nullptr && map->is_object()) {
      if (is_set(map->get_object(), "map"))
        return refuse(node, "it has WITH", "write one SELECT over one materialized view");
    }
    MR_RETURN_IF_ERROR(check_from(node));
    MR_RETURN_IF_ERROR(check_rows(node));
    const auto& items = node.at("select_list");
    MR_RETURN_IF_ERROR(check_expressions(items));
    if (is_set(node, "where_clause"))
      MR_RETURN_IF_ERROR(check_expressions(node.at("where_clause")));
    return {};
  }

 private:
  [[nodiscard]] std::unexpected<Error> refuse(const json::value& where, std::string_view reason,
                                              std::string_view hint) const {
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kUnsupportedStatement),
              .message = fmt::format("SUBSCRIBE cannot follow this SELECT: {}", reason),
              .hint = std::string(hint),
              .place = view::place_of(text_, where)});
  }

  Status check_from(const json::object& node) const {
    const auto* from = node.if_contains("from_table");
    const auto* table = from == nullptr ? nullptr : from->if_object();
    const auto kind = table == nullptr ? std::string_view() : text_of(*table, "type");
    if (kind == "JOIN")
      return refuse(*from, "it joins", "join in a materialized view and subscribe to that");
    if (kind == "SUBQUERY")
      return refuse(*from, "it reads a subquery", "write one SELECT over one materialized view");
    if (kind != "BASE_TABLE")
      return refuse(node, "it reads no view", "name one materialized view behind FROM");
    if (is_set(*table, "sample"))
      return refuse(*from, "a sample is another one each time", "take the sample where you read");
    if (is_set(*table, "column_name_alias") || is_set(*table, "at_clause"))
      return refuse(*from, "FROM has more than a name", "name the columns by AS behind SELECT");
    return {};
  }

  Status check_rows(const json::object& node) const {
    if (const auto* modifiers = view::array_of(node, "modifiers")) {
      for (const auto& modifier : *modifiers) {
        const auto kind = text_of(modifier.as_object(), "type");
        if (kind == "ORDER_MODIFIER") {
          return refuse(modifier, "changes come in the order in which they happen, not in ORDER BY",
                        "order the rows where you keep them");
        }
        if (kind == "DISTINCT_MODIFIER") {
          return refuse(modifier, "DISTINCT needs all rows at once", kMakeAView);
        }
        return refuse(modifier, "which rows LIMIT keeps depends on all of them",
                      "follow all rows, or a top_k() in the view");
      }
    }
    if (is_set(node, "group_expressions") || is_set(node, "having") ||
        text_of(node, "aggregate_handling") == "FORCE_AGGREGATES") {
      return refuse(node, "it groups, and each row is followed by itself", kMakeAView);
    }
    if (is_set(node, "qualify"))
      return refuse(node.at("qualify"), "QUALIFY needs all rows at once", kMakeAView);
    if (is_set(node, "sample"))
      return refuse(node, "a sample is another one each time", "take the sample where you read");
    return {};
  }

  Status check_expressions(const json::value& tree) const {
    // Both walks stop at the first such node.
    const json::object* found = nullptr;
    const auto find = [&](auto&& wanted) {
      found = nullptr;
      return view::any_node(tree, [&](const json::object& node) {
        if (!wanted(node)) return false;
        found = &node;
        return true;
      });
    };
    const auto has_class = [](std::string_view name) {
      return [name](const json::object& node) { return text_of(node, "class") == name; };
    };
    if (find([](const json::object& node) { return view::is_aggregate_call(node); })) {
      return refuse(*found,
                    fmt::format("{}() is over many rows, and each row is followed by itself",
                                text_of(*found, "function_name")),
                    kMakeAView);
    }
    if (find(has_class("WINDOW"))) return refuse(*found, "a window is over many rows", kMakeAView);
    if (find(has_class("SUBQUERY"))) return refuse(*found, "it has a subquery", kMakeAView);
    if (find([](const json::object& node) {
          return text_of(node, "class") == "STAR" && is_set(node, "columns");
        }))
      return refuse(*found, "it has COLUMNS(...)", "name the columns, or write *");
    return {};
  }

  std::string_view text_;
};

class Maker {
 public:
  Maker(const speed::ViewState& view, const json::object& node)
      : compiled_(view.compiled()),
        node_(node),
        outputs_(columns_of(compiled_)),
        units_(unit_columns(compiled_)) {
    const auto& from = node_.at("from_table").as_object();
    const auto alias = text_of(from, "alias");
    alias_ = alias.empty() ? text_of(from, "table_name") : alias;
  }

  /// The view's column that each item shows as it is; empty where a star is more than all columns.
  [[nodiscard]] std::vector<std::optional<std::uint32_t>> shown() const {
    std::vector<std::optional<std::uint32_t>> out;
    for (const auto& item : node_.at("select_list").as_array()) {
      const auto& object = item.as_object();
      if (text_of(object, "class") != "STAR") {
        out.push_back(output_of(object));
        continue;
      }
      if (is_set(object, "exclude_list") || is_set(object, "replace_list") ||
          is_set(object, "rename_list") || is_set(object, "qualified_exclude_list")) {
        return {};
      }
      for (std::uint32_t i = 0; i < outputs_.size(); ++i) out.emplace_back(i);
    }
    return out;
  }

  [[nodiscard]] std::optional<std::uint32_t> key_of(std::uint32_t output) const {
    for (std::uint32_t k = 0; k < units_.size(); ++k) {
      if (compiled_.output_of_key(k) == output) return k;
    }
    return std::nullopt;
  }

  /// The SELECT over the view's columns under other names, and the number of the row before it.
  [[nodiscard]] Result<std::string> sql() const {
    std::string inner = "SELECT ";
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      inner += fmt::format("c{} AS {}, ", i, quote_identifier(outputs_[i].name));
    inner +=
        fmt::format("{} AS {} FROM {}", kOffsetColumn, quote_identifier(kRowNumber), kLiveRelation);
    MR_TRY(const auto outer,
           sql::parse_select(fmt::format("SELECT {} FROM ({}) AS {}", quote_identifier(kRowNumber),
                                         inner, quote_identifier(alias_))));
    json::object tree = outer;
    auto& made = tree.at("node").as_object();
    auto& items = made.at("select_list").as_array();
    for (json::value item : node_.at("select_list").as_array()) {
      auto& object = item.as_object();
      if (text_of(object, "class") == "STAR")
        object.at("exclude_list").as_array().emplace_back(kRowNumber);
      items.push_back(std::move(item));
    }
    if (is_set(node_, "where_clause")) made.at("where_clause") = node_.at("where_clause");
    return sql::select_text(tree);
  }

  /// Equalities of columns of the key with constants that every row has to fulfil.
  [[nodiscard]] std::vector<ViewRequest::Equal> equalities() const {
    std::vector<ViewRequest::Equal> out;
    if (!is_set(node_, "where_clause")) return out;
    const auto& where = node_.at("where_clause").as_object();
    if (text_of(where, "type") != "CONJUNCTION_AND") {
      add_equality(where, out);
      return out;
    }
    for (const auto& child : where.at("children").as_array()) add_equality(child.as_object(), out);
    return out;
  }

 private:
  [[nodiscard]] std::optional<std::uint32_t> output_of(const json::object& node) const {
    const auto* parts = view::array_of(node, "column_names");
    if (text_of(node, "class") != "COLUMN_REF" || parts == nullptr || parts->empty() ||
        parts->size() > 2) {
      return std::nullopt;
    }
    if (parts->size() == 2 && !same_name(std::string_view(parts->front().as_string()), alias_))
      return std::nullopt;
    const auto found = compiled_.find_output(std::string_view(parts->back().as_string()));
    if (!found) return std::nullopt;
    return static_cast<std::uint32_t>(*found);
  }

  void add_equality(const json::object& node, std::vector<ViewRequest::Equal>& out) const {
    if (text_of(node, "type") != "COMPARE_EQUAL") return;
    const auto* left = node.at("left").if_object();
    const auto* right = node.at("right").if_object();
    if (left == nullptr || right == nullptr) return;
    if (text_of(*left, "class") == "CONSTANT") std::swap(left, right);
    const auto output = output_of(*left);
    if (!output || !key_of(*output) || text_of(*right, "class") != "CONSTANT") return;
    const auto& type = outputs_[*output].type;
    const auto& value = right->at("value").as_object();
    const auto* said = value.if_contains("value");
    if (said == nullptr) return;
    // Only where the text means the same here as in the engine.
    if (type.kind == TypeKind::kVarchar && said->is_string()) {
      out.push_back({outputs_[*output].name, std::string(said->get_string())});
    } else if (type.is_integer() && (said->is_int64() || said->is_uint64()) &&
               text_of(value.at("type").as_object(), "id") != "DECIMAL") {
      out.push_back({outputs_[*output].name, json::serialize(*said)});
    }
  }

  const view::CompiledView& compiled_;
  const json::object& node_;
  const std::vector<Column> outputs_;
  const std::vector<Column> units_;
  std::string alias_;
};

}  // namespace

Status check_live_select(const ParsedSelect& select) {
  if (!select.past.empty()) {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(error_id::kUnsupportedStatement),
                                 .message = "SUBSCRIBE cannot follow this SELECT: what is AS OF a "
                                            "moment does not change any more",
                                 .hint = "leave AS OF out; WITH (position = '...') goes on from "
                                         "where a subscription was",
                                 .place = select.past.front().place});
  }
  return Checker(select.text).check(select.tree.at("node").as_object());
}

std::string relation_of(const ParsedSelect& select) {
  const auto& from = select.tree.at("node").as_object().at("from_table").as_object();
  return std::string(text_of(from, "table_name"));
}

Result<LiveSelect> make_live_select(const ParsedSelect& select, std::vector<Column> columns,
                                    std::shared_ptr<speed::ViewState> view) {
  const auto resolve = [](std::string_view name) { return std::string(name); };
  MR_RETURN_IF_ERROR(sql::check_select(select.tree, sql::Use::kView, resolve, select.text));
  const auto& node = select.tree.at("node").as_object();
  const Maker maker(*view, node);
  LiveSelect out{.view = std::move(view),
                 .columns = std::move(columns),
                 .sql = {},
                 .plain = {},
                 .keys = {},
                 .where = maker.equalities(),
                 .filters = is_set(node, "where_clause")};
  auto shown = maker.shown();
  if (shown.size() != out.columns.size()) shown.assign(out.columns.size(), std::nullopt);
  for (const auto& output : shown)
    out.keys.push_back(output ? maker.key_of(*output) : std::nullopt);
  const bool plain = !out.filters && std::ranges::all_of(shown, [](const auto& output) {
    return output.has_value();
  });
  if (plain) {
    for (const auto& output : shown) out.plain.push_back(*output);
  } else {
    MR_TRY(out.sql, maker.sql());
  }
  return out;
}

}  // namespace millrace::serving
