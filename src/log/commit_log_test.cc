// The log on the real disk: durability order, offsets, rolling, trimming, recovery, damage.
#include "log/commit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "log/log_fixture.h"

namespace millrace::log {
namespace {

const StreamPartition kFirst = {StreamId(1), PartitionId(0)};

LogOptions small_options(const std::filesystem::path& folder) {
  return {.folder = folder, .segment_bytes = 16 << 10, .commit_bytes_max = 4 << 10};
}

OpenedLog must_open(const LogOptions& options, const Offsets& first_offsets = {}) {
  OpenedLog opened = open_log(runtime::system_files(), options, first_offsets);
  EXPECT_TRUE(opened.log != nullptr) << opened.error.text();
  return opened;
}

/// Appends one-batch groups and waits for each.
void append_each(CommitLog& log, RememberingSink& sink, int count, int records = 3,
                 const std::string& text = "event") {
  const std::size_t before = sink.groups_told();
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(log.append(
        group(entry(1, 0, static_cast<std::uint32_t>(records), fmt::format("{}-{}", text, i)))));
    ASSERT_TRUE(sink.wait_for(before + static_cast<std::size_t>(i) + 1));
  }
}

void expect_same(const std::vector<Acknowledged>& recovered,
                 const std::vector<Acknowledged>& told) {
  ASSERT_EQ(recovered.size(), told.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(recovered[i].partition, told[i].partition);
    EXPECT_EQ(recovered[i].base_offset, told[i].base_offset);
    EXPECT_EQ(recovered[i].values, told[i].values);
    EXPECT_EQ(recovered[i].place.segment, told[i].place.segment);
    EXPECT_EQ(recovered[i].place.offset, told[i].place.offset);
  }
}

TEST(CommitLog, GivesBackAfterAReopenWhatItAcknowledged) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path() / "log");
  RememberingSink sink;
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    append_each(*opened.log, sink, 20);
    EXPECT_EQ(opened.log->end(StreamId(1), PartitionId(0)), Offset(60));
    EXPECT_EQ(opened.log->statistics().records, 60U);
    EXPECT_EQ(opened.log->statistics().queue_bytes, 0U);
  }
  const OpenedLog again = must_open(options);
  expect_same(again.visited, sink.acknowledged());
  EXPECT_EQ(again.log->end(StreamId(1), PartitionId(0)), Offset(60));
  EXPECT_EQ(again.log->statistics().torn_tail_bytes, 0U);
}

TEST(CommitLog, GoesOnWithTheOffsetsAfterEveryReopenAcrossManySegments) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  for (int round = 0; round < 12; ++round) {
    const OpenedLog opened = must_open(options);
    expect_same(opened.visited, sink.acknowledged());
    opened.log->start(sink.sink());
    append_each(*opened.log, sink, 5, 40 + round, "a rather long text that fills segments");
  }
  const OpenedLog last = must_open(options);
  expect_same(last.visited, sink.acknowledged());
  EXPECT_GT(last.log->statistics().segments, 5U);
}

TEST(CommitLog, GivesOffsetsWithoutGapToBatchesOfManyThreads) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  constexpr int kThreads = 4;
  constexpr int kGroups = 150;
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kGroups; ++i) {
          LogGroup made;
          made.entries.push_back(
              entry(1, static_cast<std::uint32_t>(i % 3), 2, fmt::format("{}-{}", t, i)));
          made.entries.push_back(entry(2, 0, 1, fmt::format("{}-{}", t, i)));
          EXPECT_TRUE(opened.log->append(std::move(made)));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(sink.wait_for(kThreads * kGroups));
  }
  std::map<StreamPartition, std::uint64_t> ends;
  for (const Acknowledged& batch : sink.acknowledged()) {
    EXPECT_EQ(batch.base_offset, ends[batch.partition]);
    ends[batch.partition] += batch.values.size();
  }
  const StreamPartition second = {StreamId(2), PartitionId(0)};
  EXPECT_EQ(ends[second], static_cast<std::uint64_t>(kThreads * kGroups));
  expect_same(must_open(options).visited, sink.acknowledged());
}

TEST(CommitLog, ReadsABatchAtItsPlace) {
  const TemporaryFolder folder;
  RememberingSink sink;
  const OpenedLog opened = must_open(small_options(folder.path()));
  opened.log->start(sink.sink());
  append_each(*opened.log, sink, 30, 20);
  for (const Acknowledged& batch : sink.acknowledged()) {
    const auto bytes = opened.log->read(batch.place);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().text();
    EXPECT_EQ(wire::check_record_batch(*bytes)->base_offset, batch.base_offset);
    EXPECT_EQ(values_of(*bytes), batch.values);
  }
  EXPECT_FALSE(opened.log->read({.segment = 999, .offset = 64, .size_bytes = 100}));
}

