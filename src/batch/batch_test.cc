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
#include "view/run_in_memory.h"

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
  /// A generation, and its file's bytes.
  struct Output {
    std::shared_ptr<const view::StateRun> run;
    std::string run_bytes;
    std::uint64_t skipped_rows = 0;
  };
  Result<Output> run(const view::CompiledView& view, std::uint64_t after, std::uint64_t upto,
                     std::shared_ptr<const view::StateRun> base = {}) {
    const BatchInput input{
        .view = &view,
        .streams = {{.stream = &stream_, .after = CommitNumber(after), .upto = CommitNumber(upto)}},
        .base = std::move(base),
        .scratch = states_.get(),
        .table_bytes_max = table_bytes_max_};
    const auto name = StateFiles::generation_name(ViewId(1), GenerationNumber(++generations_));
    MR_TRY(const auto made, run_batch_job(*database_, *lake_, *states_, name, input, progress_));
    MR_TRY(auto bytes, runtime::read_file(runtime::system_files(), folder_ / "states" / name));
    return Output{made.generation.run, std::move(bytes), made.skipped_rows};
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
    return view::run_file(view.fingerprint, groups);
  }
  std::vector<std::string> state_names() {
    return *runtime::system_files().list(folder_ / "states");
  }

  std::filesystem::path folder_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<lake::Lake> lake_;
  std::unique_ptr<StateFiles> states_;
  StreamDefinition stream_;
  std::vector<StreamBatch> history_;
  BatchProgress progress_;
  std::uint64_t table_bytes_max_ = std::uint64_t{512} << 20;
  std::uint64_t generations_ = 0;
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

TEST_F(BatchTest, GivesTheSameBytesWhereItsGroupsDoNotFitTheMemory) {
  for (const std::uint64_t rows : {700U, 1300U}) commit(rows);
  for (const auto* select : {"SELECT n, k, count(*) AS c, sum(d) AS s FROM e GROUP BY n, k",
                             "SELECT n::VARCHAR AS t, list(d ORDER BY d) AS l FROM e GROUP BY t",
                             "SELECT n * n AS q, count(*) AS c FROM e GROUP BY q"}) {
    SCOPED_TRACE(select);
    const auto view = compile(select);
    table_bytes_max_ = std::uint64_t{512} << 20;
    const auto whole = run(view, 0, 2);
    ASSERT_TRUE(whole) << whole.error().text();
    table_bytes_max_ = 16 << 10;
    const auto spilled = run(view, 0, 2);
    ASSERT_TRUE(spilled) << spilled.error().text();
    EXPECT_EQ(spilled->run_bytes, whole->run_bytes);
    const auto first = run(view, 0, 1);
    ASSERT_TRUE(first) << first.error().text();
    const auto second = run(view, 1, 2, first->run);
    ASSERT_TRUE(second) << second.error().text();
    EXPECT_EQ(second->run_bytes, whole->run_bytes);
  }
  for (const auto& name : state_names()) EXPECT_THAT(name, testing::StartsWith("view-"));
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
  // With what the speed layer had as it was, as a run, and without it.
  const auto with = [](std::shared_ptr<const view::StateRun> run, const view::GroupParts& parts) {
    view::GroupParts out = parts;
    out.runs.push_back(std::move(run));
    return out;
  };
  auto drift = audit(view, with(base->run, *delta), next->run);
  ASSERT_TRUE(drift) << drift.error().text();
  EXPECT_EQ(drift->rows, 0U);
  view::ScratchInMemory scratch;
  view::GroupParts spilled;
  for (const auto& table : delta->tables)
    spilled.runs.push_back(*view::spill(scratch, view.fingerprint, table));
  drift = audit(view, with(base->run, spilled), next->run);
  ASSERT_TRUE(drift) << drift.error().text();
  EXPECT_EQ(drift->rows, 0U);

  drift = audit(view, with(base->run, {}), next->run);
  ASSERT_TRUE(drift);
  EXPECT_EQ(drift->rows, next->run->entries()) << "every group has events in the second commit";
  EXPECT_EQ(drift->first.size(), std::min<std::size_t>(drift->rows, Drift::kRowsKept));
  drift = audit(view, {}, next->run);
  EXPECT_EQ(drift->rows, next->run->entries()) << "groups that only the batch layer has";
  drift = audit(view, with(base->run, *delta), view::StateRun::empty());
  EXPECT_EQ(drift->rows, next->run->entries()) << "groups that only the speed layer has";

  // One event twice, in one group.
  const auto again = compile(
      "SELECT k, count(*) AS c, sum(n) AS s, sum(d) AS ds, avg(d) AS a, min(d) AS lo, max(k) AS hi "
      "FROM e WHERE _offset = 700 AND _partition = 1 GROUP BY k");
  view::GroupParts doubled = with(base->run, *delta);
  doubled.tables.push_back(std::make_shared<view::GroupTable>(evaluated(again, skipped)));
  drift = audit(view, doubled, next->run);
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
  const auto written =
      states_->write(name, view.fingerprint, [&](view::StateRunWriter& writer) -> Status {
        view::RunCursor cursor(output->run, false);
        MR_RETURN_IF_ERROR(cursor.seek({}));
        return view::write_all(cursor, writer);
      });
  ASSERT_TRUE(written) << written.error().text();
  const auto& record = written->record;
  EXPECT_EQ(record.rows, output->run->entries());
  EXPECT_EQ(written->run->entries(), output->run->entries());
  auto back = states_->read(record, view.fingerprint);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ((*back)->entries(), output->run->entries());
  EXPECT_FALSE(states_->read(record, view.fingerprint + 1)) << "another view's";

  const auto path = folder_ / "states" / name;
  std::string damaged = output->run_bytes;
  damaged[damaged.size() / 2] ^= 4;
  ASSERT_TRUE(runtime::write_file_durably(runtime::system_files(), path, damaged));
  back = states_->read(record, view.fingerprint);
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(back.error().message, HasSubstr(path.string()));
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(states_->read(record, view.fingerprint).error().code, ErrorCode::kDataLoss);
  std::filesystem::remove(path);
  EXPECT_FALSE(states_->read(record, view.fingerprint));
}

