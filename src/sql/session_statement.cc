#include "sql/session_statement.h"

#include <array>
#include <charconv>

#include "sql/statement_cursor.h"

namespace millrace::sql {

namespace {

using Read = Result<std::optional<SessionStatement>>;

class SessionParser : private StatementCursor {
 public:
  SessionParser(std::string_view text, std::span<const Token> tokens)
      : StatementCursor(text, tokens) {}

  Read parse() {
    const std::string word = here_kind(TokenKind::kWord) ? upper(here()) : std::string();
    for (const auto& [head, read] : kHeads) {
      if (word != head) continue;
      ++at_;
      auto statement = (this->*read)();
      if (!statement || !*statement) return statement;
      MR_RETURN_IF_ERROR(expect_end());
      return statement;
    }
    return std::nullopt;
  }

 private:
  using Head = Read (SessionParser::*)();
  static const std::array<std::pair<std::string_view, Head>, 27> kHeads;

  // --- transactions ---

  void skip_work() {
    if (!take_word("TRANSACTION")) take_word("WORK");
  }

  Status modes(std::optional<bool>& read_only) {
    bool more = !at_end();
    while (more) {
      if (take_word("ISOLATION")) {
        if (!take_word("LEVEL")) return expected("LEVEL");
        // All of them are kept: reads of a transaction have one position.
        const bool read = take_word("READ") && (take_word("COMMITTED") || take_word("UNCOMMITTED"));
        const bool known = read || take_word("SERIALIZABLE") ||
                           (take_word("REPEATABLE") && take_word("READ")) || take_word("SNAPSHOT");
        if (!known) return expected("SERIALIZABLE, REPEATABLE READ or READ COMMITTED");
      } else if (take_word("READ")) {
        const bool only = take_word("ONLY");
        if (!only && !take_word("WRITE")) return expected("ONLY or WRITE");
        read_only = only;
      } else if (take_word("NOT")) {
        if (!take_word("DEFERRABLE")) return expected("DEFERRABLE");
      } else if (!take_word("DEFERRABLE")) {
        return expected("ISOLATION LEVEL, READ ONLY or READ WRITE");
      }
      const bool comma = take_symbol(',');
      more = comma || !at_end();
    }
    return {};
  }

  Read begin() {
    skip_work();
    BeginTransaction out;
    MR_RETURN_IF_ERROR(modes(out.read_only));
    return out;
  }
  Read start() {
    if (!take_word("TRANSACTION")) return expected("TRANSACTION");
    BeginTransaction out;
    MR_RETURN_IF_ERROR(modes(out.read_only));
    return out;
  }
  Read end(bool commit) {
    skip_work();
    EndTransaction out{.commit = commit};
    if (take_word("AND")) {
      out.chain = !take_word("NO");
      if (!take_word("CHAIN")) return expected("CHAIN");
    }
    return out;
  }
  Read commit() {
    if (is_word("PREPARED")) return two_phases();
    return end(true);
  }
  Read rollback() {
    if (is_word("PREPARED")) return two_phases();
    skip_work();
    if (!take_word("TO")) return end(false);
    take_word("SAVEPOINT");
    MR_TRY(auto name, label());
    return SavepointStatement{SavepointStatement::Action::kRollbackTo, std::move(name)};
  }
  Read abort() { return end(false); }
  Read savepoint() {
    MR_TRY(auto name, label());
    return SavepointStatement{SavepointStatement::Action::kSet, std::move(name)};
  }
  Read release() {
    take_word("SAVEPOINT");
    MR_TRY(auto name, label());
    return SavepointStatement{SavepointStatement::Action::kRelease, std::move(name)};
  }
  Read two_phases() {
    return error(error_id::kUnsupportedStatement, place(),
                 "transactions in two phases are not supported");
  }

  // --- settings ---

