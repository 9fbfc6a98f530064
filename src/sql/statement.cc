// A parser by hand over the tokens of tokens.h: a method for each head. Places are those of the
// text that was given, so an error points into what the user wrote.
#include "sql/statement.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/ascii_case.h"
#include "format/column_default.h"
#include "model/column_batch.h"
#include "model/topic_rule.h"
#include "sql/access_statement.h"
#include "sql/connection_statement.h"
#include "sql/duration.h"
#include "sql/outside_statement.h"
#include "sql/statement_cursor.h"
#include "sql/stream_alteration.h"
#include "sql/suggestion.h"
#include "sql/table_statement.h"

namespace millrace::sql {
namespace {

constexpr std::string_view kStatements =
    "CREATE STREAM, CREATE MATERIALIZED VIEW, CREATE VIEW, DROP STREAM, DROP VIEW, "
    "DROP MATERIALIZED VIEW, ALTER STREAM, REPLAY QUARANTINE, SHOW STREAMS, SHOW VIEWS, DESCRIBE, "
    "SELECT, "
    "CREATE TABLE, INSERT, UPDATE, DELETE, TRUNCATE, DROP TABLE, SHOW TABLES, CREATE USER, ALTER "
    "USER, "
    "DROP USER, CREATE TOKEN, DROP TOKEN, GRANT, REVOKE, SHOW USERS, SHOW GRANTS, "
    "CREATE CONNECTION, DROP CONNECTION, PAUSE CONNECTION, RESUME CONNECTION, SHOW CONNECTIONS, "
    "CREATE SINK, DROP SINK, PAUSE SINK, RESUME SINK, SHOW SINKS";

constexpr auto kFirstWords = std::to_array<std::string_view>(
    {"CREATE", "ALTER", "DROP", "REPLAY", "SHOW", "DESCRIBE", "SELECT", "WITH", "FROM", "VALUES",
     "TABLE", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "GRANT", "REVOKE", "PAUSE", "RESUME"});

constexpr auto kStreamOptions = std::to_array<std::string_view>(
    {"time", "key", "partitions", "dedup", "dedup_within", "unknown_fields", "mqtt"});
constexpr std::string_view kStreamOptionsShown =
    "time = column, key = column, partitions = n, dedup = column, dedup_within = '7 days', "
    "unknown_fields = 'ignore', mqtt = 'site/{site}/reading'";

class Parser : private StatementCursor {
 public:
  Parser(std::string_view text, std::span<const Token> tokens) : StatementCursor(text, tokens) {}

  Result<Statement> parse() {
    if (at_end()) {
      return syntax_error("there is no statement in the text");
    }
    if (is_symbol('(')) return select();
    const std::string word = here_kind(TokenKind::kWord) ? upper(here()) : std::string();
    if (word == "SELECT" || word == "WITH" || word == "FROM" || word == "VALUES" ||
        word == "TABLE") {
      return select();
    }
    if (word == "CREATE") return create();
    if (word == "DROP") return drop();
    if (word == "REPLAY") return replay();
    if (word == "ALTER") return alter();
    if (word == "GRANT" || word == "REVOKE") {
      ++at_;
      return AccessParser(*this).grant(/*revoke=*/word == "REVOKE");
    }
    if (word == "PAUSE" || word == "RESUME") {
      ++at_;
      return ConnectionParser(*this).pause(/*paused=*/word == "PAUSE");
    }
    if (word == "SHOW") return show();
    if (word == "DESCRIBE" || word == "DESC") return describe();
    if (word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "TRUNCATE")
      return TableParser(*this).change();
    if (word.empty()) return unsupported(shortened(here()), {});
    return unsupported(shortened(word), closest(word, kFirstWords));
  }

 private:
  [[nodiscard]] std::unexpected<Error> unsupported(std::string_view statement,
                                                   std::string_view meant) const {
    return error(error_id::kUnsupportedStatement, place(),
                 fmt::format("{} is not a statement of Millrace", statement),
                 meant.empty()
                     ? fmt::format("the statements are {}", kStatements)
                     : fmt::format("did you mean {}? The statements are {}", meant, kStatements));
  }

  // --- statements ---

  Result<Statement> select() { return Select{.text = sql()}; }

