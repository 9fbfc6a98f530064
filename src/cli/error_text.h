// An error with the line of the statement that it is about, and a caret under the place:
//   error[MR1203]: there is no column orgin
//     2 | SELECT orgin
//       |        ^
//   hint: did you mean origin?
// Pure text; thread: any. Errors: none.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/terminal.h"

namespace millrace::cli {

/// Long lines are cut around the place to fit `width` (0: they are not).
[[nodiscard]] std::string error_text(const Terminal& terminal, const Error& error,
                                     std::string_view statement, std::size_t width);

}  // namespace millrace::cli
