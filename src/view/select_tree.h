// The syntax tree of a view's SELECT (sql/syntax.h) as the compiler reads it: fields that may be
// missing, places, identity of expressions, and which functions are aggregates. Thread: any.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::view {

/// The text of a field; empty where it is missing or no text.
[[nodiscard]] std::string_view text_of(const boost::json::object& node, std::string_view field);
/// nullptr where it is missing or no array.
[[nodiscard]] const boost::json::array* array_of(const boost::json::object& node,
                                                 std::string_view field);
/// An object in a field; null where it is none.
[[nodiscard]] const boost::json::object* object_of(const boost::json::object& node,
                                                   std::string_view field);
/// Whether a field says anything: it is there, not null, not false, not empty.
[[nodiscard]] bool is_set(const boost::json::object& node, std::string_view field);

/// Where `node` stands in the text that its tree was made of; the start where nothing in it knows.
[[nodiscard]] TextPlace place_of(std::string_view select, const boost::json::value& node);

/// Equal for expressions that are equal but for their places and aliases.
[[nodiscard]] std::string identity_of(const boost::json::value& expression);

/// Aggregates by DuckDB's names, and those that only a materialized view has (top_k, map_agg).
[[nodiscard]] bool is_aggregate(std::string_view function);
[[nodiscard]] bool is_aggregate_call(const boost::json::value& node);
[[nodiscard]] bool contains_aggregate(const boost::json::value& tree);
/// Whether any object in the tree is one that `is_wanted`; such an object is given to it once.
[[nodiscard]] bool any_node(const boost::json::value& tree,
                            const std::function<bool(const boost::json::object&)>& is_wanted);

[[nodiscard]] boost::json::value column_reference(std::string_view name);
/// The tree of an expression that we made.
Result<boost::json::value> parse_expression(std::string_view sql);

}  // namespace millrace::view
