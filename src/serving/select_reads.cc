#include "serving/select_reads.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii_case.h"
#include "serving/select_conditions.h"
#include "view/select_tree.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;
using view::array_of;
using view::is_set;
using view::object_of;
using view::text_of;

/// A CTE that is named by two others, which are named by two others, ...: beyond so many SELECTs
/// all is read whole.
constexpr std::size_t kSelectsMax = 200;
constexpr std::size_t kDepthMax = 64;

/// Functions of one row that may stand beside ORDER BY and LIMIT: neither aggregates, nor such as
/// make several rows or none of one.
constexpr auto kRowFunctions = std::to_array<std::string_view>(
    {"abs",       "ceil",     "ceiling", "concat", "date_part", "date_trunc", "day",      "floor",
     "format",    "greatest", "hour",    "left",   "least",     "length",     "lower",    "lpad",
     "minute",    "month",    "nullif",  "right",  "round",     "rpad",       "strftime", "substr",
     "substring", "trim",     "trunc",   "upper",  "year"});

bool gives_one_value(const json::value& expression) {
  const auto* node = expression.if_object();
  if (node == nullptr) return false;
  const auto kind = text_of(*node, "class");
  if (kind == "COLUMN_REF" || kind == "CONSTANT") return true;
  if (kind == "CAST") {
    const auto* child = node->if_contains("child");
    return child != nullptr && gives_one_value(*child);
  }
  if (kind == "COMPARISON") {
    const auto* left = node->if_contains("left");
    const auto* right = node->if_contains("right");
    return left != nullptr && right != nullptr && gives_one_value(*left) && gives_one_value(*right);
  }
  const auto* children = array_of(*node, "children");
  const bool plain =
      kind == "OPERATOR" || kind == "CONJUNCTION" ||
      (kind == "FUNCTION" &&
       (is_set(*node, "is_operator") ||
        std::ranges::find(kRowFunctions, lower_name(text_of(*node, "function_name"))) !=
            kRowFunctions.end()));
  return plain && children != nullptr && std::ranges::all_of(*children, gives_one_value);
}

/// SELECT * with nothing taken out or put in.
bool is_plain_star(const json::object& item) {
  return text_of(item, "class") == "STAR" && !is_set(item, "exclude_list") &&
         !is_set(item, "replace_list") && !is_set(item, "rename_list") &&
         !is_set(item, "columns") && !is_set(item, "expr") &&
         text_of(item, "relation_name").empty();
}

bool needs_value(const Condition& condition) {
  return condition.condition.kind != ConditionKind::kIsNull;
}

}  // namespace

/// Walks the SELECTs from the outside in; conditions go with it as far as they reach.
class SelectReads::Reader {
 public:
  Reader(SelectReads& out, const FindRelation& find) : out_(out), find_(find) {}

  void read(const json::object& tree) {
    out_.all_columns_ = false;
    statement(tree, {}, {});
    if (given_up_) {
      out_ = SelectReads();
      return;
    }
    // A whole row: SELECT v FROM v.
    if (std::ranges::any_of(lone_references_,
                            [&](const auto& name) { return relation_names_.contains(name); })) {
      out_.all_columns_ = true;
    }
    for (auto& [name, mentions] : out_.mentions_) {
      if (mentions.size() == 1) continue;
      for (auto& mention : mentions) mention.wanted.reset();
    }
  }

 private:
  /// Names that WITH gives, of the SELECTs around too.
  struct Scope {
    struct Named {
      std::string name;
      const json::object* tree;  // null where it is not to be looked into
      std::vector<std::string> columns;
      std::size_t depth;  // of the scope that it is read in
    };
    std::vector<Named> names;
  };

  void statement(const json::object& tree, const Scope& scope, Conditions conditions) {
    const auto* node = object_of(tree, "node");
    if (node == nullptr) {
      given_up_ = true;
      return;
    }
    select(*node, scope, std::move(conditions));
  }

