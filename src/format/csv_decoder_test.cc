#include "format/csv_decoder.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "format/csv_scanner.h"
#include "format/row_text.h"
#include "format/stream_fixture_test.h"

namespace millrace::format {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Records as "a|b|c", quoted fields with ' around them; faults as "!reason".
std::vector<std::string> scan(std::string_view text, char delimiter = ',',
                              std::size_t record_bytes_max = 1000, bool blank_records = false) {
  CsvScanner scanner(text, delimiter, record_bytes_max, blank_records);
  std::vector<std::string> out;
  for (;;) {
    const auto step = scanner.next();
    if (step == CsvScanner::Step::kEnd) return out;
    std::string line = fmt::format("{}:", scanner.line());
    if (step == CsvScanner::Step::kBad) line += fmt::format("!{}", scanner.reason());
    if (step == CsvScanner::Step::kTooLarge) line += "!too large";
    if (step == CsvScanner::Step::kRecord) {
      for (std::size_t i = 0; i < scanner.fields().size(); ++i) {
        const auto& field = scanner.fields()[i];
        if (i != 0) line += '|';
        line += field.quoted ? fmt::format("'{}'", field.text) : std::string(field.text);
      }
    }
    out.push_back(line);
  }
}

// The rules of RFC 4180 section 2, by number.
TEST(CsvScanner, ReadsRecordsAsTheStandardSaysIt) {
  EXPECT_THAT(scan("aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n"),
              ElementsAre("1:aaa|bbb|ccc", "2:zzz|yyy|xxx"));                                  // 1
  EXPECT_THAT(scan("aaa,bbb\r\nzzz,yyy"), ElementsAre("1:aaa|bbb", "2:zzz|yyy"));              // 2
  EXPECT_THAT(scan(" a ,b "), ElementsAre("1: a |b "));                                        // 4
  EXPECT_THAT(scan("\"aaa\",\"bbb\"\r\nzzz,yyy"), ElementsAre("1:'aaa'|'bbb'", "2:zzz|yyy"));  // 5
  EXPECT_THAT(scan("\"aaa\",\"b\r\nbb\",\"c,c\"\r\nzzz"),
              ElementsAre("1:'aaa'|'b\r\nbb'|'c,c'", "3:zzz"));                    // 6
  EXPECT_THAT(scan("\"a\"\"b\",\"\"\"\",\"\""), ElementsAre("1:'a\"b'|'\"'|''"));  // 7
}

TEST(CsvScanner, EmptyFieldsAndLinesKeepTheirPlace) {
  EXPECT_THAT(scan(""), IsEmpty());
  EXPECT_THAT(scan("\n\r\n\n"), IsEmpty());
  EXPECT_THAT(scan(",\n,,"), ElementsAre("1:|", "2:||"));
  EXPECT_THAT(scan("a\n\n\r\nb"), ElementsAre("1:a", "4:b"));
  EXPECT_THAT(scan("a,\r\n,b\r"), ElementsAre("1:a|", "2:|b"));
  EXPECT_THAT(scan("a\rb,c"), ElementsAre("1:a\rb|c"));
  EXPECT_THAT(scan("a;b,c;\"d\"", ';'), ElementsAre("1:a|b,c|'d'"));
}

TEST(CsvScanner, ABlankLineIsARecordWhereThatIsAsked) {
  EXPECT_THAT(scan("a\n\n\r\nb\n", ',', 1000, true), ElementsAre("1:a", "2:", "3:", "4:b"));
  EXPECT_THAT(scan("\n", ',', 1000, true), ElementsAre("1:"));
  EXPECT_THAT(scan("", ',', 1000, true), IsEmpty());
}

TEST(CsvScanner, ABadRecordCostsItsLineOnly) {
  EXPECT_THAT(scan("a\nb\"c,d\ne"),
              ElementsAre("1:a", "2:!a quote stands inside of a field that does not begin with one",
                          "3:e"));
  EXPECT_THAT(scan("\"a\"b,c\nd"), ElementsAre("1:!something stands behind a quoted field", "2:d"));
  EXPECT_THAT(scan("\"a,b\nc\nd"), ElementsAre("1:!a quoted field is not closed", "2:c", "3:d"));
  EXPECT_THAT(scan("a\n" + std::string(2000, 'x') + "\nb"),
              ElementsAre("1:a", "2:!too large", "3:b"));
  EXPECT_THAT(scan(std::string(2000, ',') + "\nb"), ElementsAre("1:!too large", "2:b"));
  EXPECT_THAT(scan("\"" + std::string(2000, 'x') + "\"\nb"), ElementsAre("1:!too large", "2:b"));
}

TEST(CsvScanner, ManyOpenQuotesCostNoMoreThanTheirBytes) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "\"\"\"\n";
  CsvScanner scanner(text, ',', 1 << 20);
  std::size_t steps = 0;
  while (scanner.next() != CsvScanner::Step::kEnd) ++steps;
  EXPECT_GT(steps, 0U);
}

