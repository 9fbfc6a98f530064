// Derived streams: their events are there once for each event of their source, whatever happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class DerivedStream : public NodeTest {
 protected:
  void refused(std::string_view statement, std::string_view what) {
    const auto result = node_->statements().run(statement);
    ASSERT_FALSE(result) << statement;
    EXPECT_THAT(result.error().text(), HasSubstr(what)) << statement;
  }
};

constexpr const char* kSource = "CREATE STREAM raw (k VARCHAR, n VARCHAR, ts TIMESTAMP)";
constexpr const char* kDerived =
    "CREATE STREAM clean WITH (time = ts, key = name, partitions = 2) AS SELECT upper(k) AS name, "
    "CAST(n AS BIGINT) AS n, ts, CAST(n AS DOUBLE) / 3 AS third FROM raw WHERE k IS NOT NULL";

TEST_F(DerivedStream, HasOneEventForEachOfItsSourceThroughBatchRunsAndRestarts) {
  open();
  sql(kSource);
  sql(kDerived);
  sql("CREATE MATERIALIZED VIEW totals AS SELECT name, count(*) AS c, sum(n) AS s, sum(third) AS t "
      "FROM clean GROUP BY name");
  std::uint64_t sent = 0;
  const auto send = [&](int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      lines += fmt::format("{{\"k\":\"{}\",\"n\":\"{}\",\"ts\":\"2001-01-01T00:00:{:02}Z\"}}\n",
                           static_cast<char>('a' + sent % 9), sent, sent % 60);
      ++sent;
    }
    post("raw", lines);
  };
  const auto check = [&] {
    EXPECT_EQ(rows("SELECT count(*), sum(n) FROM clean"),
              rows("SELECT count(*), sum(CAST(n AS BIGINT)) FROM raw"));
    EXPECT_EQ(rows("SELECT count(*) FROM clean"), fmt::format("{}|\n", sent));
    EXPECT_EQ(rows("SELECT sum(c), sum(s) FROM totals"),
              rows("SELECT count(*), sum(CAST(n AS BIGINT)) FROM raw"));
    EXPECT_EQ(rows("SELECT name, n, ts, third FROM clean EXCEPT SELECT upper(k), CAST(n AS "
                   "BIGINT), ts, CAST(n AS DOUBLE) / 3 FROM raw"),
              "");
  };
  for (int round = 0; round < 4; ++round) {
    send(50 + round);
    check();
    if (round == 1) run_batch();
    open();
    check();
  }
  EXPECT_EQ(rows("SELECT count(DISTINCT _partition) FROM clean"), "2|\n");
}

std::string event(std::string_view k, std::string_view n) {
  return fmt::format("{{\"k\":\"{}\",\"n\":\"{}\",\"ts\":\"2001-01-01\"}}\n", k, n);
}

TEST_F(DerivedStream, LeavesOutAndIsolatesRowsThatFail) {
  open();
  sql(kSource);
  sql(kDerived);
  post("raw", event("a", "1") + event("a", "x") + "{\"n\":\"y\"}\n" + event("b", "2"));
  EXPECT_EQ(rows("SELECT name, n FROM clean ORDER BY n"), "A|1|\nB|2|\n");
  EXPECT_EQ(rows("SELECT count(*) FROM raw"), "4|\n");
  EXPECT_EQ(rows("SELECT code, endpoint FROM clean__quarantine"), "MR2009|raw|\n");
  EXPECT_THAT(rows("SELECT reason FROM clean__quarantine"), HasSubstr("\"x\""));
  open();
  EXPECT_EQ(rows("SELECT count(*) FROM clean__quarantine"), "1|\n");
}

TEST_F(DerivedStream, IsMadeOfADerivedStream) {
  open();
  sql(kSource);
  sql(kDerived);
  sql("CREATE STREAM pairs AS SELECT name, n * 2 AS m FROM clean WHERE n > 1");
  post("raw", event("a", "1") + event("b", "7"));
  EXPECT_EQ(rows("SELECT name, m FROM pairs ORDER BY m"), "B|14|\n");
  open();
  post("raw", event("c", "9"));
  EXPECT_EQ(rows("SELECT name, m FROM pairs ORDER BY m"), "B|14|\nC|18|\n");
}

TEST_F(DerivedStream, RefusesWhatIsNoTransformationOfOneEvent) {
  open();
  sql(kSource);
  refused("CREATE STREAM d AS SELECT count(*) AS n FROM raw", "aggregates");
  refused("CREATE STREAM d AS SELECT k FROM raw GROUP BY k", "aggregates");
  refused("CREATE STREAM d AS SELECT DISTINCT k FROM raw", "DISTINCT");
  refused("CREATE STREAM d AS SELECT k FROM raw LIMIT 1", "LIMIT");
  refused("CREATE STREAM d AS SELECT _offset AS o FROM raw", "offset");
  refused("CREATE STREAM d AS SELECT [k] AS l FROM raw", "VARCHAR[]");
  refused("CREATE STREAM d AS SELECT a.k FROM raw a JOIN raw b ON a.k = b.k", "it joins streams");
  refused("CREATE STREAM d AS SELECT now() AS t FROM raw", "now");
  refused("CREATE STREAM d AS SELECT k FROM nothing", "nothing");
  refused("CREATE STREAM d WITH (time = k) AS SELECT k FROM raw", "time");
  refused("CREATE STREAM d WITH (dedup = k) AS SELECT k FROM raw", "dedup");
  sql(kDerived);
  refused("DROP STREAM raw", "clean");
  sql("DROP STREAM clean");
  post("raw", "{\"k\":\"a\",\"n\":\"1\"}\n");
  sql("DROP STREAM raw");
}

}  // namespace
}  // namespace millrace::server
