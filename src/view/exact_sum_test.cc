// The exact sum against an integer of 2304 bits: the same rounded value, and the same bytes for
// every order and grouping of the additions.
#include "view/exact_sum.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "view/big_integer.h"
#include "view/random_batch.h"

namespace millrace::view {
namespace {

std::string encoded(const ExactSum& sum) {
  std::string out;
  sum.encode(out);
  return out;
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

/// Values of one kind each, so that windows, their moves and full accumulators all occur.
std::vector<double> random_values(Random& random) {
  const std::uint64_t kind = below(random, 5);
  const int center = static_cast<int>(below(random, 1900)) - 1000;
  std::vector<double> values(below(random, 200));
  for (double& value : values) {
    switch (kind) {
      case 0:
        value = static_cast<double>(below(random, 100000)) / 100.0;
        break;
      case 1:
        value = random_double(random);
        break;
      case 2:
        value = std::bit_cast<double>(random() & 0xbfefffffffffffff);
        break;
      case 3:
        value = static_cast<double>(random() & 0xfffff) * 0x1p-1074;
        break;
      default:
        value = std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())),
                           center + static_cast<int>(below(random, 60)));
        break;
    }
  }
  // Sums that cancel to little or nothing.
  if (below(random, 3) == 0) {
    const std::size_t count = values.size();
    for (std::size_t i = 0; i < count; ++i) values.push_back(-values[i]);
  }
  std::shuffle(values.begin(), values.end(), random);
  return values;
}

/// The sum of values[begin, end) by a random tree of additions, merges, copies and encoded merges.
ExactSum random_tree(Random& random, const std::vector<double>& values, std::size_t begin,
                     std::size_t end) {
  ExactSum sum;
  if (end - begin < 3 || below(random, 4) == 0) {
    for (std::size_t i = begin; i < end; ++i) sum.add(values[i]);
    return sum;
  }
  const std::size_t middle = begin + below(random, end - begin);
  sum = random_tree(random, values, begin, middle);
  const ExactSum right = random_tree(random, values, middle, end);
  switch (below(random, 3)) {
    case 0:
      sum.merge(right);
      break;
    case 1: {
      ExactSum other = right;
      other.merge(sum);
      sum = std::move(other);
      break;
    }
    default: {
      const std::string bytes = encoded(right);
      ByteReader reader(bytes);
      sum.merge_encoded(reader);
      EXPECT_TRUE(reader.at_end());
      break;
    }
  }
  return sum;
}

TEST(ExactSum, AgreesWithABigIntegerForAnyValues) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    const std::vector<double> values = random_values(random);
    ExactSum sum;
    PlainExactSum plain;
    for (const double value : values) {
      sum.add(value);
      plain.add(value);
    }
    RC_ASSERT(bits(sum.round()) == bits(plain.round()));
  }));
}

TEST(ExactSum, HasTheSameBytesForEveryOrderAndGrouping) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    Random random(seed);
    std::vector<double> values = random_values(random);
    ExactSum sum;
    for (const double value : values) sum.add(value);
    const std::string expected = encoded(sum);
    for (int round = 0; round < 4; ++round) {
      std::shuffle(values.begin(), values.end(), random);
      const ExactSum other = random_tree(random, values, 0, values.size());
      RC_ASSERT(encoded(other) == expected);
      RC_ASSERT(bits(other.round()) == bits(sum.round()));
    }
  }));
}

TEST(ExactSum, RoundsTiesToEvenAndOverflowsToInfinity) {
  const auto sum_of = [](std::initializer_list<double> values) {
    ExactSum sum;
    for (const double value : values) sum.add(value);
    return sum.round();
  };
  const double greatest = std::numeric_limits<double>::max();
  const double least = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(sum_of({1.0, 0x1p-53}), 1.0);
  EXPECT_EQ(sum_of({1.0, 0x1p-53, least}), 1.0 + 0x1p-52);
  EXPECT_EQ(sum_of({1.0 + 0x1p-52, 0x1p-53}), 1.0 + 0x1p-51);
  EXPECT_EQ(sum_of({greatest, greatest}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(sum_of({greatest, 0x1p970}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(sum_of({greatest, 0x1p970, -least}), greatest);
  EXPECT_EQ(sum_of({greatest, greatest, -greatest, -greatest, least}), least);
  EXPECT_EQ(sum_of({1e300, 1.0, -1e300}), 1.0);
  EXPECT_EQ(bits(sum_of({-0.0})), bits(0.0));
  EXPECT_EQ(bits(sum_of({-1.5, 1.5})), bits(0.0));
  EXPECT_TRUE(std::isnan(
      sum_of({std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})));
}

TEST(ExactSum, CarriesBeforeALimbCanOverflow) {
  // Doubling by merge reaches 2^40 additions of one value; its sum is that value with a larger
  // exponent.
  for (const double value : {0.1, -12345.678, 0x1.fffffffffffffp+40}) {
    ExactSum sum;
    sum.add(value);
    for (int i = 0; i < 40; ++i) {
      const ExactSum copy = sum;
      sum.merge(copy);
    }
    EXPECT_EQ(sum.round(), std::ldexp(value, 40));
  }
}

TEST(ExactSum, RefusesBytesThatAreNotCanonical) {
  const auto accepts = [](std::string_view bytes) {
    ExactSum sum;
    ByteReader reader(bytes);
    sum.merge_encoded(reader);
    return reader.ok();
  };
  using std::string_view_literals::operator""sv;
  EXPECT_TRUE(accepts("\0\0\0"sv));
  EXPECT_FALSE(accepts("\0\0"sv));
  EXPECT_FALSE(accepts("\1\0\0"sv));            // negative zero
  EXPECT_FALSE(accepts("\0\1\0"sv));            // a place without digits
  EXPECT_FALSE(accepts("\x10\0\0"sv));          // an unknown flag
  EXPECT_FALSE(accepts("\0\0\1\0\0\0\0"sv));    // a digit of zero at the end
  EXPECT_FALSE(accepts("\0\x44\1\1\0\0\0"sv));  // beyond the last chunk
  EXPECT_TRUE(accepts("\0\x43\1\1\0\0\0"sv));
  EXPECT_FALSE(accepts("\0\0\2\1\0\0\0"sv));  // cut off
}

}  // namespace
}  // namespace millrace::view
