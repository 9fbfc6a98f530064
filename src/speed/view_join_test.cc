// The two sides of a joined view in the speed layer: rows in memory and rows of lake files together
// are all rows, each once, however little memory there is and however late an event comes.
#include "speed/view_join.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "catalog/catalog.h"
#include "sql/syntax.h"
#include "view/state_run.h"

namespace millrace::speed {
namespace {

struct Event {
  std::int64_t time;
  std::int64_t key;
};

class ViewJoinTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("millrace-join-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "lake");
    auto database = sql::Database::open({.threads = 1, .folders = {folder_ / "lake"}});
    ASSERT_TRUE(database) << database.error().text();
    database_ = *database;
    catalog_ = *catalog::Catalog::open(folder_ / "catalog.db");
    auto lake = lake::Lake::open(runtime::system_files(), *catalog_, database_, folder_ / "lake");
    ASSERT_TRUE(lake) << lake.error().text();
    lake_ = std::move(*lake);
    for (const auto* name : {"a", "b"}) {
      StreamDefinition stream;
      stream.name = name;
      stream.columns = {{"ts", {TypeKind::kTimestamp}}, {"k", {TypeKind::kBigInt}}};
      stream.time_column = 0;
      streams_.push_back(*catalog_->create_stream(stream));
      waiting_.emplace_back();
      events_.emplace_back();
    }
  }
  void TearDown() override {
    join_.reset();
    lake_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }
  void make(std::string_view select, JoinOptions options) {
    const auto tree = sql::parse_select(select);
    ASSERT_TRUE(tree) << tree.error().text();
    auto view = view::compile_view(*database_, select, *tree, streams_);
    ASSERT_TRUE(view) << view.error().text();
    view_ = std::move(*view);
    groups_.emplace(view_.plan);
    auto evaluator = view::JoinEvaluator::make(*database_, view_, streams_);
    ASSERT_TRUE(evaluator) << evaluator.error().text();
    join_ =
        ViewJoin::make(std::move(*evaluator), *database_, *lake_, *view_.join, streams_, options);
  }
  void apply(std::size_t stream, std::span<const Event> events) {
    auto columns = std::make_shared<ColumnBatch>(streams_[stream].types());
    for (const auto& event : events) {
      columns->column(0).push(event.time);
      columns->column(1).push(event.key);
    }
    auto& all = events_[stream];
    const StreamBatch batch{.stream = streams_[stream].id,
                            .partition = PartitionId(0),
                            .base_offset = Offset(all.size()),
                            .columns = std::move(columns)};
    all.insert(all.end(), events.begin(), events.end());
    waiting_[stream].push_back(batch);
    std::uint64_t skipped = 0;
    const auto applied =
        join_->apply(streams_[stream].id, std::span(&batch, 1), end(stream), *groups_, skipped, {});
    ASSERT_TRUE(applied) << applied.error().text();
    EXPECT_EQ(skipped, 0U);
  }
  Position end(std::size_t stream) const {
    Position out(1);
    out.set_end(PartitionId(0), Offset(events_[stream].size()));
    return out;
  }
  void commit(std::size_t stream) {
    if (waiting_[stream].empty()) return;
    const auto made = lake_->commit(streams_[stream], end(stream), waiting_[stream]);
    ASSERT_TRUE(made) << made.error().text();
    waiting_[stream].clear();
  }
  /// What was counted, as the state that the expected pairs give.
  std::string states() const {
    std::string out;
    groups_->for_each_sorted([&](std::string_view, std::string_view state) { out.append(state); });
    return out;
  }
  std::string states_of(std::uint64_t pairs) const {
    view::GroupTable expected(view_.plan);
    // count(*) has no columns.
    expected.update({{}, pairs});
    std::string out;
    expected.for_each_sorted([&](std::string_view, std::string_view state) { out.append(state); });
    return out;
  }
  std::uint64_t pairs(std::size_t left, std::size_t right, std::int64_t width) const {
    std::uint64_t count = 0;
    for (const auto& l : events_[left]) {
      for (const auto& r : events_[right]) {
        if (l.key == r.key && r.time >= l.time && r.time <= l.time + width) ++count;
      }
    }
    return count;
  }

  std::filesystem::path folder_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<lake::Lake> lake_;
  std::vector<StreamDefinition> streams_;
  view::CompiledView view_;
  std::optional<view::GroupTable> groups_;
  std::unique_ptr<ViewJoin> join_;
  std::vector<std::vector<StreamBatch>> waiting_;
  std::vector<std::vector<Event>> events_;
};

constexpr std::int64_t kMinute = 60'000'000;
// A part of a few rows is let go as soon as the lake has it, and no file stays in memory.
constexpr JoinOptions kLittleMemory{.recent_bytes_max = 1, .lake_bytes_max = 1, .part_rows = 5};

TEST_F(ViewJoinTest, CountsEachPairOnceWithLittleMemoryAndLateEvents) {
  std::mt19937_64 random(7);
  make(
      "SELECT count(*) AS c FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL "
      "30 MINUTES",
      kLittleMemory);
  std::int64_t now = 0;
  for (int step = 0; step < 120; ++step) {
    const std::size_t stream = random() % 2;
    std::vector<Event> events;
    for (std::size_t i = 1 + random() % 4; i > 0; --i) {
      now += static_cast<std::int64_t>(random() % 10) * kMinute;
      const auto late = random() % 8 == 0 ? static_cast<std::int64_t>(random() % 600) : 0;
      events.push_back({now - late * kMinute, static_cast<std::int64_t>(random() % 3)});
    }
    apply(stream, events);
    if (random() % 3 == 0) commit(random() % 2);
    ASSERT_EQ(states(), states_of(pairs(0, 1, 30 * kMinute))) << "step " << step;
  }
}

TEST_F(ViewJoinTest, CountsThePairsOfAStreamWithItself) {
  std::mt19937_64 random(8);
  make(
      "SELECT count(*) AS c FROM a AS x JOIN a AS y ON x.k = y.k AND y.ts BETWEEN x.ts AND x.ts + "
      "INTERVAL 1 HOUR",
      kLittleMemory);
  for (int step = 0; step < 60; ++step) {
    std::vector<Event> events;
    for (std::size_t i = 1 + random() % 4; i > 0; --i) {
      events.push_back({static_cast<std::int64_t>(random() % 600) * kMinute,
                        static_cast<std::int64_t>(random() % 3)});
    }
    apply(0, events);
    if (random() % 3 == 0) commit(0);
    ASSERT_EQ(states(), states_of(pairs(0, 0, 60 * kMinute))) << "step " << step;
  }
}

TEST_F(ViewJoinTest, SaysWhetherTheLakeHasWhatCameBeforeItsStart) {
  make(
      "SELECT count(*) AS c FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL "
      "1 HOUR",
      {});
  EXPECT_TRUE(join_->has_history());
  Position start(1);
  start.set_end(PartitionId(0), Offset(1));
  join_->start(streams_[0].id, start);
  EXPECT_FALSE(join_->has_history());
}

}  // namespace
}  // namespace millrace::speed
