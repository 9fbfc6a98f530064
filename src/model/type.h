// The SQL types of columns and how their values lie in memory. The physical forms are those of
// DuckDB's vectors, so that a column passes into a scalar stage by one memcpy; only the nested
// kinds have a form of our own (model/nested_value.h). Thread: any, values only. Errors:
// kInvalidArgument (kBadType) for a text that is no type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  kInterval,     // months i32, days i32, microseconds i64: equal lengths may have several forms
  kTime,         // microseconds since midnight, 24:00:00 included
  kList,         // physical kString, as the other nested kinds
  kStruct,
  kMap,
};
inline constexpr TypeKind kLastTypeKind = TypeKind::kMap;

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

class TypeFields;

/// INTERVAL as it lies in memory.
struct Interval {
  std::int32_t months = 0;
  std::int32_t days = 0;
  std::int64_t micros = 0;
};
static_assert(sizeof(Interval) == sizeof(Int128));

/// The types inside a nested type; shared by its copies and never changed. Not a shared_ptr, so
/// that a Type which is not nested can be a constant expression.
class NestedTypes {
 public:
  constexpr NestedTypes() = default;
  constexpr NestedTypes(const NestedTypes& other) : fields_(other.fields_) {
    if (fields_ != nullptr) retain();
  }
  constexpr NestedTypes(NestedTypes&& other) noexcept
      : fields_(std::exchange(other.fields_, nullptr)) {}
  constexpr NestedTypes& operator=(NestedTypes other) noexcept {
    std::swap(fields_, other.fields_);
    return *this;
  }
  constexpr ~NestedTypes() {
    if (fields_ != nullptr) release();
  }
  /// Deep.
  bool operator==(const NestedTypes& other) const;

 private:
  friend struct Type;
  void retain() const;
  void release();

  TypeFields* fields_ = nullptr;
};

/// How deep nested types lie in each other at most, where a type comes from a text, from DuckDB or
/// from bytes; whoever walks a type may recurse.
inline constexpr std::size_t kTypeDepthMax = 32;

struct Type {
  TypeKind kind = TypeKind::kVarchar;
  std::uint8_t width = 0;  // DECIMAL only
  std::uint8_t scale = 0;  // DECIMAL only
  NestedTypes nested = {};

  struct Field;

  static Type list(Type element);
  static Type map(Type key, Type value);
  /// One field at least. Either all fields have a name or none has, as in row(1, 2).
  static Type structure(std::vector<Field> fields);

  bool operator==(const Type&) const = default;
  [[nodiscard]] PhysicalType physical() const;
  /// The name in SQL: "BIGINT", "DECIMAL(18,3)", "TIMESTAMP WITH TIME ZONE", "INTEGER[]",
  /// "STRUCT(a VARCHAR, b UBIGINT)", "MAP(VARCHAR, UBIGINT)".
  [[nodiscard]] std::string sql() const;
  [[nodiscard]] bool is_integer() const {
    return kind >= TypeKind::kTinyInt && kind <= TypeKind::kUBigInt;
  }
  [[nodiscard]] bool is_string() const { return physical() == PhysicalType::kString; }
  [[nodiscard]] bool is_nested() const { return kind >= TypeKind::kList; }
  /// Of a LIST.
  [[nodiscard]] const Type& element() const;
  /// Of a STRUCT its fields; of a MAP "key" and "value"; of a LIST one without a name; else none.
  [[nodiscard]] const std::vector<Field>& fields() const;
  /// Reads any spelling that DuckDB takes of a type we have (INT, TEXT, STRING, TIMESTAMPTZ,
  /// NUMERIC(9,2), STRUCT("a b" INT[]), ...). An array of fixed size is a LIST.
  static Result<Type> parse(std::string_view text);
};

struct Type::Field {
  std::string name;
  Type type;
  bool operator==(const Field&) const = default;
};

[[nodiscard]] std::size_t size_bytes(PhysicalType type);

}  // namespace millrace
