// The log on a disk that fails on purpose. Promise 2: what was acknowledged survives a power loss
// at any call; and damage is reported or harmless, never a wrong answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "log/commit_log.h"
#include "log/frame.h"
#include "log/log_fixture.h"
#include "log/recovery.h"
#include "runtime/simulated_file_system.h"

namespace millrace::log {
namespace {

using runtime::SimulatedFileSystem;
using Fault = SimulatedFileSystem::Fault;
using Operation = SimulatedFileSystem::Operation;

const std::filesystem::path kFolder = "log";
const StreamPartition kFirst = {StreamId(1), PartitionId(0)};

LogOptions tiny_options() {
  return {.folder = kFolder,
          .segment_bytes = 8 << 10,
          .commit_bytes_max = 2 << 10,
          .spare_segments_max = 2};
}

/// By partition and base offset: the values of each batch.
using Contents = std::map<std::pair<StreamPartition, std::uint64_t>, std::vector<std::string>>;

void append_and_wait(CommitLog& log, RememberingSink& sink, LogGroup made) {
  const std::size_t before = sink.groups_told();
  ASSERT_TRUE(log.append(std::move(made)));
  ASSERT_TRUE(sink.wait_for(before + 1));
}

/// One life of the log for each round, each ended by a power loss at a random call.
class PowerLoss {
 public:
  explicit PowerLoss(std::uint64_t seed) : random_(seed), disk_(seed) {}

  void run() {
    for (int round = 0; round < 4 && !::testing::Test::HasFatalFailure(); ++round) live_once(round);
    check_and_close();
  }

 private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

  OpenedLog open_checked() {
    OpenedLog opened = open_log(disk_, tiny_options(), covered_);
    if (opened.log == nullptr) return opened;
    Contents visited;
    for (const Acknowledged& batch : opened.visited) {
      EXPECT_TRUE(sent_.contains(batch.values.front())) << "invented: " << batch.values.front();
      const bool fresh =
          visited.emplace(std::pair(batch.partition, batch.base_offset), batch.values).second;
      EXPECT_TRUE(fresh) << "twice: offset " << batch.base_offset;
    }
    for (const auto& [place, values] : durable_) {
      const std::uint64_t end = place.second + values.size();
      const auto lake = covered_.find(place.first);
      if (lake != covered_.end() && end <= lake->second.value) continue;
      const auto found = visited.find(place);
      if (found == visited.end()) {
        ADD_FAILURE() << "lost: stream " << place.first.first.value << " offset " << place.second;
      } else {
        EXPECT_EQ(found->second, values);
      }
    }
    // What recovery showed once is durable from then on.
    durable_.insert(visited.begin(), visited.end());
    return opened;
  }

  OpenedLog open_through_losses() {
    for (int attempt = 0; attempt < 3 && draw(3) == 0; ++attempt) {
      disk_.cut_power_after(draw(30));
      const OpenedLog opened = open_checked();
      if (opened.log == nullptr)
        EXPECT_NE(opened.error.code, ErrorCode::kDataLoss) << opened.error.text();
      disk_.restore_power();
    }
    OpenedLog opened = open_checked();
    EXPECT_TRUE(opened.log != nullptr) << opened.error.text();
    return opened;
  }

  void live_once(int round) {
    RememberingSink sink;
    {
      OpenedLog opened = open_through_losses();
      ASSERT_TRUE(opened.log != nullptr);
      disk_.cut_power_after(draw(120));
      opened.log->start(sink.sink());
      std::size_t taken = 0;
      const std::uint64_t groups = draw(60);
      for (std::uint64_t i = 0; i < groups; ++i) {
        LogGroup made;
        const std::uint64_t entries = 1 + draw(3);
        for (std::uint64_t e = 0; e < entries; ++e) {
          const std::string text =
              fmt::format("{}.{}.{}{}", round, i, e, std::string(draw(200), 'x'));
          sent_.insert(text + "/0");
          made.entries.push_back(entry(static_cast<std::uint32_t>(1 + draw(2)),
                                       static_cast<std::uint32_t>(draw(2)),
                                       static_cast<std::uint32_t>(1 + draw(4)), text));
        }
        if (!opened.log->append(std::move(made))) break;
        ++taken;
        if (draw(4) == 0) ASSERT_TRUE(sink.wait_for(taken));
        if (draw(10) == 0) trim(*opened.log);
      }
      if (draw(2) == 0) ASSERT_TRUE(sink.wait_for(taken));
      opened.log->stop();
      ASSERT_TRUE(sink.wait_for(taken));
    }
    for (const Acknowledged& batch : sink.acknowledged()) {
      durable_.emplace(std::pair(batch.partition, batch.base_offset), batch.values);
    }
    if (draw(3) == 0) {
      // Only the process died: what was not synced is still in memory, and shown.
      disk_.restart_process();
      EXPECT_TRUE(open_checked().log != nullptr);
    }
    disk_.restore_power();
  }

