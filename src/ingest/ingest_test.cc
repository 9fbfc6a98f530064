// From bodies to acknowledged events: the record codec both ways, the partitioner against Kafka's
// numbers, and the whole of Ingest on a real log with many producers, at a stop, and on a disk that
// fails.
#include "ingest/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <set>

#include "ingest/record_codec.h"
#include "ingest/replay.h"
#include "runtime/file_system.h"
#include "runtime/simulated_file_system.h"
#include "speed/all_rows.h"
#include "speed/moment.h"
#include "sql/syntax.h"
#include "view/run_in_memory.h"
#include "wire/record_batch.h"

namespace millrace::ingest {
namespace {

using testing::HasSubstr;

StreamDefinition events(std::uint32_t partitions) {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "events";
  stream.columns = {{"k", {TypeKind::kVarchar}},
                    {"n", {TypeKind::kBigInt}},
                    {"d", {TypeKind::kDouble}},
                    {"j", {TypeKind::kJson}}};
  stream.key_column = 0;
  stream.partitions = partitions;
  stream.quarantine = StreamId(2);
  return stream;
}

StreamDefinition quarantine() {
  StreamDefinition stream;
  stream.id = StreamId(2);
  stream.name = "events__quarantine";
  stream.columns = quarantine_columns();
  return stream;
}

std::string text_of(const ColumnBatch& rows) {
  std::string out;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (const auto& column : rows.views()) out += value_text(column, row).value_or("NULL") + "|";
    out += "\n";
  }
  return out;
}

TEST(Murmur2, GivesTheNumbersOfKafka) {
  const std::pair<std::string_view, std::int32_t> vectors[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107}};
  for (const auto& [key, hash] : vectors)
    EXPECT_EQ(static_cast<std::int32_t>(murmur2(key)), hash) << key;
}

class RecordCodec : public testing::Test {
 protected:
  format::Decoded decode(std::string_view text, format::JsonFraming framing,
                         const StreamDefinition& stream) {
    body_ = PaddedBytes::copy_of(text);
    return decoder_.decode(body_, framing, stream);
  }
  /// The batch as it lies in the log: with its place.
  static std::string placed(PartitionRecords records, std::uint64_t base) {
    wire::set_base_offset(records.batch, base);
    return std::move(records.batch);
  }
  format::JsonDecoder decoder_;
  PaddedBytes body_;
};

TEST_F(RecordCodec, GivesTheSameColumnsBackFromTheLog) {
  const auto stream = events(1);
  const auto decoded = decode(
      "[\n  {\n    \"k\": \"a\\nb\",\r\n \"n\": 1,\n \"d\": -0.0, \"j\": {\n \"x\": [1,\n 2] }\n  "
      "},\n"
      "  {\"k\": null, \"n\": -9223372036854775808, \"d\": \"NaN\"},\n  {\"k\": \"\\u0000\", "
      "\"d\": 1e300}\n]",
      format::JsonFraming::kDocument, stream);
  ASSERT_TRUE(decoded.rejected.empty()) << decoded.rejected[0].reason;
  ASSERT_EQ(decoded.columns->rows(), 3U);
  auto records = encode_records(stream, decoded, 5'000'000);
  ASSERT_EQ(records.size(), 1U);
  const std::string batch = placed(std::move(records[0]), 17);
  const auto back = decode_record_batch(batch, stream);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->arrival_us, 5'000'000);
  // A JSON value keeps its text but for line breaks between its tokens.
  std::string expected = text_of(*decoded.columns);
  const auto json = expected.find("{\n");
  if (json != std::string::npos) {
    for (auto i = json; i < expected.find('}', json); ++i) {
      if (expected[i] == '\n' || expected[i] == '\r') expected[i] = ' ';
    }
  }
  EXPECT_EQ(text_of(*back->columns), expected);
}

