#include "view/exact_sum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "model/type.h"

namespace millrace::view {

/// All chunks that a sum of doubles can have, for a group whose values span more than a window.
template <std::uint32_t kWindowLimbs>
struct WindowedSum<kWindowLimbs>::Full {
  std::array<std::int64_t, kChunks + 2> limbs = {};
  std::uint64_t flags = 0;
  std::uint32_t additions = 0;

  void carry() {
    for (std::size_t i = 0; i + 1 < limbs.size(); ++i) {
      const std::int64_t up = limbs[i] >> 32;
      limbs[i] -= up * (std::int64_t{1} << 32);
      limbs[i + 1] += up;
    }
    additions = 1;
  }
  void count_addition() {
    if (++additions >= kAdditionsMax) carry();
  }
};

namespace {

/// The digits of limbs that weigh 2^(32 * first) and up.
ExactDigits make_digits(std::span<const std::int64_t> limbs, std::uint32_t first) {
  ExactDigits out;
  // Arithmetic in 128 bits, so that a limb near its bound and a carry cannot overflow.
  const auto fill = [&](bool negate) {
    Int128 carry = 0;
    for (std::uint32_t i = 0; i < limbs.size() + 2; ++i) {
      Int128 sum = carry;
      if (i < limbs.size())
        sum += negate ? -static_cast<Int128>(limbs[i]) : static_cast<Int128>(limbs[i]);
      const auto digit = static_cast<std::uint32_t>(sum & 0xffffffff);
      carry = sum >> 32;
      if (first + i < out.chunks.size()) out.chunks[first + i] = digit;
    }
    return carry < 0;
  };
  out.negative = fill(false);
  if (out.negative) fill(true);
  out.end = std::min<std::uint32_t>(first + static_cast<std::uint32_t>(limbs.size()) + 2,
                                    static_cast<std::uint32_t>(out.chunks.size()));
  out.low = first;
  while (out.end > out.low && out.chunks[out.end - 1] == 0) --out.end;
  while (out.low < out.end && out.chunks[out.low] == 0) ++out.low;
  if (out.low == out.end) out.low = out.end = 0;
  return out;
}

/// a * b as high and low; low is 0 where high is no finite number.
struct Product {
  Product(double a, double b) : high(a * b) {
    if (std::isfinite(high)) low = std::fma(a, b, -high);
  }
  double high;
  double low = 0;
};

}  // namespace

template <std::uint32_t kWindowLimbs>
typename WindowedSum<kWindowLimbs>::Full* WindowedSum<kWindowLimbs>::full() const {
  return reinterpret_cast<Full*>(static_cast<std::uintptr_t>(rest_ & ~kFull));
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::drop_full() {
  delete full();
}

template <std::uint32_t kWindowLimbs>
WindowedSum<kWindowLimbs>::WindowedSum(WindowedSum&& other) noexcept
    : rest_(std::exchange(other.rest_, 0)) {
  std::memcpy(limbs_, other.limbs_, sizeof(limbs_));
  std::memset(other.limbs_, 0, sizeof(limbs_));
}

template <std::uint32_t kWindowLimbs>
WindowedSum<kWindowLimbs>& WindowedSum<kWindowLimbs>::operator=(WindowedSum&& other) noexcept {
  if (this != &other) {
    if (is_full()) drop_full();
    rest_ = std::exchange(other.rest_, 0);
    std::memcpy(limbs_, other.limbs_, sizeof(limbs_));
    std::memset(other.limbs_, 0, sizeof(limbs_));
  }
  return *this;
}

template <std::uint32_t kWindowLimbs>
WindowedSum<kWindowLimbs>::WindowedSum(const WindowedSum& other) : rest_(other.rest_) {
  std::memcpy(limbs_, other.limbs_, sizeof(limbs_));
  if (other.is_full()) rest_ = reinterpret_cast<std::uintptr_t>(new Full(*other.full())) | kFull;
}

template <std::uint32_t kWindowLimbs>
WindowedSum<kWindowLimbs>& WindowedSum<kWindowLimbs>::operator=(const WindowedSum& other) {
  if (this != &other) *this = WindowedSum(other);
  return *this;
}

template <std::uint32_t kWindowLimbs>
std::size_t WindowedSum<kWindowLimbs>::heap_bytes() const {
  return is_full() ? sizeof(Full) : 0;
}

template <std::uint32_t kWindowLimbs>
std::uint64_t WindowedSum<kWindowLimbs>::flags() const {
  return (is_full() ? full()->flags : rest_) & kFlags;
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::set_flag(std::uint64_t flag) {
  if (is_full()) {
    full()->flags |= flag;
  } else {
    rest_ |= flag;
  }
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::set_window(std::uint32_t base, std::uint32_t additions) {
  rest_ = (rest_ & kFlags) | (static_cast<std::uint64_t>(base) << 32) | additions;
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::become_full() {
  auto* const all = new Full;
  all->flags = flags();
  // A limb beyond 32 bits stays as it is: the same weight, the same bound.
  for (std::uint32_t i = 0; i < kWindowLimbs; ++i) all->limbs[base() + i] = limbs_[i];
  all->carry();
  std::memset(limbs_, 0, sizeof(limbs_));
  rest_ = reinterpret_cast<std::uintptr_t>(all) | kFull;
}

template <std::uint32_t kWindowLimbs>
ExactDigits WindowedSum<kWindowLimbs>::digits() const {
  return is_full() ? make_digits(full()->limbs, 0) : make_digits(limbs_, base());
}

template <std::uint32_t kWindowLimbs>
bool WindowedSum<kWindowLimbs>::make_room(std::uint32_t low, std::uint32_t high) {
  const ExactDigits own = digits();
  if (!own.zero()) {
    low = std::min(low, own.low);
    high = std::max(high, own.end - 1);
  }
  const std::uint32_t span = high - low + 1;
  if (span > kWindowLimbs) {
    become_full();
    return false;
  }
  // What is left goes to both sides, so that neither larger nor smaller values soon fall out again.
  const std::uint32_t below = std::min(low, (kWindowLimbs - span) / 2);
  const std::uint32_t base = std::min(low - below, kChunks + 2 - kWindowLimbs);
  std::memset(limbs_, 0, sizeof(limbs_));
  for (std::uint32_t i = own.low; i < own.end; ++i) {
    const auto digit = static_cast<std::int64_t>(own.chunks[i]);
    limbs_[i - base] = own.negative ? -digit : digit;
  }
  set_window(base, 1);
  return true;
}

template <std::uint32_t kWindowLimbs>
std::size_t WindowedSum<kWindowLimbs>::add_slowly(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint32_t exponent = static_cast<std::uint32_t>(bits >> 52) & 0x7ff;
  const std::uint64_t fraction = bits & 0x000fffffffffffff;
  const std::int64_t sign_mask = static_cast<std::int64_t>(bits) >> 63;
  if (exponent == 0x7ff) {
    set_flag(fraction != 0 ? kNan : sign_mask != 0 ? kMinusInfinity : kPlusInfinity);
    return 0;
  }
  if (exponent == 0 && fraction == 0) return 0;
  const std::uint32_t place = exponent == 0 ? 0 : exponent - 1;
  const std::uint64_t mantissa = exponent == 0 ? fraction : fraction | 0x0010000000000000;
  const std::uint32_t chunk = place >> 5;
  std::size_t taken = 0;
  if (!is_full()) {
    const bool inside = chunk >= base() && chunk - base() <= kWindowLimbs - 3;
    if ((inside && additions() < kAdditionsMax) || make_room(chunk, chunk + 2)) {
      add_to_limbs(chunk - base(), mantissa, place & 31, sign_mask);
      ++rest_;
      return 0;
    }
    taken = sizeof(Full);
  }
  Full& all = *full();
  const std::uint64_t shifted_low = mantissa << (place & 31);
  const std::uint64_t shifted_high = (mantissa >> 1) >> (63 - (place & 31));
  const std::array<std::uint64_t, 3> parts = {shifted_low & 0xffffffff, shifted_low >> 32,
                                              shifted_high};
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto part = static_cast<std::int64_t>(parts[i]);
    all.limbs[chunk + i] += (part ^ sign_mask) - sign_mask;
  }
  all.count_addition();
  return taken;
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::add_digits(const ExactDigits& other) {
  if (other.zero()) return;
  if (!is_full()) {
    const bool inside = other.low >= base() && other.end <= base() + kWindowLimbs;
    if ((inside && additions() < kAdditionsMax) || make_room(other.low, other.end - 1)) {
      for (std::uint32_t i = other.low; i < other.end; ++i) {
        const auto digit = static_cast<std::int64_t>(other.chunks[i]);
        limbs_[i - base()] += other.negative ? -digit : digit;
      }
      ++rest_;
      return;
    }
  }
  Full& all = *full();
  for (std::uint32_t i = other.low; i < other.end && i < all.limbs.size(); ++i) {
    const auto digit = static_cast<std::int64_t>(other.chunks[i]);
    all.limbs[i] += other.negative ? -digit : digit;
  }
  all.count_addition();
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::merge(const WindowedSum& other) {
  set_flag(other.flags());
  if (!is_full() && !other.is_full() && base() == other.base() &&
      additions() + other.additions() + 1 < kAdditionsMax) {
    for (std::uint32_t i = 0; i < kWindowLimbs; ++i) limbs_[i] += other.limbs_[i];
    rest_ += other.additions() + 1;
    return;
  }
  add_digits(other.digits());
}

template <std::uint32_t kWindowLimbs>
double WindowedSum<kWindowLimbs>::round() const {
  const std::uint64_t special = flags();
  if ((special & kNan) != 0 ||
      (special & (kPlusInfinity | kMinusInfinity)) == (kPlusInfinity | kMinusInfinity)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (special != 0) {
    return (special & kPlusInfinity) != 0 ? std::numeric_limits<double>::infinity()
                                          : -std::numeric_limits<double>::infinity();
  }
  return digits().round();
}

double ExactDigits::round() const {
  const ExactDigits& value = *this;
  if (value.zero()) return 0.0;
  const std::uint32_t top = value.end - 1;
  const auto width = static_cast<std::uint32_t>(std::bit_width(value.chunks[top]));
  const std::uint32_t highest = top * 32 + width - 1;  // number of the highest bit
  const std::uint64_t sign = value.negative ? std::uint64_t{1} << 63 : 0;
  if (highest <= 52) {
    // As it stands: bit 52, where it is set, is the exponent 1.
    return std::bit_cast<double>(sign | value.chunks[0] |
                                 (static_cast<std::uint64_t>(value.chunks[1]) << 32));
  }
  const std::uint32_t lowest = highest - 52;
  if (lowest > 2045) return std::bit_cast<double>(sign | 0x7ff0000000000000);
  const std::uint32_t first = lowest / 32;
  const auto chunk = [&](std::uint32_t i) { return static_cast<UInt128>(value.chunks[i]); };
  const UInt128 window = chunk(first) | (chunk(first + 1) << 32) | (chunk(first + 2) << 64);
  const std::uint64_t mantissa =
      static_cast<std::uint64_t>(window >> (lowest % 32)) & 0x001fffffffffffff;
  const std::uint32_t half = lowest - 1;
  const bool round_bit = ((value.chunks[half / 32] >> (half % 32)) & 1) != 0;
  bool rest = (value.chunks[half / 32] & ((std::uint32_t{1} << (half % 32)) - 1)) != 0;
  for (std::uint32_t i = value.low; i < half / 32 && !rest; ++i) rest = value.chunks[i] != 0;
  const bool up = round_bit && (rest || (mantissa & 1) != 0);
  // The implicit bit of the mantissa adds 1 to the exponent; so does a carry out of it, up to
  // infinity.
  const std::uint64_t magnitude =
      (static_cast<std::uint64_t>(lowest) << 52) + mantissa + (up ? 1 : 0);
  return std::bit_cast<double>(sign | magnitude);
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::encode(std::string& out) const {
  const ExactDigits value = digits();
  ByteWriter writer(out);
  const bool negative = value.negative && !value.zero();
  writer.put(static_cast<std::uint8_t>((flags() >> 40) << 1 | (negative ? 1 : 0)));
  writer.put(static_cast<std::uint8_t>(value.low));
  writer.put(static_cast<std::uint8_t>(value.end - value.low));
  for (std::uint32_t i = value.low; i < value.end; ++i) writer.put(value.chunks[i]);
}

template <std::uint32_t kWindowLimbs>
void WindowedSum<kWindowLimbs>::merge_encoded(ByteReader& in) {
  const auto head = in.get<std::uint8_t>();
  const auto first = in.get<std::uint8_t>();
  const auto count = in.get<std::uint8_t>();
  bool good = in.ok() && head < 16 && first + count <= static_cast<int>(kChunks);
  if (good && count == 0) good = first == 0 && (head & 1) == 0;
  ExactDigits value;
  if (good) {
    value.low = first;
    value.end = static_cast<std::uint32_t>(first) + count;
    value.negative = (head & 1) != 0;
    for (std::uint32_t i = value.low; i < value.end; ++i) value.chunks[i] = in.get<std::uint32_t>();
    good = in.ok() &&
           (count == 0 || (value.chunks[value.low] != 0 && value.chunks[value.end - 1] != 0));
  }
  if (!good) {
    in.get_bytes(in.remaining() + 1);  // one byte too many: turns the reader bad
    return;
  }
  set_flag(static_cast<std::uint64_t>(head >> 1) << 40);
  add_digits(value);
}

template <std::uint32_t kWindowLimbs>
std::size_t WindowedSum<kWindowLimbs>::add_terms(std::span<const double> terms) {
  std::size_t taken = 0;
  for (const double term : terms) {
    if (term == 0) continue;
    taken += add_tracked(term);
    // The terms behind an infinite one are nonsense of its rounding.
    if (!std::isfinite(term)) break;
  }
  return taken;
}

template <std::uint32_t kWindowLimbs>
std::size_t WindowedSum<kWindowLimbs>::add_cube(double x) {
  const Product square(x, x);
  const Product high(square.high, x);
  const Product low(square.low, x);
  return add_terms(std::array{high.high, high.low, low.high, low.low});
}

template <std::uint32_t kWindowLimbs>
std::size_t WindowedSum<kWindowLimbs>::add_fourth_power(double x) {
  const Product square(x, x);
  const Product high(square.high, square.high);
  const Product middle(square.high, 2 * square.low);
  const Product low(square.low, square.low);
  return add_terms(std::array{high.high, high.low, middle.high, middle.low, low.high, low.low});
}

template class WindowedSum<5>;
template class WindowedSum<9>;
template class WindowedSum<13>;

}  // namespace millrace::view