  Result<Statement> create() {
    ++at_;
    bool or_replace = false;
    if (is_word("OR")) {
      const TextPlace where = place();
      ++at_;
      if (!take_word("REPLACE")) return expected("REPLACE");
      or_replace = true;
      if (is_word("STREAM")) {
        return error(error_id::kUnsupportedStatement, where,
                     "CREATE OR REPLACE STREAM is not a statement of Millrace: a stream keeps its "
                     "events",
                     "DROP the stream and CREATE it again, or CREATE it under another name");
      }
    }
    if (take_word("STREAM")) return create_stream();
    if (take_word("MATERIALIZED")) {
      if (!take_word("VIEW")) return expected("VIEW");
      return create_view(/*materialized=*/true, or_replace);
    }
    if (take_word("VIEW")) return create_view(/*materialized=*/false, or_replace);
    if (take_word("TABLE")) return TableParser(*this).create(or_replace);
    if (!or_replace && take_word("USER")) return AccessParser(*this).user(/*alter=*/false);
    if (!or_replace && take_word("TOKEN")) return AccessParser(*this).create_token();
    if (!or_replace && take_word("CONNECTION")) return ConnectionParser(*this).create();
    if (!or_replace && take_word("SINK")) return SinkParser(*this).create();
    if (at_end())
      return expected("STREAM, TABLE, MATERIALIZED VIEW, VIEW, USER, TOKEN, CONNECTION or SINK");
    static constexpr auto kKinds = std::to_array<std::string_view>(
        {"STREAM", "MATERIALIZED", "VIEW", "TABLE", "USER", "TOKEN", "CONNECTION", "SINK"});
    const std::string word = shortened(upper(here()));
    std::string meant(closest(word, kKinds));
    if (meant == "MATERIALIZED") meant = "MATERIALIZED VIEW";
    return unsupported(fmt::format("CREATE {}", word),
                       meant.empty() ? meant : fmt::format("CREATE {}", meant));
  }

  Result<Statement> create_stream() {
    CreateStream statement;
    MR_TRY(statement.if_not_exists, if_not_exists());
    MR_TRY(statement.definition.name, object_name(/*made=*/true));
    StreamDefinition& stream = statement.definition;
    if (is_word("WITH") || is_word("AS")) return derived_stream(std::move(statement));
    if (!is_symbol('(')) {
      return expected("'('",
                      "CREATE STREAM name (column type, ...) [WITH (time = column)], or CREATE "
                      "STREAM name [WITH (...)] AS SELECT ...");
    }
    ++at_;
    std::set<std::string> seen;
    do {
      if (is_symbol(')')) {
        return stream.columns.empty() ? error(error_id::kSyntax, place(), "a stream needs a column")
                                      : expected("a column");
      }
      const TextPlace where = place();
      MR_TRY(Column column, column_definition());
      if (!seen.insert(lower_name(column.name)).second) {
        return error(error_id::kBadName, where,
                     fmt::format("the column '{}' is there twice", column.name),
                     "names of columns are compared without case");
      }
      if (stream.columns.size() == kColumnsMax) {
        return error(error_id::kBadName, where,
                     fmt::format("a stream has at most {} columns", kColumnsMax));
      }
      stream.columns.push_back(std::move(column));
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
    if (take_word("WITH")) MR_RETURN_IF_ERROR(stream_options(stream));
    MR_RETURN_IF_ERROR(expect_end());
    stream.sql = sql();
    return statement;
  }

  /// CREATE STREAM name [WITH (…)] AS SELECT …
  Result<Statement> derived_stream(CreateStream statement) {
    if (take_word("WITH")) {
      const std::size_t begin = at_;
      MR_RETURN_IF_ERROR(expect_symbol('('));
      while (!at_end() && !is_symbol(')')) ++at_;
      MR_RETURN_IF_ERROR(expect_symbol(')'));
      statement.options = std::string(
          text_.substr(tokens_[begin].begin, tokens_[at_ - 1].end - tokens_[begin].begin));
    }
    if (!take_word("AS")) return expected("AS", "CREATE STREAM name [WITH (...)] AS SELECT ...");
    if (at_end()) return expected("SELECT");
    statement.select_place = place();
    statement.select = without_schemas(at_);
    statement.definition.sql = sql();
    return statement;
  }

 public:
  Status options_of(StreamDefinition& stream) {
    MR_RETURN_IF_ERROR(stream_options(stream));
    return expect_end();
  }

 private:
  Result<Column> column_definition() {
    if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier)) {
      return expected("a column name");
    }
    Column column{.name = unquoted(here()), .type = {}};
    if (auto good = check_column_name(column.name); !good) {
      return std::unexpected(std::move(good).error().at(place()));
    }
    ++at_;
    const TextPlace where = place();
    std::string type;
    std::size_t depth = 0;
    while (!at_end()) {
      if (depth == 0 && (is_symbol(',') || is_symbol(')') || is_word("DEFAULT"))) break;
      MR_RETURN_IF_ERROR(refuse_constraint(column.name));
      if (is_symbol('(')) ++depth;
      if (is_symbol(')')) --depth;
      if (!type.empty()) type.push_back(' ');
      type += here();
      ++at_;
    }
    if (type.empty()) return expected(fmt::format("the type of column '{}'", column.name));
    auto parsed = Type::parse(type);
    if (!parsed) {
      return std::unexpected(
          std::move(parsed).error().within("column '{}'", column.name).at(where));
    }
    column.type = *parsed;
    if (column.type.is_nested() || column.type.kind == TypeKind::kInterval) {
      return error(error_id::kBadType, where,
                   fmt::format("column '{}': a stream has no column of type {}", column.name,
                               column.type.sql()),
                   column.type.is_nested()
                       ? "use JSON, which keeps the value as it came, and take it apart in the view"
                       : "use VARCHAR, and CAST(column AS INTERVAL) in the view");
    }
    if (is_word("DEFAULT")) MR_RETURN_IF_ERROR(default_of(column));
    return column;
  }

