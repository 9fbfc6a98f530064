// The commands of the interactive shell that begin with a backslash: their names and what they do,
// for \?, for Tab and for errors. What they do is done by the shell itself. Thread: any. Errors:
// none.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace millrace::cli {

struct ShellCommand {
  std::string_view name;
  std::string_view arguments;
  std::string_view what;
};
[[nodiscard]] std::span<const ShellCommand> shell_commands();

inline constexpr auto kShellFormats =
    std::to_array<std::string_view>({"table", "expanded", "csv", "json", "ndjson", "markdown"});

/// The text of \?.
[[nodiscard]] std::string shell_help();
/// The text of \h: of statements that begin so, or of all.
[[nodiscard]] std::string statement_help(std::string_view begin);
/// The command that was meant, or empty.
[[nodiscard]] std::string_view command_like(std::string_view name);

}  // namespace millrace::cli
