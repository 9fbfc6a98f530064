// JSON values for what is no record of JSON: whether a text is one, by the very rules that a record
// is held to, and what an object or array consists of. Thread: one owner, kept for its buffers.
// Errors: a FieldFault.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/padded_bytes.h"
#include "format/json_field.h"
#include "format/json_index.h"
#include "format/json_record.h"

namespace millrace::format {

class JsonValueCheck {
 public:
  JsonValueCheck();

  /// The value without the blanks around it, on one line; valid until the next call.
  [[nodiscard]] std::optional<std::string_view> value_of(std::string_view text, FieldFault& fault);

  /// The fields of an object (names unescaped), the elements of an array: their texts lie in
  /// `text`, behind which PaddedBytes::kPadding bytes are readable. nullopt where it is none.
  struct Field {
    std::string name;
    std::string_view value;
  };
  [[nodiscard]] std::optional<std::vector<Field>> fields_of(std::string_view text,
                                                            FieldFault& fault);
  [[nodiscard]] std::optional<std::vector<std::string_view>> elements_of(std::string_view text,
                                                                         FieldFault& fault);

 private:
  bool begin(std::string_view text, char bracket, TokenCursor& cursor, FieldFault& fault);
  bool take_value(TokenCursor& cursor, std::string_view& value, FieldFault& fault);
  bool take_comma(TokenCursor& cursor, char bracket, bool& ended, FieldFault& fault);

  const StreamDefinition no_stream_;
  const ColumnRules no_rules_;
  ColumnBatch no_columns_;
  JsonIndex index_;
  JsonRecordReader reader_;
  PaddedBytes text_;
};

}  // namespace millrace::format
