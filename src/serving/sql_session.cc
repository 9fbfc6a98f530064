#include "serving/sql_session.h"

#include <array>

#include "serving/live_query.h"
#include "serving/session_plan.h"
#include "serving/statement_rows.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

/// Of all values of one execution together.
constexpr std::size_t kValueBytesMax = std::size_t{16} << 20;

std::unexpected<Error> refused(std::string_view id, std::string message, std::string hint) {
  return std::unexpected(Error{.code = ErrorCode::kFailedPrecondition,
                               .id = std::string(id),
                               .message = std::move(message),
                               .hint = std::move(hint),
                               .place = {}});
}

/// Whether the statement only reads.
bool only_reads(const sql::Statement& statement) {
  return std::holds_alternative<sql::Select>(statement) ||
         std::holds_alternative<sql::Show>(statement) ||
         std::holds_alternative<sql::Describe>(statement);
}

/// In a session the number of changed rows is not a row of its own.
StatementResult bare(StatementResult result) {
  if (!result.affected) return result;
  result.columns.clear();
  result.batches.clear();
  result.rows = *result.affected;
  return result;
}

bool same_types(std::span<const Column> a, std::span<const Column> b) {
  return std::ranges::equal(a, b,
                            [](const Column& x, const Column& y) { return x.type == y.type; });
}

bool is_end(const SessionPlan* plan) {
  if (plan == nullptr || !plan->session) return false;
  if (std::holds_alternative<sql::EndTransaction>(*plan->session)) return true;
  const auto* savepoint = std::get_if<sql::SavepointStatement>(&*plan->session);
  return savepoint != nullptr && savepoint->action == sql::SavepointStatement::Action::kRollbackTo;
}

}  // namespace

