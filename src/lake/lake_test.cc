#include "lake/lake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <random>

#include "sql/scalar_stage.h"

namespace millrace::lake {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint32_t kPartitions = 3;

StreamDefinition flights() {
  StreamDefinition out;
  out.name = "flights";
  out.columns = {{"date", {TypeKind::kTimestamp}},
                 {"origin", {TypeKind::kVarchar}},
                 {"delay", {TypeKind::kBigInt}}};
  out.time_column = 0;
  out.partitions = kPartitions;
  return out;
}

Position position(std::initializer_list<std::uint64_t> ends) {
  Position out;
  std::uint32_t partition = 0;
  for (const auto end : ends) out.set_end(PartitionId(partition++), Offset(end));
  return out;
}

/// Rows whose values follow from partition and offset, so that they can be checked after a round
/// trip.
StreamBatch batch(const StreamDefinition& stream, std::uint32_t partition, std::uint64_t base,
                  std::uint64_t rows) {
  auto columns = std::make_shared<ColumnBatch>(stream.types());
  for (std::uint64_t offset = base; offset < base + rows; ++offset) {
    columns->column(0).push<std::int64_t>(static_cast<std::int64_t>(offset) * 1'000'000);
    columns->column(1).push_string(fmt::format("airport number {}", offset % 7), columns->arena());
    if (offset % 5 == 0) {
      columns->column(2).push_null();
    } else {
      columns->column(2).push<std::int64_t>(static_cast<std::int64_t>(offset + partition));
    }
  }
  return {.stream = stream.id,
          .partition = PartitionId(partition),
          .base_offset = Offset(base),
          .arrival_us = 1'700'000'000'000'000,
          .columns = std::move(columns)};
}

class LakeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("millrace-lake-{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    auto database =
        sql::Database::open({.threads = 1, .folders = {folder_ / "lake"}, .spill_folder = {}});
    ASSERT_TRUE(database) << database.error().text();
    database_ = *database;
    start();
    stream_ = *catalog_->create_stream(flights());
  }
  void TearDown() override {
    lake_.reset();
    catalog_.reset();
    fs::remove_all(folder_);
  }

