// SQL text to syntax tree and back, by DuckDB's own parser (json_serialize_sql and
// json_deserialize_sql): the way in which views are analysed and user text is checked. A tree is
// the JSON that DuckDB 1.5 gives. Thread: any (one parser connection behind a mutex). Errors:
// kInvalidArgument (kSyntax) with line and column.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::sql {

/// The tree of exactly one SELECT statement: {"node": {...}, ...}. Anything else is an error.
Result<boost::json::object> parse_select(std::string_view sql);
/// The SQL text of such a tree.
Result<std::string> select_text(const boost::json::object& statement);
/// The text of one expression node, as SELECT would write it.
Result<std::string> expression_text(const boost::json::value& expression);

}  // namespace millrace::sql
