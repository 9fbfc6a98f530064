#include "model/type.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace millrace {

PhysicalType Type::physical() const {
  switch (kind) {
    case TypeKind::kBoolean:
      return PhysicalType::kBool;
    case TypeKind::kTinyInt:
      return PhysicalType::kInt8;
    case TypeKind::kSmallInt:
      return PhysicalType::kInt16;
    case TypeKind::kInteger:
      return PhysicalType::kInt32;
    case TypeKind::kBigInt:
      return PhysicalType::kInt64;
    case TypeKind::kHugeInt:
      return PhysicalType::kInt128;
    case TypeKind::kUTinyInt:
      return PhysicalType::kUInt8;
    case TypeKind::kUSmallInt:
      return PhysicalType::kUInt16;
    case TypeKind::kUInteger:
      return PhysicalType::kUInt32;
    case TypeKind::kUBigInt:
      return PhysicalType::kUInt64;
    case TypeKind::kFloat:
      return PhysicalType::kFloat;
    case TypeKind::kDouble:
      return PhysicalType::kDouble;
    case TypeKind::kDecimal:
      return width <= 4    ? PhysicalType::kInt16
             : width <= 9  ? PhysicalType::kInt32
             : width <= 18 ? PhysicalType::kInt64
                           : PhysicalType::kInt128;
    case TypeKind::kVarchar:
    case TypeKind::kBlob:
    case TypeKind::kJson:
      return PhysicalType::kString;
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz:
      return PhysicalType::kInt64;
    case TypeKind::kDate:
      return PhysicalType::kInt32;
    case TypeKind::kUuid:
      return PhysicalType::kInt128;
  }
  return PhysicalType::kString;
}

std::string Type::sql() const {
  switch (kind) {
    case TypeKind::kBoolean:
      return "BOOLEAN";
    case TypeKind::kTinyInt:
      return "TINYINT";
    case TypeKind::kSmallInt:
      return "SMALLINT";
    case TypeKind::kInteger:
      return "INTEGER";
    case TypeKind::kBigInt:
      return "BIGINT";
    case TypeKind::kHugeInt:
      return "HUGEINT";
    case TypeKind::kUTinyInt:
      return "UTINYINT";
    case TypeKind::kUSmallInt:
      return "USMALLINT";
    case TypeKind::kUInteger:
      return "UINTEGER";
    case TypeKind::kUBigInt:
      return "UBIGINT";
    case TypeKind::kFloat:
      return "FLOAT";
    case TypeKind::kDouble:
      return "DOUBLE";
    case TypeKind::kDecimal:
      return fmt::format("DECIMAL({},{})", width, scale);
    case TypeKind::kVarchar:
      return "VARCHAR";
    case TypeKind::kBlob:
      return "BLOB";
    case TypeKind::kTimestamp:
      return "TIMESTAMP";
    case TypeKind::kTimestampTz:
      return "TIMESTAMP WITH TIME ZONE";
    case TypeKind::kDate:
      return "DATE";
    case TypeKind::kUuid:
      return "UUID";
    case TypeKind::kJson:
      return "JSON";
  }
  return "VARCHAR";
}

