#include "format/json_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "base/error.h"
#include "format/base64.h"

namespace millrace::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

StreamDefinition stream_of(const std::vector<std::pair<std::string, std::string>>& columns,
                           std::optional<std::uint32_t> time = std::nullopt) {
  StreamDefinition stream;
  stream.name = "s";
  for (const auto& [name, type] : columns) stream.columns.push_back({name, *Type::parse(type)});
  stream.time_column = time;
  return stream;
}

Decoded decode(const PaddedBytes& body, const StreamDefinition& stream,
               JsonFraming framing = JsonFraming::kLines, DecodeLimits limits = {}) {
  JsonDecoder decoder(limits);
  return decoder.decode(body, framing, stream);
}

/// The rows as text, "a|b|NULL".
std::vector<std::string> rows_of(const Decoded& decoded) {
  std::vector<std::string> rows;
  for (std::size_t row = 0; row < decoded.columns->rows(); ++row) {
    std::string line;
    for (std::size_t c = 0; c < decoded.columns->column_count(); ++c) {
      if (c != 0) line += '|';
      line += value_text(decoded.columns->column(c).view(), row).value_or("NULL");
    }
    rows.push_back(line);
  }
  return rows;
}

/// "id: reason" of each refused record, with its line.
std::vector<std::string> faults_of(const Decoded& decoded) {
  std::vector<std::string> out;
  for (const auto& record : decoded.rejected) {
    out.push_back(fmt::format("{} {}: {}", record.line, record.id, record.reason));
  }
  return out;
}

/// What one value gives in a column of a type: its text, or the id and reason of the refusal.
std::string one(std::string_view type, std::string_view value) {
  const auto stream = stream_of({{"x", std::string(type)}});
  // The blank before the bracket takes the way of the full rules, without it the short cut is
  // taken.
  const auto quick_body = PaddedBytes::copy_of(fmt::format("{{\"x\":{}}}", value));
  const auto full_body = PaddedBytes::copy_of(fmt::format("{{ \"x\" : {} }}", value));
  const auto quick = decode(quick_body, stream);
  const auto full = decode(full_body, stream);
  EXPECT_EQ(rows_of(quick), rows_of(full)) << value;
  if (quick.rejected.empty() && quick.columns->rows() == 1) return rows_of(quick).front();
  EXPECT_THAT(quick.rejected, SizeIs(1)) << value;
  EXPECT_THAT(full.rejected, SizeIs(1)) << value;
  if (quick.rejected.empty() || full.rejected.empty()) return "?";
  EXPECT_EQ(quick.rejected[0].id, full.rejected[0].id) << value;
  return fmt::format("{} {}", quick.rejected[0].id, quick.rejected[0].reason);
}

TEST(JsonDecoder, TakesEveryColumnOfEachLineInOrder) {
  const auto stream =
      stream_of({{"ts", "TIMESTAMP"}, {"user", "VARCHAR"}, {"n", "BIGINT"}, {"v", "DOUBLE"}});
  const auto body = PaddedBytes::copy_of(
      "{\"ts\":\"2001-01-01T10:00:00Z\",\"user\":\"ann\",\"n\":-5,\"v\":1.25}\n"
      "{\"v\":2,\"n\":6,\"user\":\"a name that is longer than twelve bytes\",\"ts\":1000}\r\n"
      "\n   \t\r\n"
      "  {\"user\":\"\",\"ts\":\"2001-01-01\"}  ");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(faults_of(decoded), IsEmpty());
  EXPECT_THAT(rows_of(decoded),
              ElementsAre("2001-01-01 10:00:00|ann|-5|1.25",
                          "1970-01-01 00:00:01|a name that is longer than twelve bytes|6|2.0",
                          "2001-01-01 00:00:00||NULL|NULL"));
  ASSERT_THAT(decoded.values, SizeIs(3));
  EXPECT_EQ(decoded.values[2], "{\"user\":\"\",\"ts\":\"2001-01-01\"}");
  EXPECT_EQ(decoded.values[0].data(), body.data());
}

