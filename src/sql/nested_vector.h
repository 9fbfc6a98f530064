// DuckDB's vectors of LIST, STRUCT and MAP and the bytes that our columns hold instead
// (model/nested_value.h), in both directions. Thread: any; an object on one at a time. Errors:
// none; bytes that are no value of their type are NULL for DuckDB.
#pragma once

#include <duckdb.h>

#include <cstddef>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "model/column_batch.h"

namespace millrace::sql {

/// The columns of a flat chunk as ours: plain ones where they lie, nested ones encoded here. Valid
/// until clear() and as long as the chunk.
class ChunkColumns {
 public:
  void clear();
  void add(const Type& type, duckdb_vector vector, std::size_t rows);
  [[nodiscard]] std::span<const ColumnView> columns() const { return columns_; }

 private:
  struct Encoded {
    std::string bytes;
    std::vector<StringRef> values;
  };
  std::vector<ColumnView> columns_;
  std::deque<Encoded> encoded_;  // the first encoded_count_ are in use
  std::size_t encoded_count_ = 0;
};

/// Writes rows [begin, begin + count) of a nested column as rows [out_row, ...) of a vector of its
/// type. The rows of a vector are written once, in any order.
void write_nested(duckdb_vector out, std::size_t out_row, const ColumnView& column,
                  std::size_t begin, std::size_t count);

}  // namespace millrace::sql
