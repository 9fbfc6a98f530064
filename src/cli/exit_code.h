// What the program's exit says to a script: docs/reference/cli.md, "Exit codes".
#pragma once

#include "base/error.h"

namespace millrace::cli {

enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kNoConnection = 3,
  kNotFound = 4,
  kConflict = 5,
  kNotAuthenticated = 6,
  kTimeout = 7,
  kInterrupted = 130,
};

/// An error without an id is one of the connection; those of the server all have one.
[[nodiscard]] ExitCode exit_code(const Error& error);

}  // namespace millrace::cli
