// What goes to quarantine and comes back: rows on which a view fails, each once per view through
// batch runs, lake commits and restarts; and records that a later definition takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "server/node_fixture_test.h"
#include "server/random_events_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class Quarantine : public NodeTest {
 protected:
  void wait_for_failures(std::string_view stream) {
    const auto id = node_->speed().find_stream(stream)->definition().id;
    ASSERT_TRUE(node_->ingest().wait_for_failures(id, [] { return false; }));
  }
  std::uint64_t quarantined(std::string_view stream) {
    return node_->statements().quarantined(node_->speed().find_stream(stream)->definition());
  }
};

constexpr const char* kFailures =
    "SELECT view, source_partition, source_offset, count(*) FROM e__quarantine "
    "WHERE code = 'MR2009' GROUP BY ALL ORDER BY ALL";

TEST_F(Quarantine, HasEachRowOnWhichAViewFailsOnceWithReasonAndRow) {
  open();
  sql("CREATE STREAM e (k VARCHAR, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT CAST(k AS INTEGER) AS i, count(*) AS c FROM e "
      "GROUP BY i");
  post("e", "{\"k\":\"1\",\"n\":1}\n{\"k\":\"x\",\"n\":2}\n{\"k\":\"1\",\"n\":3}\n");
  wait_for_failures("e");
  EXPECT_EQ(rows(kFailures), "v|0|1|1|\n");
  EXPECT_EQ(rows("SELECT raw::VARCHAR, endpoint IS NULL, line IS NULL FROM e__quarantine"),
            "{\\x22k\\x22:\\x22x\\x22,\\x22n\\x22:2}|true|true|\n");
  EXPECT_THAT(rows("SELECT reason FROM e__quarantine"), HasSubstr("view v: "));
  EXPECT_THAT(rows("SELECT reason FROM e__quarantine"), HasSubstr("'x'"));
  EXPECT_EQ(text_of(*all_rows("v").rows), "1|2|\n");
  EXPECT_EQ(quarantined("e"), 0U) << "the record is in the stream";
  EXPECT_EQ(sql("SELECT * FROM v").sources.front().quarantined, 1U);

  open();  // from the log
  EXPECT_EQ(rows(kFailures), "v|0|1|1|\n");
  run_batch();
  commit_to_lake("e__quarantine");
  open();  // from the lake
  run_batch(true);
  EXPECT_EQ(rows(kFailures), "v|0|1|1|\n");
  EXPECT_EQ(sql("SELECT * FROM v").sources.front().quarantined, 1U);

  // A view that comes later meets it in the lake.
  post("e", "{\"k\":\"y\",\"n\":7}\n");
  sql("CREATE MATERIALIZED VIEW w AS SELECT n % 2 AS odd, sum(CAST(k AS INTEGER)) AS s FROM e "
      "GROUP BY odd");
  run_batch();
  wait_for_failures("e");
  EXPECT_EQ(rows(kFailures), "v|0|1|1|\nv|0|3|1|\nw|0|1|1|\nw|0|3|1|\n");

  // What brings the rows back is another definition of the view.
  sql("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT TRY_CAST(k AS INTEGER) AS i, count(*) AS c "
      "FROM e GROUP BY i");
  run_batch();
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY i NULLS FIRST"), "NULL|2|\n1|2|\n");
  EXPECT_EQ(rows(kFailures), "v|0|1|1|\nv|0|3|1|\nw|0|1|1|\nw|0|3|1|\n");
}

