// What a SELECT wants of views and streams is read and no more, and its answer stays the same: each
// statement is compared with itself over all rows, which a LIMIT that takes nothing away makes it
// read.
#include <algorithm>
#include <random>

#include "server/node_fixture_test.h"
#include "server/random_events_test.h"
#include "serving/sql_session.h"
#include "serving/view_lookup.h"
#include "serving/view_scan.h"

namespace millrace::server {
namespace {

class PushdownTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
  }
  std::string explain(const std::string& select) {
    serving::SqlSession session(node_->statements(), access::Principal::owner());
    const auto result = session.run("EXPLAIN " + select);
    EXPECT_TRUE(result) << select << ": " << result.error().text();
    std::string out;
    if (!result) return out;
    for (const auto& batch : result->batches) {
      const auto views = batch->views();
      for (std::size_t row = 0; row < batch->rows(); ++row)
        out += value_text(views[0], row).value_or("") + "\n";
    }
    return out;
  }
  void expect_explained(const std::string& select, const std::string& part) {
    const auto text = explain(select);
    EXPECT_NE(text.find(part), std::string::npos) << select << "\n" << text;
  }
  static std::string whole(const std::string& view) {
    return "(SELECT * FROM " + view + " LIMIT 1000000000)";
  }
  /// `statement` has @ where the relation stands.
  static std::string with(std::string statement, const std::string& relation) {
    for (std::size_t at = 0; (at = statement.find('@', at)) != std::string::npos;
         at += relation.size())
      statement.replace(at, 1, relation);
    return statement;
  }
  std::string look_up_in(const char* name, std::string_view body) {
    const auto state = view(name);
    const auto keys = serving::parse_lookup(state->compiled(), name, body);
    if (!keys) return keys.error().text();
    const auto found = serving::look_up(*state, *keys);
    if (!found) return found.error().text();
    return text_of(*serving::marked_rows(state->compiled(), *keys, *found));
  }
  void expect_same(const std::string& statement, const std::string& view) {
    const auto pushed = with(statement, view);
    const auto read_whole = with(statement, whole(view));
    EXPECT_EQ(rows(pushed), rows(read_whole)) << pushed << "\n" << explain(pushed);
  }
  /// Views over events of which some are in a generation, some in the lake and some in the tail.
  void fill(std::mt19937_64& random, std::size_t count) {
    sql("CREATE STREAM e (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE) WITH (time = ts)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, n % 5 AS m, ts, count(*) AS c, sum(n) AS total, "
        "max(d) AS high FROM e GROUP BY k, n % 5, ts");
    sql("CREATE MATERIALIZED VIEW h AS SELECT n, count(*) AS c, avg(d) AS mean FROM e GROUP BY n "
        "HAVING count(*) > 2");
    sql("CREATE MATERIALIZED VIEW x AS SELECT ts::DATE AS day, d, count(*) AS c FROM e GROUP BY "
        "day, "
        "d");
    sql("CREATE MATERIALIZED VIEW g AS SELECT count(*) AS c, sum(n) AS total FROM e");
    post("e", random_lines(random, count));
    commit_to_lake("e");
    run_batch();
    post("e", random_lines(random, count / 2));
    commit_to_lake("e");
    post("e", random_lines(random, count / 2));
  }
};

/// Conditions, orders and items over the columns of a view, at random.
class Selects {
 public:
  struct Column {
    std::string name;
    std::vector<std::string> values;
  };
  Selects(std::mt19937_64& random, std::vector<Column> columns)
      : random_(random), columns_(std::move(columns)) {}

