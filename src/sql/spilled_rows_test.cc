// Rows of answers on disk: all come back, also parts of them, and damage is told.
#include "sql/spilled_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/column_batch_codec.h"
#include "runtime/simulated_file_system.h"

namespace millrace::sql {
namespace {

using ::testing::HasSubstr;

/// A disk on which a file keeps its name, so that a test can damage it.
class NamedFiles final : public runtime::FileSystem {
 public:
  Result<std::unique_ptr<runtime::File>> open(const std::filesystem::path& path,
                                              runtime::OpenMode mode) override {
    return disk.open(path, mode);
  }
  Status create_directories(const std::filesystem::path& path) override {
    return disk.create_directories(path);
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return disk.rename(from, to);
  }
  Status remove(const std::filesystem::path&) override { return {}; }
  Result<std::vector<std::string>> list(const std::filesystem::path& directory) override {
    return disk.list(directory);
  }
  Status sync_directory(const std::filesystem::path& directory) override {
    return disk.sync_directory(directory);
  }
  bool exists(const std::filesystem::path& path) override { return disk.exists(path); }

  runtime::SimulatedFileSystem disk{1};
};

class SpilledRowsTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kBatchRows = 1000;

  static std::string batch(std::uint32_t first, std::uint32_t rows) {
    const std::vector<Type> types = {Type{TypeKind::kBigInt}, Type{TypeKind::kVarchar}};
    ColumnBatch made(types);
    for (std::uint32_t i = first; i < first + rows; ++i) {
      made.column(0).push<std::int64_t>(i);
      made.column(1).push_string(std::string(200, 'x'), made.arena());
    }
    const auto views = made.views();
    std::string bytes;
    encode_column_batch({views, made.rows()}, bytes);
    return bytes;
  }
  Result<std::unique_ptr<SpillWriter>> writer(runtime::FileSystem& files) {
    return SpillWriter::create(files, "scratch-1.rows",
                               {Type{TypeKind::kBigInt}, Type{TypeKind::kVarchar}}, counters_);
  }
  /// The numbers from 0 on, in so many batches.
  std::shared_ptr<SpilledRows> spill(runtime::FileSystem& files, std::uint32_t batches) {
    auto made = writer(files);
    EXPECT_TRUE(made) << made.error().text();
    for (std::uint32_t i = 0; i < batches; ++i) {
      const auto appended = (*made)->append(batch(i * kBatchRows, kBatchRows), kBatchRows);
      EXPECT_TRUE(appended) << appended.error().text();
    }
    auto rows = (*made)->finish();
    EXPECT_TRUE(rows) << rows.error().text();
    return *rows;
  }
  /// Expects the numbers [begin, end).
  static void expect_numbers(SpilledRows& rows, std::int64_t begin, std::int64_t end) {
    EXPECT_EQ(rows.rows(), static_cast<std::uint64_t>(end - begin));
    std::int64_t number = begin;
    while (!rows.at_end()) {
      const auto some = rows.next();
      ASSERT_TRUE(some) << some.error().text();
      ASSERT_NE((*some)->rows(), 0u);
      for (std::size_t i = 0; i < (*some)->rows(); ++i)
        ASSERT_EQ((*some)->column(0).data<std::int64_t>()[i], number++);
    }
    EXPECT_EQ(number, end);
  }

  std::shared_ptr<SpillCounters> counters_ = std::make_shared<SpillCounters>();
};

TEST_F(SpilledRowsTest, ComeBackInOrderAndInParts) {
  runtime::SimulatedFileSystem files(1);
  const auto rows = spill(files, 50);  // 10 MB: several marks
  EXPECT_FALSE(files.exists("scratch-1.rows"));
  for (const auto& [begin, end] :
       std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, 50'000},
                                                            {0, 0},
                                                            {0, 1},
                                                            {999, 1001},
                                                            {1000, 2000},
                                                            {23'456, 49'999},
                                                            {49'999, 50'000}}) {
    const auto part = rows->part(begin, end);
    expect_numbers(*part, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
    expect_numbers(*rows->part(begin, 50'000)->part(0, end - begin),
                   static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
  }
  expect_numbers(*rows, 0, 50'000);
}

TEST_F(SpilledRowsTest, AreCountedUntilTheLastOneIsGiven) {
  runtime::SimulatedFileSystem files(1);
  auto rows = spill(files, 10);
  EXPECT_EQ(counters_->answers, 1u);
  EXPECT_GT(counters_->bytes, 2'000'000u);
  EXPECT_EQ(counters_->held_bytes, counters_->bytes);
  expect_numbers(*rows, 0, 10'000);
  EXPECT_EQ(counters_->held_bytes, 0u);
  rows = spill(files, 10);
  EXPECT_NE(counters_->held_bytes, 0u);
  rows.reset();
  EXPECT_EQ(counters_->held_bytes, 0u);
}

TEST_F(SpilledRowsTest, TellOfDamageWhereverItIs) {
  const std::uint64_t size = 16 + batch(0, kBatchRows).size();
  // In the heads and the rows of the second batch.
  for (const std::uint64_t byte : {0, 4, 8, 12, 16, 40, 5000, 200'000}) {
    NamedFiles files;
    const auto rows = spill(files, 3);
    files.disk.flip_bit("scratch-1.rows", (size + byte) * 8 + 3);
    EXPECT_TRUE(rows->next());
    for (int i = 0; i < 2; ++i) {
      const auto damaged = rows->next();
      ASSERT_FALSE(damaged) << byte;
      EXPECT_EQ(damaged.error().code, ErrorCode::kDataLoss);
      EXPECT_THAT(damaged.error().message, HasSubstr(fmt::format("at byte {}", size)));
    }
    // Whoever wants only what is behind it is told of its head, by which it is stepped over.
    const auto behind = rows->part(2000, 3000);
    EXPECT_EQ(behind->next().has_value(), byte >= 16);
  }
}

TEST_F(SpilledRowsTest, TellOfAFileThatIsTooShort) {
  NamedFiles files;
  const auto rows = spill(files, 3);
  files.disk.cut_file("scratch-1.rows", 16 + batch(0, kBatchRows).size() + 100);
  EXPECT_TRUE(rows->next());
  const auto damaged = rows->next();
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().id, error_id::kChecksum);
}

TEST_F(SpilledRowsTest, TellOfAFullDisk) {
  using Disk = runtime::SimulatedFileSystem;
  Disk files(1);
  files.set_faults([](const Disk::Call& call) {
    const bool full = call.operation == Disk::Operation::kWrite && call.number > 3;
    return full ? Disk::Fault::kDiskFull : Disk::Fault::kNone;
  });
  auto made = writer(files);
  ASSERT_TRUE(made);
  Status appended;
  for (std::uint32_t i = 0; i < 20 && appended; ++i)
    appended = (*made)->append(batch(i * kBatchRows, kBatchRows), kBatchRows);
  ASSERT_FALSE(appended);
  EXPECT_EQ(appended.error().id, error_id::kDiskFull);
}

TEST_F(SpilledRowsTest, EndWhenTheyAreCancelled) {
  runtime::SimulatedFileSystem files(1);
  const auto rows = spill(files, 3);
  EXPECT_TRUE(rows->next());
  rows->cancel();
  const auto ended = rows->next();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace millrace::sql