  Read set() {
    bool local = false;
    if (take_word("SESSION")) {
      if (take_word("CHARACTERISTICS")) {
        if (!take_word("AS") || !take_word("TRANSACTION")) return expected("AS TRANSACTION");
        SetTransaction out{.session = true, .read_only = {}};
        MR_RETURN_IF_ERROR(modes(out.read_only));
        return out;
      }
      if (is_word("AUTHORIZATION")) return no_roles();
    } else {
      local = take_word("LOCAL");
    }
    if (is_word("ROLE")) return no_roles();
    if (take_word("TRANSACTION")) {
      SetTransaction out;
      MR_RETURN_IF_ERROR(modes(out.read_only));
      return out;
    }
    SetSetting out{.name = {}, .value = {}, .local = local};
    if (take_word("TIME")) {
      if (!take_word("ZONE")) return expected("ZONE");
      out.name = "TimeZone";
      if (take_word("LOCAL")) return out;
    } else if (take_word("NAMES")) {
      out.name = "client_encoding";
      if (at_end()) return out;
    } else {
      MR_TRY(out.name, setting_name());
      if (!take_symbol('=') && !take_word("TO")) return expected("= or TO");
    }
    if (take_word("DEFAULT")) return out;
    MR_TRY(out.value, values());
    return out;
  }
  Read no_roles() {
    return error(error_id::kUnsupportedStatement, place(),
                 "a session keeps the user that it was opened by", "connect as the other user");
  }
  Read show() {
    static constexpr auto kObjects = std::to_array<std::string_view>(
        {"STREAMS", "VIEWS", "TABLES", "USERS", "GRANTS", "CONNECTIONS", "MATERIALIZED"});
    for (const auto object : kObjects) {
      if (is_word(object)) return std::nullopt;
    }
    if (at_end()) return std::nullopt;
    if (take_word("ALL")) return ShowSetting{};
    if (take_word("TRANSACTION")) {
      if (!take_word("ISOLATION") || !take_word("LEVEL")) return expected("ISOLATION LEVEL");
      return ShowSetting{"transaction_isolation"};
    }
    if (take_word("TIME")) {
      if (!take_word("ZONE")) return expected("ZONE");
      return ShowSetting{"TimeZone"};
    }
    // A word that is misspelt stays an error of the statement that it was meant to be.
    MR_TRY(auto name, setting_name());
    return ShowSetting{std::move(name)};
  }
  Read reset() {
    if (take_word("ALL")) return DiscardAll{.settings_only = true};
    if (is_word("ROLE") || is_word("SESSION")) {
      at_ = tokens_.size();
      return NothingToDo{"RESET"};
    }
    SetSetting out;
    if (take_word("TIME")) {
      if (!take_word("ZONE")) return expected("ZONE");
      out.name = "TimeZone";
      return out;
    }
    MR_TRY(out.name, setting_name());
    return out;
  }
  Read discard() {
    if (take_word("ALL")) return DiscardAll{};
    for (const std::string_view word : {"PLANS", "TEMP", "TEMPORARY", "SEQUENCES"}) {
      if (take_word(word)) return NothingToDo{fmt::format("DISCARD {}", word)};
    }
    return expected("ALL, PLANS, TEMP or SEQUENCES");
  }
  Read unlisten() {
    if (!take_symbol('*')) MR_RETURN_IF_ERROR(label());
    return NothingToDo{"UNLISTEN"};
  }
  Read listen() {
    --at_;
    return error(error_id::kUnsupportedStatement, place(),
                 "LISTEN and NOTIFY are not statements of Millrace",
                 "changes of a view come by GET /v1/views/{view}/changes, or by MQTT");
  }

  Read refresh() {
    if (!take_word("MATERIALIZED") || !take_word("VIEW")) return expected("MATERIALIZED VIEW");
    take_word("CONCURRENTLY");
    RefreshView out;
    MR_TRY(out.name, object_name(/*made=*/false));
    if (take_word("WITH") && !take_word("DATA"))
      return expected("DATA", "a materialized view always has its rows");
    return out;
  }

  /// dbt-postgres drops the indices that it did not make: that of a view's key stays, and is told.
  Read drop() {
    if (!take_word("INDEX")) return std::nullopt;
    take_word("CONCURRENTLY");
    if (!take_word("IF") || !take_word("EXISTS"))
      return expected("IF EXISTS", "an index comes and goes with its view");
    MR_RETURN_IF_ERROR(object_name(/*made=*/false));
    if (!take_word("CASCADE")) take_word("RESTRICT");
    return NothingToDo{"DROP INDEX"};
  }

