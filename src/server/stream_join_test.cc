// Views that join two streams: each pair is counted once, whichever of its events comes first, is
// in the lake, before the cut, or late; through batch runs, restarts, replacement and change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/node_fixture_test.h"
#include "server/random_events_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class StreamJoin : public NodeTest {};

std::string random_join(std::mt19937_64& random) {
  static constexpr const char* kFrom[] = {"a AS l JOIN b AS r", "b AS l JOIN a AS r",
                                          "a AS l JOIN a AS r"};
  static constexpr const char* kKeys[] = {"l.k", "r.n % 3", "l.ts::DATE", "r.k"};
  static constexpr const char* kAggregates[] = {"count(*)",
                                                "sum(l.n)",
                                                "sum(r.d)",
                                                "max(epoch_us(r.ts) - epoch_us(l.ts))",
                                                "min(l.n + r.n)",
                                                "avg(r.n)",
                                                "count(DISTINCT r.n)",
                                                "median(l.n)",
                                                "bit_xor(l.n - r.n)"};
  const std::string month =
      "r.ts BETWEEN date_trunc('day', l.ts) AND l.ts + INTERVAL 1 MONTH - INTERVAL 4 WEEKS";
  const std::string times[] = {"r.ts BETWEEN l.ts - INTERVAL 3 HOURS AND l.ts + INTERVAL 1 HOUR",
                               "l.ts BETWEEN r.ts AND r.ts + INTERVAL 6 HOURS",
                               "r.ts >= l.ts AND r.ts < l.ts + INTERVAL 1 DAY", month};
  static constexpr const char* kFilters[] = {"", "", " WHERE l.n > 0 AND r.n IS NOT NULL",
                                             " WHERE l.d < r.d", " AND r.k <> '3'"};
  std::string out = "SELECT ";
  std::string groups;
  for (std::size_t i = random() % 3; i > 0; --i) {
    const auto* key = kKeys[random() % std::size(kKeys)];
    if (groups.find(key) != std::string::npos) continue;
    out += fmt::format("{} AS g{}, ", key, i);
    groups += fmt::format("{}{}", groups.empty() ? "" : ", ", key);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    out += fmt::format("{}{} AS x{}", i == 0 ? "" : ", ",
                       kAggregates[random() % std::size(kAggregates)], i);
  }
  out += fmt::format(" FROM {} ON {} AND {}{}", kFrom[random() % std::size(kFrom)],
                     random() % 2 == 0 ? "l.k = r.k" : "lower(l.k) = r.k AND l.n % 2 = r.n % 2",
                     times[random() % std::size(times)], kFilters[random() % std::size(kFilters)]);
  if (!groups.empty()) out += " GROUP BY " + groups;
  return out;
}

// Promise 3 for pairs.
TEST_F(StreamJoin, AnswersLikePlainSqlAtEveryCutAndThroughRestarts) {
  auto random = seeded_random();
  open();
  const std::vector<std::string> streams = {"a", "b"};
  sql("CREATE STREAM a (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE) WITH (time = ts, key = k, "
      "partitions = 3)");
  sql("CREATE STREAM b (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE) WITH (time = ts)");
  std::vector<std::string> selects;
  const auto add_view = [&] {
    selects.push_back(random_join(random));
    std::printf("v%zu: %s\n", selects.size(), selects.back().c_str());
    sql(fmt::format("CREATE MATERIALIZED VIEW v{} AS {}", selects.size(), selects.back()));
  };
  const auto check = [&](const std::string& when) {
    for (std::size_t i = 0; i < selects.size(); ++i) {
      const std::string name = fmt::format("v{}", i + 1);
      EXPECT_EQ(sorted_rows("SELECT * FROM " + name), sorted_rows(selects[i]))
          << name << " " << when;
    }
  };
  for (int i = 0; i < 3; ++i) add_view();
  for (int step = 0; step < 20; ++step) {
    post(streams[random() % 2], random_lines(random, 1 + random() % 60));
    switch (random() % 7) {
      case 0:
        EXPECT_EQ(run_batch().drift_rows, 0U);
        break;
      case 1:
        EXPECT_EQ(run_batch(true).drift_rows, 0U);
        break;
      case 2:
        open();
        break;
      case 3:
        commit_to_lake(streams[random() % 2]);
        break;
      case 4:
        if (selects.size() < 6) {
          add_view();
          post(streams[random() % 2], random_lines(random, 20));
          run_batch();
        }
        break;
      default:
        break;
    }
    if (step % 4 == 3) check(fmt::format("after step {}", step));
  }
  open();
  check("after the last restart");
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  check("after the last full run");
}

