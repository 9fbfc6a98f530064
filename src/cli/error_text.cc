#include "cli/error_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii_case.h"
#include "sql/tokens.h"

namespace millrace::cli {
namespace {

/// The bytes of the first `count` characters.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size() && count > 0) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    --count;
  }
  return at;
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  for (std::uint32_t i = 1; i < line; ++i) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

/// Where the name stands that the message has in quotes, for errors that do not say where they are.
TextPlace place_of_name(std::string_view message, std::string_view statement) {
  const auto begin = message.find('"');
  const auto end = begin == std::string_view::npos ? begin : message.find('"', begin + 1);
  const auto tokens = sql::tokenize(statement);
  if (end == std::string_view::npos || !tokens) return {};
  const auto name = message.substr(begin + 1, end - begin - 1);
  for (const auto& token : *tokens) {
    const bool is_name =
        token.kind == sql::TokenKind::kWord || token.kind == sql::TokenKind::kQuotedIdentifier;
    if (is_name &&
        same_name(sql::unquoted(statement.substr(token.begin, token.end - token.begin)), name)) {
      return sql::place_of(statement, token.begin);
    }
  }
  return {};
}

std::string marked_line(const Terminal& terminal, const TextPlace& place,
                        std::string_view statement, std::size_t width) {
  std::string_view line = line_of(statement, place.line);
  if (line.empty() && place.column > 1) return {};
  std::size_t column = place.column == 0 ? 0 : place.column - 1;
  const std::string margin = fmt::format("{:>4} | ", place.line);
  std::string cut;
  // A long line begins a little before the place.
  const std::size_t room = width > margin.size() + 20 ? width - margin.size() - 2 : SIZE_MAX;
  if (display_width(line) > room && column > room / 2) {
    const std::size_t skipped = column - room / 3;
    line.remove_prefix(bytes_of(line, skipped));
    column -= skipped;
    cut = "…";
  }
  const std::size_t at = bytes_of(line, column);
  if (room != SIZE_MAX && display_width(line) > room) {
    std::size_t end = line.size();
    while (end > at && display_width(line.substr(0, end)) > room) {
      --end;
      while (end > at && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
    }
    line = line.substr(0, end);
  }
  const std::string before = cut + printable(line.substr(0, at));
  const std::string blank(margin.size() - 2, ' ');
  return fmt::format("{}{}{}\n{}{}{}\n", terminal.dim(margin), before, printable(line.substr(at)),
                     terminal.dim(blank + "| "), std::string(display_width(before), ' '),
                     terminal.red("^"));
}

}  // namespace

std::string error_text(const Terminal& terminal, const Error& error, std::string_view statement,
                       std::size_t width) {
  std::string out = terminal.red(error.id.empty() ? "error" : fmt::format("error[{}]", error.id));
  out += fmt::format(": {}\n", printable(error.message));
  const auto place = error.place.line != 0 ? error.place : place_of_name(error.message, statement);
  if (place.line != 0) {
    const auto marked = marked_line(terminal, place, statement, width);
    out += marked.empty() ? fmt::format("  at line {}, column {}\n", place.line, place.column)
                          : marked;
  }
  if (!error.hint.empty())
    out += fmt::format("{} {}\n", terminal.bold("hint:"), printable(error.hint));
  return out;
}

}  // namespace millrace::cli
