// The heads of Millrace's own statements; what stands behind AS is left to DuckDB's parser. A
// script is split at the semicolons outside of quotes and comments. Errors: kInvalidArgument
// (kSyntax, kUnsupportedStatement, kBadName, kBadType, kBadOption) with the place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/grant.h"
#include "model/stream.h"

namespace millrace::sql {

struct CreateStream {
  StreamDefinition definition;  // without ids; `sql` is the statement's text
  bool if_not_exists = false;
  /// Of a derived stream, whose columns come from its SELECT: the text behind AS, where it starts,
  /// and the text behind WITH, for apply_stream_options().
  std::string select = {};
  TextPlace select_place = {};
  std::string options = {};
};
struct CreateView {
  std::string name;
  std::string select;      // the text behind AS
  TextPlace select_place;  // where it starts in the text that was parsed
  bool materialized = false;
  bool if_not_exists = false;
  bool or_replace = false;
  std::string sql;  // the statement's text
};
enum class ObjectKind {
  kStream,
  kMaterializedView,
  kView,
  kTable,
  kUser,
  kGrant,
  kConnection,
  kSink,
};
/// Columns, or a file, or a SELECT, or columns and a file.
struct CreateTable {
  std::string name;
  std::vector<Column> columns;
  std::vector<std::uint32_t> primary_key;  // indices of columns
  std::string file;
  std::string select;  // the text behind AS
  TextPlace select_place;
  bool if_not_exists = false;
  bool or_replace = false;
  std::string sql;
  /// Where the file is the address of a table in another database: how it is reached, and how often
  /// it is read again.
  std::string password_file = {};
  std::string tls = {};
  std::string ca_file = {};
  std::optional<std::int64_t> refresh_us = {};
};
struct Insert {
  std::string table;
  std::vector<std::string> columns;  // empty: all of the table's
  std::string select;                // VALUES ... or SELECT ...
  TextPlace select_place;
  /// Rows whose primary key the table has take the place of those.
  bool or_replace = false;
};
struct Update {
  struct Assignment {
    std::string column;
    std::string expression;  // its parentheses are balanced
  };
  std::string table;
  std::vector<Assignment> assignments;
  std::string where;  // empty: every row
};
struct Delete {
  std::string table;
  std::string where;  // empty: every row
};
struct Drop {
  ObjectKind kind = ObjectKind::kView;
  std::string name;
  bool if_exists = false;
};
struct Show {
  // SHOW STREAMS, TABLES, USERS, GRANTS, CONNECTIONS, SINKS; SHOW VIEWS shows both kinds of views
  ObjectKind kind = ObjectKind::kStream;
};
struct AlterStream {
  enum class Action : std::uint8_t { kAdd, kDrop, kRename, kType, kSet };
  std::string name;
  Action action = Action::kAdd;
  /// The column that is added, or the name of the one that is changed, with its new type; with kSet
  /// that which keeps unknown fields.
  Column column;
  TextPlace column_place;
  std::string new_name;                                   // kRename
  UnknownFields unknown_fields = UnknownFields::kIgnore;  // kSet
  std::string sql;
};
struct ReplayQuarantine {
  std::string stream;
  std::string condition;  // the text behind WHERE; empty where there is none
  TextPlace condition_place;
};
/// Names of users are in lower case.
struct CreateUser {
  std::string name;
  std::optional<std::string> password;  // none: the user has tokens only
  bool alter = false;
  bool if_not_exists = false;
};
struct DropUser {
  std::string name;
  bool if_exists = false;
};
struct CreateToken {
  std::string name;
  std::string user;
  std::optional<std::int64_t> valid_us;  // none: until it is dropped
};
struct DropToken {
  std::string name;
  std::string user;
};
struct GrantStatement {
  std::vector<Grant> grants;
  std::string user;
  bool revoke = false;
};
/// Another MQTT broker whose messages come in.
struct CreateConnection {
  std::string name;
  bool if_not_exists = false;
  std::string url;
  std::string topic;
  std::string stream;
  std::string client_id;
  std::string user;
  std::string password;
  std::string share;
  std::uint8_t qos = 1;
  bool clean = false;
};
struct AlterConnection {
  std::string name;
  bool paused = false;
};
/// A store outside that is kept equal to a materialized view.
struct CreateSink {
  std::string name;
  bool if_not_exists = false;
  std::string url;
  TextPlace url_place;
  std::string password;
  std::string password_file;
  std::string tls;
  std::string ca_file;
  std::string format;
  std::string select;  // the text behind AS
  TextPlace select_place;
};
struct AlterSink {
  std::string name;
  bool paused = false;
};
struct Describe {
  std::string name;
};
struct Select {
  std::string text;
};
using Statement = std::variant<AlterStream, ReplayQuarantine, CreateStream, CreateView, Drop, Show,
                               Describe, Select, CreateTable, Insert, Update, Delete, CreateUser,
                               DropUser, CreateToken, DropToken, GrantStatement, CreateConnection,
                               AlterConnection, CreateSink, AlterSink>;

/// Reads "(time = …, key = …)" into a definition that has its columns.
Status apply_stream_options(std::string_view options, StreamDefinition& stream);

/// Exactly one statement, with or without a semicolon behind it.
Result<Statement> parse_statement(std::string_view text);

/// The statements of a script with the place where each starts; empty ones are left out.
struct ScriptPart {
  std::string_view text;
  TextPlace place;
};
Result<std::vector<ScriptPart>> split_script(std::string_view text);

}  // namespace millrace::sql
