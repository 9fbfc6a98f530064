// Repeats by a stream's dedup column, through lake commits, batch runs and restarts: every answer
// is that of the clean input.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "runtime/clock.h"
#include "server/node_fixture_test.h"
#include "server/random_events_test.h"

namespace millrace::server {
namespace {

class Dedup : public NodeTest {};

constexpr const char* kViewSelect =
    "SELECT k, date_trunc('hour', ts) AS hour, count(*) AS c, sum(d) AS s FROM {} GROUP BY k, hour";

// 1 % late, 1 % repeated, 0.1 % malformed. Promises 3, 4, 5 and 6.
TEST_F(Dedup, GivesTheAnswersOfTheCleanInputWhateverIsLateRepeatedOrMalformed) {
  open();
  for (const auto* name : {"dirty", "clean"}) {
    sql(
        fmt::format("CREATE STREAM {} (id BIGINT, ts TIMESTAMP, k VARCHAR, d DOUBLE) "
                    "WITH (time = ts, key = k, partitions = 2{})",
                    name, std::string_view(name) == "dirty" ? ", dedup = id" : ""));
    sql(fmt::format("CREATE MATERIALIZED VIEW {}_v AS {}", name,
                    fmt::format(fmt::runtime(kViewSelect), name)));
  }
  std::mt19937_64 random(17);
  std::vector<std::string> sent;
  std::uint64_t malformed = 0;
  std::uint64_t repeated = 0;
  std::uint64_t told_repeated = 0;
  for (int step = 0; step < 20; ++step) {
    std::string dirty;
    std::string clean;
    for (int i = 0; i < 1000; ++i) {
      const std::int64_t day = random() % 100 == 0 ? 1 + step / 4 : 20 + step / 4;  // 1 % late
      sent.push_back(fmt::format(
          "{{\"id\":{},\"ts\":\"2024-03-{:02}T{:02}:00:00Z\",\"k\":\"k{}\",\"d\":{}.{}}}\n",
          sent.size(), day, random() % 24, random() % 20, random() % 1000, random() % 100));
      clean += sent.back();
      dirty += sent.back();
      if (random() % 100 == 0) {
        dirty += sent[random() % sent.size()];
        ++repeated;
      }
      if (random() % 1000 == 0) {
        dirty += "{\"id\":1,\"ts\":\"yesterday\"}\n";
        ++malformed;
      }
    }
    post("clean", clean);
    const auto reply = post("dirty", dirty);
    told_repeated += reply.duplicates;
    EXPECT_EQ(reply.accepted, 1000U);
    if (step % 6 == 2) run_batch();
    if (step % 6 == 4) commit_to_lake("dirty");
    if (step % 7 == 5) open();
    ASSERT_EQ(text_of(*all_rows("dirty_v").rows), text_of(*all_rows("clean_v").rows)) << step;
  }
  EXPECT_GT(repeated, 100U);
  EXPECT_GT(malformed, 5U);
  EXPECT_EQ(told_repeated, repeated);
  const auto quarantined = fmt::format("{}|\n", malformed);
  EXPECT_EQ(rows("SELECT count(*) FROM dirty__quarantine"), quarantined);
  EXPECT_EQ(run_batch().drift_rows, 0U);
  EXPECT_EQ(text_of(*all_rows("dirty_v").rows), text_of(*all_rows("clean_v").rows));
  EXPECT_EQ(rows("SELECT count(*), count(DISTINCT id) FROM dirty"), "20000|20000|\n");
  EXPECT_EQ(rows("SELECT count(*) FROM dirty__quarantine"), quarantined);
}

TEST_F(Dedup, RemembersForItsIntervalInEventTimeAndARestartChangesNothing) {
  auto random = seeded_random();
  open();
  sql("CREATE STREAM e (ts TIMESTAMP, id VARCHAR) WITH (time = ts, dedup = id, "
      "dedup_within = '60 seconds', partitions = 3, key = id)");
  // What the documentation says, record by record; the horizon moves with each request.
  std::map<std::string, std::int64_t> remembered;
  std::int64_t newest = 0;
  std::uint64_t stored = 0;
  for (int step = 0; step < 150; ++step) {
    std::string lines;
    std::uint64_t expected = 0;
    std::int64_t newest_after = newest;
    std::map<std::string, std::int64_t> added;
    const std::uint64_t count = 1 + random() % 30;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::int64_t at = 1000 + step + static_cast<std::int64_t>(random() % 90) - 60;
      const std::string id = fmt::format("an id that is not short {}", random() % 150);
      lines += fmt::format("{{\"id\":\"{}\",\"ts\":{}}}\n", id, at * 1000);
      const std::int64_t horizon = std::max(newest, at) - 60;
      const auto knows = [&](const auto& map) {
        const auto found = map.find(id);
        return found != map.end() && found->second >= horizon;
      };
      if (knows(remembered) || knows(added)) continue;
      ++expected;
      newest_after = std::max(newest_after, at);
      auto& time = added.try_emplace(id, at).first->second;
      time = std::max(time, at);
    }
    newest = newest_after;
    for (const auto& [id, at] : added) {
      auto& time = remembered.try_emplace(id, at).first->second;
      time = std::max(time, at);
    }
    std::erase_if(remembered, [&](const auto& entry) { return entry.second < newest - 60; });
    const auto reply = post("e", lines);
    ASSERT_EQ(reply.accepted, expected) << "step " << step;
    ASSERT_EQ(reply.duplicates, count - expected) << "step " << step;
    stored += expected;
    if (random() % 8 == 0) commit_to_lake("e");
    if (random() % 8 == 0) open();
  }
  EXPECT_EQ(rows("SELECT count(*) FROM e"), fmt::format("{}|\n", stored));
}

TEST_F(Dedup, AWrongTimeInTheFutureDoesNotEndTheMemory) {
  open();
  sql("CREATE STREAM e (ts TIMESTAMP, id BIGINT) WITH (time = ts, dedup = id, "
      "dedup_within = '1 day')");
  const std::string now = fmt::format("{}", runtime::wall_us() / 1000 - 1000);
  post("e", "{\"id\":1,\"ts\":" + now + "}\n");
  post("e", "{\"id\":2,\"ts\":\"9999-01-01\"}\n");
  EXPECT_EQ(post("e", "{\"id\":1,\"ts\":" + now + "}\n").duplicates, 1U);
  open();
  EXPECT_EQ(post("e", "{\"id\":1,\"ts\":" + now + "}\n").duplicates, 1U);
  EXPECT_EQ(post("e", "{\"id\":2,\"ts\":\"9999-01-01\"}\n").duplicates, 1U);
}

}  // namespace
}  // namespace millrace::server
