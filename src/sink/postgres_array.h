// Columns as PostgreSQL's arrays in binary form, which unnest() makes rows of: how many rows reach
// a table in one statement. Source: array_send of PostgreSQL 15 (arrayfuncs.c). Pure.
#pragma once

#include <cstdint>
#include <string>

#include "model/column_batch.h"

namespace millrace::sink {

/// What a column of ours is in a table of PostgreSQL.
struct PostgresType {
  std::string sql;  // as format_type() writes it
  std::uint32_t oid = 0;
  std::uint32_t array_oid = 0;
};
/// JSON and nested types are jsonb: an array of arrays would lose its edges in unnest().
[[nodiscard]] PostgresType postgres_type(const Type& type);

/// Appends the first `rows` values.
void append_array(const ColumnView& column, std::size_t rows, std::string& out);

}  // namespace millrace::sink