/// Lets cancel() reach the statement that runs.
class SqlSession::Running {
 public:
  explicit Running(SqlSession& session) : session_(session) {
    const MutexLock lock(session_.running_mutex_);
    outer_ = session_.running_ == nullptr;
    if (outer_) session_.running_ = std::make_shared<std::atomic<bool>>(false);
  }
  ~Running() {
    if (!outer_) return;  // EXECUTE runs another statement inside of it
    const MutexLock lock(session_.running_mutex_);
    session_.running_.reset();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  SqlSession& session_;
  bool outer_ = false;
};

SqlSession::SqlSession(StatementRunner& runner, access::Principal who, AnswerSize answers)
    : runner_(runner),
      who_(std::move(who)),
      answers_(answers),
      settings_(who_.name().empty() ? "millrace" : std::string(who_.name()),
                runner.is_admin(who_)) {}

SqlSession::~SqlSession() = default;

Status SqlSession::set(std::string_view name, std::string_view value) {
  return settings_.set(name, value, false);
}

void SqlSession::cancel() {
  {
    const MutexLock lock(running_mutex_);
    if (giving_ != nullptr) giving_->cancel();
    if (const auto rest = giving_rest_.lock()) rest->cancel();
    if (running_ == nullptr) return;
    running_->store(true, std::memory_order_release);
  }
  runner_.wake_cancelled();
}

void SqlSession::begin_rows(const StatementResult& result) {
  const MutexLock lock(running_mutex_);
  giving_ = result.live;
  giving_rest_ = result.rest;
}

void SqlSession::end_rows(bool failed) {
  {
    const MutexLock lock(running_mutex_);
    giving_.reset();
    giving_rest_.reset();
  }
  if (failed && transaction_.state() == TransactionState::kOpen) transaction_.fail_with();
  transaction_.touch();
}

bool SqlSession::expire_idle() {
  const auto limit_ms = settings_.number("idle_in_transaction_session_timeout");
  if (limit_ms == 0 || transaction_.idle_ms() < limit_ms) return false;
  transaction_.fail_with(
      Error{.code = ErrorCode::kFailedPrecondition,
            .id = std::string(error_id::kIdleTransaction),
            .message = fmt::format("the transaction did nothing for {} ms and was ended", limit_ms),
            .hint = "ROLLBACK; idle_in_transaction_session_timeout says how long it may",
            .place = {}});
  return true;
}

StatementContext SqlSession::context() {
  const MutexLock lock(running_mutex_);
  return {.deadline_ms = settings_.number("statement_timeout"),
          .cancelled = running_,
          .moment = transaction_.moment(),
          .rows_max = {},
          .whole = answers_ == AnswerSize::kWhole,
          .facts = &facts_};
}

Result<std::shared_ptr<const PreparedStatement>> SqlSession::prepare(
    std::string_view text, std::span<const std::optional<Type>> parameters) {
  const Running running(*this);
  auto out = std::make_shared<PreparedStatement>();
  auto plan = std::make_shared<SessionPlan>();
  out->text = text;
  const auto planned = [&]() -> Status {
    MR_TRY(plan->session, sql::parse_session_statement(text));
    // A transaction that has failed answers nothing but its end.
    if (transaction_.state() == TransactionState::kFailed && !is_end(plan.get())) return {};
    return plan->session ? plan_session(*plan, parameters, *out)
                         : plan_data(*plan, parameters, *out);
  }();
  if (!planned) {
    if (transaction_.state() == TransactionState::kOpen) transaction_.fail_with();
    return std::unexpected(planned.error());
  }
  if (transaction_.state() == TransactionState::kFailed && !is_end(plan.get())) {
    return std::unexpected(refused_in_failed());
  }
  out->plan = std::move(plan);
  return out;
}

Error SqlSession::refused_in_failed() {
  if (transaction_.why_failed()) return *transaction_.why_failed();
  return refused(error_id::kTransaction,
                 "the transaction has failed: nothing but its end is done any more", "ROLLBACK")
      .error();
}

Result<StatementResult> SqlSession::run(std::string_view text) {
  PreparedStatement statement{.text = std::string(text), .parameters = {}, .columns = {}};
  auto plan = std::make_shared<SessionPlan>();
  const auto planned = [&]() -> Status {
    MR_TRY(plan->session, sql::parse_session_statement(text));
    if (plan->session) return plan_session(*plan, {}, statement);
    MR_TRY(plan->statement, sql::parse_statement(text));
    if (const auto* select = std::get_if<sql::Select>(&*plan->statement)) {
      MR_TRY(plan->select, StatementRunner::read_select(select->text));
      plan->set_configs = set_configs_of(plan->select->tree);
      plan->point = runner_.point_select(who_, *plan->select, {});
      // There are no values for parameters.
      if (plan->point != nullptr && !plan->point->parameters().empty()) plan->point = nullptr;
    }
    return {};
  }();
  if (!planned) {
    if (transaction_.state() == TransactionState::kOpen) transaction_.fail_with();
    return std::unexpected(planned.error());
  }
  statement.plan = std::move(plan);
  return execute(statement, {});
}

Result<StatementResult> SqlSession::execute(const PreparedStatement& statement,
                                            std::span<const std::optional<std::string>> values) {
  if (statement.plan == nullptr) {
    MR_TRY(const auto prepared, prepare(statement.text));
    return execute(*prepared, values);
  }
  const Running running(*this);
  expire_idle();
  if (transaction_.state() == TransactionState::kFailed && !is_end(statement.plan.get()))
    return std::unexpected(refused_in_failed());
  auto result = execute_checked(statement, values);
  if (!result && transaction_.state() == TransactionState::kOpen) transaction_.fail_with();
  transaction_.touch();
  if (result && (result->live != nullptr || result->rest != nullptr)) {
    const MutexLock lock(running_mutex_);
    giving_ = result->live;
    giving_rest_ = result->rest;
    if (running_ != nullptr && running_->load(std::memory_order_acquire)) {
      if (result->live != nullptr) result->live->cancel();
      if (result->rest != nullptr) result->rest->cancel();
    }
  }
  return result;
}

bool SqlSession::is_read_by_key(const PreparedStatement& statement) {
  return statement.plan != nullptr && statement.plan->point != nullptr;
}

Result<std::optional<StatementResult>> SqlSession::execute_at_hand(
    const PreparedStatement& statement, std::span<const std::optional<std::string>> values) {
  if (!is_read_by_key(statement) || transaction_.state() != TransactionState::kNone ||
      values.size() != statement.parameters.size())
    return std::optional<StatementResult>();
  return runner_.point_rows(who_, *statement.plan->point, values, {.at_hand = true});
}

Result<StatementResult> SqlSession::execute_checked(
    const PreparedStatement& statement, std::span<const std::optional<std::string>> values) {
  if (values.size() != statement.parameters.size()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "the statement has {} parameters, and {} values came", statement.parameters.size(),
                values.size());
  }
  std::size_t bytes = 0;
  for (const auto& value : values) bytes += value ? value->size() : 0;
  if (bytes > kValueBytesMax) {
    return fail(ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
                "the values of the parameters take {} bytes, and {} are the most", bytes,
                kValueBytesMax);
  }
  if (!statement.plan->session) return execute_data(statement, values);
  if (!std::holds_alternative<sql::Subscribe>(*statement.plan->session))
    return execute_session(*statement.plan);
  StatementResult out;
  out.command = "SUBSCRIBE";
  out.columns = statement.columns;
  MR_TRY(out.live, open_live(*statement.plan, values));
  return out;
}

Result<StatementResult> SqlSession::execute_select(
    const PreparedStatement& statement, std::span<const std::optional<std::string>> values) {
  const auto& plan = *statement.plan;
  if (plan.point != nullptr) {
    MR_TRY(auto rows, runner_.point_rows(who_, *plan.point, values, context()));
    if (rows) return std::move(*rows);
  }
  auto result = [&]() -> Result<StatementResult> {
    if (plan.nodes.empty()) return runner_.select(who_, *plan.select, context());
    ParsedSelect bound{.text = plan.select->text, .tree = {}, .past = plan.select->past};
    MR_TRY(auto tree, with_values(plan.select->tree, plan.nodes, values));
    bound.tree = std::move(tree.get_object());
    return runner_.select(who_, bound, context());
  }();
  if (!result) return std::unexpected(blame(statement, values, std::move(result).error()));
  MR_RETURN_IF_ERROR(take_set_config(plan));
  if (statement.columns.empty()) return result;
  if (!same_types(statement.columns, result->columns)) {
    return refused(error_id::kPrepared,
                   "the statement gives other columns now than when it was prepared",
                   "prepare it again");
  }
  // With values in the parameters' places a column without a name has another one.
  result->columns = statement.columns;
  return result;
}

