#include "sql/parameters.h"

#include <algorithm>
#include <charconv>

#include "format/json_text.h"
#include "sql/database.h"
#include "sql/syntax.h"

namespace millrace::sql {

namespace {

namespace json = boost::json;

/// The number of a PARAMETER node, from 1; 0 where it is none that can be.
std::size_t number_of(const json::object& node) {
  const json::value* name = node.if_contains("identifier");
  if (name == nullptr || !name->is_string()) return 0;
  const std::string_view digits = name->get_string();
  std::size_t number = 0;
  const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool good =
      code == std::errc() && stop == digits.data() + digits.size() && number <= kParametersMax;
  return good ? number : 0;
}

bool is_parameter(const json::object& node) {
  const json::value* kind = node.if_contains("class");
  return kind != nullptr && kind->is_string() && kind->get_string() == "PARAMETER";
}

Result<json::value> first_item(std::string_view select) {
  MR_TRY(auto tree, parse_select(select));
  return tree.at("node").as_object().at("select_list").as_array().at(0);
}

}  // namespace

Result<std::size_t> count_parameters(const json::value& tree) {
  std::size_t count = 0;
  if (tree.is_array()) {
    for (const json::value& element : tree.get_array()) {
      MR_TRY(const std::size_t inside, count_parameters(element));
      count = std::max(count, inside);
    }
  } else if (tree.is_object()) {
    const json::object& node = tree.get_object();
    if (is_parameter(node)) {
      const std::size_t number = number_of(node);
      if (number != 0) return number;
      return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                  "parameters are $1, $2, ... up to ${}", kParametersMax);
    }
    for (const auto& member : node) {
      MR_TRY(const std::size_t inside, count_parameters(member.value()));
      count = std::max(count, inside);
    }
  }
  return count;
}

void replace_parameters(json::value& tree, const ReplaceParameter& with) {
  if (tree.is_array()) {
    for (json::value& element : tree.get_array()) replace_parameters(element, with);
  } else if (tree.is_object()) {
    if (is_parameter(tree.get_object())) {
      json::value put = with(number_of(tree.get_object()) - 1);
      if (put.is_null()) return;
      // The name that a select item was given stays with it.
      if (const json::value* alias = tree.get_object().if_contains("alias");
          alias != nullptr && put.is_object()) {
        put.get_object()["alias"] = *alias;
      }
      tree = std::move(put);
      return;
    }
    for (auto& member : tree.get_object()) replace_parameters(member.value(), with);
  }
}

Result<json::value> cast_parameter(std::size_t index, const Type& type) {
  return first_item(fmt::format("SELECT CAST(${} AS {})", index + 1, type.sql()));
}

Result<ParameterNode> ParameterNode::make(const Type& type) {
  MR_TRY(auto null, first_item(fmt::format("SELECT CAST(NULL AS {})", type.sql())));
  MR_TRY(auto text, first_item("SELECT 'x'"));
  if (!null.is_object() || !null.get_object().contains("child"))
    return fail(ErrorCode::kInternal, error_id::kInternal, "a cast has another tree");
  return ParameterNode(std::move(null), std::move(text));
}

Result<json::value> ParameterNode::of(std::size_t index,
                                      const std::optional<std::string>& value) const {
  json::value out = null_;
  if (!value) return out;
  if (format::first_bad_utf8(*value) != value->size() || value->find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "the value of ${} is not UTF-8, or has a zero byte", index + 1);
  }
  json::value text = text_;
  text.as_object()["value"].as_object()["value"] = *value;
  out.as_object()["child"] = std::move(text);
  return out;
}

}  // namespace millrace::sql
