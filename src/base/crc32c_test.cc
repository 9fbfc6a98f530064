#include "base/crc32c.h"

#include <gtest/gtest.h>

#include "base/result.h"

namespace millrace {
namespace {

TEST(Crc32c, GivesTheCheckValueOfTheCastagnoliPolynomial) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(Crc32c, ContinuesFromTheChecksumOfTheBytesBefore) {
  EXPECT_EQ(crc32c("56789", crc32c("1234")), crc32c("123456789"));
}

Result<int> half(int value) {
  if (value % 2 != 0)
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue, "{} is odd", value);
  return value / 2;
}
Result<int> quarter(int value) {
  MR_TRY(const int once, half(value));
  return half(once);
}

TEST(Result, ReturnsTheErrorOfTheInnerCallWithItsText) {
  EXPECT_EQ(*quarter(8), 2);
  const auto odd = quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().text(), "error[MR2003]: 3 is odd");
}

TEST(ByteReader, TurnsBadInsteadOfReadingPastTheEnd) {
  std::string out;
  ByteWriter writer(out);
  writer.put<std::uint32_t>(7);
  writer.put_string("abc");
  writer.put_varint(300);
  ByteReader reader(out);
  EXPECT_EQ(reader.get<std::uint32_t>(), 7U);
  EXPECT_EQ(reader.get_string(), "abc");
  EXPECT_EQ(reader.get_varint(), 300U);
  EXPECT_TRUE(reader.at_end());
  reader.get<std::uint64_t>();
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace millrace
