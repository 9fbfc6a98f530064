#include "sql/table_statement.h"

#include "sql/duration.h"

namespace millrace::sql {

namespace {
/// A refresh reads the whole table: not more often than this.
constexpr std::int64_t kRefreshMinUs = 1'000'000;
constexpr std::string_view kForeignForm =
    "CREATE TABLE name FROM 'postgres://user@host:5432/database/table' WITH (refresh = '1 minute')";
constexpr std::string_view kCreateForm =
    "CREATE TABLE name (column type, ... [, PRIMARY KEY (column)]), CREATE TABLE name FROM "
    "'file.csv', or CREATE TABLE name AS SELECT ...";

std::optional<std::uint32_t> index_of(std::span<const Column> columns, std::string_view name) {
  for (std::uint32_t i = 0; i < columns.size(); ++i) {
    if (same_name(columns[i].name, name)) return i;
  }
  return std::nullopt;
}
}  // namespace

Result<std::string> TableParser::column_name() {
  if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier))
    return expected("a column name");
  std::string name = unquoted(here());
  if (auto good = check_column_name(name); !good)
    return std::unexpected(std::move(good).error().at(place()));
  ++at_;
  return name;
}

Result<Column> TableParser::column(bool& is_key) {
  Column out;
  MR_TRY(out.name, column_name());
  const TextPlace where = place();
  std::string type;
  std::size_t depth = 0;
  while (!at_end()) {
    if (depth == 0 && (is_symbol(',') || is_symbol(')') || is_word("PRIMARY"))) break;
    for (const std::string_view word :
         {"NOT", "NULL", "DEFAULT", "UNIQUE", "CHECK", "REFERENCES"}) {
      if (depth != 0 || !is_word(word)) continue;
      return syntax_error(fmt::format("column '{}': columns of a table take no {}", out.name, word),
                          "the one rule that a table keeps is PRIMARY KEY (column, ...)");
    }
    if (is_symbol('(')) ++depth;
    if (is_symbol(')')) --depth;
    if (!type.empty()) type.push_back(' ');
    type += here();
    ++at_;
  }
  if (type.empty()) return expected(fmt::format("the type of column '{}'", out.name));
  auto parsed = Type::parse(type);
  if (!parsed)
    return std::unexpected(std::move(parsed).error().within("column '{}'", out.name).at(where));
  out.type = *parsed;
  is_key = take_word("PRIMARY");
  if (is_key && !take_word("KEY")) return expected("KEY");
  return out;
}

Status TableParser::primary_key(CreateTable& table) {
  const TextPlace where = place();
  if (!take_word("KEY")) return expected("KEY");
  if (!table.primary_key.empty())
    return error(error_id::kSyntax, where, "a table has one primary key");
  MR_RETURN_IF_ERROR(expect_symbol('('));
  do {
    const TextPlace column_place = place();
    MR_TRY(const std::string name, column_name());
    const auto index = index_of(table.columns, name);
    if (!index) {
      return error(error_id::kBadName, column_place,
                   fmt::format("PRIMARY KEY: the table has no column '{}'", name));
    }
    if (std::ranges::find(table.primary_key, *index) != table.primary_key.end()) {
      return error(error_id::kBadName, column_place,
                   fmt::format("PRIMARY KEY: the column '{}' is there twice", name));
    }
    table.primary_key.push_back(*index);
  } while (take_symbol(','));
  return expect_symbol(')');
}

Status TableParser::column_list(CreateTable& table) {
  ++at_;
  do {
    const TextPlace where = place();
    if (!table.columns.empty() && take_word("PRIMARY")) {
      MR_RETURN_IF_ERROR(primary_key(table));
      break;
    }
    bool is_key = false;
    MR_TRY(Column next, column(is_key));
    if (index_of(table.columns, next.name)) {
      return error(error_id::kBadName, where,
                   fmt::format("the column '{}' is there twice", next.name),
                   "names of columns are compared without case");
    }
    if (table.columns.size() == kColumnsMax) {
      return error(error_id::kBadName, where,
                   fmt::format("a table has at most {} columns", kColumnsMax));
    }
    if (is_key) {
      if (!table.primary_key.empty())
        return error(error_id::kSyntax, where, "a table has one primary key",
                     "of several columns: PRIMARY KEY (column, ...)");
      table.primary_key = {static_cast<std::uint32_t>(table.columns.size())};
    }
    table.columns.push_back(std::move(next));
  } while (take_symbol(','));
  return expect_symbol(')');
}

Result<std::string> TableParser::select_text(TextPlace& where) {
  if (!is_symbol('(') && !is_word("SELECT") && !is_word("WITH") && !is_word("FROM") &&
      !is_word("VALUES") && !is_word("TABLE")) {
    return expected("SELECT or VALUES");
  }
  where = place();
  const std::size_t begin = at_;
  // To the end: balanced, so that the text stays inside of the parentheses that it is put into.
  std::size_t depth = 0;
  for (; !at_end(); ++at_) {
    if (is_symbol('(')) ++depth;
    if (is_symbol(')') && depth-- == 0) return syntax_error("')' closes nothing");
  }
  if (depth != 0) return expected("')'");
  return without_schemas(begin);
}