TEST(CsvDecoder, FindsColumnsByTheHeaderInAnyOrder) {
  const auto stream =
      stream_of({{"ts", "TIMESTAMP"}, {"name", "VARCHAR"}, {"n", "BIGINT"}, {"v", "DOUBLE"}}, 0);
  const auto decoded = decode_payload("text/csv",
                                      "\xEF\xBB\xBFv,name,ts,other\r\n"
                                      "1.5,\"a, b\",2001-01-01T10:00:00Z,x\r\n"
                                      " -0.0 ,\"\",1000,\r\n",
                                      stream);
  EXPECT_THAT(faults_of(decoded), IsEmpty());
  EXPECT_THAT(rows_of(*decoded.columns),
              ElementsAre("2001-01-01 10:00:00|a, b|NULL|1.5", "1970-01-01 00:00:01||NULL|-0.0"));
}

TEST(CsvDecoder, WithoutAHeaderColumnsComeInTheOrderOfTheStream) {
  const auto stream = stream_of({{"site", "VARCHAR"}, {"n", "BIGINT"}, {"v", "DOUBLE"}});
  EXPECT_THAT(rows_of(*decode_payload("text/csv; header=absent", "a,1,2.5\nb,,\n", stream).columns),
              ElementsAre("a|1|2.5", "b|NULL|NULL"));
  const std::vector<BoundText> bound = {{"site", "home"}, {"no such column", "x"}};
  EXPECT_THAT(rows_of(*decode_payload("text/csv;header=absent", "1,2.5", stream, bound).columns),
              ElementsAre("home|1|2.5"));
}

TEST(CsvDecoder, AnEmptyFieldIsAMissingOne) {
  auto stream = stream_of({{"n", "BIGINT"}, {"s", "VARCHAR"}});
  stream.columns[0].default_json = "7";
  stream.columns[1].default_json = "\"none\"";
  EXPECT_THAT(rows_of(*decode_payload("text/csv", "n,s\n,\n1,\"\"\n,x\n", stream).columns),
              ElementsAre("7|none", "1|", "7|x"));
}

TEST(CsvDecoder, UnknownColumnsAreWhatTheStreamMakesOfThem) {
  auto stream = stream_of({{"n", "BIGINT"}, {"rest", "JSON"}});
  stream.unknown_fields = UnknownFields::kRefuse;
  EXPECT_THAT(faults_of(decode_payload("text/csv", "n,x\n1,2\n3,\n", stream)),
              ElementsAre("2 MR2010: no column has the name \"x\""));
  stream.unknown_fields = UnknownFields::kKeep;
  stream.unknown_column = 1;
  EXPECT_THAT(rows_of(*decode_payload("text/csv", "n,x,y\n1,a\"b\"\"\n", stream).columns),
              IsEmpty());
  EXPECT_THAT(rows_of(*decode_payload("text/csv", "n,x,y\n1,\"a\"\"b\",2\n2,,\n", stream).columns),
              ElementsAre("1|{\"x\":\"a\\\"b\",\"y\":\"2\"}", "2|NULL"));
}