  void select(const json::object& node, Scope scope, Conditions outside) {
    if (++selects_ > kSelectsMax || given_up_) {
      given_up_ = true;
      return;
    }
    add_ctes(node, scope);
    const auto type = text_of(node, "type");
    if (type != "SELECT_NODE") {
      // Of a set operation, a recursion: the SELECTs in it, each by itself.
      for (const auto& member : node) {
        if (member.key() != "cte_map") expressions(member.value(), scope, 0);
      }
      return;
    }
    for (const auto& member : node) {
      if (member.key() != "cte_map" && member.key() != "from_table")
        expressions(member.value(), scope, 0);
    }
    const auto* from = object_of(node, "from_table");
    if (from == nullptr) return;
    Conditions conditions;
    if (is_set(node, "sample")) {
      // A sample of fewer rows is another one.
      walk_from(*from, scope, {}, false, nullptr);
      return;
    }
    if (const auto* where = object_of(node, "where_clause")) read_conditions(*where, conditions);
    const bool whole = conditions.whole && outside.list.empty();
    std::ranges::move(outside.list, std::back_inserter(conditions.list));
    walk_from(*from, scope, conditions, false, whole ? &node : nullptr);
  }

  void add_ctes(const json::object& node, Scope& scope) {
    const auto* map = object_of(node, "cte_map");
    const auto* entries = map == nullptr ? nullptr : array_of(*map, "map");
    if (entries == nullptr) return;
    for (const json::value& entry : *entries) {
      const auto* object = entry.if_object();
      const auto* value = object == nullptr ? nullptr : object_of(*object, "value");
      const auto* query = value == nullptr ? nullptr : object_of(*value, "query");
      if (query == nullptr) {
        given_up_ = true;
        return;
      }
      // Also one that nobody reads is bound.
      take_names(*query, 0);
      const auto* inner = object_of(*query, "node");
      const bool recursive = inner == nullptr || text_of(*inner, "type") == "RECURSIVE_CTE_NODE";
      const bool renamed = is_set(*value, "aliases");
      Scope::Named named{.name = std::string(text_of(*object, "key")),
                         .tree = recursive || renamed ? nullptr : query,
                         .columns = {},
                         .depth = scope.names.size()};
      if (named.tree == nullptr) {
        // Its own name means itself inside.
        Scope inside = scope;
        inside.names.push_back(named);
        statement(*query, recursive ? inside : scope, {});
      }
      scope.names.push_back(std::move(named));
    }
  }

  void take_names(const json::object& tree, std::size_t depth) {
    for (const auto& member : tree) take_names(member.value(), depth + 1);
    const auto kind = text_of(tree, "class");
    if (kind == "STAR" || kind == "POSITIONAL_REFERENCE") out_.all_columns_ = true;
  }
  void take_names(const json::value& value, std::size_t depth) {
    if (depth > kDepthMax * 4) {
      given_up_ = true;
    } else if (const auto* array = value.if_array()) {
      for (const json::value& element : *array) take_names(element, depth + 1);
    } else if (const auto* object = value.if_object()) {
      take_names(*object, depth);
    } else if (value.is_string()) {
      out_.names_.insert(lower_name(value.get_string()));
    }
  }

  /// Everything that is no FROM: names of columns, and SELECTs inside of expressions.
  void expressions(const json::value& value, const Scope& scope, std::size_t depth) {
    if (given_up_) return;
    if (depth > kDepthMax * 4) {
      given_up_ = true;
      return;
    }
    if (const auto* array = value.if_array()) {
      for (const json::value& element : *array) expressions(element, scope, depth + 1);
      return;
    }
    if (value.is_string()) out_.names_.insert(lower_name(value.get_string()));
    const auto* object = value.if_object();
    if (object == nullptr) return;
    const auto type = text_of(*object, "type");
    if (type.ends_with("_NODE") && !object->contains("class")) {
      select(*object, scope, {});
      return;
    }
    const auto kind = text_of(*object, "class");
    if (kind == "STAR" || kind == "POSITIONAL_REFERENCE") out_.all_columns_ = true;
    if (const auto* parts = array_of(*object, "column_names");
        parts != nullptr && !parts->empty() && parts->back().is_string()) {
      lone_references_.insert(lower_name(parts->back().get_string()));
    }
    for (const auto& member : *object) expressions(member.value(), scope, depth + 1);
  }

