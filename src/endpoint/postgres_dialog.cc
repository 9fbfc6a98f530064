#include "endpoint/postgres_dialog.h"

#include <utility>

#include "base/ascii_case.h"
#include "endpoint/postgres_error.h"
#include "format/json_text.h"
#include "sql/tokens.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;

/// So much is encoded at once; the rest waits until the client has read.
constexpr std::size_t kOutBytes = std::size_t{64} * 1024;

/// Whether it begins with the word, behind comments.
bool is_copy(std::string_view statement) {
  const auto tokens = sql::tokenize(statement);
  if (!tokens || tokens->empty()) return false;
  const auto& first = tokens->front();
  return first.kind == sql::TokenKind::kWord &&
         same_name(statement.substr(first.begin, first.end - first.begin), "COPY");
}

postgres::TransactionState wire_state(serving::TransactionState state) {
  switch (state) {
    case serving::TransactionState::kNone:
      return postgres::TransactionState::kIdle;
    case serving::TransactionState::kOpen:
      return postgres::TransactionState::kInTransaction;
    case serving::TransactionState::kFailed:
      return postgres::TransactionState::kFailed;
  }
  return postgres::TransactionState::kIdle;
}

}  // namespace

Error PostgresDialog::cut_off(const serving::StatementResult& result) {
  return {
      .code = ErrorCode::kPayloadTooLarge,
      .id = std::string(error_id::kBodyTooLarge),
      .message = fmt::format("the answer, or a row of it, is too large: behind {} rows the rest "
                             "would be missing",
                             result.rows),
      .hint = "ask for less with LIMIT or WHERE, or raise sql.spill_bytes_max",
      .place = {}};
}

PostgresDialog::PostgresDialog(std::shared_ptr<PostgresServerState> state,
                               std::shared_ptr<serving::SqlSession> session, access::Principal who,
                               std::function<void()> wake)
    : state_(std::move(state)),
      session_(std::move(session)),
      who_(std::move(who)),
      wake_(std::move(wake)) {}

void PostgresDialog::abandon() {
  abandoned_.store(true, std::memory_order_release);
  session_->cancel();
}

std::size_t PostgresDialog::run(std::string_view bytes, std::string& out) {
  std::size_t taken = 0;
  sent_whole_ = false;
  if (running_ && running_->waits) make_rows(out);
  if (!running_ && has_statements()) run_script(out);
  while (!ended_ && !sent_whole_ && !running_ && !has_statements() && out.size() < kOutBytes &&
         !abandoned_.load(std::memory_order_acquire)) {
    const auto frame = postgres::try_frame(bytes.substr(taken), postgres::Framing::kTyped,
                                           state_->options.message_bytes_max);
    // The rest of it, or why it is none, is the connection's.
    if (frame.state != postgres::Frame::State::kComplete) break;
    taken += frame.size;
    take(frame, out);
  }
  return taken;
}

void PostgresDialog::take(const postgres::Frame& frame, std::string& out) {
  const auto message = postgres::decode(frame.type, frame.body);
  if (!message) {
    violated(message.error().what, out);
    return;
  }
  if (copying_ != nullptr && !belongs_to_copy(*message)) {
    fail_copy(Error{.code = ErrorCode::kInvalidArgument,
                    .id = std::string(error_id::kBadPayload),
                    .message = "another message came in the middle of COPY's data",
                    .hint = {},
                    .place = {}},
              out);
  }
  const bool counts = std::holds_alternative<postgres::Sync>(*message) ||
                      std::holds_alternative<postgres::Terminate>(*message);
  if (skipping_ && !counts) return;
  std::visit([&](const auto& one) { on(one, out); }, *message);
}

/// Flush and Sync may come in the middle, and mean nothing there.
bool PostgresDialog::belongs_to_copy(const postgres::Message& message) {
  return std::holds_alternative<postgres::CopyData>(message) ||
         std::holds_alternative<postgres::CopyDone>(message) ||
         std::holds_alternative<postgres::CopyFail>(message) ||
         std::holds_alternative<postgres::Terminate>(message) ||
         std::holds_alternative<postgres::Flush>(message) ||
         std::holds_alternative<postgres::Sync>(message);
}

void PostgresDialog::violated(std::string_view what, std::string& out) {
  state_->metrics.violations.fetch_add(1, std::memory_order_relaxed);
  append_report(kProtocolViolation, what, Severity::kFatal, out);
  ended_ = true;
}

void PostgresDialog::report(const Error& error, std::string_view query, std::string_view statement,
                            std::string& out) {
  state_->metrics.statement_errors.fetch_add(1, std::memory_order_relaxed);
  const auto position = error_position(error, query, statement);
  append_report(error, Severity::kError, position, out, was_failed_);
}

bool PostgresDialog::may_stay(std::string& out) {
  if (state_->access.is_current(who_)) return true;
  append_report("28000", fmt::format("what {} logged in with is not valid any more", who_.text()),
                Severity::kFatal, out);
  ended_ = true;
  return false;
}

void PostgresDialog::ready(std::string& out) {
  const auto transaction = session_->transaction();
  // Portals live as long as their transaction.
  if (transaction == serving::TransactionState::kNone) {
    for (const auto& [name, portal] : portals_) prepared_bytes_ -= portal.bytes;
    portals_.clear();
  }
  postgres::append_ready(wire_state(transaction), out);
  sent_whole_ = true;
}

// --- simple queries -----------------------------------------------------------------------------

