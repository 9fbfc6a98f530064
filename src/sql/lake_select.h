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

/// A lake file, and the version of the stream's columns that it has.
struct LakeFile {
  std::filesystem::path path;
  std::uint32_t version = 1;
};
/// The files, with the columns of the definition whatever their version: renamed, cast, and where a
/// file is older than a column, its default.
[[nodiscard]] std::string lake_select(std::span<const LakeFile> files,
                                      const StreamDefinition& stream, bool hidden_columns);
/// The select items that give the definition's columns from a file of the version.
[[nodiscard]] std::string lake_items(const StreamDefinition& stream, std::uint32_t version,
                                     bool hidden_columns);
/// "SELECT items FROM read_parquet([...])", where wanted with a column of each row's file.
[[nodiscard]] std::string select_from_files(std::string_view items,
                                            std::span<const std::filesystem::path> paths,
                                            std::string_view file_column = {});
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
