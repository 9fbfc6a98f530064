// The heads of the statements about users and what they may do: CREATE, ALTER and DROP USER, CREATE
// and DROP TOKEN, GRANT, REVOKE. Errors: as sql/statement.h, but none repeats a word that stands
// where a password should.
#pragma once

#include "sql/statement.h"
#include "sql/statement_cursor.h"

namespace millrace::sql {

class AccessParser : private StatementCursor {
 public:
  explicit AccessParser(const StatementCursor& cursor) : StatementCursor(cursor) {}

  /// From the word behind CREATE USER or ALTER USER on.
  Result<Statement> user(bool alter);
  /// From the word behind CREATE TOKEN on.
  Result<Statement> create_token();
  /// From the word behind DROP USER or DROP TOKEN on.
  Result<Statement> drop_user();
  Result<Statement> drop_token();
  /// From the word behind GRANT or REVOKE on.
  Result<Statement> grant(bool revoke);

 private:
  Result<std::string> user_name();
  Status targets(GrantStatement& statement, const std::vector<Privilege>& privileges);
};

}  // namespace millrace::sql
