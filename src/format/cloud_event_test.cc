#include "format/cloud_event.h"

#include <gmock/gmock.h>

#include "format/avro_bytes_test.h"
#include "format/base64.h"
#include "format/stream_fixture_test.h"

namespace millrace::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

StreamDefinition events() {
  return stream_of({{"ce_time", "TIMESTAMP"},
                    {"ce_id", "VARCHAR"},
                    {"ce_key", "VARCHAR"},
                    {"ce_count", "INTEGER"},
                    {"n", "BIGINT"},
                    {"v", "DOUBLE"}},
                   0);
}
constexpr std::string_view kType = "application/cloudevents+json";
std::string event(std::string_view more) {
  return fmt::format(R"({{"specversion":"1.0","id":"i","source":"/s","type":"t",)"
                     R"("time":"2001-01-01T00:00:00Z",{}}})",
                     more);
}

TEST(CloudEvents, AttributesAndDataAreColumns) {
  const auto decoded = decode_payload(
      kType, event(R"("count":7,"data":{"n":9007199254740993,"v":0.1,"other":{}})"), events());
  EXPECT_THAT(rows_of(*decoded.columns),
              ElementsAre("2001-01-01 00:00:00|i|/s i|7|9007199254740993|0.1"));
}

TEST(CloudEvents, ABatchGivesEachEventItsOwnAnswer) {
  const auto body = "\n [" + event(R"("data":{"n":1})") + ",\n{\"id\":1}, 5, " +
                    event(R"("data":{"n":"x"})") + "," + event(R"("data":{"n":2})") + "]";
  const auto decoded = decode_payload("application/cloudevents-batch+json", body, events());
  EXPECT_THAT(rows_of(*decoded.columns), ElementsAre("2001-01-01 00:00:00|i|/s i|NULL|1|NULL",
                                                     "2001-01-01 00:00:00|i|/s i|NULL|2|NULL"));
  EXPECT_THAT(faults_of(decoded), ElementsAre("2 MR2011: the CloudEvent: specversion is not 1.0",
                                              HasSubstr("3 MR2001: an object is expected"),
                                              "4 MR2003: column 'n': \"x\" is not a BIGINT"));
  EXPECT_THAT(faults_of(decode_payload(kType, "[1,", events())), SizeIs(1));
  EXPECT_THAT(faults_of(decode_payload(kType, "", events())), SizeIs(1));
}

TEST(CloudEvents, DataMayHaveAnotherFormat) {
  EXPECT_THAT(
      rows_of(*decode_payload(kType, event(R"("datacontenttype":"text/csv","data":"n,v\n1,2.5\n")"),
                              events())
                   .columns),
      ElementsAre("2001-01-01 00:00:00|i|/s i|NULL|1|2.5"));
  const auto avro =
      avro_header(R"({"type":"record","name":"r","fields":[{"name":"n","type":"long"}]})") +
      avro_block(1, avro_long(5));
  EXPECT_THAT(
      rows_of(*decode_payload(
                   kType,
                   event(fmt::format(R"("datacontenttype":"application/avro","data_base64":"{}")",
                                     base64_encode(avro))),
                   events())
                   .columns),
      ElementsAre("2001-01-01 00:00:00|i|/s i|NULL|5|NULL"));
  EXPECT_THAT(faults_of(decode_payload(kType, event(R"("datacontenttype":"image/png","data":"x")"),
                                       events())),
              ElementsAre(HasSubstr("image/png")));
  EXPECT_THAT(faults_of(decode_payload(kType, event(R"("data_base64":"?")"), events())),
              ElementsAre(HasSubstr("base64")));
}