  /// As the lake does it: what is covered never shrinks, and was durable before.
  void trim(CommitLog& log) {
    for (const std::uint32_t stream : {1U, 2U}) {
      for (const std::uint32_t partition : {0U, 1U}) {
        const StreamPartition key = {StreamId(stream), PartitionId(partition)};
        const std::uint64_t end = log.end(key.first, key.second).value;
        const std::uint64_t before = covered_[key].value;
        if (end > before) covered_[key] = Offset(before + draw(end - before + 1));
      }
    }
    static_cast<void>(log.trim(covered_));
  }

  void check_and_close() {
    const OpenedLog opened = open_checked();
    EXPECT_TRUE(opened.log != nullptr) << opened.error.text();
  }

  std::mt19937_64 random_;
  SimulatedFileSystem disk_;
  std::set<std::string> sent_;
  Contents durable_;
  Offsets covered_;
};

TEST(CommitLogPowerLoss, KeepsEveryAcknowledgedBatchAndInventsNone) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    PowerLoss(seed).run();
    if (::testing::Test::HasFailure()) return;
  }
}

/// A log of some commits in one or more segments, its clean end, and where the frames lie.
struct Image {
  std::map<std::filesystem::path, std::string> files;
  std::vector<Acknowledged> told;

  explicit Image(int commits, std::uint32_t records = 2,
                 const LogOptions& options = tiny_options()) {
    SimulatedFileSystem disk(1);
    RememberingSink sink;
    {
      const OpenedLog opened = open_log(disk, options);
      opened.log->start(sink.sink());
      for (int i = 0; i < commits; ++i) {
        append_and_wait(*opened.log, sink,
                        group(entry(1, 0, records, fmt::format("commit {}", i))));
      }
    }
    told = sink.acknowledged();
    const auto names = disk.list(kFolder);
    for (const std::string& name : *names) files[kFolder / name] = disk.bytes_of(kFolder / name);
  }

  [[nodiscard]] std::unique_ptr<SimulatedFileSystem> disk() const {
    auto made = std::make_unique<SimulatedFileSystem>(1);
    for (const auto& [path, bytes] : files) {
      const auto file = made->open(path, runtime::OpenMode::kCreate);
      EXPECT_TRUE((*file)->write_at(0, as_bytes(bytes)));
      EXPECT_TRUE((*file)->sync_data());
    }
    EXPECT_TRUE(made->sync_directory(kFolder));
    return made;
  }
  [[nodiscard]] const std::filesystem::path& first_path() const { return files.begin()->first; }
  /// Where the frame of the i-th batch ends.
  [[nodiscard]] std::size_t end_of(std::size_t i) const {
    const LogPlace& place = told[i].place;
    return place.offset - kFrameHeaderBytes + framed_bytes(place.size_bytes);
  }
};

void expect_first(const OpenedLog& opened, const Image& image, std::size_t count) {
  ASSERT_TRUE(opened.log != nullptr) << opened.error.text();
  ASSERT_EQ(opened.visited.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(opened.visited[i].base_offset, image.told[i].base_offset);
    EXPECT_EQ(opened.visited[i].values, image.told[i].values);
  }
}

