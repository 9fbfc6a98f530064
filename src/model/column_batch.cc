#include "model/column_batch.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "model/value_text.h"

namespace millrace {

char* Arena::allocate(std::size_t size) {
  if (size > left_) {
    // A large value gets its own block, so that the rest of the current one is not lost.
    if (size > 16384) {
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(size));
      total_ += size;
      return blocks_.back().get();
    }
    const std::size_t block = std::max(size, std::clamp<std::size_t>(total_, 256, 262144));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block));
    next_ = blocks_.back().get();
    left_ = block;
    total_ += block;
  }
  char* place = next_;
  next_ += size;
  left_ -= size;
  return place;
}

void ColumnVector::reserve(std::size_t rows) {
  if (rows <= capacity_) return;
  // Small at first: many batches hold the one event of a request, for as long as the tail does.
  const std::size_t capacity = std::max<std::size_t>({rows, capacity_ * 2, 4});
  auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity * width_);
  if (rows_ != 0) std::memcpy(grown.get(), data_.get(), rows_ * width_);
  data_ = std::move(grown);
  capacity_ = capacity;
}

void ColumnVector::set_valid_bit(std::size_t row, bool valid) {
  if (row / 64 >= validity_.size()) validity_.resize(row / 64 + 1, ~std::uint64_t{0});
  const std::uint64_t bit = std::uint64_t{1} << (row % 64);
  if (valid) {
    validity_[row / 64] |= bit;
  } else {
    validity_[row / 64] &= ~bit;
  }
}

void ColumnVector::push_null() {
  if (rows_ == capacity_) reserve(rows_ + 1);
  std::memset(data_.get() + rows_ * width_, 0, width_);
  if (validity_.empty()) validity_.resize(rows_ / 64 + 1, ~std::uint64_t{0});
  set_valid_bit(rows_, false);
  ++rows_;
}

void ColumnVector::push_from(const ColumnView& from, std::size_t row, Arena& arena) {
  if (!from.valid(row)) {
    push_null();
    return;
  }
  if (type_.is_string()) {
    push_string(from.as<StringRef>()[row].view(), arena);
    return;
  }
  if (rows_ == capacity_) reserve(rows_ + 1);
  std::memcpy(data_.get() + rows_ * width_, static_cast<const std::byte*>(from.data) + row * width_,
              width_);
  if (!validity_.empty()) set_valid_bit(rows_, true);
  ++rows_;
}

ColumnBatch::ColumnBatch(std::span<const Type> types) {
  columns_.reserve(types.size());
  for (const Type& type : types) columns_.emplace_back(type);
}

std::size_t ColumnBatch::size_bytes() const {
  std::size_t sum = arena_.size_bytes();
  for (const auto& column : columns_) sum += column.size_bytes();
  return sum;
}

std::vector<ColumnView> ColumnBatch::views() const {
  std::vector<ColumnView> out;
  out.reserve(columns_.size());
  for (const auto& column : columns_) out.push_back(column.view());
  return out;
}

void ColumnBatch::reserve(std::size_t rows) {
  for (auto& column : columns_) column.reserve(rows);
}

void ColumnBatch::append_rows(const BatchView& from, std::span<const std::uint32_t> rows) {
  MR_CHECK(from.columns.size() == columns_.size(), "{} columns are appended to {}",
           from.columns.size(), columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    columns_[c].reserve(columns_[c].rows() + rows.size());
    for (const std::uint32_t row : rows) columns_[c].push_from(from.columns[c], row, arena_);
  }
}

void ColumnBatch::append_all(const BatchView& from) {
  MR_CHECK(from.columns.size() == columns_.size(), "{} columns are appended to {}",
           from.columns.size(), columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    columns_[c].reserve(columns_[c].rows() + from.rows);
    for (std::size_t row = 0; row < from.rows; ++row)
      columns_[c].push_from(from.columns[c], row, arena_);
  }
}

}  // namespace millrace
