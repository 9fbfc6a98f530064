// Rows of one stream of a joined view by what they are joined by: the key, and the span of time in
// which their partners lie. Holds copies of the columns that the view reads. A row of the other
// side is a candidate with those that have an equal key and a span that meets its own; the view's
// SQL decides in the end, this only leaves out what cannot be a pair. Pure; thread: one at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/column_batch.h"

namespace millrace::view {

/// What a row is joined by. A row that has NULL in any of it has no partner and no JoinRow.
struct JoinRow {
  std::string key;  // as encode_key() has it
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// Rows of one side: `rows[i]` is of row i of the columns.
struct JoinRows {
  explicit JoinRows(std::span<const Type> types) : columns(types) {}
  ColumnBatch columns;
  std::vector<JoinRow> rows;
};

class JoinIndex {
 public:
  explicit JoinIndex(std::span<const Type> types) : columns_(types) {}
  void add(const JoinRows& added);

  /// Appends the numbers of the rows that are candidates for `row`, and gives how many they are.
  std::size_t find(const JoinRow& row, std::vector<std::uint32_t>& out) const;
  /// Whether any row can be a candidate for one with a span inside of [low, high].
  [[nodiscard]] bool meets(std::int64_t low, std::int64_t high) const {
    return low_min_ <= high && low <= high_max_;
  }
  [[nodiscard]] const ColumnBatch& columns() const { return columns_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t size_bytes() const { return columns_.size_bytes() + entry_bytes_; }
  [[nodiscard]] std::int64_t low_min() const { return low_min_; }
  [[nodiscard]] std::int64_t high_max() const { return high_max_; }

 private:
  struct Entry {
    std::int64_t low;
    std::int64_t high;
    std::uint32_t row;
  };
  /// The first `sorted` are by `low`; the few behind came in another order and wait.
  struct OfKey {
    std::vector<Entry> entries;
    std::size_t sorted = 0;
    std::uint64_t width_max = 0;  // of a span
  };
  static void put(OfKey& of_key, const Entry& entry);

  ColumnBatch columns_;
  std::unordered_map<std::string, OfKey> keys_;
  std::size_t rows_ = 0;
  std::size_t entry_bytes_ = 0;
  std::int64_t low_min_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t high_max_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace millrace::view
