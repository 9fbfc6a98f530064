// Repeated records on a disk that loses power, fills up and comes back: a value that was
// acknowledged, as new or as a repeat, is stored exactly once, whatever happened between.
#include "ingest/duplicate_filter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "ingest/ingest.h"
#include "ingest/replay.h"
#include "runtime/simulated_file_system.h"

namespace millrace::ingest {
namespace {

SeenValue seen(std::uint64_t value, std::int64_t time_us = 0) {
  return {sip_hash_128({1, 2}, fmt::format("{}", value)), time_us};
}

TEST(SeenValues, KnowsWhatItWasToldAndNothingElse) {
  SeenValues values(std::nullopt);
  for (std::uint64_t i = 0; i < 100'000; ++i) values.insert(seen(2 * i));
  for (std::uint64_t i = 0; i < 100'000; ++i) values.insert(seen(2 * i));
  EXPECT_EQ(values.size(), 100'000U);
  for (std::uint64_t i = 0; i < 200'000; ++i)
    ASSERT_EQ(values.contains(seen(i).hash, 0), i % 2 == 0) << i;
  EXPECT_LE(values.size_bytes(), 100'000U * 16 * 4);
}

TEST(SeenValues, ForgetsWhatIsOlderThanTheIntervalBeforeTheNewest) {
  SeenValues values(100);
  values.insert(seen(1, 1000));
  EXPECT_TRUE(values.contains(seen(1).hash, 1100));
  EXPECT_FALSE(values.contains(seen(1).hash, 1101)) << "the value itself is that much newer";
  EXPECT_TRUE(values.contains(seen(1).hash, 5)) << "a late one, of which the value is known";
  values.insert(seen(2, 1100));
  EXPECT_TRUE(values.contains(seen(1).hash, 0));
  values.insert(seen(3, 1101));
  EXPECT_FALSE(values.contains(seen(1).hash, 0));
  values.insert(seen(4, 1000));
  EXPECT_FALSE(values.contains(seen(4).hash, 1000)) << "older than what is remembered";
}

TEST(SeenValues, HoldsOnlyTheIntervalHoweverMuchPassesThrough) {
  SeenValues values(1000);
  std::uint64_t bytes = 0;
  for (std::int64_t t = 0; t < 300'000; ++t) {
    values.insert(seen(static_cast<std::uint64_t>(t), t));
    bytes = std::max(bytes, values.size_bytes());
  }
  EXPECT_LT(values.size(), 10'000U);
  EXPECT_LT(bytes, 1'000'000U);
  EXPECT_TRUE(values.contains(seen(299'500).hash, 0));
}

class DuplicateFilterTest : public testing::Test {
 protected:
  static StreamDefinition events() {
    StreamDefinition stream;
    stream.quarantine = StreamId(2);
    stream.id = StreamId(1);
    stream.name = "events";
    stream.columns = {{"id", {TypeKind::kBigInt}}, {"n", {TypeKind::kBigInt}}};
    stream.key_column = 0;
    stream.dedup_column = 0;
    stream.partitions = 2;
    return stream;
  }
  static StreamDefinition quarantine() {
    StreamDefinition stream = quarantine_definition();
    stream.id = StreamId(2);
    stream.name = "events__quarantine";
    return stream;
  }
  void open(runtime::FileSystem& files, std::uint64_t segment_bytes,
            format::DecodeLimits limits = {}) {
    close();
    speed_ = std::make_unique<speed::SpeedLayer>(speed::TailOptions{});
    stream_ = speed_->add_stream(events(), CommitNumber(0), Position(2));
    speed_->add_stream(quarantine(), CommitNumber(0), Position(1));
    filters_ = std::make_unique<DuplicateFilters>(*speed_);
    Replay replay(*speed_, *filters_, 1);
    auto log =
        log::CommitLog::open(files,
                             {.folder = "/log",
                              .segment_bytes = segment_bytes,
                              .commit_bytes_max = 1 << 14,
                              .queue_bytes_max = 1 << 16},
                             {{{StreamId(1), PartitionId(0)}, Offset(0)},
                              {{StreamId(1), PartitionId(1)}, Offset(0)},
                              {{StreamId(2), PartitionId(0)}, Offset(0)}},
                             [&](const log::RecoveredBatch& batch) { return replay.add(batch); });
    ASSERT_TRUE(log) << log.error().text();
    log_ = std::move(*log);
    ASSERT_TRUE(replay.finish());
    ingest_ = std::make_unique<Ingest>(*log_, *speed_, *filters_, IngestOptions{.limits = limits});
    ingest_->start();
  }
  void close() {
    ingest_.reset();
    log_.reset();
  }
  void TearDown() override { close(); }
  void submit(const std::string& lines, Ingest::Done done) {
    ingest_->submit(stream_, PaddedBytes::copy_of(lines), format::JsonFraming::kLines, "test",
                    std::move(done));
  }
  /// How often each value is stored.
  std::map<std::int64_t, int> stored() {
    std::map<std::int64_t, int> out;
    for (const auto& entry : stream_->snapshot().tail) {
      const auto batch = load_tail_entry(*log_, stream_->definition(), entry);
      EXPECT_TRUE(batch);
      const auto& ids = batch->columns->column(0);
      for (std::size_t row = 0; row < batch->columns->rows(); ++row) {
        if (ids.valid(row)) ++out[ids.data<std::int64_t>()[row]];
      }
    }
    return out;
  }

  std::unique_ptr<speed::SpeedLayer> speed_;
  std::shared_ptr<speed::StreamState> stream_;
  std::unique_ptr<DuplicateFilters> filters_;
  std::unique_ptr<log::CommitLog> log_;
  std::unique_ptr<Ingest> ingest_;
};

// Promise 4.
TEST_F(DuplicateFilterTest, StoresEveryAcknowledgedValueOnceThroughPowerLossesAndFullDisks) {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  runtime::SimulatedFileSystem disk(seed);
  ASSERT_TRUE(disk.create_directories("/log"));
  std::set<std::int64_t> acknowledged;
  Mutex mutex;
  for (int life = 0; life < 25; ++life) {
    open(disk, 16384);
    if (HasFatalFailure()) return;
    for (const auto& [id, times] : stored()) ASSERT_EQ(times, 1) << "value " << id;
    std::vector<std::uint64_t> seeds(4);
    for (auto& one : seeds) one = random();
    const int fate = static_cast<int>(random() % 3);
    if (fate == 0) disk.cut_power_after(random() % 60);
    if (fate == 1) {
      // Full for some calls, then not: requests fail and the log goes on.
      const std::uint64_t from = disk.calls() + random() % 30;
      disk.set_faults([from](const runtime::SimulatedFileSystem::Call& call) {
        const bool full = call.number >= from && call.number < from + 20 &&
                          (call.operation == runtime::SimulatedFileSystem::Operation::kCreate ||
                           call.operation == runtime::SimulatedFileSystem::Operation::kWrite) &&
                          call.path.filename().string().find(".tmp") != std::string::npos;
        return full ? runtime::SimulatedFileSystem::Fault::kDiskFull
                    : runtime::SimulatedFileSystem::Fault::kNone;
      });
    }
    std::atomic<int> open_requests{0};
    std::vector<std::thread> producers;
    for (const auto one : seeds) {
      producers.emplace_back([&, one] {
        std::mt19937_64 own(one);
        for (int request = 0; request < 15; ++request) {
          std::vector<std::int64_t> ids;
          std::string lines;
          for (std::uint64_t i = 0; i <= own() % 6; ++i) {
            ids.push_back(static_cast<std::int64_t>(own() % 600));
            lines += fmt::format("{{\"id\":{},\"n\":{}}}\n", ids.back(), own() % 100);
          }
          ++open_requests;
          submit(lines, [&, ids](const Result<IngestReply>& reply) {
            if (reply) {
              EXPECT_EQ(reply->accepted + reply->duplicates, ids.size());
              const MutexLock lock(mutex);
              acknowledged.insert(ids.begin(), ids.end());
            }
            --open_requests;
          });
        }
      });
    }
    for (auto& producer : producers) producer.join();
    ingest_->stop();
    EXPECT_EQ(open_requests, 0);
    if (fate != 0) {
      const auto now = stored();
      const MutexLock lock(mutex);
      for (const auto id : acknowledged) ASSERT_EQ(now.count(id), 1U) << "value " << id;
      for (const auto& [id, times] : now) ASSERT_EQ(times, 1) << "value " << id;
    }
    close();
    disk.set_faults({});
    if (fate == 0 || random() % 2 == 0) {
      disk.restore_power();
    } else {
      disk.restart_process();
    }
  }
  open(disk, 16384);
  const auto now = stored();
  const MutexLock lock(mutex);
  for (const auto id : acknowledged) ASSERT_EQ(now.count(id), 1U) << "value " << id;
  for (const auto& [id, times] : now) ASSERT_EQ(times, 1) << "value " << id;
  EXPECT_GT(acknowledged.size(), 100U);
  // The log writes until it is closed, and the disk goes with this function.
  close();
}

TEST_F(DuplicateFilterTest, FailsARepeatOfWhatCouldNotBeStoredAndTakesItAfterwards) {
  runtime::SimulatedFileSystem disk(3);
  ASSERT_TRUE(disk.create_directories("/log"));
  open(disk, 16384);
  std::atomic<int> failed{0};
  disk.set_faults([](const runtime::SimulatedFileSystem::Call& call) {
    return call.operation == runtime::SimulatedFileSystem::Operation::kSyncData
               ? runtime::SimulatedFileSystem::Fault::kIoError
               : runtime::SimulatedFileSystem::Fault::kNone;
  });
  for (int i = 0; i < 5; ++i) {
    submit("{\"id\":7}\n", [&](const Result<IngestReply>& reply) { failed += reply ? 0 : 1; });
  }
  ingest_->stop();
  EXPECT_EQ(failed, 5);
  close();
  disk.set_faults({});
  disk.restore_power();
  open(disk, 16384);
  std::uint64_t accepted = 0;
  std::uint64_t duplicates = 0;
  for (int i = 0; i < 3; ++i) {
    submit("{\"id\":7}\n{\"id\":null}\n{}\n", [&](const Result<IngestReply>& reply) {
      ASSERT_TRUE(reply) << reply.error().text();
      accepted += reply->accepted;
      duplicates += reply->duplicates;
    });
  }
  ingest_->stop();
  const auto now = stored();
  EXPECT_EQ(now.at(7), 1);
  // The sync failed, its write may have reached the device.
  EXPECT_EQ(accepted + duplicates, 9U);
  EXPECT_GE(accepted, 6U) << "without a value nothing is a repeat";
  EXPECT_GE(duplicates, 2U);
  close();
}

// Promise 4: the events and the row that says that they came back are one commit.
TEST_F(DuplicateFilterTest, GivesBackEachQuarantinedRecordOnceThroughPowerLosses) {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  runtime::SimulatedFileSystem disk(seed);
  ASSERT_TRUE(disk.create_directories("/log"));
  constexpr int kRecords = 120;
  const auto record = [](int n) { return fmt::format("{{\"n\":{},\"other\":[]}}", n); };
  open(disk, 16384, {.depth_max = 1});
  for (int n = 0; n < kRecords; ++n) {
    submit(record(n) + "\n", [](const Result<IngestReply>& reply) {
      ASSERT_TRUE(reply);
      ASSERT_EQ(reply->rejected.size(), 1U);
    });
  }
  ingest_->stop();
  EXPECT_EQ(speed_->stream(StreamId(2))->quarantined(), std::uint64_t{kRecords});
  int lives = 0;
  for (std::uint64_t back = 0; back < kRecords;) {
    ASSERT_LT(++lives, 500);
    close();
    disk.restore_power();
    open(disk, 16384);
    if (HasFatalFailure()) return;
    disk.cut_power_after(random() % 40);
    std::atomic<int> told{0};
    for (int n = 0; n < kRecords; ++n) {
      if (random() % 3 == 0) continue;
      ++told;
      ingest_->bring_back(stream_, Offset(static_cast<std::uint64_t>(n)), record(n), "test",
                          [&](const Result<Replayed>&) { --told; });
    }
    ingest_->stop();
    EXPECT_EQ(told, 0);
    close();
    disk.restore_power();
    open(disk, 16384);
    if (HasFatalFailure()) return;
    std::map<std::int64_t, int> numbers;
    for (const auto& entry : stream_->snapshot().tail) {
      const auto batch = load_tail_entry(*log_, stream_->definition(), entry);
      ASSERT_TRUE(batch);
      const auto& column = batch->columns->column(1);
      for (std::size_t row = 0; row < column.rows(); ++row)
        ++numbers[column.data<std::int64_t>()[row]];
    }
    for (const auto& [n, times] : numbers) ASSERT_EQ(times, 1) << "record " << n;
    back = numbers.size();
    ASSERT_EQ(speed_->stream(StreamId(2))->quarantined(), kRecords - back);
  }
  close();
}

}  // namespace
}  // namespace millrace::ingest