TEST(CommitLog, CommitsWhatIsQueuedWhenItStopsAndRefusesWhatComesThen) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  const OpenedLog opened = must_open(options);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(opened.log->append(group(entry(1, 0, 1, "queued"))));
  opened.log->start(sink.sink());
  opened.log->stop();
  opened.log->stop();
  EXPECT_EQ(sink.acknowledged().size(), 50U);
  const Status refused = opened.log->append(group(entry(1, 0, 1, "late")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST(CommitLog, SaysBusyWhenItsQueueIsFull) {
  const TemporaryFolder folder;
  LogOptions options = small_options(folder.path());
  options.queue_bytes_max = 1'000;
  RememberingSink sink;
  const OpenedLog opened = must_open(options);
  Status status;
  int taken = 0;
  while ((status = opened.log->append(group(entry(1, 0, 1, "waits")))).has_value()) ++taken;
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(status.error().id, error_id::kBusy);
  EXPECT_GT(taken, 1);
  opened.log->start(sink.sink());
  ASSERT_TRUE(sink.wait_for(static_cast<std::size_t>(taken)));
  opened.log->stop();
  EXPECT_EQ(sink.acknowledged().size(), static_cast<std::size_t>(taken));
}

TEST(CommitLog, RefusesAGroupThatFitsIntoNoSegment) {
  const TemporaryFolder folder;
  const OpenedLog opened = must_open(small_options(folder.path()));
  const Status refused = opened.log->append(group(entry(1, 0, 1, std::string(16 << 10, 'x'))));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPayloadTooLarge);
}

TEST(CommitLog, RollsInTheMiddleOfACommit) {
  const TemporaryFolder folder;
  LogOptions options = small_options(folder.path());
  options.commit_bytes_max = 12 << 10;
  RememberingSink sink;
  {
    const OpenedLog opened = must_open(options);
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(opened.log->append(group(entry(1, 0, 5, fmt::format("number {}", i)))));
    }
    opened.log->start(sink.sink());
    ASSERT_TRUE(sink.wait_for(300));
    EXPECT_LT(opened.log->statistics().commits, 30U);
    EXPECT_GT(opened.log->statistics().segments, 2U);
  }
  expect_same(must_open(options).visited, sink.acknowledged());
}

TEST(CommitLog, PassesGroupsWithoutEntriesThrough) {
  const TemporaryFolder folder;
  RememberingSink sink;
  const OpenedLog opened = must_open(small_options(folder.path()));
  opened.log->start(sink.sink());
  ASSERT_TRUE(opened.log->append(LogGroup{}));
  EXPECT_TRUE(sink.wait_for(1));
  EXPECT_TRUE(sink.failures().empty());
}

TEST(CommitLogTrim, LetsGoOfSegmentsThatTheLakeHasAndUsesThemAgain) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  std::vector<Acknowledged> kept;
  Offsets covered;
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    for (int round = 0; round < 10; ++round) {
      append_each(*opened.log, sink, 10, 50, "round");
      const Acknowledged last = sink.acknowledged().back();
      covered[kFirst] = Offset(last.base_offset);  // all but the last batch
      ASSERT_TRUE(opened.log->trim(covered));
      EXPECT_LE(opened.log->statistics().segments, 2U);
      if (round == 0) continue;  // all is in the first segment yet
      const auto first = opened.log->read(sink.acknowledged().front().place);
      ASSERT_FALSE(first.has_value());
      EXPECT_EQ(first.error().code, ErrorCode::kNotFound);
      ASSERT_TRUE(opened.log->read(last.place).has_value());
    }
    kept.push_back(sink.acknowledged().back());
  }
  std::size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path()))
    files += file.exists();
  EXPECT_LE(files, 3U + options.spare_segments_max);
  const OpenedLog again = must_open(options, covered);
  expect_same(again.visited, kept);
  EXPECT_EQ(again.log->end(kFirst.first, kFirst.second), Offset(10 * 10 * 50));
}

TEST(CommitLogTrim, KeepsASegmentWhileOnePartitionIsNotCovered) {
  const TemporaryFolder folder;
  RememberingSink sink;
  const OpenedLog opened = must_open(small_options(folder.path()));
  opened.log->start(sink.sink());
  ASSERT_TRUE(opened.log->append(group(entry(1, 7, 1, "alone"))));
  ASSERT_TRUE(sink.wait_for(1));
  append_each(*opened.log, sink, 30, 50);
  const auto segments = opened.log->statistics().segments;
  const Offsets covered = {{kFirst, Offset(1'500)}};
  ASSERT_TRUE(opened.log->trim(covered));
  ASSERT_TRUE(opened.log->trim(covered));
  EXPECT_EQ(opened.log->statistics().segments, segments);
  EXPECT_TRUE(opened.log->read(sink.acknowledged().front().place).has_value());
}

TEST(CommitLogTrim, TakesAStreamThatIsNotNamedTwiceForDropped) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  const Offsets covered = {{kFirst, Offset(1'500)}};
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    ASSERT_TRUE(opened.log->append(group(entry(9, 0, 5, "of a dropped stream"))));
    ASSERT_TRUE(sink.wait_for(1));
    append_each(*opened.log, sink, 30, 50);
    ASSERT_TRUE(opened.log->trim(covered));
    EXPECT_GT(opened.log->statistics().segments, 1U);
    ASSERT_TRUE(opened.log->trim(covered));
    EXPECT_EQ(opened.log->statistics().segments, 1U);
  }
  EXPECT_TRUE(must_open(options, covered).visited.empty());
}

TEST(CommitLogRecovery, DoesNotVisitWhatTheLakeHasAndGoesOnBehindIt) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    append_each(*opened.log, sink, 10, 10);
  }
  const StreamPartition other = {StreamId(5), PartitionId(2)};
  const OpenedLog again = must_open(options, {{kFirst, Offset(75)}, {other, Offset(33)}});
  ASSERT_EQ(again.visited.size(), 3U);
  EXPECT_EQ(again.visited.front().base_offset, 70U);
  EXPECT_EQ(again.log->end(other.first, other.second), Offset(33));
}

TEST(CommitLogRecovery, PassesOnTheErrorOfTheVisitor) {
  const TemporaryFolder folder;
  const LogOptions options = small_options(folder.path());
  RememberingSink sink;
  {
    const OpenedLog opened = must_open(options);
    opened.log->start(sink.sink());
    append_each(*opened.log, sink, 1);
  }
  const auto failed =
      CommitLog::open(runtime::system_files(), options, {}, [](const RecoveredBatch&) {
        return Status(fail(ErrorCode::kCancelled, error_id::kStopping, "enough"));
      });
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace millrace::log
