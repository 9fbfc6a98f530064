// State files and batch runs: what is read back is checked, a run gives what the speed layer gives,
// in steps as at once, bit for bit, and the audit finds a difference that is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>

#include "batch/audit.h"
#include "batch/batch_job.h"
#include "batch/state_files.h"
#include "sql/syntax.h"
#include "view/evaluator.h"

namespace millrace::batch {
namespace {

using testing::HasSubstr;

class BatchTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("millrace-batch-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "lake");
    auto database = sql::Database::open({.threads = 2, .folders = {folder_ / "lake"}});
    ASSERT_TRUE(database) << database.error().text();
    database_ = *database;
    catalog_ = *catalog::Catalog::open(folder_ / "catalog.db");
    auto lake = lake::Lake::open(runtime::system_files(), *catalog_, database_, folder_ / "lake",
                                 {.rows_per_file_max = 500});
    ASSERT_TRUE(lake) << lake.error().text();
    lake_ = std::move(*lake);
    StreamDefinition stream;
    stream.name = "e";
    stream.columns = {
        {"k", {TypeKind::kVarchar}}, {"n", {TypeKind::kBigInt}}, {"d", {TypeKind::kDouble}}};
    stream.partitions = 2;
    stream_ = *catalog_->create_stream(stream);
    states_ = *StateFiles::open(runtime::system_files(), folder_ / "states");
  }
  void TearDown() override {
    lake_.reset();
    catalog_.reset();
    std::filesystem::remove_all(folder_);
  }

  /// Commits `rows` events to each partition.
  void commit(std::uint64_t rows) {
    std::vector<StreamBatch> batches;
    Position end = lake_->snapshot(stream_.id)->end;
    for (std::uint32_t p = 0; p < 2; ++p) {
      const std::uint64_t base = end.end(PartitionId(p)).value;
      auto columns = std::make_shared<ColumnBatch>(stream_.types());
      for (std::uint64_t offset = base; offset < base + rows; ++offset) {
        const std::uint64_t n = offset * 2 + p;
        columns->column(0).push_string(n % 11 == 0 ? "no number" : std::to_string(n % 7),
                                       columns->arena());
        if (n % 13 == 0) {
          columns->column(1).push_null();
        } else {
          columns->column(1).push(
              static_cast<std::int64_t>(n % 50 == 3 ? std::uint64_t{1} << 62 : n));
        }
        columns->column(2).push(std::bit_cast<double>(0x3fb999999999999aULL + n) *
                                static_cast<double>(n % 17));
      }
      batches.push_back({.stream = stream_.id,
                         .partition = PartitionId(p),
                         .base_offset = Offset(base),
                         .arrival_us = 1'700'000'000'000'000,
                         .columns = std::move(columns)});
      end.set_end(PartitionId(p), Offset(base + rows));
    }
    const auto made = lake_->commit(stream_, end, batches);
    ASSERT_TRUE(made) << made.error().text();
    for (auto& batch : batches) history_.push_back(std::move(batch));
  }
  view::CompiledView compile(std::string_view select) {
    const auto tree = sql::parse_select(select);
    EXPECT_TRUE(tree) << tree.error().text();
    auto view = view::compile_view(*database_, select, *tree, std::span(&stream_, 1));
    EXPECT_TRUE(view) << view.error().text();
    return std::move(*view);
  }
  Result<BatchOutput> run(const view::CompiledView& view, std::uint64_t after, std::uint64_t upto,
                          std::shared_ptr<const view::StateRun> base = {}) {
    const BatchInput input{
        .view = &view,
        .streams = {{.stream = &stream_, .after = CommitNumber(after), .upto = CommitNumber(upto)}},
        .base = std::move(base)};
    return run_batch_job(*database_, *lake_, input, progress_);
  }
  /// What the speed layer makes of all events.
  view::GroupTable evaluated(const view::CompiledView& view, std::uint64_t& skipped) {
    view::GroupTable groups(view.plan);
    auto evaluator = view::Evaluator::make(*database_, view, 0, stream_);
    EXPECT_TRUE(evaluator) << evaluator.error().text();
    const auto ran = (*evaluator)->run(history_, groups, skipped);
    EXPECT_TRUE(ran) << ran.error().text();
    return groups;
  }
  static std::string run_bytes(const view::CompiledView& view, const view::GroupTable& groups) {
    view::StateRunWriter writer(view.fingerprint);
    groups.for_each_sorted(
        [&](std::string_view key, std::string_view state) { writer.add(key, state); });
    return writer.finish();
  }

