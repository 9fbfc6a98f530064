// The heads of the statements about reference tables: CREATE TABLE, INSERT, UPDATE, DELETE. What
// users write as expressions stays text, cut at commas and keywords outside of all parentheses, so
// that it can be put into a SELECT which is checked and run like any other. Errors: as
// sql/statement.h.
#pragma once

#include "sql/statement.h"
#include "sql/statement_cursor.h"

namespace millrace::sql {

class TableParser : private StatementCursor {
 public:
  explicit TableParser(const StatementCursor& cursor) : StatementCursor(cursor) {}

  /// From the word behind TABLE on.
  Result<Statement> create(bool or_replace);
  /// From INSERT, UPDATE or DELETE on.
  Result<Statement> change();

 private:
  Status column_list(CreateTable& table);
  Result<Column> column(bool& is_key);
  Status primary_key(CreateTable& table);
  Status foreign_options(CreateTable& table);
  Result<std::string> column_name();
  Result<std::string> select_text(TextPlace& where);
  Result<Statement> insert();
  Result<Statement> update();
  Result<Statement> remove();
  Result<Statement> truncate();
  /// The text up to a comma or the keyword outside of all parentheses, or to the end.
  Result<std::string> expression(std::string_view until);
};

}  // namespace millrace::sql
