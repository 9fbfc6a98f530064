// Views over reference tables: each change of a table rebuilds them beside those that serve, and
// old and new contents are never mixed, whatever is in the lake, in the delta, or restarted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class TableJoin : public NodeTest {
 protected:
  std::string rows(std::string_view text) {
    const auto result = sql(text);
    std::string out;
    for (const auto& batch : result.batches) out += text_of(*batch);
    return out;
  }
  std::string lines(std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i)
      out += fmt::format("{{\"code\":\"c{}\"}}\n", next_.fetch_add(1) % 4);
    return out;
  }
  void wait_until_renewed() {
    const auto renewed = [&] {
      for (const auto& view : node_->speed().named_views()) {
        for (const auto& use : view->record().tables) {
          if (node_->catalog().table(use.table)->newest().version != use.version) return false;
        }
      }
      return node_->speed().views().size() == node_->speed().named_views().size();
    };
    for (int i = 0; i < 20'000 && !renewed(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(renewed());
  }
  /// c0 and c1 are in the table, c2 and c3 are not; history in the lake, and some in the delta.
  void set_up() {
    open();
    sql("CREATE STREAM e (code VARCHAR) WITH (partitions = 2)");
    sql("CREATE TABLE city (code VARCHAR PRIMARY KEY, name VARCHAR)");
    sql("INSERT INTO city VALUES ('c0', 'Oslo'), ('c1', 'Rome')");
    post("e", lines(400));
    sql("CREATE MATERIALIZED VIEW v AS SELECT c.name, count(*) AS n FROM e LEFT JOIN city c ON "
        "c.code = e.code GROUP BY c.name");
    sql("CREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM e JOIN city ON city.code = "
        "e.code");
    run_batch();
    post("e", lines(40));
  }
  std::atomic<std::uint64_t> next_{0};
};

TEST_F(TableJoin, AChangeRebuildsEveryViewOfTheTable) {
  set_up();
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Oslo|110|\nRome|110|\nNULL|220|\n");
  EXPECT_EQ(rows("SELECT * FROM w"), "220|\n");
  sql("INSERT INTO city VALUES ('c2', 'Lima')");
  wait_until_renewed();
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Lima|110|\nOslo|110|\nRome|110|\nNULL|110|\n");
  EXPECT_EQ(rows("SELECT * FROM w"), "330|\n");
  const std::string position = node_->speed().find_stream("e")->applied().json();
  post("e", lines(4));
  sql("UPDATE city SET name = 'Rom' WHERE code = 'c1'");
  sql("DELETE FROM city WHERE code = 'c0'");
  wait_until_renewed();
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Lima|111|\nRom|111|\nNULL|222|\n");
  EXPECT_EQ(run_batch().drift_rows, 0U);
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Lima|111|\nRom|111|\nNULL|222|\n");
  EXPECT_EQ(rows("SELECT v.name, v.n, c.code FROM v JOIN city c ON c.name = v.name ORDER BY 1"),
            "Lima|111|c2|\nRom|111|c1|\n");
  EXPECT_EQ(rows(fmt::format("SELECT * FROM v AS OF POSITION '{}' ORDER BY name", position)),
            "Lima|110|\nRom|110|\nNULL|220|\n")
      << "a view as it was has the definition and the tables of today";
  EXPECT_THAT(rows("SHOW TABLES"), HasSubstr("|v, w|"));
  const auto refused = node_->statements().run("DROP TABLE city");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("v, w"));
  EXPECT_EQ(node_->catalog().tables().front().contents.size(), 1U) << "older contents go";
}

TEST_F(TableJoin, ServesTheOldContentUntilTheNewOneIsBuilt) {
  set_up();
  node_->lake_writer().stop();  // no batch run gets its lake commit
  sql("INSERT INTO city VALUES ('c2', 'Lima')");
  sql("INSERT INTO city VALUES ('c3', 'Bonn')");
  post("e", lines(4));
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Oslo|111|\nRome|111|\nNULL|222|\n");
  EXPECT_EQ(rows("SELECT * FROM w"), "222|\n");
  EXPECT_EQ(rows("SELECT count(*) FROM city"), "4|\n");
  EXPECT_THAT(rows("SHOW VIEWS"), HasSubstr("replacement building"));
  // A crash now: the old views come back over the old content, the new ones are built.
  open();
  wait_until_renewed();
  EXPECT_EQ(rows("SELECT * FROM v ORDER BY name"), "Bonn|111|\nLima|111|\nOslo|111|\nRome|111|\n");
  EXPECT_EQ(rows("SELECT * FROM w"), "444|\n");
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  open();
  EXPECT_EQ(rows("SELECT * FROM w"), "444|\n");
  sql("DROP MATERIALIZED VIEW v");
  sql("DROP MATERIALIZED VIEW w");
  sql("DROP TABLE city");
}

TEST_F(TableJoin, UnderLoadNoAnswerMixesContents) {
  set_up();
  sql("DROP MATERIALIZED VIEW w");
  // Of every content all events have one label: an answer with two of them would be a mix.
  sql("DELETE FROM city");
  sql("INSERT INTO city SELECT 'c' || i, 'label 0' FROM range(4) r(i)");
  wait_until_renewed();
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> acknowledged{440};
  std::thread writer([&] {
    while (!stop) {
      post("e", lines(8));
      acknowledged += 8;
    }
  });
  std::thread reader([&] {
    std::int64_t last = 0;
    std::string label = "label 0";
    while (!stop) {
      const std::int64_t before = acknowledged;
      const auto answer = all_rows("v");
      ASSERT_EQ(answer.rows->rows(), 1U);
      const auto views = answer.rows->views();
      const auto counted = views[1].as<std::int64_t>()[0];
      EXPECT_GE(counted, before);
      EXPECT_GE(counted, last);
      last = counted;
      EXPECT_GE(*value_text(views[0], 0), label) << "contents come in their order";
      label = *value_text(views[0], 0);
    }
  });
  for (int change = 1; change < 6; ++change) {
    sql(fmt::format("UPDATE city SET name = 'label {}'", change));
    if (change % 2 == 0) wait_until_renewed();
  }
  wait_until_renewed();
  stop = true;
  writer.join();
  reader.join();
  EXPECT_EQ(rows("SELECT * FROM v"), fmt::format("label 5|{}|\n", acknowledged.load()));
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
}

TEST_F(TableJoin, IsRefusedWhereATableIsAllThatIsRead) {
  open();
  sql("CREATE TABLE city AS SELECT 'c0' AS code");
  const auto refused = node_->statements().run(
      "CREATE MATERIALIZED VIEW v AS SELECT code, count(*) AS n FROM city GROUP BY code");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, error_id::kNotMergeable);
}

}  // namespace
}  // namespace millrace::server
