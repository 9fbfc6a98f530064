#include "sql/duckdb_types.h"

#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "model/column_batch.h"

namespace millrace::sql {

// The string forms: size, then 12 bytes inside, or 4 of them and an address.
static_assert(sizeof(StringRef) == sizeof(duckdb_string_t));
static_assert(offsetof(StringRef, size) == offsetof(duckdb_string_t, value.inlined.length));
static_assert(offsetof(StringRef, bytes) == offsetof(duckdb_string_t, value.inlined.inlined));
static_assert(offsetof(StringRef, bytes) == offsetof(duckdb_string_t, value.pointer.prefix));
static_assert(offsetof(StringRef, bytes) + 4 == offsetof(duckdb_string_t, value.pointer.ptr));
static_assert(StringRef::kInlineBytes == sizeof(duckdb_string_t{}.value.inlined.inlined));
// 128 bits: the low half first, as little endian has it.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(Int128) == sizeof(duckdb_hugeint) && offsetof(duckdb_hugeint, lower) == 0);
static_assert(sizeof(bool) == 1 && sizeof(duckdb_date) == 4 && sizeof(duckdb_timestamp) == 8);

namespace {

constexpr const char* kJsonAlias = "JSON";

duckdb_type id_of(TypeKind kind) {
  switch (kind) {
    case TypeKind::kBoolean:
      return DUCKDB_TYPE_BOOLEAN;
    case TypeKind::kTinyInt:
      return DUCKDB_TYPE_TINYINT;
    case TypeKind::kSmallInt:
      return DUCKDB_TYPE_SMALLINT;
    case TypeKind::kInteger:
      return DUCKDB_TYPE_INTEGER;
    case TypeKind::kBigInt:
      return DUCKDB_TYPE_BIGINT;
    case TypeKind::kHugeInt:
      return DUCKDB_TYPE_HUGEINT;
    case TypeKind::kUTinyInt:
      return DUCKDB_TYPE_UTINYINT;
    case TypeKind::kUSmallInt:
      return DUCKDB_TYPE_USMALLINT;
    case TypeKind::kUInteger:
      return DUCKDB_TYPE_UINTEGER;
    case TypeKind::kUBigInt:
      return DUCKDB_TYPE_UBIGINT;
    case TypeKind::kFloat:
      return DUCKDB_TYPE_FLOAT;
    case TypeKind::kDouble:
      return DUCKDB_TYPE_DOUBLE;
    case TypeKind::kDecimal:
      return DUCKDB_TYPE_DECIMAL;
    case TypeKind::kVarchar:
    case TypeKind::kJson:
      return DUCKDB_TYPE_VARCHAR;
    case TypeKind::kBlob:
      return DUCKDB_TYPE_BLOB;
    case TypeKind::kTimestamp:
      return DUCKDB_TYPE_TIMESTAMP;
    case TypeKind::kTimestampTz:
      return DUCKDB_TYPE_TIMESTAMP_TZ;
    case TypeKind::kDate:
      return DUCKDB_TYPE_DATE;
    case TypeKind::kUuid:
      return DUCKDB_TYPE_UUID;
  }
  check_failed(__FILE__, __LINE__, "id_of", "a type kind out of range");
}

}  // namespace

LogicalType to_duckdb(Type type) {
  if (type.kind == TypeKind::kDecimal)
    return LogicalType(duckdb_create_decimal_type(type.width, type.scale));
  LogicalType made(duckdb_create_logical_type(id_of(type.kind)));
  if (type.kind == TypeKind::kJson) duckdb_logical_type_set_alias(made.get(), kJsonAlias);
  return made;
}

std::optional<Type> from_duckdb(duckdb_logical_type type) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN:
      return Type{TypeKind::kBoolean};
    case DUCKDB_TYPE_TINYINT:
      return Type{TypeKind::kTinyInt};
    case DUCKDB_TYPE_SMALLINT:
      return Type{TypeKind::kSmallInt};
    case DUCKDB_TYPE_INTEGER:
      return Type{TypeKind::kInteger};
    case DUCKDB_TYPE_BIGINT:
      return Type{TypeKind::kBigInt};
    case DUCKDB_TYPE_HUGEINT:
      return Type{TypeKind::kHugeInt};
    case DUCKDB_TYPE_UTINYINT:
      return Type{TypeKind::kUTinyInt};
    case DUCKDB_TYPE_USMALLINT:
      return Type{TypeKind::kUSmallInt};
    case DUCKDB_TYPE_UINTEGER:
      return Type{TypeKind::kUInteger};
    case DUCKDB_TYPE_UBIGINT:
      return Type{TypeKind::kUBigInt};
    case DUCKDB_TYPE_FLOAT:
      return Type{TypeKind::kFloat};
    case DUCKDB_TYPE_DOUBLE:
      return Type{TypeKind::kDouble};
    case DUCKDB_TYPE_DECIMAL:
      return Type{TypeKind::kDecimal, duckdb_decimal_width(type), duckdb_decimal_scale(type)};
    case DUCKDB_TYPE_VARCHAR: {
      char* alias = duckdb_logical_type_get_alias(type);
      const bool json = alias != nullptr && std::string_view(alias) == kJsonAlias;
      duckdb_free(alias);
      return Type{json ? TypeKind::kJson : TypeKind::kVarchar};
    }
    case DUCKDB_TYPE_BLOB:
      return Type{TypeKind::kBlob};
    case DUCKDB_TYPE_TIMESTAMP:
      return Type{TypeKind::kTimestamp};
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      return Type{TypeKind::kTimestampTz};
    case DUCKDB_TYPE_DATE:
      return Type{TypeKind::kDate};
    case DUCKDB_TYPE_UUID:
      return Type{TypeKind::kUuid};
    default:
      return std::nullopt;
  }
}

}  // namespace millrace::sql
