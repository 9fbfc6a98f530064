// The extended protocol: statements that are prepared, portals, and rows by the piece.
#include <algorithm>
#include <utility>

#include "endpoint/postgres_dialog.h"
#include "endpoint/postgres_error.h"
#include "format/json_text.h"
#include "wire/postgres_value.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;

/// Of a message that an I/O thread answers by itself, and of its answers before they go out.
constexpr std::size_t kAtHandBytesMax = std::size_t{4} * 1024;
constexpr std::size_t kAtHandOutBytes = std::size_t{64} * 1024;

std::unexpected<Error> too_many(std::string_view what, std::string_view hint) {
  auto failed = fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory,
                     "this connection holds too {}", what);
  return std::unexpected(std::move(failed.error()).with_hint(std::string(hint)));
}

/// What the client says that its parameters are; those that it leaves open, and types that are not
/// known here, are for the statement to decide.
Result<std::vector<std::optional<Type>>> types_of(std::span<const std::uint32_t> oids) {
  std::vector<std::optional<Type>> types;
  types.reserve(oids.size());
  for (const auto oid : oids) {
    const auto name = postgres::sql_type_of(oid);
    if (name.empty()) {
      types.emplace_back();
      continue;
    }
    MR_TRY(auto type, Type::parse(name));
    types.emplace_back(std::move(type));
  }
  return types;
}

}  // namespace

void PostgresDialog::refuse(std::string_view state, std::string message, std::string& out) {
  append_report(state, message, Severity::kError, out);
  skipping_ = true;
}

void PostgresDialog::on(const postgres::Parse& parse, std::string& out) {
  if (!may_stay(out)) return;
  if (!parse.statement.empty() && prepared_.contains(parse.statement)) {
    refuse("42P05", fmt::format("the prepared statement \"{}\" exists already", parse.statement),
           out);
    return;
  }
  if (format::first_bad_utf8(parse.text) != parse.text.size()) {
    refuse("22021", "the query is not UTF-8", out);
    return;
  }
  // The unnamed one makes room for the next, also where that is none.
  close_statement(parse.statement);
  was_failed_ = session_->transaction() == serving::TransactionState::kFailed;
  auto prepared = prepare(parse);
  if (!prepared) {
    const auto start = parse.text.find_first_not_of(" \t\r\n");
    report(prepared.error(), parse.text,
           parse.text.substr(start == std::string_view::npos ? 0 : start), out);
    skipping_ = true;
    return;
  }
  prepared_bytes_ += parse.text.size();
  prepared_.insert_or_assign(std::string(parse.statement), std::move(*prepared));
  postgres::append(postgres::Bare::kParseComplete, out);
}

Result<std::shared_ptr<const PostgresDialog::Prepared>> PostgresDialog::prepare(
    const postgres::Parse& parse) {
  const auto& options = state_->options;
  if (prepared_.size() >= options.statements_max ||
      prepared_bytes_ + parse.text.size() > options.prepared_bytes_max)
    return too_many("many prepared statements", "close those that are not needed any more");
  auto out = std::make_shared<Prepared>();
  out->text = parse.text;
  MR_TRY(const auto parts, sql::split_script(out->text));
  if (parts.size() > 1) {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(error_id::kSyntax),
                                 .message = "a prepared statement is one statement, here are more",
                                 .hint = "send them one by one, or as a simple query",
                                 .place = {}});
  }
  if (parts.empty()) return std::shared_ptr<const Prepared>(std::move(out));
  out->statement = parts.front().text;
  MR_TRY(const auto types, types_of(parse.parameter_types));
  MR_TRY(out->plan, session_->prepare(out->statement, types));
  const auto& parameters = out->plan->parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    // What the client said holds for the values that it will send, also where the statement made
    // another type of it.
    const auto said = i < parse.parameter_types.size() ? parse.parameter_types[i] : 0;
    const bool given = said != 0 && said != static_cast<std::uint32_t>(postgres::Oid::kUnknown);
    out->parameter_types.push_back(given ? said : postgres::wire_type(parameters[i]).oid);
  }
  return std::shared_ptr<const Prepared>(std::move(out));
}

