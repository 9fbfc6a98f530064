#include "sql/duckdb_types.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

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
static_assert(sizeof(Interval) == sizeof(duckdb_interval) &&
              offsetof(Interval, days) == offsetof(duckdb_interval, days) &&
              offsetof(Interval, micros) == offsetof(duckdb_interval, micros));
static_assert(sizeof(duckdb_time) == 8);
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
    case TypeKind::kInterval:
      return DUCKDB_TYPE_INTERVAL;
    case TypeKind::kTime:
      return DUCKDB_TYPE_TIME;
    case TypeKind::kList:
      return DUCKDB_TYPE_LIST;
    case TypeKind::kStruct:
      return DUCKDB_TYPE_STRUCT;
    case TypeKind::kMap:
      return DUCKDB_TYPE_MAP;
  }
  check_failed(__FILE__, __LINE__, "id_of", "a type kind out of range");
}

LogicalType nested_to_duckdb(const Type& type) {
  std::vector<LogicalType> owned;
  std::vector<duckdb_logical_type> types;
  std::vector<const char*> names;
  for (const Type::Field& field : type.fields()) {
    owned.push_back(to_duckdb(field.type));
    types.push_back(owned.back().get());
    names.push_back(field.name.c_str());
  }
  if (type.kind == TypeKind::kList) return LogicalType(duckdb_create_list_type(types[0]));
  if (type.kind == TypeKind::kMap) return LogicalType(duckdb_create_map_type(types[0], types[1]));
  return LogicalType(duckdb_create_struct_type(types.data(), names.data(), types.size()));
}

std::optional<Type> plain_from_duckdb(duckdb_logical_type type) {
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
    case DUCKDB_TYPE_INTERVAL:
      return Type{TypeKind::kInterval};
    case DUCKDB_TYPE_TIME:
      return Type{TypeKind::kTime};
    default:
      return std::nullopt;
  }
}

/// What to make of a type that is not nested, or is unknown.
using LeafType = std::optional<Type> (*)(duckdb_logical_type type, std::size_t depth);

/// nullopt where `leaf` gives it for a type inside.
std::optional<Type> converted(duckdb_logical_type type, LeafType leaf, std::size_t depth) {
  if (depth > kTypeDepthMax) return leaf(type, depth);
  const auto inside = [&](duckdb_logical_type child) {
    const LogicalType owned(child);
    return converted(owned.get(), leaf, depth + 1);
  };
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_LIST: {
      auto element = inside(duckdb_list_type_child_type(type));
      return element ? std::optional(Type::list(std::move(*element))) : std::nullopt;
    }
    case DUCKDB_TYPE_MAP: {
      auto key = inside(duckdb_map_type_key_type(type));
      auto value = inside(duckdb_map_type_value_type(type));
      return key && value ? std::optional(Type::map(std::move(*key), std::move(*value)))
                          : std::nullopt;
    }
    case DUCKDB_TYPE_STRUCT: {
      std::vector<Type::Field> fields;
      const idx_t count = duckdb_struct_type_child_count(type);
      for (idx_t i = 0; i < count; ++i) {
        auto field = inside(duckdb_struct_type_child_type(type, i));
        if (!field) return std::nullopt;
        char* name = duckdb_struct_type_child_name(type, i);
        fields.push_back({.name = name == nullptr ? "" : name, .type = std::move(*field)});
        duckdb_free(name);
      }
      if (fields.empty()) return leaf(type, depth);
      return Type::structure(std::move(fields));
    }
    default:
      return leaf(type, depth);
  }
}

std::optional<Type> known_leaf(duckdb_logical_type type, std::size_t depth) {
  // The NULLs of [] and {'a': NULL}: DuckDB keeps them as INTEGER.
  if (depth != 0 && duckdb_get_type_id(type) == DUCKDB_TYPE_SQLNULL)
    return Type{TypeKind::kInteger};
  return plain_from_duckdb(type);
}

std::optional<Type> nearest_leaf(duckdb_logical_type type, std::size_t depth) {
  if (duckdb_get_type_id(type) == DUCKDB_TYPE_ARRAY && depth < kTypeDepthMax) {
    const LogicalType element(duckdb_array_type_child_type(type));
    return Type::list(*converted(element.get(), nearest_leaf, depth + 1));
  }
  return known_leaf(type, depth).value_or(Type{TypeKind::kVarchar});
}

/// SQL has no way to write the type of row(1, 2).
bool has_a_name(const Type& type) {
  return std::ranges::all_of(type.fields(), [&](const Type::Field& field) {
    return (type.kind != TypeKind::kStruct || !field.name.empty()) && has_a_name(field.type);
  });
}

}  // namespace

LogicalType to_duckdb(const Type& type) {
  if (type.kind == TypeKind::kDecimal)
    return LogicalType(duckdb_create_decimal_type(type.width, type.scale));
  if (type.is_nested()) return nested_to_duckdb(type);
  LogicalType made(duckdb_create_logical_type(id_of(type.kind)));
  if (type.kind == TypeKind::kJson) duckdb_logical_type_set_alias(made.get(), kJsonAlias);
  return made;
}

std::optional<Type> from_duckdb(duckdb_logical_type type) { return converted(type, known_leaf, 0); }

Type nearest_type(duckdb_logical_type type) {
  Type nearest = *converted(type, nearest_leaf, 0);
  return has_a_name(nearest) ? nearest : Type{TypeKind::kVarchar};
}

}  // namespace millrace::sql
