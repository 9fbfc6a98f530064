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
enum class ObjectKind { kStream, kMaterializedView, kView };
struct Drop {
  ObjectKind kind = ObjectKind::kView;
  std::string name;
  bool if_exists = false;
};
struct Show {
  ObjectKind kind = ObjectKind::kStream;  // SHOW STREAMS; SHOW VIEWS shows both kinds of views
};
struct ReplayQuarantine {
  std::string stream;
  std::string condition;  // the text behind WHERE; empty where there is none
  TextPlace condition_place;
};
struct Describe {
  std::string name;
};
struct Select {
  std::string text;
};
using Statement =
    std::variant<ReplayQuarantine, CreateStream, CreateView, Drop, Show, Describe, Select>;

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
