// `millrace sql` with statements: one after the other, until one fails. Without: the shell.
#include <boost/json.hpp>
#include <iostream>
#include <iterator>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/shell.h"
#include "cli/table_layout.h"
#include "runtime/file_system.h"
#include "sql/statement.h"

namespace millrace::cli {
namespace {

Result<std::string> script_text(const SqlCommand& command) {
  if (command.file.empty()) return command.text;
  if (command.file != "-") return runtime::read_file(runtime::system_files(), command.file);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

/// "CREATE STREAM" of an answer without columns.
std::string command_name(std::string_view answer) {
  boost::system::error_code error;
  const auto document = boost::json::parse(answer, error);
  if (error || !document.is_object()) return "done";
  const auto* name = document.get_object().if_contains("command");
  return name != nullptr && name->is_string() ? std::string(name->get_string()) : "done";
}

}  // namespace

ExitCode report(const Terminal& terminal, const Error& error) {
  terminal.error(error);
  return exit_code(error);
}

ExitCode print_table(const ClientOptions& client, const ResultTable& table, std::string_view json) {
  const auto text = [&]() -> std::string {
    switch (client.format) {
      case OutputFormat::kTable:
        return table.table_text();
      case OutputFormat::kJson:
        return std::string(json) + '\n';
      case OutputFormat::kJsonLines:
        return table.json_lines_text();
      case OutputFormat::kCsv:
        return table.csv_text();
      case OutputFormat::kMarkdown:
        return markdown_text(table, {});
    }
    return {};
  }();
  return print(text) ? ExitCode::kOk : ExitCode::kFailure;
}

ExitCode print_answer(const ClientOptions& client, std::string_view answer) {
  const auto table = ResultTable::parse(answer);
  if (!table) return report(client.terminal, table.error());
  if (table->columns().empty() && client.format != OutputFormat::kJson) {
    client.terminal.note(command_name(answer));
    return ExitCode::kOk;
  }
  const auto code = print_table(client, *table, answer);
  if (client.format == OutputFormat::kTable) {
    std::string footer =
        fmt::format("{} row{}", grouped(table->rows()), table->rows() == 1 ? "" : "s");
    if (table->truncated()) footer += ", more are left out";
    if (!table->coverage().empty())
      footer += fmt::format("; coverage {}", printable(table->coverage()));
    client.terminal.note(client.terminal.dim(footer));
  } else if (table->truncated()) {
    client.terminal.note(
        "there are more rows than the server sends in one answer; they are left out");
  }
  return code;
}

ExitCode run(const SqlCommand& command) {
  const auto& terminal = command.client.terminal;
  if (command.text.empty() && command.file.empty()) return run_shell(command.client, command.pager);
  const auto text = script_text(command);
  if (!text) return report(terminal, text.error());
  const auto parts = sql::split_script(*text);
  if (!parts) return report(terminal, parts.error());
  auto api = ApiClient::connect(command.client.server, http_options(command.client));
  if (!api) return report(terminal, api.error());
  for (const auto& part : *parts) {
    auto answer = api->sql(part.text);
    if (!answer) {
      Error error = std::move(answer).error();
      if (error.place.line != 0) {
        // The server saw one statement; the reader has the whole script.
        if (error.place.line == 1) error.place.column += part.place.column - 1;
        error.place.line += part.place.line - 1;
      }
      return report(terminal, error);
    }
    if (const auto code = print_answer(command.client, *answer); code != ExitCode::kOk) return code;
  }
  return ExitCode::kOk;
}

}  // namespace millrace::cli
