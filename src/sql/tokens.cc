#include "sql/tokens.h"

#include <algorithm>

namespace millrace::sql {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool goes_on_word(char c) { return starts_word(c) || is_digit(c) || c == '$'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> run() {
    std::vector<Token> tokens;
    while (true) {
      MR_RETURN_IF_ERROR(skip_blanks_and_comments());
      if (at_ == text_.size()) return tokens;
      const std::size_t begin = at_;
      MR_TRY(const TokenKind kind, read_token());
      tokens.push_back({.kind = kind, .begin = begin, .end = at_});
    }
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] std::unexpected<Error> not_closed(std::size_t begin, std::string_view what) const {
    auto failure = fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                        "{} that starts here is not closed", what);
    failure.error().place = place_of(text_, begin);
    return failure;
  }

  Status skip_blanks_and_comments() {
    while (at_ < text_.size()) {
      if (is_blank(peek())) {
        ++at_;
      } else if (peek() == '-' && peek(1) == '-') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (peek() == '/' && peek(1) == '*') {
        MR_RETURN_IF_ERROR(skip_comment());
      } else {
        break;
      }
    }
    return {};
  }

  Status skip_comment() {
    const std::size_t begin = at_;
    std::size_t depth = 0;
    do {
      if (at_ >= text_.size()) return not_closed(begin, "a comment");
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0);
    return {};
  }

  Result<TokenKind> read_token() {
    const char first = peek();
    if (first == '\'') return read_quoted('\'', /*backslashes=*/false);
    if (first == '"') return read_quoted('"', /*backslashes=*/false);
    if ((first == 'e' || first == 'E') && peek(1) == '\'') {
      ++at_;
      return read_quoted('\'', /*backslashes=*/true);
    }
    if (first == '$' && (peek(1) == '$' || starts_word(peek(1)))) return read_dollar_quoted();
    if (is_digit(first) || (first == '.' && is_digit(peek(1)))) return read_number();
    if (starts_word(first)) {
      while (at_ < text_.size() && goes_on_word(peek())) ++at_;
      return TokenKind::kWord;
    }
    ++at_;
    return TokenKind::kSymbol;
  }

  Result<TokenKind> read_quoted(char quote, bool backslashes) {
    const std::size_t begin = at_++;
    while (at_ < text_.size()) {
      if (backslashes && peek() == '\\') {
        at_ += 2;
      } else if (peek() != quote) {
        ++at_;
      } else if (peek(1) == quote) {
        at_ += 2;
      } else {
        ++at_;
        return quote == '"' ? TokenKind::kQuotedIdentifier : TokenKind::kString;
      }
    }
    return not_closed(begin, quote == '"' ? "a name in quotes" : "a string");
  }

  Result<TokenKind> read_dollar_quoted() {
    const std::size_t begin = at_;
    std::size_t tag_end = at_ + 1;
    while (tag_end < text_.size() && text_[tag_end] != '$' &&
           (starts_word(text_[tag_end]) || is_digit(text_[tag_end]))) {
      ++tag_end;
    }
    if (tag_end == text_.size() || text_[tag_end] != '$') {
      ++at_;  // $name: a parameter, which the check of the tree refuses
      return TokenKind::kSymbol;
    }
    const std::string_view tag = text_.substr(begin, tag_end + 1 - begin);
    const std::size_t close = text_.find(tag, tag_end + 1);
    if (close == std::string_view::npos) return not_closed(begin, "a string in dollar quotes");
    at_ = close + tag.size();
    return TokenKind::kString;
  }

  Result<TokenKind> read_number() {
    while (at_ < text_.size()) {
      const char c = peek();
      const bool sign_of_exponent = (c == '+' || c == '-') &&
                                    (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E') &&
                                    is_digit(peek(1));
      if (!goes_on_word(c) && c != '.' && !sign_of_exponent) break;
      ++at_;
    }
    return TokenKind::kNumber;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view text) { return Lexer(text).run(); }

TextPlace advance_place(TextPlace start, std::string_view text, std::size_t bytes) {
  for (const char c : text.substr(0, bytes)) {
    if (c == '\n') {
      ++start.line;
      start.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++start.column;
    }
  }
  return start;
}

std::string unquoted(std::string_view token) {
  if (token.size() < 2 || (token.front() != '"' && token.front() != '\'')) {
    return std::string(token);
  }
  const char quote = token.front();
  std::string out;
  for (std::size_t i = 1; i + 1 < token.size(); ++i) {
    out.push_back(token[i]);
    if (token[i] == quote) ++i;
  }
  return out;
}

}  // namespace millrace::sql
