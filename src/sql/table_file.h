// Reference tables and files: one Parquet file per content of a table, written and read by us, and
// the files of users that a table is made from (CSV, Parquet, JSON). Thread: any. Errors:
// kInvalidArgument (kSqlFailed) where a user's file is not what its name says, kResourceExhausted
// (kTableTooLarge), kDataLoss (kChecksum) where a file of ours cannot be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "model/stream.h"
#include "sql/database.h"

namespace millrace::sql {

/// Does not sync.
Status write_table_file(Database& database, const std::filesystem::path& path,
                        std::span<const Column> columns, const ColumnBatch& rows);
Result<std::shared_ptr<const ColumnBatch>> read_table_file(Database& database,
                                                           const std::filesystem::path& path,
                                                           std::span<const Column> columns);

struct TableRows {
  std::vector<Column> columns;
  std::shared_ptr<ColumnBatch> rows;
};

/// Reads a file by the end of its name: .csv, .tsv, .parquet, .json, .jsonl, .ndjson, also with .gz
/// or .zst behind. Where `columns` are given, those are taken from it by name and cast; otherwise
/// names and types are those of the file. In a database of its own that may read the file's folder.
Result<TableRows> read_user_file(const std::filesystem::path& path, std::span<const Column> columns,
                                 std::uint64_t bytes_max);

}  // namespace millrace::sql
