// The heads of the statements about connections to other brokers: CREATE CONNECTION; and PAUSE and
// RESUME, of connections and sinks. Errors: as sql/statement.h, but none repeats what stands where
// a password should.
#pragma once

#include "sql/statement.h"
#include "sql/statement_cursor.h"

namespace millrace::sql {

class ConnectionParser : private StatementCursor {
 public:
  explicit ConnectionParser(const StatementCursor& cursor) : StatementCursor(cursor) {}

  /// From the word behind CREATE CONNECTION on.
  Result<Statement> create();
  /// From the word behind PAUSE or RESUME on.
  Result<Statement> pause(bool paused);

 private:
  Status option(CreateConnection& connection);
  Result<std::string> text_value(std::string_view option);
};

}  // namespace millrace::sql
