// Cuts SQL text into tokens by the rules that DuckDB's parser took from PostgreSQL: quotes with
// doubled quotes, E'' strings with backslashes, dollar quotes, nested comments. It knows no
// grammar: statement.cc reads the heads of our own statements with it, and finds where one
// statement ends. Thread: any, values only. Errors: kInvalidArgument (kSyntax) where a quote or
// comment is not closed, with the place where it was opened. Invariant: tokens lie in the text in
// order and do not overlap.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::sql {

enum class TokenKind {
  kWord,              // a keyword or a name without quotes
  kQuotedIdentifier,  // "name"
  kString,            // 'text', E'text', $tag$text$tag$
  kNumber,
  kSymbol,  // one character
};

struct Token {
  TokenKind kind = TokenKind::kSymbol;
  std::size_t begin = 0;  // byte offsets into the text, half-open
  std::size_t end = 0;
};

/// All tokens of the text; comments and blanks are left out.
Result<std::vector<Token>> tokenize(std::string_view text);

/// The place `bytes` behind `start`, which is the place of text[0]. A column is a code point, a tab
/// is one.
[[nodiscard]] TextPlace advance_place(TextPlace start, std::string_view text, std::size_t bytes);
[[nodiscard]] inline TextPlace place_of(std::string_view text, std::size_t offset) {
  return advance_place({.line = 1, .column = 1}, text, offset);
}

/// What a name means: quotes taken off and doubled quotes made one. For kWord, kQuotedIdentifier
/// and a kString in plain quotes.
[[nodiscard]] std::string unquoted(std::string_view token);

}  // namespace millrace::sql
