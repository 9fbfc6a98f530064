// Nested values (model/nested_value.h) in the encoding of group keys: memcomparable in DuckDB's
// order, which takes NULL inside of a nested value for larger than all, self-delimiting, and equal
// where the values are. A STRUCT is its fields, each 0x02 for NULL or 0x01 and its value; a LIST
// its elements in the same way, then 0x00; a MAP its keys and values in turn, then 0x00. Pure
// functions. Errors: parse_nested_key() is false on bytes that are none.
#pragma once

#include <string>
#include <string_view>

#include "model/nested_value.h"

namespace millrace::view {

/// `value` is a nested value of this type.
void append_nested_key(std::string& out, const Type& type, std::string_view value);

/// Takes an encoded value from the front of `key` and appends the nested value to `out`.
[[nodiscard]] bool parse_nested_key(std::string_view& key, const Type& type, std::string& out);

}  // namespace millrace::view