TEST_F(RecordCodec, DealsRecordsToPartitionsByTheirKeyAndKeepsTheirOrder) {
  const auto stream = events(7);
  std::string lines;
  for (int n = 0; n < 200; ++n) {
    lines += n % 10 == 0 ? fmt::format("{{\"n\":{}}}\n", n)
                         : fmt::format("{{\"k\":\"key{}\",\"n\":{}}}\n", n % 23, n);
  }
  const auto decoded = decode(lines, format::JsonFraming::kLines, stream);
  ASSERT_EQ(decoded.columns->rows(), 200U);
  std::size_t rows = 0;
  std::set<std::uint32_t> partitions;
  for (auto& records : encode_records(stream, decoded, 0)) {
    const auto partition = records.partition.value;
    EXPECT_TRUE(partitions.insert(partition).second);
    rows += records.columns->rows();
    std::int64_t last = -1;
    for (std::size_t row = 0; row < records.columns->rows(); ++row) {
      const auto key = value_text(records.columns->column(0).view(), row);
      EXPECT_EQ(partition, key ? (murmur2(*key) & 0x7fffffffU) % 7 : 0);
      const auto number = records.columns->column(1).data<std::int64_t>()[row];
      EXPECT_GT(number, last);
      last = number;
    }
    const std::string expected = text_of(*records.columns);
    const auto back = decode_record_batch(placed(std::move(records), 0), stream);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(text_of(*back->columns), expected);
  }
  EXPECT_EQ(rows, 200U);
  EXPECT_GT(partitions.size(), 4U);
}

TEST_F(RecordCodec, KeepsEveryByteOfARejectedRecord) {
  const std::vector<format::RejectedRecord> rejected = {
      {.line = 3,
       .id = "MR2003",
       .reason = "column 'n': \"x\" is not a BIGINT",
       .raw = std::string("{\"n\":\"x\"\xff\0}", 11)},
      {.line = 9, .id = "MR2001", .reason = "no JSON", .raw = ""}};
  auto records = encode_quarantine(rejected, "http", 7'000'000);
  const std::string expected = text_of(*records.columns);
  EXPECT_THAT(expected, HasSubstr("MR2003|column 'n': \"x\" is not a BIGINT|3|"));
  const auto back = decode_record_batch(placed(std::move(records), 0), quarantine());
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(text_of(*back->columns), expected);
  EXPECT_EQ(back->columns->column(3).data<StringRef>()[0].view(), rejected[0].raw);
}

TEST_F(RecordCodec, NamesTheRecordOfTheLogThatDoesNotDecode) {
  const std::string_view values[] = {"{\"n\":1}", "{\"n\":\"x\"}"};
  PartitionRecords records;
  wire::encode_record_batch(values, 0, records.batch);
  const std::string batch = placed(std::move(records), 40);
  const auto back = decode_record_batch(batch, events(1));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(back.error().message, HasSubstr("offset 40"));
  std::string damaged = batch;
  damaged[damaged.size() - 3] ^= 1;
  EXPECT_EQ(decode_record_batch(damaged, events(1)).error().code, ErrorCode::kDataLoss);
}

/// A disk that has to be repaired.
class BrokenScratch final : public view::RunScratch {
 public:
  Result<std::shared_ptr<const view::StateRun>> spill(std::uint64_t fingerprint,
                                                      const Fill& fill) override {
    if (broken) return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "the disk is broken");
    return inner_.spill(fingerprint, fill);
  }
  std::atomic<bool> broken{true};

 private:
  view::ScratchInMemory inner_;
};

class IngestTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / fmt::format("millrace-ingest-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    database_ = *sql::Database::open({});
  }
  void TearDown() override {
    ingest_.reset();
    log_.reset();
    std::filesystem::remove_all(folder_);
  }
  static log::LogOptions options(const std::filesystem::path& folder) {
    return {.folder = folder,
            .segment_bytes = 1 << 20,
            .commit_bytes_max = 1 << 16,
            .queue_bytes_max = 1 << 20};
  }
  /// Opens the log, brings the speed layer to its end, and starts.
  void open(runtime::FileSystem& files, std::uint32_t partitions,
            std::uint64_t tail_bytes_max = 1 << 26, format::DecodeLimits limits = {},
            std::uint64_t groups_bytes_max = 0) {
    ingest_.reset();
    spiller_.reset();
    log_.reset();
    speed_ =
        std::make_unique<speed::SpeedLayer>(speed::TailOptions{.tail_bytes_max = tail_bytes_max});
    std::map<log::StreamPartition, Offset> first;
    for (std::uint32_t p = 0; p < partitions; ++p) first[{StreamId(1), PartitionId(p)}] = Offset(0);
    first[{StreamId(2), PartitionId(0)}] = Offset(0);
    stream_ = speed_->add_stream(events(partitions), CommitNumber(0), Position(partitions));
    speed_->add_stream(quarantine(), CommitNumber(0), Position(1));
    add_view();
    filters_ = std::make_unique<DuplicateFilters>(*speed_);
    Replay replay(*speed_, *filters_, 2);
    auto log =
        log::CommitLog::open(files, options(folder_), first,
                             [&](const log::RecoveredBatch& batch) { return replay.add(batch); });
    ASSERT_TRUE(log) << log.error().text();
    log_ = std::move(*log);
    const auto replayed = replay.finish();
    ASSERT_TRUE(replayed) << replayed.error().text();
    if (groups_bytes_max != 0) {
      speed_->add_view(view_);
      spiller_ = std::make_unique<speed::DeltaSpiller>(*speed_, scratch_, groups_bytes_max);
    }
    ingest_ = std::make_unique<Ingest>(*log_, *speed_, *filters_,
                                       IngestOptions{.limits = limits, .spiller = spiller_.get()});
  }
  /// The view's groups have this memory, and what is more goes to a disk.
  void open_with_room(std::uint64_t bytes) {
    open(runtime::system_files(), 1, 1 << 26, {}, bytes);
    ingest_->start();
  }
  static std::string lines_of_keys(int from, int count) {
    std::string lines;
    for (int i = from; i < from + count; ++i)
      lines += fmt::format("{{\"k\":\"a key of some length {}\",\"n\":1}}\n", i);
    return lines;
  }
  void add_view() {
    constexpr const char* kSelect = "SELECT k, count(*) AS c, sum(n) AS s FROM events GROUP BY k";
    catalog::ViewRecord record;
    record.id = ViewId(1);
    record.name = "v";
    record.streams = {StreamId(1)};
    auto compiled = view::compile_view(*database_, kSelect, *sql::parse_select(kSelect),
                                       std::span(&stream_->definition(), 1));
    ASSERT_TRUE(compiled) << compiled.error().text();
    auto evaluator = view::Evaluator::make(*database_, *compiled, 0, stream_->definition());
    ASSERT_TRUE(evaluator);
    auto finalizer = view::Finalizer::make(*database_, *compiled);
    EXPECT_TRUE(finalizer) << finalizer.error().text();
    std::vector<std::unique_ptr<view::Evaluator>> evaluators;
    evaluators.push_back(std::move(*evaluator));
    view_ = std::make_shared<speed::ViewState>(record, std::move(*compiled), std::move(evaluators),
                                               std::move(*finalizer));
    speed::add_view(std::array{stream_}, view_, [&](std::span<const catalog::Cut> edges) {
      catalog::Generation empty;
      empty.view = ViewId(1);
      empty.cuts.resize(1);
      view_->restore(empty, view::StateRun::empty(), {}, {edges[0].end}, 0);
    });
  }
  std::string view_rows() {
    const auto rows = speed::all_rows(*view_);
    EXPECT_TRUE(rows) << rows.error().text();
    return text_of(**rows);
  }
  void submit(std::string_view lines, Ingest::Done done, SubmitOptions how = {}) {
    ingest_->submit(stream_, PaddedBytes::copy_of(lines), format::JsonFraming::kLines, "test",
                    std::move(done), std::move(how));
  }
  Result<IngestReply> post(std::string_view lines, SubmitOptions how = {}) {
    std::promise<Result<IngestReply>> promise;
    submit(
        lines, [&](Result<IngestReply> reply) { promise.set_value(std::move(reply)); },
        std::move(how));
    return promise.get_future().get();
  }

  std::filesystem::path folder_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<speed::SpeedLayer> speed_;
  BrokenScratch scratch_;
  std::unique_ptr<speed::DeltaSpiller> spiller_;
  std::shared_ptr<speed::StreamState> stream_;
  std::shared_ptr<speed::ViewState> view_;
  std::unique_ptr<DuplicateFilters> filters_;
  std::unique_ptr<log::CommitLog> log_;
  std::unique_ptr<Ingest> ingest_;
};

TEST_F(IngestTest, TellsWhereTheRecordsOfARequestLieAndShowsThemAtOnce) {
  open(runtime::system_files(), 1);
  ingest_->start();
  auto reply = post("{\"k\":\"a\",\"n\":2}\n{\"k\":\"b\",\"n\":3}\n");
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->accepted, 2U);
  EXPECT_EQ(reply->position,
            (std::vector<std::pair<PartitionId, Offset>>{{PartitionId(0), Offset(2)}}));
  EXPECT_EQ(view_rows(), "a|1|2|\nb|1|3|\n");
  reply = post("{\"k\":\"a\",\"n\":5}\n{\"n\":\"x\"}\n\nnothing\n");
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->accepted, 1U);
  ASSERT_EQ(reply->rejected.size(), 2U);
  EXPECT_EQ(reply->rejected[0].line, 2U);
  EXPECT_EQ(reply->rejected[1].line, 4U);
  EXPECT_EQ(view_rows(), "a|2|7|\nb|1|3|\n");
  EXPECT_EQ(speed_->stream(StreamId(2))->applied().events(), 2U);
  reply = post("\n \n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->accepted, 0U);
  EXPECT_TRUE(reply->position.empty());
  EXPECT_EQ(ingest_->counters().accepted, 3U);
  EXPECT_EQ(ingest_->counters().rejected, 2U);
}

