// Decoded columns: what ingest makes once of the bytes of events, and what the lake, the speed
// layer and the scalar stage read. The memory forms are those of DuckDB's vectors (StringRef is its
// string_t).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "model/type.h"

namespace millrace {

/// A string value of 16 bytes: up to 12 bytes lie inside, longer ones outside with a prefix of 4
/// inside.
struct alignas(8) StringRef {
  static constexpr std::uint32_t kInlineBytes = 12;
  std::uint32_t size = 0;
  /// The bytes and zeros behind them; or the first 4 bytes and, from bytes[4], the address of all
  /// of them.
  char bytes[kInlineBytes] = {};

  StringRef() = default;
  /// Points into `text` when it is long: the caller keeps those bytes alive.
  explicit StringRef(std::string_view text) : size(static_cast<std::uint32_t>(text.size())) {
    if (size <= kInlineBytes) {
      if (size != 0) std::memcpy(bytes, text.data(), size);
    } else {
      const char* address = text.data();
      std::memcpy(bytes, address, 4);
      std::memcpy(bytes + 4, &address, sizeof(address));
    }
  }
  [[nodiscard]] const char* data() const {
    if (size <= kInlineBytes) return bytes;
    const char* address = nullptr;
    std::memcpy(&address, bytes + 4, sizeof(address));
    return address;
  }
  [[nodiscard]] std::string_view view() const { return {data(), size}; }
};
static_assert(sizeof(StringRef) == 16);

/// Memory that only grows and goes all at once; pointers into it stay valid until then.
class Arena {
 public:
  char* allocate(std::size_t size);
  std::string_view copy(std::string_view text) {
    char* place = allocate(text.size());
    std::memcpy(place, text.data(), text.size());
    return {place, text.size()};
  }
  [[nodiscard]] std::size_t size_bytes() const { return total_; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t total_ = 0;
};

/// One column that somebody else owns. validity: bit i of word i / 64 is 1 where row i is not NULL;
/// nullptr where no row is NULL.
struct ColumnView {
  Type type;
  const void* data = nullptr;
  const std::uint64_t* validity = nullptr;

  template <class T>
  [[nodiscard]] const T* as() const {
    return static_cast<const T*>(data);
  }
  [[nodiscard]] bool valid(std::size_t row) const {
    return validity == nullptr || ((validity[row / 64] >> (row % 64)) & 1) != 0;
  }
};

/// Some columns of the same length that somebody else owns.
struct BatchView {
  std::span<const ColumnView> columns;
  std::size_t rows = 0;
};

/// One column that owns its values. Strings longer than 12 bytes lie in the Arena of its batch.
class ColumnVector {
 public:
  explicit ColumnVector(Type type) : type_(type), width_(millrace::size_bytes(type.physical())) {}

  [[nodiscard]] const Type& type() const { return type_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t size_bytes() const { return capacity_ * width_ + validity_.size() * 8; }
  template <class T>
  [[nodiscard]] const T* data() const {
    MR_DCHECK(sizeof(T) == width_, "a column of {} is read as another type", type_.sql());
    return reinterpret_cast<const T*>(data_.get());
  }
  template <class T>
  [[nodiscard]] T* data() {
    MR_DCHECK(sizeof(T) == width_, "a column of {} is written as another type", type_.sql());
    return reinterpret_cast<T*>(data_.get());
  }
  [[nodiscard]] bool valid(std::size_t row) const {
    return validity_.empty() || ((validity_[row / 64] >> (row % 64)) & 1) != 0;
  }
  [[nodiscard]] ColumnView view() const {
    return {type_, data_.get(), validity_.empty() ? nullptr : validity_.data()};
  }

  void reserve(std::size_t rows);
  /// T has the physical size of the type; strings go through push_string.
  template <class T>
  void push(T value) {
    MR_DCHECK(sizeof(T) == width_, "a value of {} bytes is put into a column of {}", sizeof(T),
              type_.sql());
    if (rows_ == capacity_) reserve(rows_ + 1);
    std::memcpy(data_.get() + rows_ * width_, &value, sizeof(T));
    if (!validity_.empty()) set_valid_bit(rows_, true);
    ++rows_;
  }
  void push_string(std::string_view text, Arena& arena) {
    push(StringRef(text.size() <= StringRef::kInlineBytes ? text : arena.copy(text)));
  }
  void push_null();
  /// Copies row `row` of `from`, which has the same type; long strings are copied into `arena`.
  void push_from(const ColumnView& from, std::size_t row, Arena& arena);
  /// Takes the last rows away again: a record turned out bad after some of its fields were pushed.
  void truncate(std::size_t rows) { rows_ = rows < rows_ ? rows : rows_; }

 private:
  void set_valid_bit(std::size_t row, bool valid);

  Type type_;
  std::size_t width_;
  std::size_t rows_ = 0;
  std::size_t capacity_ = 0;
  std::unique_ptr<std::byte[]> data_;
  std::vector<std::uint64_t> validity_;  // empty: no row is NULL
};

/// Columns of the same length that own their values.
class ColumnBatch {
 public:
  ColumnBatch() = default;
  explicit ColumnBatch(std::span<const Type> types);

  [[nodiscard]] std::size_t rows() const { return columns_.empty() ? 0 : columns_.front().rows(); }
  [[nodiscard]] std::size_t column_count() const { return columns_.size(); }
  [[nodiscard]] const ColumnVector& column(std::size_t index) const { return columns_[index]; }
  [[nodiscard]] ColumnVector& column(std::size_t index) { return columns_[index]; }
  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] std::size_t size_bytes() const;
  [[nodiscard]] std::vector<ColumnView> views() const;
  void reserve(std::size_t rows);
  /// Appends the named rows of `from`, whose columns have the same types.
  void append_rows(const BatchView& from, std::span<const std::uint32_t> rows);
  void append_all(const BatchView& from);

 private:
  std::vector<ColumnVector> columns_;
  Arena arena_;
};

/// A value as text in the way of SQL output (NULL gives nullopt): for tables, JSON, tests. Doubles
/// in the shortest form that reads back to the same bits; BLOB as \xAB bytes where not printable;
/// nested values as model/nested_value.h says.
[[nodiscard]] std::optional<std::string> value_text(const ColumnView& column, std::size_t row);

/// Appends a value as JSON: integers that fit 2^53 and doubles as numbers, larger ones and decimals
/// as strings, NaN and infinities as the strings "NaN", "Infinity", "-Infinity", JSON as it is,
/// LIST, STRUCT and MAP as arrays and objects, NULL as null.
void append_json(std::string& out, const ColumnView& column, std::size_t row);
void append_json_string(std::string& out, std::string_view text);

}  // namespace millrace
