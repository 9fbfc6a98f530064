// The heads of our own statements, at the outside: what is taken, what is refused, and what the
// error says.
#include "sql/statement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sql/duration.h"

namespace millrace::sql {
namespace {

using ::testing::HasSubstr;

template <class T>
T parsed(std::string_view text) {
  auto statement = parse_statement(text);
  EXPECT_TRUE(statement) << text << "\n" << (statement ? "" : statement.error().text());
  if (!statement || !std::holds_alternative<T>(*statement)) {
    ADD_FAILURE() << text << " is another statement";
    return {};
  }
  return std::get<T>(*statement);
}

Error refused(std::string_view text) {
  auto statement = parse_statement(text);
  EXPECT_FALSE(statement) << text;
  return statement ? Error{} : statement.error();
}

TEST(CreateStreamStatement, NamesColumnsTypesAndOptions) {
  const auto statement = parsed<CreateStream>(
      "create stream if not exists flights (date TIMESTAMP, \"Ori\"\"gin\" varchar(3), "
      "fare DECIMAL ( 9 , 2 ), at timestamp with time zone) "
      "WITH (time = date, key = \"ori\"\"gin\", partitions = 4);");
  const StreamDefinition& stream = statement.definition;
  EXPECT_TRUE(statement.if_not_exists);
  EXPECT_EQ(stream.name, "flights");
  ASSERT_EQ(stream.columns.size(), 4u);
  EXPECT_EQ(stream.columns[0], (Column{"date", {TypeKind::kTimestamp}}));
  EXPECT_EQ(stream.columns[1], (Column{"Ori\"gin", {TypeKind::kVarchar}}));
  EXPECT_EQ(stream.columns[2], (Column{"fare", {TypeKind::kDecimal, 9, 2}}));
  EXPECT_EQ(stream.columns[3], (Column{"at", {TypeKind::kTimestampTz}}));
  EXPECT_EQ(stream.time_column, 0u);
  EXPECT_EQ(stream.key_column, 1u);
  EXPECT_EQ(stream.partitions, 4u);
  EXPECT_TRUE(stream.sql.starts_with("create stream"));
  EXPECT_TRUE(stream.sql.ends_with(")"));
}

TEST(TableStatements, CutWhatUsersWriteAtKeywordsOutsideOfParentheses) {
  const auto made = parsed<CreateTable>(
      "CREATE OR REPLACE TABLE t (a BIGINT, \"B b\" DECIMAL(9, 2), PRIMARY KEY (\"b B\", A)) FROM "
      "'it''s.csv'");
  EXPECT_TRUE(made.or_replace);
  ASSERT_EQ(made.columns.size(), 2U);
  EXPECT_EQ(made.columns[1].type, (Type{TypeKind::kDecimal, 9, 2}));
  EXPECT_EQ(made.primary_key, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_EQ(made.file, "it's.csv");
  EXPECT_EQ(parsed<CreateTable>("CREATE TABLE t (a INT PRIMARY KEY)").primary_key.size(), 1U);
  EXPECT_EQ(parsed<CreateTable>("CREATE TABLE IF NOT EXISTS t AS VALUES (1), (2);").select,
            "VALUES (1), (2)");

  const auto insert = parsed<Insert>("INSERT OR REPLACE INTO t (b, \"A\") SELECT x, (y) FROM z");
  EXPECT_TRUE(insert.or_replace);
  EXPECT_EQ(insert.columns, (std::vector<std::string>{"b", "A"}));
  EXPECT_EQ(insert.select, "SELECT x, (y) FROM z");
  EXPECT_EQ(parsed<Insert>("INSERT INTO t (SELECT 1)").select, "(SELECT 1)");

  const auto update = parsed<Update>(
      "UPDATE t SET a = [1, 2][1], b = (SELECT max(x) FROM z WHERE x > 1) /* , */ WHERE a = 'x, "
      "WHERE' AND b IN (1, 2)");
  ASSERT_EQ(update.assignments.size(), 2U);
  EXPECT_EQ(update.assignments[0].expression, "[1, 2][1]");
  EXPECT_EQ(update.assignments[1].expression, "(SELECT max(x) FROM z WHERE x > 1)");
  EXPECT_EQ(update.where, "a = 'x, WHERE' AND b IN (1, 2)");
  EXPECT_EQ(parsed<Update>("UPDATE t SET a = 1").where, "");
  EXPECT_EQ(parsed<Delete>("DELETE FROM t WHERE a = 1 -- all").where, "a = 1");
  EXPECT_EQ(parsed<Delete>("DELETE FROM t").where, "");
  EXPECT_EQ(parsed<Drop>("DROP TABLE IF EXISTS t").kind, ObjectKind::kTable);
  EXPECT_EQ(parsed<Show>("SHOW TABLES").kind, ObjectKind::kTable);
}

TEST(CreateStreamStatement, NeedsNoOptions) {
  const auto statement = parsed<CreateStream>("CREATE STREAM a(b INT)");
  EXPECT_FALSE(statement.if_not_exists);
  EXPECT_EQ(statement.definition.partitions, 1u);
  EXPECT_EQ(statement.definition.time_column, std::nullopt);
  EXPECT_EQ(statement.definition.key_column, std::nullopt);
}

TEST(CreateStreamStatement, TakesADedupColumnAndItsInterval) {
  auto stream =
      parsed<CreateStream>("CREATE STREAM e (id UUID, at TIMESTAMP) WITH (dedup = ID)").definition;
  EXPECT_EQ(stream.dedup_column, 0u);
  EXPECT_EQ(stream.dedup_within_us, std::nullopt);
  stream = parsed<CreateStream>(
               "CREATE STREAM e (id UUID, at TIMESTAMP) "
               "WITH (dedup_within = '1 day 12 hours', time = at, dedup = id)")
               .definition;
  EXPECT_EQ(stream.dedup_within_us, std::int64_t{36} * 3'600'000'000);
}

TEST(Duration, TakesNumbersWithUnitsAndRefusesWhatHasNoLength) {
  EXPECT_EQ(parse_duration("7 days").value(), std::int64_t{7} * 86'400'000'000);
  EXPECT_EQ(parse_duration(" 2Weeks 1 ms ").value(), std::int64_t{14} * 86'400'000'000 + 1000);
  EXPECT_EQ(parse_duration("90s").value(), 90'000'000);
  for (const auto* bad : {"", "7", "days", "1 month", "2 years", "-1 day", "0 days", "1 dayss",
                          "99999999999999 weeks", "1.5 days"}) {
    const auto parsed = parse_duration(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().id, error_id::kBadOption);
    EXPECT_THAT(parsed.error().hint, HasSubstr("'7 days'"));
  }
}

struct BadText {
  std::string_view text;
  std::string_view id;
  TextPlace place;
  std::string_view message;
  std::string_view hint;
};

class BadStatement : public ::testing::TestWithParam<BadText> {};

TEST_P(BadStatement, IsRefusedWithPlaceReasonAndHint) {
  const Error error = refused(GetParam().text);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.id, GetParam().id) << error.text();
  EXPECT_EQ(error.place.line, GetParam().place.line) << error.text();
  EXPECT_EQ(error.place.column, GetParam().place.column) << error.text();
  EXPECT_THAT(error.message, HasSubstr(GetParam().message));
  EXPECT_THAT(error.hint, HasSubstr(GetParam().hint));
}

constexpr auto kSyntax = error_id::kSyntax;
constexpr auto kUnsupported = error_id::kUnsupportedStatement;
constexpr auto kName = error_id::kBadName;
constexpr auto kType = error_id::kBadType;
constexpr auto kOption = error_id::kBadOption;

INSTANTIATE_TEST_SUITE_P(
    All, BadStatement,
    ::testing::Values(
        BadText{"", kSyntax, {1, 1}, "no statement", ""},
        BadText{" ; -- nothing\n", kSyntax, {1, 1}, "no statement", ""},
        BadText{"\n  MERGE INTO a USING b", kUnsupported, {2, 3}, "MERGE", "CREATE STREAM"},
        BadText{"CREAT STREAM a (b INT)", kUnsupported, {1, 1}, "CREAT", "did you mean CREATE?"},
        BadText{"CREATE STRAEM a (b INT)",
                kUnsupported,
                {1, 8},
                "CREATE STRAEM",
                "did you mean CREATE STREAM?"},
        BadText{"CREATE TABLE", kSyntax, {1, 13}, "a name", ""},
        BadText{"CREATE TABLE a", kSyntax, {1, 15}, "FROM or AS", "PRIMARY KEY"},
        BadText{"CREATE TABLE a (b)", kSyntax, {1, 18}, "the type of column 'b'", ""},
        BadText{"CREATE TABLE a (b INT NOT NULL)", kSyntax, {1, 23}, "no NOT", "PRIMARY KEY"},
        BadText{"CREATE TABLE a (b INT, B INT)", kName, {1, 24}, "twice", "without case"},
        BadText{"CREATE TABLE a (b INT, PRIMARY KEY (c))",
                error_id::kBadName,
                {1, 37},
                "no column 'c'",
                ""},
        BadText{"CREATE TABLE a (b INT PRIMARY KEY, c INT PRIMARY KEY)",
                kSyntax,
                {1, 36},
                "one primary key",
                ""},
        BadText{"CREATE TABLE a FROM b", kSyntax, {1, 21}, "in quotes", ""},
        BadText{"CREATE TABLE a AS DROP", kSyntax, {1, 19}, "SELECT or VALUES", ""},
        BadText{"CREATE TABLE a AS SELECT 1) AS b", kSyntax, {1, 27}, "closes nothing", ""},
        BadText{"INSERT a", kSyntax, {1, 8}, "INTO", ""},
        BadText{"INSERT INTO a", kSyntax, {1, 14}, "SELECT or VALUES", ""},
        BadText{"INSERT INTO a VALUES (1)) AS x --", kSyntax, {1, 25}, "closes nothing", ""},
        BadText{"INSERT INTO a VALUES ((1)", kSyntax, {1, 26}, "')'", ""},
        BadText{"UPDATE a", kSyntax, {1, 9}, "SET", ""},
        BadText{"UPDATE a SET b", kSyntax, {1, 15}, "'='", ""},
        BadText{"UPDATE a SET b = WHERE c", kSyntax, {1, 18}, "an expression", ""},
        BadText{"UPDATE a SET b = 1) FROM c --", kSyntax, {1, 19}, "closes nothing", ""},
        BadText{"UPDATE a SET b = 1, B = 2", kName, {1, 21}, "twice", ""},
        BadText{"DELETE a", kSyntax, {1, 8}, "FROM", ""},
        BadText{"DELETE FROM a WHERE", kSyntax, {1, 20}, "an expression", ""},
        BadText{"DELETE FROM a WHERE (b", kSyntax, {1, 23}, "')'", ""},
        BadText{"CREATE OR REPLACE STREAM a (b INT)", kUnsupported, {1, 8}, "OR REPLACE", "DROP"},
        BadText{"CREATE OR MATERIALIZED VIEW a AS SELECT 1", kSyntax, {1, 11}, "REPLACE", ""},
        BadText{"CREATE OR REPLACE VIEW IF NOT EXISTS a AS SELECT 1",
                kSyntax,
                {1, 24},
                "a name",
                "exclude each other"},
        BadText{"CREATE", kSyntax, {1, 7}, "STREAM", ""},
        BadText{"CREATE STREAM", kSyntax, {1, 14}, "a name", ""},
        BadText{"CREATE STREAM a", kSyntax, {1, 16}, "'('", "column type"},
        BadText{"CREATE STREAM a ()", kSyntax, {1, 18}, "needs a column", ""},
        BadText{"CREATE STREAM a (b INT,)", kSyntax, {1, 24}, "a column", ""},
        BadText{"CREATE STREAM a (b)", kSyntax, {1, 19}, "the type of column 'b'", ""},
        BadText{"CREATE STREAM a (b INT", kSyntax, {1, 23}, "')'", ""},
        BadText{"CREATE STREAM a (b INT) x", kSyntax, {1, 25}, "the end", ""},
        BadText{"CREATE STREAM a.b (c INT)", kSyntax, {1, 16}, "the end of the name", "one part"},
        BadText{"CREATE STREAM \"../a\" (b INT)", kName, {1, 15}, "../a", ""},
        BadText{"CREATE STREAM a__Quarantine (b INT)", kName, {1, 15}, "quarantine", "stream"},
        BadText{"CREATE STREAM a (_offset INT)", kName, {1, 18}, "hidden", ""},
        BadText{"CREATE STREAM a (b INT, B INT)", kName, {1, 25}, "twice", "without case"},
        BadText{"CREATE STREAM a (b INTT)", kType, {1, 20}, "column 'b'", "the types are"},
        BadText{"CREATE STREAM a (b INT[])", kType, {1, 20}, "no column of type INTEGER[]", "JSON"},
        BadText{
            "CREATE STREAM a (b STRUCT(c INT, d MAP(TEXT, INT)))",
            kType,
            {1, 20},
            "column 'b': a stream has no column of type STRUCT(c INTEGER, d MAP(VARCHAR, INTEGER))",
            "use JSON"},
        BadText{"CREATE STREAM a (b INTERVAL)", kType, {1, 20}, "INTERVAL", "VARCHAR"},
        BadText{"CREATE STREAM a (b INT NOT NULL)", kSyntax, {1, 24}, "NOT NULL", "WHERE"},
        BadText{
            "CREATE STREAM a (b INT PRIMARY KEY)", kSyntax, {1, 24}, "PRIMARY KEY", "WITH (key"},
        BadText{"CREATE STREAM a (b INT DEFAULT 'x')", kOption, {1, 32}, "does not fit", ""},
        BadText{"CREATE STREAM a (b INT DEFAULT now())", kSyntax, {1, 32}, "a constant", ""},
        BadText{"CREATE STREAM a (b JSON DEFAULT 1)", kOption, {1, 33}, "no DEFAULT", "coalesce"},
        BadText{"CREATE STREAM a (b INT) WITH (unknown_fields = 'keep:b')",
                kOption,
                {1, 48},
                "INTEGER",
                "JSON"},
        BadText{"CREATE STREAM a (b INT) WITH (unknown_fields = 'drop')",
                kOption,
                {1, 48},
                "'drop'",
                "'keep:column'"},
        BadText{"ALTER VIEW v ADD b INT", kSyntax, {1, 7}, "STREAM", "CREATE OR REPLACE"},
        BadText{"ALTER STREAM a", kSyntax, {1, 15}, "ADD, DROP", ""},
        BadText{"ALTER STREAM a RENAME b c", kSyntax, {1, 25}, "TO", ""},
        BadText{"ALTER STREAM a SET (partitions = 2)", kSyntax, {1, 21}, "unknown_fields", "stay"},
        BadText{"CREATE STREAM a (b INT) WITH (tiem = b)",
                kOption,
                {1, 31},
                "'tiem'",
                "did you mean time?"},
        BadText{"CREATE STREAM a (b INT) WITH (retention = 1)",
                kOption,
                {1, 31},
                "'retention'",
                "the options are"},
        BadText{"CREATE STREAM a (b INT) WITH (key = b, KEY = b)", kOption, {1, 40}, "twice", ""},
        BadText{"CREATE STREAM a (bird INT) WITH (key = brid)",
                kOption,
                {1, 40},
                "'brid'",
                "did you mean 'bird'?"},
        BadText{"CREATE STREAM a (b VARCHAR) WITH (time = b)",
                kOption,
                {1, 42},
                "VARCHAR",
                "TIMESTAMP"},
        BadText{"CREATE STREAM a (b INT) WITH (time = b)", kOption, {1, 38}, "INTEGER", "BIGINT"},
        BadText{"CREATE STREAM a (b INT) WITH (partitions = 0)", kOption, {1, 44}, "1 to 1024", ""},
        BadText{
            "CREATE STREAM a (b INT) WITH (partitions = 1025)", kOption, {1, 44}, "1 to 1024", ""},
        BadText{
            "CREATE STREAM a (b INT) WITH (partitions = 2.5)", kOption, {1, 44}, "1 to 1024", ""},
        BadText{
            "CREATE STREAM a (b INT) WITH (partitions = '2')", kOption, {1, 44}, "1 to 1024", ""},
        BadText{"CREATE STREAM a (b INT) WITH (dedup_within = '7 days')",
                kOption,
                {1, 31},
                "there is none",
                "dedup = column"},
        BadText{"CREATE STREAM a (b INT) WITH (dedup = b, dedup_within = 7)",
                kSyntax,
                {1, 57},
                "length of time",
                ""},
        BadText{"CREATE STREAM a (b INT) WITH (dedup = b, dedup_within = '1 month')",
                kOption,
                {1, 57},
                "'1 month'",
                "'7 days'"},
        BadText{"CREATE STREAM a (b JSON) WITH (dedup = b)", kOption, {1, 40}, "JSON", "UUID"},
        BadText{"CREATE STREAM a (b BIGINT) WITH (dedup = b, time = b, dedup_within = '1 day')",
                kOption,
                {1, 55},
                "BIGINT",
                "TIMESTAMP"},
        BadText{"CREATE STREAM a (b INT) WITH ()", kSyntax, {1, 31}, "an option", ""},
        BadText{"CREATE VIEW v", kSyntax, {1, 14}, "AS", ""},
        BadText{"CREATE VIEW v (a) AS SELECT 1", kSyntax, {1, 15}, "AS", "name the columns"},
        BadText{"CREATE VIEW v AS INSERT INTO t VALUES (1)", kSyntax, {1, 18}, "SELECT", ""},
        BadText{"CREATE VIEW v AS", kSyntax, {1, 17}, "SELECT", ""},
        BadText{"DROP INDEX t", kUnsupported, {1, 6}, "DROP INDEX", "the statements are"},
        BadText{"DROP VIWE t", kUnsupported, {1, 6}, "DROP VIWE", "DROP VIEW"},
        BadText{"DROP STREAM t CASCADES", kSyntax, {1, 15}, "the end", ""},
        BadText{"DROP STREAM t__quarantine", kName, {1, 13}, "quarantine", ""},
        BadText{"SHOW INDEXES", kUnsupported, {1, 6}, "SHOW INDEXES", "the statements are"},
        BadText{"SHOW STREAM", kUnsupported, {1, 6}, "SHOW STREAM", "SHOW STREAMS"},
        BadText{"DESCRIBE SELECT 1", kSyntax, {1, 17}, "the end", "name of a stream"},
        BadText{"SELECT 1; SELECT 2", kSyntax, {1, 9}, "more than one", "one statement at a time"},
        BadText{"SELECT 'ü\n', 'abc", kSyntax, {2, 4}, "a string", ""},
        BadText{"SELECT 'ü', \"abc", kSyntax, {1, 13}, "a name in quotes", ""},
        BadText{"SELECT /* a /* b */", kSyntax, {1, 8}, "a comment", ""},
        BadText{"SELECT $x$ a $$", kSyntax, {1, 8}, "dollar", ""},
        BadText{"COPY t TO 'f'", kUnsupported, {1, 1}, "COPY", "SELECT"},
        BadText{"PRAGMA x", kUnsupported, {1, 1}, "PRAGMA", "SELECT"},
        BadText{"{\"a\": 1}", kUnsupported, {1, 1}, "{", "SELECT"}));

TEST(CreateViewStatement, KeepsTheSelectAndItsPlace) {
  const auto view = parsed<CreateView>(
      "-- daily\nCREATE MATERIALIZED VIEW IF NOT EXISTS daily AS\n  SELECT 'a;b', count(*) FROM f "
      "/* ; */ GROUP BY 1 ;  ");
  EXPECT_EQ(view.name, "daily");
  EXPECT_TRUE(view.materialized);
  EXPECT_TRUE(view.if_not_exists);
  EXPECT_EQ(view.select, "SELECT 'a;b', count(*) FROM f /* ; */ GROUP BY 1");
  EXPECT_EQ(view.select_place, (TextPlace{3, 3}));
  EXPECT_TRUE(view.sql.starts_with("CREATE MATERIALIZED"));
  EXPECT_FALSE(parsed<CreateView>("create view v as from f").materialized);
}

TEST(Names, MayHaveTheOneSchema) {
  const auto view = parsed<CreateView>(
      "CREATE MATERIALIZED VIEW IF NOT EXISTS \"millrace\".\"public\".\"v\" AS\n"
      "SELECT a.b, public.c FROM \"public\".\"s\" AS a JOIN millrace.public.t ON TRUE");
  EXPECT_EQ(view.name, "v");
  EXPECT_EQ(view.select,
            "SELECT a.b, public.c FROM          \"s\" AS a JOIN                 t ON TRUE");
  EXPECT_EQ(parsed<Drop>("DROP VIEW IF EXISTS Public.v CASCADE").name, "v");
  EXPECT_EQ(parsed<Insert>("INSERT INTO public.t SELECT * FROM public.u").select,
            "SELECT * FROM        u");
  EXPECT_EQ(parsed<Delete>("TRUNCATE TABLE millrace.public.t").table, "t");
  EXPECT_EQ(parsed<Describe>("DESCRIBE public").name, "public") << "a name like any other";
  EXPECT_EQ(refused("DROP VIEW other.v").id, kSyntax);
  EXPECT_EQ(refused("DROP VIEW public.").id, kSyntax);
}

TEST(ShortStatements, AreRecognised) {
  EXPECT_EQ(parsed<Drop>("drop stream if exists a").kind, ObjectKind::kStream);
  EXPECT_TRUE(parsed<Drop>("drop stream if exists a").if_exists);
  EXPECT_EQ(parsed<Drop>("DROP MATERIALIZED VIEW a").kind, ObjectKind::kMaterializedView);
  EXPECT_EQ(parsed<Drop>("DROP VIEW \"Aa\"").name, "Aa");
  EXPECT_EQ(parsed<Show>("SHOW STREAMS").kind, ObjectKind::kStream);
  EXPECT_EQ(parsed<Show>("show views;").kind, ObjectKind::kView);
  EXPECT_EQ(parsed<Describe>("DESC flights").name, "flights");
  EXPECT_EQ(parsed<Describe>("DESCRIBE flights__quarantine;;").name, "flights__quarantine");
}

TEST(SelectStatement, IsLeftToDuckDb) {
  for (const std::string_view text :
       {"SELECT 1", "WITH a AS (SELECT 1) FROM a", "FROM a", "VALUES (1)", "TABLE a", "(SELECT 1)",
        "select $$a;b$$", "select E'it\\'s;'", "select \"a;\"\"b\""}) {
    EXPECT_EQ(parsed<Select>(text).text, text);
  }
}

TEST(Script, IsSplitOutsideOfQuotesAndComments) {
  const std::string_view script =
      "CREATE STREAM a (b INT);\n\n;; -- c; d\n  SELECT 'x;y', $q$;$q$ /* ; /* ; */ */;\nSHOW "
      "VIEWS";
  const auto parts = split_script(script);
  ASSERT_TRUE(parts) << parts.error().text();
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[0].text, "CREATE STREAM a (b INT)");
  EXPECT_EQ((*parts)[1].text, "SELECT 'x;y', $q$;$q$");
  EXPECT_EQ((*parts)[1].place, (TextPlace{4, 3}));
  EXPECT_EQ((*parts)[2].text, "SHOW VIEWS");
  EXPECT_EQ((*parts)[2].place, (TextPlace{5, 1}));
  EXPECT_TRUE(split_script(" -- nothing")->empty());
  EXPECT_EQ(split_script("SELECT 1;\n 'a").error().place, (TextPlace{2, 2}));
}

TEST(Statement, TakesTwentyThousandBrackets) {
  const std::string brackets(20'000, '(');
  EXPECT_TRUE(parse_statement("SELECT " + brackets));
  EXPECT_TRUE(parse_statement(brackets));
  EXPECT_FALSE(parse_statement("CREATE STREAM a " + brackets));
  EXPECT_FALSE(parse_statement("CREATE STREAM a (b " + brackets));
  std::string comments;
  for (int i = 0; i < 20'000; ++i) comments += "/*";
  EXPECT_FALSE(parse_statement("SELECT " + comments));
}

RC_GTEST_PROP(Statement, NeverCrashes, ()) {
  static const std::vector<std::string> kPieces = {"CREATE ", "STREAM ", "VIEW ", "MATERIALIZED ",
                                                   "AS ",     "SELECT ", "WITH ", "(",
                                                   ")",       ",",       ";",     "'",
                                                   "\"",      "$$",      "$a$",   "--",
                                                   "\n",      "/*",      "*/",    "E'",
                                                   "\\",      "INT ",    "time",  "=",
                                                   "key",     "a ",      "1e+",   "IF ",
                                                   "NOT ",    "EXISTS",  "DROP ", "SHOW",
                                                   "\xff",    "ü",       "DESC ", "."};
  const auto picks = *rc::gen::container<std::vector<std::size_t>>(
      rc::gen::inRange<std::size_t>(0, kPieces.size()));
  std::string text = *rc::gen::element<std::string>("", "CREATE STREAM a (", "CREATE VIEW ");
  for (const std::size_t pick : picks) text += kPieces[pick];
  const auto statement = parse_statement(text);
  const auto parts = split_script(text);
  if (statement) {
    RC_ASSERT(parts.has_value());
    RC_ASSERT(parts->size() == 1u);
  } else {
    RC_ASSERT(statement.error().place.line >= 1u);
    RC_ASSERT(statement.error().place.column >= 1u);
    RC_ASSERT(!statement.error().message.empty());
  }
}

}  // namespace
}  // namespace millrace::sql
