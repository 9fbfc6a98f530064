// One block of a state run in memory: its bytes, where each entry begins, and four bytes of each
// key, so that a key is found by a binary search that touches little memory. Thread: immutable once
// parsed; any. Errors: parse() says what does not fit. Invariant: keys ascend strictly, and there
// is at least one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::view {

class RunBlock {
 public:
  struct Entry {
    std::string_view key;
    std::string_view state;
  };

  /// `bytes` are the block's, their checksum is known to be right.
  static Result<std::shared_ptr<const RunBlock>> parse(std::string bytes, std::uint32_t entries);

  [[nodiscard]] std::size_t entries() const { return places_.size(); }
  [[nodiscard]] Entry entry(std::size_t index) const;
  [[nodiscard]] std::string_view key(std::size_t index) const;
  /// Index of the first entry whose key is not less.
  [[nodiscard]] std::size_t lower_bound(std::string_view key) const;
  [[nodiscard]] std::size_t size_bytes() const {
    return sizeof(*this) + bytes_.capacity() +
           (places_.capacity() + prefixes_.capacity()) * sizeof(std::uint32_t);
  }

 private:
  RunBlock() = default;
  void cache_prefixes();

  std::string bytes_;
  std::vector<std::uint32_t> places_;
  std::vector<std::uint32_t> prefixes_;  // 4 bytes of each key behind the shared_ ones, big endian
  std::size_t shared_ = 0;               // so many first bytes are the same in all keys
};

}  // namespace millrace::view
