#include "sql/table_file.h"

#include "base/ascii_case.h"
#include "sql/duckdb_handles.h"
#include "sql/lake_select.h"
#include "sql/row_functions.h"
#include "sql/sink_statement.h"

namespace millrace::sql {

namespace {

/// Collects the chunks of a result.
class Collector {
 public:
  explicit Collector(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  Status add(const BatchView& chunk) {
    if (rows_ == nullptr) start(chunk);
    rows_->append_all(chunk);
    if (rows_->size_bytes() <= bytes_max_) return {};
    return fail(ErrorCode::kResourceExhausted, error_id::kTableTooLarge,
                "the rows take more than {} MiB, which is the most that a table may have",
                bytes_max_ >> 20);
  }
  std::shared_ptr<ColumnBatch> take(std::span<const Column> columns) {
    if (rows_ != nullptr) return std::move(rows_);
    std::vector<Type> types;
    for (const auto& column : columns) types.push_back(column.type);
    return std::make_shared<ColumnBatch>(types);
  }

 private:
  void start(const BatchView& chunk) {
    std::vector<Type> types;
    for (const auto& column : chunk.columns) types.push_back(column.type);
    rows_ = std::make_shared<ColumnBatch>(types);
  }
  const std::uint64_t bytes_max_;
  std::shared_ptr<ColumnBatch> rows_;
};

/// What reads a file of this name, with its options; empty where nothing does.
std::string reader_of(const std::filesystem::path& path, bool typed) {
  std::string name = lower_name(path.filename().string());
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (name.ends_with(packed)) name.resize(name.size() - packed.size());
  }
  const std::string file = quote_literal(literal_pattern(absolute_text(path)));
  // Where types are given nothing is guessed, so that "007" stays "007".
  if (name.ends_with(".csv") || name.ends_with(".tsv"))
    return fmt::format("read_csv({}{})", file, typed ? ", all_varchar = true, header = true" : "");
  if (name.ends_with(".parquet")) return fmt::format("read_parquet({})", file);
  if (name.ends_with(".json") || name.ends_with(".jsonl") || name.ends_with(".ndjson"))
    return fmt::format("read_json({})", file);
  return {};
}

}  // namespace

Status write_table_file(Database& database, const std::filesystem::path& path,
                        std::span<const Column> columns, const ColumnBatch& rows) {
  MR_TRY(const auto connection, database.connect());
  Connection::Handle& handle = connection->handle();
  auto source = std::make_shared<RowSource>();
  source->columns.assign(columns.begin(), columns.end());
  if (rows.rows() != 0) source->parts.push_back({.columns = rows.views(), .rows = rows.rows()});
  const RowFunctionId id(handle.functions, source);
  MR_TRY(const Prepared statement,
         prepare_statement(handle,
                           fmt::format("COPY (SELECT {} FROM mr_source({})) TO {} (FORMAT parquet, "
                                       "COMPRESSION zstd, USE_TMP_FILE false)",
                                       parquet_items(columns, false), id.id(),
                                       quote_literal(absolute_text(path)))));
  QueryRows result;
  return run_statement(handle, statement.get(), false, result);
}

Result<std::shared_ptr<const ColumnBatch>> read_table_file(Database& database,
                                                           const std::filesystem::path& path,
                                                           std::span<const Column> columns) {
  MR_TRY(const auto connection, database.connect());
  Collector collector(~std::uint64_t{0});
  auto read = connection->query(lake_select({&path, 1}, columns, false),
                                [&](const BatchView& chunk) { return collector.add(chunk); });
  if (!read) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "{}: {}", path.string(),
                read.error().message);
  }
  return collector.take(columns);
}

Result<TableRows> read_user_file(const std::filesystem::path& path, std::span<const Column> columns,
                                 std::uint64_t bytes_max) {
  const std::string reader = reader_of(path, !columns.empty());
  if (reader.empty()) {
    auto unknown = fail(ErrorCode::kInvalidArgument, error_id::kSqlFailed,
                        "{}: the end of the name does not tell what is in the file", path.string());
    unknown.error().hint = "it ends in .csv, .tsv, .parquet, .json, .jsonl or .ndjson";
    return unknown;
  }
  MR_TRY(const auto database,
         Database::open({.threads = 1,
                         .memory_bytes_max = bytes_max * 2 + (std::uint64_t{256} << 20),
                         .folders = {path.parent_path()}}));
  MR_TRY(const auto connection, database->connect());
  std::string items;
  for (const auto& column : columns) {
    items += fmt::format("{}CAST({} AS {}) AS {}", items.empty() ? "" : ", ",
                         quote_identifier(column.name), column.type.sql(),
                         quote_identifier(column.name));
  }
  Collector collector(bytes_max);
  auto read =
      connection->query(fmt::format("SELECT {} FROM {}", items.empty() ? "*" : items, reader),
                        [&](const BatchView& chunk) { return collector.add(chunk); });
  if (!read) {
    auto error = std::move(read).error();
    if (error.code == ErrorCode::kUnavailable) error.code = ErrorCode::kInvalidArgument;
    return std::unexpected(std::move(error).within("{}", path.string()));
  }
  TableRows out;
  out.columns = std::move(*read);
  out.rows = collector.take(out.columns);
  return out;
}

}  // namespace millrace::sql
