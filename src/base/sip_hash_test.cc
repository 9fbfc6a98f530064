#include "base/sip_hash.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

std::string hex(const Hash128& hash) {
  std::string out;
  for (const std::uint64_t half : {hash.low, hash.high}) {
    for (int byte = 0; byte < 8; ++byte) out += fmt::format("{:02x}", (half >> (8 * byte)) & 0xff);
  }
  return out;
}

// Key 00 01 .. 0f, input 00 01 .. n-1, as `openssl mac -macopt size:16 SIPHASH` gives them.
TEST(SipHash, GivesTheNumbersOfOtherImplementations) {
  const SipHashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  const auto of = [&](int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i));
    return hex(sip_hash_128(key, bytes));
  };
  EXPECT_EQ(of(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(of(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(of(7), "a1f1ebbed8dbc153c0b84aa61ff08239");
  EXPECT_EQ(of(8), "3b62a9ba6258f5610f83e264f31497b4");
  EXPECT_EQ(of(15), "5493e99933b0a8117e08ec0f97cfc3d9");
  EXPECT_EQ(of(31), "2939b0183223fafc1723de4f52c43d35");
}

TEST(SipHash, DependsOnBothHalvesOfTheKey) {
  EXPECT_NE(hex(sip_hash_128({1, 2}, "x")), hex(sip_hash_128({3, 2}, "x")));
  EXPECT_NE(hex(sip_hash_128({1, 2}, "x")), hex(sip_hash_128({1, 3}, "x")));
}

}  // namespace
}  // namespace millrace
