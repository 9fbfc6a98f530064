// The transaction of one session: whether there is one, the moment that its reads see, the rows
// that it appends when it commits, its savepoints and cursors. Owns all of that. Thread: one owner.
// Errors: kFailedPrecondition (kTransaction), kResourceExhausted. Invariant: without an open
// transaction it holds no moment, no rows and no savepoint, and of cursors only those WITH HOLD.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serving/read_moment.h"
#include "serving/statement_runner.h"
#include "sql/session_statement.h"

namespace millrace::serving {

enum class TransactionState : std::uint8_t { kNone, kOpen, kFailed };

/// The whole result of a SELECT, in memory and on disk, and how far it was fetched; or a SUBSCRIBE,
/// which only goes on.
struct Cursor {
  StatementResult result;
  std::shared_ptr<LiveQuery> live = {};
  std::uint64_t bytes = 0;
  bool hold = false;
  std::int64_t at = 0;  // before row 1: 0; on row n: n; behind the last: rows + 1

  /// Moves as the statement says, and gives the rows that it passes (FETCH). Errors: where those
  /// that are on disk shall be given backward, and take more than `bytes_max` of memory; it has not
  /// moved then.
  Result<StatementResult> fetch(const sql::FetchStatement& statement, std::uint64_t bytes_max);
  /// Of a SUBSCRIBE: what is to be given. Errors: where it would have to go back.
  Result<StatementResult> fetch_live(const sql::FetchStatement& statement,
                                     std::uint64_t wait_ms) const;
  [[nodiscard]] const std::vector<Column>& columns() const;

 private:
  Status fetch_rest(std::int64_t first, std::int64_t last, bool backward, std::uint64_t bytes_max,
                    StatementResult& out) const;
};

class SessionTransaction {
 public:
  [[nodiscard]] TransactionState state() const { return state_; }
  void begin(bool read_only);
  /// From here on only its end is taken; `why` is said until then.
  void fail_with(std::optional<Error> why = {});
  void end();
  [[nodiscard]] const std::optional<Error>& why_failed() const { return why_failed_; }

  [[nodiscard]] bool read_only() const { return read_only_; }
  /// Errors: where it has read or written already.
  Status set_read_only(bool read_only);
  /// null where there is no transaction.
  [[nodiscard]] ReadMoment* moment();

  /// Rows for the end of the transaction. Errors: where they are for another stream than the rows
  /// before, or are too many.
  Status add(InsertRows rows);
  [[nodiscard]] std::optional<InsertRows> take_rows();
  /// A statement that took effect at once and stays.
  void note_permanent(std::string command);
  [[nodiscard]] const std::vector<std::string>& permanent() const { return permanent_; }

  /// Errors: kFailedPrecondition where there is none of the name.
  Status savepoint(const sql::SavepointStatement& statement);

  Status add_cursor(const std::string& name, Cursor cursor, std::uint64_t bytes_max);
  Result<Cursor*> cursor(std::string_view name);
  /// Empty: all of them.
  Status close(std::string_view name);

  void touch();
  /// Since the last statement of an open transaction.
  [[nodiscard]] std::uint64_t idle_ms() const;

 private:
  struct Savepoint {
    std::string name;
    std::size_t bytes = 0;
    std::uint64_t rows = 0;
  };
  void drop_reads();

  TransactionState state_ = TransactionState::kNone;
  bool read_only_ = false;
  std::unique_ptr<ReadMoment> moment_;
  std::optional<InsertRows> rows_;
  std::vector<std::string> permanent_;
  std::vector<Savepoint> savepoints_;
  std::map<std::string, Cursor, std::less<>> cursors_;
  std::optional<Error> why_failed_;
  std::int64_t touched_us_ = 0;
};

}  // namespace millrace::serving
