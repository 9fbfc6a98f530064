// A view gets another definition while it is used: nobody sees a mix, an error or a gap; what is
// asked of it while the next definition is built, and what a crash, a failure, another replacement
// and DROP do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

constexpr const char* kOld = "SELECT k, count(*) AS n FROM e GROUP BY k";
constexpr const char* kNew =
    "SELECT k % 3 AS third, max(x) AS worst, count(*) AS n FROM e GROUP BY third";

class ViewReplacement : public NodeTest {
 protected:
  static std::string names_of(std::span<const Column> columns) {
    std::string out;
    for (const auto& column : columns) out += column.name + " ";
    return out;
  }
  std::string columns() { return names_of(serving::columns_of(view()->compiled())); }
  std::shared_ptr<speed::ViewState> view() { return node_->speed().find_view("v"); }

  std::string lines(std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      const auto n = next_.fetch_add(1);
      out += fmt::format("{{\"k\":{},\"x\":{}}}\n", n % 100, n);
    }
    return out;
  }
  static std::int64_t sum_of(const ColumnBatch& rows, std::size_t column) {
    std::int64_t sum = 0;
    const auto views = rows.views();
    for (std::size_t row = 0; row < rows.rows(); ++row)
      sum += views[column].as<std::int64_t>()[row];
    return sum;
  }
  std::int64_t count() {
    const auto rows = all_rows("v");
    return sum_of(*rows.rows, rows.rows->column_count() - 1);
  }
  std::string progress() {
    const auto shown = sql("SHOW VIEWS");
    for (std::size_t row = 0; row < shown.rows; ++row) {
      const auto views = shown.batches[0]->views();
      if (value_text(views[0], row) == "v") return value_text(views[9], row).value_or("");
    }
    return "there is no v";
  }
  void wait_until_replaced() {
    const auto id = view()->record().id;
    for (int i = 0; i < 20'000 && node_->speed().replacement_of(id) != nullptr; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_EQ(node_->speed().replacement_of(view()->record().id), nullptr);
  }
  std::string error_of(std::string_view text) {
    const auto result = node_->statements().run(text);
    EXPECT_FALSE(result) << text;
    return result ? std::string() : result.error().text();
  }
  /// A view over some history in the lake and some in the delta.
  void set_up_view() {
    open();
    sql("CREATE STREAM e (k BIGINT, x BIGINT) WITH (key = k, partitions = 2)");
    sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kOld));
    post("e", lines(5'000));
    run_batch();
    post("e", lines(500));
  }
  /// From here on no batch run gets its lake commit, so that what builds goes on building.
  void hold_builds() { node_->lake_writer().stop(); }

  std::atomic<std::int64_t> next_{0};
};

TEST_F(ViewReplacement, UnderLoadShowsNobodyAMixAnErrorOrAGap) {
  set_up_view();
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> acknowledged{5'500};
  std::atomic<std::uint64_t> reads{0};
  const std::string old_names = "k n ";
  const std::string new_names = "third worst n ";
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&] {
      while (!stop) {
        post("e", lines(20));
        acknowledged += 20;
        std::this_thread::yield();
      }
    });
  }
  const auto check = [&](const std::string& names, std::int64_t before, std::int64_t counted,
                         std::int64_t& last) {
    EXPECT_TRUE(names == old_names || names == new_names) << names;
    EXPECT_GE(counted, before);
    EXPECT_GE(counted, last);
    last = counted;
    ++reads;
  };
  for (int r = 0; r < 2; ++r) {
    threads.emplace_back([&] {
      std::int64_t last = 0;
      while (!stop) {
        const std::int64_t before = acknowledged;
        const auto asked = view();
        const auto rows = serving::read_all(*asked);
        ASSERT_TRUE(rows) << rows.error().text();
        check(names_of(serving::columns_of(asked->compiled())), before,
              sum_of(*rows->rows, rows->rows->column_count() - 1), last);
      }
    });
  }
  threads.emplace_back([&] {
    std::int64_t last = 0;
    while (!stop) {
      const std::int64_t before = acknowledged;
      const auto rows = sql("SELECT * FROM v");
      ASSERT_EQ(rows.batches.size(), 1U);
      check(names_of(rows.columns), before, sum_of(*rows.batches[0], rows.columns.size() - 1),
            last);
    }
  });
  for (int round = 0; round < 4; ++round) {
    sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", round % 2 == 0 ? kNew : kOld));
    wait_until_replaced();
    EXPECT_EQ(columns(), round % 2 == 0 ? new_names : old_names);
    const std::uint64_t seen = reads;
    while (reads < seen + 10) std::this_thread::yield();
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count(), acknowledged);
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  EXPECT_EQ(count(), acknowledged);
  // One view's generations are left, in the catalog and on the disk.
  EXPECT_EQ(node_->catalog().views().size(), 1U);
  std::set<std::string> named;
  for (const auto& generation : node_->catalog().generations(view()->record().id))
    named.insert(generation.file.name);
  for (const auto& checkpoint : node_->catalog().checkpoints(view()->record().id))
    named.insert(checkpoint.file.name);
  node_->stop();
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "data" / "states")) {
    ++files;
    EXPECT_TRUE(named.contains(entry.path().filename().string())) << entry.path();
  }
  EXPECT_EQ(files, named.size());
  open();
  EXPECT_EQ(count(), acknowledged);
}