  void start() {
    lake_.reset();
    catalog_.reset();
    auto catalog = catalog::Catalog::open(folder_ / "catalog.db");
    ASSERT_TRUE(catalog) << catalog.error().text();
    catalog_ = std::move(*catalog);
    auto lake = Lake::open(runtime::system_files(), *catalog_, database_, folder_ / "lake",
                           {.rows_per_file_max = 3'000});
    ASSERT_TRUE(lake) << lake.error().text();
    lake_ = std::move(*lake);
  }

  /// Three commits: all partitions with alternating batches, one partition only, many single rows.
  void fill() {
    const std::vector<StreamBatch> first = {batch(stream_, 0, 0, 2000), batch(stream_, 2, 0, 10),
                                            batch(stream_, 0, 2000, 2500), batch(stream_, 2, 10, 1),
                                            batch(stream_, 1, 0, 700)};
    ASSERT_TRUE(commit(position({4500, 700, 11}), first));
    ASSERT_TRUE(commit(position({4500, 701, 11}), {batch(stream_, 1, 700, 1)}));
    std::vector<StreamBatch> singles;
    for (std::uint64_t n = 0; n < 50; ++n) {
      for (std::uint32_t p = 0; p < kPartitions; ++p) {
        singles.push_back(batch(stream_, p, lake_end(p) + n, 1));
      }
    }
    ASSERT_TRUE(commit(position({4550, 751, 61}), singles));
  }

  Result<catalog::LakeCommit> commit(const Position& end, const std::vector<StreamBatch>& batches) {
    auto made = lake_->commit(stream_, end, batches);
    if (!made) last_error_ = made.error();
    return made;
  }
  [[nodiscard]] std::uint64_t lake_end(std::uint32_t partition) const {
    return lake_->snapshot(stream_.id)->end.end(PartitionId(partition)).value;
  }
  [[nodiscard]] fs::path stream_folder() const {
    return folder_ / "lake" / fmt::format("{}", stream_.id);
  }
  [[nodiscard]] std::vector<std::string> files_in_folder() const {
    return *runtime::system_files().list(stream_folder());
  }
  [[nodiscard]] std::vector<std::string> files_in_commits() const {
    std::vector<std::string> out;
    for (const auto& made : lake_->snapshot(stream_.id)->commits) {
      for (const auto& file : made.files) out.push_back(file.name);
    }
    std::ranges::sort(out);
    return out;
  }
  [[nodiscard]] Status verify_all() const {
    for (const auto& made : lake_->snapshot(stream_.id)->commits) {
      for (const auto& file : made.files) MR_RETURN_IF_ERROR(lake_->verify(stream_.id, file));
    }
    return {};
  }
  /// Every event that the commits hold, once and with its values.
  void expect_all_events() {
    std::vector<fs::path> paths;
    for (const auto& made : lake_->snapshot(stream_.id)->commits) {
      for (const auto& file : made.files) paths.push_back(lake_->path(stream_.id, file));
    }
    std::vector<std::vector<int>> seen(kPartitions);
    for (std::uint32_t p = 0; p < kPartitions; ++p) seen[p].resize(lake_end(p));
    const auto read =
        sql::read_lake_files(*database_, paths, stream_, [&](const StreamBatch& got) -> Status {
          const auto wanted =
              batch(stream_, got.partition.value, got.base_offset.value, got.columns->rows());
          for (std::size_t row = 0; row < got.columns->rows(); ++row) {
            ++seen.at(got.partition.value).at(got.base_offset.value + row);
            for (std::size_t c = 0; c < stream_.columns.size(); ++c) {
              EXPECT_EQ(value_text(got.columns->views()[c], row),
                        value_text(wanted.columns->views()[c], row));
            }
          }
          return {};
        });
    ASSERT_TRUE(read) << read.error().text();
    for (const auto& partition : seen) EXPECT_THAT(partition, testing::Each(1));
  }

  fs::path folder_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<Lake> lake_;
  StreamDefinition stream_;
  Error last_error_;
};

// Promise 4.
TEST_F(LakeTest, HoldsEveryEventOnceAlsoAfterARestart) {
  fill();
  const auto before = lake_->snapshot(stream_.id);
  EXPECT_EQ(before->end, position({4550, 751, 61}));
  EXPECT_EQ(before->last(), CommitNumber(3));
  std::uint64_t rows = 0;
  for (const auto& made : before->commits) {
    for (const auto& file : made.files) {
      rows += file.rows;
      EXPECT_LE(file.rows, 3000U);
      EXPECT_EQ(fs::file_size(lake_->path(stream_.id, file)), file.size_bytes);
    }
  }
  EXPECT_EQ(rows, before->end.events());
  EXPECT_EQ(before->commits[0].files.size(), 3U);
  expect_all_events();
  start();
  EXPECT_EQ(lake_->snapshot(stream_.id)->commits, before->commits);
  EXPECT_EQ(lake_->snapshot(stream_.id)->end, before->end);
  EXPECT_TRUE(verify_all());
  EXPECT_EQ(files_in_folder(), files_in_commits());
  expect_all_events();
}

TEST_F(LakeTest, KeepsStreamsApart) {
  auto other_definition = flights();
  other_definition.name = "clicks";
  const auto other = *catalog_->create_stream(other_definition);
  fill();
  ASSERT_TRUE(lake_->commit(other, position({0, 5}), std::vector{batch(other, 1, 0, 5)}));
  EXPECT_EQ(lake_->snapshot(other.id)->end, position({0, 5, 0}));
  EXPECT_EQ(lake_->snapshot(other.id)->last(), CommitNumber(1));
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(3));
  expect_all_events();
}

TEST_F(LakeTest, ASnapshotDoesNotChangeWhenACommitFollows) {
  const auto empty = lake_->snapshot(stream_.id);
  fill();
  EXPECT_EQ(empty->last(), CommitNumber(0));
  EXPECT_EQ(empty->end.events(), 0U);
}

TEST_F(LakeTest, RefusesBatchesThatDoNotTileTheRange) {
  fill();
  const auto end = position({4560, 751, 61});
  const auto refused = [&](const std::vector<StreamBatch>& batches) {
    const auto made = lake_->commit(stream_, end, batches);
    return !made && made.error().code == ErrorCode::kInternal;
  };
  EXPECT_TRUE(refused({})) << "missing";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 9)})) << "short";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 11)})) << "long";
  EXPECT_TRUE(refused({batch(stream_, 0, 4551, 9)})) << "late";
  EXPECT_TRUE(refused({batch(stream_, 0, 4549, 11)})) << "early";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 4), batch(stream_, 0, 4555, 5)})) << "gap";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 6), batch(stream_, 0, 4555, 5)})) << "overlap";
  EXPECT_TRUE(refused({batch(stream_, 0, 4555, 5), batch(stream_, 0, 4550, 5)})) << "order";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 10), batch(stream_, 1, 751, 1)}))
      << "other partition";
  EXPECT_TRUE(refused({batch(stream_, 0, 4550, 10), batch(stream_, 3, 0, 1)}))
      << "no such partition";
  auto stray = batch(stream_, 0, 4550, 10);
  stray.stream = StreamId(77);
  EXPECT_TRUE(refused({stray})) << "other stream";
  EXPECT_FALSE(lake_->commit(stream_, lake_->snapshot(stream_.id)->end, {})) << "empty range";
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(3));
  EXPECT_EQ(files_in_folder(), files_in_commits());
  EXPECT_TRUE(commit(end, {batch(stream_, 0, 4550, 10)}));
}

