// A cell whose value lies on the heap and is shared by the copies of a state until one of them
// writes: a snapshot of a table costs a reference a cell. T counts its own references in an atomic
// member `references`, which begins at 1. Zero bytes are "nothing yet", and a cell may be moved by
// copying its bytes (the old place is then forgotten, not destroyed). Thread: one at a time for a
// cell; cells of different threads may share a value. Errors: none.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace millrace::view {

template <class T>
class SharedCell {
 public:
  SharedCell() = default;
  SharedCell(const SharedCell& other) : value_(other.value_) {
    if (value_ != nullptr) value_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SharedCell& operator=(SharedCell other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~SharedCell() { release(value_); }

  [[nodiscard]] const T* get() const { return value_; }
  /// The value to write to: made where there is none, copied where others have it too.
  T& own() {
    if (value_ == nullptr) {
      value_ = new T;
    } else if (value_->references.load(std::memory_order_acquire) != 1) {
      // Nobody but this cell can raise a count of 1, so it stays 1 while this cell writes.
      T* const copy = new T(*value_);
      release(value_);
      value_ = copy;
    }
    return *value_;
  }
  [[nodiscard]] std::size_t heap_bytes() const {
    return value_ == nullptr ? 0 : value_->size_bytes();
  }

 private:
  static void release(T* value) {
    if (value != nullptr && value->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete value;
    }
  }

  T* value_ = nullptr;
};

}  // namespace millrace::view
