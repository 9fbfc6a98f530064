#include "format/column_rules.h"

#include "base/error.h"
#include "format/column_default.h"
#include "format/json_text.h"
#include "format/text_field.h"

namespace millrace::format {

ColumnRules::ColumnRules(const StreamDefinition& stream, std::span<const BoundText> bound)
    : missing_(stream.types()), closed_(stream.columns.size(), false) {
  // The name is an unknown one as well: the column is the server's.
  if (stream.unknown_column) closed_[*stream.unknown_column] = true;
  TextFieldReader reader;
  for (const auto& [name, text] : bound) {
    const auto column = stream.find_column(name);
    if (!column || closed_[*column]) continue;
    closed_[*column] = true;
    has_bound_ = true;
    FieldFault problem;
    const std::size_t bad = first_bad_utf8(text);
    if (bad != text.size()) {
      problem = {error_id::kBadUtf8, fmt::format("byte {} is not UTF-8", bad + 1)};
    } else if (reader.put(text, missing_.column(*column), missing_.arena(), problem)) {
      continue;
    }
    missing_.column(*column).push_null();
    if (!fault_)
      fault_ = RecordFault{problem.id, fmt::format("column '{}': {}", name, problem.text)};
  }
  for (std::size_t i = 0; i < stream.columns.size(); ++i) {
    ColumnVector& column = missing_.column(i);
    if (column.rows() != 0) continue;
    // Checked when the column was made.
    const auto value = default_value(stream.columns[i]);
    if (value) {
      column.push_from(value->column(0).view(), 0, missing_.arena());
    } else {
      column.push_null();
    }
  }
}

}  // namespace millrace::format
