// COPY: the rows of an answer as data, and a client's data as rows for the session.
#include <utility>

#include "endpoint/postgres_dialog.h"
#include "endpoint/postgres_error.h"
#include "wire/postgres_value.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;

/// So much data is read before the session gets its rows.
constexpr std::size_t kPieceBytes = std::size_t{256} * 1024;

}  // namespace

Status PostgresDialog::run_copy(std::shared_ptr<const serving::PreparedStatement> plan,
                                std::string& out) {
  if (plan->copy->in) {
    begin_copy_in(std::move(plan), out);
    return {};
  }
  MR_TRY(auto answer, answer_of(session_->execute(*plan), {}, out));
  if (answer->result().truncated) return std::unexpected(cut_off(answer->result()));
  answer->copy_out(copy_options(*plan->copy));
  answer->describe(out);
  run_rows({.answer = std::move(answer), .rows_max = kAllRows, .rows_left = kAllRows}, out);
  return {};
}

void PostgresDialog::begin_copy_in(std::shared_ptr<const serving::PreparedStatement> plan,
                                   std::string& out) {
  const auto& copy = *plan->copy;
  std::vector<std::uint32_t> types;
  for (const auto& column : copy.columns) types.push_back(postgres::wire_type(column.type).oid);
  const bool binary = copy.format == serving::CopyPlan::Format::kBinary;
  postgres::append_copy_in(binary ? postgres::Format::kBinary : postgres::Format::kText,
                           static_cast<std::uint16_t>(types.size()), out);
  postgres::CopyReader reader(copy_options(copy), std::move(types),
                              state_->options.message_bytes_max);
  copying_ = std::make_unique<Copying>(
      Copying{.plan = std::move(plan), .reader = std::move(reader), .values = {}});
  // The client begins when it has read this.
  sent_whole_ = true;
}

Status PostgresDialog::give_copied() {
  copying_->bytes = 0;
  if (copying_->values.empty()) return {};
  MR_TRY(const auto taken, session_->copy_in(*copying_->plan, copying_->values));
  static_cast<void>(taken);
  copying_->values.clear();
  return {};
}

Result<serving::StatementResult> PostgresDialog::end_copy() {
  MR_RETURN_IF_ERROR(copying_->reader.finish(copying_->values));
  MR_RETURN_IF_ERROR(give_copied());
  return session_->copy_end(*copying_->plan);
}

void PostgresDialog::fail_copy(const Error& error, std::string& out) {
  session_->copy_cancel();
  copying_.reset();
  if (script_ != nullptr) {
    report(error, {}, {}, out);
    script_.reset();
    ready(out);
    return;
  }
  report(error, {}, {}, out);
  skipping_ = true;
}

void PostgresDialog::on(const postgres::CopyData& data, std::string& out) {
  // What is left of one that has failed.
  if (copying_ == nullptr) return;
  auto done = copying_->reader.read(data.bytes, copying_->values);
  copying_->bytes += data.bytes.size();
  if (done && copying_->bytes >= kPieceBytes) done = give_copied();
  if (!done) fail_copy(done.error(), out);
}

void PostgresDialog::on(const postgres::CopyDone&, std::string& out) {
  if (copying_ == nullptr) return;
  auto result = end_copy();
  tell(out);
  if (!result) return fail_copy(result.error(), out);
  copying_.reset();
  postgres::append_command_complete(
      command_tag(result->command, result->affected.value_or(result->rows)), out);
  if (script_ != nullptr) run_script(out);
}

void PostgresDialog::on(const postgres::CopyFail& fail, std::string& out) {
  if (copying_ == nullptr) return;
  fail_copy(Error{.code = ErrorCode::kCancelled,
                  .id = std::string(error_id::kCancelled),
                  .message = fmt::format("the client gave up the COPY: {}", fail.reason),
                  .hint = {},
                  .place = {}},
            out);
}

}  // namespace millrace::endpoint