TEST(CommitLogRecovery, CutsTheTornTailAtEveryByteAndKeepsWhatIsBefore) {
  Image image(8);
  const std::string whole = image.files.begin()->second;
  const std::size_t count = image.told.size();
  const std::size_t end = image.end_of(count - 1);
  for (std::size_t cut = image.end_of(count - 4); cut <= end; ++cut) {
    SCOPED_TRACE(fmt::format("cut at byte {}", cut));
    for (const bool zeros : {true, false}) {
      std::string bytes = whole.substr(0, cut);
      if (zeros) bytes.resize(whole.size(), '\0');
      // A batch ends in zeros of its own, so that the last bytes may be cut off and nothing is
      // lost.
      std::size_t kept = 0;
      while (kept < count) {
        const std::size_t batch_end =
            image.told[kept].place.offset + image.told[kept].place.size_bytes;
        if (bytes.compare(0, batch_end, whole, 0, batch_end) != 0) break;
        ++kept;
      }
      image.files.begin()->second = bytes;
      const auto disk = image.disk();
      RememberingSink sink;
      {
        const OpenedLog opened = open_log(*disk, tiny_options());
        expect_first(opened, image, kept);
        if (::testing::Test::HasFailure()) return;
        opened.log->start(sink.sink());
        append_and_wait(*opened.log, sink, group(entry(1, 0, 1, "after")));
      }
      const OpenedLog again = open_log(*disk, tiny_options());
      ASSERT_TRUE(again.log != nullptr) << again.error.text();
      ASSERT_EQ(again.visited.size(), kept + 1);
      EXPECT_EQ(again.visited.back().values.front(), "after/0");
      EXPECT_EQ(again.log->statistics().torn_tail_bytes, 0U);
    }
  }
}

TEST(CommitLogRecovery, LeavesNothingOfATornCommitThatCouldComeBack) {
  SimulatedFileSystem disk(1);
  RememberingSink sink;
  const auto three = [](const std::string& text) {
    LogGroup made;
    for (int i = 0; i < 3; ++i)
      made.entries.push_back(entry(1, 0, 2, fmt::format("{} {}", text, i)));
    return made;
  };
  {
    const OpenedLog opened = open_log(disk, tiny_options());
    opened.log->start(sink.sink());
    append_and_wait(*opened.log, sink, three("kept"));
    append_and_wait(*opened.log, sink, three("torn"));
  }
  const std::vector<Acknowledged> told = sink.acknowledged();
  const std::filesystem::path path = segment_path(kFolder, 1);
  const std::size_t torn_at = told[3].place.offset - kFrameHeaderBytes;
  const std::size_t torn_end = told[5].place.offset + told[5].place.size_bytes;
  // The middle of the second commit did not reach the disk, nor did the mark behind it.
  {
    const auto file = disk.open(path, runtime::OpenMode::kReadWrite);
    const Bytes zeros(200);
    ASSERT_TRUE(
        (*file)->write_at(told[4].place.offset, ByteSpan(zeros).first(told[4].place.size_bytes)));
    ASSERT_TRUE((*file)->write_at(
        framed_bytes(told[5].place.size_bytes) - kFrameHeaderBytes + told[5].place.offset, zeros));
    ASSERT_TRUE((*file)->sync_data());
  }
  const OpenedLog opened = open_log(disk, tiny_options());
  ASSERT_TRUE(opened.log != nullptr) << opened.error.text();
  EXPECT_EQ(opened.visited.size(), 3U);
  EXPECT_GE(opened.log->statistics().torn_tail_bytes, torn_end - torn_at);
  // A mark stands at the end, behind it all is erased.
  const std::size_t erased_at = torn_at + kFrameHeaderBytes;
  EXPECT_EQ(disk.bytes_of(path).substr(erased_at, torn_end - erased_at),
            std::string(torn_end - erased_at, '\0'));
  EXPECT_EQ(opened.log->end(kFirst.first, kFirst.second), Offset(6));
}

/// Opens with one bit flipped. The answer must be whole, or an error that says kDataLoss.
void expect_reported_or_harmless(const Image& image, const std::filesystem::path& path,
                                 std::uint64_t bit, int& reported) {
  const auto disk = image.disk();
  disk->flip_bit(path, bit);
  const OpenedLog opened = open_log(*disk, tiny_options());
  if (opened.log == nullptr) {
    EXPECT_EQ(opened.error.code, ErrorCode::kDataLoss) << "bit " << bit << opened.error.text();
    EXPECT_THAT(opened.error.message, ::testing::HasSubstr(".log at byte")) << "bit " << bit;
    ++reported;
    return;
  }
  SCOPED_TRACE(fmt::format("{} bit {}", path.string(), bit));
  expect_first(opened, image, image.told.size());
}

TEST(CommitLogDamage, OfEverySingleBitOfASmallSegmentIsReportedOrHarmless) {
  const Image image(5);
  int reported = 0;
  const std::uint64_t end = image.end_of(image.told.size() - 1);
  for (std::uint64_t bit = 0; bit < end * 8; ++bit) {
    expect_reported_or_harmless(image, image.first_path(), bit, reported);
    if (::testing::Test::HasFailure()) return;
  }
  // The batches and most of their frames' headers matter.
  EXPECT_GT(reported, static_cast<int>(end * 8 * 3 / 4));
}

