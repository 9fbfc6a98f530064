// Views over several streams: the answer is that of the whole input at every cut, through batch
// runs, restarts and replacement, and it says what it covers of each stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "model/value_text.h"
#include "runtime/clock.h"
#include "server/node_fixture_test.h"
#include "server/random_events_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class SeveralStreams : public NodeTest {
 protected:
  void set_up_two() {
    open();
    sql("CREATE STREAM a (k BIGINT, x BIGINT) WITH (key = k, partitions = 2)");
    sql("CREATE STREAM b (key VARCHAR, y DOUBLE)");
  }
  std::int64_t count(std::string_view name = "v") {
    const auto rows = all_rows(name);
    std::int64_t sum = 0;
    const auto last = rows.rows->views().back();
    for (std::size_t row = 0; row < rows.rows->rows(); ++row) sum += last.as<std::int64_t>()[row];
    return sum;
  }
  static constexpr const char* kBoth =
      "SELECT k, sum(x) AS s, count(*) AS n FROM (SELECT k, x FROM a UNION ALL SELECT key::BIGINT, "
      "y FROM b WHERE y >= 0) GROUP BY k";
};

std::string random_select(std::mt19937_64& random) {
  static constexpr const char* kBranches[] = {
      "SELECT k, n, d, ts FROM a",
      "SELECT k, n, d, ts FROM b",
      "SELECT k, n, d, ts FROM c",
      "SELECT lower(k), n * 2, d / 2, ts FROM a WHERE n > 0",
      "SELECT k, CASE WHEN d > 0 THEN n END, NULL, ts + INTERVAL 1 DAY FROM b WHERE k <> '3'",
      "SELECT 'c', n, n, ts FROM c WHERE d IS NOT NULL"};
  static constexpr const char* kKeys[] = {"k", "ts::DATE", "n % 3", "d > 0"};
  static constexpr const char* kAggregates[] = {
      "count(*)", "count(n)",          "sum(n)",     "sum(d)",
      "min(d)",   "max(ts)",           "max(k)",     "median(n)",
      "avg(n)",   "count(DISTINCT k)", "bit_xor(n)", "list(n ORDER BY n)"};
  std::string out = "SELECT ";
  std::string groups;
  for (std::size_t i = random() % 3; i > 0; --i) {
    const auto* key = kKeys[random() % std::size(kKeys)];
    if (groups.find(key) != std::string::npos) continue;
    out += fmt::format("{} AS g{}, ", key, i);
    groups += fmt::format("{}{}", groups.empty() ? "" : ", ", key);
  }
  for (std::size_t i = 0; i < 3; ++i)
    out += fmt::format("{}{} AS x{}", i == 0 ? "" : ", ",
                       kAggregates[random() % std::size(kAggregates)], i);
  out += " FROM (";
  const std::size_t branches = 2 + random() % 3;
  for (std::size_t i = 0; i < branches; ++i)
    out += fmt::format("{}{}", i == 0 ? "" : " UNION ALL ",
                       kBranches[random() % std::size(kBranches)]);
  out += ") AS r(k, n, d, ts)";
  if (random() % 3 == 0) out += " WHERE n IS NULL OR n < 50";
  if (!groups.empty()) out += " GROUP BY " + groups;
  return out;
}

// Promise 3, over two and three streams, and over one twice.
TEST_F(SeveralStreams, GiveTheAnswerOfPlainSqlOverTheirUnionAtEveryCutAndThroughRestarts) {
  auto random = seeded_random();
  open();
  const std::vector<std::string> streams = {"a", "b", "c"};
  sql("CREATE STREAM a (ts TIMESTAMP, k VARCHAR, n INTEGER, d DOUBLE) WITH (time = ts, key = k, "
      "partitions = 3)");
  sql("CREATE STREAM b (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE) WITH (time = ts)");
  sql("CREATE STREAM c (ts TIMESTAMP, k VARCHAR, n SMALLINT, d DOUBLE) WITH (key = k, partitions = "
      "2)");
  std::vector<std::string> selects;
  const auto add_view = [&] {
    selects.push_back(random_select(random));
    std::printf("v%zu: %s\n", selects.size(), selects.back().c_str());
    sql(fmt::format("CREATE MATERIALIZED VIEW v{} AS {}", selects.size(), selects.back()));
  };
  const auto check = [&](const std::string& when) {
    for (std::size_t i = 0; i < selects.size(); ++i) {
      const std::string name = fmt::format("v{}", i + 1);
      EXPECT_EQ(sorted_rows("SELECT * FROM " + name), sorted_rows(selects[i]))
          << name << " " << when;
      const auto coverage = view(name)->coverage();
      for (std::size_t s = 0; s < coverage.streams.size(); ++s) {
        const auto stream = node_->speed().stream(view(name)->record().streams[s]);
        EXPECT_EQ(coverage.streams[s].delta_end, stream->applied()) << name << " " << when;
      }
    }
  };
  for (int i = 0; i < 3; ++i) add_view();
  for (int step = 0; step < 20; ++step) {
    post(streams[random() % 3], random_lines(random, 1 + random() % 100));
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
        node_->speed().find_stream(streams[random() % 3])->cut_edge();
        break;
      case 4:
        if (selects.size() < 6) {
          add_view();
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

TEST_F(SeveralStreams, AreCoveredEachByItselfInAnAnswer) {
  set_up_two();
  sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kBoth));
  post("a", "{\"k\":1,\"x\":5}\n{\"k\":2,\"x\":6}\n");
  post("b", "{\"key\":\"1\",\"y\":0.5}\n{\"key\":\"bad\",\"y\":1}\n{\"key\":\"3\",\"y\":-1}\n");
  run_batch();
  post("b", "{\"key\":\"2\",\"y\":1}\n{\"nokey\":1}\n");
  const auto result = sql("SELECT * FROM v");
  ASSERT_EQ(result.sources.size(), 1U);
  const auto& source = result.sources.front();
  EXPECT_THAT(source.streams, testing::ElementsAre("a", "b"));
  ASSERT_EQ(source.coverage.streams.size(), 2U);
  EXPECT_EQ(source.coverage.streams[0].cut.events(), 2U);
  EXPECT_EQ(source.coverage.streams[0].delta_end.events(), 2U);
  EXPECT_EQ(source.coverage.streams[1].cut.events(), 3U);
  EXPECT_EQ(source.coverage.streams[1].delta_end.events(), sql("SELECT * FROM b").rows);
  EXPECT_EQ(source.coverage.skipped_rows, 1U) << "the key that is no number";
  EXPECT_EQ(source.quarantined, 1U + sql("SELECT * FROM b__quarantine WHERE id IS NULL").rows);
  EXPECT_EQ(sorted_rows("SELECT k, n FROM v"), "1|2|\n2|2|\n");
  const auto shown = sql("SHOW VIEWS");
  EXPECT_EQ(value_text(shown.batches[0]->views()[2], 0), "a, b");
  open();
  EXPECT_EQ(sorted_rows("SELECT k, n FROM v"), "1|2|\n2|2|\n");
  EXPECT_EQ(view()->coverage().skipped_rows, 1U);
}

TEST_F(SeveralStreams, StayWhileAViewReadsOneOfThem) {
  set_up_two();
  sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kBoth));
  EXPECT_THAT(refused("DROP STREAM a").text(), HasSubstr("v"));
  EXPECT_THAT(refused("DROP STREAM b").text(), HasSubstr("v"));
  sql("DROP MATERIALIZED VIEW v");
  EXPECT_TRUE(node_->speed().find_stream("a")->views().empty());
  EXPECT_TRUE(node_->speed().find_stream("b")->views().empty());
  sql("DROP STREAM b");
  post("a", "{\"k\":1,\"x\":5}\n");
  open();
  EXPECT_TRUE(node_->speed().views().empty());
}