  /// "a.b", which an extension of PostgreSQL has, is a name, too.
  Result<std::string> setting_name() {
    MR_TRY(auto name, label());
    while (take_symbol('.')) {
      MR_TRY(const auto more, label());
      name += "." + more;
    }
    return name;
  }
  /// Words, numbers and texts, by commas.
  Result<std::string> values() {
    std::string out;
    do {
      std::string one;
      if (take_symbol('-')) one = "-";
      if (at_end() || here_kind(TokenKind::kSymbol)) return expected("a value");
      // A interval: SET TIME ZONE INTERVAL '+01:00'.
      if (is_word("INTERVAL")) ++at_;
      MR_TRY(const auto text, literal_text());
      one += text;
      if (!out.empty()) out += ", ";
      out += one;
    } while (take_symbol(','));
    return out;
  }

  // --- prepared statements and cursors ---

  Read prepare() {
    if (is_word("TRANSACTION")) return two_phases();
    PrepareStatement out;
    MR_TRY(out.name, label());
    if (take_symbol('(')) {
      do {
        MR_TRY(auto type, parameter_type());
        out.parameters.push_back(std::move(type));
      } while (take_symbol(','));
      MR_RETURN_IF_ERROR(expect_symbol(')'));
    }
    if (!take_word("AS")) return expected("AS");
    MR_TRY(out.text, rest());
    return out;
  }
  Result<std::optional<Type>> parameter_type() {
    const TextPlace where = place();
    std::string text;
    for (std::size_t depth = 0; !at_end(); ++at_) {
      if (depth == 0 && (is_symbol(',') || is_symbol(')'))) break;
      if (is_symbol('(')) ++depth;
      if (is_symbol(')')) --depth;
      text += (text.empty() ? "" : " ") + std::string(here());
    }
    if (same_name(text, "unknown")) return std::optional<Type>();
    auto type = Type::parse(text);
    if (!type) return std::unexpected(std::move(type).error().at(where));
    return std::optional<Type>(std::move(*type));
  }
  Read execute() {
    ExecuteStatement out;
    MR_TRY(out.name, label());
    if (!take_symbol('(')) return out;
    do {
      if (take_word("NULL")) {
        out.values.emplace_back();
        continue;
      }
      const bool negative = take_symbol('-');
      if (negative && !here_kind(TokenKind::kNumber)) return expected("a number");
      const bool word = here_kind(TokenKind::kWord);
      if (at_end() || here_kind(TokenKind::kSymbol) || here_kind(TokenKind::kQuotedIdentifier) ||
          (word && !is_word("TRUE") && !is_word("FALSE"))) {
        return expected("a constant", "EXECUTE takes texts, numbers, TRUE, FALSE and NULL");
      }
      MR_TRY(auto text, literal_text());
      out.values.emplace_back((negative ? "-" : "") + text);
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
    return out;
  }
  Read deallocate() {
    take_word("PREPARE");
    if (take_word("ALL")) return Deallocate{};
    MR_TRY(auto name, label());
    return Deallocate{std::move(name)};
  }
  Read declare() {
    DeclareCursor out;
    MR_TRY(out.name, label());
    while (!at_end() && !is_word("CURSOR")) {
      const bool known = take_word("BINARY") || take_word("INSENSITIVE") ||
                         take_word("ASENSITIVE") || take_word("NO") || take_word("SCROLL");
      if (!known) return expected("CURSOR");
    }
    if (!take_word("CURSOR")) return expected("CURSOR");
    if (is_word("WITH") || is_word("WITHOUT")) {
      out.hold = take_word("WITH");
      if (!out.hold) ++at_;
      if (!take_word("HOLD")) return expected("HOLD");
    }
    if (!take_word("FOR")) return expected("FOR");
    MR_TRY(out.text, rest());
    return out;
  }
  Read fetch() { return fetch_or_move(false); }
  Read move() { return fetch_or_move(true); }
  Read fetch_or_move(bool move) {
    using From = FetchStatement::From;
    FetchStatement out;
    out.move = move;
    const auto set = [&](From from, std::int64_t count) {
      out.from = from;
      out.count = count;
    };
    if (take_word("NEXT")) {
      set(From::kForward, 1);
    } else if (take_word("PRIOR")) {
      set(From::kBackward, 1);
    } else if (take_word("FIRST")) {
      set(From::kAbsolute, 1);
    } else if (take_word("LAST")) {
      set(From::kAbsolute, -1);
    } else if (is_word("ABSOLUTE") || is_word("RELATIVE")) {
      const bool absolute = take_word("ABSOLUTE") || !take_word("RELATIVE");
      MR_TRY(const auto count, whole_number());
      set(absolute ? From::kAbsolute : From::kRelative, count);
    } else {
      const bool backward = take_word("BACKWARD");
      if (!backward) take_word("FORWARD");
      set(backward ? From::kBackward : From::kForward, 1);
      if (take_word("ALL")) {
        out.all = true;
      } else if (here_kind(TokenKind::kNumber) || is_symbol('-')) {
        MR_TRY(out.count, whole_number());
      }
    }
    if (!take_word("FROM")) take_word("IN");
    MR_TRY(out.name, label());
    return out;
  }
  Read close() {
    if (take_word("ALL")) return CloseCursor{};
    MR_TRY(auto name, label());
    return CloseCursor{std::move(name)};
  }

  // --- EXPLAIN, COPY ---

  Read explain() {
    const auto refuse = [&] {
      return error(error_id::kUnsupportedStatement, place(),
                   "EXPLAIN says what a SELECT reads, and does not run it", "EXPLAIN SELECT ...");
    };
    if (is_word("ANALYZE") || is_word("ANALYSE")) return refuse();
    take_word("VERBOSE");
    if (is_symbol('(') && at_ + 1 < tokens_.size() &&
        !same_name(text_of(tokens_[at_ + 1]), "SELECT") &&
        !same_name(text_of(tokens_[at_ + 1]), "WITH")) {
      return refuse();
    }
    MR_TRY(auto text, rest());
    return Explain{std::move(text)};
  }

  Read copy() {
    Copy out;
    if (is_symbol('(')) {
      const std::size_t begin = ++at_;
      for (std::size_t depth = 0; !at_end(); ++at_) {
        if (is_symbol('(')) ++depth;
        if (is_symbol(')') && depth-- == 0) break;
      }
      if (at_end() || at_ == begin) return expected("')'");
      out.query = std::string(
          text_.substr(tokens_[begin].begin, tokens_[at_ - 1].end - tokens_[begin].begin));
      ++at_;
    } else {
      if (is_word("BINARY")) return expected("a name", "COPY name TO STDOUT (FORMAT binary)");
      MR_TRY(out.relation, object_name(/*made=*/false));
      if (take_symbol('(')) {
        do {
          MR_TRY(auto name, label());
          out.columns.push_back(std::move(name));
        } while (take_symbol(','));
        MR_RETURN_IF_ERROR(expect_symbol(')'));
      }
    }
    out.in = take_word("FROM");
    if (!out.in && !take_word("TO")) return expected("FROM or TO");
    if (out.in && out.relation.empty()) return expected("TO");
    if (!take_word(out.in ? "STDIN" : "STDOUT")) {
      return expected(out.in ? "STDIN" : "STDOUT", "files and programs of the server are not read");
    }
    MR_RETURN_IF_ERROR(copy_options(out));
    return out;
  }

  Status copy_options(Copy& out) {
    take_word("WITH");
    const bool modern = take_symbol('(');
    while (!at_end() && !is_symbol(')')) {
      MR_RETURN_IF_ERROR(copy_option(out, modern));
      if (modern && !take_symbol(',')) break;
    }
    return modern ? expect_symbol(')') : Status();
  }

  Status copy_option(Copy& out, bool modern) {
    const auto text = [&](std::optional<std::string>& to) -> Status {
      if (!modern) take_word("AS");
      if (!here_kind(TokenKind::kString)) return expected("a text in quotes");
      MR_TRY(to, literal_text());
      return {};
    };
    if (!modern && take_word("CSV")) {
      out.format = Copy::Format::kCsv;
    } else if (!modern && take_word("BINARY")) {
      out.format = Copy::Format::kBinary;
    } else if (modern && take_word("FORMAT")) {
      MR_TRY(const auto format, literal_text());
      if (same_name(format, "csv")) {
        out.format = Copy::Format::kCsv;
      } else if (same_name(format, "binary")) {
        out.format = Copy::Format::kBinary;
      } else if (!same_name(format, "text")) {
        return syntax_error(fmt::format("the format '{}' of COPY is not known", shortened(format)),
                            "the formats are text, csv and binary");
      }
    } else if (take_word("HEADER")) {
      out.header = true;
      const bool said = modern && !is_symbol(',') && !is_symbol(')');
      if (said && (take_word("FALSE") || take_word("OFF"))) {
        out.header = false;
      } else if (said && !take_word("TRUE") && !take_word("ON")) {
        return expected("TRUE or FALSE");
      }
    } else if (take_word("DELIMITER")) {
      return text(out.delimiter);
    } else if (take_word("NULL")) {
      return text(out.null);
    } else if (take_word("QUOTE")) {
      return text(out.quote);
    } else if (take_word("ESCAPE")) {
      return text(out.escape);
    } else if (take_word("ENCODING")) {
      const TextPlace where = place();
      MR_TRY(const auto encoding, literal_text());
      if (!same_name(encoding, "UTF8") && !same_name(encoding, "UTF-8"))
        return error(error_id::kSyntax, where, "texts are UTF8 only");
    } else {
      return expected("an option of COPY",
                      "the options are FORMAT, DELIMITER, NULL, HEADER, QUOTE, ESCAPE, ENCODING");
    }
    return {};
  }

  // --- SUBSCRIBE ---

  Read subscribe() {
    Subscribe out;
    take_word("TO");
    const std::size_t begin = at_;
    const std::size_t end = options_of_subscribe();
    if (begin == end) return expected("a SELECT", "SUBSCRIBE TO SELECT * FROM view");
    out.text = select_of_subscribe(begin, end);
    at_ = end;
    if (at_end()) return out;
    at_ += 2;  // WITH (
    do {
      MR_RETURN_IF_ERROR(subscribe_option(out));
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
    return out;
  }

  /// Where WITH ( stands outside of all brackets, which no SELECT has; or the end.
  [[nodiscard]] std::size_t options_of_subscribe() const {
    std::size_t depth = 0;
    for (std::size_t i = at_; i + 1 < tokens_.size(); ++i) {
      const auto token = text_of(tokens_[i]);
      if (token == "(") ++depth;
      if (token == ")" && depth != 0) --depth;
      if (depth == 0 && tokens_[i].kind == TokenKind::kWord && same_name(token, "WITH") &&
          text_of(tokens_[i + 1]) == "(") {
        return i;
      }
    }
    return tokens_.size();
  }

  /// Without the brackets around it; a name alone stands for all of that view.
  [[nodiscard]] std::string select_of_subscribe(std::size_t begin, std::size_t end) const {
    const bool is_name = end - begin == 1 && (tokens_[begin].kind == TokenKind::kWord ||
                                              tokens_[begin].kind == TokenKind::kQuotedIdentifier);
    if (is_name) return "SELECT * FROM " + std::string(text_of(tokens_[begin]));
    if (text_of(tokens_[begin]) == "(" && text_of(tokens_[end - 1]) == ")") {
      ++begin;
      --end;
    }
    if (begin == end) return {};
    std::string out(text_.substr(0, tokens_[begin].begin));
    for (char& c : out) {
      // Of a character of several bytes one blank is left.
      if (c != '\n') c = (static_cast<unsigned char>(c) & 0xc0) == 0x80 ? '\0' : ' ';
    }
    std::erase(out, '\0');
    out += text_.substr(tokens_[begin].begin, tokens_[end - 1].end - tokens_[begin].begin);
    return out;
  }

  Status subscribe_option(Subscribe& out) {
    if (take_word("SNAPSHOT")) {
      MR_RETURN_IF_ERROR(expect_symbol('='));
      out.snapshot = take_word("TRUE") || take_word("ON");
      if (!out.snapshot && !take_word("FALSE") && !take_word("OFF"))
        return expected("TRUE or FALSE");
      return {};
    }
    if (take_word("POSITION")) {
      MR_RETURN_IF_ERROR(expect_symbol('='));
      if (!here_kind(TokenKind::kString)) return expected("a text in quotes");
      MR_TRY(out.position, literal_text());
      return {};
    }
    return expected("an option of SUBSCRIBE", "the options are SNAPSHOT and POSITION");
  }

  // --- parts ---

  /// A name that is compared without case where it stands without quotes.
  Result<std::string> label() {
    if (here_kind(TokenKind::kWord)) return lower_name(text_of(tokens_[at_++]));
    if (here_kind(TokenKind::kQuotedIdentifier)) return unquoted(text_of(tokens_[at_++]));
    return expected("a name");
  }
  /// What a constant says: of a text in quotes its characters, of others what stands there.
  Result<std::string> literal_text() {
    if (at_end() || here_kind(TokenKind::kSymbol)) return expected("a value");
    const std::string_view token = here();
    const TextPlace where = place();
    ++at_;
    if (tokens_[at_ - 1].kind != TokenKind::kString || token.front() == '\'')
      return unquoted(token);
    if (token.front() == '$') {
      const std::size_t tag = token.find('$', 1) + 1;
      return std::string(token.substr(tag, token.size() - 2 * tag));
    }
    return escaped(token.substr(2, token.size() - 3), where);
  }
  /// E'\t': as far as single characters go.
  Result<std::string> escaped(std::string_view inside, TextPlace where) const {
    std::string out;
    for (std::size_t i = 0; i < inside.size(); ++i) {
      if (inside[i] == '\'') {
        ++i;
        out += '\'';
      } else if (inside[i] != '\\') {
        out += inside[i];
      } else {
        const char c = ++i < inside.size() ? inside[i] : '\0';
        constexpr std::string_view kNames = "btnfr";
        constexpr std::string_view kMeant = "\b\t\n\f\r";
        const auto known = kNames.find(c);
        if (known != std::string_view::npos) {
          out += kMeant[known];
        } else if (c == '\\' || c == '\'') {
          out += c;
        } else {
          return error(error_id::kSyntax, where,
                       "of escapes \\b \\t \\n \\f \\r \\\\ and \\' are understood here");
        }
      }
    }
    return out;
  }
  Result<std::int64_t> whole_number() {
    const bool negative = take_symbol('-');
    std::int64_t out = 0;
    const std::string_view digits = here();
    const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (digits.empty() || code != std::errc() || stop != digits.data() + digits.size())
      return expected("a whole number");
    ++at_;
    return negative ? -out : out;
  }
  Result<std::string> rest() {
    if (at_end()) return expected("a statement");
    const std::size_t begin = tokens_[at_].begin;
    at_ = tokens_.size();
    return std::string(text_.substr(begin, tokens_.back().end - begin));
  }
};

const std::array<std::pair<std::string_view, SessionParser::Head>, 27> SessionParser::kHeads = {{
    {"BEGIN", &SessionParser::begin},
    {"START", &SessionParser::start},
    {"COMMIT", &SessionParser::commit},
    {"END", &SessionParser::commit},
    {"ROLLBACK", &SessionParser::rollback},
    {"ABORT", &SessionParser::abort},
    {"SAVEPOINT", &SessionParser::savepoint},
    {"RELEASE", &SessionParser::release},
    {"SET", &SessionParser::set},
    {"SHOW", &SessionParser::show},
    {"RESET", &SessionParser::reset},
    {"DISCARD", &SessionParser::discard},
    {"LISTEN", &SessionParser::listen},
    {"NOTIFY", &SessionParser::listen},
    {"UNLISTEN", &SessionParser::unlisten},
    {"REFRESH", &SessionParser::refresh},
    {"DROP", &SessionParser::drop},
    {"PREPARE", &SessionParser::prepare},
    {"EXECUTE", &SessionParser::execute},
    {"DEALLOCATE", &SessionParser::deallocate},
    {"DECLARE", &SessionParser::declare},
    {"FETCH", &SessionParser::fetch},
    {"MOVE", &SessionParser::move},
    {"CLOSE", &SessionParser::close},
    {"EXPLAIN", &SessionParser::explain},
    {"COPY", &SessionParser::copy},
    {"SUBSCRIBE", &SessionParser::subscribe},
}};

}  // namespace

Read parse_session_statement(std::string_view text) {
  MR_TRY(auto tokens, tokenize(text));
  while (!tokens.empty() && text.substr(tokens.back().begin, 1) == ";") tokens.pop_back();
  return SessionParser(text, tokens).parse();
}

}  // namespace millrace::sql
