// The heads of the statements about stores outside: CREATE SINK. Errors: as sql/statement.h, but
// none repeats what stands where a password should.
#pragma once

#include "sql/statement.h"
#include "sql/statement_cursor.h"

namespace millrace::sql {

class SinkParser : private StatementCursor {
 public:
  explicit SinkParser(const StatementCursor& cursor) : StatementCursor(cursor) {}

  /// From the word behind CREATE SINK on.
  Result<Statement> create();

 private:
  Status option(CreateSink& sink, std::string_view name);
  Result<std::string> text_value(std::string_view what);
};

}  // namespace millrace::sql