void PostgresDialog::on(const postgres::Bind& bind, std::string& out) {
  const auto found = prepared_.find(bind.statement);
  if (found == prepared_.end()) {
    refuse("26000", fmt::format("there is no prepared statement \"{}\"", bind.statement), out);
    return;
  }
  if (!bind.portal.empty() && portals_.contains(bind.portal)) {
    refuse("42P03", fmt::format("the portal \"{}\" exists already", bind.portal), out);
    return;
  }
  const Prepared& prepared = *found->second;
  if (bind.parameters.size() != prepared.parameter_types.size()) {
    refuse(kProtocolViolation,
           fmt::format("the statement has {} parameters, and {} came",
                       prepared.parameter_types.size(), bind.parameters.size()),
           out);
    return;
  }
  const std::size_t columns = prepared.plan == nullptr ? 0 : prepared.plan->columns.size();
  if (bind.result_formats.size() > 1 && bind.result_formats.size() != columns) {
    refuse(kProtocolViolation,
           fmt::format("the statement gives {} columns, and {} formats came", columns,
                       bind.result_formats.size()),
           out);
    return;
  }
  close_portal(bind.portal);
  auto portal = this->bind(bind);
  if (!portal) {
    report(portal.error(), {}, {}, out);
    skipping_ = true;
    return;
  }
  portal->prepared = found->second;
  prepared_bytes_ += portal->bytes;
  portals_.emplace(bind.portal, std::move(*portal));
  postgres::append(postgres::Bare::kBindComplete, out);
}

Result<PostgresDialog::Portal> PostgresDialog::bind(const postgres::Bind& bind) {
  const auto& types = prepared_.find(bind.statement)->second->parameter_types;
  Portal portal;
  portal.formats = bind.result_formats;
  portal.values.reserve(bind.parameters.size());
  for (std::size_t i = 0; i < bind.parameters.size(); ++i) {
    const auto& given = bind.parameters[i];
    if (!given) {
      portal.values.emplace_back();
      continue;
    }
    auto text = postgres::parameter_text(types[i], bind.parameter_format(i), *given);
    if (!text) return std::unexpected(std::move(text).error().within("parameter ${}", i + 1));
    if (format::first_bad_utf8(*text) != text->size() || text->contains('\0')) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadUtf8,
                  "parameter ${} is not UTF-8, or has a NUL", i + 1);
    }
    portal.bytes += text->size();
    portal.values.emplace_back(std::move(*text));
  }
  if (portals_.size() >= state_->options.portals_max ||
      prepared_bytes_ + portal.bytes > state_->options.prepared_bytes_max)
    return too_many("many portals", "close those that are not needed any more, or send Sync");
  return portal;
}

void PostgresDialog::describe(const Prepared& prepared, const ResultFormats& formats,
                              std::string& out) {
  if (prepared.plan == nullptr || prepared.plan->columns.empty() || prepared.plan->copy) {
    postgres::append(postgres::Bare::kNoData, out);
  } else {
    append_columns(prepared.plan->columns, formats, out);
  }
}

void PostgresDialog::on(const postgres::Describe& describe, std::string& out) {
  if (describe.target == postgres::Target::kStatement) {
    const auto found = prepared_.find(describe.name);
    if (found == prepared_.end()) {
      refuse("26000", fmt::format("there is no prepared statement \"{}\"", describe.name), out);
      return;
    }
    postgres::append_parameter_description(found->second->parameter_types, out);
    this->describe(*found->second, {}, out);
    return;
  }
  const auto found = portals_.find(describe.name);
  if (found == portals_.end()) {
    if (const auto* columns = session_->cursor_columns(describe.name); columns != nullptr)
      return append_columns(*columns, {}, out);
    refuse("34000", fmt::format("there is no portal \"{}\"", describe.name), out);
    return;
  }
  this->describe(*found->second.prepared, found->second.formats, out);
}

// --- without the pool ---------------------------------------------------------------------------

std::size_t PostgresDialog::run_at_hand(std::string_view bytes, std::string& out) {
  std::size_t taken = 0;
  while (!ended_ && !running_ && !has_statements() && copying_ == nullptr && !skipping_ &&
         out.size() < kAtHandOutBytes && !abandoned_.load(std::memory_order_acquire)) {
    const auto frame =
        postgres::try_frame(bytes.substr(taken), postgres::Framing::kTyped, kAtHandBytesMax);
    if (frame.state != postgres::Frame::State::kComplete || !take_at_hand(frame, out)) break;
    taken += frame.size;
  }
  return taken;
}

/// False, and nothing happened, where it is for run(): which also tells of what is wrong with it.
bool PostgresDialog::take_at_hand(const postgres::Frame& frame, std::string& out) {
  if (!std::string_view("BDEHS").contains(frame.type)) return false;
  const auto message = postgres::decode(frame.type, frame.body);
  if (!message) return false;
  if (const auto* execute = std::get_if<postgres::Execute>(&*message))
    return execute_at_hand(*execute, out);
  if (const auto* bind = std::get_if<postgres::Bind>(&*message)) {
    const auto found = prepared_.find(bind->statement);
    if (found == prepared_.end() || found->second->plan == nullptr ||
        !serving::SqlSession::is_read_by_key(*found->second->plan))
      return false;
  }
  std::visit([&](const auto& one) { on(one, out); }, *message);
  return true;
}

