#include "serving/best_rows.h"

#include <algorithm>

#include "view/key_codec.h"

namespace millrace::serving {

void append_sort_key(std::span<const ColumnView> row_columns, std::size_t row,
                     std::span<const SortColumn> order, std::string& out) {
  for (const auto& one : order) {
    const ColumnView& column = row_columns[one.column];
    const bool null = !column.valid(row);
    out.push_back(null == one.nulls_first ? '\0' : '\1');
    if (null) continue;
    const std::size_t begin = out.size();
    view::encode_key({&column, 1}, row, out);
    if (!one.descending) continue;
    // No encoded value is the beginning of another one, so turned bits are the order turned.
    std::for_each(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
                  [](char& c) { c = static_cast<char>(~c); });
  }
}

BestRows::BestRows(std::span<const Type> types, std::uint64_t limit)
    : types_(types.begin(), types.end()),
      limit_(limit),
      rows_(std::make_shared<ColumnBatch>(types)) {}

bool BestRows::wants(std::string_view key) const {
  if (heap_.size() < limit_) return true;
  return limit_ != 0 && key < heap_.front().key;
}

void BestRows::add(std::string key, const BatchView& from, std::uint32_t row) {
  if (heap_.size() == limit_) {
    std::ranges::pop_heap(heap_, {}, &Place::key);
    heap_.pop_back();
  }
  heap_.push_back({std::move(key), static_cast<std::uint32_t>(rows_->rows())});
  std::ranges::push_heap(heap_, {}, &Place::key);
  rows_->append_rows(from, {&row, 1});
  if (rows_->rows() >= 2 * limit_ + 1024) compact();
}

void BestRows::compact() {
  std::vector<std::uint32_t> kept;
  kept.reserve(heap_.size());
  for (auto& place : heap_) {
    kept.push_back(place.row);
    place.row = static_cast<std::uint32_t>(kept.size() - 1);
  }
  auto fewer = std::make_shared<ColumnBatch>(types_);
  const auto views = rows_->views();
  fewer->append_rows({views, rows_->rows()}, kept);
  rows_ = std::move(fewer);
}

std::shared_ptr<ColumnBatch> BestRows::take() {
  std::ranges::sort_heap(heap_, {}, &Place::key);
  compact();
  heap_.clear();
  return std::exchange(rows_, std::make_shared<ColumnBatch>(types_));
}

}  // namespace millrace::serving