TEST_F(StreamJoin, LeavesOutTheRowsAndPairsThatCannotBeEvaluated) {
  open();
  sql("CREATE STREAM a (ts TIMESTAMP, k VARCHAR, v VARCHAR) WITH (time = ts)");
  sql("CREATE STREAM b (ts TIMESTAMP, k BIGINT, w VARCHAR) WITH (time = ts)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT b.k, sum((a.v || b.w)::BIGINT) AS s, count(*) AS n "
      "FROM a JOIN b ON a.k::BIGINT = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 1 HOUR GROUP "
      "BY b.k");
  const auto line = [](const char* hour, const char* k, const char* name, const char* value) {
    return fmt::format("{{\"ts\":\"2001-01-01T{}:00:00Z\",\"k\":\"{}\",\"{}\":\"{}\"}}\n", hour, k,
                       name, value);
  };
  post("a", line("01", "1", "v", "1") + line("01", "bad", "v", "1") + line("02", "2", "v", ""));
  post("b", line("01", "1", "w", "2") + line("02", "1", "w", "3") + line("02", "1", "w", "x") +
                line("02", "2", "w", "7") + line("04", "2", "w", "9"));
  EXPECT_EQ(sorted_rows("SELECT k, s, n FROM v"), "1|25|2|\n2|7|1|\n");
  EXPECT_EQ(view()->coverage().skipped_rows, 2U) << "one event, and one pair";
  for (const bool full : {false, true}) {
    EXPECT_EQ(run_batch(full).drift_rows, 0U);
    EXPECT_EQ(sorted_rows("SELECT k, s, n FROM v"), "1|25|2|\n2|7|1|\n");
    EXPECT_EQ(view()->coverage().skipped_rows, 2U);
  }
  // A late event finds what the lake has.
  open();
  post("a", line("01", "2", "v", "5"));
  EXPECT_EQ(sorted_rows("SELECT k, s, n FROM v"), "1|25|2|\n2|64|2|\n");
  EXPECT_EQ(run_batch().drift_rows, 0U);
  EXPECT_EQ(sorted_rows("SELECT k, s, n FROM v"), "1|25|2|\n2|64|2|\n");
  EXPECT_EQ(view()->coverage().skipped_rows, 2U);
  // The event is in the quarantine once.
  EXPECT_EQ(sorted_rows("SELECT count(*) AS c FROM a__quarantine"), "1|\n");
}

TEST_F(StreamJoin, GoesOnWhenAStreamOfItIsAlteredOrItIsReplaced) {
  open();
  sql("CREATE STREAM a (ts TIMESTAMP, old INTEGER, k VARCHAR, n BIGINT) WITH (time = ts)");
  sql("CREATE STREAM b (ts TIMESTAMP, k VARCHAR, m BIGINT) WITH (time = ts)");
  const std::string pairs =
      "SELECT a.k, count(*) AS c, sum(n * m) AS s FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts "
      "- INTERVAL 1 DAY AND a.ts + INTERVAL 1 DAY GROUP BY a.k";
  sql("CREATE MATERIALIZED VIEW v AS " + pairs);
  const auto line = [](const char* day, const char* more) {
    return fmt::format("{{\"ts\":\"2001-01-{}T00:00:00Z\",\"k\":\"x\",{}}}\n", day, more);
  };
  const auto check = [&](std::string_view when) {
    EXPECT_EQ(sorted_rows("SELECT * FROM v"), sorted_rows(pairs)) << when;
  };
  post("a", line("01", "\"old\":1,\"n\":2"));
  post("b", line("02", "\"m\":3"));
  sql("ALTER STREAM a ADD COLUMN fresh VARCHAR DEFAULT 'f'");
  post("b", line("01", "\"m\":5"));
  check("after ADD");
  sql("ALTER STREAM a DROP COLUMN old");
  post("a", line("02", "\"n\":7,\"fresh\":\"g\""));
  check("after DROP");
  EXPECT_THAT(refused("ALTER STREAM a DROP n").text(), HasSubstr("used by v"));
  open();
  check("after a restart");
  post("b", line("03", "\"m\":11"));
  check("with a late one");
  EXPECT_EQ(run_batch().drift_rows, 0U);
  check("after a run");
  sql("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT a.fresh, count(*) AS c FROM a JOIN b ON a.k "
      "= b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 2 DAYS GROUP BY a.fresh");
  run_batch();
  post("a", line("01", "\"n\":1"));
  EXPECT_EQ(sorted_rows("SELECT * FROM v"), "f|6|\ng|2|\n");
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  EXPECT_EQ(sorted_rows("SELECT * FROM v"), "f|6|\ng|2|\n");
  EXPECT_THAT(refused("SELECT * FROM v AS OF TIMESTAMP '2100-01-01'").text(), HasSubstr("joins"));
}

TEST_F(StreamJoin, CountsARepeatedEventAndOneFromTheQuarantineOnce) {
  open();
  sql("CREATE STREAM a (ts TIMESTAMP, id BIGINT, k BIGINT) WITH (time = ts, dedup = id)");
  sql("CREATE STREAM b (ts TIMESTAMP, k BIGINT) WITH (time = ts)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c FROM a JOIN b ON a.k = b.k AND b.ts "
      "BETWEEN a.ts AND a.ts + INTERVAL 1 DAY");
  post("b", "{\"ts\":\"2001-01-01T00:00:00Z\",\"k\":1}\n");
  for (int i = 0; i < 3; ++i) post("a", "{\"ts\":\"2001-01-01T00:00:00Z\",\"id\":1,\"k\":1}\n");
  EXPECT_EQ(sorted_rows("SELECT * FROM v"), "1|\n");
  post("b", "{\"ts\":\"2001-01-01T00:00:00Z\",\"k\":\"one\"}\n");
  EXPECT_EQ(run_batch().drift_rows, 0U);
  EXPECT_EQ(sorted_rows("SELECT * FROM v"), "1|\n");
}

}  // namespace
}  // namespace millrace::server
