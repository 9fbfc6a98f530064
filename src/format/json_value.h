// Whether a text is one JSON value, by the very rules that a record of JSON is held to: what a JSON
// column takes from formats that are none. Thread: one owner, kept for its buffers. Errors: a
// FieldFault.
#pragma once

#include <optional>
#include <string>
#include <string_view>

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

 private:
  const StreamDefinition no_stream_;
  const ColumnRules no_rules_;
  ColumnBatch no_columns_;
  JsonIndex index_;
  JsonRecordReader reader_;
  PaddedBytes text_;
};

}  // namespace millrace::format
