#include "sql/catalogue_lists.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/ascii_case.h"
#include "sql/catalogue_columns.h"
#include "sql/catalogue_nodes.h"

namespace millrace::sql {

namespace {

namespace json = boost::json;

constexpr auto kVectors = std::to_array<std::string_view>(
    {"proargtypes", "indkey", "indclass", "indcollation", "indoption", "tgattr", "partattrs"});

json::value oid_list_type() {
  return list_type(json::object{{"id", "UINTEGER"}, {"type_info", nullptr}});
}

bool holds_oids(std::string_view column) {
  return column.ends_with("oid") || column.ends_with("typid") || column.ends_with("relid");
}

}  // namespace

void take_oid_list(json::object& cast) {
  auto* const wanted = object_at(cast, "cast_type");
  if (wanted == nullptr || text_of(*wanted, "id") != "LIST" ||
      class_of(cast.at("child")) != "PARAMETER") {
    return;
  }
  const auto* const info = object_at(*wanted, "type_info");
  const auto* const element = info == nullptr ? nullptr : object_at(*info, "child_type");
  if (element != nullptr && text_of(*element, "id") == "BIGINT")
    cast.at("cast_type") = oid_list_type();
}

void give_oid_list(json::value& call) {
  const json::object& object = call.get_object();
  const auto* const children = object.at("children").if_array();
  if (text_of(object, "function_name") != "array_agg" || children == nullptr || children->empty() ||
      class_of(children->front()) != "COLUMN_REF" ||
      !holds_oids(last_name(children->front().get_object()))) {
    return;
  }
  json::value aggregate = call;
  aggregate.get_object().at("alias") = "";
  replace(call, json::object{{"class", "CAST"},
                             {"type", "OPERATOR_CAST"},
                             {"alias", ""},
                             {"query_location", std::uint64_t{0}},
                             {"child", std::move(aggregate)},
                             {"cast_type", oid_list_type()},
                             {"try_cast", false}});
}

void write_vectors(json::value& query) {
  auto* const select = query.if_object();
  auto* const items = select == nullptr || !select->contains("select_list")
                          ? nullptr
                          : select->at("select_list").if_array();
  if (items == nullptr) return;
  for (json::value& item : *items) {
    if (class_of(item) != "COLUMN_REF") continue;
    const std::string column = last_name(item.get_object());
    if (!std::ranges::any_of(kVectors, [&](auto one) { return same_name(one, column); })) continue;
    json::value list = item;
    auto& alias = item.get_object().at("alias");
    if (alias.get_string().empty()) alias = column;
    list.get_object().at("alias") = "";
    replace(item, function_node("array_to_string",
                                json::array({std::move(list), json::value(text_node(" "))})));
  }
}

}  // namespace millrace::sql
