// The command line: what the words of a command mean. The only file that sees CLI11 is
// command_line.cc. Thread: the main one. Errors: wrong usage is printed with the help of its
// command and exits with 2.
#pragma once

#include <variant>

#include "cli/commands.h"

namespace millrace::cli {

/// The command, or the exit code where help or the version was asked for or the usage is wrong.
std::variant<Command, ExitCode> parse_command_line(int argc, const char* const* argv);

/// The whole program: parses and runs; also the hidden `sql-worker`. Gives the exit code of the
/// process.
int run_program(int argc, char** argv);

}  // namespace millrace::cli
