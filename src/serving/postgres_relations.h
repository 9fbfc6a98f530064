// The relations of PostgreSQL 15's catalogue, pg_catalog and information_schema: names, OIDs,
// columns and which of them are never NULL, as initdb makes them. What rows they have is
// system_relations.h's. Thread: any, constants only. Errors: none.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/stream.h"

namespace millrace::serving {

struct PostgresRelation {
  std::string_view name;  // "pg_catalog.pg_class"
  std::uint32_t oid = 0;
  bool is_view = false;
  /// "oid:o! relname:t!": a name, a letter for its type, '!' where it is NOT NULL.
  std::string_view columns;
};

[[nodiscard]] std::span<const PostgresRelation> pg_catalog_relations();
[[nodiscard]] std::span<const PostgresRelation> information_schema_relations();

/// PostgreSQL's base types, of each the values of kPostgresTypeColumns with blanks between.
[[nodiscard]] std::span<const std::string_view> postgres_types();
inline constexpr std::string_view kPostgresTypeColumns =
    "oid typname typlen typbyval typtype typcategory typispreferred typdelim typelem typarray "
    "typinput typoutput typreceive typsend typalign typstorage typcollation";

struct SystemColumn {
  Column column;
  bool not_null = false;
};
/// Reads a text of columns as PostgresRelation has it.
[[nodiscard]] std::vector<SystemColumn> parse_system_columns(std::string_view columns);

}  // namespace millrace::serving
