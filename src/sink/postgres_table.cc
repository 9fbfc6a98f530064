#include "sink/postgres_table.h"

#include <algorithm>

#include "wire/postgres_value.h"

namespace millrace::sink {

namespace {

using wire::postgres::Oid;

/// The four bytes that PostgreSQL counts in front of the digits of numeric(width, scale).
constexpr std::int32_t kModifierOffset = 4;
constexpr int kDigitsMax = 38;

std::string table_of(const StoreUrl& url) {
  const std::string name = PostgresLink::quoted(url.object);
  return url.schema.empty() ? name : PostgresLink::quoted(url.schema) + "." + name;
}

Type decimal_of(std::int32_t modifier) {
  const std::int32_t digits = modifier - kModifierOffset;
  const int width = (digits >> 16) & 0xffff;
  const int scale = digits & 0x7ff;
  if (modifier < kModifierOffset || width > kDigitsMax || scale > width) return {TypeKind::kDouble};
  return {TypeKind::kDecimal, static_cast<std::uint8_t>(width), static_cast<std::uint8_t>(scale)};
}

Type type_of(std::uint32_t oid, std::int32_t modifier) {
  switch (static_cast<Oid>(oid)) {
    case Oid::kBool:
      return {TypeKind::kBoolean};
    case Oid::kInt2:
      return {TypeKind::kSmallInt};
    case Oid::kInt4:
      return {TypeKind::kInteger};
    case Oid::kInt8:
      return {TypeKind::kBigInt};
    case Oid::kOid:
      return {TypeKind::kUInteger};
    case Oid::kFloat4:
      return {TypeKind::kFloat};
    case Oid::kFloat8:
      return {TypeKind::kDouble};
    case Oid::kNumeric:
      return decimal_of(modifier);
    case Oid::kBytea:
      return {TypeKind::kBlob};
    case Oid::kTimestamp:
      return {TypeKind::kTimestamp};
    case Oid::kTimestampTz:
      return {TypeKind::kTimestampTz};
    case Oid::kDate:
      return {TypeKind::kDate};
    case Oid::kTime:
      return {TypeKind::kTime};
    case Oid::kUuid:
      return {TypeKind::kUuid};
    case Oid::kJson:
    case Oid::kJsonb:
      return {TypeKind::kJson};
    default:
      return {TypeKind::kVarchar};
  }
}

/// The value as a text of the form that our parser of the type reads.
std::string item_of(const Column& column) {
  const std::string name = PostgresLink::quoted(column.name);
  switch (column.type.kind) {
    case TypeKind::kBoolean:
      return fmt::format("{}::boolean::text", name);
    case TypeKind::kTimestamp:
      return fmt::format(R"(to_char({}::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US'))", name);
    case TypeKind::kTimestampTz:
      return fmt::format(
          R"(to_char({}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))", name);
    case TypeKind::kBlob:
      return fmt::format("translate(encode({}::bytea, 'base64'), E'\\n', '')", name);
    case TypeKind::kDecimal:
      return fmt::format("{}::numeric({},{})::text", name, column.type.width, column.type.scale);
    default:
      return fmt::format("{}::text", name);
  }
}

}  // namespace

Result<std::vector<Column>> foreign_columns(PostgresLink& link, const StoreUrl& url) {
  MR_TRY(const auto none, link.run(fmt::format("SELECT * FROM {} LIMIT 0", table_of(url))));
  std::vector<Column> out;
  for (std::size_t i = 0; i < none.columns(); ++i)
    out.push_back({none.column_name(i), type_of(none.column_oid(i), none.column_modifier(i))});
  return out;
}

Status read_foreign_rows(PostgresLink& link, const StoreUrl& url, std::span<const Column> columns,
                         const std::function<Status(ForeignRow)>& visit) {
  std::string items;
  for (const auto& column : columns) {
    if (column.type.is_nested() || column.type.kind == TypeKind::kInterval) {
      return fail(ErrorCode::kInvalidArgument, error_id::kForeignTable,
                  "column {}: a {} cannot be read from another database", column.name,
                  column.type.sql());
    }
    items += (items.empty() ? "" : ", ") + item_of(column);
  }
  std::vector<std::optional<std::string_view>> row(columns.size());
  return link.stream(fmt::format("SELECT {} FROM {}", items, table_of(url)),
                     [&](const PostgresRows& rows) -> Status {
                       for (std::size_t r = 0; r < rows.rows(); ++r) {
                         for (std::size_t c = 0; c < row.size(); ++c) row[c] = rows.at(r, c);
                         MR_RETURN_IF_ERROR(visit(row));
                       }
                       return {};
                     });
}

}  // namespace millrace::sink
