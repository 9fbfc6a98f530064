// Arrow's types as far as a column of ours can be one, and which of them stands for which of our
// types. The format strings are those of the Arrow C Data Interface. Thread: any, values only.
// Errors: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/type.h"

namespace millrace::op {

enum class ArrowKind : std::uint8_t {
  kBool,
  kInteger,      // bits 8, 16, 32, 64
  kFloat,        // bits 32, 64
  kDecimal,      // 128 bits
  kUtf8,         // bits 32 or 64: of the offsets
  kBinary,       // bits 32 or 64: of the offsets
  kFixedBinary,  // byte_width
  kTimestamp,    // microseconds
  kDate,         // days, 32 bits
  kTime,         // microseconds since midnight, 64 bits
  kInterval,     // months, days, nanoseconds
  kList,         // one child
  kStruct,       // a child for each field
  kMap,          // one child: a struct of key and value
  kOther,        // anything else: `other` names it
};

struct ArrowType {
  ArrowKind kind = ArrowKind::kOther;
  std::uint8_t bits = 0;
  bool is_signed = false;
  bool has_zone = false;
  std::int32_t precision = 0;
  std::int32_t scale = 0;
  std::int32_t byte_width = 0;
  std::string other = {};

  bool operator==(const ArrowType&) const = default;
  /// "int32", "decimal128(18, 2)", "timestamp[us, UTC]".
  [[nodiscard]] std::string text() const;
  /// The format string of the C Data Interface; not for kOther.
  [[nodiscard]] std::string format() const;
  /// Bits of one value; 0 for those with offsets or children and for kOther.
  [[nodiscard]] std::size_t value_bits() const;
};

/// One column of a schema.
struct ArrowField {
  std::string name;
  ArrowType type;  // of a dictionary-encoded column: of its dictionary
  /// The type of the indices, where the column is dictionary-encoded.
  std::optional<ArrowType> index = {};
  /// Names the dictionary in a stream of messages.
  std::int64_t dictionary_id = 0;
  /// Only of what we write.
  std::vector<ArrowField> children = {};
};

/// Bytes of a value of fixed width at most.
inline constexpr std::int32_t kFixedBytesMax = 1 << 20;

/// Never fails: an unknown format is kOther. Nested types are kOther too: no column of a stream has
/// one.
[[nodiscard]] ArrowType parse_arrow_format(std::string_view format);

/// The Arrow type that we write for a type of ours, without its children.
[[nodiscard]] ArrowType arrow_type_of(const Type& type);
[[nodiscard]] ArrowField arrow_field_of(std::string_view name, const Type& type);

}  // namespace millrace::op
