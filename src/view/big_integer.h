// For tests: an integer of 2304 bits in two's complement, and the exact sum of doubles made with it
// in the plainest way, to compare the fast ones with.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "model/type.h"

namespace millrace::view {

class BigInteger {
 public:
  static constexpr int kWords = 72;

  void add(UInt128 magnitude, unsigned shift, bool negative) {
    BigInteger term;
    for (unsigned bit = 0; bit < 128; ++bit) {
      if (((magnitude >> bit) & 1) != 0)
        term.words_[(bit + shift) / 32] |= std::uint32_t{1} << ((bit + shift) % 32);
    }
    if (negative) term.negate();
    add(term);
  }
  void add(const BigInteger& other) {
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < kWords; ++i) {
      carry += std::uint64_t{words_[i]} + other.words_[i];
      words_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
  }
  void negate() {
    std::uint64_t carry = 1;
    for (auto& word : words_) {
      carry += static_cast<std::uint32_t>(~word);
      word = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
  }
  [[nodiscard]] bool negative() const { return (words_.back() >> 31) != 0; }
  [[nodiscard]] bool bit(int i) const {
    const auto at = static_cast<unsigned>(i);
    return ((words_[at / 32] >> (at % 32)) & 1) != 0;
  }
  [[nodiscard]] int highest_bit() const {
    int i = kWords * 32 - 1;
    while (i >= 0 && !bit(i)) --i;
    return i;
  }
  /// The low 128 bits, where they are the whole value.
  [[nodiscard]] bool fits128() const {
    for (std::size_t i = 4; i < kWords; ++i) {
      if (words_[i] != ((words_[3] >> 31) != 0 ? 0xffffffffU : 0U)) return false;
    }
    return true;
  }
  [[nodiscard]] Int128 low128() const {
    UInt128 out = 0;
    for (std::size_t i = 4; i-- > 0;) out = (out << 32) | words_[i];
    return static_cast<Int128>(out);
  }

 private:
  std::array<std::uint32_t, kWords> words_ = {};
};

class PlainExactSum {
 public:
  void add(double value) {
    if (std::isnan(value)) {
      nan_ = true;
    } else if (std::isinf(value)) {
      (value > 0 ? plus_ : minus_) = true;
    } else if (value != 0) {
      int exponent = 0;
      double fraction = std::frexp(std::fabs(value), &exponent);  // value = fraction * 2^exponent
      int shift = exponent - 53 + 1074;
      if (shift < 0) {
        fraction = std::ldexp(fraction, shift);
        shift = 0;
      }
      sum_.add(static_cast<std::uint64_t>(std::ldexp(fraction, 53)), static_cast<unsigned>(shift),
               value < 0);
    }
  }
  [[nodiscard]] double round() const {
    if (nan_ || (plus_ && minus_)) return std::numeric_limits<double>::quiet_NaN();
    if (plus_) return std::numeric_limits<double>::infinity();
    if (minus_) return -std::numeric_limits<double>::infinity();
    BigInteger magnitude = sum_;
    if (magnitude.negative()) magnitude.negate();
    const int highest = magnitude.highest_bit();
    if (highest < 0) return 0.0;
    // 64 bits, the last of which tells whether anything lies below: the processor then rounds
    // rightly.
    const int lowest = highest > 63 ? highest - 63 : 0;
    std::uint64_t top = 0;
    for (int i = highest; i >= lowest; --i) top = (top << 1) | (magnitude.bit(i) ? 1 : 0);
    for (int i = 0; i < lowest; ++i) {
      if (magnitude.bit(i)) top |= 1;
    }
    const double out = std::ldexp(static_cast<double>(top), lowest - 1074);
    return sum_.negative() ? -out : out;
  }

 private:
  BigInteger sum_;
  bool nan_ = false;
  bool plus_ = false;
  bool minus_ = false;
};

}  // namespace millrace::view
