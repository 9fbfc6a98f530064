// model::Type and DuckDB's logical types: which of them are the same thing. The values of such a
// type lie in memory alike on both sides, so that columns pass by memcpy (the static_asserts in
// duckdb_types.cc); those of nested types pass through nested_vector.h.
#pragma once

#include <duckdb.h>

#include <memory>
#include <optional>

#include "model/type.h"

namespace millrace::sql {

struct LogicalTypeDeleter {
  void operator()(duckdb_logical_type type) const { duckdb_destroy_logical_type(&type); }
};
using LogicalType = std::unique_ptr<_duckdb_logical_type, LogicalTypeDeleter>;

[[nodiscard]] LogicalType to_duckdb(const Type& type);
/// nullopt for the types that the model lacks: ENUM, UNION, arrays of fixed size, TIMESTAMP_S, ...,
/// nested types with such a type inside or deeper than kTypeDepthMax.
[[nodiscard]] std::optional<Type> from_duckdb(duckdb_logical_type type);
/// The type that a column of any type is cast to, so that from_duckdb() knows it: its own where
/// that is known, a LIST for an array, else VARCHAR, at the depth where the unknown type is.
[[nodiscard]] Type nearest_type(duckdb_logical_type type);

}  // namespace millrace::sql
