// How a lake file is read in SQL: which form the columns of a stream have in Parquet, and back.
// Parquet has no integers of 128 bits, DuckDB would write them as doubles: they are kept as text.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/stream.h"

namespace millrace::sql {

/// "SELECT columns, _partition, _offset, _arrival FROM read_parquet([...])", the columns in their
/// own types.
[[nodiscard]] std::string lake_select(std::span<const std::filesystem::path> paths,
                                      std::span<const Column> columns, bool hidden_columns);
/// A path as DuckDB gets it: the folders that it may use are absolute too.
[[nodiscard]] std::string absolute_text(const std::filesystem::path& path);
/// The pattern that stands for this path only: read_parquet takes every path as a pattern.
[[nodiscard]] std::string literal_pattern(std::string_view path);
/// The select items, for Parquet, of a relation with these columns, and the hidden ones.
[[nodiscard]] std::string parquet_items(std::span<const Column> columns,
                                        bool hidden_columns = true);

}  // namespace millrace::sql
