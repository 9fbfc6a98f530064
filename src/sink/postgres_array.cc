#include "sink/postgres_array.h"

#include "wire/postgres_value.h"

namespace millrace::sink {

namespace {

namespace postgres = wire::postgres;

constexpr auto kJsonb = static_cast<std::uint32_t>(postgres::Oid::kJsonb);
constexpr std::uint32_t kJsonbArray = 3807;
constexpr char kJsonbVersion = 1;

bool is_jsonb(const Type& type) { return type.is_nested() || type.kind == TypeKind::kJson; }

std::string sql_of(const Type& type) {
  switch (type.kind) {
    case TypeKind::kBoolean:
      return "boolean";
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kUTinyInt:
      return "smallint";
    case TypeKind::kInteger:
    case TypeKind::kUSmallInt:
      return "integer";
    case TypeKind::kBigInt:
    case TypeKind::kUInteger:
      return "bigint";
    case TypeKind::kHugeInt:
    case TypeKind::kUBigInt:
      return "numeric";
    case TypeKind::kDecimal:
      return fmt::format("numeric({},{})", type.width, type.scale);
    case TypeKind::kFloat:
      return "real";
    case TypeKind::kDouble:
      return "double precision";
    case TypeKind::kVarchar:
      return "text";
    case TypeKind::kBlob:
      return "bytea";
    case TypeKind::kTimestamp:
      return "timestamp without time zone";
    case TypeKind::kTimestampTz:
      return "timestamp with time zone";
    case TypeKind::kDate:
      return "date";
    case TypeKind::kUuid:
      return "uuid";
    case TypeKind::kInterval:
      return "interval";
    case TypeKind::kTime:
      return "time without time zone";
    case TypeKind::kJson:
    case TypeKind::kList:
    case TypeKind::kStruct:
    case TypeKind::kMap:
      return "jsonb";
  }
  return "text";
}

void put_i32(std::int64_t value, std::string& out) {
  const auto bits = static_cast<std::uint32_t>(value);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((bits >> shift) & 0xff);
}

}  // namespace

PostgresType postgres_type(const Type& type) {
  if (is_jsonb(type)) return {sql_of(type), kJsonb, kJsonbArray};
  return {sql_of(type), postgres::wire_type(type).oid, postgres::wire_type(Type::list(type)).oid};
}

void append_array(const ColumnView& column, std::size_t rows, std::string& out) {
  const bool jsonb = is_jsonb(column.type);
  put_i32(rows == 0 ? 0 : 1, out);                   // dimensions
  put_i32(column.validity == nullptr ? 0 : 1, out);  // whether some may be NULL
  put_i32(postgres_type(column.type).oid, out);
  if (rows == 0) return;
  put_i32(static_cast<std::int64_t>(rows), out);
  put_i32(1, out);  // the first has the number 1
  for (std::size_t row = 0; row < rows; ++row) {
    if (!column.valid(row)) {
      put_i32(-1, out);
      continue;
    }
    const std::size_t at = out.size();
    put_i32(0, out);
    if (jsonb) {
      out += kJsonbVersion;
      append_json(out, column, row);
    } else {
      postgres::append_value(column, row, postgres::Format::kBinary, out);
    }
    std::string length;
    put_i32(static_cast<std::int64_t>(out.size() - at - 4), length);
    out.replace(at, 4, length);
  }
}

}  // namespace millrace::sink
