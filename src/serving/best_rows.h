// The first rows of an order, kept while many more go by: a heap of the sort keys, and the rows
// that they belong to. Thread: one at a time. Errors: none. Invariant: at most a few times `limit`
// rows are kept, whatever came.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/column_batch.h"

namespace millrace::serving {

struct SortColumn {
  std::uint32_t column = 0;  // of the rows
  bool descending = false;
  bool nulls_first = false;
};

/// Appends bytes whose order is that of the rows.
void append_sort_key(std::span<const ColumnView> row_columns, std::size_t row,
                     std::span<const SortColumn> order, std::string& out);

class BestRows {
 public:
  BestRows(std::span<const Type> types, std::uint64_t limit);

  /// Whether a row with this key would be kept now.
  [[nodiscard]] bool wants(std::string_view key) const;
  /// Keeps row `row` of `from`, which wants() said yes to.
  void add(std::string key, const BatchView& from, std::uint32_t row);
  /// The rows in their order; afterwards there are none.
  [[nodiscard]] std::shared_ptr<ColumnBatch> take();

 private:
  struct Place {
    std::string key;
    std::uint32_t row = 0;
  };
  void compact();

  std::vector<Type> types_;
  std::uint64_t limit_;
  std::vector<Place> heap_;  // the last of them at the front
  std::shared_ptr<ColumnBatch> rows_;
};

}  // namespace millrace::serving
