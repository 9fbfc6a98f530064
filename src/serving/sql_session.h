// One client's session of SQL: prepared statements with parameters, settings, a transaction whose
// reads have one position, cursors, and the end of a statement that takes too long. What the
// Postgres wire and the shell talk to; HTTP, which has no sessions, calls the StatementRunner
// itself. Owns: what the session remembers; of an open transaction that is the ReadMoment of its
// reads and the rows that it will append. Thread: one at a time, but cancel(), which is for any.
// Errors: those of serving/statement_runner.h; kFailedPrecondition (kTransaction) in a transaction
// that has failed, (kIdleTransaction) where it idled too long, (kPrepared) for statements and
// cursors that are not there; kCancelled.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/access.h"
#include "base/mutex.h"
#include "base/result.h"
#include "model/type.h"
#include "serving/session_settings.h"
#include "serving/session_transaction.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

/// COPY with what the client's side of it needs.
struct CopyPlan {
  enum class Format : std::uint8_t { kText, kCsv, kBinary };
  bool in = false;
  Format format = Format::kText;
  char delimiter = '\t';
  char quote = '"';
  char escape = '"';
  std::string null;
  bool header = false;
  std::vector<Column> columns;
};

/// What prepare() found out; of serving only (session_plan.h).
struct SessionPlan;

/// One statement, read and understood, to be executed as often as wanted.
struct PreparedStatement {
  std::string text;
  std::vector<Type> parameters;  // of $1, $2, …
  std::vector<Column> columns;   // none: the statement gives no rows
  std::optional<CopyPlan> copy = {};
  std::shared_ptr<const SessionPlan> plan = {};
};

/// How far a COPY FROM STDIN is.
struct CopyProgress {
  std::string body;             // CSV that is not stored yet
  std::uint64_t body_rows = 0;  // in it
  std::uint64_t rows = 0;       // that are stored
};

/// How much of a SELECT's answer a client takes.
enum class AnswerSize : std::uint8_t {
  kBounded,  // what memory may hold of it (sql.rows_max), with a note where there is more
  kWhole,    // all rows: those that memory has no room for come out of StatementResult::rest
};

class SqlSession {
 public:
  SqlSession(StatementRunner& runner, access::Principal who,
             AnswerSize answers = AnswerSize::kBounded);
  ~SqlSession();
  SqlSession(const SqlSession&) = delete;
  SqlSession& operator=(const SqlSession&) = delete;

  /// Exactly one statement. `parameters`: what the client says that they are; nullopt, and those
  /// behind the last one, for the statement to decide.
  Result<std::shared_ptr<const PreparedStatement>> prepare(
      std::string_view text, std::span<const std::optional<Type>> parameters = {});
  /// `values`: one for each parameter, as a text that is cast to its type; nullopt: NULL. Errors:
  /// also kInvalidArgument (kBadValue), which names the parameter.
  Result<StatementResult> execute(const PreparedStatement& statement,
                                  std::span<const std::optional<std::string>> values = {});
  /// Whether execute_at_hand() may answer it.
  [[nodiscard]] static bool is_read_by_key(const PreparedStatement& statement);
  /// The same, where it is a read by key of what memory has, outside of a transaction: so little to
  /// do that an I/O thread may. nullopt, and nothing happened, where it is not.
  Result<std::optional<StatementResult>> execute_at_hand(
      const PreparedStatement& statement, std::span<const std::optional<std::string>> values);
  /// A statement without parameters whose columns nobody asks for first: prepare() and execute()
  /// with less to do.
  Result<StatementResult> run(std::string_view text);
  [[nodiscard]] TransactionState transaction() const { return transaction_.state(); }
  /// Ends the statement that runs, with kCancelled; nothing where none does. Thread: any.
  void cancel() EXCLUDES(running_mutex_);
  /// Whoever gives on the rows of StatementResult::live or ::rest goes on with them (which a
  /// statement that gives some does by itself), and has no more to give; in between cancel() ends
  /// them. `failed`: by an error that the client is told. While no statement runs.
  void begin_rows(const StatementResult& result) EXCLUDES(running_mutex_);
  void end_rows(bool failed) EXCLUDES(running_mutex_);
  /// Of a cursor that DECLARE made, which to PostgreSQL's clients is a portal; null without one.
  [[nodiscard]] const std::vector<Column>* cursor_columns(std::string_view name);
  /// Ends a transaction that has done nothing for too long; true where it did. To be called now and
  /// then while no statement runs.
  bool expire_idle();

  // --- settings ---

