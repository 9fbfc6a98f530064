#include "endpoint/postgres_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "wire/postgres_value.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;
using postgres::Format;

constexpr std::uint64_t kWaitMax = 86'400'000;
/// So much is read from disk at once.
constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;

std::uint64_t size_of(std::span<const std::shared_ptr<const ColumnBatch>> batches) {
  std::uint64_t bytes = 0;
  for (const auto& batch : batches) bytes += batch->size_bytes();
  return bytes;
}

Format format_of(const ResultFormats& formats, std::size_t column) {
  if (formats.empty()) return Format::kText;
  return formats.size() == 1 ? formats[0] : formats[std::min(column, formats.size() - 1)];
}

}  // namespace

wire::postgres::CopyOptions copy_options(const serving::CopyPlan& plan) {
  wire::postgres::CopyOptions options;
  options.format = static_cast<wire::postgres::CopyOptions::Format>(plan.format);
  options.delimiter = plan.delimiter;
  options.quote = plan.quote;
  options.escape = plan.escape;
  options.null = plan.null;
  options.header = plan.header;
  return options;
}

void append_columns(std::span<const Column> columns, const ResultFormats& formats,
                    std::string& out) {
  std::vector<postgres::Field> fields;
  fields.reserve(columns.size());
  for (const auto& column : columns) {
    const auto type = postgres::wire_type(column.type);
    fields.push_back({.name = column.name,
                      .type = type.oid,
                      .type_bytes = type.bytes,
                      .type_modifier = type.modifier,
                      .format = format_of(formats, fields.size())});
  }
  postgres::append_row_description(fields, out);
}

std::string command_tag(std::string_view command, std::uint64_t rows) {
  if (command == "INSERT") return fmt::format("INSERT 0 {}", rows);
  for (const std::string_view counted :
       {"SELECT", "UPDATE", "DELETE", "FETCH", "MOVE", "COPY", "SUBSCRIBE"}) {
    if (command == counted) return fmt::format("{} {}", command, rows);
  }
  return std::string(command);
}

Result<std::unique_ptr<PostgresAnswer>> PostgresAnswer::make(serving::StatementResult result,
                                                             ResultFormats formats,
                                                             std::atomic<std::uint64_t>& held_bytes,
                                                             std::uint64_t held_bytes_max) {
  const std::uint64_t bytes = size_of(result.batches);
  ResultFormats of_columns;
  of_columns.reserve(result.columns.size());
  for (std::size_t i = 0; i < result.columns.size(); ++i)
    of_columns.push_back(format_of(formats, i));
  std::unique_ptr<PostgresAnswer> answer(
      new PostgresAnswer(std::move(result), std::move(of_columns), held_bytes, bytes));
  if (held_bytes.load(std::memory_order_relaxed) > held_bytes_max) {
    auto busy = fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory,
                     "answers that clients have not read yet fill the memory for them");
    return std::unexpected(
        std::move(busy.error()).with_hint("read faster, ask for fewer rows, or try again later"));
  }
  return answer;
}

PostgresAnswer::PostgresAnswer(serving::StatementResult result, ResultFormats formats,
                               std::atomic<std::uint64_t>& held_bytes, std::uint64_t bytes)
    : result_(std::move(result)),
      formats_(std::move(formats)),
      held_bytes_(held_bytes),
      bytes_(bytes) {
  held_bytes_.fetch_add(bytes_, std::memory_order_relaxed);
  if (result_.fetch != nullptr) {
    ready_by_ = std::chrono::steady_clock::now() +
                std::chrono::milliseconds(std::min(result_.fetch->wait_ms, kWaitMax));
  }
}

PostgresAnswer::~PostgresAnswer() { held_bytes_.fetch_sub(bytes_, std::memory_order_relaxed); }

/// False where all rows are written.
bool PostgresAnswer::find_batch() {
  while (batch_ < result_.batches.size()) {
    const auto& batch = *result_.batches[batch_];
    if (row_ < batch.rows()) {
      if (views_.empty()) views_ = batch.views();
      return true;
    }
    views_.clear();
    result_.batches[batch_].reset();
    ++batch_;
    row_ = 0;
  }
  return false;
}

void PostgresAnswer::describe(std::string& out) const {
  if (!copy_) {
    append_columns(result_.columns, formats_, out);
    return;
  }
  const bool binary = copy_->format == postgres::CopyOptions::Format::kBinary;
  postgres::append_copy_out(binary ? Format::kBinary : Format::kText,
                            static_cast<std::uint16_t>(result_.columns.size()), out);
  std::vector<std::string_view> names;
  for (const auto& column : result_.columns) names.push_back(column.name);
  std::string head;
  postgres::append_copy_begin(*copy_, names, head);
  if (!head.empty()) postgres::append_copy_data(head, out);
}