  /// `whole`: the SELECT whose FROM this is, where its WHERE is `conditions`. `nullable`: an outer
  /// join puts NULLs in the place of rows that do not match.
  void walk_from(const json::object& from, const Scope& scope, const Conditions& conditions,
                 bool nullable, const json::object* whole) {
    const auto type = text_of(from, "type");
    const bool sampled = is_set(from, "sample");
    if (type == "BASE_TABLE") {
      base_table(from, scope, sampled ? Conditions() : conditions, nullable,
                 sampled ? nullptr : whole);
    } else if (type == "SUBQUERY") {
      subquery(from, scope, sampled ? Conditions() : conditions, nullable);
    } else if (type == "JOIN") {
      join(from, scope, conditions, nullable);
    } else if (type == "EMPTY" || type == "EXPRESSION_LIST" || type == "TABLE_FUNCTION") {
      for (const auto& member : from) expressions(member.value(), scope, 0);
    } else {
      // PIVOT, SHOW and what may come: they read all columns of what is inside.
      given_up_ = true;
    }
  }

  void join(const json::object& from, const Scope& scope, const Conditions& conditions,
            bool nullable) {
    const auto* left = object_of(from, "left");
    const auto* right = object_of(from, "right");
    if (left == nullptr || right == nullptr) {
      given_up_ = true;
      return;
    }
    const auto kind = text_of(from, "join_type");
    const auto how = text_of(from, "ref_type");
    if (how == "NATURAL") out_.all_columns_ = true;
    for (const auto key : {"condition", "using_columns", "duplicate_eliminated_columns"}) {
      if (const auto* value = from.if_contains(key)) expressions(*value, scope, 0);
    }
    Conditions on;
    if (const auto* condition = object_of(from, "condition")) read_conditions(*condition, on);
    const bool plain = how == "REGULAR" || how == "NATURAL" || how == "CROSS";
    Conditions both = conditions;
    Conditions for_left;
    Conditions for_right;
    bool left_nullable = nullable;
    bool right_nullable = nullable;
    if (plain && kind == "INNER") {
      std::ranges::copy(on.list, std::back_inserter(both.list));
      for_left = both;
      for_right = both;
    } else if (plain && kind == "LEFT") {
      for_left = conditions;
      std::ranges::copy(on.list, std::back_inserter(both.list));
      for_right = both;
      right_nullable = true;
    } else if (plain && kind == "RIGHT") {
      for_right = conditions;
      std::ranges::copy(on.list, std::back_inserter(both.list));
      for_left = both;
      left_nullable = true;
    } else if (plain && kind == "FULL") {
      for_left = conditions;
      for_right = conditions;
      left_nullable = true;
      right_nullable = true;
    } else if ((plain && (kind == "SEMI" || kind == "ANTI")) ||
               (how == "ASOF" && (kind == "INNER" || kind == "LEFT"))) {
      for_left = conditions;
    }
    if (kind == "RIGHT" || kind == "FULL") drop_merged(from, for_left);
    if (kind != "RIGHT") drop_merged(from, for_right);
    walk_from(*left, scope, for_left, left_nullable, nullptr);
    walk_from(*right, scope, for_right, right_nullable, nullptr);
  }

  /// A column that USING makes of two is that of one side; the other's may be of another type.
  static void drop_merged(const json::object& join, Conditions& conditions) {
    const auto* merged = array_of(join, "using_columns");
    const bool all = text_of(join, "ref_type") == "NATURAL";
    std::erase_if(conditions.list, [&](const Condition& condition) {
      if (!condition.reference.table.empty()) return false;
      return all ||
             (merged != nullptr && std::ranges::any_of(*merged, [&](const json::value& name) {
                return name.is_string() &&
                       same_name(std::string_view(name.get_string()), condition.reference.column);
              }));
    });
  }

  static bool names(const Condition& condition, std::string_view alias, std::string_view name) {
    return condition.reference.table.empty() ||
           same_name(condition.reference.table, alias.empty() ? name : alias);
  }