Result<std::shared_ptr<LiveQuery>> SqlSession::open_live(
    const SessionPlan& plan, std::span<const std::optional<std::string>> values) {
  if (plan.nodes.empty())
    return runner_.subscribe(who_, *plan.select, plan.live_columns, *plan.subscribe);
  ParsedSelect bound{.text = plan.select->text, .tree = {}, .past = {}};
  MR_TRY(auto tree, with_values(plan.select->tree, plan.nodes, values));
  bound.tree = std::move(tree.get_object());
  return runner_.subscribe(who_, bound, plan.live_columns, *plan.subscribe);
}

/// SELECT set_config('name', 'value', false), which clients send in place of SET.
Status SqlSession::take_set_config(const SessionPlan& plan) {
  for (const auto& [name, value, local] : plan.set_configs)
    MR_RETURN_IF_ERROR(settings_.set(name, value, local));
  return {};
}

/// Whether a value is what failed: then it is told which one.
Error SqlSession::blame(const PreparedStatement& statement,
                        std::span<const std::optional<std::string>> values, Error error) {
  constexpr std::size_t kTried = 100;
  if (error.id != error_id::kSqlFailed || values.empty() || values.size() > kTried) return error;
  const auto& nodes = statement.plan->nodes;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i] || statement.parameters[i].kind == TypeKind::kVarchar) continue;
    auto probe = StatementRunner::read_select("SELECT $1");
    auto node = nodes[i].of(i, values[i]);
    if (!probe || !node) continue;
    boost::json::value tree = std::move(probe->tree);
    sql::replace_parameters(tree, [&](std::size_t) { return *node; });
    probe->tree = std::move(tree.get_object());
    const auto tried = runner_.select(who_, *probe, {.deadline_ms = 1000});
    if (tried || tried.error().id != error_id::kSqlFailed) continue;
    return Error{.code = ErrorCode::kInvalidArgument,
                 .id = std::string(error_id::kBadValue),
                 .message = fmt::format("the value of ${} is not a {}", i + 1,
                                        statement.parameters[i].sql()),
                 .hint = tried.error().message,
                 .place = {}};
  }
  return error;
}

Result<StatementResult> SqlSession::execute_data(
    const PreparedStatement& statement, std::span<const std::optional<std::string>> values) {
  const auto& plan = *statement.plan;
  const auto& parsed = *plan.statement;
  if (std::holds_alternative<sql::Select>(parsed)) return execute_select(statement, values);
  if (only_reads(parsed)) return runner_.run_as(who_, parsed, context());
  const bool open = transaction_.state() == TransactionState::kOpen;
  if (open ? transaction_.read_only() : settings_.is_on("default_transaction_read_only")) {
    return refused(error_id::kReadOnly, "the transaction is READ ONLY: nothing is changed in it",
                   "BEGIN READ WRITE");
  }
  if (plan.nodes.empty()) return change(parsed);
  sql::Statement bound = parsed;
  if (auto* insert = std::get_if<sql::Insert>(&bound)) {
    MR_TRY(const auto tree, with_values(plan.select->tree, plan.nodes, values));
    MR_TRY(insert->select, sql::select_text(tree.get_object()));
  } else {
    auto* update = std::get_if<sql::Update>(&bound);
    auto* remove = std::get_if<sql::Delete>(&bound);
    std::vector<std::string> texts;
    for (const auto& expression : plan.expressions) {
      MR_TRY(const auto tree, with_values(expression, plan.nodes, values));
      MR_TRY(auto text, sql::expression_text(tree));
      texts.push_back(std::move(text));
    }
    auto& where = update != nullptr ? update->where : remove->where;
    if (!where.empty()) where = texts.back();
    for (std::size_t i = 0; update != nullptr && i < update->assignments.size(); ++i)
      update->assignments[i].expression = texts[i];
  }
  auto result = change(bound);
  if (!result) return std::unexpected(blame(statement, values, std::move(result).error()));
  return result;
}

Result<StatementResult> SqlSession::change(const sql::Statement& statement) {
  const bool open = transaction_.state() == TransactionState::kOpen;
  const auto* insert = std::get_if<sql::Insert>(&statement);
  if (open && insert != nullptr && runner_.is_stream(insert->table)) {
    // Checked and computed now, appended by COMMIT.
    MR_TRY(auto rows, runner_.insert_rows(who_, *insert, context()));
    const auto count = rows.rows;
    MR_RETURN_IF_ERROR(transaction_.add(std::move(rows)));
    return bare(changed("INSERT", count));
  }
  MR_TRY(auto result, runner_.run_as(who_, statement, context()));
  if (open) transaction_.note_permanent(result.command);
  return bare(std::move(result));
}

}  // namespace millrace::serving
