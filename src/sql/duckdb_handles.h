// The C handles of DuckDB with owners, its errors as ours, and what Database and Connection are
// made of. For the files of src/sql only.
#pragma once

#include <duckdb.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sql/database.h"
#include "sql/duckdb_types.h"
#include "sql/row_functions.h"

namespace millrace::sql {

struct Database::Handle {
  duckdb_database database = nullptr;
  std::shared_ptr<RowFunctions> functions;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { duckdb_close(&database); }
};

struct Connection::Handle {
  duckdb_connection connection = nullptr;
  std::shared_ptr<RowFunctions> functions;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { duckdb_disconnect(&connection); }
};

struct PreparedDeleter {
  void operator()(duckdb_prepared_statement statement) const { duckdb_destroy_prepare(&statement); }
};
using Prepared = std::unique_ptr<_duckdb_prepared_statement, PreparedDeleter>;

struct ChunkDeleter {
  void operator()(duckdb_data_chunk chunk) const { duckdb_destroy_data_chunk(&chunk); }
};
using Chunk = std::unique_ptr<_duckdb_data_chunk, ChunkDeleter>;

/// A result; its memory goes with it.
class QueryRows {
 public:
  QueryRows() = default;
  ~QueryRows() { duckdb_destroy_result(&result_); }
  QueryRows(const QueryRows&) = delete;
  QueryRows& operator=(const QueryRows&) = delete;
  [[nodiscard]] duckdb_result* get() { return &result_; }
  /// The next chunk, flat; null at the end and after an error, which status() tells apart.
  [[nodiscard]] Chunk fetch() { return Chunk(duckdb_fetch_chunk(result_)); }
  [[nodiscard]] Status status();

 private:
  duckdb_result result_ = {};
};

/// An error of DuckDB as ours; `text` may be null.
[[nodiscard]] Error duckdb_error(const char* text);

/// Prepares exactly one statement.
Result<Prepared> prepare_statement(Connection::Handle& connection, std::string_view sql);

/// Runs a prepared statement; with `streaming` the rows are made while they are fetched. `stop` is
/// asked between tasks of DuckDB, once it says true the statement ends with kCancelled.
Status run_statement(Connection::Handle& connection, duckdb_prepared_statement statement,
                     bool streaming, QueryRows& rows);
Status run_statement(Connection::Handle& connection, duckdb_prepared_statement statement,
                     QueryRows& rows, const std::function<bool()>& stop);

}  // namespace millrace::sql
