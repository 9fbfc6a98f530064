// Memory for tables of many groups: from one huge page up it lies in huge pages, where the system
// grants them, because random access to small ones spends a quarter of its time on their addresses
// (measured at 1 M groups). Thread: any. Errors: std::bad_alloc, as for any memory.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace millrace::view {

inline constexpr std::size_t kHugePageBytes = 2 * 1024 * 1024;

template <class T>
struct HugePageAllocator {
  using value_type = T;

  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>& /*other*/) {
  }  // NOLINT(google-explicit-constructor)

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kHugePageBytes) return static_cast<T*>(::operator new(bytes));
    const std::size_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
    void* const memory = std::aligned_alloc(kHugePageBytes, whole);
    if (memory == nullptr) throw std::bad_alloc();
    // Advice: without huge pages all is right, only slower.
    (void)madvise(memory, whole, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < kHugePageBytes) {
      ::operator delete(memory);
    } else {
      std::free(memory);
    }
  }
  bool operator==(const HugePageAllocator& /*other*/) const { return true; }
};

/// Bytes without a value, for rows.
class RowMemory {
 public:
  explicit RowMemory(std::size_t bytes)
      : bytes_(bytes), data_(HugePageAllocator<char>().allocate(bytes)) {}
  RowMemory(RowMemory&& other) noexcept : bytes_(other.bytes_), data_(other.data_) {
    other.data_ = nullptr;
  }
  RowMemory& operator=(RowMemory&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~RowMemory() {
    if (data_ != nullptr) HugePageAllocator<char>().deallocate(data_, bytes_);
  }
  [[nodiscard]] char* data() const { return data_; }

 private:
  std::size_t bytes_;
  char* data_;
};

}  // namespace millrace::view
