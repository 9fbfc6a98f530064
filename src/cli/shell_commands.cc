#include "cli/shell_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/ascii_case.h"
#include "sql/suggestion.h"

namespace millrace::cli {
namespace {

constexpr auto kCommands = std::to_array<ShellCommand>({
    {"\\?", "", "this list"},
    {"\\h", "[STATEMENT]", "how statements are written"},
    {"\\q", "", "leave (also Ctrl-D)"},
    {"\\d", "[NAME]", "what there is; or the columns of a stream, view or table"},
    {"\\ds", "", "streams"},
    {"\\dt", "", "reference tables"},
    {"\\dv", "", "views"},
    {"\\du", "", "users"},
    {"\\l", "", "the server: address, version, how long it runs"},
    {"\\g", "[FILE]", "end the statement, as ';' does; its result into a file"},
    {"\\gx", "", "the same, a line for each value"},
    {"\\r", "", "forget what was typed of the statement"},
    {"\\p", "", "show what was typed of the statement"},
    {"\\i", "FILE", "run the statements and commands of a file"},
    {"\\o", "[FILE]", "results into a file; without a name: to the terminal again"},
    {"\\watch", "[SECONDS]", "run the last statement again and again (2), until Ctrl-C"},
    {"\\x", "[on|off|auto]", "a line for each value instead of a table"},
    {"\\format", "FORMAT", "table, expanded, csv, json, ndjson or markdown"},
    {"\\pset", "NAME [VALUE]", "coverage, expanded, format, null or pager"},
    {"\\timing", "[on|off]", "how long each statement takes"},
    {"\\conninfo", "", "the server that is asked, and as whom"},
});

struct StatementText {
  std::string_view name;
  std::string_view text;
};

constexpr auto kStatements = std::to_array<StatementText>({
    {"ALTER STREAM", "ALTER STREAM name ADD COLUMN c TYPE [DEFAULT v] | DROP COLUMN c | ..."},
    {"BEGIN", "BEGIN [READ ONLY]; ...; COMMIT | ROLLBACK"},
    {"COPY", "COPY (SELECT ...) TO STDOUT    (COPY FROM: over the Postgres wire, see psql)"},
    {"CREATE MATERIALIZED VIEW",
     "CREATE [OR REPLACE] MATERIALIZED VIEW name AS\n"
     "  SELECT keys, aggregates FROM stream [WHERE ...] GROUP BY keys [HAVING ...]"},
    {"CREATE STREAM",
     "CREATE STREAM [IF NOT EXISTS] name (column TYPE, ...)\n"
     "  [WITH (time = column, key = column, partitions = n, dedup = column, ...)]"},
    {"CREATE TABLE", "CREATE TABLE name (column TYPE, ..., PRIMARY KEY (column))"},
    {"CREATE USER", "CREATE USER name WITH PASSWORD '...';  GRANT SELECT ON view TO name"},
    {"CREATE VIEW", "CREATE VIEW name AS SELECT ...    (computed when it is read)"},
    {"DESCRIBE", "DESCRIBE name"},
    {"DROP", "DROP STREAM | VIEW | TABLE | USER [IF EXISTS] name"},
    {"EXPLAIN", "EXPLAIN SELECT ..."},
    {"INSERT", "INSERT INTO stream [(columns)] VALUES (...), ... | SELECT ..."},
    {"REPLAY QUARANTINE", "REPLAY QUARANTINE stream [WHERE ...]"},
    {"SELECT",
     "SELECT ... FROM view [AS OF TIMESTAMP '...' | AS OF POSITION '...'] | stream | table ..."},
    {"SET", "SET name = value;  SHOW name;  RESET name"},
    {"SHOW", "SHOW STREAMS | VIEWS | TABLES | USERS | GRANTS | CONNECTIONS"},
    {"SUBSCRIBE",
     "SUBSCRIBE TO SELECT columns, expressions FROM view [WHERE ...]\n"
     "  [WITH (snapshot = false, position = '...')]"},
});

}  // namespace

std::span<const ShellCommand> shell_commands() { return kCommands; }

std::string shell_help() {
  std::string out;
  for (const auto& command : kCommands)
    out += fmt::format("  {:<24} {}\n", fmt::format("{} {}", command.name, command.arguments),
                       command.what);
  out +=
      "A statement ends at ';'. Tab completes, Ctrl-R searches what was typed before, Ctrl-C ends "
      "the\nstatement that runs or forgets the line.\n";
  return out;
}

std::string statement_help(std::string_view begin) {
  std::string out;
  for (const auto& [name, text] : kStatements) {
    const bool wanted = begin.empty() || (name.size() >= begin.size() &&
                                          same_name(name.substr(0, begin.size()), begin));
    if (!wanted) continue;
    if (begin.empty()) {
      out += fmt::format("  {}\n", name);
    } else {
      out += fmt::format("{}\n", text);
    }
  }
  if (out.empty())
    return fmt::format("nothing is known of '{}'; \\h lists all statements\n", begin);
  if (begin.empty()) out += "\\h NAME shows how one is written; all: docs/reference/sql.md\n";
  return out;
}

std::string_view command_like(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& command : kCommands) names.push_back(command.name);
  return sql::closest(name, names);
}

}  // namespace millrace::cli
