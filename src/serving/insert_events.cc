// INSERT INTO a stream: its rows are computed as a SELECT, checked and run in a worker process like
// any other, written as JSON lines, and go through ingest as one request that stores all of them or
// none. Thread and errors: those of statement_runner.h; kInvalidArgument for a row that the stream
// does not take, with its number.
#include <future>

#include "base/ascii_case.h"
#include "format/record_json.h"
#include "ingest/ingest.h"
#include "serving/statement_runner.h"
#include "sql/syntax.h"

namespace millrace::serving {

namespace {

/// Of one INSERT, as JSON. What the log takes at once.
constexpr std::size_t kInsertBytesMax = std::size_t{32} << 20;

Result<Column> column_named(const StreamDefinition& stream, std::string_view name) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < stream.columns.size(); ++i) {
    if (i == stream.unknown_column) continue;
    if (same_name(stream.columns[i].name, name)) return stream.columns[i];
    names.push_back(stream.columns[i].name);
  }
  return std::unexpected(
      Error{.code = ErrorCode::kInvalidArgument,
            .id = std::string(error_id::kColumnNotFound),
            .message = fmt::format("stream {} has no column {} to insert into", stream.name, name),
            .hint = fmt::format("its columns are {}", fmt::join(names, ", ")),
            .place = {}});
}

/// Why nothing can be inserted; empty where it can.
std::string_view refusal(const StreamDefinition& stream, bool quarantine, bool or_replace) {
  if (stream.source) return "is a derived stream: its events are made of those of another stream";
  if (quarantine) return "is the quarantine of a stream: its rows come of refused records";
  if (or_replace) return "is a stream: its events stay as they are, and nothing replaces them";
  return {};
}

/// A stream with the columns that are set and no others, for writing them.
StreamDefinition narrowed(const StreamDefinition& stream, std::vector<Column> columns) {
  StreamDefinition out;
  out.name = stream.name;
  out.columns = std::move(columns);
  return out;
}

}  // namespace

Result<std::vector<Column>> StatementRunner::columns_of_insert(const sql::Insert& statement) const {
  std::vector<Column> out;
  if (const auto stream = catalog_.find_stream(statement.table)) {
    for (std::size_t i = 0; statement.columns.empty() && i < stream->columns.size(); ++i) {
      if (i != stream->unknown_column) out.push_back(stream->columns[i]);
    }
    for (const auto& name : statement.columns) {
      MR_TRY(auto column, column_named(*stream, name));
      out.push_back(std::move(column));
    }
    return out;
  }
  MR_TRY(const auto table, table_named(statement.table));
  if (statement.columns.empty()) return table.columns;
  for (const auto& name : statement.columns) {
    const auto found = std::ranges::find_if(
        table.columns, [&](const Column& column) { return same_name(column.name, name); });
    // insert() says which there are.
    out.push_back(found == table.columns.end() ? Column{name, Type{TypeKind::kVarchar}} : *found);
  }
  return out;
}

