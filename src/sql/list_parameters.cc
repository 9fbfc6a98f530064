#include "sql/list_parameters.h"

#include <cstdint>
#include <utility>

#include "sql/catalogue_nodes.h"
#include "sql/parameters.h"

namespace millrace::sql {

namespace {

namespace json = boost::json;

/// What stands at a JSON pointer; null where nothing does.
const json::value* at(const json::value& tree, std::string_view pointer) {
  boost::system::error_code error;
  return tree.find_pointer(pointer, error);
}

bool is_text(const json::value* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_string() == text;
}

void visit(json::value& tree, std::vector<std::size_t>& lists) {
  if (auto* array = tree.if_array()) {
    for (json::value& element : *array) visit(element, lists);
    return;
  }
  auto* const object = tree.if_object();
  if (object == nullptr) return;
  for (auto& member : *object) visit(member.value(), lists);
  if (!is_text(object->if_contains("subquery_type"), "ANY")) return;
  const auto* const list = at(tree, "/subquery/node/select_list/0/children/0");
  const auto* const side = object->if_contains("child");
  const auto* const how = object->if_contains("comparison_type");
  if (list == nullptr || class_of(*list) != "PARAMETER" || side == nullptr || how == nullptr ||
      !is_text(at(tree, "/subquery/node/select_list/0/function_name"), "unnest")) {
    return;
  }
  const auto number = count_parameters(*list);
  if (!number || *number == 0) return;
  lists.push_back(*number - 1);
  json::object comparison{{"class", "COMPARISON"}, {"type", *how},
                          {"alias", ""},           {"query_location", std::uint64_t{0}},
                          {"left", *side},         {"right", *list}};
  tree = std::move(comparison);
}

}  // namespace

std::vector<std::size_t> compare_with_elements(json::value& tree) {
  std::vector<std::size_t> lists;
  visit(tree, lists);
  return lists;
}

}  // namespace millrace::sql
