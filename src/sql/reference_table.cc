#include "sql/reference_table.h"

#include "sql/duckdb_handles.h"
#include "sql/row_functions.h"

namespace millrace::sql {

Status make_tables(Connection& connection, std::span<const ReferenceTable> tables) {
  for (const auto& table : tables) {
    auto source = std::make_shared<RowSource>();
    source->columns = table.columns;
    if (table.rows->rows() != 0)
      source->parts.push_back({.columns = table.rows->views(), .rows = table.rows->rows()});
    const RowFunctionId id(connection.handle().functions, source);
    auto made =
        connection.execute(fmt::format("CREATE TEMP TABLE {} AS SELECT * FROM mr_source({})",
                                       quote_identifier(table.name), id.id()));
    if (!made) return std::unexpected(std::move(made).error().within("table {}", table.name));
  }
  return {};
}

}  // namespace millrace::sql
