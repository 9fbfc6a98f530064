// One record after the other into the rows of a batch, for the formats that are not JSON: which
// columns a record has given, what the others get, and what becomes of a field that names no
// column. The same rules as JsonRecordReader's. Thread: one owner. Errors: a RecordFault, and
// drop() takes the unfinished row away.
#pragma once

#include <string>
#include <string_view>

#include "format/column_rules.h"
#include "format/json_field.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::format {

class RowWriter {
 public:
  RowWriter(const StreamDefinition& stream, const ColumnRules& rules, ColumnBatch& batch)
      : stream_(stream), rules_(rules), batch_(batch), row_(batch.rows()) {}

  /// The column that a field of this name goes to; none where it is an unknown field.
  [[nodiscard]] std::optional<std::uint32_t> column_of(std::string_view name) const;
  /// Where the value of a column goes; the caller pushes one value, or none.
  [[nodiscard]] ColumnVector& column(std::uint32_t index) { return batch_.column(index); }
  [[nodiscard]] Arena& arena() { return batch_.arena(); }
  [[nodiscard]] bool wants_unknown() const {
    return stream_.unknown_fields != UnknownFields::kIgnore;
  }
  /// Whether the value of an unknown field is asked for; a stream may refuse the record for its
  /// name.
  [[nodiscard]] bool keeps_unknown() const {
    return stream_.unknown_fields == UnknownFields::kKeep;
  }
  /// False: the stream refuses unknown fields. `json` is the value, "" where it is not kept.
  [[nodiscard]] bool put_unknown(std::string_view name, std::string_view json, RecordFault& fault);

  /// The record has no more fields.
  [[nodiscard]] bool finish(RecordFault& fault);
  /// Takes away what the record has given since the last finish().
  void drop();
  [[nodiscard]] std::size_t rows() const { return row_; }

  /// "column 'delay': ..."
  [[nodiscard]] RecordFault fault_of(std::uint32_t column, FieldFault fault) const;

 private:
  const StreamDefinition& stream_;
  const ColumnRules& rules_;
  ColumnBatch& batch_;
  std::size_t row_;
  std::string unknown_;  // "a":1,"b":2
};

}  // namespace millrace::format
