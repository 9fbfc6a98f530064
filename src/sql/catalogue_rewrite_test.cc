// What SELECTs about PostgreSQL's catalogue become.
#include "sql/catalogue_rewrite.h"

#include <gtest/gtest.h>

#include "sql/allow_list.h"
#include "sql/catalogue_functions.h"
#include "sql/syntax.h"

namespace millrace::sql {
namespace {

struct Rewritten {
  std::string text;
  CatalogueUse use;
};

Rewritten rewritten(std::string_view select, bool names = false) {
  auto tree = parse_select(without_postgres_spelling(select));
  EXPECT_TRUE(tree) << select << ": " << (tree ? "" : tree.error().message);
  if (!tree) return {};
  auto use = rewrite_catalogue(*tree, names);
  EXPECT_TRUE(use) << select << (use ? "" : use.error().message);
  auto text = select_text(*tree);
  EXPECT_TRUE(text) << select;
  return {text ? *text : std::string(), use ? *use : CatalogueUse()};
}

TEST(CatalogueRewrite, RelationsOfTheCatalogueGetNamesOfOneWord) {
  EXPECT_EQ(rewritten("SELECT c.oid FROM pg_catalog.pg_class c").text,
            R"(SELECT c.oid FROM "pg_catalog.pg_class" AS c)");
  EXPECT_EQ(rewritten("SELECT table_name FROM Information_Schema.Tables").text,
            R"(SELECT table_name FROM "information_schema.tables" AS "Tables")");
  EXPECT_EQ(rewritten("SELECT public.a.b FROM millrace.public.a").text,
            R"(SELECT a.b FROM "public.a" AS a)");
}

TEST(CatalogueRewrite, ListsOfOidsAreOfTheTypeThatTheWireCallsSo) {
  const auto text = rewritten(
                        "SELECT array_agg(a.atttypid) AS l, i.indkey FROM pg_attribute a, "
                        "pg_index i WHERE a.attrelid = ANY($1::oid[])")
                        .text;
  EXPECT_NE(text.find("CAST(array_agg(a.atttypid) AS UINTEGER[]) AS l"), std::string::npos) << text;
  EXPECT_NE(text.find("CAST($1 AS UINTEGER[])"), std::string::npos) << text;
  EXPECT_NE(text.find("array_to_string(i.indkey, ' ') AS indkey"), std::string::npos) << text;
}

TEST(CatalogueRewrite, OtherSchemasStayForTheCheckToRefuse) {
  for (const auto* select : {"SELECT * FROM main.a", "SELECT * FROM system.pg_catalog.pg_class",
                             "SELECT * FROM temp.a", "SELECT system.main.version()"}) {
    const auto before = select_text(*parse_select(select));
    EXPECT_EQ(rewritten(select).text, *before);
  }
}

TEST(CatalogueRewrite, ASelectWithoutAnythingOfPostgresStaysAsItIs) {
  for (const auto* select :
       {"SELECT a, count(*) FROM t WHERE (a ~ 'x') GROUP BY a", "SELECT 7 / 2, b FROM t"}) {
    const auto before = select_text(*parse_select(select));
    const auto after = rewritten(select);
    EXPECT_EQ(after.text, *before);
    EXPECT_FALSE(after.use.postgres);
    EXPECT_TRUE(after.use.macros.empty());
  }
}

TEST(CatalogueRewrite, OperatorsMeanWhatTheyMeanInPostgres) {
  EXPECT_EQ(rewritten("SELECT 1 FROM pg_class WHERE relname OPERATOR(pg_catalog.~) 'a' COLLATE "
                      "pg_catalog.default")
                .text,
            R"(SELECT 1 AS "?column?" FROM pg_class WHERE regexp_matches(relname, 'a'))");
  EXPECT_EQ(rewritten("SELECT 1 FROM pg_class WHERE relname ~* 'a' AND relname !~* 'b'").text,
            R"(SELECT 1 AS "?column?" FROM pg_class WHERE (regexp_matches(relname, 'a', 'i') AND )"
            R"((NOT regexp_matches(relname, 'b', 'i'))))");
  EXPECT_EQ(rewritten("SELECT oid::int / 100 AS x FROM pg_class").text,
            "SELECT (CAST(oid AS INTEGER) // 100) AS x FROM pg_class");
}

TEST(CatalogueRewrite, CastsToNamesOfThingsBecomeCalls) {
  EXPECT_EQ(
      rewritten("SELECT 'flights'::regclass::oid AS a, c.oid::pg_catalog.regclass::text AS b, "
                "23::regtype AS c FROM pg_class c")
          .text,
      R"(SELECT CAST("pg_catalog.mr_regclass_oid"('flights') AS BIGINT) AS a, )"
      R"(CAST("pg_catalog.mr_regclass_name"(c.oid) AS VARCHAR) AS b, )"
      R"("pg_catalog.mr_regtype_name"(23) AS c FROM pg_class AS c)");
}

TEST(CatalogueRewrite, ColumnsAreCalledAsInPostgres) {
  const auto text = rewritten(
      "SELECT count(*), version(), 1 + 1, 'a'::text, oid::regclass, (SELECT relname FROM "
      "pg_class), "
      "CASE WHEN true THEN 1 END FROM pg_class");
  for (const auto* name : {"AS count,", "AS \"version\",", "AS \"?column?\",", "AS \"text\",",
                           "AS oid,", "AS relname,", "AS \"case\""}) {
    std::string quoted = name;
    std::string plain = quoted;
    std::erase(plain, '"');
    EXPECT_TRUE(text.text.contains(quoted) || text.text.contains(plain)) << name << text.text;
  }
  EXPECT_EQ(rewritten("SELECT count(*) FROM t", /*names=*/true).text,
            "SELECT count_star() AS count FROM t");
}

TEST(CatalogueRewrite, OnceMoreItChangesNothingMore) {
  const std::string_view select =
      "SELECT format_type(a.atttypid, NULL), 7::int / 2, current_user, 'x'::regclass FROM "
      "pg_catalog.pg_attribute a WHERE a.attname !~* 'b' AND 1 = ANY('{1,2}'::int2[])";
  auto tree = parse_select(without_postgres_spelling(select));
  ASSERT_TRUE(tree);
  const auto first = rewrite_catalogue(*tree);
  ASSERT_TRUE(first);
  const auto text = select_text(*tree);
  const auto second = rewrite_catalogue(*tree);
  ASSERT_TRUE(second);
  EXPECT_EQ(*select_text(*tree), *text);
  EXPECT_EQ(second->macros, first->macros);
}

TEST(CatalogueRewrite, TheResultPassesTheCheckAndNothingElseDoes) {
  const auto resolve = [](std::string_view name) {
    return name.starts_with("pg_catalog.") ? std::string(name) : std::string();
  };
  const auto allowed = [&](std::string_view select) {
    auto tree = parse_select(without_postgres_spelling(select));
    return tree && rewrite_catalogue(*tree) && check_select(*tree, Use::kAdHoc, resolve);
  };
  EXPECT_TRUE(allowed("SELECT pg_get_userbyid(relowner) FROM pg_catalog.pg_class"));
  EXPECT_TRUE(allowed("SELECT pg_catalog.lower('X')"));
  EXPECT_FALSE(allowed("SELECT pg_catalog.read_text('/etc/passwd')"));
  EXPECT_FALSE(allowed("SELECT * FROM pg_catalog.read_text('/etc/passwd')"));
  EXPECT_FALSE(allowed("SELECT * FROM pg_catalog.duckdb_settings()"));
  EXPECT_FALSE(allowed("SELECT * FROM system.information_schema.tables"));
  EXPECT_FALSE(allowed("SELECT main.version()"));
  EXPECT_FALSE(allowed("SELECT getenv('HOME') FROM pg_catalog.pg_class"));
  const auto in_view = parse_select("SELECT version() AS v, count(*) AS n FROM a GROUP BY v");
  ASSERT_TRUE(in_view);
  EXPECT_FALSE(check_select(*in_view, Use::kView, [](auto) { return std::string("a"); }));
}

TEST(CatalogueFunctions, EachIsKnownByItsNameAndNeedsWhatIsThere) {
  for (const auto name : catalogue_function_names()) {
    const auto* function = find_catalogue_function(name);
    ASSERT_NE(function, nullptr) << name;
    EXPECT_TRUE(is_catalogue_function("pg_catalog." + std::string(name))) << name;
    EXPECT_FALSE(is_catalogue_function(name)) << name;
    for (std::string_view rest = function->text; rest.contains('#');) {
      rest.remove_prefix(rest.find('#') + 1);
      const auto called = rest.substr(0, rest.find('('));
      EXPECT_TRUE(function->needs.contains(std::string(called) + "()"))
          << name << " calls " << called;
    }
  }
}

}  // namespace
}  // namespace millrace::sql
