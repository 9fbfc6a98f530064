// What the columns of a stream get that a record does not give itself: defaults, and values bound
// from outside of the payload; and which columns a record cannot give at all. Made once for a body,
// shared by all decoders. Thread: any, values only. Errors: fault() where a bound value does not
// fit its column; then no record of the payload is good.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/decoded.h"
#include "format/payload.h"
#include "model/column_batch.h"
#include "model/stream.h"

namespace millrace::format {

class ColumnRules {
 public:
  /// Bound values of columns that the stream does not have are passed over. `stream` outlives it.
  explicit ColumnRules(const StreamDefinition& stream, std::span<const BoundText> bound = {});

  /// The value of a column that the record does not give: row 0.
  [[nodiscard]] ColumnView missing(std::size_t column) const;
  /// The server's own or bound: a field of that name is an unknown one.
  [[nodiscard]] bool closed(std::size_t column) const {
    return column == stream_.unknown_column || (has_bound_ && bound_[column]);
  }
  [[nodiscard]] bool has_bound() const { return has_bound_; }
  [[nodiscard]] const std::optional<RecordFault>& fault() const { return fault_; }

 private:
  void bind(std::span<const BoundText> bound);
  void fill_missing();

  const StreamDefinition& stream_;
  /// One row. None where every missing value is NULL: most bodies need no memory for it.
  std::optional<ColumnBatch> missing_;
  std::vector<bool> bound_;
  bool has_bound_ = false;
  std::optional<RecordFault> fault_;
};

}  // namespace millrace::format