TEST_F(IngestTest, RefusesARequestWithMoreBadRecordsThanItCanTellOf) {
  open(runtime::system_files(), 1, 1 << 26, {.rejected_bytes_max = 100 * 1024});
  ingest_->start();
  std::string many = "{\"k\":\"a\",\"n\":2}\n";
  for (int i = 0; i < 1000; ++i) many += "x\n";
  for (const OnError mode : {OnError::kQuarantine, OnError::kPartial}) {
    const auto reply = post(many, {.on_error = mode});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().id, error_id::kTooManyRejected);
    EXPECT_EQ(reply.error().code, ErrorCode::kPayloadTooLarge);
    EXPECT_THAT(reply.error().message, HasSubstr("1000 records"));
    EXPECT_THAT(reply.error().message, HasSubstr("record 2: MR2001"));
  }
  EXPECT_EQ(view_rows(), "");
  EXPECT_EQ(speed_->stream(StreamId(2))->applied().events(), 0U);
  // Nothing is stored of this one anyway: the first and the number of all.
  auto reply = post(many, {.on_error = OnError::kReject});
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->accepted, 0U);
  EXPECT_EQ(reply->rejected_count, 1000U);
  ASSERT_LT(reply->rejected.size(), 200U);
  ASSERT_GT(reply->rejected.size(), 100U);
  for (std::size_t i = 0; i < reply->rejected.size(); ++i)
    EXPECT_EQ(reply->rejected[i].line, i + 2);
  // Whoever cannot send less has it kept as one record.
  reply = post(many, {.whole_when_too_many_bad = true});
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->accepted, 0U);
  EXPECT_EQ(reply->rejected_count, 1U);
  EXPECT_EQ(speed_->stream(StreamId(2))->applied().events(), 1U);
  // In parts every bad record is kept.
  reply = post(many.substr(0, 200));
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(speed_->stream(StreamId(2))->applied().events(), 1 + reply->rejected_count);
  EXPECT_EQ(view_rows(), "a|1|2|\n");
}

TEST_F(IngestTest, TellsEveryProducerOnceAndLosesNothingAtAStop) {
  constexpr int kThreads = 6;
  constexpr int kRequests = 80;
  open(runtime::system_files(), 3, 1 << 14);
  ingest_->start();
  std::vector<std::atomic<int>> told(kThreads * kRequests);
  std::atomic<std::uint64_t> accepted{0};
  Mutex mutex;
  std::map<std::uint32_t, std::set<std::uint64_t>> ends;  // of partitions, as producers were told
  std::vector<std::thread> producers;
  for (int t = 0; t < kThreads; ++t) {
    producers.emplace_back([&, t] {
      for (int r = 0; r < kRequests; ++r) {
        std::string lines;
        for (int e = 0; e <= r % 5; ++e)
          lines += fmt::format("{{\"k\":\"key{}\",\"n\":1}}\n", (t + r + e) % 9);
        submit(lines, [&, t, r](Result<IngestReply> reply) {
          ++told[static_cast<std::size_t>(t * kRequests + r)];
          ASSERT_TRUE(reply) << reply.error().text();
          accepted += reply->accepted;
          const MutexLock lock(mutex);
          for (const auto& [partition, end] : reply->position)
            ends[partition.value].insert(end.value);
        });
      }
    });
  }
  for (auto& producer : producers) producer.join();
  ingest_->stop();
  ingest_->stop();
  for (const auto& count : told) EXPECT_EQ(count, 1);
  constexpr std::uint64_t kEvents =
      kThreads * kRequests * 3;  // 1 + 2 + .. + 5 for each five requests
  EXPECT_EQ(accepted, kEvents);
  EXPECT_EQ(stream_->applied().events(), kEvents);
  const Position applied = stream_->applied();
  for (const auto& [partition, seen] : ends) {
    EXPECT_EQ(*seen.rbegin(), applied.end(PartitionId(partition)).value);
    EXPECT_EQ(log_->end(StreamId(1), PartitionId(partition)), applied.end(PartitionId(partition)));
  }
  // The tail has every offset once, and what was let go comes back from the log.
  std::map<std::uint32_t, std::uint64_t> next;
  bool any_gone = false;
  for (const auto& entry : stream_->snapshot().tail) {
    EXPECT_EQ(entry.batch.base_offset.value, next[entry.batch.partition.value]);
    next[entry.batch.partition.value] = entry.end_offset().value;
    any_gone = any_gone || entry.batch.columns == nullptr;
    const auto loaded = load_tail_entry(*log_, stream_->definition(), entry);
    ASSERT_TRUE(loaded) << loaded.error().text();
    EXPECT_EQ(loaded->columns->rows(), entry.rows);
  }
  EXPECT_TRUE(any_gone);

  const std::string before = view_rows();
  open(runtime::system_files(), 3);
  EXPECT_EQ(stream_->applied(), applied);
  EXPECT_EQ(view_rows(), before) << "replayed from the log";
}