  /// DEFAULT and a constant; it is kept as the token that an event would have.
  Status default_of(Column& column) {
    ++at_;
    const TextPlace where = place();
    const bool negative = take_symbol('-');
    if (here_kind(TokenKind::kNumber)) {
      column.default_json = (negative ? "-" : "") + std::string(here());
    } else if (!negative && here_kind(TokenKind::kString) && here().front() == '\'') {
      column.default_json.emplace();
      append_json_string(*column.default_json, unquoted(here()));
    } else if (!negative && (is_word("TRUE") || is_word("FALSE"))) {
      column.default_json = lower_name(here());
    } else if (negative || !is_word("NULL")) {
      return expected("a constant (a number, a text in quotes, TRUE, FALSE or NULL)");
    }
    ++at_;
    if (column.default_json &&
        (column.type.kind == TypeKind::kJson || column.type.kind == TypeKind::kBlob)) {
      return error(
          error_id::kBadOption, where,
          fmt::format("column '{}': a {} takes no DEFAULT", column.name, column.type.sql()),
          "use coalesce(column, value) in the view");
    }
    if (auto value = format::default_value(column); !value)
      return std::unexpected(std::move(value).error().at(where));
    return {};
  }

  struct UnknownOption {
    UnknownFields fields = UnknownFields::kIgnore;
    std::string column;
  };
  Result<UnknownOption> unknown_option() {
    const TextPlace where = place();
    if (!here_kind(TokenKind::kString) && !here_kind(TokenKind::kWord))
      return expected("'refuse', 'ignore' or 'keep:column'");
    const std::string text = unquoted(here());
    ++at_;
    if (same_name(text, "ignore")) return UnknownOption{};
    if (same_name(text, "refuse")) return UnknownOption{UnknownFields::kRefuse, {}};
    if (text.size() > 5 && same_name(std::string_view(text).substr(0, 5), "keep:"))
      return UnknownOption{UnknownFields::kKeep, text.substr(5)};
    return error(
        error_id::kBadOption, where,
        fmt::format("'{}' is no way to treat unknown fields", shortened(text)),
        "unknown_fields is 'refuse', 'ignore', or 'keep:column' with a column of type JSON");
  }