// A view over both streams, and one over each: all are cut at one moment, however the events of the
// two come in between.
TEST_F(SeveralStreams, AreCutAtOneMomentAndReplacedWithoutAGapUnderLoad) {
  set_up_two();
  sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kBoth));
  sql("CREATE MATERIALIZED VIEW only_a AS SELECT k, count(*) AS n FROM a GROUP BY k");
  sql("CREATE MATERIALIZED VIEW only_b AS SELECT key, count(*) AS n FROM b GROUP BY key");
  const std::string other =
      "SELECT side, max(k) AS most, count(*) AS n FROM (SELECT 'b' AS side, key::BIGINT AS k FROM "
      "b "
      "UNION ALL SELECT 'a', k FROM a) GROUP BY side";
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> acknowledged{0};
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> threads;
  for (const std::string stream : {"a", "b"}) {
    threads.emplace_back([&, stream] {
      for (std::int64_t i = 0; !stop; ++i) {
        std::string lines;
        for (int n = 0; n < 10; ++n)
          lines += stream == "a" ? fmt::format("{{\"k\":{},\"x\":1}}\n", (i + n) % 50)
                                 : fmt::format("{{\"key\":\"{}\",\"y\":1}}\n", (i + n) % 50);
        post(stream, lines);
        acknowledged += 10;
      }
    });
  }
  for (int r = 0; r < 2; ++r) {
    threads.emplace_back([&] {
      std::int64_t last = 0;
      while (!stop) {
        const std::int64_t before = acknowledged;
        const std::int64_t counted = count();
        EXPECT_GE(counted, before);
        EXPECT_GE(counted, last);
        last = counted;
        ++reads;
      }
    });
  }
  for (int round = 0; round < 6; ++round) {
    if (round % 2 == 0) {
      sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}",
                      round % 4 == 0 ? other : kBoth));
      const auto replaced = [&] {
        return node_->speed().replacement_of(view()->record().id) == nullptr;
      };
      for (int i = 0; i < 20'000 && !replaced(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_TRUE(replaced());
    }
    EXPECT_EQ(run_batch(round == 3).drift_rows, 0U);
    const std::uint64_t seen = reads;
    while (reads < seen + 10) std::this_thread::yield();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count(), acknowledged);
  EXPECT_EQ(count("only_a") + count("only_b"), acknowledged);
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  open();
  EXPECT_EQ(count(), acknowledged);
}

TEST_F(SeveralStreams, AreReadAsTheyWereAtATime) {
  set_up_two();
  sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kBoth));
  post("a", "{\"k\":1,\"x\":5}\n");
  post("b", "{\"key\":\"1\",\"y\":2}\n");
  run_batch();
  const auto then = timestamp_text(runtime::wall_us(), true);
  const auto answer = sorted_rows("SELECT * FROM v");
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  post("a", "{\"k\":1,\"x\":6}\n");
  post("b", "{\"key\":\"7\",\"y\":2}\n");
  EXPECT_NE(sorted_rows("SELECT * FROM v"), answer);
  EXPECT_EQ(sorted_rows(fmt::format("SELECT * FROM v AS OF TIMESTAMP '{}'", then)), answer);
  EXPECT_THAT(refused("SELECT * FROM v AS OF POSITION '{\"0\": 1}'").text(),
              HasSubstr("TIMESTAMP"));
}

}  // namespace
}  // namespace millrace::server
