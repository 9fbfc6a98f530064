// The bytes of one LIST, STRUCT or MAP, which a column holds as a string: how they are made and
// walked. A value of a
//   LIST    varint count, then that many elements;
//   MAP     varint count, then that many times the element of a key and the element of its value;
//   STRUCT  the elements of its fields, in their order;
// and an element is the byte 0 for NULL, or the byte 1 and a value: of fixed width as it lies in a
// column (little endian), a string as varint length and bytes, a nested value inline. A key of a
// MAP is not NULL. Equal bytes are equal values, but not the other way round (-0.0, NaN, INTERVAL).
// Thread: any, values only. Errors: a reader turns bad and gives zeros and NULLs behind its end.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "model/column_batch.h"

namespace millrace {

/// Appends row `row` of a column of any type as one element.
void append_element(std::string& out, const ColumnView& column, std::size_t row);
inline void append_null_element(std::string& out) { out.push_back('\0'); }
/// What stands before the elements of a LIST and the entries of a MAP.
inline void append_count(std::string& out, std::size_t count) { ByteWriter(out).put_varint(count); }

/// A value that is not nested, aligned as in a column of one row.
class ScalarValue {
 public:
  explicit ScalarValue(const Type& type) : type_(type) {}
  [[nodiscard]] ColumnView column() const { return {type_, bytes_.data(), nullptr}; }
  [[nodiscard]] const std::byte* data() const { return bytes_.data(); }

 private:
  friend class NestedReader;
  const Type& type_;
  alignas(16) std::array<std::byte, 16> bytes_ = {};
};

/// Walks a nested value, or several behind each other. The caller knows the type: read_count() at a
/// LIST or MAP, then per element is_null() and, where it is not, what its type has.
class NestedReader {
 public:
  explicit NestedReader(std::string_view bytes) : reader_(bytes) {}

  /// Never more than there are bytes left.
  std::size_t read_count();
  /// Reads the first byte of an element.
  bool is_null();
  /// A value of a type that is not nested; a long string stays where it is in the bytes.
  ScalarValue read_scalar(const Type& type);
  /// The text of a value whose physical type is kString and that is not nested.
  std::string_view read_string() { return reader_.get_string(); }
  /// Goes over a value and looks at all of it; `column` tells its type.
  void skip_value(const Type& type);
  /// The caller found what cannot be, such as a key that is NULL.
  void turn_bad() { (void)reader_.get_bytes(reader_.remaining() + 1); }
  [[nodiscard]] bool ok() const { return reader_.ok(); }
  [[nodiscard]] bool at_end() const { return reader_.at_end(); }

 private:
  ByteReader reader_;
};

/// Whether the bytes are one value of a nested type, and nothing else.
[[nodiscard]] bool is_nested_value(const Type& type, std::string_view bytes);

/// Appends a nested value as DuckDB prints it: [1, NULL], {'a': 1, 'b': x}, {k=1, l=2}, (1, x).
void append_nested_text(std::string& out, const Type& type, std::string_view bytes);
/// Appends a nested value as JSON: a LIST and a STRUCT without names as an array, other STRUCTs as
/// an object, a MAP as an object whose names are the keys as text; values as append_json() has
/// them.
void append_nested_json(std::string& out, const Type& type, std::string_view bytes);

}  // namespace millrace
