// The statements about the session itself: transactions, settings, prepared statements, cursors,
// EXPLAIN.
#include "base/ascii_case.h"
#include "serving/live_query.h"
#include "serving/session_plan.h"
#include "serving/sql_session.h"
#include "serving/statement_rows.h"

namespace millrace::serving {

namespace {

constexpr std::size_t kNamedMax = 1000;
/// Of batches that wait to be fetched.
constexpr std::uint64_t kLiveCursorBytes = std::uint64_t{4} << 20;

std::unexpected<Error> no_such_statement(std::string_view name) {
  return fail(ErrorCode::kNotFound, error_id::kPrepared, "there is no prepared statement {}", name);
}

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

void SqlSession::warn(std::string message) {
  notices_.push_back(Error{.code = ErrorCode::kFailedPrecondition,
                           .id = std::string(error_id::kTransaction),
                           .message = std::move(message),
                           .hint = {},
                           .place = {}});
}

Result<SqlSession::Prepared> SqlSession::named(std::string_view name) const {
  const auto found = named_.find(name);
  if (found == named_.end()) return no_such_statement(name);
  return found->second;
}

Result<StatementResult> SqlSession::execute_session(const SessionPlan& plan) {
  return std::visit(
      Overloaded{[&](const sql::BeginTransaction& s) { return begin_transaction(s); },
                 [&](const sql::EndTransaction& s) { return end_transaction(s); },
                 [&](const sql::SavepointStatement& s) -> Result<StatementResult> {
                   MR_RETURN_IF_ERROR(transaction_.savepoint(s));
                   using Action = sql::SavepointStatement::Action;
                   return done(s.action == Action::kSet       ? "SAVEPOINT"
                               : s.action == Action::kRelease ? "RELEASE"
                                                              : "ROLLBACK");
                 },
                 [&](const sql::SetTransaction& s) -> Result<StatementResult> {
                   if (s.session) {
                     if (s.read_only) {
                       MR_RETURN_IF_ERROR(settings_.set("default_transaction_read_only",
                                                        *s.read_only ? "on" : "off", false));
                     }
                   } else if (transaction_.state() == TransactionState::kNone) {
                     warn("SET TRANSACTION is for a transaction, and there is none");
                   } else if (s.read_only) {
                     MR_RETURN_IF_ERROR(transaction_.set_read_only(*s.read_only));
                     MR_RETURN_IF_ERROR(
                         settings_.set("transaction_read_only", *s.read_only ? "on" : "off", true));
                   }
                   return done("SET");
                 },
                 [&](const sql::SetSetting& s) { return set_setting(s); },
                 [&](const sql::ShowSetting& s) { return show_setting(s); },
                 [&](const sql::DiscardAll& s) -> Result<StatementResult> {
                   if (s.settings_only) {
                     settings_.reset_all();
                     return done("RESET");
                   }
                   if (transaction_.state() != TransactionState::kNone) {
                     return fail(ErrorCode::kFailedPrecondition, error_id::kTransaction,
                                 "DISCARD ALL cannot run inside of a transaction");
                   }
                   settings_.reset_all();
                   named_.clear();
                   MR_RETURN_IF_ERROR(transaction_.close(""));
                   return done("DISCARD ALL");
                 },
                 [&](const sql::NothingToDo& s) -> Result<StatementResult> {
                   if (s.command == "DROP INDEX")
                     warn("the index of a key stays as long as its view");
                   return done(s.command);
                 },
                 [&](const sql::RefreshView& s) -> Result<StatementResult> {
                   MR_RETURN_IF_ERROR(runner_.check_materialized(who_, s.name));
                   return done("REFRESH MATERIALIZED VIEW");
                 },
                 [&](const sql::PrepareStatement& s) { return prepare_named(s); },
                 [&](const sql::ExecuteStatement& s) { return execute_named(s); },
                 [&](const sql::Deallocate& s) -> Result<StatementResult> {
                   if (s.name.empty()) {
                     named_.clear();
                     return done("DEALLOCATE ALL");
                   }
                   if (named_.erase(s.name) == 0) return no_such_statement(s.name);
                   return done("DEALLOCATE");
                 },
                 [&](const sql::DeclareCursor& s) { return declare(s, plan); },
                 [&](const sql::FetchStatement& s) -> Result<StatementResult> {
                   MR_TRY(auto* const cursor, transaction_.cursor(s.name));
                   if (cursor->live == nullptr)
                     return cursor->fetch(s, runner_.options().result_bytes_max);
                   return cursor->fetch_live(s, settings_.number("subscribe_wait"));
                 },
                 [&](const sql::CloseCursor& s) -> Result<StatementResult> {
                   MR_RETURN_IF_ERROR(transaction_.close(s.name));
                   return done(s.name.empty() ? "CLOSE CURSOR ALL" : "CLOSE CURSOR");
                 },
                 [&](const sql::Explain&) { return runner_.explain(who_, *plan.select); },
                 [&](const sql::Copy& s) -> Result<StatementResult> {
                   if (s.in) {
                     return fail(ErrorCode::kInvalidArgument, error_id::kUnsupportedStatement,
                                 "the rows of COPY FROM STDIN come over the Postgres wire only");
                   }
                   StatementResult result;
                   if (plan.subscribe) {
                     result.columns = live_columns(plan.live_columns);
                     MR_TRY(result.live, open_live(plan, {}));
                   } else {
                     MR_TRY(result, runner_.select(who_, *plan.select, context()));
                   }
                   result.command = "COPY";
                   return result;
                 },
                 [&](const sql::Subscribe&) -> Result<StatementResult> {
                   return fail(ErrorCode::kInternal, error_id::kInternal,
                               "a SUBSCRIBE is executed with its values");
                 }},
      *plan.session);
}

// --- transactions ---

Result<StatementResult> SqlSession::begin_transaction(const sql::BeginTransaction& statement) {
  if (transaction_.state() != TransactionState::kNone) {
    warn("there is a transaction in progress already");
    return done("BEGIN");
  }
  const bool read_only =
      statement.read_only.value_or(settings_.is_on("default_transaction_read_only"));
  transaction_.begin(read_only);
  settings_.begin();
  MR_RETURN_IF_ERROR(settings_.set("transaction_read_only", read_only ? "on" : "off", true));
  return done("BEGIN");
}

Result<StatementResult> SqlSession::end_transaction(const sql::EndTransaction& statement) {
  const auto state = transaction_.state();
  if (state == TransactionState::kNone) {
    warn("there is no transaction in progress");
    return done(statement.commit ? "COMMIT" : "ROLLBACK");
  }
  const bool read_only = transaction_.read_only();
  const bool commit = statement.commit && state == TransactionState::kOpen;
  const auto rows = commit ? transaction_.take_rows() : std::nullopt;
  if (!commit && !transaction_.permanent().empty()) {
    warn(fmt::format("{} took effect at once and cannot be rolled back",
                     fmt::join(transaction_.permanent(), ", ")));
  }
  // What is answered as committed is stored; where that fails, nothing of it is.
  const auto stored = rows ? runner_.append(*rows) : Result<std::uint64_t>(0);
  transaction_.end();
  settings_.end(commit && stored);
  if (!stored) return std::unexpected(stored.error());
  if (statement.chain) {
    transaction_.begin(read_only);
    settings_.begin();
  }
  return done(commit ? "COMMIT" : "ROLLBACK");
}

// --- settings ---

Result<StatementResult> SqlSession::set_setting(const sql::SetSetting& statement) {
  if (same_name(statement.name, "transaction_read_only") && statement.value &&
      transaction_.state() == TransactionState::kOpen) {
    MR_RETURN_IF_ERROR(transaction_.set_read_only(same_name(*statement.value, "on") ||
                                                  same_name(*statement.value, "true")));
  }
  if (statement.local && transaction_.state() == TransactionState::kNone) {
    warn("SET LOCAL is for a transaction, and there is none");
    return done("SET");
  }
  MR_RETURN_IF_ERROR(settings_.set(statement.name, statement.value, statement.local));
  return done("SET");
}

Result<StatementResult> SqlSession::show_setting(const sql::ShowSetting& statement) const {
  if (statement.name.empty()) {
    Rows rows({{"name", kText}, {"setting", kText}, {"description", kText}});
    for (const auto& one : settings_.all())
      rows.text(one.name).text(one.value).text(one.description).end();
    return std::move(rows).result("SHOW");
  }
  MR_TRY(const auto shown, settings_.shown(statement.name));
  Rows rows({{shown.first, kText}});
  rows.text(shown.second).end();
  return std::move(rows).result("SHOW");
}

// --- prepared statements and cursors ---

Result<StatementResult> SqlSession::prepare_named(const sql::PrepareStatement& statement) {
  if (named_.contains(statement.name)) {
    return fail(ErrorCode::kAlreadyExists, error_id::kPrepared,
                "there is a prepared statement {} already", statement.name);
  }
  if (named_.size() == kNamedMax) {
    return fail(ErrorCode::kResourceExhausted, error_id::kPrepared,
                "a session has {} prepared statements at most", kNamedMax);
  }
  MR_TRY(auto prepared, prepare(statement.text, statement.parameters));
  if (prepared->plan->session) {
    return fail(ErrorCode::kInvalidArgument, error_id::kUnsupportedStatement,
                "PREPARE takes SELECT, INSERT, UPDATE and DELETE");
  }
  named_[statement.name] = std::move(prepared);
  return done("PREPARE");
}

Result<StatementResult> SqlSession::execute_named(const sql::ExecuteStatement& statement) {
  MR_TRY(const auto prepared, named(statement.name));
  return execute_checked(*prepared, statement.values);
}

const std::vector<Column>* SqlSession::cursor_columns(std::string_view name) {
  const auto cursor = transaction_.cursor(name);
  return cursor ? &(*cursor)->columns() : nullptr;
}

Result<StatementResult> SqlSession::declare(const sql::DeclareCursor& statement,
                                            const SessionPlan& plan) {
  if (transaction_.state() == TransactionState::kNone && !statement.hold) {
    return std::unexpected(Error{.code = ErrorCode::kFailedPrecondition,
                                 .id = std::string(error_id::kTransaction),
                                 .message = "a cursor lives inside of a transaction",
                                 .hint = "BEGIN one, or DECLARE it WITH HOLD",
                                 .place = {}});
  }
  if (plan.subscribe) {
    Cursor cursor{.result = {}, .bytes = kLiveCursorBytes, .hold = statement.hold};
    MR_TRY(cursor.live, open_live(plan, {}));
    MR_RETURN_IF_ERROR(transaction_.add_cursor(statement.name, std::move(cursor),
                                               runner_.options().result_bytes_max));
    return done("DECLARE CURSOR");
  }
  MR_TRY(auto result, runner_.select(who_, *plan.select, context()));
  if (result.truncated) {
    return std::unexpected(Error{
        .code = ErrorCode::kResourceExhausted,
        .id = std::string(error_id::kSqlMemory),
        .message = fmt::format(
            "the result of cursor {} is larger than a result may be ({})", statement.name,
            answers_ == AnswerSize::kWhole ? "sql.spill_bytes_max" : "sql.rows_max, or its bytes"),
        .hint = "let the SELECT give fewer rows",
        .place = {}});
  }
  Cursor cursor{.result = std::move(result), .bytes = 0, .hold = statement.hold};
  for (const auto& batch : cursor.result.batches) cursor.bytes += batch->size_bytes();
  MR_RETURN_IF_ERROR(transaction_.add_cursor(statement.name, std::move(cursor),
                                             runner_.options().result_bytes_max));
  return done("DECLARE CURSOR");
}

}  // namespace millrace::serving
