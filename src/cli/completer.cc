#include "cli/completer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/ascii_case.h"
#include "cli/shell_commands.h"
#include "sql/tokens.h"

namespace millrace::cli {
namespace {

constexpr auto kKeywords = std::to_array<std::string_view>({"ALL",
                                                            "ALTER",
                                                            "AND",
                                                            "AS",
                                                            "ASC",
                                                            "BATCH",
                                                            "BEGIN",
                                                            "BETWEEN",
                                                            "BY",
                                                            "CASE",
                                                            "CAST",
                                                            "CLOSE",
                                                            "COLUMN",
                                                            "COMMIT",
                                                            "CONNECTION",
                                                            "COPY",
                                                            "CREATE",
                                                            "CROSS JOIN",
                                                            "DEALLOCATE",
                                                            "DECLARE",
                                                            "DELETE FROM",
                                                            "DESC",
                                                            "DESCRIBE",
                                                            "DISTINCT",
                                                            "DROP",
                                                            "ELSE",
                                                            "END",
                                                            "EXCLUDE",
                                                            "EXECUTE",
                                                            "EXISTS",
                                                            "EXPLAIN",
                                                            "FALSE",
                                                            "FETCH",
                                                            "FILTER",
                                                            "FROM",
                                                            "GRANT",
                                                            "GROUP BY",
                                                            "HAVING",
                                                            "ILIKE",
                                                            "IN",
                                                            "INNER JOIN",
                                                            "INSERT INTO",
                                                            "INTERVAL",
                                                            "INTO",
                                                            "IS",
                                                            "JOIN",
                                                            "LEFT JOIN",
                                                            "LIKE",
                                                            "LIMIT",
                                                            "MATERIALIZED VIEW",
                                                            "NOT",
                                                            "NULL",
                                                            "OFFSET",
                                                            "ON",
                                                            "OR",
                                                            "ORDER BY",
                                                            "OVER",
                                                            "PARTITION BY",
                                                            "PASSWORD",
                                                            "POSITION",
                                                            "PREPARE",
                                                            "PRIMARY KEY",
                                                            "QUALIFY",
                                                            "QUARANTINE",
                                                            "REPLACE",
                                                            "REPLAY QUARANTINE",
                                                            "REVOKE",
                                                            "ROLLBACK",
                                                            "SELECT",
                                                            "SET",
                                                            "SHOW",
                                                            "SNAPSHOT",
                                                            "STREAM",
                                                            "STREAMS",
                                                            "SUBSCRIBE TO",
                                                            "TABLE",
                                                            "TABLES",
                                                            "THEN",
                                                            "TIMESTAMP",
                                                            "TO",
                                                            "TOKEN",
                                                            "TRUE",
                                                            "UNION ALL",
                                                            "UPDATE",
                                                            "USER",
                                                            "USING",
                                                            "VALUES",
                                                            "VIEW",
                                                            "VIEWS",
                                                            "WHEN",
                                                            "WHERE",
                                                            "WITH",
                                                            "approx_count_distinct(",
                                                            "arg_max(",
                                                            "arg_min(",
                                                            "avg(",
                                                            "coalesce(",
                                                            "count(",
                                                            "date_trunc('",
                                                            "hop(",
                                                            "max(",
                                                            "min(",
                                                            "now()",
                                                            "quantile_cont(",
                                                            "round(",
                                                            "session(",
                                                            "stddev(",
                                                            "sum(",
                                                            "top_k(",
                                                            "tumble("});

/// Behind these a relation is named.
constexpr auto kBeforeRelation =
    std::to_array<std::string_view>({"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "STREAM",
                                     "DESCRIBE", "COPY", "QUARANTINE"});

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string_view last_word(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  return text.substr(begin);
}

bool begins(std::string_view text, std::string_view begin) {
  return text.size() >= begin.size() && same_name(text.substr(0, begin.size()), begin);
}

std::string in_case_of(std::string_view keyword, std::string_view typed) {
  const bool lower = !typed.empty() && std::islower(static_cast<unsigned char>(typed.back())) != 0;
  const bool is_function = keyword.contains('(');
  return lower || is_function ? lower_name(keyword) : std::string(keyword);
}

}  // namespace

void Completer::know() {
  if (std::exchange(known_, true)) return;
  names_ = ask_();
}

void Completer::offer(std::string_view word, std::string_view begin,
                      std::vector<std::string>& out) const {
  if (begins(word, begin)) out.emplace_back(word);
}

Completion Completer::complete_command(std::string_view line) {
  Completion out;
  const auto word_begin = line.find_last_of(" \t");
  if (word_begin == std::string_view::npos) {
    out.word_bytes = line.size();
    for (const auto& command : shell_commands()) {
      if (command.name.starts_with(line)) out.words.emplace_back(command.name);
    }
    return out;
  }
  const auto begin = line.substr(word_begin + 1);
  out.word_bytes = begin.size();
  if (line.starts_with("\\d")) {
    know();
    for (const auto& [name, columns] : names_) offer(name, begin, out.words);
  } else if (line.starts_with("\\format")) {
    for (const std::string_view format : kShellFormats) offer(format, begin, out.words);
  } else if (line.starts_with("\\pset")) {
    for (const auto name : {"coverage", "expanded", "format", "null", "pager"})
      offer(name, begin, out.words);
  }
  return out;
}

Completion Completer::complete(std::string_view before, std::string_view line) {
  if (before.empty() && line.starts_with('\\')) return complete_command(line);
  Completion out;
  const auto begin = last_word(line);
  out.word_bytes = begin.size();
  const std::string text = std::string(before) + "\n" + std::string(line);
  const std::string_view ahead = std::string_view(text).substr(0, text.size() - begin.size());
  const auto tokens = sql::tokenize(ahead);
  if (!tokens) return out;  // inside of a string
  know();
  const auto text_of = [&](const sql::Token& token) {
    return ahead.substr(token.begin, token.end - token.begin);
  };
  const std::string_view last = tokens->empty() ? std::string_view() : text_of(tokens->back());
  if (last == "." && tokens->size() > 1 && ahead.ends_with('.')) {
    const auto relation = names_.find(sql::unquoted(text_of((*tokens)[tokens->size() - 2])));
    if (relation != names_.end()) {
      for (const auto& column : relation->second) offer(column, begin, out.words);
    }
    return out;
  }
  const bool wants_relation = std::ranges::any_of(
      kBeforeRelation, [&](std::string_view word) { return same_name(word, last); });
  for (const auto& [name, columns] : names_) offer(name, begin, out.words);
  if (!wants_relation && !begin.empty()) {
    // Columns of what the statement names; of all where it names nothing yet.
    std::vector<const std::vector<std::string>*> wanted;
    for (const auto& token : *tokens) {
      const auto named = names_.find(sql::unquoted(text_of(token)));
      if (named != names_.end()) wanted.push_back(&named->second);
    }
    for (const auto& [name, columns] : names_) {
      if (wanted.empty()) {
        for (const auto& column : columns) offer(column, begin, out.words);
      }
    }
    for (const auto* columns : wanted) {
      for (const auto& column : *columns) offer(column, begin, out.words);
    }
    for (const auto keyword : kKeywords) {
      if (begins(keyword, begin)) out.words.push_back(in_case_of(keyword, begin));
    }
  }
  std::ranges::sort(out.words);
  out.words.erase(std::unique(out.words.begin(), out.words.end()), out.words.end());
  return out;
}

}  // namespace millrace::cli