TEST_F(LakeTest, AFailedCommitLeavesNothing) {
  fill();
  // A folder stands where the second file would be.
  fs::create_directories(stream_folder() / "4-1.parquet" / "x");
  const auto end = position({10'550, 751, 61});
  const std::vector<StreamBatch> batches = {batch(stream_, 0, 4550, 3000),
                                            batch(stream_, 0, 7550, 3000)};
  EXPECT_FALSE(commit(end, batches));
  EXPECT_EQ(files_in_folder(), files_in_commits());
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(3));
  fs::remove_all(stream_folder() / "4-1.parquet");
  EXPECT_TRUE(commit(end, batches)) << last_error_.text();
  EXPECT_EQ(files_in_folder(), files_in_commits());
  expect_all_events();
}

TEST_F(LakeTest, ACommitOfADroppedStreamLeavesNothing) {
  fill();
  ASSERT_TRUE(catalog_->drop_stream(stream_.id));
  EXPECT_FALSE(commit(position({4551, 751, 61}), {batch(stream_, 0, 4550, 1)}));
  EXPECT_THAT(files_in_folder(), testing::Not(testing::Contains("4-0.parquet")));
  ASSERT_TRUE(lake_->sweep());
  EXPECT_FALSE(fs::exists(stream_folder()));
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(0));
}

// Promise 4: the catalog's record is the commit, files without it are none.
TEST_F(LakeTest, FilesWrittenBeforeACrashAreNoCommitAndAreSweptOrReplaced) {
  fill();
  fs::copy_file(stream_folder() / "1-0.parquet", stream_folder() / "4-0.parquet");
  fs::copy_file(stream_folder() / "1-0.parquet", stream_folder() / "9-9.parquet");
  start();
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(3));
  ASSERT_TRUE(commit(position({4551, 751, 61}), {batch(stream_, 0, 4550, 1)}))
      << last_error_.text();
  ASSERT_TRUE(lake_->sweep());
  EXPECT_EQ(files_in_folder(), files_in_commits());
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(4));
  EXPECT_TRUE(verify_all());
  expect_all_events();
}