  std::filesystem::path folder_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<lake::Lake> lake_;
  std::unique_ptr<StateFiles> states_;
  StreamDefinition stream_;
  std::vector<StreamBatch> history_;
  BatchProgress progress_;
};

const char* const kViews[] = {
    "SELECT k, count(*) AS c, sum(n) AS s, sum(d) AS ds, avg(d) AS a, min(d) AS lo, max(k) AS hi "
    "FROM e GROUP BY k",
    "SELECT count(*) AS c FROM e",
    "SELECT count(*) AS c, sum(d) AS s FROM e WHERE n > 100",
    "SELECT n // 100 AS hundreds, max(d) AS m FROM e WHERE k <> '3' GROUP BY hundreds",
    "SELECT k FROM e GROUP BY k",
    "SELECT _partition, count(*) AS c, max(_offset) AS last, min(_arrival) AS first FROM e GROUP "
    "BY _partition",
    "SELECT count(*) AS c FROM e WHERE n < 0",
};

TEST_F(BatchTest, GivesWhatTheSpeedLayerGivesAndTheSameInStepsAsAtOnce) {
  for (const std::uint64_t rows : {700U, 1U, 1300U, 40U}) commit(rows);
  for (const auto* select : kViews) {
    SCOPED_TRACE(select);
    const auto view = compile(select);
    const auto full = run(view, 0, 4);
    ASSERT_TRUE(full) << full.error().text();
    EXPECT_EQ(full->skipped_rows, 0U);
    std::uint64_t skipped = 0;
    EXPECT_EQ(full->run_bytes, run_bytes(view, evaluated(view, skipped)));
    std::shared_ptr<const view::StateRun> base;
    std::string bytes;
    for (const auto& [after, upto] : {std::pair{0, 1}, {1, 2}, {2, 4}}) {
      const auto step =
          run(view, static_cast<std::uint64_t>(after), static_cast<std::uint64_t>(upto), base);
      ASSERT_TRUE(step) << step.error().text();
      base = step->run;
      bytes = step->run_bytes;
    }
    EXPECT_EQ(bytes, full->run_bytes);
    const auto nothing = run(view, 4, 4, base);
    ASSERT_TRUE(nothing) << nothing.error().text();
    EXPECT_EQ(nothing->run_bytes, full->run_bytes);
  }
  EXPECT_GT(progress_.rows_total.load() + 1, 0U);
}

TEST_F(BatchTest, SkipsTheRowsThatTheSpeedLayerSkips) {
  commit(600);
  commit(300);
  for (const auto* select : {"SELECT k::INTEGER AS i, count(*) AS c, sum(d) AS s FROM e GROUP BY i",
                             "SELECT k, sum(n * n) AS s, count(*) AS c FROM e GROUP BY k",
                             "SELECT count(*) AS c FROM e WHERE k::INTEGER > 2",
                             "SELECT _offset // 100 AS o, sum(n * n) AS s FROM e GROUP BY o"}) {
    SCOPED_TRACE(select);
    const auto view = compile(select);
    std::uint64_t skipped = 0;
    const auto speed = evaluated(view, skipped);
    EXPECT_GT(skipped, 0U);
    const auto full = run(view, 0, 2);
    ASSERT_TRUE(full) << full.error().text();
    EXPECT_EQ(full->skipped_rows, skipped);
    EXPECT_EQ(full->run_bytes, run_bytes(view, speed));
    const auto first = run(view, 0, 1);
    ASSERT_TRUE(first);
    const auto second = run(view, 1, 2, first->run);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->run_bytes, full->run_bytes);
    EXPECT_EQ(first->skipped_rows + second->skipped_rows, skipped);
    EXPECT_EQ(progress_.rows_total, 600U);
  }
}

TEST_F(BatchTest, EndsWhenItIsCancelledAndTellsHowFarItIs) {
  commit(600);
  const auto view = compile(kViews[0]);
  progress_.cancel = true;
  const auto cancelled = run(view, 0, 1);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  progress_.cancel = false;
  ASSERT_TRUE(run(view, 0, 1));
  EXPECT_EQ(progress_.rows_total, 1200U);
  EXPECT_EQ(progress_.rows_done, 1200U);
}

TEST_F(BatchTest, NamesTheLakeFileThatIsDamaged) {
  commit(600);
  const auto view = compile(kViews[0]);
  const auto& file = lake_->snapshot(stream_.id)->commits[0].files[0];
  const auto path = lake_->path(stream_.id, file);
  std::filesystem::resize_file(path, file.size_bytes - 1);
  const auto damaged = run(view, 0, 1);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(damaged.error().message, HasSubstr(file.name));
}

