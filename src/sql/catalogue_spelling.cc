// The first half of catalogue_rewrite.h: what has to be changed in the text, since the tree does
// not have it any more.
#include <algorithm>

#include "base/ascii_case.h"
#include "sql/catalogue_rewrite.h"
#include "sql/tokens.h"

namespace millrace::sql {
namespace {

void blank(std::string& text, std::size_t begin, std::size_t end) {
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin),
            text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
}

}  // namespace

std::string without_postgres_spelling(std::string_view select) {
  std::string out(select);
  if (!lower_name(select).contains("pg_catalog")) return out;
  const auto tokens = tokenize(select);
  if (!tokens) return out;
  const auto text = [&](std::size_t i) -> std::string_view {
    if (i >= tokens->size()) return {};
    return select.substr((*tokens)[i].begin, (*tokens)[i].end - (*tokens)[i].begin);
  };
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    if (same_name(text(i), "operator") && text(i + 1) == "(" &&
        same_name(text(i + 2), "pg_catalog") && text(i + 3) == ".") {
      std::size_t close = i + 4;
      while (close < tokens->size() && text(close) != ")") ++close;
      if (close == tokens->size()) break;
      blank(out, (*tokens)[i].begin, (*tokens)[i + 4].begin);
      blank(out, (*tokens)[close].begin, (*tokens)[close].end);
    } else if (same_name(text(i), "pg_catalog") && text(i + 1) == "." && i > 0 &&
               (text(i - 1) == ":" || same_name(text(i - 1), "as")) &&
               (*tokens)[i + 2 < tokens->size() ? i + 2 : i].kind == TokenKind::kWord) {
      blank(out, (*tokens)[i].begin, (*tokens)[i + 1].end);
    }
  }
  return out;
}

}  // namespace millrace::sql
