// The SQL types of columns and how their values lie in memory. The physical forms are those of
// DuckDB's vectors, so that a column passes into a scalar stage by one memcpy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

enum class TypeKind : std::uint8_t {
  kBoolean,
  kTinyInt,
  kSmallInt,
  kInteger,
  kBigInt,
  kHugeInt,
  kUTinyInt,
  kUSmallInt,
  kUInteger,
  kUBigInt,
  kFloat,
  kDouble,
  kDecimal,  // width 1..38, scale 0..width; physical i16, i32, i64 or i128 by width (4, 9, 18, 38)
  kVarchar,  // UTF-8
  kBlob,
  kTimestamp,    // microseconds since 1970-01-01, no zone
  kTimestampTz,  // microseconds since 1970-01-01 UTC
  kDate,         // days since 1970-01-01
  kUuid,         // i128 with the top bit flipped, so that it orders as the text does
  kJson,         // VARCHAR that holds one JSON value
};

enum class PhysicalType : std::uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kInt128,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat,
  kDouble,
  kString,
};

using Int128 = __int128;
using UInt128 = unsigned __int128;

struct Type {
  TypeKind kind = TypeKind::kVarchar;
  std::uint8_t width = 0;  // DECIMAL only
  std::uint8_t scale = 0;  // DECIMAL only

  bool operator==(const Type&) const = default;
  [[nodiscard]] PhysicalType physical() const;
  /// The name in SQL: "BIGINT", "DECIMAL(18,3)", "TIMESTAMP WITH TIME ZONE".
  [[nodiscard]] std::string sql() const;
  [[nodiscard]] bool is_integer() const {
    return kind >= TypeKind::kTinyInt && kind <= TypeKind::kUBigInt;
  }
  [[nodiscard]] bool is_string() const { return physical() == PhysicalType::kString; }
  /// Reads any spelling that DuckDB takes of a type we have (INT, TEXT, STRING, TIMESTAMPTZ,
  /// NUMERIC(9,2), ...).
  static Result<Type> parse(std::string_view text);
};

[[nodiscard]] std::size_t size_bytes(PhysicalType type);

}  // namespace millrace