  Result<Statement> alter() {
    ++at_;
    if (take_word("USER")) return AccessParser(*this).user(/*alter=*/true);
    if (!take_word("STREAM")) {
      return expected("STREAM", "views are changed by CREATE OR REPLACE");
    }
    AlterStream statement;
    statement.sql = sql();
    MR_TRY(statement.name, object_name(/*made=*/true));
    const auto column = [&]() -> Result<std::string> {
      take_word("COLUMN");
      if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier))
        return expected("a column name");
      statement.column_place = place();
      std::string name = unquoted(here());
      ++at_;
      return name;
    };
    if (take_word("ADD")) {
      take_word("COLUMN");
      statement.action = AlterStream::Action::kAdd;
      statement.column_place = place();
      MR_TRY(statement.column, column_definition());
    } else if (take_word("DROP")) {
      statement.action = AlterStream::Action::kDrop;
      MR_TRY(statement.column.name, column());
    } else if (take_word("RENAME")) {
      statement.action = AlterStream::Action::kRename;
      MR_TRY(statement.column.name, column());
      if (!take_word("TO")) return expected("TO and the new name");
      const TextPlace where = place();
      if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier))
        return expected("the new name");
      statement.new_name = unquoted(here());
      if (auto good = check_column_name(statement.new_name); !good)
        return std::unexpected(std::move(good).error().at(where));
      ++at_;
    } else if (take_word("ALTER")) {
      statement.action = AlterStream::Action::kType;
      MR_TRY(statement.column.name, column());
      if (take_word("SET") && !take_word("DATA")) return expected("DATA TYPE");
      if (!take_word("TYPE")) return expected("TYPE and the new type");
      const TextPlace where = place();
      std::string type;
      for (; !at_end(); ++at_) type += (type.empty() ? "" : " ") + std::string(here());
      if (type.empty()) return expected("the new type");
      auto parsed = Type::parse(type);
      if (!parsed) return std::unexpected(std::move(parsed).error().at(where));
      statement.column.type = *parsed;
    } else if (take_word("SET")) {
      statement.action = AlterStream::Action::kSet;
      MR_RETURN_IF_ERROR(expect_symbol('('));
      if (!take_word("unknown_fields")) {
        return expected("unknown_fields",
                        "time, key, partitions and dedup stay as the stream was created");
      }
      MR_RETURN_IF_ERROR(expect_symbol('='));
      statement.column_place = place();
      MR_TRY(auto option, unknown_option());
      statement.unknown_fields = option.fields;
      statement.column.name = std::move(option.column);
      MR_RETURN_IF_ERROR(expect_symbol(')'));
    } else {
      return expected("ADD, DROP, RENAME, ALTER or SET");
    }
    MR_RETURN_IF_ERROR(expect_end());
    return statement;
  }

  Status refuse_constraint(std::string_view column) const {
    struct Constraint {
      std::string_view word;
      std::string_view hint;
    };
    static constexpr auto kConstraints = std::to_array<Constraint>({
        {"NOT",
         "an event without this field is kept as it came: filter in the view with "
         "WHERE column IS NOT NULL"},
        {"NULL", "every column takes NULL: leave the word out"},
        {"PRIMARY",
         "a stream is append-only: name the column that spreads events over partitions by "
         "WITH (key = column)"},
        {"UNIQUE", "a stream is append-only and keeps every event"},
        {"CHECK", "filter in the view with WHERE"},
        {"REFERENCES", "join in a view"},
        {"GENERATED", "compute it in the view"},
        {"COLLATE", "compare with lower(column) in the view"},
    });
    for (const Constraint& constraint : kConstraints) {
      if (!is_word(constraint.word)) continue;
      const bool pair = constraint.word == "NOT" || constraint.word == "PRIMARY";
      return error(
          error_id::kSyntax, place(),
          fmt::format("column '{}': columns of a stream take no {}", column,
                      !pair ? std::string(constraint.word)
                            : std::string(constraint.word == "NOT" ? "NOT NULL" : "PRIMARY KEY")),
          std::string(constraint.hint));
    }
    return {};
  }

  Status stream_options(StreamDefinition& stream) {
    MR_RETURN_IF_ERROR(expect_symbol('('));
    std::set<std::string> seen;
    TextPlace within_place;
    do {
      if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier)) {
        return expected(fmt::format("an option ({})", kStreamOptionsShown));
      }
      const TextPlace where = place();
      const std::string option = lower_name(unquoted(here()));
      if (std::ranges::find(kStreamOptions, option) == kStreamOptions.end()) {
        const std::string_view meant = closest(option, kStreamOptions);
        return error(error_id::kBadOption, where,
                     fmt::format("'{}' is not an option of a stream", shortened(option)),
                     meant.empty() ? fmt::format("the options are {}", kStreamOptionsShown)
                                   : fmt::format("did you mean {}? The options are {}", meant,
                                                 kStreamOptionsShown));
      }
      if (!seen.insert(option).second) {
        return error(error_id::kBadOption, where,
                     fmt::format("the option {} is there twice", option));
      }
      ++at_;
      MR_RETURN_IF_ERROR(expect_symbol('='));
      if (option == "partitions") {
        MR_TRY(stream.partitions, partitions());
      } else if (option == "key") {
        MR_TRY(stream.key_column, column_option(stream, option));
      } else if (option == "dedup") {
        const TextPlace value_place = place();
        MR_TRY(stream.dedup_column, column_option(stream, option));
        MR_RETURN_IF_ERROR(check_dedup_type(stream.columns[*stream.dedup_column], value_place));
      } else if (option == "unknown_fields") {
        const TextPlace value_place = place();
        MR_TRY(const auto unknown, unknown_option());
        stream.unknown_fields = unknown.fields;
        if (unknown.fields == UnknownFields::kKeep) {
          AlterStream set{.name = stream.name,
                          .action = AlterStream::Action::kSet,
                          .column = {.name = unknown.column, .type = {}},
                          .column_place = value_place,
                          .new_name = {},
                          .unknown_fields = unknown.fields,
                          .sql = {}};
          MR_TRY(const auto kept, altered(stream, set));
          stream.unknown_column = kept.unknown_column;
        }
      } else if (option == "mqtt") {
        MR_TRY(stream.mqtt, topic_option(stream));
      } else if (option == "dedup_within") {
        within_place = where;
        MR_TRY(stream.dedup_within_us, duration());
      } else {
        const TextPlace value_place = place();
        MR_TRY(stream.time_column, column_option(stream, option));
        MR_RETURN_IF_ERROR(check_time_type(stream.columns[*stream.time_column], value_place));
      }
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
    if (!stream.dedup_within_us) return {};
    if (!stream.dedup_column) {
      return error(error_id::kBadOption, within_place,
                   "dedup_within says how long the values of the dedup column are remembered, and "
                   "there is none",
                   "name it: dedup = column");
    }
    if (stream.time_column && stream.columns[*stream.time_column].type.kind == TypeKind::kBigInt) {
      return error(error_id::kBadOption, within_place,
                   fmt::format("dedup_within counts in event time, and the time column '{}' is a "
                               "BIGINT, whose unit is not known",
                               stream.columns[*stream.time_column].name),
                   "make it a TIMESTAMP");
    }
    return {};
  }

  Result<std::int64_t> duration() {
    if (!here_kind(TokenKind::kString)) return expected("a length of time, as '7 days',");
    auto parsed = parse_duration(unquoted(here()));
    if (!parsed) return std::unexpected(std::move(parsed).error().at(place()));
    ++at_;
    return parsed;
  }

  Result<std::string> topic_option(const StreamDefinition& stream) {
    if (!here_kind(TokenKind::kString)) return expected("a topic, as 'site/{site}/reading',");
    const TextPlace where = place();
    const std::string text = unquoted(here());
    auto rule = TopicRule::parse(text);
    if (!rule) return std::unexpected(std::move(rule).error().at(where));
    for (const auto& level : rule->levels) {
      if (level.kind != TopicRule::Kind::kColumn || stream.find_column(level.text)) continue;
      std::vector<std::string_view> names;
      for (const auto& column : stream.columns) names.push_back(column.name);
      const std::string_view meant = closest(level.text, names);
      return error(error_id::kBadOption, where,
                   fmt::format("option mqtt: the stream {} has no column '{}'", stream.name,
                               shortened(level.text)),
                   meant.empty() ? std::string() : fmt::format("did you mean '{}'?", meant));
    }
    ++at_;
    return text;
  }

  static Status check_dedup_type(const Column& column, TextPlace where) {
    if (column.type.kind != TypeKind::kJson) return {};
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kBadOption),
              .message = fmt::format("option dedup: column '{}' is {}, and one JSON value can be "
                                     "written in many ways",
                                     column.name, column.type.sql()),
              .hint = "use a column with an id of the event: VARCHAR, UUID or BIGINT",
              .place = where});
  }

  Result<std::uint32_t> partitions() {
    std::uint32_t number = 0;
    const std::string_view digits = here();
    const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (!here_kind(TokenKind::kNumber) || code != std::errc() ||
        stop != digits.data() + digits.size() || number < 1 || number > kPartitionsMax) {
      return error(error_id::kBadOption, place(),
                   fmt::format("partitions is a number from 1 to {}", kPartitionsMax));
    }
    ++at_;
    return number;
  }

  Result<std::uint32_t> column_option(const StreamDefinition& stream, std::string_view option) {
    if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier) &&
        !(here_kind(TokenKind::kString) && here().front() == '\'')) {
      return expected(fmt::format("the column of the option {}", option));
    }
    const std::string name = unquoted(here());
    std::vector<std::string_view> names;
    for (std::uint32_t i = 0; i < stream.columns.size(); ++i) {
      if (same_name(stream.columns[i].name, name)) {
        ++at_;
        return i;
      }
      names.push_back(stream.columns[i].name);
    }
    const std::string_view meant = closest(name, names);
    return error(error_id::kBadOption, place(),
                 fmt::format("option {}: the stream {} has no column '{}'", option, stream.name,
                             shortened(name)),
                 meant.empty() ? std::string() : fmt::format("did you mean '{}'?", meant));
  }

  static Status check_time_type(const Column& column, TextPlace where) {
    switch (column.type.kind) {
      case TypeKind::kTimestamp:
      case TypeKind::kTimestampTz:
      case TypeKind::kDate:
      case TypeKind::kBigInt:
        return {};
      default:
        break;
    }
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kBadOption),
              .message = fmt::format("option time: column '{}' is {}, which is no event time",
                                     column.name, column.type.sql()),
              .hint = "an event time is TIMESTAMP, TIMESTAMP WITH TIME ZONE, DATE or BIGINT",
              .place = where});
  }

  Result<Statement> create_view(bool materialized, bool or_replace) {
    CreateView view;
    view.materialized = materialized;
    view.or_replace = or_replace;
    if (or_replace && is_word("IF")) {
      return expected("a name", "OR REPLACE and IF NOT EXISTS exclude each other");
    }
    MR_TRY(view.if_not_exists, if_not_exists());
    MR_TRY(view.name, object_name(/*made=*/true));
    if (is_symbol('(')) {
      return expected("AS", "name the columns in the SELECT: SELECT expression AS name");
    }
    if (!take_word("AS")) return expected("AS", "CREATE VIEW name AS SELECT ...");
    if (at_end()) return expected("SELECT");
    if (!is_symbol('(') && !is_word("SELECT") && !is_word("WITH") && !is_word("FROM") &&
        !is_word("VALUES") && !is_word("TABLE")) {
      return expected("SELECT");
    }
    view.select_place = place();
    view.select = without_schemas(at_);
    view.sql = sql();
    return view;
  }

  Result<Statement> drop() {
    ++at_;
    if (take_word("USER")) return AccessParser(*this).drop_user();
    if (take_word("TOKEN")) return AccessParser(*this).drop_token();
    Drop statement;
    if (take_word("STREAM")) {
      statement.kind = ObjectKind::kStream;
    } else if (take_word("VIEW")) {
      statement.kind = ObjectKind::kView;
    } else if (take_word("TABLE")) {
      statement.kind = ObjectKind::kTable;
    } else if (take_word("CONNECTION")) {
      statement.kind = ObjectKind::kConnection;
    } else if (take_word("SINK")) {
      statement.kind = ObjectKind::kSink;
    } else if (take_word("MATERIALIZED")) {
      if (!take_word("VIEW")) return expected("VIEW");
      statement.kind = ObjectKind::kMaterializedView;
    } else {
      if (at_end())
        return expected("STREAM, TABLE, VIEW, MATERIALIZED VIEW, USER, TOKEN, CONNECTION or SINK");
      static constexpr auto kKinds = std::to_array<std::string_view>(
          {"STREAM", "VIEW", "MATERIALIZED", "TABLE", "USER", "TOKEN", "CONNECTION", "SINK"});
      const std::string word = shortened(upper(here()));
      std::string meant(closest(word, kKinds));
      if (meant == "MATERIALIZED") meant = "MATERIALIZED VIEW";
      return unsupported(fmt::format("DROP {}", word),
                         meant.empty() ? meant : fmt::format("DROP {}", meant));
    }
    if (take_word("IF")) {
      if (!take_word("EXISTS")) return expected("EXISTS");
      statement.if_exists = true;
    }
    MR_TRY(statement.name, object_name(/*made=*/true));
    // Nothing else is dropped along: where something reads it, the DROP is refused.
    if (!take_word("CASCADE")) take_word("RESTRICT");
    MR_RETURN_IF_ERROR(expect_end());
    return statement;
  }

  Result<Statement> replay() {
    ++at_;
    ReplayQuarantine statement;
    if (!take_word("QUARANTINE"))
      return expected("QUARANTINE", "REPLAY QUARANTINE stream [WHERE condition]");
    MR_TRY(statement.stream, object_name(/*made=*/false));
    if (at_end()) return statement;
    if (!take_word("WHERE")) return expected("WHERE or the end of the statement");
    if (at_end()) return expected("a condition");
    statement.condition_place = place();
    statement.condition =
        std::string(text_.substr(tokens_[at_].begin, tokens_.back().end - tokens_[at_].begin));
    // The condition becomes a part of a SELECT of ours, in brackets: it must not end them.
    int depth = 0;
    for (; !at_end(); ++at_) {
      if (is_symbol('(')) ++depth;
      if (is_symbol(')') && --depth < 0) return expected("the end of the condition");
    }
    return statement;
  }

  Result<Statement> show() {
    ++at_;
    Show statement;
    if (take_word("STREAMS")) {
      statement.kind = ObjectKind::kStream;
    } else if (take_word("VIEWS")) {
      statement.kind = ObjectKind::kView;
    } else if (take_word("TABLES")) {
      statement.kind = ObjectKind::kTable;
    } else if (take_word("USERS")) {
      statement.kind = ObjectKind::kUser;
    } else if (take_word("GRANTS")) {
      statement.kind = ObjectKind::kGrant;
    } else if (take_word("CONNECTIONS")) {
      statement.kind = ObjectKind::kConnection;
    } else if (take_word("SINKS")) {
      statement.kind = ObjectKind::kSink;
    } else {
      if (at_end()) return expected("STREAMS, TABLES, VIEWS, USERS, GRANTS, CONNECTIONS or SINKS");
      static constexpr auto kKinds = std::to_array<std::string_view>(
          {"STREAMS", "TABLES", "VIEWS", "USERS", "GRANTS", "CONNECTIONS", "SINKS"});
      const std::string word = shortened(upper(here()));
      const std::string_view meant = closest(word, kKinds);
      return unsupported(fmt::format("SHOW {}", word),
                         meant.empty() ? std::string() : fmt::format("SHOW {}", meant));
    }
    MR_RETURN_IF_ERROR(expect_end());
    return statement;
  }

  Result<Statement> describe() {
    ++at_;
    Describe statement;
    MR_TRY(statement.name, object_name(/*made=*/false));
    if (!at_end()) {
      return expected("the end of the statement", "DESCRIBE takes the name of a stream or view");
    }
    return statement;
  }
};

