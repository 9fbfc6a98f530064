#include "sql/as_of.h"

#include "base/ascii_case.h"
#include "model/stream.h"
#include "model/value_text.h"
#include "sql/tokens.h"

namespace millrace::sql {

Result<PastSelect> take_as_of(std::string_view select) {
  MR_TRY(const auto tokens, tokenize(select));
  const auto text = [&](std::size_t i) {
    return select.substr(tokens[i].begin, tokens[i].end - tokens[i].begin);
  };
  const auto is_word = [&](std::size_t i, std::string_view word) {
    return i < tokens.size() && tokens[i].kind == TokenKind::kWord && same_name(text(i), word);
  };
  PastSelect out;
  std::size_t copied = 0;
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    if (!is_word(i, "AS") || !is_word(i + 1, "OF") ||
        !(is_word(i + 2, "POSITION") || is_word(i + 2, "TIMESTAMP"))) {
      continue;
    }
    const TextPlace where = place_of(select, tokens[i].begin);
    const auto wrong = [&](std::string message) {
      return std::unexpected(
          Error{.code = ErrorCode::kInvalidArgument,
                .id = std::string(error_id::kSyntax),
                .message = std::move(message),
                .hint = R"(write: FROM view AS OF POSITION '{"0": 17}', or AS OF TIMESTAMP )"
                        "'2001-01-01T00:00:00Z'",
                .place = where});
    };
    const auto& named = tokens[i - 1];
    if (named.kind != TokenKind::kWord && named.kind != TokenKind::kQuotedIdentifier)
      return wrong("AS OF stands behind the name of a view");
    if (i + 3 >= tokens.size() || tokens[i + 3].kind != TokenKind::kString)
      return wrong("AS OF takes a text in quotes");
    PastRelation past{.relation = {}, .name = unquoted(text(i - 1)), .point = {}, .place = where};
    const std::string value = unquoted(text(i + 3));
    if (is_word(i + 2, "POSITION")) {
      auto position = Position::parse(value);
      if (!position) return wrong(fmt::format("AS OF POSITION: {}", position.error().message));
      past.point = std::move(*position);
    } else {
      const auto time = parse_timestamp(value);
      if (!time) return wrong(fmt::format("AS OF TIMESTAMP: '{}' is no time", value));
      past.point = *time;
    }
    past.relation = fmt::format("{} as of {}", past.name, out.relations.size() + 1);
    out.text += select.substr(copied, named.begin - copied);
    out.text += quote_identifier(past.relation);
    // Without an alias of its own its columns are still called by the view's name.
    if (!is_word(i + 4, "AS")) out.text += " AS " + quote_identifier(past.name);
    copied = tokens[i + 3].end;
    out.relations.push_back(std::move(past));
    i += 3;
  }
  out.text += select.substr(copied);
  return out;
}

}  // namespace millrace::sql
