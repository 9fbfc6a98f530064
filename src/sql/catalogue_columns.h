// What PostgreSQL calls the columns of a SELECT that have no AS. Thread: any, values only. Errors:
// those of catalogue_nodes.h.
#pragma once

#include <boost/json.hpp>
#include <string>

namespace millrace::sql {

/// Gives aliases to the items of a SELECT that have none and that the engine would call otherwise.
void name_columns(boost::json::object& select);
/// The column that a reference means, without its table.
[[nodiscard]] std::string last_name(const boost::json::object& column);

}  // namespace millrace::sql