TEST(CommitLogDamage, OfRandomBitsOfManySegmentsIsReportedOrHarmless) {
  const Image image(60, 20);
  ASSERT_GT(image.files.size(), 3U);
  std::mt19937_64 random(7);
  int reported = 0;
  for (const auto& [path, bytes] : image.files) {
    for (int i = 0; i < 300; ++i) {
      expect_reported_or_harmless(image, path, random() % (bytes.size() * 8), reported);
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(reported, 300);
}

TEST(CommitLogDamage, OfWhatTheLakeHasDoesNotMatter) {
  const Image image(60, 20);
  const Acknowledged& tenth = image.told[9];
  const Offsets lake = {{kFirst, Offset(tenth.base_offset + tenth.values.size())}};
  const std::filesystem::path path = segment_path(kFolder, tenth.place.segment);
  for (const std::uint64_t byte : {tenth.place.offset + 70, tenth.place.offset - 60}) {
    const auto disk = image.disk();
    disk->flip_bit(path, byte * 8);
    const OpenedLog reported = open_log(*disk, tiny_options());
    EXPECT_EQ(reported.log, nullptr);
    EXPECT_EQ(reported.error.code, ErrorCode::kDataLoss);
    const OpenedLog opened = open_log(*disk, tiny_options(), lake);
    ASSERT_TRUE(opened.log != nullptr) << opened.error.text();
    ASSERT_EQ(opened.visited.size(), 50U);
    EXPECT_EQ(opened.visited.front().values, image.told[10].values);
  }
}

TEST(CommitLogDamage, NamesAMissingSegmentUnlessTheLakeHasIt) {
  const Image image(60, 20);
  std::vector<std::filesystem::path> begun;
  for (std::uint64_t number = 1; number <= image.told.back().place.segment; ++number) {
    begun.push_back(segment_path(kFolder, number));
  }
  ASSERT_GT(begun.size(), 3U);
  for (const auto& path : begun) {
    const auto disk = image.disk();
    ASSERT_TRUE(disk->remove(path));
    const OpenedLog opened = open_log(*disk, tiny_options(), {{kFirst, Offset(0)}});
    EXPECT_EQ(opened.log, nullptr) << path;
    EXPECT_EQ(opened.error.code, ErrorCode::kDataLoss);
  }
  std::uint64_t end = 0;
  for (const Acknowledged& batch : image.told) {
    if (batch.place.segment == 2) end = batch.base_offset + batch.values.size();
  }
  for (const std::size_t missing : {0U, 1U}) {
    const auto disk = image.disk();
    ASSERT_TRUE(disk->remove(begun[missing]));
    const OpenedLog opened = open_log(*disk, tiny_options(), {{kFirst, Offset(end)}});
    ASSERT_TRUE(opened.log != nullptr) << opened.error.text();
    EXPECT_EQ(opened.visited.front().base_offset, end);
  }
}

TEST(CommitLogDamage, IsReportedByReadAndLeavesTheRestReadable) {
  const Image image(10);
  const auto disk = image.disk();
  const OpenedLog opened = open_log(*disk, tiny_options());
  disk->flip_bit(image.first_path(), (image.told[4].place.offset + 65) * 8);
  for (std::size_t i = 0; i < image.told.size(); ++i) {
    const auto bytes = opened.log->read(image.told[i].place);
    ASSERT_EQ(bytes.has_value(), i != 4);
    if (i == 4) EXPECT_EQ(bytes.error().code, ErrorCode::kDataLoss);
  }
}

TEST(CommitLogFailure, RefusesEverythingAfterAFailedSyncUntilARestart) {
  for (const Operation broken : {Operation::kSyncData, Operation::kWrite}) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      SCOPED_TRACE(fmt::format("seed {}", seed));
      SimulatedFileSystem disk(seed);
      RememberingSink sink;
      {
        const OpenedLog opened = open_log(disk, tiny_options());
        opened.log->start(sink.sink());
        append_and_wait(*opened.log, sink, group(entry(1, 0, 2, "good")));
        std::atomic<int> faults = 0;
        disk.set_faults([&](const SimulatedFileSystem::Call& call) {
          const bool hit =
              call.operation == broken && call.path.string().contains(".log") && faults == 0;
          if (hit && broken == Operation::kSyncData) ++faults;
          return hit ? Fault::kIoError : Fault::kNone;
        });
        append_and_wait(*opened.log, sink, group(entry(1, 0, 2, "bad")));
        disk.set_faults(nullptr);
        ASSERT_EQ(sink.failures().size(), 1U);
        EXPECT_EQ(sink.failures()[0].code, ErrorCode::kUnavailable);
        EXPECT_EQ(sink.failures()[0].id, error_id::kDiskFailed);
        const Status refused = opened.log->append(group(entry(1, 0, 2, "later")));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
        EXPECT_TRUE(opened.log->read(sink.acknowledged()[0].place).has_value());
        EXPECT_EQ(opened.log->end(kFirst.first, kFirst.second), Offset(2));
      }
      const bool power_too = seed % 2 == 0;
      if (power_too) disk.restore_power();
      // What recovery shows must be on the device, not only in memory.
      const OpenedLog again = open_log(disk, tiny_options());
      ASSERT_TRUE(again.log != nullptr) << again.error.text();
      const std::size_t shown = again.visited.size();
      ASSERT_GE(shown, 1U);
      ASSERT_LE(shown, 2U);
      EXPECT_EQ(again.visited[0].values.front(), "good/0");
      disk.restore_power();
      EXPECT_EQ(open_log(disk, tiny_options()).visited.size(), shown);
    }
  }
}

