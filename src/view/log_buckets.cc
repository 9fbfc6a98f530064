#include "view/log_buckets.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "view/ordered_bits.h"

namespace millrace::view {
namespace {

constexpr unsigned kShift = 64 - kBucketBits;

/// The value of the bucket's least bits in the order of values.
double edge(std::uint32_t bucket) {
  return from_ordered<double>(static_cast<std::uint64_t>(bucket) << kShift);
}

}  // namespace

std::uint32_t bucket_of(double value) {
  if (std::fabs(value) < std::numeric_limits<double>::min()) value = 0;
  return static_cast<std::uint32_t>(to_ordered(value) >> kShift);
}

double bucket_value(std::uint32_t bucket) {
  if (bucket == bucket_of(0)) return 0;
  // Of the negative ones the edge is the end that is further from 0, and its bits below are ones.
  const double end = edge(bucket);
  if (std::isnan(end)) {
    return bucket == bucket_of(-std::numeric_limits<double>::infinity())
               ? -std::numeric_limits<double>::infinity()
               : std::numeric_limits<double>::quiet_NaN();
  }
  if (std::isinf(end)) return end;
  return from_ordered<double>((static_cast<std::uint64_t>(bucket) << kShift) |
                              (std::uint64_t{1} << (kShift - 1)));
}

bool is_bucket(std::uint32_t bucket) {
  return bucket < (std::uint32_t{1} << kBucketBits) && bucket_of(bucket_value(bucket)) == bucket;
}

double bucket_whole_value(std::uint32_t bucket) {
  const double middle = bucket_value(bucket);
  if (!std::isfinite(middle) || middle == 0) return middle;
  // The bucket is [low, high) of magnitudes.
  const double magnitude = std::fabs(middle);
  const std::uint32_t positive = bucket_of(magnitude);
  const double low = edge(positive);
  const double high = edge(positive + 1);
  const double first = std::ceil(low);
  const double last = std::ceil(high) - 1;
  double whole = std::nearbyint(magnitude);
  if (first <= last) whole = std::clamp(whole, first, last);
  return middle < 0 ? -whole : whole;
}

void store_bucket(std::uint32_t bucket, char* out) {
  out[0] = static_cast<char>(bucket >> 16);
  out[1] = static_cast<char>(bucket >> 8);
  out[2] = static_cast<char>(bucket);
}

std::uint32_t load_bucket(std::string_view bytes) {
  std::uint32_t bucket = 0;
  for (const char byte : bytes) bucket = (bucket << 8) | static_cast<std::uint8_t>(byte);
  return bucket;
}

}  // namespace millrace::view