namespace {

struct Spelling {
  std::string_view text;
  TypeKind kind;
};

constexpr auto kSpellings = std::to_array<Spelling>({
    {"BOOLEAN", TypeKind::kBoolean},
    {"BOOL", TypeKind::kBoolean},
    {"LOGICAL", TypeKind::kBoolean},
    {"TINYINT", TypeKind::kTinyInt},
    {"INT1", TypeKind::kTinyInt},
    {"SMALLINT", TypeKind::kSmallInt},
    {"INT2", TypeKind::kSmallInt},
    {"SHORT", TypeKind::kSmallInt},
    {"INTEGER", TypeKind::kInteger},
    {"INT", TypeKind::kInteger},
    {"INT4", TypeKind::kInteger},
    {"SIGNED", TypeKind::kInteger},
    {"BIGINT", TypeKind::kBigInt},
    {"INT8", TypeKind::kBigInt},
    {"LONG", TypeKind::kBigInt},
    {"HUGEINT", TypeKind::kHugeInt},
    {"INT128", TypeKind::kHugeInt},
    {"UTINYINT", TypeKind::kUTinyInt},
    {"USMALLINT", TypeKind::kUSmallInt},
    {"UINTEGER", TypeKind::kUInteger},
    {"UBIGINT", TypeKind::kUBigInt},
    {"FLOAT", TypeKind::kFloat},
    {"FLOAT4", TypeKind::kFloat},
    {"REAL", TypeKind::kFloat},
    {"DOUBLE", TypeKind::kDouble},
    {"DOUBLE PRECISION", TypeKind::kDouble},
    {"FLOAT8", TypeKind::kDouble},
    {"VARCHAR", TypeKind::kVarchar},
    {"TEXT", TypeKind::kVarchar},
    {"STRING", TypeKind::kVarchar},
    {"CHAR", TypeKind::kVarchar},
    {"BPCHAR", TypeKind::kVarchar},
    {"BLOB", TypeKind::kBlob},
    {"BYTEA", TypeKind::kBlob},
    {"VARBINARY", TypeKind::kBlob},
    {"BINARY", TypeKind::kBlob},
    {"TIMESTAMP", TypeKind::kTimestamp},
    {"DATETIME", TypeKind::kTimestamp},
    {"TIMESTAMP WITHOUT TIME ZONE", TypeKind::kTimestamp},
    {"TIMESTAMPTZ", TypeKind::kTimestampTz},
    {"TIMESTAMP WITH TIME ZONE", TypeKind::kTimestampTz},
    {"DATE", TypeKind::kDate},
    {"UUID", TypeKind::kUuid},
    {"JSON", TypeKind::kJson},
});

/// Upper case, runs of blanks made one, none at the ends or before brackets.
std::string normalized(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      if (!out.empty() && out.back() != ' ') out.push_back(' ');
    } else {
      if ((c == '(' || c == ',' || c == ')') && !out.empty() && out.back() == ' ') out.pop_back();
      out.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

Result<std::uint8_t> small_number(std::string_view text, std::string_view whole) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::uint8_t number = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc() || stop != text.data() + text.size()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                "type {}: '{}' is not a number from 0 to 38", whole, text);
  }
  return number;
}

}  // namespace

Result<Type> Type::parse(std::string_view text) {
  const std::string upper = normalized(text);
  const auto bracket = upper.find('(');
  const std::string_view head = std::string_view(upper).substr(0, bracket);
  if (head == "DECIMAL" || head == "NUMERIC" || head == "DEC") {
    Type type{.kind = TypeKind::kDecimal, .width = 18, .scale = 3};
    if (bracket != std::string::npos) {
      if (upper.back() != ')') {
        return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                    "type {}: the bracket is not closed", text);
      }
      const std::string_view inner =
          std::string_view(upper).substr(bracket + 1, upper.size() - bracket - 2);
      const auto comma = inner.find(',');
      MR_TRY(type.width, small_number(inner.substr(0, comma), text));
      type.scale = 0;
      if (comma != std::string_view::npos) {
        MR_TRY(type.scale, small_number(inner.substr(comma + 1), text));
      }
    }
    if (type.width < 1 || type.width > 38 || type.scale > type.width) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadType,
                  "type {}: DECIMAL(width, scale) has a width of 1 to 38 and a scale of 0 to width",
                  text);
    }
    return type;
  }
  // VARCHAR(20) is VARCHAR: as in DuckDB, the length says nothing.
  const bool length_ignored =
      head == "VARCHAR" || head == "CHAR" || head == "TEXT" || head == "STRING";
  const std::string_view wanted = length_ignored ? head : std::string_view(upper);
  const auto* const found = std::ranges::find(kSpellings, wanted, &Spelling::text);
  if (found == kSpellings.end()) {
    return std::unexpected(
        Error{.code = ErrorCode::kInvalidArgument,
              .id = std::string(error_id::kBadType),
              .message = fmt::format("type {} is not a column type", text),
              .hint = "the types are BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT, "
                      "UTINYINT, USMALLINT, "
                      "UINTEGER, UBIGINT, FLOAT, DOUBLE, DECIMAL(w,s), VARCHAR, BLOB, TIMESTAMP, "
                      "TIMESTAMP WITH TIME ZONE, DATE, UUID, JSON",
              .place = {}});
  }
  return Type{.kind = found->kind, .width = 0, .scale = 0};
}

std::size_t size_bytes(PhysicalType type) {
  switch (type) {
    case PhysicalType::kBool:
    case PhysicalType::kInt8:
    case PhysicalType::kUInt8:
      return 1;
    case PhysicalType::kInt16:
    case PhysicalType::kUInt16:
      return 2;
    case PhysicalType::kInt32:
    case PhysicalType::kUInt32:
    case PhysicalType::kFloat:
      return 4;
    case PhysicalType::kInt64:
    case PhysicalType::kUInt64:
    case PhysicalType::kDouble:
      return 8;
    case PhysicalType::kInt128:
    case PhysicalType::kString:
      return 16;
  }
  return 16;
}

}  // namespace millrace
