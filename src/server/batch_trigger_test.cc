// When the batch layer runs by itself: by schedule, and when the delta outgrows its memory budget
// (promise 8).
#include <gtest/gtest.h>

#include <algorithm>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

class BatchTrigger : public NodeTest {
 protected:
  void open_with_view() {
    open();
    sql("CREATE STREAM e (k BIGINT)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM e GROUP BY k");
  }
  void post_keys(int from, int to) {
    std::string lines;
    for (int key = from; key < to; ++key) lines += fmt::format("{{\"k\":{}}}\n", key);
    post("e", lines);
  }
  /// Waits for a run with this reason that made a generation.
  bool wait_for_run(const std::string& reason) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < until) {
      const auto runs = node_->batch().state().last;
      if (std::ranges::any_of(runs, [&](const auto& run) {
            return run.reason == reason && run.generations == 1 && !run.error;
          })) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
};

TEST_F(BatchTrigger, RunsWhenTheDeltaOutgrowsItsMemoryBudgetAndLosesNothing) {
  config_.speed_delta_bytes_max = 64 << 10;
  open_with_view();
  post_keys(0, 20'000);
  EXPECT_TRUE(wait_for_run("memory"));
  post_keys(10'000, 30'000);
  const auto view = node_->speed().find_view("v");
  EXPECT_GE(view->coverage().streams[0].cut.events(), 20'000U);
  EXPECT_EQ(all_rows("v").rows->rows(), 30'000U);
  EXPECT_EQ(text_of(*sql("SELECT sum(c), max(c) FROM v").batches.front()), "40000|2|\n");
}

TEST_F(BatchTrigger, RunsBySchedule) {
  config_.batch_interval_ms = 50;
  open_with_view();
  post_keys(0, 10);
  EXPECT_TRUE(wait_for_run("schedule"));
  EXPECT_EQ(node_->speed().find_view("v")->coverage().streams[0].cut.events(), 10U);
}

TEST_F(BatchTrigger, KeepsTheTailWithinItsBudgetByDecodingAgainFromTheLog) {
  config_.speed_tail_bytes_max = 4096;
  open_with_view();
  for (int i = 0; i < 10; ++i) post_keys(i * 1'000, (i + 1) * 1'000);
  EXPECT_LE(node_->speed().tail_bytes(), 4096U);
  EXPECT_EQ(
      text_of(*sql("SELECT count(*), count(DISTINCT k), min(k), max(k) FROM e").batches.front()),
      "10000|10000|0|9999|\n");
  EXPECT_EQ(run_batch().drift_rows, 0U);
  EXPECT_EQ(all_rows("v").rows->rows(), 10'000U);
}

}  // namespace
}  // namespace millrace::server
