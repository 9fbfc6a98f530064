// The interactive shell, `millrace sql` on a terminal: statements are typed, and answered, one
// after the other, in one session (docs/reference/shell.md). Owns: the session, the history, the
// settings. Thread: the main one. Errors: shown, and the next statement is asked for; only a server
// that cannot be reached at the start ends it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/completer.h"
#include "cli/line_editor.h"
#include "cli/shell_output.h"
#include "cli/sql_link.h"
#include "cli/statement_buffer.h"

namespace millrace::cli {

class Shell {
 public:
  Shell(const ClientOptions& client, bool pager);
  ExitCode run();

 private:
  // shell.cc
  void greet();
  [[nodiscard]] std::string prompt() const;
  /// False: it is time to leave.
  bool take_line(const std::string& line);
  void run_statement(const std::string& statement);
  void show_answer(std::string_view answer, std::chrono::steady_clock::duration took);
  void show_error(const Error& error, std::string_view statement);
  void note_state(std::string_view answer);
  void show_progress(std::chrono::milliseconds waited) const;
  [[nodiscard]] Completer::Names ask_names();

  // shell_follow.cc
  void follow(const std::string& statement);

  // shell_backslash.cc
  /// False: it is time to leave.
  bool run_command(std::string_view line);
  bool run_known(std::string_view name, std::string_view argument);
  void describe(std::string_view name);
  void run_file(const std::string& path);
  void watch(std::string_view seconds);
  void set_expanded(std::string_view value);
  void set_format(std::string_view value);
  void set_option(std::string_view arguments);
  void set_switch(std::string_view name, std::string_view value, bool& out);
  void go(std::string_view file);
  void show_server();
  void complain(std::string_view message) const;

  const ClientOptions client_;
  const Terminal& terminal_;
  ShellOutput output_;
  Completer completer_;
  std::unique_ptr<SqlLink> link_;
  std::unique_ptr<LineEditor> editor_;
  StatementBuffer buffer_;
  std::string last_;  // the statement that was run last
  std::string transaction_ = "none";
  int files_open_ = 0;               // of \i, one in the other
  std::function<void()> following_;  // while a SUBSCRIBE runs and nothing comes
};

/// Of `millrace sql` without statements.
ExitCode run_shell(const ClientOptions& client, bool pager);

}  // namespace millrace::cli
