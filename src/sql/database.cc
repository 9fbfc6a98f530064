#include "sql/database.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <thread>

#include "sql/duckdb_handles.h"
#include "sql/lake_select.h"
#include "sql/nested_vector.h"
#include "sql/sink_statement.h"

namespace millrace::sql {

namespace {

Status run_text(duckdb_connection connection, const std::string& sql) {
  QueryRows rows;
  if (duckdb_query(connection, sql.c_str(), rows.get()) == DuckDBSuccess) return {};
  return std::unexpected(duckdb_error(duckdb_result_error(rows.get())));
}

/// Before any other text: afterwards nothing of this can be changed.
std::vector<std::string> settings_of(const DatabaseOptions& options) {
  std::vector<std::string> out = {
      "SET GLOBAL autoinstall_known_extensions = false",
      "SET GLOBAL autoload_known_extensions = false",
      "SET GLOBAL allow_community_extensions = false",
      "SET GLOBAL allow_persistent_secrets = false",
      "SET GLOBAL TimeZone = 'UTC'",
      fmt::format("SET GLOBAL threads = {}", std::max<std::uint32_t>(options.threads, 1)),
      fmt::format("SET GLOBAL memory_limit = '{}B'", options.memory_bytes_max),
      fmt::format(
          "SET GLOBAL temp_directory = {}",
          quote_literal(options.spill_folder.empty() ? std::string()
                                                     : absolute_text(options.spill_folder))),
  };
  if (!options.folders.empty()) {
    std::vector<std::string> folders;
    for (const auto& folder : options.folders) {
      const std::string path = absolute_text(folder);
      folders.push_back(quote_literal(path));
      // DuckDB asks for the pattern first, then for the files that it finds.
      if (const auto pattern = literal_pattern(path); pattern != path)
        folders.push_back(quote_literal(pattern));
    }
    out.push_back(fmt::format("SET GLOBAL allowed_directories = [{}]", fmt::join(folders, ", ")));
  }
  out.push_back("SET GLOBAL enable_external_access = false");
  out.push_back("SET GLOBAL lock_configuration = true");
  return out;
}

Result<std::unique_ptr<Connection::Handle>> connect_handle(duckdb_database database) {
  auto handle = std::make_unique<Connection::Handle>();
  if (duckdb_connect(database, &handle->connection) != DuckDBSuccess)
    return fail(ErrorCode::kInternal, error_id::kInternal, "DuckDB gave no connection");
  return handle;
}

Result<std::vector<Column>> columns_of(duckdb_prepared_statement statement, bool* has_foreign) {
  std::vector<Column> columns;
  const idx_t count = duckdb_prepared_statement_column_count(statement);
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType type(duckdb_prepared_statement_column_logical_type(statement, i));
    const auto known = from_duckdb(type.get());
    if (!known) *has_foreign = true;
    const char* name = duckdb_prepared_statement_column_name(statement, i);
    columns.push_back({name == nullptr ? std::string() : std::string(name),
                       known ? *known : nearest_type(type.get())});
    duckdb_free(const_cast<char*>(name));
  }
  return columns;
}

/// A SELECT around `sql` that casts columns of foreign types to the nearest that we have.
Result<std::string> with_casts(duckdb_prepared_statement statement, std::string_view sql) {
  std::string items;
  std::string names;
  const idx_t count = duckdb_prepared_statement_column_count(statement);
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType type(duckdb_prepared_statement_column_logical_type(statement, i));
    if (i != 0) items += ", ";
    items += from_duckdb(type.get())
                 ? fmt::format("c{}", i)
                 : fmt::format("CAST(c{} AS {})", i, nearest_type(type.get()).sql());
    names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
  }
  return fmt::format("SELECT {} FROM ({}) AS t({})", items, subquery_text(sql), names);
}

}  // namespace