TEST(JsonDecoder, NoLinesAreNothingAndNoDocumentIsNoJson) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  for (const std::string_view text : {"", "\n", "\r\n  \n\t", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"}) {
    const auto body = PaddedBytes::copy_of(text);
    const auto lines = decode(body, stream, JsonFraming::kLines);
    EXPECT_EQ(lines.columns->rows(), 0U);
    EXPECT_THAT(lines.rejected, IsEmpty());
    const auto document = decode(body, stream, JsonFraming::kDocument);
    EXPECT_EQ(document.columns->rows(), 0U);
    EXPECT_THAT(document.rejected, SizeIs(1));
  }
}

// Promise 6.
TEST(JsonDecoder, ABadRecordStopsNoOther) {
  const auto stream = stream_of({{"n", "BIGINT"}, {"s", "VARCHAR"}});
  const std::vector<std::string> bad = {"{\"n\":1",
                                        "{\"n\":1}}",
                                        "{\"n\":1} {\"n\":2}",
                                        "[{\"n\":1}]",
                                        "{\"n\":tru}",
                                        "{\"s\":\"open}",
                                        "{\"s\":\"bad \xff byte\"}",
                                        "{\"n\" 1}",
                                        "{n:1}",
                                        "{\"n\":1,}",
                                        "x",
                                        "\"",
                                        "{\"s\":\"\\ud800\"}",
                                        "{\"other\":nul}",
                                        "{\"other\":[1,2}",
                                        "{\"other\":\"\\x\"}",
                                        "\f",
                                        "{\"s\":\"tab\there\"}"};
  for (const auto& record : bad) {
    const auto body = PaddedBytes::copy_of("{\"n\":1,\"s\":\"a\"}\n" + record +
                                           "\n{\"n\":2,\"s\":\"b\"}\n\n{\"n\":3}");
    const auto decoded = decode(body, stream);
    EXPECT_THAT(rows_of(decoded), ElementsAre("1|a", "2|b", "3|NULL")) << record;
    ASSERT_THAT(decoded.rejected, SizeIs(1)) << record;
    EXPECT_EQ(decoded.rejected[0].line, 2U) << record;
    EXPECT_EQ(decoded.rejected[0].raw, record);
    EXPECT_FALSE(decoded.rejected[0].reason.empty());
    EXPECT_THAT(decoded.values, SizeIs(3));
  }
}

TEST(JsonDecoder, ARecordOverTwoLinesIsTwoBadRecords) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  const auto body = PaddedBytes::copy_of("{\"n\":\n1}\n{\"n\":2}");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(rows_of(decoded), ElementsAre("2"));
  EXPECT_THAT(decoded.rejected, SizeIs(2));
}

