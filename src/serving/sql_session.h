// One client's session of SQL: prepared statements with parameters, settings, a transaction whose
// reads have one position, and the end of a statement that takes too long. What the Postgres wire
// and the shell talk to; HTTP, which has no sessions, calls the StatementRunner itself. Owns: what
// the session remembers. Thread: one at a time, but cancel(), which is for any. Errors: those of
// serving/statement_runner.h, and kFailedPrecondition in a transaction that has failed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/access.h"
#include "base/result.h"
#include "model/type.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

/// One statement, read and understood, to be executed as often as wanted.
struct PreparedStatement {
  std::string text;
  std::vector<Type> parameters;  // of $1, $2, …
  std::vector<Column> columns;   // none: the statement gives no rows
};

enum class TransactionState : std::uint8_t { kNone, kOpen, kFailed };

class SqlSession {
 public:
  SqlSession(StatementRunner& runner, access::Principal who);
  ~SqlSession();
  SqlSession(const SqlSession&) = delete;
  SqlSession& operator=(const SqlSession&) = delete;

  /// Exactly one statement. `parameters`: what the client says that they are; nullopt, and those
  /// behind the last one, for the statement to decide.
  Result<std::shared_ptr<const PreparedStatement>> prepare(
      std::string_view text, std::span<const std::optional<Type>> parameters = {});
  /// `values`: one for each parameter, as a text that is cast to its type; nullopt: NULL.
  Result<StatementResult> execute(const PreparedStatement& statement,
                                  std::span<const std::optional<std::string>> values = {});
  [[nodiscard]] TransactionState transaction() const { return transaction_; }
  /// Ends the statement that runs, with kCancelled; nothing where none does. Thread: any.
  void cancel();

 private:
  StatementRunner& runner_;
  const access::Principal who_;
  TransactionState transaction_ = TransactionState::kNone;
};

}  // namespace millrace::serving
