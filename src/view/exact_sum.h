// The exact sum of doubles: a superaccumulator whose bits do not depend on the order of the
// additions or on how they were grouped. The value is an integer in units of 2^-1074, held as
// 32-bit chunks in signed 64-bit limbs, so that carries wait (R. Neal, "Fast exact summation using
// small and large superaccumulators", arXiv:1505.05571). Nearly all groups fit a window of a few
// limbs: five for plain values (48 bytes), more for products, whose low halves reach further down.
// One whose values span more than the window moves to a full accumulator. NaN and
// infinities are counted as flags: NaN, or both infinities, give NaN. -0.0 adds nothing. Thread:
// one at a time. Errors: malformed bytes mark the reader bad. Zero bytes are an empty sum, and an
// object may be moved by copying its bytes (the old place is then forgotten, not destroyed).
// Invariant: |limb| < 2^32 * (additions + 1), and additions <= 2^30 between two carries: no limb
// ever overflows.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace millrace::view {

/// A sum as sign and magnitude: chunks [low, end), of which the first and the last are not zero, in
/// units of 2^-1074. This is the canonical form: it depends on the value alone.
struct ExactDigits {
  /// A double reaches chunk 65; two more hold the sum of 2^64 of the largest.
  static constexpr std::uint32_t kChunks = 68;
  std::array<std::uint32_t, kChunks + 4> chunks = {};
  std::uint32_t low = 0;
  std::uint32_t end = 0;
  bool negative = false;

  [[nodiscard]] bool zero() const { return low == end; }
  [[nodiscard]] double round() const;
};

template <std::uint32_t kWindowLimbs>
class WindowedSum {
 public:
  WindowedSum() = default;
  WindowedSum(WindowedSum&& other) noexcept;
  WindowedSum& operator=(WindowedSum&& other) noexcept;
  WindowedSum(const WindowedSum& other);
  WindowedSum& operator=(const WindowedSum& other);
  ~WindowedSum() {
    if (is_full()) drop_full();
  }

  void add(double value) { add_tracked(value); }
  /// The same; returns how many bytes outside of the object it took, nearly always 0.
  std::size_t add_tracked(double value);
  /// Adds x * y (squares, cubes, ...: see the functions below): what it adds depends on x and y
  /// alone, and is the product exactly unless it, or its low half, lies below the least double. A
  /// product beyond the largest double adds an infinity.
  std::size_t add_product(double x, double y);
  std::size_t add_cube(double x);
  std::size_t add_fourth_power(double x);
  void merge(const WindowedSum& other);
  /// The sum rounded once, to nearest, ties to even; overflow gives an infinity.
  [[nodiscard]] double round() const;

  /// Canonical: equal sums have equal bytes, whatever made them. Self-delimiting.
  void encode(std::string& out) const;
  /// Adds an encoded sum. Marks the reader bad on malformed bytes, and then has added nothing.
  void merge_encoded(ByteReader& in);
  /// Bytes outside of this object.
  [[nodiscard]] std::size_t heap_bytes() const;
  /// No NaN and no infinity came in: digits() is the sum.
  [[nodiscard]] bool is_finite() const { return flags() == 0; }
  [[nodiscard]] ExactDigits digits() const;

 private:
  static constexpr std::uint32_t kChunks = ExactDigits::kChunks;
  static constexpr std::uint32_t kAdditionsMax = 1U << 30;
  static constexpr std::uint64_t kPlusInfinity = std::uint64_t{1} << 40;
  static constexpr std::uint64_t kMinusInfinity = std::uint64_t{1} << 41;
  static constexpr std::uint64_t kNan = std::uint64_t{1} << 42;
  static constexpr std::uint64_t kFlags = kPlusInfinity | kMinusInfinity | kNan;
  static constexpr std::uint64_t kFull = std::uint64_t{1} << 63;

  struct Full;

  [[nodiscard]] bool is_full() const { return (rest_ & kFull) != 0; }
  [[nodiscard]] Full* full() const;
  [[nodiscard]] std::uint32_t base() const {
    return static_cast<std::uint32_t>(rest_ >> 32) & 0xff;
  }
  [[nodiscard]] std::uint32_t additions() const { return static_cast<std::uint32_t>(rest_); }
  [[nodiscard]] std::uint64_t flags() const;
  void set_flag(std::uint64_t flag);
  void set_window(std::uint32_t base, std::uint32_t additions);
  void drop_full();
  void become_full();
  std::size_t add_slowly(double value);
  void add_to_limbs(std::uint32_t index, std::uint64_t mantissa, std::uint32_t shift,
                    std::int64_t sign_mask);
  void add_digits(const ExactDigits& other);
  std::size_t add_terms(std::span<const double> terms);
  /// Carries; then moves the window so that it holds its own digits and [low, high] too. False: it
  /// became full.
  bool make_room(std::uint32_t low, std::uint32_t high);

  std::int64_t limbs_[kWindowLimbs] = {};
  // Window: bits 0..31 additions since the last carry, 32..39 first chunk of the window, 40..42
  // flags. Full: bit 63 and the address. One subtraction thus tells that a value falls into a
  // window without flags.
  std::uint64_t rest_ = 0;
};

/// Of values as they are; of products; of third and fourth powers, whose digits reach twice as far.
using ExactSum = WindowedSum<5>;
using ExactProductSum = WindowedSum<9>;
using ExactPowerSum = WindowedSum<13>;
static_assert(sizeof(ExactSum) <= 48);
extern template class WindowedSum<5>;
extern template class WindowedSum<9>;
extern template class WindowedSum<13>;

template <std::uint32_t kWindowLimbs>
inline void WindowedSum<kWindowLimbs>::add_to_limbs(std::uint32_t index, std::uint64_t mantissa,
                                                    std::uint32_t shift, std::int64_t sign_mask) {
  const std::uint64_t low = mantissa << shift;
  const auto high = static_cast<std::int64_t>((mantissa >> 1) >> (63 - shift));
  const auto chunk0 = static_cast<std::int64_t>(low & 0xffffffff);
  const auto chunk1 = static_cast<std::int64_t>(low >> 32);
  limbs_[index] += (chunk0 ^ sign_mask) - sign_mask;
  limbs_[index + 1] += (chunk1 ^ sign_mask) - sign_mask;
  limbs_[index + 2] += (high ^ sign_mask) - sign_mask;
}

template <std::uint32_t kWindowLimbs>
inline std::size_t WindowedSum<kWindowLimbs>::add_tracked(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint32_t exponent = static_cast<std::uint32_t>(bits >> 52) & 0x7ff;
  const std::uint32_t place = exponent - 1;  // in bits; wraps for subnormals, which go the slow way
  const std::uint32_t index = (place >> 5) - static_cast<std::uint32_t>(rest_ >> 32);
  if (index > kWindowLimbs - 3 || exponent == 0x7ff || additions() >= kAdditionsMax) [[unlikely]]
    return add_slowly(value);
  const std::uint64_t mantissa = (bits & 0x000fffffffffffff) | 0x0010000000000000;
  add_to_limbs(index, mantissa, place & 31, static_cast<std::int64_t>(bits) >> 63);
  ++rest_;
  return 0;
}

template <std::uint32_t kWindowLimbs>
inline std::size_t WindowedSum<kWindowLimbs>::add_product(double x, double y) {
  const double high = x * y;
  std::size_t taken = add_tracked(high);
  if (!std::isfinite(high)) return taken;
  const double low = std::fma(x, y, -high);
  if (low != 0) taken += add_tracked(low);
  return taken;
}

}  // namespace millrace::view
