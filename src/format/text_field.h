// One value that came as bare text into one column: a field of CSV, a topic level, an attribute of
// a CloudEvent. The forms are those of JSON (docs/reference/formats_in.md), with quotes nowhere and
// blanks around numbers allowed. Thread: one owner, kept for its buffers. Errors: a FieldFault, and
// the column is as it was.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "format/json_field.h"
#include "model/column_batch.h"

namespace millrace::format {

class JsonValueCheck;

class TextFieldReader {
 public:
  TextFieldReader();
  ~TextFieldReader();
  TextFieldReader(const TextFieldReader&) = delete;
  TextFieldReader& operator=(const TextFieldReader&) = delete;

  /// Appends a value; `text` is UTF-8.
  [[nodiscard]] bool put(std::string_view text, ColumnVector& column, Arena& arena,
                         FieldFault& fault);
  /// Appends the text of a JSON value, or NULL for `null`.
  [[nodiscard]] bool put_json(std::string_view text, ColumnVector& column, Arena& arena,
                              FieldFault& fault);

 private:
  bool put_number(std::string_view text, ColumnVector& column, Arena& arena, FieldFault& fault);
  bool put_quoted(std::string_view text, ColumnVector& column, Arena& arena, FieldFault& fault);

  std::string quoted_;
  std::string scratch_;
  std::unique_ptr<JsonValueCheck> json_;
};

}  // namespace millrace::format