Error duckdb_error(const char* text) {
  // The text begins with the kind. Only a finished result would also tell the kind as a number, a
  // prepared or pending statement does not.
  struct Kind {
    std::string_view prefix;
    ErrorCode code;
    std::string_view id;
  };
  static constexpr std::array kKinds = {
      Kind{"INTERRUPT Error", ErrorCode::kCancelled, error_id::kSqlFailed},
      Kind{"Out of Memory Error", ErrorCode::kResourceExhausted, error_id::kSqlMemory},
      Kind{"IO Error", ErrorCode::kUnavailable, error_id::kDiskFailed},
      Kind{"Permission Error", ErrorCode::kPermissionDenied, error_id::kSqlFailed},
      Kind{"INTERNAL Error", ErrorCode::kInternal, error_id::kInternal},
      Kind{"FATAL Error", ErrorCode::kInternal, error_id::kInternal},
  };
  Error error;
  error.code = ErrorCode::kInvalidArgument;
  error.id = error_id::kSqlFailed;
  error.message = text == nullptr ? "DuckDB gave no reason" : text;
  for (const Kind& kind : kKinds) {
    if (!error.message.starts_with(kind.prefix)) continue;
    error.code = kind.code;
    error.id = kind.id;
  }
  if (error.code == ErrorCode::kUnavailable && error.message.contains("No space left on device")) {
    error.code = ErrorCode::kResourceExhausted;
    error.id = error_id::kDiskFull;
  }
  // The piece of SQL below the text is of the statement that we made, not of the user's.
  if (const auto end = error.message.find("\n\nLINE "); end != std::string::npos) {
    error.message.resize(end);
  }
  if (error.message.starts_with("Binder Error: Referenced column "))
    error.id = error_id::kColumnNotFound;
  if (const auto line = error.message.find('\n'); line != std::string::npos) {
    error.hint = error.message.substr(line + 1);
    error.message.resize(line);
    std::ranges::replace(error.hint, '\n', ' ');
  }
  return error;
}

Status QueryRows::status() {
  const char* text = duckdb_result_error(&result_);
  if (text == nullptr || *text == '\0') return {};
  return std::unexpected(duckdb_error(text));
}

Result<Prepared> prepare_statement(Connection::Handle& connection, std::string_view sql) {
  duckdb_prepared_statement made = nullptr;
  const auto state = duckdb_prepare(connection.connection, std::string(sql).c_str(), &made);
  Prepared statement(made);
  if (state == DuckDBSuccess) return statement;
  return std::unexpected(duckdb_error(duckdb_prepare_error(statement.get())));
}

Status run_statement(Connection::Handle&, duckdb_prepared_statement statement, bool streaming,
                     QueryRows& rows) {
  if (!streaming) {
    if (duckdb_execute_prepared(statement, rows.get()) == DuckDBSuccess) return {};
    auto status = rows.status();
    if (!status) return status;
    return std::unexpected(duckdb_error(nullptr));
  }
  duckdb_pending_result pending = nullptr;
  if (duckdb_pending_prepared_streaming(statement, &pending) != DuckDBSuccess) {
    Error error = duckdb_error(duckdb_pending_error(pending));
    duckdb_destroy_pending(&pending);
    return std::unexpected(std::move(error));
  }
  const auto state = duckdb_execute_pending(pending, rows.get());
  duckdb_destroy_pending(&pending);
  if (state == DuckDBSuccess) return {};
  auto status = rows.status();
  if (!status) return status;
  return std::unexpected(duckdb_error(nullptr));
}

