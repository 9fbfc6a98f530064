#include "format/protobuf_decoder.h"

#include <gmock/gmock.h>

#include "format/avro_bytes_test.h"
#include "format/protobuf_schema.h"
#include "format/stream_fixture_test.h"

namespace millrace::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string tag(std::uint32_t number, std::uint32_t wire_type) {
  return varint(number << 3 | wire_type);
}
std::string number(std::uint32_t field, std::uint64_t value) {
  return tag(field, 0) + varint(value);
}
std::string bytes(std::uint32_t field, std::string_view value) {
  return tag(field, 2) + varint(value.size()) + std::string(value);
}

class ProtobufTest : public testing::Test {
 protected:
  void use(std::string_view text) {
    auto schema = std::make_shared<WriterSchema>();
    schema->id = 7;
    schema->type = SchemaType::kProtobuf;
    auto parsed = ProtobufSchema::parse(text);
    ASSERT_TRUE(parsed) << parsed.error().text();
    schema->protobuf = *parsed;
    schemas_.add(std::move(schema));
  }
  Decoded decode(std::string_view body, const StreamDefinition& stream,
                 std::string_view parameters = "; schema=7") {
    PayloadDecoder decoder({}, &schemas_);
    const auto type = payload_type_of("application/x-protobuf" + std::string(parameters));
    EXPECT_TRUE(type);
    return decode_payload(decoder, *type, body, stream);
  }
  /// What a message with one field x of a type gives in a column.
  std::string one(std::string_view type, std::string_view column, std::string_view body) {
    use(
        fmt::format("syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import "
                    "\"google/protobuf/wrappers.proto\"; enum E {{ A = 0; B = 1; }} message In {{ "
                    "int64 n = 1; repeated string s = 2; }} message M {{ {} x = 1; }}",
                    type));
    const auto decoded =
        decode(body, stream_of({{"x", std::string(column)}}), "; schema=7; message=M");
    return decoded.rejected.empty() ? rows_of(*decoded.columns).front()
                                    : faults_of(decoded).front();
  }
  FixedSchemas schemas_;
};

TEST_F(ProtobufTest, EveryTypeIsItsValue) {
  EXPECT_EQ(one("int32", "INTEGER", number(1, ~std::uint64_t{0})), "-1");
  EXPECT_EQ(one("int64", "BIGINT", number(1, std::uint64_t{1} << 63)), "-9223372036854775808");
  EXPECT_EQ(one("uint64", "UBIGINT", number(1, ~std::uint64_t{0})), "18446744073709551615");
  EXPECT_EQ(one("sint32", "INTEGER", number(1, 3)), "-2");
  EXPECT_EQ(one("sint64", "BIGINT", number(1, ~std::uint64_t{0})), "-9223372036854775808");
  EXPECT_EQ(one("bool", "BOOLEAN", number(1, 1)), "true");
  EXPECT_EQ(one("fixed32", "BIGINT", tag(1, 5) + avro_number(0xffffffffU)), "4294967295");
  EXPECT_EQ(one("sfixed64", "BIGINT", tag(1, 1) + avro_number(std::int64_t{-5})), "-5");
  EXPECT_EQ(one("float", "FLOAT", tag(1, 5) + avro_number(0.1F)), "0.1");
  EXPECT_EQ(one("double", "DOUBLE", tag(1, 1) + avro_number(0.1)), "0.1");
  EXPECT_EQ(one("string", "VARCHAR", bytes(1, "é")), "é");
  EXPECT_EQ(one("bytes", "BLOB", bytes(1, "ab")), "ab");
  EXPECT_EQ(one("E", "VARCHAR", number(1, 1)), "B");
  EXPECT_EQ(one("In", "JSON", bytes(1, number(1, 5) + bytes(2, "a") + bytes(2, "b"))),
            "{\"n\":5,\"s\":[\"a\",\"b\"]}");
  EXPECT_EQ(one("repeated int32", "JSON", bytes(1, varint(1) + varint(300))), "[1,300]");
  EXPECT_EQ(one("repeated int32", "JSON", number(1, 1) + number(1, 2)), "[1,2]");
  EXPECT_EQ(one("map<int32, string>", "JSON", bytes(1, number(1, 1) + bytes(2, "a"))),
            "{\"1\":\"a\"}");
  EXPECT_EQ(one("google.protobuf.Timestamp", "TIMESTAMP", bytes(1, number(1, 1) + number(2, 5000))),
            "1970-01-01 00:00:01.000005");
  EXPECT_THAT(one("google.protobuf.Timestamp", "TIMESTAMP", bytes(1, number(2, 5001))),
              HasSubstr("MR2004"));
  EXPECT_EQ(one("google.protobuf.Int64Value", "BIGINT", bytes(1, "")), "0");
}

TEST_F(ProtobufTest, WhatProto3DoesNotSendIsZeroAndWhatIsOptionalIsMissing) {
  EXPECT_EQ(one("int64", "BIGINT", ""), "0");
  EXPECT_EQ(one("string", "VARCHAR", ""), "");
  EXPECT_EQ(one("optional int64", "BIGINT", ""), "NULL");
  EXPECT_EQ(one("In", "JSON", ""), "NULL");
  EXPECT_EQ(one("google.protobuf.Int64Value", "BIGINT", ""), "NULL");
  // The last one counts.
  EXPECT_EQ(one("int64", "BIGINT", number(1, 1) + number(1, 2)), "2");
}

