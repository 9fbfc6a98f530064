// The exact sum of doubles: a superaccumulator whose bits do not depend on the order of the additions or on how
// they were grouped. The value is an integer in units of 2^-1074, held as 32-bit chunks in signed 64-bit limbs, so
// that carries wait (R. Neal, "Fast exact summation using small and large superaccumulators", arXiv:1505.05571).
// Nearly all groups fit a window of five limbs (48 bytes); one whose values span more than about 2^96 moves to a
// full accumulator.
// NaN and infinities are counted as flags: NaN, or both infinities, give NaN. -0.0 adds nothing.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace millrace::view {

class ExactSum {
 public:
  ExactSum() = default;
  ExactSum(ExactSum&& other) noexcept;
  ExactSum& operator=(ExactSum&& other) noexcept;
  ExactSum(const ExactSum& other);
  ExactSum& operator=(const ExactSum& other);
  ~ExactSum();

  void add(double value);
  void merge(const ExactSum& other);
  /// The sum rounded once, to nearest, ties to even; overflow gives an infinity.
  [[nodiscard]] double round() const;

  /// Canonical: equal sums have equal bytes, whatever made them. Self-delimiting.
  void encode(std::string& out) const;
  /// Adds an encoded sum. Marks the reader bad on malformed bytes.
  void merge_encoded(ByteReader& in);
  /// Bytes outside of this object.
  [[nodiscard]] std::size_t heap_bytes() const;

 private:
  struct Full;
  std::int64_t limbs_[5] = {};
  std::uint64_t rest_ = 0;  // window base, flags, count of additions since the last carry; or the Full's address
};
static_assert(sizeof(ExactSum) <= 48);

}  // namespace millrace::view