  std::string where() {
    const std::size_t count = random_() % 4;
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? " WHERE " : " AND ") + condition();
    return out;
  }
  /// All columns stand in it, so that there is one right order.
  std::string order() {
    auto columns = columns_;
    std::ranges::shuffle(columns, random_);
    std::string out;
    for (const auto& column : columns) {
      static constexpr const char* kWays[] = {"",      " ASC",         " DESC",
                                              " DESC", " NULLS FIRST", " DESC NULLS FIRST"};
      out += (out.empty() ? " ORDER BY " : ", ") + column.name + kWays[random_() % 6];
    }
    if (random_() % 2 == 0) out += fmt::format(" LIMIT {}", random_() % 12);
    if (random_() % 6 == 0 && out.find("LIMIT") != std::string::npos)
      out += fmt::format(" OFFSET {}", random_() % 5);
    return out;
  }
  std::string order_of_keys(std::size_t keys) {
    std::string out;
    const char* way = random_() % 2 == 0 ? "" : " DESC";
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const auto& name = columns_[i].name;
      out += (i == 0 ? " ORDER BY " : ", ") + name + (i < keys ? way : "");
    }
    return out + fmt::format(" LIMIT {}", 1 + random_() % 9);
  }
  std::string items() {
    std::string out;
    for (const auto& column : columns_) {
      if (random_() % 2 == 0) out += (out.empty() ? "" : ", ") + column.name;
    }
    return out.empty() ? "*" : out;
  }

 private:
  std::string condition() {
    const auto& column = columns_[random_() % columns_.size()];
    const auto value = [&] { return column.values[random_() % column.values.size()]; };
    switch (random_() % 12) {
      case 0:
        return fmt::format("{} IN ({}, {})", column.name, value(), value());
      case 1:
        return fmt::format("{} BETWEEN {} AND {}", column.name, value(), value());
      case 2:
        return fmt::format("{} IS NULL", column.name);
      case 3:
        return fmt::format("({} = {} OR {} = {})", column.name, value(), column.name, value());
      case 4:
        return fmt::format("{} <> {}", column.name, value());
      case 5:
        return fmt::format("{} < {}", value(), column.name);
      case 6:
        return fmt::format("NOT ({} >= {})", column.name, value());
      default: {
        static constexpr const char* kOperators[] = {"=", "=", "=", "<", "<=", ">", ">="};
        return fmt::format("{} {} {}", column.name, kOperators[random_() % 7], value());
      }
    }
  }

  std::mt19937_64& random_;
  std::vector<Column> columns_;
};

TEST_F(PushdownTest, AnswersAreThoseOverAllRows) {
  auto random = seeded_random();
  fill(random, 300);
  const std::vector<std::string> numbers = {"-3", "0", "2", "NULL", "4", "1.5", "'3'", "1e0"};
  const std::vector<Selects::Column> v = {
      {"k", {"'0'", "'3'", "'6'", "'zz'", "NULL"}},
      {"m", numbers},
      {"ts",
       {"'2001-01-02T05:00:00'", "TIMESTAMP '2001-01-01 12:00:00'", "DATE '2001-01-02'",
        "'2001-01-03'"}},
      {"c", {"1", "2"}},
      {"total", {"-50", "0", "80"}},
      {"high", {"0.5", "-10", "1e2"}}};
  const std::vector<Selects::Column> h = {
      {"n", numbers}, {"c", {"3", "4"}}, {"mean", {"0", "9.5"}}};
  const std::vector<Selects::Column> x = {
      {"day", {"'2001-01-02'", "DATE '2001-01-03'", "TIMESTAMP '2001-01-02 10:00:00'"}},
      {"d", {"0", "12.5", "-100", "'3.5'", "1e1"}},
      {"c", {"1", "2"}}};
  const std::pair<const char*, const std::vector<Selects::Column>*> views[] = {
      {"v", &v}, {"h", &h}, {"x", &x}};
  for (int i = 0; i < 60; ++i) {
    const auto& [view, columns] = views[random() % 3];
    Selects selects(random, *columns);
    if (i % 3 == 0) {
      expect_same("SELECT * FROM @ AS r" + selects.order_of_keys(random() % 4), view);
    } else {
      expect_same("SELECT " + selects.items() + " FROM @ AS r" + selects.where() + selects.order(),
                  view);
    }
    if (HasFailure()) return;
  }
}

