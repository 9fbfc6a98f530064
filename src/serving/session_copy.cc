// COPY: which columns it has, and the rows of COPY stream FROM STDIN, which go through ingest as
// CSV does: all or none of a piece.
#include <future>

#include "base/ascii_case.h"
#include "format/base64.h"
#include "format/row_text.h"
#include "serving/session_plan.h"
#include "serving/sql_session.h"
#include "serving/statement_rows.h"

namespace millrace::serving {

namespace {

Status one_character(const std::optional<std::string>& text, std::string_view what, char& out) {
  if (!text) return {};
  const bool good =
      text->size() == 1 && (*text)[0] != '\n' && (*text)[0] != '\r' && (*text)[0] != '\0';
  if (!good) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "COPY: {} is one character of one byte", what);
  }
  out = (*text)[0];
  return {};
}

/// A field that the CSV decoder reads as this text of the type.
void append_field(const Type& type, const std::optional<std::string>& value, std::string& out) {
  if (!value) return;  // an empty field without quotes is NULL
  std::string_view text = *value;
  std::string made;
  if (type.kind == TypeKind::kBoolean) {
    if (text == "t") text = "true";
    if (text == "f") text = "false";
  } else if (type.kind == TypeKind::kBlob) {
    made = format::base64_encode(text);
    text = made;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

}  // namespace

Status SqlSession::plan_copy(const sql::Copy& copy, SessionPlan& plan, PreparedStatement& out) {
  CopyPlan made;
  made.in = copy.in;
  made.header = copy.header;
  const bool csv = copy.format == sql::Copy::Format::kCsv;
  made.format = csv ? CopyPlan::Format::kCsv
                    : (copy.format == sql::Copy::Format::kBinary ? CopyPlan::Format::kBinary
                                                                 : CopyPlan::Format::kText);
  made.delimiter = csv ? ',' : '\t';
  made.null = copy.null.value_or(csv ? "" : "\\N");
  MR_RETURN_IF_ERROR(one_character(copy.delimiter, "DELIMITER", made.delimiter));
  MR_RETURN_IF_ERROR(one_character(copy.quote, "QUOTE", made.quote));
  made.escape = made.quote;
  MR_RETURN_IF_ERROR(one_character(copy.escape, "ESCAPE", made.escape));
  if (!csv && (copy.quote || copy.escape)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption,
                "COPY: QUOTE and ESCAPE are options of CSV");
  }
  if (copy.in) {
    if (!runner_.is_stream(copy.relation) || !runner_.may_publish(who_, copy.relation)) {
      return std::unexpected(
          Error{.code = ErrorCode::kNotFound,
                .id = std::string(error_id::kStreamNotFound),
                .message = fmt::format("there is no stream {} to COPY into", copy.relation),
                .hint = "COPY ... FROM STDIN is for streams",
                .place = {}});
    }
    MR_TRY(
        made.columns,
        runner_.columns_of_insert(
            {.table = copy.relation, .columns = copy.columns, .select = {}, .select_place = {}}));
    out.copy = std::move(made);
    return {};
  }
  if (!copy.query.empty()) {
    MR_TRY(const bool live, plan_inner_subscribe(copy.query, plan, out));
    if (live) {
      made.columns = std::exchange(out.columns, {});
      out.copy = std::move(made);
      return {};
    }
  }
  std::string query = copy.query;
  if (query.empty()) {
    std::string items;
    for (const auto& column : copy.columns)
      items += (items.empty() ? "" : ", ") + quote_identifier(column);
    query = fmt::format("SELECT {} FROM {}", items.empty() ? "*" : items,
                        quote_identifier(copy.relation));
  }
  MR_TRY(plan.select, StatementRunner::read_select(query));
  MR_TRY(auto shape, runner_.shape_of(who_, *plan.select));
  made.columns = std::move(shape.columns);
  out.copy = std::move(made);
  return {};
}

Result<std::uint64_t> SqlSession::copy_in(const PreparedStatement& statement,
                                          std::span<const std::optional<std::string>> values) {
  if (!copy_) {
    if (transaction_.state() == TransactionState::kFailed)
      return std::unexpected(refused_in_failed());
    if (transaction_.state() == TransactionState::kOpen && transaction_.read_only()) {
      return fail(ErrorCode::kFailedPrecondition, error_id::kReadOnly,
                  "the transaction is READ ONLY: nothing is changed in it");
    }
    copy_.emplace();
  }
  const auto& columns = statement.copy->columns;
  if (values.size() % columns.size() != 0) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue, "a row of COPY has {} values",
                columns.size());
  }
  if (copy_->body.empty()) format::append_csv_header(copy_->body, columns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    append_field(columns[i % columns.size()].type, values[i], copy_->body);
    copy_->body += (i + 1) % columns.size() == 0 ? '\n' : ',';
  }
  const std::uint64_t rows = values.size() / columns.size();
  copy_->body_rows += rows;
  if (copy_->body.size() >= kCopyPieceBytes) MR_RETURN_IF_ERROR(store_piece(statement));
  return rows;
}

Status SqlSession::store_piece(const PreparedStatement& statement) {
  const auto& copy = std::get<sql::Copy>(*statement.plan->session);
  auto stored = runner_.append_csv(who_, copy.relation, std::exchange(copy_->body, {}),
                                   copy_->body_rows, copy_->rows);
  if (!stored) {
    copy_.reset();
    if (transaction_.state() == TransactionState::kOpen) transaction_.fail_with();
    return std::unexpected(std::move(stored).error());
  }
  copy_->rows += std::exchange(copy_->body_rows, 0);
  return {};
}

Result<StatementResult> SqlSession::copy_end(const PreparedStatement& statement) {
  if (copy_ && copy_->body_rows != 0) MR_RETURN_IF_ERROR(store_piece(statement));
  const std::uint64_t rows = copy_ ? copy_->rows : 0;
  copy_.reset();
  if (transaction_.state() == TransactionState::kOpen && rows != 0)
    transaction_.note_permanent("COPY");
  auto out = done("COPY");
  out.affected = rows;
  out.rows = rows;
  transaction_.touch();
  return out;
}

}  // namespace millrace::serving
