#include "view/moments.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace millrace::view {
namespace {

namespace mp = boost::multiprecision;
/// 1024 bits lie inside; the products of sums that span more take memory from the heap.
using Integer = mp::number<mp::cpp_int_backend<1024>, mp::et_off>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// digits * 2^exponent, exactly. The digits have no zeros at their end, so that they stay short.
class Dyadic {
 public:
  Dyadic(std::int64_t value) : digits_(value) { strip(); }  // NOLINT: numbers mix in formulas
  explicit Dyadic(const ExactDigits& value) {
    if (value.zero()) return;
    mp::import_bits(digits_, value.chunks.begin() + value.low, value.chunks.begin() + value.end, 32,
                    false);
    if (value.negative) digits_ = -digits_;
    exponent_ = static_cast<std::int64_t>(value.low) * 32 - 1074;
    strip();
  }

  friend Dyadic operator*(const Dyadic& a, const Dyadic& b) {
    return {Integer(a.digits_ * b.digits_), a.exponent_ + b.exponent_};
  }
  friend Dyadic operator+(const Dyadic& a, const Dyadic& b) {
    if (a.sign() == 0) return b;
    if (b.sign() == 0) return a;
    const std::int64_t least = std::min(a.exponent_, b.exponent_);
    return {Integer((a.digits_ << static_cast<unsigned>(a.exponent_ - least)) +
                    (b.digits_ << static_cast<unsigned>(b.exponent_ - least))),
            least};
  }
  friend Dyadic operator-(const Dyadic& a, const Dyadic& b) { return a + Dyadic(-1) * b; }
  [[nodiscard]] int sign() const { return digits_.sign(); }
  [[nodiscard]] const Integer& digits() const { return digits_; }
  [[nodiscard]] std::int64_t exponent() const { return exponent_; }

 private:
  Dyadic(Integer digits, std::int64_t exponent) : digits_(std::move(digits)), exponent_(exponent) {
    strip();
  }
  void strip() {
    if (digits_.is_zero()) {
      exponent_ = 0;
      return;
    }
    const Integer magnitude = mp::abs(digits_);
    const auto zeros = static_cast<unsigned>(mp::lsb(magnitude));
    if (zeros == 0) return;
    // A shift of a negative number rounds down; here nothing is cut off.
    digits_ =
        digits_.sign() < 0 ? Integer(-Integer(magnitude >> zeros)) : Integer(magnitude >> zeros);
    exponent_ += zeros;
  }

  Integer digits_ = 0;
  std::int64_t exponent_ = 0;
};

/// sign * mantissa * 2^exponent; the mantissa has 64 bits, of which the last is also 1 where
/// anything lies below: rounding it to a double is rounding the number itself.
struct Quotient {
  std::uint64_t mantissa = 0;
  std::int64_t exponent = 0;
  bool negative = false;

