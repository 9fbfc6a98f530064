// One JSON value into one column: which forms each SQL type takes, and what a wrong one is told.
// The rules are the table of docs/reference/json.md. Called by JsonDecoder for every field of every
// event. Thread: any; the caller alone holds the column. Errors: a FieldFault, and the column is as
// it was.
#pragma once

#include <string>
#include <string_view>

#include "model/column_batch.h"

namespace millrace::format {

struct FieldFault {
  std::string_view id;
  std::string text;  // "\"abc\" is not a BIGINT"
};

/// Appends the value of a scalar token (a string with its quotes, a number, true, false) to
/// `column`. `token` comes from a JsonIndex, so a string is closed and is UTF-8. `scratch` is for
/// unescaped text.
[[nodiscard]] bool put_field(std::string_view token, ColumnVector& column, Arena& arena,
                             std::string& scratch, FieldFault& fault);

/// A word that is none of JSON's: what to say about it.
[[nodiscard]] FieldFault bad_word(std::string_view token);
/// A value that the type does not take at all.
[[nodiscard]] FieldFault wrong_type(std::string_view token, const Type& type);

}  // namespace millrace::format