TEST_F(Quarantine, HasTheFailuresOnceWhateverHappensBetween) {
  auto random = seeded_random();
  config_.speed_checkpoint_rows = 300;
  open();
  sql("CREATE STREAM e (k VARCHAR, n BIGINT) WITH (partitions = 3, key = k)");
  int views = 0;
  for (int step = 0; step < 40; ++step) {
    std::string lines;
    for (std::uint64_t i = 0; i < 1 + random() % 100; ++i) {
      lines += fmt::format("{{\"k\":\"{}{}\",\"n\":{}}}\n", random() % 30 == 0 ? "a" : "",
                           random() % 50, random() % 100);
    }
    post("e", lines);
    switch (random() % 7) {
      case 0:
        run_batch(random() % 2 == 0);
        break;
      case 1:
        commit_to_lake("e");
        break;
      case 2:
        commit_to_lake("e__quarantine");
        break;
      case 3:
        open();
        break;
      case 4:
        if (views < 4) {
          sql(
              fmt::format("CREATE MATERIALIZED VIEW v{} AS SELECT CAST(k AS INTEGER) // {} AS i, "
                          "count(*) AS c FROM e GROUP BY i",
                          views, views + 1));
          ++views;
          if (random() % 2 == 0) run_batch();
        }
        break;
      default:
        break;
    }
  }
  run_batch();
  wait_for_failures("e");
  for (int view = 0; view < views; ++view) {
    EXPECT_EQ(rows(fmt::format("SELECT source_partition, source_offset FROM e__quarantine WHERE "
                               "view = 'v{}' ORDER BY ALL",
                               view)),
              rows("SELECT _partition, _offset FROM e WHERE k LIKE 'a%' ORDER BY ALL"))
        << "view " << view;
  }
}

TEST_F(Quarantine, GivesBackWhatDecodesNowOnceAndKeepsTheRest) {
  config_.ingest_depth_max = 2;
  open();
  sql("CREATE STREAM e (n BIGINT, j JSON)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT n, count(*) AS c FROM e GROUP BY n");
  const auto reply = post("e",
                          "{\"n\":1,\"j\":[[[1]]]}\n{\"n\":\"x\"}\n{\"n\":2,\"j\":[[[2]]]}\n"
                          "{\"n\":3}\n{\"n\":4,\"j\":[[[4]]]}\n");
  EXPECT_EQ(reply.rejected.size(), 4U);
  EXPECT_EQ(quarantined("e"), 4U);
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "0|0|4|\n");

  config_.ingest_depth_max = 64;
  open();
  EXPECT_EQ(quarantined("e"), 4U);
  EXPECT_EQ(rows("REPLAY QUARANTINE e WHERE line = 3 OR (reason LIKE '%nothing%')"), "1|0|0|\n");
  EXPECT_EQ(text_of(*all_rows("v").rows), "2|1|\n3|1|\n");
  EXPECT_EQ(quarantined("e"), 3U);
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "2|0|1|\n");
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "0|0|1|\n");
  EXPECT_EQ(text_of(*all_rows("v").rows), "1|1|\n2|1|\n3|1|\n4|1|\n");
  EXPECT_EQ(quarantined("e"), 1U);
  commit_to_lake("e__quarantine");
  open();
  EXPECT_EQ(quarantined("e"), 1U);
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "0|0|1|\n");
  EXPECT_EQ(rows("SELECT code, count(*), count(replays) FROM e__quarantine GROUP BY ALL "
                 "ORDER BY ALL"),
            "MR2003|1|0|\nMR2006|3|0|\nREPLAYED|3|3|\n");
}

TEST_F(Quarantine, KeepsToTheDedupColumnWhenItGivesBack) {
  config_.ingest_depth_max = 2;
  open();
  sql("CREATE STREAM e (n BIGINT, j JSON) WITH (dedup = n)");
  post("e", "{\"n\":1,\"j\":[[[1]]]}\n{\"n\":2,\"j\":[[[1]]]}\n{\"n\":1}\n");
  config_.ingest_depth_max = 64;
  open();
  EXPECT_EQ(rows("REPLAY QUARANTINE e"), "1|1|0|\n");
  EXPECT_EQ(rows("SELECT n, count(*) FROM e GROUP BY n ORDER BY n"), "1|1|\n2|1|\n");
  EXPECT_EQ(quarantined("e"), 0U);
}

TEST_F(Quarantine, RefusesConditionsThatAreNone) {
  open();
  sql("CREATE STREAM e (n BIGINT)");
  for (const auto* text :
       {"REPLAY QUARANTINE e WHERE true) UNION ALL (SELECT 1", "REPLAY QUARANTINE f",
        "REPLAY QUARANTINE e__quarantine", "REPLAY QUARANTINE e WHERE nothing = 1",
        "REPLAY QUARANTINE e WHERE", "REPLAY e", "REPLAY QUARANTINE e LIMIT 1"}) {
    EXPECT_FALSE(node_->statements().run(text)) << text;
  }
  const auto result = node_->statements().run("REPLAY QUARANTINE e WHERE\n  codee = 'MR2003'");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().place.line, 2U) << result.error().text();
}

}  // namespace
}  // namespace millrace::server
