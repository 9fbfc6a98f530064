// The log-linear buckets of approx_quantile: a DOUBLE falls into the bucket of its sign, exponent
// and top 7 bits of mantissa, so a bucket is 1/128 of its power of two wide and its middle is off
// by at most 1/256 of any value in it. No logarithm is taken: every machine has the same buckets.
// Values below the least normal double (2^-1022) count as 0; the infinities and NaN, the largest of
// all, have buckets of their own. Buckets are numbered in the order of their values. Pure
// functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::view {

inline constexpr std::uint32_t kBucketBits = 19;
/// A bucket in a ValueBag: its number in three bytes, big endian.
inline constexpr std::size_t kBucketBytes = 3;

[[nodiscard]] std::uint32_t bucket_of(double value);
/// Whether any value falls into a bucket of this number.
[[nodiscard]] bool is_bucket(std::uint32_t bucket);
/// The middle of a bucket.
[[nodiscard]] double bucket_value(std::uint32_t bucket);
/// The whole number that is nearest to the middle and lies in the bucket, where any does: exact
/// below 256.
[[nodiscard]] double bucket_whole_value(std::uint32_t bucket);

void store_bucket(std::uint32_t bucket, char* out);
[[nodiscard]] std::uint32_t load_bucket(std::string_view bytes);

}  // namespace millrace::view