Status run_statement(Connection::Handle& connection, duckdb_prepared_statement statement,
                     QueryRows& rows, const std::function<bool()>& stop) {
  duckdb_pending_result pending = nullptr;
  if (duckdb_pending_prepared(statement, &pending) != DuckDBSuccess) {
    Error error = duckdb_error(duckdb_pending_error(pending));
    duckdb_destroy_pending(&pending);
    return std::unexpected(std::move(error));
  }
  bool stopped = false;
  while (true) {
    if (!stopped && stop()) {
      stopped = true;
      duckdb_interrupt(connection.connection);
    }
    const auto state = duckdb_pending_execute_task(pending);
    if (state == DUCKDB_PENDING_RESULT_READY || state == DUCKDB_PENDING_ERROR) break;
    // The other threads of DuckDB have all that is to do.
    if (state == DUCKDB_PENDING_NO_TASKS_AVAILABLE)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  const auto state = duckdb_execute_pending(pending, rows.get());
  duckdb_destroy_pending(&pending);
  if (state == DuckDBSuccess) return {};
  auto status = rows.status();
  if (!status) return status;
  return std::unexpected(duckdb_error(nullptr));
}

Database::Database(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Database::~Database() = default;

Result<std::shared_ptr<Database>> Database::open(const DatabaseOptions& options) {
  auto handle = std::make_unique<Handle>();
  char* reason = nullptr;
  if (duckdb_open_ext(nullptr, &handle->database, nullptr, &reason) != DuckDBSuccess) {
    Error error = duckdb_error(reason);
    duckdb_free(reason);
    return std::unexpected(std::move(error).within("the SQL engine does not start"));
  }
  MR_TRY(const auto connection, connect_handle(handle->database));
  MR_TRY(handle->functions, RowFunctions::install(connection->connection));
  for (const auto& setting : settings_of(options)) {
    if (auto status = run_text(connection->connection, setting); !status)
      return std::unexpected(std::move(status).error().within("{}", setting));
  }
  return std::shared_ptr<Database>(new Database(std::move(handle)));
}

Result<std::unique_ptr<Connection>> Database::connect() {
  MR_TRY(auto handle, connect_handle(handle_->database));
  handle->functions = handle_->functions;
  return std::unique_ptr<Connection>(new Connection(std::move(handle)));
}

Connection::Connection(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Connection::~Connection() = default;

Status Connection::execute(std::string_view sql) {
  return run_text(handle_->connection, std::string(sql));
}

Result<std::vector<Column>> Connection::query(std::string_view sql, const ChunkVisitor& visit) {
  MR_TRY(Prepared statement, prepare_statement(*handle_, sql));
  bool has_foreign = false;
  MR_TRY(auto columns, columns_of(statement.get(), &has_foreign));
  if (has_foreign &&
      duckdb_prepared_statement_type(statement.get()) == DUCKDB_STATEMENT_TYPE_SELECT) {
    MR_TRY(const std::string wrapped, with_casts(statement.get(), sql));
    MR_TRY(statement, prepare_statement(*handle_, wrapped));
  }
  QueryRows rows;
  MR_RETURN_IF_ERROR(run_statement(*handle_, statement.get(), true, rows));
  // The types that came are what the memory is: those of the prepared statement are only a
  // forecast.
  const idx_t count = duckdb_column_count(rows.get());
  if (count != columns.size())
    return fail(ErrorCode::kInternal, error_id::kInternal, "{} columns were announced, {} came",
                columns.size(), count);
  std::vector<Type> types;
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType type(duckdb_column_logical_type(rows.get(), i));
    const auto known = from_duckdb(type.get());
    if (!known)
      return fail(ErrorCode::kInvalidArgument, error_id::kSqlFailed,
                  "column {} of this statement has a type that cannot be shown", columns[i].name);
    columns[i].type = *known;
    types.push_back(*known);
  }
  ChunkColumns shown;
  while (const Chunk chunk = rows.fetch()) {
    const idx_t size = duckdb_data_chunk_get_size(chunk.get());
    if (size == 0) break;
    shown.clear();
    for (idx_t i = 0; i < types.size(); ++i)
      shown.add(types[i], duckdb_data_chunk_get_vector(chunk.get(), i), size);
    MR_RETURN_IF_ERROR(visit(BatchView{shown.columns(), size}));
  }
  MR_RETURN_IF_ERROR(rows.status());
  return columns;
}

Result<std::vector<Column>> Connection::describe(std::string_view sql) {
  MR_TRY(const Prepared statement, prepare_statement(*handle_, sql));
  bool has_foreign = false;
  return columns_of(statement.get(), &has_foreign);
}

Result<StatementShape> Connection::shape(std::string_view sql) {
  MR_TRY(const Prepared statement, prepare_statement(*handle_, sql));
  StatementShape out;
  bool has_foreign = false;
  MR_TRY(out.columns, columns_of(statement.get(), &has_foreign));
  for (idx_t i = 1; i <= duckdb_nparams(statement.get()); ++i) {
    const char* name = duckdb_parameter_name(statement.get(), i);
    const std::string_view text = name == nullptr ? "" : name;
    std::size_t number = 0;
    const bool good =
        std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc() &&
        number >= 1 && number <= kParametersMax;
    duckdb_free(const_cast<char*>(name));
    if (!good)
      return fail(ErrorCode::kInvalidArgument, error_id::kSyntax, "parameters are $1, $2, ...");
    if (out.parameters.size() < number) out.parameters.resize(number);
    const LogicalType type(duckdb_param_logical_type(statement.get(), i));
    if (type != nullptr) out.parameters[number - 1] = from_duckdb(type.get());
  }
  return out;
}

void Connection::interrupt() { duckdb_interrupt(handle_->connection); }

}  // namespace millrace::sql
