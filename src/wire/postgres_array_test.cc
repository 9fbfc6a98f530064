// Arrays as parameters: PostgreSQL's two forms of them become lists of the engine.
#include "wire/postgres_array.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace millrace::wire::postgres {
namespace {

constexpr std::uint32_t kTextArray = 1009;
constexpr std::uint32_t kInt4Array = 1007;

std::string of_text(std::uint32_t oid, std::string_view text) {
  const auto out = parameter_text(oid, Format::kText, text);
  return out ? *out : "error: " + out.error().message;
}

std::string big_endian(std::int32_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<std::uint32_t>(number) >> shift & 0xff);
  return out;
}

std::string int4_array(std::int32_t count) {
  return big_endian(1) + big_endian(0) + big_endian(23) + big_endian(count) + big_endian(1);
}

TEST(PostgresArray, TextIsReadAsArrayInReadsIt) {
  EXPECT_EQ(of_text(kInt4Array, "{1,2,NULL}"), R"(["1", "2", NULL])");
  EXPECT_EQ(of_text(kInt4Array, " { 1 , 2 } "), R"(["1", "2"])");
  EXPECT_EQ(of_text(kInt4Array, "{}"), "[]");
  EXPECT_EQ(of_text(kTextArray, R"({a b ,"NULL",null,"","x\"y\\z",\,})"),
            R"(["a b", "NULL", NULL, "", "x\"y\\z", ","])");
}

TEST(PostgresArray, BinaryIsReadAsArrayRecvReadsIt) {
  const std::string bytes = int4_array(2) + big_endian(4) + big_endian(-7) + big_endian(-1);
  EXPECT_EQ(parameter_text(kInt4Array, Format::kBinary, bytes).value(), R"(["-7", NULL])");
  const std::string none = big_endian(0) + big_endian(0) + big_endian(23);
  EXPECT_EQ(parameter_text(kInt4Array, Format::kBinary, none).value(), "[]");
}

TEST(PostgresArray, WhatIsNoneIsRefused) {
  for (const std::string_view text :
       {"", "1,2", "{1", "{1,}", "{,1}", "{{1},{2}}", "{\"a}", "{a\\", "{1} x", "[0:1]={1,2}"}) {
    EXPECT_FALSE(parameter_text(kInt4Array, Format::kText, text)) << text;
  }
  const std::string good = int4_array(1) + big_endian(4) + big_endian(1);
  ASSERT_TRUE(parameter_text(kInt4Array, Format::kBinary, good));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parameter_text(kInt4Array, Format::kBinary, good.substr(0, size))) << size;
  for (const std::string& bytes :
       {good + "x", int4_array(2'000'000'000) + big_endian(-1), int4_array(-1),
        int4_array(1) + big_endian(5) + big_endian(1),
        big_endian(2) + big_endian(0) + big_endian(23) + big_endian(1) + big_endian(1),
        big_endian(1) + big_endian(0) + big_endian(25) + big_endian(0) + big_endian(1)}) {
    EXPECT_FALSE(parameter_text(kInt4Array, Format::kBinary, bytes));
  }
}

TEST(PostgresArray, TypesOfElementsAreKnown) {
  EXPECT_EQ(sql_type_of(kTextArray), "VARCHAR[]");
  EXPECT_EQ(sql_type_of(1028), "UINTEGER[]");
  EXPECT_EQ(sql_type_of(1231), "") << "numeric: the digits decide";
  EXPECT_EQ(wire_type(Type::list(Type{TypeKind::kUInteger})).oid, 1028U) << "oid[]";
}

}  // namespace
}  // namespace millrace::wire::postgres
