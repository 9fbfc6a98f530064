#include "sql/syntax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

namespace millrace::sql {
namespace {

std::string again(std::string_view sql) {
  auto tree = parse_select(sql);
  if (!tree) return tree.error().text();
  auto text = select_text(*tree);
  return text ? *text : text.error().text();
}

TEST(Syntax, GivesTheTreeOfASelectAndItsTextBack) {
  auto tree =
      parse_select("SELECT origin, count(*) AS n FROM flights WHERE distance > 100 GROUP BY 1");
  ASSERT_TRUE(tree) << tree.error().text();
  EXPECT_EQ(tree->at("node").at("type").as_string(), "SELECT_NODE");
  EXPECT_EQ(tree->at("node").at("from_table").at("table_name").as_string(), "flights");
  EXPECT_EQ(again("select a::INT as b from t as q where a > 1.50 -- end"),
            "SELECT CAST(a AS INTEGER) AS b FROM t AS q WHERE (a > 1.50)");
  EXPECT_EQ(again("SELECT 1;"), "SELECT 1");
}

TEST(Syntax, TextMadeOfATreeHasThatTreeAgain) {
  for (const char* sql :
       {"SELECT date_trunc('hour', date) AS hour, avg(delay) FILTER (WHERE ok) FROM f GROUP BY "
        "hour",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END, a IN (1, 2), a BETWEEN 1 AND 2, NOT a, a IS NULL",
        "SELECT \"A \"\" b\", 'it''s', x'ab', INTERVAL 1 DAY, DATE '2001-01-01'",
        "WITH c AS (SELECT 1 AS x) SELECT * FROM c JOIN d USING (x) ORDER BY x DESC LIMIT 3",
        "SELECT x -> '$.a', y ->> 'b', a || b, a ^ 2, a::DECIMAL(9, 2) FROM t",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT count(DISTINCT a), sum(b) OVER (PARTITION BY c) FROM t",
        "SELECT 170141183460469231731687303715884105727, 18446744073709551615, -1, 0.5",
        "SELECT a FROM t QUALIFY row_number() OVER () = 1", "SELECT [x + 1 FOR x IN l] FROM t"}) {
    const std::string once = again(sql);
    EXPECT_EQ(again(once), once) << sql;
    EXPECT_EQ(once.find("error["), std::string::npos) << once;
  }
}

TEST(Syntax, KeepsTheBitsOfDoubles) {
  for (const char* number : {"1e300", "5e-324", "0.1e0", "1.7976931348623157e308",
                             "2.2250738585072011e-308", "123456789.123456789e0"}) {
    const std::string text = again(std::string("SELECT ") + number);
    ASSERT_TRUE(text.starts_with("SELECT ")) << text;
    EXPECT_EQ(std::strtod(text.c_str() + 7, nullptr), std::strtod(number, nullptr)) << text;
  }
}

TEST(Syntax, GivesTheTextOfAnExpression) {
  auto tree = parse_select("SELECT a + 1 AS b, sum(x) FILTER (WHERE y) FROM t");
  ASSERT_TRUE(tree);
  const auto& items = tree->at("node").at("select_list").as_array();
  auto text = expression_text(items[0]);
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, "(a + 1) AS b");
  EXPECT_EQ(expression_text(items[1]).value(), "sum(x) FILTER (WHERE y)");
  EXPECT_FALSE(expression_text(boost::json::value("no expression")));
}

TEST(Syntax, NamesThePlaceOfAnError) {
  struct Case {
    std::string sql;
    TextPlace place;
    std::string_view id;
  };
  for (const auto& [sql, place, id] :
       std::vector<Case>{{"SELEC 1", {1, 1}, error_id::kSyntax},
                         {"SELECT a,\n  b FROM\n", {3, 1}, error_id::kSyntax},
                         {"SELECT a\nFROM t WHERE )", {2, 14}, error_id::kSyntax},
                         {"SELECT 'äöü', )", {1, 15}, error_id::kSyntax},
                         {"SELECT 'open", {1, 8}, error_id::kSyntax},
                         {"", {}, error_id::kSyntax},
                         {" -- nothing", {}, error_id::kSyntax},
                         {"SELECT 1; SELECT 2", {}, error_id::kSyntax},
                         {std::string("SELECT 1\0", 9), {}, error_id::kSyntax},
                         {"CREATE TABLE t(a INT)", {}, error_id::kUnsupportedStatement},
                         {"INSERT INTO t VALUES (1)", {}, error_id::kUnsupportedStatement},
                         {"COPY t TO 'x'", {}, error_id::kUnsupportedStatement},
                         {"PRAGMA version", {}, error_id::kUnsupportedStatement}}) {
    auto tree = parse_select(sql);
    ASSERT_FALSE(tree) << sql;
    EXPECT_EQ(tree.error().code, ErrorCode::kInvalidArgument) << sql;
    EXPECT_EQ(tree.error().id, id) << sql << tree.error().text();
    EXPECT_EQ(tree.error().place, place) << sql << ": " << tree.error().text();
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Syntax, SurvivesTextThatIsDeepOrLong) {
  EXPECT_TRUE(parse_select("SELECT " + repeated("(", 300) + "1" + repeated(")", 300)));
  EXPECT_TRUE(parse_select("SELECT " + repeated("abs(", 300) + "1" + repeated(")", 300)));
  for (const std::size_t times : {2000U, 40'000U}) {
    EXPECT_FALSE(parse_select("SELECT " + repeated("abs(", times) + "1" + repeated(")", times)));
    EXPECT_FALSE(parse_select("SELECT " + repeated("CASE WHEN a THEN ", times) + "1" +
                              repeated(" END", times)));
    EXPECT_FALSE(
        parse_select(repeated("SELECT * FROM (", times) + "SELECT 1" + repeated(")", times)));
    // These may be taken or not; the tree must have an end in either case.
    (void)parse_select("SELECT 1" + repeated(" + 1", times));
    (void)parse_select("SELECT 1" + repeated(" UNION ALL SELECT 1", times));
    (void)parse_select("SELECT " + repeated("NOT ", times) + "true");
    (void)parse_select("SELECT a" + repeated("::INT", times));
    (void)parse_select("SELECT " + repeated("[", times) + repeated("]", times));
    (void)parse_select("SELECT a" + repeated(".a", times));
    (void)parse_select("SELECT a" + repeated("[1]", times));
    (void)parse_select("SELECT * FROM t" + repeated(" JOIN t USING (a)", times));
  }
  EXPECT_FALSE(parse_select("SELECT 1" + repeated(",1", 600'000)));
  EXPECT_FALSE(parse_select("SELECT 1" + repeated(",1", 500'000)));
}

TEST(Syntax, ParsesOnManyThreads) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([i] {
      for (int n = 0; n < 50; ++n)
        EXPECT_EQ(again(fmt::format("SELECT {} AS c{}", n, i)),
                  fmt::format("SELECT {} AS c{}", n, i));
    });
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace millrace::sql