TEST_F(ProtobufTest, BadValuesAndBadBytesAreRefused) {
  EXPECT_EQ(one("int64", "TINYINT", number(1, 300)),
            "1 MR2004: column 'x': 300 is out of range of TINYINT");
  EXPECT_THAT(one("string", "VARCHAR", bytes(1, "\xff")), HasSubstr("MR2007"));
  EXPECT_THAT(one("In", "BIGINT", bytes(1, "")), HasSubstr("a message is not a BIGINT"));
  EXPECT_THAT(one("int64", "BIGINT", bytes(1, "abc")), HasSubstr("MR2011"));
  EXPECT_THAT(one("int64", "BIGINT", "\x08"), HasSubstr("MR2011"));
  EXPECT_THAT(one("int64", "BIGINT", "\x0a\xff\xff\xff\xff\x0f"), HasSubstr("MR2011"));
  EXPECT_THAT(one("int64", "BIGINT", "\x0e"), HasSubstr("MR2011"));
  EXPECT_THAT(one("In", "JSON", bytes(1, "\xff")), HasSubstr("MR2011"));
  EXPECT_THAT(one("int64", "BIGINT", std::string(100'000, '\x13')), HasSubstr("MR2011"));
  // A group of an old schema is passed over.
  EXPECT_EQ(one("int64", "BIGINT", tag(9, 3) + number(1, 5) + tag(9, 4) + number(1, 6)), "6");
}

TEST_F(ProtobufTest, FramesSayWhichMessage) {
  use("syntax = \"proto3\"; package p; message A { int64 n = 1; message B { message C { int64 n = "
      "1; "
      "} } message D { int64 n = 1; } } message E { int64 n = 1; }");
  const auto stream = stream_of({{"n", "BIGINT"}});
  const auto rows = [&](std::string_view indexes) {
    const auto decoded = decode(framed(7, std::string(indexes) + number(1, 5)), stream, "");
    return decoded.rejected.empty() ? rows_of(*decoded.columns).front() : decoded.rejected[0].id;
  };
  EXPECT_EQ(rows(std::string(1, '\0')), "5");     // {0}, short
  EXPECT_EQ(rows({"\x02\x02", 2}), "5");          // {1}
  EXPECT_EQ(rows({"\x06\x00\x00\x00", 4}), "5");  // {0, 0, 0}
  EXPECT_EQ(rows({"\x04\x00\x02", 3}), "5");      // {0, 1}
  EXPECT_EQ(rows({"\x02\x04", 2}), "MR2012");     // {2}
  EXPECT_EQ(rows("\x01"), "MR2012");              // -1
  EXPECT_THAT(faults_of(decode(framed(8, "x"), stream, "")), ElementsAre(HasSubstr("MR2012")));
  EXPECT_THAT(faults_of(decode(number(1, 5), stream, "")), ElementsAre(HasSubstr("MR2011")));
  EXPECT_THAT(rows_of(*decode(number(1, 5), stream, "; schema=7; message=p.E").columns),
              ElementsAre("5"));
  EXPECT_THAT(faults_of(decode(number(1, 5), stream, "; schema=7; message=F")), SizeIs(1));
}

TEST_F(ProtobufTest, DelimitedMessagesAreManyRecords) {
  use("syntax = \"proto3\"; message M { int64 n = 1; string other = 2; }");
  auto stream = stream_of({{"n", "TINYINT"}});
  const auto message = [](std::uint64_t n) {
    const auto body = number(1, n) + bytes(2, "x");
    return varint(body.size()) + body;
  };
  const auto body = message(1) + message(1000) + message(3);
  const auto decoded = decode(body, stream, "; schema=7; delimited=true");
  EXPECT_THAT(rows_of(*decoded.columns), ElementsAre("1", "3"));
  EXPECT_THAT(faults_of(decoded),
              ElementsAre("2 MR2004: column 'n': 1000 is out of range of TINYINT"));
  EXPECT_EQ(decoded.rejected[0].raw, message(1000));
  EXPECT_THAT(faults_of(decode(message(1) + "\x7f", stream, "; schema=7; delimited=true")),
              ElementsAre(HasSubstr("2 MR2011")));
  stream.unknown_fields = UnknownFields::kRefuse;
  EXPECT_THAT(faults_of(decode(message(1), stream, "; schema=7; delimited=true")),
              ElementsAre(HasSubstr("MR2010")));
}

TEST(ProtobufSchema, RefusesWhatIsNoneWithItsPlace) {
  const auto why = [](std::string_view text) {
    const auto schema = ProtobufSchema::parse(text);
    return schema ? "fine" : schema.error().message;
  };
  EXPECT_EQ(why("syntax = \"proto2\"; message M { required int32 a = 1; }"), "fine");
  EXPECT_THAT(why("syntax = \"proto3\";\nmessage M { int64 n = }"), HasSubstr("line 2, column"));
  EXPECT_THAT(why("syntax = \"proto3\"; message M { Other o = 1; }"), HasSubstr("Other"));
  EXPECT_THAT(why("syntax = \"proto3\"; import \"/etc/passwd\"; message M {}"),
              HasSubstr("passwd"));
  EXPECT_THAT(why("syntax = \"proto3\";"), HasSubstr("no message"));
  EXPECT_NE(why(std::string(100'000, '{')), "fine");
}

}  // namespace
}  // namespace millrace::format