bool is_semicolon(std::string_view text, const Token& token) {
  return token.kind == TokenKind::kSymbol && text[token.begin] == ';';
}

}  // namespace

Status apply_stream_options(std::string_view options, StreamDefinition& stream) {
  MR_TRY(const std::vector<Token> tokens, tokenize(options));
  return Parser(options, tokens).options_of(stream);
}

Result<Statement> parse_statement(std::string_view text) {
  MR_TRY(const std::vector<Token> all, tokenize(text));
  std::span<const Token> tokens = all;
  while (!tokens.empty() && is_semicolon(text, tokens.back())) {
    tokens = tokens.first(tokens.size() - 1);
  }
  while (!tokens.empty() && is_semicolon(text, tokens.front())) tokens = tokens.subspan(1);
  for (const Token& token : tokens) {
    if (!is_semicolon(text, token)) continue;
    auto failure = fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                        "the text holds more than one statement");
    failure.error().place = place_of(text, token.begin);
    failure.error().hint = "send one statement at a time";
    return failure;
  }
  return Parser(text, tokens).parse();
}

Result<std::vector<ScriptPart>> split_script(std::string_view text) {
  MR_TRY(const std::vector<Token> tokens, tokenize(text));
  std::vector<ScriptPart> parts;
  TextPlace place{.line = 1, .column = 1};
  std::size_t place_offset = 0;
  std::size_t i = 0;
  while (i < tokens.size()) {
    if (is_semicolon(text, tokens[i])) {
      ++i;
      continue;
    }
    const std::size_t begin = tokens[i].begin;
    std::size_t end = begin;
    for (; i < tokens.size() && !is_semicolon(text, tokens[i]); ++i) end = tokens[i].end;
    place = advance_place(place, text.substr(place_offset), begin - place_offset);
    place_offset = begin;
    parts.push_back({.text = text.substr(begin, end - begin), .place = place});
  }
  return parts;
}

}  // namespace millrace::sql
