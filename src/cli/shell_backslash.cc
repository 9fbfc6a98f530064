// What the shell's backslash commands do (shell_commands.h names them).
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

#include "base/ascii_case.h"
#include "cli/interrupt.h"
#include "cli/shell.h"
#include "cli/shell_commands.h"
#include "model/stream.h"
#include "runtime/file_system.h"

namespace millrace::cli {
namespace {

constexpr int kFilesMax = 16;

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t\r\n;") + 1);
}

std::string without_quotes(std::string_view text) {
  if (text.size() > 1 && (text.front() == '\'' || text.front() == '"') &&
      text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return std::string(text);
}

std::optional<bool> switch_of(std::string_view value) {
  for (const std::string_view on : {"on", "true", "1", "yes"}) {
    if (same_name(value, on)) return true;
  }
  for (const std::string_view off : {"off", "false", "0", "no"}) {
    if (same_name(value, off)) return false;
  }
  return std::nullopt;
}

}  // namespace

void Shell::complain(std::string_view message) const {
  print(terminal_.red("error") + fmt::format(": {}\n", printable(message)));
}

bool Shell::run_command(std::string_view line) {
  const auto end = line.find_first_of(" \t");
  const auto name = line.substr(0, end);
  const auto argument =
      end == std::string_view::npos ? std::string_view() : trimmed(line.substr(end));
  if (name == "\\q" || name == "\\quit") return false;
  if (run_known(name, argument)) return true;
  const auto meant = command_like(name);
  complain(fmt::format("there is no command {}{}; \\? lists them", name,
                       meant.empty() ? std::string() : fmt::format(", did you mean {}?", meant)));
  return true;
}

bool Shell::run_known(std::string_view name, std::string_view argument) {
  using Run = void (*)(Shell&, std::string_view);
  struct Known {
    std::string_view name;
    Run run;
  };
  static constexpr auto kKnown = std::to_array<Known>({
      {"\\?", [](Shell& shell, std::string_view) { shell.output_.page(shell_help()); }},
      {"\\help", [](Shell& shell, std::string_view) { shell.output_.page(shell_help()); }},
      {"\\h", [](Shell& shell, std::string_view a) { shell.output_.page(statement_help(a)); }},
      {"\\d", [](Shell& shell, std::string_view a) { shell.describe(a); }},
      {"\\ds", [](Shell& shell, std::string_view) { shell.run_statement("SHOW STREAMS"); }},
      {"\\dt", [](Shell& shell, std::string_view) { shell.run_statement("SHOW TABLES"); }},
      {"\\dv", [](Shell& shell, std::string_view) { shell.run_statement("SHOW VIEWS"); }},
      {"\\du", [](Shell& shell, std::string_view) { shell.run_statement("SHOW USERS"); }},
      {"\\l", [](Shell& shell, std::string_view) { shell.show_server(); }},
      {"\\conninfo", [](Shell& shell, std::string_view) { shell.show_server(); }},
      {"\\g", [](Shell& shell, std::string_view a) { shell.go(a); }},
      {"\\gx",
       [](Shell& shell, std::string_view) {
         const auto before = shell.output_.settings.expanded;
         shell.output_.settings.expanded = Expanded::kOn;
         shell.go({});
         shell.output_.settings.expanded = before;
       }},
      {"\\r", [](Shell& shell, std::string_view) { shell.buffer_.reset(); }},
      {"\\p",
       [](Shell& shell, std::string_view) {
         shell.output_.note(shell.buffer_.is_empty() ? shell.last_ : shell.buffer_.text());
       }},
      {"\\i", [](Shell& shell, std::string_view a) { shell.run_file(without_quotes(a)); }},
      {"\\o",
       [](Shell& shell, std::string_view a) {
         if (const auto opened = shell.output_.open_file(without_quotes(a)); !opened)
           shell.complain(opened.error().message);
       }},
      {"\\watch", [](Shell& shell, std::string_view a) { shell.watch(a); }},
      {"\\x", [](Shell& shell, std::string_view a) { shell.set_expanded(a); }},
      {"\\format", [](Shell& shell, std::string_view a) { shell.set_format(a); }},
      {"\\pset", [](Shell& shell, std::string_view a) { shell.set_option(a); }},
      {"\\timing",
       [](Shell& shell,
          std::string_view a) { shell.set_switch("timing", a, shell.output_.settings.timing); }},
  });
  const auto known = std::ranges::find(kKnown, name, &Known::name);
  if (known == kKnown.end()) return false;
  known->run(*this, argument);
  return true;
}

void Shell::describe(std::string_view name) {
  if (name.empty()) {
    for (const auto statement : {"SHOW STREAMS", "SHOW VIEWS", "SHOW TABLES"})
      run_statement(statement);
    return;
  }
  run_statement("DESCRIBE " + quote_identifier(without_quotes(name)));
}

void Shell::go(std::string_view file) {
  auto statement = buffer_.take();
  if (statement.empty()) statement = last_;
  if (statement.empty()) {
    complain("there is no statement to run");
    return;
  }
  if (editor_ != nullptr) editor_->remember(one_line(statement) + ";");
  if (file.empty()) {
    run_statement(statement);
    return;
  }
  if (output_.is_to_file()) {
    complain("\\o has a file already; \\o alone closes it");
    return;
  }
  if (const auto opened = output_.open_file(without_quotes(file)); !opened) {
    complain(opened.error().message);
    return;
  }
  run_statement(statement);
  static_cast<void>(output_.open_file({}));
}

void Shell::run_file(const std::string& path) {
  if (path.empty()) return complain("\\i needs the name of a file");
  if (files_open_ == kFilesMax) return complain("files are read in files in files …");
  const auto text = runtime::read_file(runtime::system_files(), path);
  if (!text) return complain(text.error().message);
  if (!buffer_.is_empty()) return complain("a statement is not over; \\r forgets it");
  ++files_open_;
  std::string_view rest = *text;
  bool goes_on = true;
  while (goes_on && !rest.empty() && !is_interrupted()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    goes_on = take_line(std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (const auto last = buffer_.take(); !last.empty() && goes_on) run_statement(last);
  buffer_.reset();
  --files_open_;
}

void Shell::watch(std::string_view seconds) {
  double pause = 2;
  if (!seconds.empty()) {
    const auto [stop, code] =
        std::from_chars(seconds.data(), seconds.data() + seconds.size(), pause);
    if (code != std::errc() || stop != seconds.data() + seconds.size() || pause < 0.1 ||
        pause > 86'400) {
      return complain("\\watch takes a number of seconds from 0.1 to 86400");
    }
  }
  auto statement = buffer_.take();
  if (statement.empty()) statement = last_;
  if (statement.empty()) return complain("there is no statement to run");
  const bool pager = std::exchange(output_.settings.pager, false);
  static_cast<void>(take_interrupt());
  while (!is_interrupted()) {
    // From the top of the screen, so that what changes stays where it is.
    if (!output_.is_to_file() && ::isatty(STDOUT_FILENO) == 1) print("\x1b[H\x1b[2J");
    output_.note(terminal_.dim(fmt::format("every {} s, Ctrl-C ends", pause)));
    const auto next = std::chrono::steady_clock::now() + std::chrono::duration<double>(pause);
    run_statement(statement);
    while (!is_interrupted() && std::chrono::steady_clock::now() < next)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  static_cast<void>(take_interrupt());
  output_.settings.pager = pager;
}

void Shell::set_expanded(std::string_view value) {
  auto& expanded = output_.settings.expanded;
  if (value.empty()) {
    expanded = expanded == Expanded::kOn ? Expanded::kOff : Expanded::kOn;
  } else if (same_name(value, "auto")) {
    expanded = Expanded::kAuto;
  } else if (const auto on = switch_of(value)) {
    expanded = *on ? Expanded::kOn : Expanded::kOff;
  } else {
    return complain("\\x takes on, off or auto");
  }
  const std::string_view is = expanded == Expanded::kOn    ? "on"
                              : expanded == Expanded::kOff ? "off"
                                                           : "auto";
  output_.note(terminal_.dim(fmt::format("expanded is {}", is)));
}

void Shell::set_format(std::string_view value) {
  auto& settings = output_.settings;
  constexpr auto kFormats = std::to_array<std::pair<std::string_view, OutputFormat>>(
      {{"table", OutputFormat::kTable},
       {"expanded", OutputFormat::kTable},
       {"csv", OutputFormat::kCsv},
       {"json", OutputFormat::kJson},
       {"ndjson", OutputFormat::kJsonLines},
       {"jsonl", OutputFormat::kJsonLines},
       {"markdown", OutputFormat::kMarkdown}});
  for (const auto& [name, format] : kFormats) {
    if (!same_name(name, value)) continue;
    settings.format = format;
    if (format == OutputFormat::kTable)
      settings.expanded = name == "expanded" ? Expanded::kOn : Expanded::kOff;
    output_.note(terminal_.dim(fmt::format("the format is {}", name)));
    return;
  }
  complain(fmt::format("the formats are {}", fmt::join(kShellFormats, ", ")));
}

void Shell::set_switch(std::string_view name, std::string_view value, bool& out) {
  const auto wanted = value.empty() ? std::optional(!out) : switch_of(value);
  if (!wanted) return complain(fmt::format("{} is on or off", name));
  out = *wanted;
  output_.note(terminal_.dim(fmt::format("{} is {}", name, out ? "on" : "off")));
}

void Shell::set_option(std::string_view arguments) {
  const auto end = std::min(arguments.find_first_of(" \t"), arguments.size());
  const auto name = arguments.substr(0, end);
  const auto value = trimmed(arguments.substr(end));
  auto& settings = output_.settings;
  if (name == "null") {
    settings.null = without_quotes(value);
    output_.note(terminal_.dim(fmt::format("NULL is shown as '{}'", settings.null)));
  } else if (name == "format") {
    set_format(value);
  } else if (name == "expanded") {
    set_expanded(value);
  } else if (name == "pager") {
    set_switch("pager", value, settings.pager);
  } else if (name == "coverage") {
    set_switch("coverage", value, settings.coverage);
  } else {
    complain("\\pset takes coverage, expanded, format, null or pager");
  }
}

void Shell::show_server() {
  output_.note(fmt::format("server: {}", link_->url()));
  run_statement("SELECT current_user AS \"user\", version() AS version");
}

}  // namespace millrace::cli
