// Position tokens: what was given out comes back as it was, and nothing else is taken.
#include "serving/position_token.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "model/stream.h"

namespace millrace::serving {
namespace {

Position position(std::initializer_list<std::uint64_t> ends) {
  Position out;
  std::uint32_t p = 0;
  for (const auto end : ends) out.set_end(PartitionId(p++), Offset(end));
  return out;
}

std::string sealed(std::string_view content) {
  return fmt::format("{}~{:08x}", content, crc32c(content));
}

TEST(PositionToken, ComesBackAsItWasGivenOut) {
  PositionToken token;
  token.include(StreamId(7), position({0, 18446744073709551615U}));
  token.include(StreamId(3), position({17}));
  EXPECT_TRUE(token.text().starts_with("p1.3.17_7.0-18446744073709551615~"));
  const auto back = PositionToken::parse(token.text());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, token);
}

TEST(PositionToken, StandsAtTheNewestOfWhatItIncludes) {
  PositionToken token;
  token.include(StreamId(3), position({17, 2}));
  token.include(StreamId(3), position({4, 9, 1}));
  EXPECT_EQ(token.streams, (PositionToken{{{StreamId(3), position({17, 9, 1})}}}.streams));
}

TEST(PositionToken, ChangedInAnyLetterItIsRefused) {
  PositionToken token;
  token.include(StreamId(3), position({17, 4}));
  token.include(StreamId(5), position({9}));
  const std::string text = token.text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(PositionToken::parse(text.substr(0, i))) << i;
    for (const char letter : {'0', '5', '-', '_', '.', '~', 'a', '\0', '\xff'}) {
      std::string changed = text;
      if (changed[i] == letter) continue;
      changed[i] = letter;
      EXPECT_FALSE(PositionToken::parse(changed)) << changed;
    }
  }
  EXPECT_FALSE(PositionToken::parse(text + "0"));
  EXPECT_FALSE(PositionToken::parse(""));
}

TEST(PositionToken, WithAGoodChecksumItMustStillBeOneThatIsGivenOut) {
  EXPECT_TRUE(PositionToken::parse(sealed("p1.3.17-4_5.9")));
  for (const char* content :
       {"p1.", "p1.3", "p1.3.", "p1.3.17-", "p1.3.-4", "p1.3.17_", "p1.3.17_3.18", "p1.5.1_3.1",
        "p1.03.17", "p1.3.017", "p1.4294967296.1", "p1.3.18446744073709551616", "p2.3.17",
        "p1.3.17 ", "p1.3.+17", "p1.3.17.4"}) {
    EXPECT_FALSE(PositionToken::parse(sealed(content))) << content;
  }
  std::string many = "p1.3.0";
  for (std::uint32_t p = 1; p < kPartitionsMax; ++p) many += "-0";
  EXPECT_TRUE(PositionToken::parse(sealed(many)));
  EXPECT_FALSE(PositionToken::parse(sealed(many + "-0")));
}

}  // namespace
}  // namespace millrace::serving
