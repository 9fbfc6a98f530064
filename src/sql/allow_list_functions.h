// The list of functions behind allow_list.h. Pure; names compare without case.
#pragma once

#include <string_view>

#include "sql/allow_list.h"

namespace millrace::sql {

/// What may stand in FROM with brackets, in a SELECT in the worker process.
[[nodiscard]] bool is_allowed_table_function(std::string_view name);

/// The allowed function whose name is nearest to what was written, or empty.
[[nodiscard]] std::string_view closest_function(std::string_view name, Use use);

}  // namespace millrace::sql