void PostgresDialog::on(const postgres::Query& query, std::string& out) {
  if (!may_stay(out)) return;
  // It takes the place of the unnamed ones.
  close_statement("");
  close_portal("");
  if (format::first_bad_utf8(query.text) != query.text.size()) {
    append_report("22021", "the query is not UTF-8", Severity::kError, out);
    ready(out);
    return;
  }
  auto script = std::make_unique<Script>();
  script->text = query.text;
  auto parts = sql::split_script(script->text);
  if (!parts) {
    report(parts.error(), script->text, script->text, out);
    ready(out);
    return;
  }
  if (parts->empty()) {
    postgres::append(postgres::Bare::kEmptyQuery, out);
    ready(out);
    return;
  }
  script->parts = std::move(*parts);
  script_ = std::move(script);
  run_script(out);
}

void PostgresDialog::run_script(std::string& out) {
  while (script_->next < script_->parts.size()) {
    if (out.size() >= kOutBytes || abandoned_.load(std::memory_order_acquire)) return;
    const std::string_view part = script_->parts[script_->next++].text;
    if (!may_stay(out)) {
      script_.reset();
      return;
    }
    if (const auto done = run_part(part, out); !done) {
      report(done.error(), script_->text, part, out);
      break;
    }
    if (running_ || copying_ != nullptr) return;
  }
  script_.reset();
  ready(out);
}

Status PostgresDialog::run_part(std::string_view part, std::string& out) {
  state_->metrics.statements.fetch_add(1, std::memory_order_relaxed);
  was_failed_ = session_->transaction() == serving::TransactionState::kFailed;
  if (is_copy(part)) {
    MR_TRY(auto plan, session_->prepare(part));
    if (plan->copy) return run_copy(std::move(plan), out);
  }
  MR_TRY(auto answer, answer_of(session_->run(part), {}, out));
  if (answer->result().truncated) return std::unexpected(cut_off(answer->result()));
  if (answer->has_columns()) answer->describe(out);
  run_rows({.answer = std::move(answer), .rows_max = kAllRows, .rows_left = kAllRows}, out);
  return {};
}

Result<std::shared_ptr<PostgresAnswer>> PostgresDialog::answer_of(
    Result<serving::StatementResult> result, const ResultFormats& formats, std::string& out) {
  tell(out);
  if (!result) return std::unexpected(std::move(result).error());
  MR_TRY(auto answer, PostgresAnswer::make(*std::move(result), formats, state_->metrics.held_bytes,
                                           state_->options.held_bytes_max));
  return std::shared_ptr<PostgresAnswer>(std::move(answer));
}

void PostgresDialog::run_rows(Running running, std::string& out) {
  running_ = std::move(running);
  if (auto* live = running_->answer->live()) live->on_ready(wake_);
  fill(out);
}

/// The next rows of a SUBSCRIBE, or from disk.
void PostgresDialog::make_rows(std::string& out) {
  const auto made = running_->answer->advance();
  running_->waits = false;
  if (made) {
    fill(out);
    return;
  }
  skipping_ = running_->of_portal;
  running_.reset();
  session_->end_rows(/*failed=*/true);
  report(made.error(), {}, {}, out);
  if (script_ == nullptr) return;
  script_.reset();
  ready(out);
}

void PostgresDialog::tell(std::string& out) {
  for (const auto& notice : session_->take_notices()) {
    append_report(
        notice,
        notice.code == ErrorCode::kFailedPrecondition ? Severity::kWarning : Severity::kNotice, 0,
        out);
  }
  for (const auto& [name, value] : session_->take_reported())
    postgres::append_parameter_status(name, value, out);
}

void PostgresDialog::look_after(std::string& out) {
  if (session_->transaction() != serving::TransactionState::kOpen || ended_ || running_ ||
      copying_ != nullptr)
    return;
  if (!session_->expire_idle()) return;
  append_report("25P03", "the transaction did nothing for too long", Severity::kFatal, out);
  ended_ = true;
}

void PostgresDialog::fill(std::string& out) {
  Running& running = *running_;
  auto written = running.answer->append_rows(running.rows_left, kOutBytes, out);
  if (written == PostgresAnswer::Written::kFull) return;
  // Whoever takes rows by the piece gets what there is, but at least one.
  const bool by_the_piece = running.rows_max != kAllRows && running.rows_left != running.rows_max;
  if (written == PostgresAnswer::Written::kWaiting && by_the_piece)
    written = PostgresAnswer::Written::kRowsMax;
  if (written == PostgresAnswer::Written::kMore || written == PostgresAnswer::Written::kWaiting) {
    running.waits = true;
    return;
  }
  const Running done = std::move(running);
  running_.reset();
  if (done.answer->comes_by_and_by()) session_->end_rows(/*failed=*/false);
  const std::uint64_t rows = done.rows_max - done.rows_left;
  state_->metrics.sent_rows.fetch_add(rows, std::memory_order_relaxed);
  if (written == PostgresAnswer::Written::kRowsMax) {
    postgres::append(postgres::Bare::kPortalSuspended, out);
    return;
  }
  if (done.answer->result().truncated) {
    skipping_ = done.of_portal;
    report(cut_off(done.answer->result()), {}, {}, out);
    return;
  }
  done.answer->complete(rows, out);
}

// --- the rest -----------------------------------------------------------------------------------

void PostgresDialog::on(const postgres::Sync&, std::string& out) {
  if (copying_ != nullptr) return;
  skipping_ = false;
  ready(out);
}

void PostgresDialog::on(const postgres::Flush&, std::string&) { sent_whole_ = true; }

void PostgresDialog::on(const postgres::Terminate&, std::string&) { ended_ = true; }

void PostgresDialog::on(const postgres::Password&, std::string& out) {
  violated("a password, and nobody asked for one", out);
}

void PostgresDialog::on(const postgres::FunctionCall&, std::string& out) {
  append_report("0A000", "functions are not called by their number: use SELECT", Severity::kError,
                out);
  ready(out);
}

}  // namespace millrace::endpoint
