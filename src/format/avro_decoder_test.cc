#include "format/avro_decoder.h"

#include <gmock/gmock.h>

#include "format/avro_bytes_test.h"
#include "format/avro_container.h"
#include "format/stream_fixture_test.h"

namespace millrace::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string record_of(std::string_view fields) {
  return fmt::format(R"({{"type":"record","name":"r","fields":[{}]}})", fields);
}
/// A record of one field x.
std::string one_field(std::string_view type) {
  return record_of(fmt::format(R"({{"name":"x","type":{}}})", type));
}
/// The value that one encoded value of an Avro type gives in a column, or the refusal.
std::string one(std::string_view avro, std::string_view column, std::string_view bytes) {
  const auto stream = stream_of({{"x", std::string(column)}});
  const auto body = avro_header(one_field(avro)) + avro_block(1, bytes);
  const auto decoded = decode_payload("application/avro", body, stream);
  if (decoded.rejected.empty() && decoded.columns->rows() == 1)
    return rows_of(*decoded.columns).front();
  return decoded.rejected.empty() ? "nothing" : faults_of(decoded).front();
}

// The encodings of the specification, "Binary Encoding".
TEST(AvroDecoder, ReadsTheEncodingsOfTheSpecification) {
  EXPECT_EQ(one("\"long\"", "BIGINT", {"\x00", 1}), "0");
  EXPECT_EQ(one("\"long\"", "BIGINT", "\x01"), "-1");
  EXPECT_EQ(one("\"long\"", "BIGINT", "\x02"), "1");
  EXPECT_EQ(one("\"int\"", "INTEGER", "\x7f"), "-64");
  EXPECT_EQ(one("\"int\"", "INTEGER", "\x80\x01"), "64");
  EXPECT_EQ(one("\"long\"", "BIGINT", avro_long(INT64_MIN)), "-9223372036854775808");
  EXPECT_EQ(one("\"string\"", "VARCHAR",
                "\x06"
                "foo"),
            "foo");
  EXPECT_EQ(one("\"boolean\"", "BOOLEAN", "\x01"), "true");
  EXPECT_EQ(one("\"float\"", "FLOAT", avro_number(0.1F)), "0.1");
  EXPECT_EQ(one("\"double\"", "DOUBLE", avro_number(0.1)), "0.1");
  EXPECT_EQ(one("\"bytes\"", "BLOB", avro_bytes("ab")), "ab");
  EXPECT_EQ(one(R"(["null","string"])", "VARCHAR", {"\x00", 1}), "NULL");
  EXPECT_EQ(one(R"(["null","string"])", "VARCHAR",
                "\x02\x02"
                "a"),
            "a");
  EXPECT_EQ(one(R"({"type":"array","items":"long"})", "JSON", {"\x04\x06\x36\x00", 4}), "[3,27]");
  // A block with its size in front.
  EXPECT_EQ(one(R"({"type":"array","items":"long"})", "JSON", {"\x03\x04\x06\x36\x00", 5}),
            "[3,27]");
  EXPECT_EQ(one(R"({"type":"map","values":"boolean"})", "JSON",
                {"\x02\x02"
                 "a\x01\x00",
                 5}),
            "{\"a\":true}");
  EXPECT_EQ(one(R"({"type":"enum","name":"e","symbols":["A","B"]})", "VARCHAR", "\x02"), "B");
  EXPECT_EQ(one(R"({"type":"fixed","name":"f","size":2})", "BLOB", "ab"), "ab");
  EXPECT_EQ(one(R"({"type":"record","name":"in","fields":[{"name":"s","type":"string"},)"
                R"({"name":"d","type":"double"}]})",
                "JSON", avro_bytes("q\"") + avro_number(1.5)),
            R"({"s":"q\"","d":1.5})");
}

