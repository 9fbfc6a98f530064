// A place in the tokens of one statement, and what every head of ours says of it: keywords, names,
// and errors with their place. Thread: any, values only.
#pragma once

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/ascii_case.h"
#include "base/result.h"
#include "model/stream.h"
#include "sql/tokens.h"

namespace millrace::sql {

class StatementCursor {
 public:
  StatementCursor(std::string_view text, std::span<const Token> tokens)
      : text_(text), tokens_(tokens) {}

 protected:
  static std::string upper(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    });
    return out;
  }
  static std::string shortened(std::string_view text) {
    constexpr std::size_t kBytesMax = 60;
    if (text.size() <= kBytesMax) return std::string(text);
    std::size_t end = kBytesMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return std::string(text.substr(0, end)) + "...";
  }

  [[nodiscard]] bool at_end() const { return at_ == tokens_.size(); }
  [[nodiscard]] std::string_view text_of(const Token& token) const {
    return text_.substr(token.begin, token.end - token.begin);
  }
  [[nodiscard]] std::string_view here() const {
    return at_end() ? std::string_view() : text_of(tokens_[at_]);
  }
  [[nodiscard]] bool here_kind(TokenKind kind) const {
    return !at_end() && tokens_[at_].kind == kind;
  }
  [[nodiscard]] TextPlace place() const {
    return place_of(text_,
                    at_end() ? (tokens_.empty() ? 0 : tokens_.back().end) : tokens_[at_].begin);
  }
  [[nodiscard]] bool is_word(std::string_view keyword) const {
    return here_kind(TokenKind::kWord) && same_name(here(), keyword);
  }
  [[nodiscard]] bool is_symbol(char symbol) const {
    return here_kind(TokenKind::kSymbol) && here().front() == symbol;
  }
  bool take_word(std::string_view keyword) {
    if (!is_word(keyword)) return false;
    ++at_;
    return true;
  }
  bool take_symbol(char symbol) {
    if (!is_symbol(symbol)) return false;
    ++at_;
    return true;
  }
  /// What an error says of the token at hand. A text in quotes may be a password, and is not shown.
  [[nodiscard]] std::string found() const {
    if (at_end()) return "the statement ends";
    if (here_kind(TokenKind::kString) || here().find_first_of("'\"") != std::string_view::npos)
      return "a text in quotes stands";
    return fmt::format("'{}' stands", shortened(here()));
  }
  [[nodiscard]] std::string sql() const {
    return std::string(
        text_.substr(tokens_.front().begin, tokens_.back().end - tokens_.front().begin));
  }

  // --- errors ---

  [[nodiscard]] std::unexpected<Error> error(std::string_view id, TextPlace where,
                                             std::string message, std::string hint = {}) const {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(id),
                                 .message = std::move(message),
                                 .hint = std::move(hint),
                                 .place = where});
  }
  [[nodiscard]] std::unexpected<Error> syntax_error(std::string message,
                                                    std::string hint = {}) const {
    return error(error_id::kSyntax, place(), std::move(message), std::move(hint));
  }
  [[nodiscard]] std::unexpected<Error> expected(std::string_view what,
                                                std::string hint = {}) const {
    return syntax_error(fmt::format("{} is expected where {}", what, found()), std::move(hint));
  }
  Status expect_end() {
    if (at_end()) return {};
    return expected("the end of the statement");
  }
  Status expect_symbol(char symbol) {
    if (take_symbol(symbol)) return {};
    return expected(fmt::format("'{}'", symbol));
  }

  // --- names ---

  /// The tokens of millrace.public. or public. before a name, from the token `at` on.
  [[nodiscard]] std::size_t schema_tokens(std::size_t at) const {
    const auto is = [&](std::size_t i, std::string_view name) {
      return i + 1 < tokens_.size() && text_of(tokens_[i + 1]) == "." &&
             (tokens_[i].kind == TokenKind::kWord ||
              tokens_[i].kind == TokenKind::kQuotedIdentifier) &&
             same_name(unquoted(text_of(tokens_[i])), name);
    };
    if (is(at, "millrace") && is(at + 2, "public")) return 4;
    return is(at, "public") ? 2 : 0;
  }
  void skip_schema() { at_ += schema_tokens(at_); }
  /// The text from the token `begin` on without the schema of relations, as long as before, so that
  /// places in it stay: definitions are kept and read without one.
  [[nodiscard]] std::string without_schemas(std::size_t begin) const {
    const std::size_t start = tokens_[begin].begin;
    std::string out(text_.substr(start, tokens_.back().end - start));
    for (std::size_t i = begin; i < tokens_.size(); ++i) {
      const std::size_t length = schema_tokens(i);
      const bool behind_from = i > begin && tokens_[i - 1].kind == TokenKind::kWord &&
                               (same_name(text_of(tokens_[i - 1]), "FROM") ||
                                same_name(text_of(tokens_[i - 1]), "JOIN"));
      const bool is_part = i > begin && text_of(tokens_[i - 1]) == ".";
      // public.x elsewhere may be the column x of something that is called public.
      if (length == 0 || is_part || (length == 2 && !behind_from)) continue;
      for (std::size_t at = tokens_[i].begin; at < tokens_[i + length - 1].end; ++at)
        out[at - start] = ' ';
      i += length - 1;
    }
    return out;
  }

  /// A name of a stream or view. `made` says whether the statement makes or drops it.
  Result<std::string> object_name(bool made) {
    if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier)) {
      return expected("a name");
    }
    skip_schema();
    if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier))
      return expected("a name");
    const TextPlace where = place();
    std::string name = unquoted(here());
    if (auto good = check_object_name(name); !good) {
      return std::unexpected(std::move(good).error().at(where));
    }
    if (made && lower_name(name).ends_with(kQuarantineSuffix)) {
      return error(error_id::kBadName, where,
                   fmt::format("'{}' cannot be made or dropped: names that end in {} belong to the "
                               "quarantine of a stream",
                               name, kQuarantineSuffix),
                   "a quarantine stream comes and goes with its stream");
    }
    ++at_;
    if (is_symbol('.')) {
      return expected("the end of the name", "names have one part; the one schema is public");
    }
    return name;
  }

  Result<bool> if_not_exists() {
    if (!take_word("IF")) return false;
    if (!take_word("NOT")) return expected("NOT EXISTS");
    if (!take_word("EXISTS")) return expected("EXISTS");
    return true;
  }

  /// (name = value, ...), each name once; `take` takes an option from its name on, and is given the
  /// name in lower case. Gives the names.
  template <class Take>
  Result<std::set<std::string>> option_list(std::string_view form, Take&& take) {
    MR_RETURN_IF_ERROR(expect_symbol('('));
    std::set<std::string> seen;
    do {
      if (!here_kind(TokenKind::kWord)) return expected("an option", std::string(form));
      const std::string name = lower_name(here());
      if (!seen.insert(name).second) {
        return error(error_id::kBadOption, place(),
                     fmt::format("the option {} is there twice", shortened(name)));
      }
      MR_RETURN_IF_ERROR(take(name));
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
    return seen;
  }

  std::string_view text_;
  std::span<const Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace millrace::sql
