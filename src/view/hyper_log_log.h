// An approximate count of distinct values: 4096 registers, each the largest number of leading zeros
// (+ 1) among the hashes that fell to it. The estimate is Ertl's improved one (arXiv:1702.01284,
// algorithm 6), which needs no tables of corrections; its standard error is 1.04 / sqrt(4096) =
// 1.6 %. Owns its memory: a sorted list of the registers that are set while they are few. Thread:
// one at a time. Errors: decode() is false on bytes that are none. Invariant: what
// encode() gives depends on the registers alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace millrace::view {

class HyperLogLog {
 public:
  static constexpr std::uint32_t kRegisters = 4096;
  static constexpr std::uint8_t kRankMax = 64 - 12 + 1;

  HyperLogLog() = default;
  HyperLogLog(const HyperLogLog& other);
  HyperLogLog& operator=(const HyperLogLog&) = delete;

  static std::uint64_t hash(std::string_view composite);
  void add_hash(std::uint64_t hash);
  void merge(const HyperLogLog& other);
  [[nodiscard]] std::int64_t estimate() const;
  void encode(std::string& out) const;
  /// Into an empty one.
  [[nodiscard]] bool decode(ByteReader& in);
  [[nodiscard]] std::size_t size_bytes() const;

  std::atomic<std::uint32_t> references{1};

 private:
  using Dense = std::array<std::uint8_t, kRegisters>;
  /// In bytes a quarter of the dense form.
  static constexpr std::size_t kSparseMax = 256;

  void raise(std::uint32_t index, std::uint8_t rank);
  void become_dense();
  [[nodiscard]] Dense ranks() const;

  std::vector<std::uint32_t> sparse_;  // index << 6 | rank, ascending
  std::unique_ptr<Dense> dense_;
};

}  // namespace millrace::view
