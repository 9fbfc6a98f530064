#include "sql/syntax.h"

#include <charconv>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "sql/duckdb_handles.h"

namespace millrace::sql {

namespace {

namespace json = boost::json;

constexpr std::size_t kTextBytesMax = std::size_t{1} << 20;
// A tree is some hundred times as long as its text where that is a list of small constants.
constexpr std::size_t kTreeBytesMax = std::size_t{32} << 20;
// DuckDB refuses expressions that nest deeper than 1,000; each takes two to four levels of JSON.
constexpr std::size_t kTreeDepthMax = 4096;

/// One instance of DuckDB that only parses, for the life of the program.
class Parser {
 public:
  static Result<Parser*> instance() {
    // Never destroyed: others may parse until the very end.
    static Parser* parser = new Parser;
    const MutexLock lock(parser->mutex_);
    if (!parser->connection_) MR_RETURN_IF_ERROR(parser->open());
    return parser;
  }

  Result<std::string> tree(std::string_view sql) {
    const MutexLock lock(mutex_);
    return call(to_tree_.get(), sql);
  }
  Result<std::string> text(std::string_view tree) {
    const MutexLock lock(mutex_);
    return call(to_text_.get(), tree);
  }

 private:
  Status open() REQUIRES(mutex_) {
    MR_TRY(auto database, Database::open({}));
    MR_TRY(auto connection, database->connect());
    MR_TRY(to_tree_,
           prepare_statement(connection->handle(), "SELECT json_serialize_sql($1::VARCHAR)"));
    MR_TRY(to_text_,
           prepare_statement(connection->handle(), "SELECT json_deserialize_sql($1::JSON)"));
    database_ = std::move(database);
    connection_ = std::move(connection);
    return {};
  }

  Result<std::string> call(duckdb_prepared_statement statement, std::string_view argument)
      REQUIRES(mutex_) {
    if (duckdb_bind_varchar_length(statement, 1, argument.data(), argument.size()) != DuckDBSuccess)
      return std::unexpected(duckdb_error(duckdb_prepare_error(statement)));
    QueryRows rows;
    auto status = run_statement(connection_->handle(), statement, false, rows);
    duckdb_clear_bindings(statement);
    if (!status) return std::unexpected(std::move(status).error());
    const Chunk chunk = rows.fetch();
    if (!chunk || duckdb_data_chunk_get_size(chunk.get()) == 0)
      return fail(ErrorCode::kInternal, error_id::kInternal, "DuckDB's parser gave nothing");
    const duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.get(), 0);
    return std::string(static_cast<const StringRef*>(duckdb_vector_get_data(vector))->view());
  }

  Mutex mutex_;
  std::shared_ptr<Database> database_ GUARDED_BY(mutex_);
  std::unique_ptr<Connection> connection_ GUARDED_BY(mutex_);
  Prepared to_tree_;
  Prepared to_text_;
};

/// The place of the character with this number.
TextPlace place_of(std::string_view text, std::size_t characters) {
  TextPlace place{.line = 1, .column = 1};
  for (const char byte : text) {
    // Bytes of the form 10xxxxxx go on with a character.
    const bool starts = (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
    if (!starts) continue;
    if (characters == 0) break;
    --characters;
    if (byte == '\n') {
      ++place.line;
      place.column = 1;
    } else {
      ++place.column;
    }
  }
  return place;
}

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view();
}

Error error_of(const json::object& answer, std::string_view sql) {
  if (text_at(answer, "error_type") == "not implemented") {
    return Error{.code = ErrorCode::kInvalidArgument,
                 .id = std::string(error_id::kUnsupportedStatement),
                 .message = "only a SELECT can stand here",
                 .hint = {},
                 .place = {}};
  }
  Error error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kSyntax),
              .message = std::string(text_at(answer, "error_message")),
              .hint = {},
              .place = {}};
  std::size_t position = 0;
  const std::string_view digits = text_at(answer, "position");
  if (const auto end = digits.data() + digits.size();
      !digits.empty() && std::from_chars(digits.data(), end, position).ptr == end)
    error.place = place_of(sql, position);
  return error;
}