TEST(CommitLogFailure, GoesOnWithoutARestartWhenAFullDiskHasRoomAgain) {
  SimulatedFileSystem disk(3);
  const LogOptions options = tiny_options();
  disk.set_capacity(options.segment_bytes + 100);
  RememberingSink sink;
  {
    const OpenedLog opened = open_log(disk, options);
    opened.log->start(sink.sink());
    while (sink.failures().empty()) {
      append_and_wait(*opened.log, sink, group(entry(1, 0, 20, "fills the disk")));
    }
    EXPECT_EQ(sink.failures()[0].code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(sink.failures()[0].id, error_id::kDiskFull);
    EXPECT_TRUE(opened.log->read(sink.acknowledged()[0].place).has_value());
    disk.set_capacity(100 * options.segment_bytes);
    for (int i = 0; i < 30; ++i) {
      append_and_wait(*opened.log, sink, group(entry(1, 0, 20, "room again")));
    }
    EXPECT_EQ(sink.failures().size(), 1U);
  }
  const OpenedLog again = open_log(disk, options);
  ASSERT_TRUE(again.log != nullptr) << again.error.text();
  EXPECT_EQ(again.visited.size(), sink.acknowledged().size());
}

TEST(CommitLogFailure, OfAnyOneCallLosesNothingAcknowledged) {
  // n = 1, 2, ... until a run ends without meeting the fault.
  bool met = true;
  for (std::uint64_t n = 1; met && n < 2'000; ++n) {
    SCOPED_TRACE(fmt::format("call {}", n));
    SimulatedFileSystem disk(n);
    std::atomic<bool> hit = false;
    disk.set_faults([&](const SimulatedFileSystem::Call& call) {
      if (call.number == n) hit = true;
      return call.number == n ? Fault::kIoError : Fault::kNone;
    });
    RememberingSink sink;
    if (const OpenedLog opened = open_log(disk, tiny_options()); opened.log != nullptr) {
      opened.log->start(sink.sink());
      for (int i = 0; i < 25; ++i) {
        const std::size_t told = sink.groups_told();
        if (!opened.log->append(group(entry(1, 0, 20, fmt::format("number {}", i))))) break;
        ASSERT_TRUE(sink.wait_for(told + 1));
        const Offsets covered = {{kFirst, Offset(100)}};
        if (i == 20) static_cast<void>(opened.log->trim(covered));
      }
    }
    met = hit;
    disk.set_faults(nullptr);
    disk.restore_power();
    const OpenedLog again = open_log(disk, tiny_options(), {{kFirst, Offset(100)}});
    ASSERT_TRUE(again.log != nullptr) << again.error.text();
    std::set<std::uint64_t> offsets;
    for (const Acknowledged& batch : again.visited) offsets.insert(batch.base_offset);
    for (const Acknowledged& batch : sink.acknowledged()) {
      if (batch.base_offset >= 100) EXPECT_TRUE(offsets.contains(batch.base_offset));
    }
  }
  EXPECT_FALSE(met);
}

}  // namespace
}  // namespace millrace::log