TEST_F(LakeTest, FilesOfACommitInDoubtStayForTheNextStart) {
  fill();
  fs::create_directories(folder_ / "catalog.epoch.tmp" / "x");
  EXPECT_FALSE(commit(position({4551, 751, 61}), {batch(stream_, 0, 4550, 1)}));
  EXPECT_FALSE(lake_->sweep()) << "the catalog in memory is not the one on disk";
  EXPECT_THAT(files_in_folder(), testing::Contains("4-0.parquet"));
  fs::remove_all(folder_ / "catalog.epoch.tmp");
  start();
  ASSERT_TRUE(lake_->sweep());
  EXPECT_EQ(lake_->snapshot(stream_.id)->last(), CommitNumber(4));
  EXPECT_EQ(files_in_folder(), files_in_commits());
  EXPECT_TRUE(verify_all());
}

TEST_F(LakeTest, TheSweepLeavesALakeAloneThatIsNotItsCatalogs) {
  fill();
  lake_.reset();
  catalog_.reset();
  for (const auto* name : {"catalog.db", "catalog.db-wal", "catalog.db-shm", "catalog.epoch"}) {
    fs::remove(folder_ / name);
  }
  start();
  const auto before = files_in_folder();
  EXPECT_EQ(lake_->sweep().error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(files_in_folder(), before);
}

TEST_F(LakeTest, FindsEveryFlippedBit) {
  fill();
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const auto& made : lake_->snapshot(stream_.id)->commits) {
    for (const auto& file : made.files) {
      const auto place = lake_->path(stream_.id, file);
      std::ifstream in(place, std::ios::binary);
      const std::string whole{std::istreambuf_iterator<char>(in), {}};
      const auto write = [&](const std::string& bytes) {
        std::ofstream(place, std::ios::binary | std::ios::trunc) << bytes;
      };
      for (int round = 0; round < 60; ++round) {
        auto bytes = whole;
        const auto bit = random() % (bytes.size() * 8);
        bytes[bit / 8] =
            static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) ^ (1U << (bit % 8)));
        write(bytes);
        const auto found = lake_->verify(stream_.id, file);
        ASSERT_FALSE(found) << bit;
        ASSERT_EQ(found.error().id, error_id::kChecksum);
        ASSERT_THAT(found.error().message, HasSubstr(place.string()));
      }
      write(whole.substr(0, whole.size() / 2));
      ASSERT_FALSE(lake_->verify(stream_.id, file));
      ASSERT_FALSE(lake_->verify_once(stream_.id, file));
      fs::remove(place);
      ASSERT_EQ(lake_->verify(stream_.id, file).error().code, ErrorCode::kDataLoss);
      ASSERT_FALSE(lake_->verify_once(stream_.id, file));
      write(whole);
      ASSERT_TRUE(lake_->verify(stream_.id, file));
      ASSERT_TRUE(lake_->verify_once(stream_.id, file));
    }
  }
}

TEST_F(LakeTest, VerifyOnceReadsAFileAgainOnlyWhenItChanged) {
  fill();
  const auto file = lake_->snapshot(stream_.id)->commits[0].files[0];
  const auto place = lake_->path(stream_.id, file);
  EXPECT_TRUE(lake_->verify_once(stream_.id, file));
  const auto time = fs::last_write_time(place);
  {
    std::fstream damage(place, std::ios::binary | std::ios::in | std::ios::out);
    damage.seekp(100);
    damage.put('\x55');
    damage.put('\xaa');
  }
  fs::last_write_time(place, time);
  EXPECT_TRUE(lake_->verify_once(stream_.id, file)) << "same size, time and inode: not read again";
  fs::last_write_time(place, time + std::chrono::seconds(1));
  EXPECT_FALSE(lake_->verify_once(stream_.id, file));
  fs::last_write_time(place, time);
  start();
  EXPECT_FALSE(lake_->verify_once(stream_.id, file)) << "after a start every file is read";
}

}  // namespace
}  // namespace millrace::lake
