#include "serving/select_conditions.h"

#include <algorithm>
#include <utility>

#include "base/ascii_case.h"
#include "view/select_tree.h"

namespace millrace::serving {

namespace {

namespace json = boost::json;
using view::array_of;
using view::is_set;
using view::object_of;
using view::text_of;

constexpr std::size_t kDepthMax = 64;
constexpr std::size_t kValuesMax = 10'000;

std::optional<ConditionKind> comparison_of(std::string_view type, bool flipped) {
  if (type == "COMPARE_EQUAL") return ConditionKind::kIn;
  if (type == "COMPARE_LESSTHAN") return flipped ? ConditionKind::kGreater : ConditionKind::kLess;
  if (type == "COMPARE_LESSTHANOREQUALTO")
    return flipped ? ConditionKind::kGreaterOrEqual : ConditionKind::kLessOrEqual;
  if (type == "COMPARE_GREATERTHAN")
    return flipped ? ConditionKind::kLess : ConditionKind::kGreater;
  if (type == "COMPARE_GREATERTHANOREQUALTO")
    return flipped ? ConditionKind::kLessOrEqual : ConditionKind::kGreaterOrEqual;
  return std::nullopt;
}

/// Makes conditions of the conjuncts of WHERE or ON.
class ConditionReader {
 public:
  explicit ConditionReader(Conditions& out) : out_(out) {}

  void read(const json::object& node, std::size_t depth = 0) {
    if (depth > kDepthMax || !take(node, depth)) out_.whole = false;
  }

 private:
  bool take(const json::object& node, std::size_t depth) {
    const auto type = text_of(node, "type");
    if (type == "CONJUNCTION_AND") {
      const auto* children = array_of(node, "children");
      if (children == nullptr) return false;
      for (const json::value& child : *children) {
        if (!child.is_object()) return false;
        read(child.get_object(), depth + 1);
      }
      return true;
    }
    if (type == "CONJUNCTION_OR") return take_alternatives(node);
    if (type == "COMPARE_BETWEEN") return take_between(node);
    if (auto condition = single(node)) {
      out_.list.push_back(std::move(*condition));
      return out_.list.back().condition.exact;
    }
    return false;
  }

  static std::optional<Condition> single(const json::object& node) {
    const auto type = text_of(node, "type");
    if (type == "COMPARE_IN") return in_list(node);
    if (type == "OPERATOR_IS_NULL") {
      auto reference = first_child(node);
      if (!reference) return std::nullopt;
      return Condition{std::move(*reference),
                       {.column = {}, .kind = ConditionKind::kIsNull, .values = {}}};
    }
    if (type == "SUBQUERY") return any_of_list(node);
    if (type == "FUNCTION") return prefix(node);
    return comparison(node);
  }

  static std::optional<Condition> comparison(const json::object& node) {
    const auto* left = object_of(node, "left");
    const auto* right = object_of(node, "right");
    if (left == nullptr || right == nullptr) return std::nullopt;
    auto reference = reference_of(*left);
    const bool flipped = !reference;
    if (flipped) reference = reference_of(*right);
    const auto kind = comparison_of(text_of(node, "type"), flipped);
    auto literal = literal_of(flipped ? *left : *right);
    if (!reference || !kind || !literal) return std::nullopt;
    return Condition{std::move(*reference),
                     {.column = {}, .kind = *kind, .values = {std::move(*literal)}}};
  }

  bool take_between(const json::object& node) {
    const auto* input = object_of(node, "input");
    const auto* lower = object_of(node, "lower");
    const auto* upper = object_of(node, "upper");
    if (input == nullptr || lower == nullptr || upper == nullptr) return false;
    const auto reference = reference_of(*input);
    if (!reference) return false;
    bool whole = true;
    for (const auto& [bound, kind] : {std::pair(lower, ConditionKind::kGreaterOrEqual),
                                      std::pair(upper, ConditionKind::kLessOrEqual)}) {
      auto literal = literal_of(*bound);
      if (literal)
        out_.list.push_back({*reference, {.column = {}, .kind = kind, .values = {*literal}}});
      whole = whole && literal;
    }
    return whole;
  }

  static std::optional<Reference> first_child(const json::object& node) {
    const auto* children = array_of(node, "children");
    if (children == nullptr || children->empty() || !children->front().is_object())
      return std::nullopt;
    return reference_of(children->front().get_object());
  }