TEST(CsvDecoder, TellsLineColumnAndReasonOfABadRecordAndKeepsTheOthers) {
  const auto stream = stream_of({{"ts", "TIMESTAMP"}, {"n", "SMALLINT"}, {"j", "JSON"}}, 0);
  const auto decoded = decode_payload("text/csv",
                                      "ts,n,j\n"
                                      "2001-01-01,1,\"{\"\"a\"\": 1}\"\n"
                                      "2001-01-01,x,\n"
                                      "2001-01-01,70000,\n"
                                      ",1,\n"
                                      "2001-01-01,1\n"
                                      "2001-01-01,1,{a}\n"
                                      "2001-01-01,1,\xff\n"
                                      "2001-01-01,2,null\n",
                                      stream);
  EXPECT_THAT(rows_of(*decoded.columns),
              ElementsAre("2001-01-01 00:00:00|1|{\"a\": 1}", "2001-01-01 00:00:00|2|NULL"));
  EXPECT_THAT(faults_of(decoded),
              ElementsAre("3 MR2003: column 'n': \"x\" is not a SMALLINT",
                          "4 MR2004: column 'n': 70000 is out of range of SMALLINT",
                          "5 MR2002: column 'ts' is the event time and is missing",
                          "6 MR2011: the record has 2 fields, the header has 3",
                          HasSubstr("7 MR2003: column 'j': {a} is not JSON"),
                          HasSubstr("8 MR2007: byte 14")));
  EXPECT_EQ(decoded.rejected[0].raw, "ts,n,j\n2001-01-01,x,");
}

TEST(CsvDecoder, AHeaderThatCannotBeReadLosesTheBody) {
  const auto stream = stream_of({{"n", "BIGINT"}});
  for (const std::string_view body : {"n,n\n1,2", "n,\"x\n1,2", "n\xff\n1"}) {
    const auto decoded = decode_payload("text/csv", body, stream);
    EXPECT_EQ(decoded.columns->rows(), 0U);
    EXPECT_THAT(decoded.rejected, SizeIs(1)) << body;
  }
  EXPECT_THAT(faults_of(decode_payload("text/csv", "", stream)), IsEmpty());
}

TEST(CsvDecoder, ReadsBackWhatAnswersWrite) {
  std::mt19937_64 random(7);
  const auto stream = stream_of_all_types();
  for (int round = 0; round < 50; ++round) {
    ColumnBatch rows(stream.types());
    for (int i = 0; i < 20; ++i) push_random_row(random, rows);
    std::string text;
    append_csv_header(text, stream.columns);
    append_csv(text, rows);
    const auto decoded = decode_payload("text/csv", text, stream);
    EXPECT_THAT(faults_of(decoded), IsEmpty());
    EXPECT_EQ(rows_of(*decoded.columns), rows_of(rows));
  }
}

TEST(BoundValues, AreTheColumnsOfEveryRecordWhateverThePayloadSays) {
  const auto stream = stream_of({{"at", "TIMESTAMP"}, {"site", "VARCHAR"}, {"v", "DOUBLE"}}, 0);
  const std::vector<BoundText> bound = {{"at", "2001-01-01"}, {"site", "a\"b"}};
  EXPECT_THAT(
      rows_of(*decode_payload("application/x-ndjson",
                              "{\"v\":1}\n{\"site\":\"mine\",\"v\":2,\"at\":5}\n", stream, bound)
                   .columns),
      ElementsAre("2001-01-01 00:00:00|a\"b|1.0", "2001-01-01 00:00:00|a\"b|2.0"));
  const std::vector<BoundText> bad = {{"at", "yesterday"}};
  EXPECT_THAT(faults_of(decode_payload("application/json", "{}", stream, bad)),
              ElementsAre("1 MR2003: column 'at': \"yesterday\" is not a TIMESTAMP"));
}

TEST(PayloadType, IsReadFromAContentTypeAndWrittenBack) {
  const auto text = [](std::string_view content_type) {
    const auto type = payload_type_of(content_type);
    return type ? type->text() : type.error().id;
  };
  EXPECT_EQ(text("application/json; charset=utf-8"), "application/json");
  EXPECT_EQ(text("Text/CSV"), "text/csv");
  EXPECT_EQ(text("text/csv;header=ABSENT ; delimiter=\";\""),
            "text/csv; delimiter=\";\"; header=absent");
  EXPECT_EQ(text("text/tab-separated-values"), "text/tab-separated-values");
  EXPECT_EQ(text("text/csv; charset=latin1"), "MR3007");
  EXPECT_EQ(text("text/csv; header=maybe"), "MR3007");
  EXPECT_EQ(text("text/csv; blank-lines=Records"), "text/csv; blank-lines=records");
  EXPECT_EQ(text("text/csv; blank-lines=kept"), "MR3007");
  EXPECT_EQ(text("text/html"), "MR3002");
  EXPECT_EQ(text(""), "MR3002");
}

}  // namespace
}  // namespace millrace::format
