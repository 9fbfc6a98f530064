#include "endpoint/postgres_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "wire/postgres_value.h"

namespace millrace::endpoint {
namespace {

namespace postgres = wire::postgres;
using postgres::Format;

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
  for (const std::string_view counted : {"SELECT", "UPDATE", "DELETE", "FETCH", "MOVE", "COPY"}) {
    if (command == counted) return fmt::format("{} {}", command, rows);
  }
  return std::string(command);
}

Result<std::unique_ptr<PostgresAnswer>> PostgresAnswer::make(serving::StatementResult result,
                                                             ResultFormats formats,
                                                             std::atomic<std::uint64_t>& held_bytes,
                                                             std::uint64_t held_bytes_max) {
  std::uint64_t bytes = 0;
  for (const auto& batch : result.batches) bytes += batch->size_bytes();
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
  return Written::kAll;
}

}  // namespace millrace::endpoint