  static std::optional<Condition> in_list(const json::object& node) {
    auto reference = first_child(node);
    const auto* children = array_of(node, "children");
    if (!reference || children->size() > kValuesMax) return std::nullopt;
    ColumnCondition condition;
    for (std::size_t i = 1; i < children->size(); ++i) {
      auto literal =
          (*children)[i].is_object() ? literal_of((*children)[i].get_object()) : std::nullopt;
      // Values of several types are compared in one that is none of theirs.
      if (!literal || (!condition.values.empty() && literal->type != condition.values.front().type))
        return std::nullopt;
      condition.values.push_back(std::move(*literal));
    }
    return Condition{std::move(*reference), std::move(condition)};
  }

  /// column = ANY (a list), which the parser makes a subquery over unnest().
  static std::optional<Condition> any_of_list(const json::object& node) {
    const auto* child = object_of(node, "child");
    const auto* subquery = object_of(node, "subquery");
    const auto* inner = subquery == nullptr ? nullptr : object_of(*subquery, "node");
    const auto* items = inner == nullptr ? nullptr : array_of(*inner, "select_list");
    const auto* from = inner == nullptr ? nullptr : object_of(*inner, "from_table");
    if (text_of(node, "subquery_type") != "ANY" ||
        text_of(node, "comparison_type") != "COMPARE_EQUAL" || child == nullptr ||
        items == nullptr || items->size() != 1 || !(*items)[0].is_object() || from == nullptr ||
        text_of(*from, "type") != "EMPTY") {
      return std::nullopt;
    }
    const auto& item = (*items)[0].get_object();
    const auto* list = array_of(item, "children");
    auto reference = reference_of(*child);
    if (!reference || text_of(item, "function_name") != "unnest" || list == nullptr ||
        list->size() != 1 || !(*list)[0].is_object()) {
      return std::nullopt;
    }
    auto values = literal_list_of((*list)[0].get_object());
    if (!values) return std::nullopt;
    ColumnCondition condition;
    condition.values = std::move(*values);
    // Something may stand in the inner SELECT beside its list.
    condition.exact = !is_set(*inner, "where_clause") && !is_set(*inner, "modifiers");
    return Condition{std::move(*reference), std::move(condition)};
  }

  static std::optional<Condition> prefix(const json::object& node) {
    const auto name = lower_name(text_of(node, "function_name"));
    const bool like = name == "~~";
    const auto* children = array_of(node, "children");
    if ((!like && name != "starts_with" && name != "^@" && name != "prefix") ||
        children == nullptr || children->size() != 2 || !(*children)[1].is_object()) {
      return std::nullopt;
    }
    auto reference = first_child(node);
    auto literal = literal_of((*children)[1].get_object());
    if (!reference || !literal || (literal->type && literal->type->kind != TypeKind::kVarchar))
      return std::nullopt;
    ColumnCondition condition{.column = {}, .kind = ConditionKind::kPrefix, .values = {}};
    if (like && !literal->null) {
      const auto special = literal->text.find_first_of("%_\\");
      condition.exact = special != std::string::npos && special + 1 == literal->text.size() &&
                        literal->text[special] == '%';
      if (special != std::string::npos) literal->text.resize(special);
    }
    condition.values.push_back(std::move(*literal));
    return Condition{std::move(*reference), std::move(condition)};
  }

  /// a = 1 OR a = 2 OR a IN (3, 4).
  bool take_alternatives(const json::object& node) {
    const auto* children = array_of(node, "children");
    if (children == nullptr || children->empty()) return false;
    std::optional<Condition> all;
    for (const json::value& child : *children) {
      auto one = child.is_object() ? single(child.get_object()) : std::nullopt;
      if (!one || one->condition.kind != ConditionKind::kIn || !one->condition.exact) return false;
      if (!all) {
        all = std::move(one);
        continue;
      }
      auto& values = all->condition.values;
      if (!same_name(all->reference.column, one->reference.column) ||
          !same_name(all->reference.table, one->reference.table) ||
          values.size() + one->condition.values.size() > kValuesMax) {
        return false;
      }
      std::ranges::move(one->condition.values, std::back_inserter(values));
    }
    out_.list.push_back(std::move(*all));
    return true;
  }

  Conditions& out_;
};

}  // namespace

std::optional<Reference> reference_of(const json::object& node) {
  const auto* parts = array_of(node, "column_names");
  if (text_of(node, "class") != "COLUMN_REF" || parts == nullptr || parts->empty() ||
      parts->size() > 2 || !parts->front().is_string() || !parts->back().is_string()) {
    return std::nullopt;
  }
  Reference out{.table = {}, .column = std::string(parts->back().get_string())};
  if (parts->size() == 2) out.table = std::string(parts->front().get_string());
  return out;
}

void read_conditions(const json::object& expression, Conditions& out) {
  ConditionReader(out).read(expression);
}

}  // namespace millrace::serving