Status TableParser::foreign_options(CreateTable& table) {
  ++at_;
  MR_RETURN_IF_ERROR(expect_symbol('('));
  do {
    const TextPlace where = place();
    if (!here_kind(TokenKind::kWord)) return expected("an option", std::string(kForeignForm));
    const std::string name = lower_name(here());
    ++at_;
    MR_RETURN_IF_ERROR(expect_symbol('='));
    if (!here_kind(TokenKind::kString) || here().front() != '\'')
      return syntax_error(fmt::format("the value of {} must stand in single quotes", name));
    std::string value = unquoted(here());
    if (name == "refresh") {
      auto parsed = parse_duration(value);
      if (!parsed) return std::unexpected(std::move(parsed).error().at(place()));
      if (*parsed < kRefreshMinUs)
        return error(error_id::kBadOption, place(), "refresh is at least '1 second'");
      table.refresh_us = *parsed;
    } else if (name == "password_file") {
      table.password_file = std::move(value);
    } else if (name == "tls") {
      table.tls = std::move(value);
    } else if (name == "ca_file") {
      table.ca_file = std::move(value);
    } else {
      return error(error_id::kBadOption, where,
                   fmt::format("'{}' is not an option of a table", shortened(name)),
                   "the options are refresh, password_file, tls and ca_file");
    }
    ++at_;
  } while (take_symbol(','));
  return expect_symbol(')');
}

Result<Statement> TableParser::create(bool or_replace) {
  CreateTable table;
  table.or_replace = or_replace;
  if (or_replace && is_word("IF"))
    return expected("a name", "OR REPLACE and IF NOT EXISTS exclude each other");
  MR_TRY(table.if_not_exists, if_not_exists());
  MR_TRY(table.name, object_name(/*made=*/true));
  if (is_symbol('(')) MR_RETURN_IF_ERROR(column_list(table));
  if (take_word("FROM")) {
    if (!here_kind(TokenKind::kString) || here().front() != '\'')
      return expected("the path of a file in quotes");
    table.file = unquoted(here());
    ++at_;
    if (is_word("WITH")) MR_RETURN_IF_ERROR(foreign_options(table));
  } else if (table.columns.empty()) {
    if (!take_word("AS")) return expected("'(', FROM or AS", std::string(kCreateForm));
    MR_TRY(table.select, select_text(table.select_place));
  }
  MR_RETURN_IF_ERROR(expect_end());
  table.sql = sql();
  return table;
}

Result<Statement> TableParser::change() {
  if (take_word("INSERT")) return insert();
  if (take_word("UPDATE")) return update();
  if (take_word("TRUNCATE")) return truncate();
  ++at_;
  return remove();
}

Result<Statement> TableParser::truncate() {
  take_word("TABLE");
  Delete out;
  MR_TRY(out.table, object_name(/*made=*/false));
  if (!take_word("CASCADE")) take_word("RESTRICT");
  MR_RETURN_IF_ERROR(expect_end());
  return out;
}

Result<Statement> TableParser::insert() {
  Insert out;
  if (take_word("OR")) {
    if (!take_word("REPLACE")) return expected("REPLACE");
    out.or_replace = true;
  }
  if (!take_word("INTO")) return expected("INTO");
  MR_TRY(out.table, object_name(/*made=*/false));
  // "(a, b)" names columns, "(SELECT ...)" gives rows.
  const bool names = is_symbol('(') && at_ + 1 < tokens_.size() &&
                     !same_name(text_of(tokens_[at_ + 1]), "SELECT") &&
                     !same_name(text_of(tokens_[at_ + 1]), "WITH") &&
                     !same_name(text_of(tokens_[at_ + 1]), "VALUES") &&
                     !same_name(text_of(tokens_[at_ + 1]), "FROM");
  if (names) {
    ++at_;
    do {
      const TextPlace where = place();
      MR_TRY(std::string name, column_name());
      if (std::ranges::any_of(out.columns, [&](const auto& c) { return same_name(c, name); })) {
        return error(error_id::kBadName, where,
                     fmt::format("the column '{}' is there twice", name));
      }
      out.columns.push_back(std::move(name));
    } while (take_symbol(','));
    MR_RETURN_IF_ERROR(expect_symbol(')'));
  }
  MR_TRY(out.select, select_text(out.select_place));
  return out;
}

Result<std::string> TableParser::expression(std::string_view until) {
  const std::size_t first = at_;
  std::size_t depth = 0;
  for (; !at_end(); ++at_) {
    if (is_symbol('(') || is_symbol('[') || is_symbol('{')) ++depth;
    if (is_symbol(')') || is_symbol(']') || is_symbol('}')) {
      if (depth == 0) return syntax_error(fmt::format("'{}' closes nothing", here()));
      --depth;
    }
    if (depth == 0 && (is_symbol(',') || (!until.empty() && is_word(until)))) break;
  }
  if (at_ == first) return expected("an expression");
  if (depth != 0) return expected("')'");
  return std::string(
      text_.substr(tokens_[first].begin, tokens_[at_ - 1].end - tokens_[first].begin));
}

Result<Statement> TableParser::update() {
  Update out;
  MR_TRY(out.table, object_name(/*made=*/false));
  if (!take_word("SET")) return expected("SET");
  do {
    const TextPlace where = place();
    Update::Assignment assignment;
    MR_TRY(assignment.column, column_name());
    if (std::ranges::any_of(out.assignments, [&](const auto& other) {
          return same_name(other.column, assignment.column);
        })) {
      return error(error_id::kBadName, where,
                   fmt::format("the column '{}' is set twice", assignment.column));
    }
    MR_RETURN_IF_ERROR(expect_symbol('='));
    MR_TRY(assignment.expression, expression("WHERE"));
    out.assignments.push_back(std::move(assignment));
  } while (take_symbol(','));
  if (take_word("WHERE")) {
    MR_TRY(out.where, expression(""));
  }
  MR_RETURN_IF_ERROR(expect_end());
  return out;
}

Result<Statement> TableParser::remove() {
  Delete out;
  if (!take_word("FROM")) return expected("FROM");
  MR_TRY(out.table, object_name(/*made=*/false));
  if (take_word("WHERE")) {
    MR_TRY(out.where, expression(""));
  }
  MR_RETURN_IF_ERROR(expect_end());
  return out;
}

}  // namespace millrace::sql
