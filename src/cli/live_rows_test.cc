#include "cli/live_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using Clock = LiveRows::Clock;

std::string line(std::string_view op, std::string_view key, std::string_view cells) {
  return fmt::format(R"({{"_position":null,"_op":"{}","_key":"[{}]","city":{}}})", op, key, cells);
}

TEST(LiveRows, KeepsTheRowsThatAreToldAndMarksTheNewest) {
  LiveRows rows;
  const auto first = Clock::now();
  EXPECT_FALSE(*rows.take(line("upsert", "2", R"("Lima","n":1)"), first));
  EXPECT_FALSE(*rows.take(line("upsert", "1", R"("Quito","n":2)"), first));
  EXPECT_TRUE(*rows.take(R"({"_position":"1.2","_op":"progress","_key":null,"city":null,"n":null})",
                         first));
  EXPECT_EQ(rows.position(), "1.2");
  const auto later = first + std::chrono::seconds(5);
  EXPECT_FALSE(*rows.take(line("upsert", "2", R"("Lima","n":7)"), later));
  const auto shown = rows.shown(10, later);
  ASSERT_EQ(shown.table.rows(), 2U);
  EXPECT_EQ(shown.table.cell(0, 0), "\"Quito\"");
  EXPECT_EQ(shown.table.cell(1, 1), "7");
  EXPECT_EQ(shown.is_new, (std::vector<bool>{false, true}));
  EXPECT_EQ(rows.shown(1, later).table.rows(), 1U);
  EXPECT_FALSE(*rows.take(line("delete", "1", R"(null,"n":null)"), later));
  EXPECT_EQ(rows.keys(), 1U);
  EXPECT_FALSE(*rows.take(line("reset", "", R"(null,"n":null)"), later));
  EXPECT_EQ(rows.keys(), 0U);
}

TEST(LiveRows, SeveralRowsOfAKeyGoTogether) {
  LiveRows rows;
  const auto now = Clock::now();
  for (const char* city : {"\"a\"", "\"b\""})
    EXPECT_TRUE(rows.take(line("insert", "1", std::string(city) + ",\"n\":1"), now));
  EXPECT_EQ(rows.shown(10, now).table.rows(), 2U);
  EXPECT_TRUE(rows.take(line("delete", "1", "null,\"n\":null"), now));
  EXPECT_EQ(rows.shown(10, now).table.rows(), 0U);
}

TEST(LiveRows, TheLastLineIsTheServersError) {
  LiveRows rows;
  const auto ended = rows.take(
      R"({"_position":null,"_op":"end","_key":null,"error":{"code":"MR1202","detail":"gone"}})",
      Clock::now());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().id, "MR1202");
  EXPECT_EQ(ended.error().message, "gone");
  EXPECT_FALSE(rows.take("{\"a\":", Clock::now()));
}

TEST(LiveRows, BeyondItsBoundItKeepsWhatChangedLast) {
  LiveRows rows;
  auto now = Clock::now();
  for (std::size_t i = 0; i <= LiveRows::kRowsMax; ++i) {
    now += std::chrono::microseconds(1);
    ASSERT_TRUE(rows.take(line("upsert", fmt::format("{:07}", i), "\"x\",\"n\":1"), now));
  }
  EXPECT_FALSE(rows.is_whole());
  EXPECT_LE(rows.keys(), LiveRows::kRowsMax);
  EXPECT_GT(rows.keys(), LiveRows::kRowsMax / 2);
}

}  // namespace
}  // namespace millrace::cli