TEST_F(IngestTest, RefusesAfterAStop) {
  open(runtime::system_files(), 1);
  ingest_->start();
  ingest_->stop();
  const auto reply = post("{\"k\":\"a\",\"n\":2}\n");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable) << reply.error().text();
  EXPECT_EQ(view_rows(), "");
}

TEST_F(IngestTest, EventsWaitUntilTheViewsHaveRoomForThem) {
  constexpr int kKeys = 3000;
  open_with_room(32 << 10);
  const auto first = post(lines_of_keys(0, kKeys));
  ASSERT_TRUE(first) << first.error().text();
  ASSERT_GT(speed_->delta_bytes(), 2U * (32 << 10));
  while (spiller_->wait_for_room(std::chrono::milliseconds(1))) continue;
  std::promise<bool> told;
  submit(lines_of_keys(kKeys, kKeys), [&](const Result<IngestReply>& reply) {
    told.set_value(reply.has_value() && !scratch_.broken);
  });
  scratch_.broken = false;
  EXPECT_TRUE(told.get_future().get()) << "it was told before there was room";
  const auto rows = speed::all_rows(*view_);
  ASSERT_TRUE(rows) << rows.error().text();
  EXPECT_EQ((*rows)->rows(), 2U * kKeys);
}

TEST_F(IngestTest, StopsWhereTheViewsGetNoRoom) {
  open_with_room(32 << 10);
  const auto first = post(lines_of_keys(0, 3000));
  ASSERT_TRUE(first) << first.error().text();
  while (spiller_->wait_for_room(std::chrono::milliseconds(1))) continue;
  std::atomic<int> told{0};
  for (int n = 0; n < 5; ++n)
    submit("{\"k\":\"b\",\"n\":1}\n", [&](const Result<IngestReply>& reply) {
      if (reply) ++told;
    });
  ingest_->stop();
  EXPECT_EQ(told, 5);
  EXPECT_EQ(stream_->applied().events(), 3005U);
}

TEST_F(IngestTest, TellsEveryRequestThatTheDiskFailedAndShowsNoneOfThem) {
  runtime::SimulatedFileSystem disk(1);
  ASSERT_TRUE(disk.create_directories(folder_));
  open(disk, 1);
  ingest_->start();
  ASSERT_TRUE(post("{\"k\":\"a\",\"n\":1}\n"));
  disk.set_faults([](const runtime::SimulatedFileSystem::Call& call) {
    return call.operation == runtime::SimulatedFileSystem::Operation::kSyncData
               ? runtime::SimulatedFileSystem::Fault::kIoError
               : runtime::SimulatedFileSystem::Fault::kNone;
  });
  std::atomic<int> failed{0};
  std::atomic<int> told{0};
  for (int n = 0; n < 20; ++n) {
    submit("{\"k\":\"b\",\"n\":1}\n", [&](const Result<IngestReply>& reply) {
      ++told;
      if (!reply && reply.error().code == ErrorCode::kUnavailable) ++failed;
    });
  }
  ingest_->stop();
  EXPECT_EQ(told, 20);
  EXPECT_EQ(failed, 20);
  EXPECT_EQ(view_rows(), "a|1|1|\n");
  EXPECT_EQ(stream_->applied().events(), 1U);
}

}  // namespace
}  // namespace millrace::ingest
