// Statements that are about a client's session and not about data: transactions, settings, prepared
// statements, cursors, COPY, EXPLAIN, read as PostgreSQL spells them; and SUBSCRIBE, which is ours.
// Thread: any, values only. Errors: kInvalidArgument (kSyntax, kUnsupportedStatement) with the
// place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/type.h"

namespace millrace::sql {

struct BeginTransaction {
  std::optional<bool> read_only;
};
/// COMMIT, END, ROLLBACK, ABORT.
struct EndTransaction {
  bool commit = false;
  bool chain = false;
};
struct SavepointStatement {
  enum class Action : std::uint8_t { kSet, kRelease, kRollbackTo };
  Action action = Action::kSet;
  std::string name;
};
/// SET TRANSACTION, and SET SESSION CHARACTERISTICS AS TRANSACTION.
struct SetTransaction {
  bool session = false;
  std::optional<bool> read_only;
};
struct SetSetting {
  std::string name;
  std::optional<std::string> value;  // nullopt: the default
  bool local = false;
};
struct ShowSetting {
  std::string name;  // empty: all
};
/// DISCARD ALL, and RESET ALL where `settings_only`.
struct DiscardAll {
  bool settings_only = false;
};
/// DISCARD PLANS, TEMP, SEQUENCES; UNLISTEN: nothing of it is there.
struct NothingToDo {
  std::string command;
};
/// REFRESH MATERIALIZED VIEW: it is up to date, but it must be there.
struct RefreshView {
  std::string name;
};
struct PrepareStatement {
  std::string name;
  std::vector<std::optional<Type>> parameters;
  std::string text;
};
struct ExecuteStatement {
  std::string name;
  std::vector<std::optional<std::string>> values;
};
struct Deallocate {
  std::string name;  // empty: all
};
struct DeclareCursor {
  std::string name;
  bool hold = false;
  std::string text;
};
struct FetchStatement {
  enum class From : std::uint8_t { kRelative, kAbsolute, kForward, kBackward };
  std::string name;
  From from = From::kForward;
  std::int64_t count = 1;  // of kForward and kBackward rows, of others a place
  bool all = false;        // with kForward, kBackward
  bool move = false;
};
struct CloseCursor {
  std::string name;  // empty: all
};
struct Explain {
  std::string text;
};
struct Copy {
  enum class Format : std::uint8_t { kText, kCsv, kBinary };
  bool in = false;
  std::string relation;  // empty where there is a query
  std::vector<std::string> columns;
  std::string query;
  Format format = Format::kText;
  std::optional<std::string> delimiter;
  std::optional<std::string> null;
  std::optional<std::string> quote;
  std::optional<std::string> escape;
  bool header = false;
};

/// SUBSCRIBE TO SELECT ... FROM view WITH (snapshot = false, position = 'token')
struct Subscribe {
  /// The SELECT, where it stands in the statement: blanks are before it, so that places in it are
  /// places in the statement.
  std::string text;
  bool snapshot = true;
  std::string position;  // empty: none
};

using SessionStatement =
    std::variant<BeginTransaction, EndTransaction, SavepointStatement, SetTransaction, SetSetting,
                 ShowSetting, DiscardAll, NothingToDo, RefreshView, PrepareStatement,
                 ExecuteStatement, Deallocate, DeclareCursor, FetchStatement, CloseCursor, Explain,
                 Copy, Subscribe>;

/// nullopt where the text is something else, which parse_statement() reads or refuses.
Result<std::optional<SessionStatement>> parse_session_statement(std::string_view text);

}  // namespace millrace::sql