TEST(CloudEvents, WhatMustBeThereMustBeThere) {
  const auto why = [](std::string_view text) {
    const auto decoded = decode_payload(kType, text, events());
    return decoded.rejected.empty() ? "fine" : decoded.rejected[0].reason;
  };
  EXPECT_THAT(why(R"({"specversion":"1.0","source":"s","type":"t"})"), HasSubstr("id is missing"));
  EXPECT_THAT(why(R"({"specversion":"1.0","id":"i","type":"t"})"), HasSubstr("source is missing"));
  EXPECT_THAT(why(R"({"specversion":"1.0","id":"i","source":"s"})"), HasSubstr("type is missing"));
  EXPECT_THAT(why(R"({"specversion":"0.3","id":"i","source":"s","type":"t"})"),
              HasSubstr("specversion"));
  EXPECT_THAT(why(event(R"("Upper":1)")), HasSubstr("attribute name"));
  EXPECT_THAT(why(event(R"("id":"j")")), HasSubstr("twice"));
  EXPECT_THAT(why(event(R"("ext":{})")), HasSubstr("object"));
  EXPECT_THAT(why(event(R"("time":"noon")")), HasSubstr("twice"));
}

TEST(CloudEvents, HeadersArePercentDecoded) {
  EXPECT_EQ(decoded_attribute("Euro%20%E2%82%AC"), "Euro €");
  EXPECT_EQ(decoded_attribute("100%"), "100%");
  EXPECT_EQ(decoded_attribute("%4"), "%4");
  EXPECT_EQ(decoded_attribute("%zz%41"), "%zzA");
}

// The same events in every format are the same stored values.
TEST(Formats, AgreeOnTheValuesOfTheSameEvents) {
  const auto stream = stream_of({{"ts", "TIMESTAMP"},
                                 {"name", "VARCHAR"},
                                 {"n", "BIGINT"},
                                 {"v", "DOUBLE"},
                                 {"price", "DECIMAL(9,2)"},
                                 {"flag", "BOOLEAN"},
                                 {"doc", "JSON"}},
                                0);
  std::string avro;
  std::string lines;
  std::string csv = "ts,name,n,v,price,flag,doc\n";
  std::string batch = "[";
  for (int i = 0; i < 100; ++i) {
    const std::int64_t ms = 1'000'000'000'000 + i;
    const std::int64_t n = (std::int64_t{1} << 60) + i;
    const double v = 0.1 * i;
    const auto line = fmt::format(
        R"({{"ts":{},"name":"a \"{}\", b","n":"{}","v":{},"price":"{}.25","flag":{},"doc":{{"k":[{}]}}}})",
        ms, i, n, v, i, i % 2 == 0, i);
    lines += line + "\n";
    csv += fmt::format("{},\"a \"\"{}\"\", b\",{},{},{}.25,{},\"{{\"\"k\"\":[{}]}}\"\n", ms, i, n,
                       v, i, i % 2 == 0, i);
    batch += fmt::format(R"({}{{"specversion":"1.0","id":"{}","source":"s","type":"t","data":{}}})",
                         i == 0 ? "" : ",", i, line);
    const int cents = 100 * i + 25;
    avro += avro_long(ms) + avro_bytes(fmt::format("a \"{}\", b", i)) + avro_long(2) +
            avro_long(n) + avro_number(v) +
            avro_bytes(std::string{static_cast<char>(cents >> 16), static_cast<char>(cents >> 8),
                                   static_cast<char>(cents)}) +
            (i % 2 == 0 ? "\x01" : std::string(1, '\0')) + avro_long(1) + avro_long(i) +
            avro_long(0);
  }
  const auto schema =
      R"({"type":"record","name":"r","fields":[
        {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"name","type":"string"},{"name":"n","type":["null","string","long"]},
        {"name":"v","type":"double"},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"flag","type":"boolean"},
        {"name":"doc","type":{"type":"record","name":"d","fields":[
          {"name":"k","type":{"type":"array","items":"int"}}]}}]})";
  const auto by_json = decode_payload("application/x-ndjson", lines, stream);
  EXPECT_THAT(by_json.rejected, SizeIs(0));
  const auto expected = rows_of(*by_json.columns);
  EXPECT_THAT(expected, SizeIs(100));
  EXPECT_EQ(rows_of(*decode_payload("text/csv", csv, stream).columns), expected);
  EXPECT_EQ(rows_of(*decode_payload(kType, batch + "]", stream).columns), expected);
  EXPECT_EQ(rows_of(*decode_payload("application/avro", avro_header(schema) + avro_block(100, avro),
                                    stream)
                         .columns),
            expected);
}

}  // namespace
}  // namespace millrace::format
