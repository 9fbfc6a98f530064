// The index of a join gives every row that may be a partner and no other, in whatever order rows
// come; ranges of time cover what was put in.
#include "view/join_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "view/time_ranges.h"

namespace millrace::view {
namespace {

constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
constexpr auto kMost = std::numeric_limits<std::int64_t>::max();

JoinRow random_row(std::mt19937_64& random) {
  const auto time = [&]() -> std::int64_t {
    if (random() % 50 == 0) return random() % 2 == 0 ? kLeast : kMost;
    return static_cast<std::int64_t>(random() % 2000) - 1000;
  };
  JoinRow row{.key = std::string(1, static_cast<char>('a' + random() % 3)), .low = time()};
  row.high = random() % 4 == 0 ? time() : row.low;  // some are the wrong way round
  return row;
}

TEST(JoinIndex, FindsTheRowsOfTheKeyWhoseSpansMeet) {
  std::mt19937_64 random(5);
  const Type types[] = {{TypeKind::kBigInt}};
  JoinIndex index(types);
  std::vector<JoinRow> all;
  for (int batch = 0; batch < 60; ++batch) {
    JoinRows rows(types);
    for (std::size_t i = random() % 40; i > 0; --i) {
      rows.columns.column(0).push(static_cast<std::int64_t>(all.size()));
      all.push_back(random_row(random));
      rows.rows.push_back(all.back());
    }
    index.add(rows);
    for (int i = 0; i < 20; ++i) {
      const auto asked = random_row(random);
      std::vector<std::uint32_t> found;
      index.find(asked, found);
      std::ranges::sort(found);
      std::vector<std::uint32_t> wanted;
      for (std::uint32_t r = 0; r < all.size(); ++r) {
        if (all[r].key == asked.key && all[r].low <= asked.high && asked.low <= all[r].high)
          wanted.push_back(r);
      }
      EXPECT_EQ(found, wanted);
      EXPECT_TRUE(wanted.empty() || index.meets(asked.low, asked.high));
    }
  }
  EXPECT_EQ(index.rows(), all.size());
  for (std::uint32_t r = 0; r < all.size(); ++r)
    EXPECT_EQ(index.columns().column(0).data<std::int64_t>()[r], r);
}

TEST(TimeRanges, CoverEachSpanWithFewRanges) {
  std::mt19937_64 random(6);
  TimeRanges ranges;
  std::vector<std::int64_t> points;
  for (int i = 0; i < 30'000; ++i) {
    const auto low = static_cast<std::int64_t>(random());
    const auto high = low > kMost - 1000 ? kMost : low + static_cast<std::int64_t>(random() % 1000);
    ranges.add(high, low);
    points.push_back(low);
    points.push_back(high);
  }
  const auto all = ranges.all();
  EXPECT_LE(all.size(), 64U);
  EXPECT_GT(all.size(), 32U);
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_LT(all[i - 1].high, all[i].low);
  for (const auto point : points) EXPECT_TRUE(ranges.meet(point, point)) << point;
}

TEST(TimeRanges, LeaveTheWidestGapsOut) {
  TimeRanges ranges;
  EXPECT_TRUE(ranges.empty());
  for (std::int64_t year = 0; year < 10; ++year) {
    for (std::int64_t i = 0; i < 100; ++i)
      ranges.add(year * 1'000'000 + i * 10, year * 1'000'000 + i * 10 + 1);
  }
  for (std::int64_t year = 0; year < 9; ++year)
    EXPECT_FALSE(ranges.meet(year * 1'000'000 + 2000, year * 1'000'000 + 999'999));
}

}  // namespace
}  // namespace millrace::view