void PostgresAnswer::complete(std::uint64_t rows, std::string& out) const {
  if (copy_) {
    std::string end;
    postgres::append_copy_end(*copy_, end);
    if (!end.empty()) postgres::append_copy_data(end, out);
    postgres::append(postgres::Bare::kCopyDone, out);
    postgres::append_command_complete(command_tag("COPY", rows), out);
    return;
  }
  const std::uint64_t count = has_columns() ? rows : result_.affected.value_or(result_.rows);
  postgres::append_command_complete(command_tag(result_.command, count), out);
}

void PostgresAnswer::append_row(std::string& out) {
  if (copy_) {
    copy_row_.clear();
    postgres::append_copy_row(*copy_, views_, row_++, copy_row_);
    postgres::append_copy_data(copy_row_, out);
    return;
  }
  postgres::RowWriter row(static_cast<std::uint16_t>(views_.size()), out);
  for (std::size_t i = 0; i < views_.size(); ++i) {
    if (!views_[i].valid(row_)) {
      row.null();
      continue;
    }
    row.begin();
    postgres::append_value(views_[i], row_, formats_[i], out);
    row.end();
  }
  row.finish();
  ++row_;
}

PostgresAnswer::Written PostgresAnswer::append_rows(std::uint64_t& rows_left, std::size_t bytes_max,
                                                    std::string& out) {
  while (find_batch()) {
    if (rows_left == 0) return Written::kRowsMax;
    if (out.size() >= bytes_max) return Written::kFull;
    append_row(out);
    --rows_left;
  }
  if (is_over()) return Written::kAll;
  if (rows_left == 0) return Written::kRowsMax;
  return is_ready() ? Written::kMore : Written::kWaiting;
}

/// Whether nothing comes behind what there is: of a FETCH, whether it has what it wanted.
bool PostgresAnswer::is_over() const {
  if (result_.rest != nullptr) return result_.rest->at_end();
  if (result_.live == nullptr) return true;
  if (result_.fetch == nullptr) return false;
  const auto& fetch = *result_.fetch;
  if (fetched_ >= fetch.rows_max || met_progress_) return true;
  // ALL goes up to a progress row, once something came.
  if (fetched_ != 0) return !fetch.to_progress && !result_.live->is_ready();
  return !result_.live->is_ready() && std::chrono::steady_clock::now() >= ready_by_;
}

bool PostgresAnswer::is_ready() const {
  return is_over() || result_.rest != nullptr || result_.live->is_ready();
}

Status PostgresAnswer::advance() {
  if (is_over()) return {};
  return result_.rest != nullptr ? advance_rest() : advance_live();
}

Status PostgresAnswer::advance_live() {
  const std::uint64_t rows_max = result_.fetch == nullptr
                                     ? std::numeric_limits<std::uint64_t>::max()
                                     : result_.fetch->rows_max - fetched_;
  MR_TRY(auto piece, result_.live->next(rows_max));
  if (piece.rows == nullptr) return {};
  fetched_ += piece.rows->rows();
  if (result_.fetch != nullptr && result_.fetch->to_progress && piece.ends_in_progress)
    met_progress_ = true;
  take_piece({std::move(piece.rows)});
  return {};
}

Status PostgresAnswer::advance_rest() {
  std::vector<std::shared_ptr<const ColumnBatch>> batches;
  for (std::uint64_t bytes = 0; bytes < kPieceBytes && !result_.rest->at_end();) {
    auto batch = result_.rest->next();
    if (!batch && batches.empty()) return std::unexpected(std::move(batch).error());
    if (!batch) break;  // it fails again when what is before it was given
    bytes += (*batch)->size_bytes();
    batches.push_back(std::move(*batch));
  }
  take_piece(std::move(batches));
  return {};
}

/// In place of what was written.
void PostgresAnswer::take_piece(std::vector<std::shared_ptr<const ColumnBatch>> batches) {
  const std::uint64_t before = std::exchange(bytes_, size_of(batches));
  held_bytes_.fetch_add(bytes_ - before, std::memory_order_relaxed);
  result_.batches = std::move(batches);
  batch_ = 0;
  row_ = 0;
  views_.clear();
}

}  // namespace millrace::endpoint