TEST(AvroDecoder, LogicalTypesAreTheirValues) {
  const auto logical = [](std::string_view type, std::string_view name) {
    return fmt::format(R"({{"type":"{}","logicalType":"{}"}})", type, name);
  };
  EXPECT_EQ(one(logical("int", "date"), "DATE", avro_long(365)), "1971-01-01");
  EXPECT_EQ(one(logical("long", "timestamp-millis"), "TIMESTAMP", avro_long(1500)),
            "1970-01-01 00:00:01.5");
  EXPECT_EQ(one(logical("long", "timestamp-micros"), "TIMESTAMP WITH TIME ZONE", avro_long(1)),
            "1970-01-01 00:00:00.000001+00");
  EXPECT_EQ(one(logical("long", "local-timestamp-micros"), "TIMESTAMP", avro_long(-1)),
            "1969-12-31 23:59:59.999999");
  EXPECT_EQ(one(logical("long", "timestamp-nanos"), "TIMESTAMP", avro_long(2000)),
            "1970-01-01 00:00:00.000002");
  EXPECT_THAT(one(logical("long", "timestamp-nanos"), "TIMESTAMP", avro_long(2001)),
              HasSubstr("MR2004"));
  EXPECT_THAT(one(logical("long", "timestamp-millis"), "TIMESTAMP", avro_long(INT64_MAX)),
              HasSubstr("MR2004"));
  EXPECT_EQ(one(logical("int", "time-millis"), "TIME", avro_long(61'000)), "00:01:01");
  EXPECT_EQ(
      one(logical("string", "uuid"), "UUID", avro_bytes("00000000-0000-0000-0000-00000000000a")),
      "00000000-0000-0000-0000-00000000000a");
  EXPECT_EQ(one(R"({"type":{"type":"fixed","name":"u","size":16,"logicalType":"uuid"}})", "UUID",
                std::string(15, '\0') + "\x0a"),
            "00000000-0000-0000-0000-00000000000a");
  const auto decimal = R"({"type":"bytes","logicalType":"decimal","precision":9,"scale":2})";
  EXPECT_EQ(one(decimal, "DECIMAL(9,2)", avro_bytes("\x04\xd2")), "12.34");
  EXPECT_EQ(one(decimal, "DECIMAL(9,3)", avro_bytes("\xfb\x2e")), "-12.340");
  EXPECT_THAT(one(decimal, "DECIMAL(9,1)", avro_bytes("\x04\xd2")), HasSubstr("MR2004"));
  EXPECT_EQ(one(decimal, "DOUBLE", avro_bytes("\x04\xd2")), "12.34");
  EXPECT_THAT(one(decimal, "DECIMAL(9,2)", avro_bytes(std::string(40, '\x7f'))),
              HasSubstr("MR2004"));
}

TEST(AvroDecoder, ValuesAreHeldToTheRulesOfJson) {
  EXPECT_EQ(one("\"long\"", "DOUBLE", avro_long(3)), "3.0");
  EXPECT_EQ(one("\"long\"", "TIMESTAMP", avro_long(1000)), "1970-01-01 00:00:01");
  EXPECT_EQ(one("\"long\"", "TINYINT", avro_long(300)),
            "1 MR2004: column 'x': 300 is out of range of TINYINT");
  EXPECT_EQ(one("\"long\"", "VARCHAR", avro_long(3)), "1 MR2003: column 'x': 3 is not a VARCHAR");
  EXPECT_EQ(one("\"double\"", "BIGINT", avro_number(2.0)), "2");
  EXPECT_THAT(one("\"double\"", "BIGINT", avro_number(2.5)), HasSubstr("MR2003"));
  EXPECT_THAT(one("\"double\"", "FLOAT", avro_number(1e300)), HasSubstr("MR2004"));
  EXPECT_THAT(one("\"string\"", "INTEGER", avro_bytes("3")), HasSubstr("MR2003"));
  EXPECT_THAT(one("\"string\"", "VARCHAR", avro_bytes("\xff")), HasSubstr("MR2007"));
  EXPECT_THAT(one("\"bytes\"", "VARCHAR", avro_bytes("a")), HasSubstr("bytes are not a VARCHAR"));
  EXPECT_THAT(one(R"({"type":"array","items":"long"})", "BIGINT", {"\x02\x02\x00", 3}),
              HasSubstr("an array is not a BIGINT"));
}

TEST(AvroDecoder, ABadRecordCostsItselfAndFollowingOnesAreFound) {
  const auto stream = stream_of({{"n", "TINYINT"}, {"s", "VARCHAR"}});
  const auto schema =
      record_of(R"({"name":"s","type":"string"},{"name":"n","type":"long"},)"
                R"({"name":"other","type":{"type":"array","items":["null","string"]}})");
  const auto row = [](std::string_view s, std::int64_t n) {
    return avro_bytes(s) + avro_long(n) + std::string("\x04\x00\x02", 3) + avro_bytes("z") +
           std::string(1, '\0');
  };
  const auto body = avro_header(schema) +
                    avro_block(3, row("a", 1) + row("b", 1000) + row("c", 3)) +
                    avro_block(1, row("d", 4));
  const auto decoded = decode_payload("avro/binary", body, stream);
  EXPECT_THAT(rows_of(*decoded.columns), ElementsAre("1|a", "3|c", "4|d"));
  ASSERT_THAT(faults_of(decoded),
              ElementsAre("2 MR2004: column 'n': 1000 is out of range of TINYINT"));
  // What is kept of it can be read by itself.
  const auto wider = stream_of({{"n", "BIGINT"}, {"s", "VARCHAR"}});
  EXPECT_THAT(rows_of(*decode_payload("application/avro", decoded.rejected[0].raw, wider).columns),
              ElementsAre("1000|b"));
}

TEST(AvroDecoder, UnknownFieldsAreWhatTheStreamMakesOfThem) {
  auto stream = stream_of({{"n", "BIGINT"}, {"rest", "JSON"}});
  stream.unknown_fields = UnknownFields::kKeep;
  stream.unknown_column = 1;
  const auto schema = record_of(
      R"({"name":"n","type":"long"},{"name":"a","type":{"type":"map","values":"double"}})");
  const auto body =
      avro_header(schema) + avro_block(1, avro_long(1) + avro_long(1) + avro_bytes("k") +
                                              avro_number(0.5) + avro_long(0));
  EXPECT_THAT(rows_of(*decode_payload("application/avro", body, stream).columns),
              ElementsAre("1|{\"a\":{\"k\":0.5}}"));
  stream.unknown_fields = UnknownFields::kRefuse;
  stream.unknown_column.reset();
  EXPECT_THAT(faults_of(decode_payload("application/avro", body, stream)),
              ElementsAre("1 MR2010: no column has the name \"a\""));
}

TEST(AvroDecoder, HostileContainersAreRefusedBeforeMemoryIsTaken) {
  const auto stream = stream_of({{"x", "VARCHAR"}});
  const auto header = avro_header(one_field("\"string\""));
  const auto empty = record_of("");
  const std::string deep(200'000, '[');
  const std::vector<std::string> bodies = {
      "",
      "Obj\x01",
      header.substr(0, header.size() - 1),
      header + avro_block(1, avro_bytes("a")).substr(0, 5),
      header + avro_long(1) +
          avro_bytes("\x02"
                     "a") +
          "another marker..",
      header + avro_block(1, avro_long(1'000'000'000'000)),
      header + avro_block(1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
      header + avro_block(INT64_MAX, avro_bytes("a")),
      header + avro_block(2, avro_bytes("a")),
      header + avro_block(1, avro_bytes("a") + "b"),
      header + avro_long(1) + avro_long(INT64_MIN),
      avro_header(empty) + avro_block(1'000'000'000, ""),
      avro_header(one_field(R"({"type":"array","items":"null"})")) +
          avro_block(1, avro_long(1'000'000'000'000) + avro_long(0)),
      avro_header("{}"),
      avro_header("\"long\"") + avro_block(1, avro_long(1)),
      avro_header(deep),
      avro_header(one_field("\"string\""), "brotli"),
      avro_header(one_field("\"string\""), "deflate") + avro_block(1, "no deflate"),
      avro_header(one_field("\"string\""), "snappy") + avro_block(1, "no snappy"),
      avro_header(one_field("\"string\""), "zstandard") + avro_block(1, "no zstd"),
      "no avro at all",
      framed(7, "a")};
  for (const auto& body : bodies) {
    const auto decoded = decode_payload("application/avro", body, stream);
    EXPECT_THAT(decoded.rejected, SizeIs(1)) << body.substr(0, 100);
  }
}

TEST(AvroDecoder, RecursionEndsAtADepth) {
  const auto stream = stream_of({{"x", "JSON"}});
  const auto schema = one_field(
      R"(["null",{"type":"record","name":"n","fields":[{"name":"n","type":["null","n"]}]}])");
  const auto shallow = avro_header(schema) + avro_block(1, {"\x02\x02\x00", 3});
  EXPECT_THAT(rows_of(*decode_payload("application/avro", shallow, stream).columns),
              ElementsAre("{\"n\":{\"n\":null}}"));
  const auto deep = avro_header(schema) + avro_block(1, std::string(100'000, '\x02'));
  EXPECT_THAT(faults_of(decode_payload("application/avro", deep, stream)),
              ElementsAre(HasSubstr("nested too deep")));
}

TEST(AvroDecoder, FramedRecordsFindTheirSchema) {
  FixedSchemas schemas;
  schemas.add_avro(258, one_field("\"string\""));
  PayloadDecoder decoder({}, &schemas);
  const auto type = *payload_type_of("application/avro");
  const auto stream = stream_of({{"x", "VARCHAR"}});
  const auto decode = [&](std::string_view body) {
    return decode_payload(decoder, type, body, stream);
  };
  EXPECT_THAT(rows_of(*decode(framed(258, avro_bytes("a"))).columns), ElementsAre("a"));
  EXPECT_THAT(faults_of(decode(framed(259, avro_bytes("a")))),
              ElementsAre("1 MR2012: there is no Avro schema 259"));
  EXPECT_THAT(faults_of(decode(framed(258, avro_bytes("a") + "b"))), SizeIs(1));
  EXPECT_THAT(faults_of(decode(framed(258,
                                      "\x06"
                                      "a"))),
              SizeIs(1));
}

TEST(AvroSchema, RefusesWhatIsNoSchemaWithItsPlace) {
  const auto why = [](std::string_view text) {
    const auto schema = AvroSchema::parse(text);
    return schema ? "fine" : schema.error().message;
  };
  EXPECT_EQ(why("\"string\""), "fine");
  EXPECT_EQ(
      why(one_field(R"({"type":"record","name":"q","fields":[{"name":"y","type":"strng"}]})")),
      "the Avro schema at x.y: there is no type \"strng\"");
  EXPECT_THAT(why(record_of(R"({"name":"x","type":"int"},{"name":"x","type":"int"})")),
              HasSubstr("twice"));
  EXPECT_THAT(why(R"(["int","int"])"), HasSubstr("twice"));
  EXPECT_THAT(why(R"({"type":"enum","name":"e","symbols":["A","A"]})"), HasSubstr("symbol"));
  EXPECT_THAT(why(R"({"type":"record","name":"1","fields":[]})"), HasSubstr("name"));
  EXPECT_THAT(why("nothing"), HasSubstr("JSON"));
}

TEST(AvroSchema, KnowsWhichDataAnotherSchemaCanRead) {
  const auto faults = [](std::string_view reader, std::string_view writer) {
    return avro_read_faults(*AvroSchema::parse(reader), *AvroSchema::parse(writer));
  };
  const auto x = R"({"name":"x","type":"long"})";
  const auto with_default = fmt::format(R"({},{{"name":"y","type":"string","default":""}})", x);
  const auto without = fmt::format(R"({},{{"name":"y","type":"string"}})", x);
  EXPECT_THAT(faults(record_of(with_default), record_of(x)), IsEmpty());
  EXPECT_THAT(faults(record_of(x), record_of(with_default)), IsEmpty());
  EXPECT_THAT(faults(record_of(without), record_of(x)), ElementsAre(HasSubstr("/y")));
  EXPECT_THAT(faults("\"double\"", "\"int\""), IsEmpty());
  EXPECT_THAT(faults("\"int\"", "\"long\""), SizeIs(1));
  EXPECT_THAT(faults("\"bytes\"", "\"string\""), IsEmpty());
  EXPECT_THAT(faults(R"(["null","long"])", "\"int\""), IsEmpty());
  EXPECT_THAT(faults("\"long\"", R"(["null","long"])"), SizeIs(1));
  const auto symbols = [](std::string_view list) {
    return fmt::format(R"({{"type":"enum","name":"e","symbols":[{}]}})", list);
  };
  EXPECT_THAT(faults(symbols(R"("A","B")"), symbols(R"("A")")), IsEmpty());
  EXPECT_THAT(faults(symbols(R"("A")"), symbols(R"("A","B")")), SizeIs(1));
  const auto tree =
      R"({"type":"record","name":"t","fields":[{"name":"next","type":["null","t"]}]})";
  EXPECT_THAT(faults(tree, tree), IsEmpty());
}

}  // namespace
}  // namespace millrace::format
