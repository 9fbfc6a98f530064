// model::Type and DuckDB's logical types: which of them are the same thing. The values of such a
// type lie in memory alike on both sides, so that columns pass by memcpy (the static_asserts in
// duckdb_types.cc).
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

[[nodiscard]] LogicalType to_duckdb(Type type);
/// nullopt for the types that the model lacks: INTERVAL, TIME, LIST, STRUCT, ENUM, ...
[[nodiscard]] std::optional<Type> from_duckdb(duckdb_logical_type type);

}  // namespace millrace::sql