TEST_F(BatchTest, AuditFindsNoDifferenceWhereThereIsNoneAndEachThatThereIs) {
  commit(600);
  commit(500);
  const auto view = compile(kViews[0]);
  const auto base = run(view, 0, 1);
  const auto next = run(view, 1, 2, base->run);
  ASSERT_TRUE(next) << next.error().text();
  BatchInput rest{
      .view = &view,
      .streams = {{.stream = &stream_, .after = CommitNumber(1), .upto = CommitNumber(2)}},
      .base = {}};
  std::uint64_t skipped = 0;
  const auto delta = map_commits(*database_, *lake_, rest, progress_, skipped);
  ASSERT_TRUE(delta) << delta.error().text();
  auto drift = audit(view, *base->run, *delta, *next->run);
  ASSERT_TRUE(drift) << drift.error().text();
  EXPECT_EQ(drift->rows, 0U);

  view::GroupTable none(view.plan);
  drift = audit(view, *base->run, none, *next->run);
  ASSERT_TRUE(drift);
  EXPECT_EQ(drift->rows, next->run->entries()) << "every group has events in the second commit";
  EXPECT_EQ(drift->first.size(), std::min<std::size_t>(drift->rows, Drift::kRowsKept));
  drift = audit(view, *view::StateRun::empty(), none, *next->run);
  EXPECT_EQ(drift->rows, next->run->entries()) << "groups that only the batch layer has";
  drift = audit(view, *base->run, *delta, *view::StateRun::empty());
  EXPECT_EQ(drift->rows, next->run->entries()) << "groups that only the speed layer has";

  // One event twice, in one group.
  view::GroupTable doubled = *delta;
  const auto again = compile(
      "SELECT k, count(*) AS c, sum(n) AS s, sum(d) AS ds, avg(d) AS a, min(d) AS lo, max(k) AS hi "
      "FROM e WHERE _offset = 700 AND _partition = 1 GROUP BY k");
  doubled.merge(evaluated(again, skipped));
  drift = audit(view, *base->run, doubled, *next->run);
  ASSERT_TRUE(drift);
  EXPECT_EQ(drift->rows, 1U);
  ASSERT_EQ(drift->first.size(), 1U);
  EXPECT_THAT(drift->first[0].key, HasSubstr("k = "));
  EXPECT_THAT(drift->first[0].batch, HasSubstr("c = "));
  EXPECT_THAT(drift->first[0].speed, HasSubstr("c = "));
  EXPECT_NE(drift->first[0].batch, drift->first[0].speed);
}

TEST_F(BatchTest, ReadsStateFilesBackAndNamesTheOneThatIsDamaged) {
  commit(100);
  const auto view = compile(kViews[0]);
  const auto output = run(view, 0, 1);
  ASSERT_TRUE(output);
  const auto name = StateFiles::generation_name(ViewId(4), GenerationNumber(9));
  const auto record = states_->write(name, output->run_bytes, output->run->entries());
  ASSERT_TRUE(record) << record.error().text();
  EXPECT_EQ(record->rows, output->run->entries());
  auto back = states_->read(*record, view.fingerprint);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ((*back)->entries(), output->run->entries());
  EXPECT_FALSE(states_->read(*record, view.fingerprint + 1)) << "another view's";

  const auto path = folder_ / "states" / name;
  std::string damaged = output->run_bytes;
  damaged[damaged.size() / 2] ^= 4;
  ASSERT_TRUE(runtime::write_file_durably(runtime::system_files(), path, damaged));
  back = states_->read(*record, view.fingerprint);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(back.error().message, HasSubstr(path.string()));
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(states_->read(*record, view.fingerprint).error().code, ErrorCode::kDataLoss);
  std::filesystem::remove(path);
  EXPECT_FALSE(states_->read(*record, view.fingerprint));
}

TEST_F(BatchTest, SweepsWhatTheCatalogDoesNotName) {
  const auto keep = StateFiles::generation_name(ViewId(1), GenerationNumber(1));
  const auto drop = StateFiles::checkpoint_name(ViewId(1), CommitNumber(1), CommitNumber(2));
  for (const auto& name : {keep, drop}) ASSERT_TRUE(states_->write(name, "bytes", 0));
  ASSERT_TRUE(states_->sweep({keep, "view-7-generation-7.run"}));
  EXPECT_EQ(*runtime::system_files().list(folder_ / "states"), std::vector<std::string>{keep});
  states_->remove({keep, "never-was.run"});
  EXPECT_TRUE(runtime::system_files().list(folder_ / "states")->empty());
}

}  // namespace
}  // namespace millrace::batch