bool PostgresDialog::execute_at_hand(const postgres::Execute& execute, std::string& out) {
  const auto found = portals_.find(execute.portal);
  if (found == portals_.end() || found->second.answer != nullptr ||
      found->second.prepared->plan == nullptr)
    return false;
  Portal& portal = found->second;
  if (!may_stay(out)) return true;
  auto result = session_->execute_at_hand(*portal.prepared->plan, portal.values);
  if (result && !*result) return false;
  state_->metrics.statements.fetch_add(1, std::memory_order_relaxed);
  was_failed_ = false;
  auto rows = result ? Result<serving::StatementResult>(**std::move(result))
                     : std::unexpected(std::move(result).error());
  if (take_result(portal, std::move(rows), execute.rows_max, out))
    give_rows(portal, execute.rows_max, out);
  return true;
}

void PostgresDialog::on(const postgres::Execute& execute, std::string& out) {
  if (!may_stay(out)) return;
  const auto found = portals_.find(execute.portal);
  if (found == portals_.end()) {
    refuse("34000", fmt::format("there is no portal \"{}\"", execute.portal), out);
    return;
  }
  Portal& portal = found->second;
  if (portal.prepared->plan == nullptr) {
    postgres::append(postgres::Bare::kEmptyQuery, out);
    return;
  }
  start(portal, execute.rows_max, out);
}

void PostgresDialog::start(Portal& portal, std::uint32_t rows_max, std::string& out) {
  const auto& plan = *portal.prepared->plan;
  if (portal.answer == nullptr) {
    state_->metrics.statements.fetch_add(1, std::memory_order_relaxed);
    was_failed_ = session_->transaction() == serving::TransactionState::kFailed;
    if (plan.copy) {
      if (const auto begun = run_copy(portal.prepared->plan, out); !begun)
        fail_portal(portal, begun.error(), out);
      return;
    }
    if (!take_result(portal, session_->execute(plan, portal.values), rows_max, out)) return;
  }
  give_rows(portal, rows_max, out);
}

void PostgresDialog::fail_portal(const Portal& portal, const Error& error, std::string& out) {
  report(error, portal.prepared->text, portal.prepared->statement, out);
  skipping_ = true;
}

/// False where there is nothing to give, and the client was told why.
bool PostgresDialog::take_result(Portal& portal, Result<serving::StatementResult> result,
                                 std::uint32_t rows_max, std::string& out) {
  auto answer = answer_of(std::move(result), portal.formats, out);
  if (!answer) {
    fail_portal(portal, answer.error(), out);
    return false;
  }
  const auto& columns = (*answer)->result().columns;
  const auto& described = portal.prepared->plan->columns;
  if (!std::ranges::equal(columns, described, {}, &Column::type, &Column::type)) {
    refuse("0A000", "what the statement reads has changed since it was prepared: prepare it again",
           out);
    return false;
  }
  portal.answer = std::move(*answer);
  // Whoever takes it by the piece gets what there is, and the error at its end.
  if (rows_max == 0 && portal.answer->result().truncated) {
    fail_portal(portal, cut_off(portal.answer->result()), out);
    return false;
  }
  return true;
}

void PostgresDialog::give_rows(const Portal& portal, std::uint32_t rows_max, std::string& out) {
  // Of a portal that was executed before, the session knows nothing any more.
  if (portal.answer->comes_by_and_by()) session_->begin_rows(portal.answer->result());
  const std::uint64_t rows = rows_max == 0 ? kAllRows : rows_max;
  run_rows({.answer = portal.answer, .rows_max = rows, .rows_left = rows, .of_portal = true}, out);
}

void PostgresDialog::close_statement(std::string_view name) {
  const auto found = prepared_.find(name);
  if (found == prepared_.end()) return;
  prepared_bytes_ -= found->second->text.size();
  prepared_.erase(found);
}

void PostgresDialog::close_portal(std::string_view name) {
  const auto found = portals_.find(name);
  if (found == portals_.end()) return;
  prepared_bytes_ -= found->second.bytes;
  portals_.erase(found);
}

void PostgresDialog::on(const postgres::Close& close, std::string& out) {
  if (close.target == postgres::Target::kStatement) {
    close_statement(close.name);
  } else {
    close_portal(close.name);
  }
  postgres::append(postgres::Bare::kCloseComplete, out);
}

}  // namespace millrace::endpoint