/// The doubles of a JSON text in their order, read exactly.
std::vector<double> doubles_of(std::string_view text) {
  std::vector<double> out;
  constexpr std::string_view kNumber = "+-.0123456789eE";
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      for (++i; text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
      ++i;
    } else if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
      const std::size_t end = std::min(text.find_first_not_of(kNumber, i), text.size());
      const std::string_view number = text.substr(i, end - i);
      if (number.find_first_of(".eE") != std::string_view::npos) {
        double value = 0;
        std::from_chars(number.data(), number.data() + number.size(), value);
        out.push_back(value);
      }
      i = end;
    } else {
      ++i;
    }
  }
  return out;
}

/// Boost.JSON 1.81 reads doubles to within a unit in the last place, and objects keep the order of
/// the text: so the exact values can be put in their places.
void put_doubles(json::value& value, std::span<const double>& doubles) {
  if (value.is_double()) {
    value.get_double() = doubles.front();
    doubles = doubles.subspan(1);
  } else if (value.is_array()) {
    for (json::value& element : value.get_array()) put_doubles(element, doubles);
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) put_doubles(member.value(), doubles);
  }
}

std::size_t count_doubles(const json::value& value) {
  std::size_t sum = value.is_double() ? 1 : 0;
  if (value.is_array()) {
    for (const json::value& element : value.get_array()) sum += count_doubles(element);
  } else if (value.is_object()) {
    for (const auto& member : value.get_object()) sum += count_doubles(member.value());
  }
  return sum;
}

Result<json::value> read_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kTreeDepthMax;
  boost::system::error_code failed;
  json::value value = json::parse(text, failed, {}, options);
  if (failed == json::error::too_deep)
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "the statement nests too deeply");
  if (failed)
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "the syntax tree of DuckDB is not JSON: {}", failed.message());
  if (const auto doubles = doubles_of(text); !doubles.empty()) {
    if (count_doubles(value) != doubles.size())
      return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                  "a number of the statement cannot be read");
    std::span<const double> left = doubles;
    put_doubles(value, left);
  }
  return value;
}

Result<json::object> parse_one(std::string_view sql) {
  if (sql.size() > kTextBytesMax)
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                "the statement has {} bytes, {} are allowed", sql.size(), kTextBytesMax);
  if (const auto zero = sql.find('\0'); zero != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "the statement has a zero byte");
  MR_TRY(Parser* const parser, Parser::instance());
  MR_TRY(const std::string tree, parser->tree(sql));
  if (tree.size() > kTreeBytesMax)
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "the statement is too large");
  MR_TRY(json::value answer, read_json(tree));
  json::object& object = answer.as_object();
  if (const json::value* error = object.if_contains("error");
      error != nullptr && error->is_bool() && error->get_bool())
    return std::unexpected(error_of(object, sql));
  json::array& statements = object.at("statements").as_array();
  if (statements.empty())
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "there is no statement");
  if (statements.size() > 1)
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                "there are {} statements where one is expected", statements.size());
  return json::object(std::move(statements.front().as_object()));
}

Result<std::string> write_one(const json::object& statement) {
  json::object answer;
  answer["error"] = false;
  answer["statements"] = json::array({statement});
  MR_TRY(Parser* const parser, Parser::instance());
  return parser->text(json::serialize(answer));
}

/// Boost.JSON throws where a tree does not have the form that DuckDB gives, and where memory ends.
template <class Body>
auto caught(const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& thrown) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "a syntax tree has another form: {}",
                thrown.what());
  }
}

}  // namespace

Result<json::object> parse_select(std::string_view sql) {
  return caught([&] { return parse_one(sql); });
}

Result<std::string> select_text(const json::object& statement) {
  return caught([&] { return write_one(statement); });
}

Result<std::string> expression_text(const json::value& expression) {
  // DuckDB 1.5.6 would refuse it too, but loses memory with each tree that it cannot read.
  if (!expression.is_object() || !expression.get_object().contains("class"))
    return fail(ErrorCode::kInternal, error_id::kInternal, "an expression is no node of a tree");
  return caught([&]() -> Result<std::string> {
    MR_TRY(json::object statement, parse_one("SELECT 1"));
    statement.at("node").as_object()["select_list"] = json::array({expression});
    MR_TRY(std::string text, write_one(statement));
    constexpr std::string_view kSelect = "SELECT ";
    if (!text.starts_with(kSelect))
      return fail(ErrorCode::kInternal, error_id::kInternal, "an expression became \"{}\"", text);
    text.erase(0, kSelect.size());
    return text;
  });
}

}  // namespace millrace::sql
