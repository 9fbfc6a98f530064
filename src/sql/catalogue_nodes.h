// Nodes of syntax trees (sql/syntax.h), read and made, for the files that rewrite SELECTs about the
// catalogue. Thread: any, values only. Errors: Boost.JSON throws where a tree has another form.
// Invariant: no key is added to a node that is there, so that pointers into it stay good.
#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::sql {

[[nodiscard]] std::string_view text_of(const boost::json::object& object, std::string_view key);
const boost::json::object* object_at(const boost::json::object& object, std::string_view key);
boost::json::object* object_at(boost::json::object& object, std::string_view key);
std::string_view class_of(const boost::json::value& value);
boost::json::object function_node(std::string_view name, boost::json::array children);
boost::json::object text_node(std::string_view text);
boost::json::object null_number_node();
boost::json::object not_node(boost::json::value child);
boost::json::object list_type(boost::json::value element);
/// The text of a constant that is one.
std::optional<std::string> constant_text(const boost::json::value& value);
/// PostgreSQL's '{a,b}' as the engine's '[a,b]'; nothing where it is no such text.
std::optional<std::string> list_text(const boost::json::value& value);
/// Puts another node into the place of one, under its alias.
void replace(boost::json::value& node, boost::json::object with);

}  // namespace millrace::sql