TEST_F(PushdownTest, TheBestByAValueAreFoundWithoutReadingMostGroups) {
  constexpr int kGroups = 8000;
  constexpr int kChanged = 200;
  auto random = seeded_random();
  sql("CREATE STREAM e (k BIGINT, n BIGINT, s VARCHAR)");
  sql("CREATE MATERIALIZED VIEW best AS SELECT k, sum(n) AS total, max(n) AS high, min(s) AS name, "
      "n % 2 AS odd FROM e GROUP BY k, n % 2");
  const auto lines = [&](int count) {
    std::string out;
    for (int i = 0; i < count; ++i) {
      const bool null = random() % 50 == 0;
      const auto number = static_cast<std::int64_t>(random() % 200'000) - 100'000;
      out +=
          fmt::format("{{\"k\":{},\"n\":{},\"s\":\"a text of some length {}\"}}\n",
                      random() % kGroups, null ? "null" : std::to_string(number), random() % 1000);
    }
    return out;
  };
  for (int i = 0; i < 4; ++i) post("e", lines(kGroups / 4));
  commit_to_lake("e");
  run_batch();
  const auto compare = [&] {
    for (const char* statement :
         {"SELECT total FROM @ AS r ORDER BY total DESC LIMIT 10",
          "SELECT high FROM @ AS r ORDER BY high NULLS FIRST LIMIT 700",
          "SELECT k, odd, total FROM @ AS r ORDER BY total, k, odd LIMIT 10 OFFSET 5",
          "SELECT k, odd, high FROM @ AS r ORDER BY high DESC NULLS LAST, k, odd LIMIT 25",
          "SELECT * FROM @ AS r ORDER BY high NULLS FIRST, total DESC, k, odd LIMIT 700",
          "SELECT k, odd, name FROM @ AS r ORDER BY name DESC, k DESC, odd LIMIT 40",
          "SELECT k FROM @ AS r ORDER BY high, odd DESC, k LIMIT 40"})
      expect_same(statement, "best");
  };
  compare();
  compare();  // with the bounds of before
  post("e", lines(kChanged));
  compare();
  const auto state = view("best");
  auto scan = serving::whole_scan(state->compiled());
  scan.order = {{.output = 1, .descending = true, .nulls_first = false}};
  scan.limit = 10;
  const auto found = serving::scan_view(*state, scan);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_LT(found->counts.from_runs + found->counts.from_tables, kGroups / 4U);
  EXPECT_GE(found->counts.from_tables, kChanged / 2U);
}

TEST_F(PushdownTest, ConditionsReachViewsThroughWhateverStandsBetween) {
  auto random = seeded_random();
  fill(random, 200);
  sql("CREATE VIEW p AS SELECT k AS name, m, c + 1 AS more FROM v WHERE c >= 1");
  for (const char* statement : {
           "SELECT count(*) FROM @ AS r WHERE k = '3'",
           "SELECT k, sum(c) FROM @ AS r WHERE k >= '2' AND k < '5' GROUP BY k ORDER BY k",
           "SELECT r.k, h.c FROM @ AS r JOIN h ON r.m = h.n WHERE r.k = '1' ORDER BY ALL",
           "SELECT r.k, h.n FROM h LEFT JOIN @ AS r ON r.m = h.n AND r.k = '1' ORDER BY ALL",
           "SELECT r.k, h.n FROM h LEFT JOIN @ AS r ON r.m = h.n WHERE r.k IS NULL ORDER BY ALL",
           "SELECT r.k, h.n FROM h FULL JOIN @ AS r ON r.m = h.n WHERE r.k = '2' ORDER BY ALL",
           "SELECT k FROM @ AS r WHERE k IN (SELECT k FROM v WHERE k > '3') ORDER BY ALL",
           "SELECT n FROM h WHERE EXISTS (SELECT 1 FROM @ AS r WHERE r.m = h.n AND r.k = '4') "
           "ORDER "
           "BY ALL",
           "WITH a AS (SELECT k, m FROM @ AS r), b AS (SELECT * FROM a WHERE k <= '2') SELECT a.k, "
           "count(*) FROM a JOIN b USING (k) WHERE a.m = 1 GROUP BY a.k ORDER BY ALL",
           "SELECT * FROM (SELECT k AS z, sum(c) AS s FROM @ AS r GROUP BY k) WHERE z = '5'",
           "SELECT * FROM (SELECT m AS k, k AS m FROM @ AS r) WHERE k = 2 ORDER BY ALL",
           "SELECT * FROM (SELECT k, row_number() OVER (ORDER BY k, m, ts) AS i FROM @ AS r) WHERE "
           "k "
           "= '4' ORDER BY ALL",
           "SELECT * FROM (SELECT * FROM @ AS r ORDER BY k, m, ts LIMIT 7) WHERE k = '1' ORDER BY "
           "ALL",
           "SELECT k FROM @ AS r WHERE k = '1' UNION ALL SELECT k FROM @ AS t WHERE k = '2' ORDER "
           "BY "
           "ALL",
           "SELECT DISTINCT k FROM @ AS r WHERE k LIKE '1%' ORDER BY k LIMIT 2",
           "SELECT k FROM @ AS r WHERE starts_with(k, '2') AND m = ANY([1, 2]) ORDER BY ALL",
           "SELECT r FROM @ AS r WHERE k = '6' ORDER BY ALL LIMIT 3",
           "SELECT COLUMNS('k|c') FROM @ AS r WHERE k = '0' ORDER BY ALL",
           "SELECT max(total) FROM @ AS r",
           "SELECT k, unnest([1, 2]) FROM @ AS r ORDER BY ALL LIMIT 3",
           "SELECT count(*) FROM @ AS r LIMIT 1",
           "SELECT -total AS total FROM @ AS r ORDER BY total NULLS FIRST LIMIT 4",
           "SELECT sum(total) OVER () FROM @ AS r ORDER BY k LIMIT 1",
           "SELECT a.k FROM @ AS a ANTI JOIN @ AS b ON a.k = b.k AND b.m = 1 ORDER BY ALL",
           "SELECT a.k FROM @ AS a(k) WHERE a.k = '1' ORDER BY ALL",
       }) {
    expect_same(statement, "v");
  }
  for (const char* where :
       {"name = '3'", "name IN ('1', '2') AND m > 1", "more = 3", "name LIKE '5%'"}) {
    EXPECT_EQ(rows(fmt::format("SELECT * FROM p WHERE {} ORDER BY ALL", where)),
              rows(fmt::format("SELECT * FROM {} WHERE {} ORDER BY ALL", whole("p"), where)));
  }
  expect_same("SELECT * FROM @ AS r WHERE c > 0", "g");
  expect_same("SELECT total FROM @ AS r ORDER BY c LIMIT 1", "g");
  expect_explained("SELECT * FROM p WHERE name = '3'", "keys k = 1 value");
  expect_explained("WITH a AS (SELECT * FROM v) SELECT m FROM a WHERE k = 'x'", "keys k = 1 value");
}

TEST_F(PushdownTest, ExplainSaysWhatIsPushedDown) {
  auto random = seeded_random();
  fill(random, 100);
  expect_explained("SELECT m, c FROM v WHERE k = '3' AND c > 1",
                   "keys k = 1 value; columns k, m, c (3 of 6)");
  expect_explained("SELECT count(*) FROM v WHERE k IN ('1', '2') AND m BETWEEN 1 AND 3",
                   "keys k = 2 values, m in a range; columns k, m (2 of 6)");
  expect_explained("SELECT * FROM v WHERE k LIKE 'a%'", "keys k in a range; all columns");
  expect_explained("SELECT * FROM public.v WHERE k = ANY('{a,b}'::VARCHAR[]) AND c > 1",
                   "keys k = 2 values");
  expect_explained("SELECT * FROM v WHERE m = 3", "all keys");
  expect_explained("SELECT * FROM v WHERE k = '1' OR m = 3", "all keys");
  expect_explained("SELECT * FROM v ORDER BY k, m DESC LIMIT 10",
                   "the first 10 in the order of the keys");
  expect_explained("SELECT * FROM v WHERE k = '1' ORDER BY m DESC LIMIT 5 OFFSET 2",
                   "the first 7 in the order of the keys");
  expect_explained("SELECT k, total FROM v ORDER BY total DESC LIMIT 10",
                   "the first 10 of the wanted order");
  for (const char* all : {"SELECT k, total FROM v WHERE c > 1 ORDER BY total DESC LIMIT 10",
                          "SELECT sum(c) FROM v LIMIT 10", "SELECT DISTINCT k FROM v LIMIT 10"}) {
    EXPECT_EQ(explain(all).find("the first"), std::string::npos) << all;
  }
  expect_explained("SELECT h.c FROM v JOIN h ON v.m = h.n WHERE h.n = 3 AND v.k = '1'",
                   "view h: keys n = 1 value; ");
}

TEST_F(PushdownTest, ReadsByKeyTakeListsWithoutAWorker) {
  sql("CREATE STREAM s (k VARCHAR, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, n, count(*) AS c FROM s GROUP BY k, n");
  std::string lines;
  for (int i = 0; i < 30; ++i)
    lines += fmt::format("{{\"k\":\"{}\",\"n\":{}}}\n", std::string(1, "abc"[i % 3]), i % 7);
  post("s", lines);
  serving::SqlSession session(node_->statements(), access::Principal::owner());
  using Values = std::vector<std::optional<std::string>>;
  using Types = std::vector<std::optional<Type>>;
  const auto answer = [&](const std::string& text, const Values& values,
                          const Types& types) -> std::string {
    const auto prepared = session.prepare(text, types);
    if (!prepared) return prepared.error().text();
    const auto result = session.execute(**prepared, values);
    if (!result) return result.error().text();
    std::vector<std::string> found;
    for (const auto& batch : result->batches) found.push_back(text_of(*batch));
    return fmt::format("{}", fmt::join(found, ""));
  };
  const Type text_type{TypeKind::kVarchar};
  const Type texts = Type::list(text_type);
  const Type numbers = Type::list({TypeKind::kInteger});
  struct Case {
    std::string text;
    Values values = {};
    Types types = {};
  };
  const Case cases[] = {
      {"SELECT * FROM public.v WHERE k = 'a' AND n = 3"},
      {"SELECT c, n FROM v WHERE k IN ('a', 'c', 'z') AND n IN (0, 3, 5)"},
      {"SELECT n FROM public.v AS r WHERE r.k = $1 AND r.n = ANY($2)",
       {"b", "[1, 4, 99, NULL]"},
       {text_type, numbers}},
      {"SELECT n FROM v WHERE k = $1 AND n = ANY($2)", {"b", "[4, 1]"}, {text_type, numbers}},
      {"SELECT n FROM v WHERE k = ANY($1) AND n = 2", {"[]"}, {texts}},
      {"SELECT n FROM v WHERE k = ANY($1) AND n = 2", {std::nullopt}, {texts}},
      {"SELECT k FROM v WHERE k = ANY(ARRAY['c', 'b']) AND n = 2"},
      {"SELECT k FROM v WHERE k = ANY('{c,b}'::VARCHAR[]) AND n = 2"},
  };
  for (const auto& [text, values, types] : cases) {
    expect_explained(text, "by key");
    auto slow = text;
    slow += " AND 1 = 1 ORDER BY k, n";
    EXPECT_EQ(explain(slow).find("by key"), std::string::npos) << slow;
    EXPECT_EQ(answer(text, values, types), answer(slow, values, types)) << text;
  }
  EXPECT_EQ(answer(cases[2].text, {"b", "{1,4,99,NULL}"}, {}), "1|\n4|\n");
  EXPECT_EQ(explain("SELECT n FROM v WHERE k = ANY(SELECT 'a') AND n = 2").find("by key"),
            std::string::npos);
}

TEST_F(PushdownTest, ManyKeysAreLookedUpInTheirOrder) {
  sql("CREATE STREAM s (k VARCHAR, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, n, count(*) AS c FROM s GROUP BY k, n HAVING "
      "count(*) < 3");
  post("s", R"({"k":"a","n":1}
{"k":"b","n":2}
{"k":"b","n":2}
{"k":"c","n":3}
{"k":"c","n":3}
{"k":"c","n":3}
{"n":4}
)");
  const auto found =
      look_up_in("v", R"([["b",2],{"N":1,"k":"a"},["z",1],[null,4],["c",3],["b",2]])");
  EXPECT_EQ(found,
            "true|b|2|2|\ntrue|a|1|1|\nfalse|z|1|NULL|\ntrue|NULL|4|1|\nfalse|c|3|NULL|\n"
            "true|b|2|2|\n");
  EXPECT_EQ(look_up_in("v", "[]"), "");
  for (const char* wrong : {"{}", "[[\"a\"]]", "[{\"k\":\"a\"}]", "[\"a\"]", "[[1, 1]]",
                            "[[\"a\", []]]", "[{\"k\":\"a\",\"m\":1}]", "[[\"a\",\"x\"]]", "["}) {
    EXPECT_NE(look_up_in("v", wrong).find("error[MR"), std::string::npos) << wrong;
  }
}

TEST_F(PushdownTest, AMissingColumnIsToldAsIfAllWereRead) {
  sql("CREATE STREAM s (k VARCHAR, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS trips FROM s GROUP BY k");
  const auto error = refused("SELECT k, tripps FROM v WHERE k = 'a'");
  EXPECT_NE(error.text().find("trips"), std::string::npos) << error.text();
}

TEST_F(PushdownTest, FilesOutsideOfTheConditionsAreNotOpened) {
  sql("CREATE STREAM s (day TIMESTAMP, n BIGINT) WITH (time = day)");
  for (int i = 1; i <= 3; ++i) {
    post("s", fmt::format("{{\"day\":\"2001-01-0{}T10:00:00Z\",\"n\":{}}}\n", i, i));
    commit_to_lake("s");
  }
  post("s", "{\"day\":\"2001-01-01T11:00:00Z\",\"n\":4}\n");
  const std::vector<std::string> conditions = {
      "day = '2001-01-02T10:00:00'",
      "day >= TIMESTAMP '2001-01-03' AND n < 100",
      "day < '2001-01-02'",
      "day BETWEEN DATE '2001-01-02' AND DATE '2001-01-03'",
      "_offset < 2",
      "_offset = 1",
      "_partition = 0 AND _offset BETWEEN 1 AND 2",
      "_partition = 7",
      "_arrival < '2001-01-01T00:00:00Z'",
      "day IS NULL",
      "n = 2"};
  for (const auto& condition : conditions) {
    const auto select = [&](const std::string& relation) {
      return fmt::format("SELECT n, _offset FROM {} WHERE {} ORDER BY ALL", relation, condition);
    };
    EXPECT_EQ(rows(select("s")),
              rows(select("(SELECT *, _offset, _partition, _arrival FROM s LIMIT 1000)")))
        << condition;
  }
  expect_explained("SELECT n FROM s WHERE day = '2001-01-02T10:00:00'",
                   "1 of 3 events in 1 of 3 files of 3 lake commits, 1 events of the log's tail");
  expect_explained("SELECT n FROM s WHERE _offset >= 2", "in 1 of 3 files");
  expect_explained("SELECT n FROM s WHERE _arrival < '2001-01-01T00:00:00Z'", "in 0 of 3 files");
  expect_explained("SELECT n FROM s WHERE n = 2", "in 3 of 3 files");
  // The one that is gone is not missed by who does not need it.
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
    if (entry.path().filename() == "1-0.parquet") files.push_back(entry.path());
  }
  ASSERT_EQ(files.size(), 1U);
  std::filesystem::remove(files.front());
  EXPECT_EQ(rows("SELECT n FROM s WHERE day >= '2001-01-02' ORDER BY n"), "2|\n3|\n");
  EXPECT_EQ(refused("SELECT n FROM s WHERE day <= '2001-01-02'").id, error_id::kChecksum);
}

}  // namespace
}  // namespace millrace::server
