// What text of a user may say: the check on the syntax tree that stands before DuckDB. Unknown
// kinds of nodes are refused; every function is on the list of its use; every table is one of ours.
// Errors: kPermissionDenied (kFunctionNotAllowed), kNotFound (kStreamNotFound), kInvalidArgument.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::sql {

enum class Use {
  kAdHoc,  // a SELECT in the worker process: all harmless functions, table functions range,
           // generate_series, unnest
  kView,   // runs inside the server and must give the same for ever: deterministic scalar functions
          // whose output is bounded by their input, and aggregates; no table function, no now(), no
          // random()
};

struct AllowedSelect {
  /// Names of streams and views that the statement reads (CTE names taken out), as they are spelt
  /// in the catalog.
  std::set<std::string> tables;
  /// Column names that occur anywhere in it: tells whether hidden columns are wanted.
  std::set<std::string> columns;
};

/// `resolve` gives the catalog's spelling of a name, or empty where we have no such stream or view.
/// `text` is what the tree was made of, for the places in errors; without it they have none.
Result<AllowedSelect> check_select(const boost::json::object& statement, Use use,
                                   const std::function<std::string(std::string_view)>& resolve,
                                   std::string_view text = {});

[[nodiscard]] bool is_allowed_function(std::string_view name, Use use);

}  // namespace millrace::sql
