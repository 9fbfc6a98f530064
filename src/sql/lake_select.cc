#include "sql/lake_select.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "format/column_default.h"

namespace millrace::sql {

namespace {

void add_item(std::string& items, const std::string& item) {
  if (!items.empty()) items += ", ";
  items += item;
}

void add_hidden_items(std::string& items) {
  for (const auto name : {kPartitionColumn, kOffsetColumn, kArrivalColumn})
    add_item(items, quote_identifier(name));
}

}  // namespace

std::string absolute_text(const std::filesystem::path& path) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  return (failed ? path : absolute).lexically_normal().string();
}

std::string literal_pattern(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[') {
      out += '[';
      out += c;
      out += ']';
    } else {
      out += c;
    }
  }
  return out;
}

std::string select_from_files(std::string_view items, std::span<const std::filesystem::path> paths,
                              std::string_view file_column) {
  std::string files;
  for (const auto& path : paths)
    add_item(files, quote_literal(literal_pattern(absolute_text(path))));
  return fmt::format(
      "SELECT {} FROM read_parquet([{}], hive_partitioning = false, union_by_name = false, "
      "filename = {})",
      items, files, file_column.empty() ? "false" : quote_literal(file_column));
}

std::string lake_select(std::span<const std::filesystem::path> paths,
                        std::span<const Column> columns, bool hidden_columns) {
  std::string items;
  for (const Column& column : columns) {
    const std::string name = quote_identifier(column.name);
    // A cast to the type that the column has already costs nothing.
    add_item(items, "CAST(" + name + " AS " + column.type.sql() + ") AS " + name);
  }
  if (hidden_columns) add_hidden_items(items);
  return select_from_files(items, paths);
}

std::string lake_items(const StreamDefinition& stream, std::uint32_t version, bool hidden_columns) {
  const auto* columns = stream.columns_of(version);
  std::string items;
  for (std::size_t i = 0; i < stream.columns.size(); ++i) {
    const Column& column = stream.columns[i];
    std::string value;
    if (version == stream.version) {
      value = quote_identifier(column.name);
    } else if (columns != nullptr) {
      const auto found = std::ranges::find(*columns, stream.field_id(i), &Column::id);
      if (found != columns->end()) value = quote_identifier(found->name);
    }
    if (value.empty()) {
      const auto given = format::default_value(column);
      const auto text = given ? value_text(given->column(0).view(), 0) : std::nullopt;
      value = text ? quote_literal(*text) : "NULL";
    }
    add_item(items, fmt::format("CAST({} AS {}) AS {}", value, column.type.sql(),
                                quote_identifier(column.name)));
  }
  if (hidden_columns) add_hidden_items(items);
  return items;
}

std::string lake_select(std::span<const LakeFile> files, const StreamDefinition& stream,
                        bool hidden_columns) {
  std::map<std::uint32_t, std::vector<std::filesystem::path>> by_version;
  for (const LakeFile& file : files) by_version[file.version].push_back(file.path);
  std::string out;
  for (const auto& [version, paths] : by_version) {
    if (!out.empty()) out += " UNION ALL ";
    out += select_from_files(lake_items(stream, version, hidden_columns), paths);
  }
  return out;
}

std::string parquet_items(std::span<const Column> columns, bool hidden_columns) {
  std::string items;
  for (const Column& column : columns) {
    const std::string name = quote_identifier(column.name);
    add_item(items, column.type.kind == TypeKind::kHugeInt
                        ? "CAST(" + name + " AS VARCHAR) AS " + name
                        : name);
  }
  if (hidden_columns) add_hidden_items(items);
  return items;
}

}  // namespace millrace::sql
