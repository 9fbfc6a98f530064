#include "sql/lake_select.h"

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

std::string lake_select(std::span<const std::filesystem::path> paths,
                        std::span<const Column> columns, bool hidden_columns) {
  std::string items;
  for (const Column& column : columns) {
    const std::string name = quote_identifier(column.name);
    // A cast to the type that the column has already costs nothing.
    add_item(items, "CAST(" + name + " AS " + column.type.sql() + ") AS " + name);
  }
  if (hidden_columns) add_hidden_items(items);
  std::string files;
  for (const auto& path : paths)
    add_item(files, quote_literal(literal_pattern(absolute_text(path))));
  return "SELECT " + items + " FROM read_parquet([" + files +
         "], hive_partitioning = false, union_by_name = false, filename = false)";
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