  [[nodiscard]] double round() const {
    if (mantissa == 0) return 0;
    // To 53 bits, or fewer where the result is subnormal.
    const std::int64_t drop = std::max<std::int64_t>(11, -1074 - exponent);
    double value = 0;
    if (drop <= 64) {
      const auto cut = static_cast<unsigned>(drop);
      std::uint64_t kept = cut == 64 ? 0 : mantissa >> cut;
      const std::uint64_t rest = cut == 64 ? mantissa : mantissa & ((std::uint64_t{1} << cut) - 1);
      const std::uint64_t half = std::uint64_t{1} << (cut - 1);
      if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
      const std::int64_t power = std::min<std::int64_t>(exponent + drop, 2000);
      value = std::ldexp(static_cast<double>(kept), static_cast<int>(power));
    }
    return negative ? -value : value;
  }
  /// The root of the magnitude, with the sign of the number.
  [[nodiscard]] double signed_root() const {
    if (mantissa == 0) return 0;
    // In [2^62, 2^64), so that neither a large nor a small number leaves the range on the way.
    Quotient near = *this;
    near.negative = false;
    near.exponent = (exponent & 1) != 0 ? 1 : 0;
    const std::int64_t halved = (exponent - near.exponent) / 2;
    const double root = std::ldexp(std::sqrt(near.round()),
                                   static_cast<int>(std::clamp<std::int64_t>(halved, -4000, 4000)));
    return negative ? -root : root;
  }
};

/// `below` is not 0.
Quotient divide(const Dyadic& above, const Dyadic& below) {
  if (above.sign() == 0) return {};
  Integer numerator = mp::abs(above.digits());
  Integer denominator = mp::abs(below.digits());
  const auto width = [](const Integer& of) { return static_cast<std::int64_t>(mp::msb(of)) + 1; };
  // The whole quotient gets 65 or 66 bits.
  const std::int64_t shift = 66 - (width(numerator) - width(denominator));
  if (shift > 0) {
    numerator <<= static_cast<unsigned>(shift);
  } else {
    denominator <<= static_cast<unsigned>(-shift);
  }
  Integer whole;
  Integer rest;
  mp::divide_qr(numerator, denominator, whole, rest);
  const auto spare = static_cast<unsigned>(width(whole) - 64);
  const Integer lost = whole & ((Integer(1) << spare) - 1);
  whole >>= spare;
  Quotient out;
  out.mantissa = static_cast<std::uint64_t>(whole);
  if (!rest.is_zero() || !lost.is_zero()) out.mantissa |= 1;
  out.exponent = above.exponent() - below.exponent() - shift + spare;
  out.negative = (above.sign() < 0) != (below.sign() < 0);
  return out;
}

/// What underflow has made negative is 0.
Dyadic at_least_zero(const Dyadic& value) { return value.sign() < 0 ? Dyadic(0) : value; }

/// n * sum(x * y) - sum(x) * sum(y): n^2 times the covariance.
Dyadic spread(const Dyadic& n, const Dyadic& product, const Dyadic& x, const Dyadic& y) {
  return n * product - x * y;
}

std::optional<double> of_one(OutputKind kind, std::int64_t rows, std::span<const Dyadic> sums) {
  const Dyadic n(rows);
  const Dyadic& s1 = sums[0];
  const Dyadic& s2 = sums[1];
  const Dyadic a = at_least_zero(spread(n, s2, s1, s1));
  switch (kind) {
    case OutputKind::kVarPop:
      return divide(a, n * n).round();
    case OutputKind::kVarSamp:
      return divide(a, n * Dyadic(rows - 1)).round();
    case OutputKind::kStddevPop:
      return divide(a, n * n).signed_root();
    case OutputKind::kStddevSamp:
      return divide(a, n * Dyadic(rows - 1)).signed_root();
    case OutputKind::kSem:
      return divide(a, n * n * n).signed_root();
    case OutputKind::kSkewness: {
      if (a.sign() == 0) return kNan;
      // b / a^1.5 * sqrt(n (n - 1)) / (n - 2), as the root of its square.
      const Dyadic b = n * n * sums[2] - Dyadic(3) * n * s2 * s1 + Dyadic(2) * s1 * s1 * s1;
      const Dyadic less(rows - 2);
      Quotient square = divide(b * b * n * Dyadic(rows - 1), a * a * a * less * less);
      square.negative = b.sign() < 0;
      return square.signed_root();
    }
    case OutputKind::kKurtosis:
    case OutputKind::kKurtosisPop: {
      if (a.sign() == 0) return std::nullopt;
      const Dyadic square = s1 * s1;
      const Dyadic c = n * n * n * sums[3] - Dyadic(4) * n * n * sums[2] * s1 +
                       Dyadic(6) * n * s2 * square - Dyadic(3) * square * square;
      if (kind == OutputKind::kKurtosisPop) return divide(c - Dyadic(3) * a * a, a * a).round();
      const Dyadic one_less(rows - 1);
      return divide(one_less * (Dyadic(rows + 1) * c - Dyadic(3) * one_less * a * a),
                    Dyadic(rows - 2) * Dyadic(rows - 3) * a * a)
          .round();
    }
    default:
      break;
  }
  MR_CHECK(false, "output kind {} is no moment", static_cast<int>(kind));
  return std::nullopt;
}

std::optional<double> of_pairs(OutputKind kind, std::int64_t rows, std::span<const Dyadic> sums) {
  const Dyadic n(rows);
  const Dyadic& sx = sums[0];
  const Dyadic& sy = sums[1];
  const Dyadic xy = spread(n, sums[2], sx, sy);
  if (kind == OutputKind::kCovarPop) return divide(xy, n * n).round();
  if (kind == OutputKind::kCovarSamp) return divide(xy, n * Dyadic(rows - 1)).round();
  if (kind == OutputKind::kRegrSxy) return divide(xy, n).round();
  const Dyadic xx = at_least_zero(spread(n, sums[3], sx, sx));
  const Dyadic yy = at_least_zero(spread(n, sums[4], sy, sy));
  switch (kind) {
    case OutputKind::kCorr:
      if (xx.sign() == 0 || yy.sign() == 0) return kNan;
      {
        Quotient square = divide(xy * xy, xx * yy);
        square.negative = xy.sign() < 0;
        // Within the bounds also where underflow took from the variances.
        return std::clamp(square.signed_root(), -1.0, 1.0);
      }
    case OutputKind::kRegrSlope:
      if (xx.sign() == 0) return kNan;
      return divide(xy, xx).round();
    case OutputKind::kRegrIntercept:
      if (xx.sign() == 0) return std::nullopt;
      return divide(sy * xx - xy * sx, n * xx).round();
    case OutputKind::kRegrR2:
      if (xx.sign() == 0) return std::nullopt;
      if (yy.sign() == 0) return 1.0;
      return std::min(divide(xy * xy, xx * yy).round(), 1.0);
    case OutputKind::kRegrSxx:
      return divide(xx, n).round();
    case OutputKind::kRegrSyy:
      return divide(yy, n).round();
    default:
      break;
  }
  MR_CHECK(false, "output kind {} is no moment", static_cast<int>(kind));
  return std::nullopt;
}

/// DuckDB gives NULL for fewer rows.
std::int64_t least_rows(OutputKind kind) {
  switch (kind) {
    case OutputKind::kVarSamp:
    case OutputKind::kStddevSamp:
    case OutputKind::kCovarSamp:
      return 2;
    case OutputKind::kSkewness:
      return 3;
    case OutputKind::kKurtosis:
      return 4;
    case OutputKind::kKurtosisPop:
      return 2;
    default:
      return 1;
  }
}

}  // namespace

bool is_moment(OutputKind kind) {
  return kind >= OutputKind::kVarPop && kind <= OutputKind::kRegrSxy;
}

std::optional<double> moment(OutputKind kind, std::int64_t rows, std::span<const MomentSum> sums) {
  if (rows < least_rows(kind)) return std::nullopt;
  std::vector<Dyadic> values;
  values.reserve(sums.size());
  for (const MomentSum& sum : sums) {
    if (!sum.finite) return kNan;
    values.emplace_back(sum.digits);
  }
  return kind >= OutputKind::kCovarPop ? of_pairs(kind, rows, values) : of_one(kind, rows, values);
}

}  // namespace millrace::view