  void base_table(const json::object& from, const Scope& scope, const Conditions& conditions,
                  bool nullable, const json::object* whole) {
    const auto name = text_of(from, "table_name");
    const auto alias = text_of(from, "alias");
    relation_names_.insert(lower_name(alias.empty() ? name : alias));
    const bool renamed = is_set(from, "column_name_alias") || is_set(from, "at_clause");
    if (renamed) out_.all_columns_ = true;
    const auto named =
        std::ranges::find_if(scope.names.rbegin(), scope.names.rend(),
                             [&](const Scope::Named& one) { return same_name(one.name, name); });
    if (named != scope.names.rend()) {
      if (named->tree == nullptr) return;
      Scope outside = scope;
      outside.names.resize(named->depth);
      const auto handed =
          renamed ? Conditions() : handed_down(conditions, *named->tree, alias, name, nullable);
      statement(*named->tree, outside, handed);
      return;
    }
    const auto found = find_(name);
    if (found.plain_view != nullptr) {
      const auto handed = renamed
                              ? Conditions()
                              : handed_down(conditions, *found.plain_view, alias, name, nullable);
      statement(*found.plain_view, {}, handed);
      return;
    }
    if (found.name.empty()) return;
    Mention mention;
    bool whole_conditions = whole != nullptr;
    for (const auto& condition : conditions.list) {
      const bool known = !renamed && names(condition, alias, name) &&
                         std::ranges::any_of(found.columns, [&](const auto& column) {
                           return same_name(column, condition.reference.column);
                         });
      if (!known || (nullable && !needs_value(condition))) {
        whole_conditions = false;
        continue;
      }
      mention.conditions.push_back(condition.condition);
      mention.conditions.back().column = condition.reference.column;
    }
    if (whole_conditions && !renamed) mention.wanted = wanted_rows(*whole, alias, name, found);
    out_.mentions_[found.name].push_back(std::move(mention));
  }

  void subquery(const json::object& from, const Scope& scope, const Conditions& conditions,
                bool nullable) {
    const auto* tree = object_of(from, "subquery");
    if (tree == nullptr) {
      given_up_ = true;
      return;
    }
    const auto alias = text_of(from, "alias");
    relation_names_.insert(lower_name(alias));
    const bool renamed = is_set(from, "column_name_alias");
    statement(*tree, scope,
              renamed ? Conditions() : handed_down(conditions, *tree, alias, alias, nullable));
  }

  /// Those conditions on the columns of a SELECT that may as well stand in its WHERE.
  static Conditions handed_down(const Conditions& conditions, const json::object& tree,
                                std::string_view alias, std::string_view name, bool nullable) {
    Conditions out;
    const auto* node = object_of(tree, "node");
    if (node == nullptr || text_of(*node, "type") != "SELECT_NODE" || is_set(*node, "sample") ||
        is_set(*node, "qualify")) {
      return out;
    }
    const auto* sets = array_of(*node, "group_sets");
    const auto* items = array_of(*node, "select_list");
    if ((sets != nullptr && sets->size() > 1) || items == nullptr) return out;
    if (const auto* modifiers = array_of(*node, "modifiers")) {
      for (const json::value& modifier : *modifiers) {
        const auto* object = modifier.if_object();
        const auto type = object == nullptr ? std::string_view() : text_of(*object, "type");
        const bool commutes = type == "ORDER_MODIFIER" || (type == "DISTINCT_MODIFIER" &&
                                                           !is_set(*object, "distinct_on_targets"));
        if (!commutes) return out;
      }
    }
    const bool computes_over_rows = view::any_node(json::value(*items), [](const auto& one) {
      const auto kind = text_of(one, "class");
      return kind == "WINDOW" || text_of(one, "function_name") == "unnest";
    });
    if (computes_over_rows) return out;
    for (const auto& condition : conditions.list) {
      if (!names(condition, alias, name) || (nullable && !needs_value(condition))) continue;
      if (auto inner = shown_as(*node, *items, condition.reference.column))
        out.list.push_back({std::move(*inner), condition.condition});
    }
    return out;
  }

  /// The column inside that a SELECT shows as it is under this name.
  static std::optional<Reference> shown_as(const json::object& node, const json::array& items,
                                           const std::string& column) {
    const auto* from = object_of(node, "from_table");
    if (items.size() == 1 && items[0].is_object() && is_plain_star(items[0].get_object())) {
      const bool single = from != nullptr && text_of(*from, "type") != "JOIN";
      return single ? std::optional(Reference{.table = {}, .column = column}) : std::nullopt;
    }
    std::optional<Reference> out;
    for (const json::value& item : items) {
      const auto* object = item.if_object();
      if (object == nullptr || text_of(*object, "class") == "STAR") return std::nullopt;
      auto reference = reference_of(*object);
      const auto alias = text_of(*object, "alias");
      const bool named = !alias.empty() ? same_name(alias, column)
                                        : reference && same_name(reference->column, column);
      if (!named) continue;
      if (out || !reference) return std::nullopt;
      out = std::move(reference);
    }
    return out;
  }

