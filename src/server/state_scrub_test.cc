// The bytes of generations are checked while nobody asks for them, and made again where they are
// damaged.
#include <gtest/gtest.h>

#include <fstream>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

class StateScrubTest : public NodeTest {
 protected:
  [[nodiscard]] catalog::Generation newest() const {
    auto generations = node_->catalog().generations(node_->speed().find_view("v")->record().id);
    return *std::ranges::max_element(generations, {}, &catalog::Generation::number);
  }
  /// Turns a bit of the newest generation's first block round.
  void damage() const {
    std::fstream file(folder_ / "data" / "states" / newest().file.name,
                      std::ios::in | std::ios::out | std::ios::binary);
    constexpr std::streamoff kInFirstBlock = 40;
    file.seekg(kInFirstBlock);
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(kInFirstBlock);
    file.put(byte);
    ASSERT_TRUE(file.good());
  }
};

TEST_F(StateScrubTest, ADamagedGenerationIsMadeAgainBeforeAnybodyAsks) {
  config_.state_scrub_interval_ms = 10;
  open();
  sql("CREATE STREAM e (k VARCHAR, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS s FROM e GROUP BY k");
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += fmt::format("{{\"k\":\"k{}\",\"n\":{}}}\n", i, i);
  post("e", lines);
  run_batch();
  const std::string before = sorted_rows("SELECT * FROM v");
  const auto number = newest().number;
  damage();
  while (newest().number == number) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(sorted_rows("SELECT * FROM v"), before);
  const auto state = node_->batch().state();
  EXPECT_TRUE(
      state.current.reason == "damage" ||
      std::ranges::any_of(state.last, [](const auto& run) { return run.reason == "damage"; }));
}

}  // namespace
}  // namespace millrace::server