TEST_F(BatchTest, GoesOnReadingARunWhoseFileIsRemoved) {
  commit(100);
  const auto view = compile(kViews[0]);
  const auto output = run(view, 0, 1);
  ASSERT_TRUE(output);
  states_->remove(state_names());
  view::GroupTable groups(view.plan);
  const view::GroupParts parts{.runs = {output->run}, .tables = {}};
  ASSERT_TRUE(parts.visit("", [&](std::string_view key, std::string_view state) {
    return groups.merge_state(key, state);
  }));
  EXPECT_EQ(run_bytes(view, groups), output->run_bytes);
}

TEST_F(BatchTest, KeepsASpilledRunAsLongAsItIsUsed) {
  const auto view = compile(kViews[0]);
  auto run = states_->spill(
      view.fingerprint, [](view::StateRunWriter& writer) { return writer.add("key", "state"); });
  ASSERT_TRUE(run) << run.error().text();
  EXPECT_EQ(state_names().size(), 1U);
  EXPECT_TRUE((*run)->find("key")->has_value());
  run->reset();
  EXPECT_TRUE(state_names().empty());
  const auto failed = states_->spill(view.fingerprint, [](view::StateRunWriter&) -> Status {
    return fail(ErrorCode::kInternal, error_id::kInternal, "no more");
  });
  EXPECT_FALSE(failed);
  EXPECT_TRUE(state_names().empty()) << "nothing is left of a run that was not finished";
}

TEST(SharedBlockCache, KeepsWhatWasUsedLastWithinItsBudget) {
  SharedBlockCache cache(1 << 20);
  const auto run = cache.take_run_number();
  const auto value = std::make_shared<const int>(7);
  for (std::uint64_t part = 0; part < 5000; ++part) {
    cache.put({run, part}, value, 4096);
    ASSERT_LE(cache.statistics().bytes, std::uint64_t{1} << 20);
    ASSERT_NE(cache.find({run, 0}), nullptr) << "it is asked for all the time";
  }
  EXPECT_EQ(cache.find({run, 1}), nullptr);
  EXPECT_EQ(cache.find({run, 4999}), value);
  EXPECT_GT(cache.statistics().bytes, std::uint64_t{1} << 19);
  // What runs hold leaves less for blocks.
  cache.hold(10 << 20);
  for (std::uint64_t part = 0; part < 5000; ++part) cache.put({run, 10'000 + part}, value, 1024);
  EXPECT_LE(cache.statistics().bytes, std::uint64_t{1} << 17);
}

TEST_F(BatchTest, SweepsWhatTheCatalogDoesNotName) {
  const auto keep = StateFiles::generation_name(ViewId(1), GenerationNumber(1));
  const auto drop = StateFiles::checkpoint_name(ViewId(1), CommitNumber(1), CommitNumber(2));
  const auto nothing = [](view::StateRunWriter&) { return Status(); };
  for (const auto& name : {keep, drop}) ASSERT_TRUE(states_->write(name, 0, nothing));
  auto scratch = states_->spill(0, nothing);
  ASSERT_TRUE(scratch);
  ASSERT_TRUE(states_->sweep({keep, "view-7-generation-7.run"}));
  EXPECT_EQ(state_names(), std::vector<std::string>{keep});
  states_->remove({keep, "never-was.run"});
  EXPECT_TRUE(state_names().empty());
}

}  // namespace
}  // namespace millrace::batch
