#include "cli/statement_buffer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/ascii_case.h"
#include "sql/tokens.h"

namespace millrace::cli {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// "$tag$" at the beginning of the text, or empty.
std::string_view dollar_quote(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && is_word(text[end])) ++end;
  const bool digit_first = end > 1 && std::isdigit(static_cast<unsigned char>(text[1])) != 0;
  return end < text.size() && text[end] == '$' && !digit_first ? text.substr(0, end + 1)
                                                               : std::string_view();
}

}  // namespace

std::vector<std::string> StatementBuffer::add(std::string_view line) {
  std::vector<std::string> ended;
  if (!text_.empty()) text_ += '\n';
  for (std::size_t at = 0; at < line.size();) at = step(line, at, ended);
  return ended;
}

std::size_t StatementBuffer::step(std::string_view line, std::size_t at,
                                  std::vector<std::string>& ended) {
  const std::string_view rest = line.substr(at);
  const char c = rest[0];
  const auto take = [&](std::size_t bytes) {
    text_ += rest.substr(0, bytes);
    return at + std::min(bytes, rest.size());
  };
  switch (mode_) {
    case Inside::kString:
    case Inside::kName: {
      if (backslashes_ && c == '\\') return take(2);
      const char quote = static_cast<char>(mode_);
      if (c != quote) return take(1);
      if (rest.size() > 1 && rest[1] == quote) return take(2);
      mode_ = Inside::kStatement;
      return take(1);
    }
    case Inside::kDollars:
      if (!rest.starts_with(dollars_)) return take(1);
      mode_ = Inside::kStatement;
      return take(dollars_.size());
    case Inside::kComment:
      if (rest.starts_with("/*")) {
        ++comments_;
        return take(2);
      }
      if (!rest.starts_with("*/")) return take(1);
      if (--comments_ == 0) mode_ = Inside::kStatement;
      return take(2);
    default:
      break;
  }
  if (rest.starts_with("--")) return take(rest.size());
  if (rest.starts_with("/*")) {
    mode_ = Inside::kComment;
    comments_ = 1;
    return take(2);
  }
  if (c == ';') {
    if (any_) ended.push_back(std::exchange(text_, {}));
    reset();
    return at + 1;
  }
  if (c == ' ' || c == '\t' || c == '\r') return text_.empty() ? at + 1 : take(1);
  any_ = true;
  const char before = text_.empty() ? ' ' : text_.back();
  if (c == '\'' || c == '"') {
    const bool prefixed = text_.size() < 2 || !is_word(text_[text_.size() - 2]);
    backslashes_ = c == '\'' && (before == 'e' || before == 'E') && prefixed;
    mode_ = static_cast<Inside>(c);
  } else if (c == '$' && !is_word(before)) {
    dollars_ = dollar_quote(rest);
    if (!dollars_.empty()) {
      mode_ = Inside::kDollars;
      return take(dollars_.size());
    }
  } else if (c == '(') {
    ++brackets_;
  } else if (c == ')' && brackets_ > 0) {
    --brackets_;
  }
  return take(1);
}

std::string StatementBuffer::take() {
  std::string out = any_ ? std::exchange(text_, {}) : std::string();
  reset();
  return out;
}

void StatementBuffer::reset() { *this = {}; }

Inside StatementBuffer::inside() const {
  if (mode_ != Inside::kStatement) return mode_;
  if (brackets_ > 0) return Inside::kBrackets;
  return any_ ? Inside::kStatement : Inside::kNothing;
}

std::string one_line(std::string_view statement) {
  const auto tokens = sql::tokenize(statement);
  if (!tokens) return std::string(statement);
  std::string out;
  std::size_t end = 0;
  for (const auto& token : *tokens) {
    if (!out.empty() && token.begin > end) out += ' ';
    out += statement.substr(token.begin, token.end - token.begin);
    end = token.end;
  }
  return out;
}

bool may_have_secret(std::string_view statement) {
  constexpr auto kWords = std::to_array<std::string_view>(
      {"PASSWORD", "SECRET", "TOKEN", "CREDENTIALS", "AUTHORIZATION"});
  // "postgres://user:password@host"
  for (auto at = statement.find("://"); at != std::string_view::npos;
       at = statement.find("://", at + 3)) {
    const auto end = statement.find_first_of("/'\" \n", at + 3);
    if (statement.substr(at + 3, end - at - 3).contains('@')) return true;
  }
  const auto tokens = sql::tokenize(statement);
  if (!tokens) return true;  // what cannot be read may be anything
  return std::ranges::any_of(*tokens, [&](const sql::Token& token) {
    const auto text = statement.substr(token.begin, token.end - token.begin);
    return token.kind == sql::TokenKind::kWord &&
           std::ranges::any_of(kWords, [&](std::string_view word) {
             return lower_name(text).contains(lower_name(word));
           });
  });
}

}  // namespace millrace::cli
