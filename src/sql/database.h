// DuckDB behind its C API: the only module that sees it. A Database is one in-memory instance,
// locked down before any text of a user reaches it; a Connection runs statements that we made
// ourselves. Thread: a Connection on one thread at a time; several connections of a Database at
// once. Errors: kInvalidArgument (kSqlFailed) with DuckDB's text; kCancelled after interrupt().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::sql {

struct DatabaseOptions {
  std::uint32_t threads = 1;
  std::uint64_t memory_bytes_max = std::uint64_t{512} << 20;
  /// Folders that statements of ours may read and write (Parquet files of the lake); none: no file
  /// at all.
  std::vector<std::filesystem::path> folders = {};
  /// Where DuckDB may spill; empty: nowhere.
  std::filesystem::path spill_folder = {};
};

/// A statement has at most so many: what PostgreSQL's protocol can number.
inline constexpr std::size_t kParametersMax = 65'535;

/// Called for each chunk of a result, 2,048 rows at most. A Status that is an error ends the query
/// with it.
using ChunkVisitor = std::function<Status(const BatchView&)>;

/// What a SELECT with parameters takes and gives.
struct StatementShape {
  std::vector<Column> columns;
  std::vector<std::optional<Type>> parameters;  // of $1, $2, …; none where it cannot be told
};

class Connection;

class Database {
 public:
  static Result<std::shared_ptr<Database>> open(const DatabaseOptions& options);
  ~Database();
  Result<std::unique_ptr<Connection>> connect();

 private:
  friend class Connection;
  struct Handle;
  explicit Database(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

class Connection {
 public:
  ~Connection();
  /// Runs statements that give no rows, or whose rows nobody wants.
  Status execute(std::string_view sql);
  /// Runs one statement and streams its rows. Columns of types that model::Type lacks come as the
  /// nearest it has: arrays of fixed size as LIST, all others as VARCHAR.
  Result<std::vector<Column>> query(std::string_view sql, const ChunkVisitor& visit);
  /// Names and types that a SELECT would give, without running it.
  Result<std::vector<Column>> describe(std::string_view sql);
  /// The same of a SELECT with parameters. Errors: also kInvalidArgument (kSyntax) where one has a
  /// name, or the numbers have a gap that is too wide to be meant.
  Result<StatementShape> shape(std::string_view sql);
  /// Ends a running statement of this connection with kCancelled; on any thread.
  void interrupt();

  struct Handle;
  [[nodiscard]] Handle& handle() { return *handle_; }

 private:
  friend class Database;
  explicit Connection(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

}  // namespace millrace::sql
