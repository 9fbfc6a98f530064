// Bytes with zeroed padding behind their end, which simdjson may read but never interprets. A
// request body is received into one of these and parsed in place: no copy between the socket and
// the parser. Thread: one owner at a time. Invariant: data()[size() .. size() + kPadding) is
// readable and zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace millrace {

class PaddedBytes {
 public:
  /// At least simdjson's SIMDJSON_PADDING.
  static constexpr std::size_t kPadding = 64;

  PaddedBytes() = default;
  PaddedBytes(PaddedBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  PaddedBytes& operator=(PaddedBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  PaddedBytes(const PaddedBytes&) = delete;
  PaddedBytes& operator=(const PaddedBytes&) = delete;
  ~PaddedBytes() { std::free(data_); }

  [[nodiscard]] static PaddedBytes copy_of(std::string_view bytes) {
    PaddedBytes copy;
    copy.append(bytes);
    return copy;
  }

  /// Never null, so that an empty body can be parsed too.
  [[nodiscard]] char* data() { return data_ != nullptr ? data_ : empty_; }
  [[nodiscard]] const char* data() const { return data_ != nullptr ? data_ : empty_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// Bytes that fit without another allocation, the padding not counted.
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::string_view view() const { return {data(), size_}; }

  /// Room for `bytes` in all. Throws std::bad_alloc, as the standard containers do.
  void reserve(std::size_t bytes) {
    if (bytes <= capacity_) return;
    auto* grown = static_cast<char*>(std::realloc(data_, bytes + kPadding));
    if (grown == nullptr) throw std::bad_alloc();
    data_ = grown;
    capacity_ = bytes;
    std::memset(data_ + size_, 0, kPadding);
  }

  /// `bytes` must not lie inside this object.
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    grow_to(size_ + bytes.size());
    std::memcpy(data_ + size_, bytes.data(), bytes.size());
    set_size(size_ + bytes.size());
  }

  /// New bytes, if any, are not initialised: the caller writes them.
  void resize(std::size_t bytes) {
    if (bytes > capacity_) grow_to(bytes);
    if (data_ != nullptr) set_size(bytes);
  }

  void clear() { resize(0); }

 private:
  void grow_to(std::size_t bytes) {
    if (bytes > capacity_) reserve(std::max(bytes, capacity_ + capacity_ / 2));
  }
  void set_size(std::size_t bytes) {
    size_ = bytes;
    std::memset(data_ + size_, 0, kPadding);
  }

  static inline char empty_[kPadding] = {};

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace millrace