Result<InsertRows> StatementRunner::insert_rows(const access::Principal& who,
                                                const sql::Insert& statement,
                                                const StatementContext& context) {
  InsertRows out;
  out.stream = speed_.find_stream(statement.table);
  if (out.stream == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound, "there is no stream {}",
                statement.table);
  }
  const auto& stream = out.stream->definition();
  if (const auto why = refusal(stream, speed_.is_quarantine(stream.id), statement.or_replace);
      !why.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kInUse, "{} {}", stream.name, why);
  }
  MR_TRY(auto columns, columns_of_insert(statement));
  std::string items;
  std::string names;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    items += fmt::format("{}CAST(c{} AS {})", i == 0 ? "" : ", ", i, columns[i].type.sql());
    names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  }
  MR_TRY(auto select, read_select(statement.select));
  MR_TRY(const auto given, shape_of(who, select));
  if (given.columns.size() != columns.size()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kSyntax,
                "the rows have {} columns, and {} are to be set in stream {}", given.columns.size(),
                columns.size(), stream.name);
  }
  // Composed of DuckDB's own text of the tree, so nothing of it leaves its parentheses.
  MR_TRY(const auto inner, sql::select_text(select.tree));
  MR_TRY(auto whole,
         read_select(fmt::format("SELECT {} FROM ({}\n) AS mr_new({})", items, inner, names)));
  whole.past = std::move(select.past);
  auto all = context;
  all.rows_max = ~std::uint64_t{0};
  all.whole = false;
  auto result = this->select(who, whole, all);
  if (!result) {
    auto error = std::move(result).error();
    error.place = {};  // of the text that was put together
    return std::unexpected(std::move(error));
  }
  const auto too_large = [&] {
    return std::unexpected(
        Error{.code = ErrorCode::kPayloadTooLarge,
              .id = std::string(error_id::kBodyTooLarge),
              .message = fmt::format("the rows take more than {} MiB, which is the most that one "
                                     "INSERT may put into a stream",
                                     kInsertBytesMax >> 20),
              .hint = "insert fewer rows at once",
              .place = {}});
  };
  if (result->truncated) return too_large();
  const auto shape = narrowed(stream, std::move(columns));
  for (const auto& batch : result->batches) {
    std::vector<Type> types;
    for (const auto& column : shape.columns) types.push_back(column.type);
    auto rows = std::make_shared<ColumnBatch>(types);
    rows->append_all({batch->views(), batch->rows()});
    format::Decoded decoded{.columns = std::move(rows), .values = {}, .text = {}, .rejected = {}};
    if (!format::write_records(shape, decoded)) return too_large();
    for (const auto& value : decoded.values) {
      if (out.lines.size() + value.size() > kInsertBytesMax) return too_large();
      out.lines += value;
      out.lines += '\n';
    }
    out.rows += batch->rows();
  }
  return out;
}

Result<std::uint64_t> StatementRunner::store(const std::shared_ptr<speed::StreamState>& stream,
                                             std::string_view body, const format::PayloadType& type,
                                             std::uint64_t rows, std::uint64_t rows_before) {
  auto told = std::make_shared<std::promise<Result<ingest::IngestReply>>>();
  auto answer = told->get_future();
  lake_writer_.ingest().submit(
      stream, PaddedBytes::copy_of(body), type, "sql",
      [told](Result<ingest::IngestReply> reply) { told->set_value(std::move(reply)); },
      {.on_error = ingest::OnError::kReject});
  MR_TRY(const auto reply, answer.get());
  if (reply.rejected.empty()) {
    if (reply.accepted + reply.duplicates == rows) return reply.accepted;
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "{} of {} rows were stored, and {} were there already", reply.accepted, rows,
                reply.duplicates);
  }
  const auto& first = reply.rejected.front();
  const std::uint64_t header = type.format == format::Format::kCsv ? 1 : 0;
  return std::unexpected(
      Error{.code = ErrorCode::kInvalidArgument,
            .id = first.id,
            .message = fmt::format("row {}: {}", rows_before + first.line - header, first.reason),
            .hint = rows_before == 0
                        ? std::string("no row of the statement was stored")
                        : fmt::format("the {} rows before this part are stored", rows_before),
            .place = {}});
}

Result<std::uint64_t> StatementRunner::append(const InsertRows& rows) {
  if (rows.rows == 0) return std::uint64_t{0};
  return store(rows.stream, rows.lines, format::JsonFraming::kLines, rows.rows, 0);
}

Result<std::uint64_t> StatementRunner::append_csv(const access::Principal& who,
                                                  std::string_view stream, std::string body,
                                                  std::uint64_t rows, std::uint64_t rows_before) {
  MR_RETURN_IF_ERROR(access_.require(who, Privilege::kPublish, stream));
  const auto state = speed_.find_stream(stream);
  if (state == nullptr || speed_.is_quarantine(state->definition().id)) {
    return fail(ErrorCode::kNotFound, error_id::kStreamNotFound,
                "there is no stream {} to COPY into", stream);
  }
  format::PayloadType type;
  type.format = format::Format::kCsv;
  type.csv.blank_records = true;  // a row whose only column is NULL
  return store(state, body, type, rows, rows_before);
}

}  // namespace millrace::serving
