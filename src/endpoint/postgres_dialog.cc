#include "endpoint/postgres_dialog.h"

#include <limits>
#include <utility>

#include "endpoint/postgres_error.h"
#include "format/json_text.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;

/// So much is encoded at once; the rest waits until the client has read.
constexpr std::size_t kOutBytes = std::size_t{64} * 1024;

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
  return {.code = ErrorCode::kPayloadTooLarge,
          .id = std::string(error_id::kBodyTooLarge),
          .message = fmt::format("the answer has more than {} rows or is too large, and the rest "
                                 "would be missing",
                                 result.rows),
          .hint = "ask for less with LIMIT or WHERE, fetch it by a cursor, or raise sql.rows_max",
          .place = {}};
}

PostgresDialog::PostgresDialog(std::shared_ptr<PostgresServerState> state,
                               std::shared_ptr<serving::SqlSession> session, access::Principal who)
    : state_(std::move(state)), session_(std::move(session)), who_(std::move(who)) {}

void PostgresDialog::abandon() {
  abandoned_.store(true, std::memory_order_release);
  session_->cancel();
}

std::size_t PostgresDialog::run(std::string_view bytes, std::string& out) {
  std::size_t taken = 0;
  sent_whole_ = false;
  if (script_ != nullptr) run_script(out);
  while (!ended_ && !sent_whole_ && !has_rows() && script_ == nullptr && out.size() < kOutBytes &&
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
  const bool counts = std::holds_alternative<postgres::Sync>(*message) ||
                      std::holds_alternative<postgres::Terminate>(*message);
  if (skipping_ && !counts) return;
  std::visit([&](const auto& one) { on(one, out); }, *message);
}

void PostgresDialog::violated(std::string_view what, std::string& out) {
  state_->metrics.violations.fetch_add(1, std::memory_order_relaxed);
  append_report(kProtocolViolation, what, Severity::kFatal, out);
  ended_ = true;
}

void PostgresDialog::report(const Error& error, std::string_view query, std::string_view statement,
                            std::string& out) {
  state_->metrics.statement_errors.fetch_add(1, std::memory_order_relaxed);
  append_report(error, Severity::kError, error_position(error, query, statement), out);
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
    if (has_rows()) return;
  }
  script_.reset();
  ready(out);
}

Status PostgresDialog::run_part(std::string_view part, std::string& out) {
  MR_TRY(const auto plan, session_->prepare(part));
  MR_TRY(auto answer, execute(*plan, {}, {}));
  if (answer->result().truncated) return std::unexpected(cut_off(answer->result()));
  if (answer->has_columns()) answer->describe(out);
  running_ = Running{.answer = std::move(answer),
                     .rows_max = std::numeric_limits<std::uint64_t>::max(),
                     .rows_left = std::numeric_limits<std::uint64_t>::max(),
                     .of_portal = false};
  fill(out);
  return {};
}

Result<std::shared_ptr<PostgresAnswer>> PostgresDialog::execute(
    const serving::PreparedStatement& plan, std::span<const std::optional<std::string>> values,
    const ResultFormats& formats) {
  auto& metrics = state_->metrics;
  metrics.statements.fetch_add(1, std::memory_order_relaxed);
  MR_TRY(auto result, session_->execute(plan, values));
  MR_TRY(auto answer, PostgresAnswer::make(std::move(result), formats, metrics.held_bytes,
                                           state_->options.held_bytes_max));
  return std::shared_ptr<PostgresAnswer>(std::move(answer));
}

void PostgresDialog::fill(std::string& out) {
  Running& running = *running_;
  const auto written = running.answer->append_rows(running.rows_left, kOutBytes, out);
  if (written == PostgresAnswer::Written::kFull) return;
  const Running done = std::move(running);
  running_.reset();
  const std::uint64_t rows = done.rows_max - done.rows_left;
  state_->metrics.sent_rows.fetch_add(rows, std::memory_order_relaxed);
  if (written == PostgresAnswer::Written::kRowsMax) {
    postgres::append(postgres::Bare::kPortalSuspended, out);
    return;
  }
  const auto& result = done.answer->result();
  if (result.truncated) {
    skipping_ = done.of_portal;
    report(cut_off(result), {}, {}, out);
    return;
  }
  postgres::append_command_complete(
      command_tag(result.command, done.answer->has_columns() ? rows : result.rows), out);
}

// --- the rest -----------------------------------------------------------------------------------

void PostgresDialog::on(const postgres::Sync&, std::string& out) {
  skipping_ = false;
  ready(out);
}

void PostgresDialog::on(const postgres::Flush&, std::string&) { sent_whole_ = true; }

void PostgresDialog::on(const postgres::Terminate&, std::string&) { ended_ = true; }

void PostgresDialog::on(const postgres::Password&, std::string& out) {
  violated("a password, and nobody asked for one", out);
}

// What is left of a COPY that has failed.
void PostgresDialog::on(const postgres::CopyData&, std::string&) {}
void PostgresDialog::on(const postgres::CopyDone&, std::string&) {}
void PostgresDialog::on(const postgres::CopyFail&, std::string&) {}

void PostgresDialog::on(const postgres::FunctionCall&, std::string& out) {
  append_report("0A000", "functions are not called by their number: use SELECT", Severity::kError,
                out);
  ready(out);
}

}  // namespace millrace::endpoint