  /// What a client says when it connects.
  Status set(std::string_view name, std::string_view value);
  [[nodiscard]] std::optional<std::string> setting(std::string_view name) const {
    return settings_.find(name);
  }
  [[nodiscard]] std::vector<SettingShown> settings() const { return settings_.all(); }
  /// Settings that the client is told of, that changed since the last call; all at the first.
  std::vector<std::pair<std::string, std::string>> take_reported() {
    return settings_.take_reported();
  }
  /// What pg_backend_pid() says.
  void set_process_id(std::int32_t id) { facts_.process_id = id; }
  /// Warnings of the last statements.
  std::vector<Error> take_notices() { return std::exchange(notices_, {}); }

  // --- COPY stream FROM STDIN (session_copy.cc) ---

  /// Rows of texts, each with as many as the plan has columns. They are stored by copy_end(), but
  /// for each kCopyPieceBytes of them, which are stored, all or none, as they come. Gives the
  /// number of rows that were taken.
  Result<std::uint64_t> copy_in(const PreparedStatement& statement,
                                std::span<const std::optional<std::string>> values);
  Result<StatementResult> copy_end(const PreparedStatement& statement);
  void copy_cancel() { copy_.reset(); }
  static constexpr std::size_t kCopyPieceBytes = std::size_t{16} << 20;

 private:
  class Running;
  using Prepared = std::shared_ptr<const PreparedStatement>;

  // session_plan.cc
  Status plan_data(SessionPlan& plan, std::span<const std::optional<Type>> given,
                   PreparedStatement& out);
  Status plan_select(SessionPlan& plan, std::span<const std::optional<Type>> given,
                     PreparedStatement& out);
  Status plan_change(const sql::Update* update, const sql::Delete* remove, SessionPlan& plan,
                     std::span<const std::optional<Type>> given, PreparedStatement& out);
  Status plan_session(SessionPlan& plan, std::span<const std::optional<Type>> given,
                      PreparedStatement& out);
  Status plan_subscribe(const sql::Subscribe& statement, SessionPlan& plan,
                        std::span<const std::optional<Type>> given, PreparedStatement& out);
  Result<bool> plan_inner_subscribe(const std::string& text, SessionPlan& plan,
                                    PreparedStatement& out);
  Status plan_copy(const sql::Copy& copy, SessionPlan& plan, PreparedStatement& out);

  Result<StatementResult> execute_checked(const PreparedStatement& statement,
                                          std::span<const std::optional<std::string>> values);
  Result<StatementResult> execute_data(const PreparedStatement& statement,
                                       std::span<const std::optional<std::string>> values);
  Result<StatementResult> execute_select(const PreparedStatement& statement,
                                         std::span<const std::optional<std::string>> values);
  Result<std::shared_ptr<LiveQuery>> open_live(const SessionPlan& plan,
                                               std::span<const std::optional<std::string>> values);
  Error blame(const PreparedStatement& statement,
              std::span<const std::optional<std::string>> values, Error error);
  Result<StatementResult> change(const sql::Statement& statement);
  Status take_set_config(const SessionPlan& plan);
  [[nodiscard]] StatementContext context() EXCLUDES(running_mutex_);
  [[nodiscard]] Error refused_in_failed();
  Status store_piece(const PreparedStatement& statement);

  // session_statements.cc
  Result<StatementResult> execute_session(const SessionPlan& plan);
  Result<StatementResult> end_transaction(const sql::EndTransaction& statement);
  Result<StatementResult> begin_transaction(const sql::BeginTransaction& statement);
  Result<StatementResult> execute_named(const sql::ExecuteStatement& statement);
  Result<StatementResult> prepare_named(const sql::PrepareStatement& statement);
  Result<StatementResult> declare(const sql::DeclareCursor& statement, const SessionPlan& plan);
  Result<StatementResult> set_setting(const sql::SetSetting& statement);
  Result<StatementResult> show_setting(const sql::ShowSetting& statement) const;
  Result<Prepared> named(std::string_view name) const;
  void warn(std::string message);

  StatementRunner& runner_;
  const access::Principal who_;
  const AnswerSize answers_;
  SessionSettings settings_;
  SessionFacts facts_{.settings = &settings_};
  SessionTransaction transaction_;
  std::map<std::string, Prepared, std::less<>> named_;
  std::optional<CopyProgress> copy_;
  std::vector<Error> notices_;
  Mutex running_mutex_;
  sql::CancelFlag running_ GUARDED_BY(running_mutex_);
  std::shared_ptr<LiveQuery> giving_ GUARDED_BY(running_mutex_);
  std::weak_ptr<sql::SpilledRows> giving_rest_ GUARDED_BY(running_mutex_);
};

}  // namespace millrace::serving
