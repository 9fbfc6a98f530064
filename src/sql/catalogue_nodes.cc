#include "sql/catalogue_nodes.h"

#include <algorithm>

namespace millrace::sql {

namespace json = boost::json;

std::string_view text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

json::object* object_at(json::object& object, std::string_view key) {
  json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

std::string_view class_of(const json::value& value) {
  const auto* object = value.if_object();
  return object == nullptr ? std::string_view() : text_of(*object, "class");
}

// --- nodes that the parser would make ---

json::object function_node(std::string_view name, json::array children) {
  return {{"class", "FUNCTION"},
          {"type", "FUNCTION"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"function_name", name},
          {"schema", ""},
          {"children", std::move(children)},
          {"filter", nullptr},
          {"order_bys", {{"type", "ORDER_MODIFIER"}, {"orders", json::array()}}},
          {"distinct", false},
          {"is_operator", false},
          {"export_state", false},
          {"catalog", ""}};
}

json::object text_node(std::string_view text) {
  return {{"class", "CONSTANT"},
          {"type", "VALUE_CONSTANT"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"value",
           {{"type", {{"id", "VARCHAR"}, {"type_info", nullptr}}},
            {"is_null", false},
            {"value", text}}}};
}

json::object null_number_node() {
  return {{"class", "CAST"},
          {"type", "OPERATOR_CAST"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"child",
           {{"class", "CONSTANT"},
            {"type", "VALUE_CONSTANT"},
            {"alias", ""},
            {"query_location", std::uint64_t{0}},
            {"value", {{"type", {{"id", "NULL"}, {"type_info", nullptr}}}, {"is_null", true}}}}},
          {"cast_type", {{"id", "BIGINT"}, {"type_info", nullptr}}},
          {"try_cast", false}};
}

json::object not_node(json::value child) {
  return {{"class", "OPERATOR"},
          {"type", "OPERATOR_NOT"},
          {"alias", ""},
          {"query_location", std::uint64_t{0}},
          {"children", json::array({std::move(child)})}};
}

json::object list_type(json::value element) {
  return {{"id", "LIST"},
          {"type_info",
           {{"type", "LIST_TYPE_INFO"},
            {"alias", ""},
            {"extension_info", nullptr},
            {"child_type", std::move(element)}}}};
}

/// The text of a constant that is one.
std::optional<std::string> constant_text(const json::value& value) {
  if (class_of(value) == "CAST") {
    const auto& cast = value.get_object();
    const auto* type = object_at(cast, "cast_type");
    if (type == nullptr || text_of(*type, "id") != "VARCHAR") return std::nullopt;
    return constant_text(cast.at("child"));
  }
  if (class_of(value) != "CONSTANT") return std::nullopt;
  const auto* constant = object_at(value.get_object(), "value");
  const json::value* text = constant == nullptr ? nullptr : constant->if_contains("value");
  if (text == nullptr || !text->is_string()) return std::nullopt;
  return std::string(text->get_string());
}

/// PostgreSQL's '{a,b}' as the engine's '[a,b]'; nothing where it is no such text.
std::optional<std::string> list_text(const json::value& value) {
  auto text = constant_text(value);
  if (!text || !text->starts_with('{') || !text->ends_with('}')) return std::nullopt;
  std::ranges::replace(*text, '{', '[');
  std::ranges::replace(*text, '}', ']');
  return text;
}

/// Puts another node into the place of one, under its alias.
void replace(json::value& node, json::object with) {
  with.at("alias") = node.get_object().at("alias");
  node = std::move(with);
}

}  // namespace millrace::sql
