#include "sql/catalogue_columns.h"

#include <algorithm>
#include <array>

#include "base/ascii_case.h"
#include "sql/catalogue_functions.h"
#include "sql/catalogue_nodes.h"

namespace millrace::sql {

namespace json = boost::json;

std::string last_name(const json::object& column) {
  return std::string(column.at("column_names").get_array().back().get_string());
}

namespace {

std::string function_name(const json::object& object);
std::string subquery_name(const json::object& object);
std::string cast_name(const json::object& object);

std::string column_name(const json::value& item);

/// What PostgreSQL calls a column without AS; empty: what the engine calls it too.
std::string column_name(const json::value& item) {
  const std::string_view kind = class_of(item);
  const json::object& object = item.get_object();
  if (kind == "COLUMN_REF" || kind == "STAR") return {};
  if (kind == "FUNCTION" || kind == "WINDOW") return function_name(object);
  if (kind == "CASE") return "case";
  if (kind == "CAST") return cast_name(object);
  if (kind == "SUBQUERY") return subquery_name(object);
  if (kind == "OPERATOR") {
    const std::string_view type = text_of(object, "type");
    if (type == "OPERATOR_COALESCE") return "coalesce";
    if (type == "ARRAY_CONSTRUCTOR") return "array";
    if (type == "STRUCT_EXTRACT") {
      const auto field = constant_text(object.at("children").get_array().at(1));
      return field.value_or("?column?");
    }
  }
  return "?column?";
}

std::string function_name(const json::object& object) {
  if (const auto* is_operator = object.if_contains("is_operator");
      is_operator != nullptr && is_operator->is_bool() && is_operator->get_bool()) {
    return "?column?";
  }
  std::string name(text_of(object, "function_name"));
  if (name == "count_star") return "count";
  if (!name.starts_with(kCataloguePrefix)) return name == "regexp_full_match" ? "?column?" : name;
  name.erase(0, kCataloguePrefix.size());
  if (!name.starts_with("mr_")) return name;
  // A cast to regclass: called like its column, or like the type.
  const auto& argument = object.at("children").get_array().at(0);
  if (class_of(argument) == "COLUMN_REF") return last_name(argument.get_object());
  return name.substr(3, name.rfind('_') - 3);
}

std::string subquery_name(const json::object& object) {
  const std::string_view type = text_of(object, "subquery_type");
  if (type == "EXISTS") return "exists";
  const auto* subquery = object_at(object, "subquery");
  const auto* node = subquery == nullptr ? nullptr : object_at(*subquery, "node");
  const json::value* items = node == nullptr ? nullptr : node->if_contains("select_list");
  if (type != "SCALAR" || items == nullptr || items->get_array().empty()) return "?column?";
  const json::value& item = items->get_array().front();
  if (const auto alias = text_of(item.get_object(), "alias"); !alias.empty())
    return std::string(alias);
  if (class_of(item) == "COLUMN_REF") return last_name(item.get_object());
  // What the parser makes of ARRAY(SELECT ...).
  if (class_of(item) == "CASE") return "array";
  const std::string name = column_name(item);
  return name.empty() ? "?column?" : name;
}

std::string cast_name(const json::object& object) {
  const json::value& child = object.at("child");
  if (class_of(child) == "COLUMN_REF") return last_name(child.get_object());
  std::string inner = column_name(child);
  if (!inner.empty() && inner != "?column?") return inner;
  const auto* type = object_at(object, "cast_type");
  const std::string_view id = type == nullptr ? std::string_view() : text_of(*type, "id");
  struct TypeName {
    std::string_view postgres;
    std::string_view ours;
  };
  static constexpr auto kNames = std::to_array<TypeName>({{"text", "VARCHAR"},
                                                          {"int8", "BIGINT"},
                                                          {"int4", "INTEGER"},
                                                          {"int2", "SMALLINT"},
                                                          {"bool", "BOOLEAN"},
                                                          {"float8", "DOUBLE"},
                                                          {"numeric", "DECIMAL"}});
  const auto* known = std::ranges::find(kNames, id, &TypeName::ours);
  return known == kNames.end() ? lower_name(id) : std::string(known->postgres);
}

}  // namespace

void name_columns(json::object& select) {
  auto* items = select.at("select_list").if_array();
  if (items == nullptr) return;
  for (json::value& item : *items) {
    auto* object = item.if_object();
    if (object == nullptr || !text_of(*object, "alias").empty()) continue;
    if (std::string name = column_name(item); !name.empty()) object->at("alias") = name;
  }
}

}  // namespace millrace::sql