TEST_F(ViewReplacement, LetsTheOldDefinitionServeAndTellsHowFarItIs) {
  set_up_view();
  hold_builds();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  EXPECT_EQ(columns(), "k n ");
  EXPECT_EQ(count(), 5'500);
  post("e", lines(10));
  EXPECT_EQ(count(), 5'510);
  EXPECT_THAT(progress(), HasSubstr("replacement building 0 %"));
  const auto next = node_->statements().replacement_of(*view());
  ASSERT_TRUE(next);
  EXPECT_THAT(next->sql, HasSubstr("worst"));
  EXPECT_EQ(sql("SHOW VIEWS").rows, 1U);
}

TEST_F(ViewReplacement, GoesOnAfterACrashInTheMiddle) {
  set_up_view();
  hold_builds();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  post("e", lines(10));
  EXPECT_EQ(columns(), "k n ");
  open();
  wait_until_replaced();
  EXPECT_EQ(columns(), "third worst n ");
  EXPECT_EQ(count(), 5'510);
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  EXPECT_EQ(count(), 5'510);
  open();
  EXPECT_EQ(columns(), "third worst n ");
  EXPECT_EQ(count(), 5'510);
}

TEST_F(ViewReplacement, IsDroppedWithItsView) {
  set_up_view();
  hold_builds();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  sql("DROP MATERIALIZED VIEW v");
  EXPECT_TRUE(node_->catalog().views().empty());
  EXPECT_TRUE(node_->speed().views().empty());
  EXPECT_TRUE(node_->speed().find_stream("e")->views().empty());
  sql("DROP STREAM e");
  open();
  EXPECT_TRUE(node_->speed().views().empty());
}

TEST_F(ViewReplacement, IsItselfReplacedByTheNextStatement) {
  set_up_view();
  hold_builds();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  const auto first = node_->speed().replacement_of(view()->record().id);
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  EXPECT_EQ(node_->speed().replacement_of(view()->record().id), first) << "the same goes on";
  sql("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, min(x) AS least, count(*) AS n FROM e "
      "GROUP BY k");
  EXPECT_NE(node_->speed().replacement_of(view()->record().id), first);
  EXPECT_EQ(node_->catalog().views().size(), 2U);
  EXPECT_EQ(node_->speed().views().size(), 2U);
  open();
  wait_until_replaced();
  EXPECT_EQ(columns(), "k least n ");
  EXPECT_EQ(count(), 5'500);
}

TEST_F(ViewReplacement, ByTheDefinitionThatServesEndsTheOneThatIsBuilt) {
  set_up_view();
  hold_builds();
  const auto serving = view();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kOld));
  EXPECT_EQ(node_->catalog().views().size(), 1U) << "there is nothing to do";
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kOld));
  EXPECT_EQ(node_->catalog().views().size(), 1U);
  EXPECT_EQ(node_->speed().replacement_of(serving->record().id), nullptr);
  EXPECT_EQ(view(), serving);
}

TEST_F(ViewReplacement, ThatCannotBeBuiltIsShownAndTheOldDefinitionServes) {
  set_up_view();
  const auto stream = node_->speed().find_stream("e")->definition().id;
  const auto path =
      node_->lake().path(stream, node_->lake().snapshot(stream)->commits.front().files.front());
  const auto aside = folder_ / "aside";
  std::filesystem::rename(path, aside);
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  for (int i = 0; i < 20'000 && node_->batch().state().failures == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(progress(), HasSubstr("replacement building"));
  EXPECT_THAT(progress(), HasSubstr(path.filename().string()));
  EXPECT_EQ(columns(), "k n ");
  EXPECT_EQ(count(), 5'500);
  std::filesystem::rename(aside, path);
  run_batch();
  EXPECT_EQ(columns(), "third worst n ");
  EXPECT_EQ(count(), 5'500);
  EXPECT_EQ(progress(), "");
}

TEST_F(ViewReplacement, OfAViewThatIsNotThereMakesIt) {
  open();
  sql("CREATE STREAM e (k BIGINT, x BIGINT)");
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kOld));
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  EXPECT_EQ(columns(), "third worst n ") << "without history there is nothing to wait for";
  EXPECT_EQ(node_->catalog().views().size(), 1U);
  post("e", lines(7));
  EXPECT_EQ(count(), 7);
}

TEST_F(ViewReplacement, ThatIsWrongLeavesEverythingAsItWas) {
  set_up_view();
  sql("CREATE VIEW over AS SELECT k, n + 1 AS m FROM v");
  sql("CREATE VIEW over_over AS SELECT m FROM over");
  EXPECT_THAT(error_of("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT nope FROM e GROUP BY nope"),
              HasSubstr("nope"));
  EXPECT_THAT(error_of(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew)),
              testing::AllOf(HasSubstr("over"), HasSubstr("\"k\"")));
  EXPECT_THAT(error_of("CREATE OR REPLACE VIEW over AS SELECT k FROM v"), HasSubstr("over_over"));
  EXPECT_THAT(error_of("CREATE OR REPLACE VIEW over AS SELECT m FROM over_over"),
              HasSubstr("read itself"));
  EXPECT_THAT(error_of("CREATE OR REPLACE VIEW v AS SELECT 1 AS a"), HasSubstr("materialized"));
  EXPECT_THAT(error_of("CREATE OR REPLACE MATERIALIZED VIEW over AS SELECT k FROM e GROUP BY k"),
              HasSubstr("plain view"));
  EXPECT_THAT(error_of("CREATE OR REPLACE VIEW e AS SELECT 1 AS a"), HasSubstr("exists"));
  EXPECT_EQ(node_->catalog().views().size(), 3U);
  EXPECT_EQ(columns(), "k n ");
  EXPECT_EQ(sql("SELECT * FROM over_over").rows, 100U);
}

TEST_F(ViewReplacement, OfAPlainViewIsOneStep) {
  set_up_view();
  sql("CREATE OR REPLACE VIEW over AS SELECT k, n + 1 AS m FROM v");
  sql("CREATE VIEW over_over AS SELECT m FROM over");
  sql("CREATE OR REPLACE VIEW over AS SELECT 7 AS m");
  EXPECT_EQ(text_of(*sql("SELECT * FROM over_over").batches[0]), "7|\n");
  open();
  EXPECT_EQ(text_of(*sql("SELECT * FROM over_over").batches[0]), "7|\n");
}

TEST_F(ViewReplacement, MustFitTheViewsThatAreMadeWhileItIsBuilt) {
  set_up_view();
  hold_builds();
  sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", kNew));
  EXPECT_THAT(error_of("CREATE VIEW late AS SELECT k FROM v"), HasSubstr("being built"));
  sql("CREATE VIEW late AS SELECT sum(n) AS n FROM v");
  EXPECT_EQ(text_of(*sql("SELECT * FROM late").batches[0]), "5500|\n");
}

// Asked for the first time, a view has no older definition that could answer.
TEST_F(ViewReplacement, ASelectWaitsForAViewThatIsBuiltTheFirstTime) {
  open();
  sql("CREATE STREAM e (k BIGINT, x BIGINT)");
  post("e", lines(5'000));
  sql(fmt::format("CREATE MATERIALIZED VIEW v AS {}", kOld));
  EXPECT_EQ(text_of(*sql("SELECT sum(n) FROM v").batches[0]), "5000|\n");
}

}  // namespace
}  // namespace millrace::server