TEST(JsonDecoder, IntegersAreExactOrRefused) {
  EXPECT_EQ(one("BIGINT", "9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(one("BIGINT", "-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(one("BIGINT", "9223372036854775808"),
            "MR2004 column 'x': 9223372036854775808 is out of range of BIGINT");
  EXPECT_EQ(one("BIGINT", "1.0"), "1");
  EXPECT_EQ(one("BIGINT", "1e3"), "1000");
  EXPECT_EQ(one("BIGINT", "-0"), "0");
  EXPECT_EQ(one("BIGINT", "1200e-2"), "12");
  EXPECT_EQ(one("BIGINT", "1.5"), "MR2003 column 'x': 1.5 is not a BIGINT");
  EXPECT_THAT(one("BIGINT", "1e999"), HasSubstr("MR2004"));
  EXPECT_EQ(one("BIGINT", "\"12345678901234567\""), "12345678901234567");
  EXPECT_EQ(one("BIGINT", "\"abc\""), "MR2003 column 'x': \"abc\" is not a BIGINT");
  EXPECT_THAT(one("BIGINT", "\"1.0\""), HasSubstr("MR2003"));
  EXPECT_THAT(one("BIGINT", "\"\""), HasSubstr("MR2003"));
  EXPECT_THAT(one("BIGINT", "true"), HasSubstr("MR2003"));
  EXPECT_THAT(one("BIGINT", "01"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "00"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "+1"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "-"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "1."), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", ".5"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "0x10"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "12345678a"), HasSubstr("MR2001"));
  EXPECT_THAT(one("BIGINT", "1234567:"), HasSubstr("MR2001"));
  EXPECT_EQ(one("TINYINT", "-128"), "-128");
  EXPECT_EQ(one("TINYINT", "128"), "MR2004 column 'x': 128 is out of range of TINYINT");
  EXPECT_THAT(one("INTEGER", "\"5\""), HasSubstr("MR2003"));
  EXPECT_EQ(one("UTINYINT", "255"), "255");
  EXPECT_THAT(one("UTINYINT", "-1"), HasSubstr("MR2004"));
  EXPECT_EQ(one("UBIGINT", "18446744073709551615"), "18446744073709551615");
  EXPECT_THAT(one("UBIGINT", "18446744073709551616"), HasSubstr("MR2004"));
  EXPECT_EQ(one("HUGEINT", "\"-170141183460469231731687303715884105728\""),
            "-170141183460469231731687303715884105728");
  EXPECT_EQ(one("HUGEINT", "170141183460469231731687303715884105727"),
            "170141183460469231731687303715884105727");
  EXPECT_THAT(one("HUGEINT", "170141183460469231731687303715884105728"), HasSubstr("MR2004"));
  EXPECT_EQ(one("HUGEINT", "1e20"), "100000000000000000000");
  for (std::int64_t magnitude = 1, digits = 1; digits <= 18;
       ++digits, magnitude = magnitude * 10 + digits % 10) {
    EXPECT_EQ(one("BIGINT", fmt::to_string(magnitude)), fmt::to_string(magnitude));
    EXPECT_EQ(one("BIGINT", fmt::to_string(-magnitude)), fmt::to_string(-magnitude));
  }
}

TEST(JsonDecoder, FloatingNumbersAreTheNearestOrRefused) {
  EXPECT_EQ(one("DOUBLE", "0.1"), "0.1");
  EXPECT_EQ(one("DOUBLE", "-0.0"), "-0.0");
  EXPECT_EQ(one("DOUBLE", "9007199254740993"), "9007199254740992.0");
  EXPECT_EQ(one("DOUBLE", "1.7976931348623157e308"), "1.7976931348623157e+308");
  EXPECT_EQ(one("DOUBLE", "5e-324"), "5e-324");
  EXPECT_EQ(one("DOUBLE", "1e-400"), "0.0");
  EXPECT_EQ(one("DOUBLE", "1e999"), "MR2004 column 'x': 1e999 is out of range of DOUBLE");
  EXPECT_THAT(one("DOUBLE", "-1e999999999999999999999"), HasSubstr("MR2004"));
  EXPECT_EQ(one("DOUBLE", "0e999999999999999999999"), "0.0");
  EXPECT_EQ(one("DOUBLE", "\"NaN\""), "nan");
  EXPECT_EQ(one("DOUBLE", "\"-Infinity\""), "-inf");
  EXPECT_THAT(one("DOUBLE", "\"nan\""), HasSubstr("MR2003"));
  EXPECT_THAT(one("DOUBLE", "NaN"), HasSubstr("MR2001"));
  EXPECT_THAT(one("DOUBLE", "-Infinity"), HasSubstr("MR2001"));
  EXPECT_EQ(one("FLOAT", "3.4028235e38"), "3.4028235e+38");
  EXPECT_THAT(one("FLOAT", "3.5e38"), HasSubstr("MR2004"));
  EXPECT_EQ(one("FLOAT", "16777217"), "16777216.0");
  EXPECT_EQ(one("FLOAT", "\"Infinity\""), "inf");
  EXPECT_EQ(one("DECIMAL(9,2)", "12.50"), "12.50");
  EXPECT_EQ(one("DECIMAL(9,2)", "\"-1.25\""), "-1.25");
  EXPECT_EQ(one("DECIMAL(9,2)", "1.255"),
            "MR2004 column 'x': 1.255 is out of range of DECIMAL(9,2)");
  EXPECT_THAT(one("DECIMAL(4,2)", "100"), HasSubstr("MR2004"));
  EXPECT_THAT(one("DECIMAL(9,2)", "\"one\""), HasSubstr("MR2003"));
  EXPECT_EQ(one("DECIMAL(38,0)", "1e37"), "1" + std::string(37, '0'));
}

TEST(JsonDecoder, TheOtherTypesTakeWhatTheReferenceSays) {
  EXPECT_EQ(one("BOOLEAN", "true"), "true");
  EXPECT_EQ(one("BOOLEAN", "false"), "false");
  EXPECT_THAT(one("BOOLEAN", "1"), HasSubstr("MR2003"));
  EXPECT_THAT(one("BOOLEAN", "True"), HasSubstr("MR2001"));
  EXPECT_EQ(one("VARCHAR", "5"), "MR2003 column 'x': 5 is not a VARCHAR: put it into quotes");
  EXPECT_EQ(one("VARCHAR", "{}"), "MR2003 column 'x': an object is not a VARCHAR");
  EXPECT_EQ(one("VARCHAR", "[1]"), "MR2003 column 'x': an array is not a VARCHAR");
  EXPECT_EQ(one("TIMESTAMP", "\"2001-01-01 00:00:00.5+01:00\""), "2000-12-31 23:00:00.5");
  EXPECT_EQ(one("TIMESTAMPTZ", "1e3"), "1970-01-01 00:00:01+00");
  EXPECT_EQ(one("TIMESTAMP", "-1"), "1969-12-31 23:59:59.999");
  EXPECT_EQ(one("TIMESTAMP", "253402300799999"), "9999-12-31 23:59:59.999");
  EXPECT_THAT(one("TIMESTAMP", "253402300800000"), HasSubstr("MR2004"));
  EXPECT_THAT(one("TIMESTAMP", "1.5"), HasSubstr("MR2003"));
  EXPECT_THAT(one("TIMESTAMP", "\"yesterday\""), HasSubstr("MR2003"));
  EXPECT_EQ(one("DATE", "\"2024-02-29\""), "2024-02-29");
  EXPECT_THAT(one("DATE", "\"2023-02-29\""), HasSubstr("MR2003"));
  EXPECT_THAT(one("DATE", "5"), HasSubstr("MR2003"));
  EXPECT_EQ(one("TIME", "\"12:34:56.5\""), "12:34:56.5");
  EXPECT_EQ(one("TIME", "\"24:00\""), "24:00:00");
  EXPECT_EQ(one("TIME", "\"12:34\\u003a56\""), "12:34:56");
  for (const auto* text :
       {"\"24:00:01\"", "\"12:34Z\"", "\"\"", "5", "[12]", "\"12:34:56.1234567\""})
    EXPECT_THAT(one("TIME", text), HasSubstr("MR2003")) << text;
  EXPECT_EQ(one("UUID", "\"C56A4180-65AA-42EC-A945-5FD21DEC0538\""),
            "c56a4180-65aa-42ec-a945-5fd21dec0538");
  EXPECT_THAT(one("UUID", "\"c56a4180\""), HasSubstr("MR2003"));
  EXPECT_EQ(one("BLOB", "\"aGk=\""), "hi");
  EXPECT_THAT(one("BLOB", "\"aGk\""), HasSubstr("MR2003"));
  EXPECT_EQ(one("JSON", "{ \"a\" : [1, \"\\u0041\"] }"), "{ \"a\" : [1, \"\\u0041\"] }");
  EXPECT_EQ(one("JSON", "-1.5e3"), "-1.5e3");
  EXPECT_EQ(one("JSON", "\"t\\u0000\""), "\"t\\u0000\"");
  EXPECT_EQ(one("JSON", "null"), "NULL");
  EXPECT_THAT(one("JSON", "[1,]"), HasSubstr("MR2001"));
  EXPECT_THAT(one("JSON", "nope"), HasSubstr("MR2001"));
  EXPECT_THAT(one("JSON", "\"\\q\""), HasSubstr("MR2001"));
  for (const auto* type :
       {"BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "TIMESTAMP", "UUID", "DECIMAL(5,1)"}) {
    EXPECT_EQ(one(type, "null"), "NULL");
  }
}

TEST(JsonDecoder, StringsComeUnescapedAndKeepEveryCharacter) {
  const auto text_of = [](std::string_view json) {
    const auto stream = stream_of({{"x", "VARCHAR"}});
    const auto body = PaddedBytes::copy_of(fmt::format("{{\"x\":{}}}", json));
    const auto decoded = decode(body, stream);
    return decoded.columns->rows() == 1
               ? std::string(decoded.columns->column(0).data<StringRef>()[0].view())
               : decoded.rejected.at(0).id;
  };
  EXPECT_EQ(text_of(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(text_of(R"("\u0041\u00e9\u20ac\ud83d\ude00")"), "A\u00e9\u20ac\U0001F600");
  EXPECT_EQ(text_of(R"("a\u0000b")"), std::string("a\0b", 3));
  EXPECT_EQ(text_of("\"\u00e9\U0001F600\""), "\u00e9\U0001F600");
  for (const auto* bad : {R"("\ud800")", R"("\udc00")", R"("\ud800\u0041")", R"("\ud800x")",
                          R"("\u12")", R"("\u12g4")", R"("\x41")", R"("\a")", R"("a\ud83d")"}) {
    EXPECT_EQ(text_of(bad), error_id::kBadJson) << bad;
  }
  for (std::size_t size = 0; size < 40; ++size) {
    const std::string text(size, 'x');
    EXPECT_EQ(text_of("\"" + text + "\""), text);
    for (std::size_t at = 0; at <= size; ++at) {
      std::string with_escape = text;
      with_escape.insert(at, "\\n");
      std::string expected = text;
      expected.insert(at, "\n");
      ASSERT_EQ(text_of("\"" + with_escape + "\""), expected);
    }
  }
}

TEST(JsonDecoder, FieldsAreFoundByTheirExactNameInAnyOrder) {
  const auto stream = stream_of({{"a", "BIGINT"},
                                 {"long name with blanks", "BIGINT"},
                                 {"A", "BIGINT"},
                                 {"back\\slash", "BIGINT"},
                                 {"\u00e9", "BIGINT"}});
  const auto body =
      PaddedBytes::copy_of(R"({"A":3,"a":1,"long name with blanks":2,"back\\slash":4,"\u00e9":5})"
                           "\n"
                           R"({"\u0061":1,"B":7,"back\slash":8})"
                           "\n"
                           R"({"a":1,"nested":{"a":2,"b":[{"a":3}]},"A":3})");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(rows_of(decoded), ElementsAre("1|2|3|4|5", "1|NULL|3|NULL|NULL"));
  EXPECT_THAT(faults_of(decoded), ElementsAre(HasSubstr("2 MR2001")));  // "\s" is no escape
}

TEST(JsonDecoder, AKnownFieldGivenTwiceIsRefused) {
  const auto stream = stream_of({{"a", "BIGINT"}, {"b", "BIGINT"}});
  const auto body = PaddedBytes::copy_of(
      "{\"a\":1,\"a\":1}\n{\"a\":1,\"b\":2,\"a\":3}\n{\"b\":null,\"b\":1}\n{\"x\":1,\"x\":2}\n{"
      "\"a\":1,\"\\u0061\":2}");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(rows_of(decoded), ElementsAre("NULL|NULL"));
  EXPECT_THAT(
      faults_of(decoded),
      ElementsAre("1 MR2005: column 'a' is given twice", "2 MR2005: column 'a' is given twice",
                  "3 MR2005: column 'b' is given twice", "5 MR2005: column 'a' is given twice"));
}

TEST(JsonDecoder, TheEventTimeMustBeThere) {
  const auto stream = stream_of({{"n", "BIGINT"}, {"ts", "TIMESTAMP"}}, 1);
  const auto body =
      PaddedBytes::copy_of("{\"n\":1}\n{\"n\":2,\"ts\":null}\n{\"ts\":0,\"n\":3}\n{}");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(rows_of(decoded), ElementsAre("3|1970-01-01 00:00:00"));
  EXPECT_THAT(faults_of(decoded),
              ElementsAre("1 MR2002: column 'ts' is the event time and is missing",
                          "2 MR2002: column 'ts' is the event time and is null",
                          "4 MR2002: column 'ts' is the event time and is missing"));
}

TEST(JsonDecoder, DepthIsLimitedWithoutRecursion) {
  const auto stream = stream_of({{"j", "JSON"}});
  const auto nested = [](std::size_t depth) {
    return "{\"j\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  const auto body = PaddedBytes::copy_of(nested(64) + "\n" + nested(65) +
                                         "\n{\"other\":" + std::string(100'000, '[') + "\n" +
                                         std::string(100'000, '{') + "\n" + nested(2));
  const auto decoded = decode(body, stream);
  EXPECT_EQ(decoded.columns->rows(), 2U);
  ASSERT_THAT(decoded.rejected, SizeIs(3));
  EXPECT_EQ(decoded.rejected[0].id, error_id::kTooDeep);
  EXPECT_EQ(decoded.rejected[1].id, error_id::kTooDeep);
  EXPECT_EQ(decoded.rejected[2].id, error_id::kBadJson);
  EXPECT_EQ(decoded.rejected[1].raw.size(), 65'536U);
}

TEST(JsonDecoder, ARecordThatIsTooLargeIsRefusedAlone) {
  const auto stream = stream_of({{"s", "VARCHAR"}});
  const std::string large(300'000, 'x');
  for (const auto framing : {JsonFraming::kLines, JsonFraming::kDocument}) {
    const bool lines = framing == JsonFraming::kLines;
    const std::string between = lines ? "\n" : ",";
    const auto body = PaddedBytes::copy_of((lines ? "" : "[") + std::string("{\"s\":\"a\"}") +
                                           between + "{\"s\":\"" + large + "\"}" + between +
                                           "{\"s\":\"b\"}" + (lines ? "" : "]"));
    const auto decoded = decode(body, stream, framing, {.depth_max = 64, .record_bytes_max = 1000});
    EXPECT_THAT(rows_of(decoded), ElementsAre("a", "b"));
    EXPECT_THAT(faults_of(decoded),
                ElementsAre("2 MR2008: the record has 300008 bytes, 1000 are allowed"));
    EXPECT_THAT(decode(body, stream, framing).rejected, IsEmpty());
  }
}

TEST(JsonDecoder, BadUtf8IsNamedWithItsPlace) {
  const auto stream = stream_of({{"s", "VARCHAR"}});
  for (const std::string_view bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    const auto body = PaddedBytes::copy_of("{\"s\":\"ok\"}\n{\"s\":\"" + std::string(bad) + "\"}");
    const auto decoded = decode(body, stream);
    EXPECT_THAT(rows_of(decoded), ElementsAre("ok"));
    EXPECT_THAT(faults_of(decoded), ElementsAre("2 MR2007: byte 7 is not UTF-8"));
  }
}

TEST(JsonDecoder, OneByteOrderMarkIsSkipped) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  const auto body = PaddedBytes::copy_of("\xEF\xBB\xBF{\"n\":1}\n\xEF\xBB\xBF{\"n\":2}");
  const auto decoded = decode(body, stream);
  EXPECT_THAT(rows_of(decoded), ElementsAre("1"));
  EXPECT_THAT(decoded.rejected, SizeIs(1));
}

TEST(JsonDocument, IsAnObjectOrAnArrayOfObjects) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  const auto single = PaddedBytes::copy_of(" {\n \"n\" : 1\n}\n");
  EXPECT_THAT(rows_of(decode(single, stream, JsonFraming::kDocument)), ElementsAre("1"));
  const auto array = PaddedBytes::copy_of(
      "[{\"n\":1},\n{\"n\":\"x\"},{\n\"n\":3}, 5, \"a}\", [1], {\"n\":NaN}, {\"n\":4}]");
  const auto decoded = decode(array, stream, JsonFraming::kDocument);
  EXPECT_THAT(rows_of(decoded), ElementsAre("1", "3", "4"));
  EXPECT_THAT(decoded.values, ElementsAre("{\"n\":1}", "{\n\"n\":3}", "{\"n\":4}"));
  ASSERT_THAT(decoded.rejected, SizeIs(5));
  EXPECT_EQ(decoded.rejected[0].raw, "{\"n\":\"x\"}");
  EXPECT_EQ(decoded.rejected[2].raw, "\"a}\"");
  EXPECT_THAT(faults_of(decoded),
              ElementsAre("2 MR2003: column 'n': \"x\" is not a BIGINT",
                          "4 MR2001: a record is a JSON object, this begins with 5",
                          "5 MR2001: a record is a JSON object, this begins with \"a}\"",
                          "6 MR2001: a record is a JSON object, this begins with [",
                          "7 MR2001: column 'n': NaN is not a JSON value"));
  const auto empty = PaddedBytes::copy_of("[ ]");
  EXPECT_THAT(decode(empty, stream, JsonFraming::kDocument).rejected, IsEmpty());
}

TEST(JsonDocument, AnArrayThatCannotBeFollowedIsRefusedAsAWhole) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  for (const std::string_view text :
       {"[{\"n\":1},{\"n\":2}", "[{\"n\":1}{\"n\":2}]", "[{\"n\":1},]", "[{\"n\":1}] x",
        "[{\"n\":1},{\"n\" 2}]", "[{\"n\":1},{\"s\":\"\xff\"}]", "[{\"n\":1},{\"s\":\"open}]", "[",
        "5", "nope", "{\"n\":1} {\"n\":2}", "[1}", ""}) {
    const auto body = PaddedBytes::copy_of(text);
    const auto decoded = decode(body, stream, JsonFraming::kDocument);
    EXPECT_EQ(decoded.columns->rows(), 0U) << text;
    EXPECT_THAT(decoded.values, IsEmpty()) << text;
    ASSERT_THAT(decoded.rejected, SizeIs(1)) << text;
    EXPECT_EQ(decoded.rejected[0].raw, text);
  }
}

/// A random JSON value as text, with the odd forms that the grammar allows.
std::string random_json(std::mt19937_64& random, int depth) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto blanks = [&] {
    return std::string(below(8) == 0 ? below(3) : 0, below(2) != 0 ? ' ' : '\t');
  };
  switch (below(depth > 3 ? 6 : 8)) {
    case 0:
      return "null";
    case 1:
      return below(2) != 0 ? "true" : "false";
    case 2:
      return fmt::to_string(static_cast<std::int64_t>(random()) >> below(64));
    case 3:
      return fmt::format(
          "{}", std::ldexp(static_cast<double>(random()), static_cast<int>(below(200)) - 100));
    case 4:
      return fmt::format("{}.{}e{}", below(100), below(100000), static_cast<int>(below(40)) - 20);
    case 5: {
      static const std::vector<std::string> kPieces = {
          "a", "\\n",    "\\u00e9", "\\ud83d\\ude00", "{",          "]", ",",
          ":", "\u20ac", "\\\"",    "\\\\",           "0123456789", " "};
      std::string out = "\"";
      for (auto n = below(8); n != 0; --n) out += kPieces[below(kPieces.size())];
      return out + "\"";
    }
    case 6: {
      std::string out = "[" + blanks();
      for (auto n = below(4), i = n; i != 0; --i)
        out += (i == n ? "" : ",") + random_json(random, depth + 1) + blanks();
      return out + "]";
    }
    default: {
      std::string out = "{" + blanks();
      for (auto n = below(4), i = n; i != 0; --i) {
        out += (i == n ? "" : ",") + fmt::format("\"k{}\"{}:", i, blanks()) +
               random_json(random, depth + 1);
      }
      return out + blanks() + "}";
    }
  }
}

/// The other parser does not always round a number to the nearest one, and not always the same way.
bool same_but_rounding(const boost::json::value& a, const boost::json::value& b) {
  if (a == b) return true;
  if (a.is_double() && b.is_double())
    return std::abs(a.get_double() - b.get_double()) <= std::abs(b.get_double()) * 1e-13;
  if (a.is_array() && b.is_array())
    return std::ranges::equal(a.get_array(), b.get_array(), same_but_rounding);
  if (a.is_object() && b.is_object()) {
    return std::ranges::equal(a.get_object(), b.get_object(), [](const auto& x, const auto& y) {
      return x.key() == y.key() && same_but_rounding(x.value(), y.value());
    });
  }
  return false;
}

TEST(JsonDecoder, AcceptsWhatAnotherParserAcceptsAndReadsTheSameValues) {
  const auto stream =
      stream_of({{"k1", "JSON"}, {"k2", "DOUBLE"}, {"k3", "VARCHAR"}, {"k4", "BIGINT"}});
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  std::size_t accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text =
        fmt::format("{{\"k1\":{},\"k2\": {},\"k3\":{},\"k4\":{}}}", random_json(random, 0),
                    random_json(random, 9), random_json(random, 9), random_json(random, 9));
    // Some damage: a byte dropped, doubled or changed.
    if (random() % 3 == 0) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text.erase(at, 1);
          break;
        case 1:
          text.insert(at, 1, text[at]);
          break;
        default:
          text[at] = "{}[]:,\"\\0a e-"[random() % 13];
      }
    }
    const auto body = PaddedBytes::copy_of(text);
    const auto decoded = decode(body, stream);
    boost::system::error_code error;
    const auto parsed = boost::json::parse(text, error);
    // Damage may make an exponent of some twenty digits: by the grammar a number like any other.
    if (error == boost::json::error::exponent_overflow) continue;
    const bool bad_json = !decoded.rejected.empty() && decoded.rejected[0].id == error_id::kBadJson;
    if (decoded.columns->rows() == 1) {
      ++accepted;
      ASSERT_FALSE(error) << text;
      const auto& object = parsed.as_object();
      const auto& columns = *decoded.columns;
      if (const auto* k2 = object.if_contains("k2"); k2 != nullptr && k2->is_number()) {
        // Its own rounding is not always the nearest one.
        const double expected = k2->to_number<double>();
        EXPECT_NEAR(columns.column(1).data<double>()[0], expected, std::abs(expected) * 1e-13)
            << text;
      }
      if (const auto* k3 = object.if_contains("k3"); k3 != nullptr && k3->is_string()) {
        EXPECT_EQ(columns.column(2).data<StringRef>()[0].view(), std::string_view(k3->as_string()))
            << text;
      }
      if (const auto* k4 = object.if_contains("k4"); k4 != nullptr && k4->is_int64()) {
        EXPECT_EQ(columns.column(3).data<std::int64_t>()[0], k4->as_int64()) << text;
      }
      if (const auto* k1 = object.if_contains("k1"); k1 != nullptr && !k1->is_null()) {
        const auto kept = boost::json::parse(columns.column(0).data<StringRef>()[0].view(), error);
        EXPECT_TRUE(same_but_rounding(kept, *k1)) << text;
      }
    } else if (bad_json) {
      EXPECT_TRUE(error || !parsed.is_object()) << text << "\n" << decoded.rejected[0].reason;
    }
  }
  EXPECT_GT(accepted, 100U);
}

TEST(JsonDecoder, ALineAmongOthersIsReadAsALineAlone) {
  const auto stream =
      stream_of({{"k1", "JSON"}, {"k2", "DOUBLE"}, {"k3", "VARCHAR"}, {"k4", "BIGINT"}});
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::string text;
    std::vector<std::string> rows;
    std::vector<std::string> faults;
    const std::size_t lines = 1 + random() % 2000;
    for (std::size_t line = 1; line <= lines; ++line) {
      std::string record =
          fmt::format("{{\"k1\":{},\"k2\":{},\"k3\":\"s{}\",\"k4\":{}}}", random_json(random, 2),
                      random() % 100, random() % 1000, static_cast<std::int64_t>(random()));
      // Damage is rare in even rounds, so that windows with and without faults both occur.
      if (random() % (round % 2 == 0 ? 500 : 5) == 0) {
        record[random() % record.size()] = "{}[]:,\"\\0a\xff"[random() % 11];
      }
      const auto alone_body = PaddedBytes::copy_of(record);
      const auto alone = decode(alone_body, stream);
      for (auto& row : rows_of(alone)) rows.push_back(row);
      for (const auto& bad : alone.rejected)
        faults.push_back(fmt::format("{} {}: {}", line, bad.id, bad.reason));
      text += record + "\n";
    }
    const auto body = PaddedBytes::copy_of(text);
    const auto all = decode(body, stream);
    ASSERT_EQ(rows_of(all), rows);
    ASSERT_EQ(faults_of(all), faults);
  }
}

TEST(Base64, ReadsBackWhatItWroteAndNothingElse) {
  std::mt19937_64 random(1);
  for (std::size_t size = 0; size < 100; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
  }
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");  // RFC 4648 section 10
  EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
  for (const auto* bad :
       {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9-", "Zm9v\n"}) {
    EXPECT_EQ(base64_decode(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace millrace::format
