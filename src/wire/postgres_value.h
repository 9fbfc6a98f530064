// Values in PostgreSQL's text and binary forms, and which of PostgreSQL's types stands for each of
// ours. Source: the send and receive functions of PostgreSQL 15 (src/backend/utils/adt). Types that
// PostgreSQL lacks go as the next wider one (UBIGINT and HUGEINT as numeric) or as JSON (STRUCT and
// MAP); a LIST of scalars is an array. Pure functions: any thread. Errors: kInvalidArgument
// (kBadValue) for bytes that are no value of their type. Invariant: what append_value() writes
// of a value, PostgreSQL's clients read as the same value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/column_batch.h"
#include "wire/postgres.h"

namespace millrace::wire::postgres {

/// OIDs of pg_type.dat.
enum class Oid : std::uint32_t {
  kUnknownToUs = 0,
  kBool = 16,
  kBytea = 17,
  kName = 19,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kUnknown = 705,
  kBpchar = 1042,
  kVarchar = 1043,
  kDate = 1082,
  kTime = 1083,
  kTimestamp = 1114,
  kTimestampTz = 1184,
  kInterval = 1186,
  kNumeric = 1700,
  kUuid = 2950,
  kJsonb = 3802,
};

struct WireType {
  std::uint32_t oid = static_cast<std::uint32_t>(Oid::kText);
  std::int16_t bytes = -1;
  std::int32_t modifier = -1;
};

/// What stands for one of our types; for a LIST of scalars the type of the array.
[[nodiscard]] WireType wire_type(const Type& type);

/// Appends a value that is not NULL.
void append_value(const ColumnView& column, std::size_t row, Format format, std::string& out);

/// A parameter as a text that the SQL engine reads as a literal of `sql_type_of(oid)`: of the
/// binary form of the type, or the text as it is.
Result<std::string> parameter_text(std::uint32_t oid, Format format, std::string_view bytes);

/// The SQL type that a parameter of this OID has; empty for one whose type the statement decides
/// (0, unknown) and for types that are not known.
[[nodiscard]] std::string sql_type_of(std::uint32_t oid);

}  // namespace millrace::wire::postgres