  /// What ORDER BY and LIMIT leave of the one relation that a SELECT reads.
  static std::optional<WantedRows> wanted_rows(const json::object& node, std::string_view alias,
                                               std::string_view name, const NamedRelation& found) {
    const auto* items = array_of(node, "select_list");
    const auto* modifiers = array_of(node, "modifiers");
    if (items == nullptr || modifiers == nullptr || is_set(node, "group_expressions") ||
        is_set(node, "group_sets") || is_set(node, "having") || is_set(node, "qualify") ||
        text_of(node, "aggregate_handling") != "STANDARD_HANDLING") {
      return std::nullopt;
    }
    for (const json::value& item : *items) {
      const bool star = item.is_object() && is_plain_star(item.get_object());
      if (!star && !gives_one_value(item)) return std::nullopt;
    }
    WantedRows out;
    bool limited = false;
    for (const json::value& modifier : *modifiers) {
      const auto* object = modifier.if_object();
      const auto type = object == nullptr ? std::string_view() : text_of(*object, "type");
      if (type == "ORDER_MODIFIER") {
        if (limited || !add_order(*object, *items, alias, name, found, out)) return std::nullopt;
      } else if (type == "LIMIT_MODIFIER") {
        const auto* limit = object_of(*object, "limit");
        const auto* offset = object_of(*object, "offset");
        const auto rows = limit == nullptr ? std::nullopt : count_of(*limit);
        const auto skipped =
            offset == nullptr ? std::optional<std::uint64_t>(0) : count_of(*offset);
        if (!rows || !skipped || limited || *rows > UINT64_MAX - *skipped) return std::nullopt;
        out.rows = *rows + *skipped;
        limited = true;
      } else {
        return std::nullopt;
      }
    }
    return limited ? std::optional(std::move(out)) : std::nullopt;
  }

  static bool add_order(const json::object& modifier, const json::array& items,
                        std::string_view alias, std::string_view name, const NamedRelation& found,
                        WantedRows& out) {
    const auto* orders = array_of(modifier, "orders");
    if (orders == nullptr) return false;
    for (const json::value& one : *orders) {
      const auto* object = one.if_object();
      const auto* expression = object == nullptr ? nullptr : object_of(*object, "expression");
      if (expression == nullptr) return false;
      const auto reference = ordered_column(*expression, items);
      if (!reference || !names({.reference = *reference, .condition = {}}, alias, name) ||
          std::ranges::none_of(found.columns, [&](const auto& column) {
            return same_name(column, reference->column);
          })) {
        return false;
      }
      out.order.push_back({.column = reference->column,
                           .descending = text_of(*object, "type") == "DESCENDING",
                           .nulls_first = text_of(*object, "null_order") == "NULLS FIRST"});
    }
    return true;
  }

  /// The column that ORDER BY an expression orders by: names of the select list come first.
  static std::optional<Reference> ordered_column(const json::object& expression,
                                                 const json::array& items) {
    if (text_of(expression, "class") == "CONSTANT") {
      const auto number = count_of(expression);
      const bool plain = std::ranges::none_of(items, [](const json::value& item) {
        return text_of(item.get_object(), "class") == "STAR";
      });
      if (!number || *number == 0 || *number > items.size() || !plain) return std::nullopt;
      return reference_of(items[*number - 1].get_object());
    }
    auto reference = reference_of(expression);
    if (!reference || !reference->table.empty()) return reference;
    for (const json::value& item : items) {
      const auto alias = text_of(item.get_object(), "alias");
      if (same_name(alias, reference->column)) return reference_of(item.get_object());
    }
    return reference;
  }

  SelectReads& out_;
  const FindRelation& find_;
  std::size_t selects_ = 0;
  bool given_up_ = false;
  std::set<std::string, std::less<>> relation_names_;
  std::set<std::string, std::less<>> lone_references_;  // last parts of references to columns
};

SelectReads SelectReads::of(const json::object& tree, const FindRelation& find) {
  SelectReads out;
  Reader(out, find).read(tree);
  return out;
}

std::span<const Mention> SelectReads::mentions(std::string_view relation) const {
  const auto found = mentions_.find(relation);
  return found == mentions_.end() ? std::span<const Mention>() : found->second;
}

bool SelectReads::wants(std::string_view column) const {
  return all_columns_ || names_.contains(lower_name(column));
}

}  // namespace millrace::serving
