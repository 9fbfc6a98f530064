// A request with an Idempotency-Key is stored once and answered the same for ever: at once, while
// the first is under way, after restarts, and after the log has let go of it.
#include <gmock/gmock.h>

#include <fstream>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

class IdempotencyTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    sql("CREATE STREAM e (n BIGINT, k VARCHAR) WITH (key = k, partitions = 3)");
    // For a batch run, which the lake must be up to date for.
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM e GROUP BY k");
  }
  Result<ingest::IngestReply> send(std::string_view key, std::string_view lines,
                                   ingest::OnError on_error = ingest::OnError::kQuarantine) {
    std::promise<Result<ingest::IngestReply>> promise;
    ingest::SubmitOptions options;
    options.on_error = on_error;
    options.idempotency_key = std::string(key);
    node_->ingest().submit(
        node_->speed().find_stream("e"), PaddedBytes::copy_of(lines), format::JsonFraming::kLines,
        "test", [&](Result<ingest::IngestReply> reply) { promise.set_value(std::move(reply)); },
        options);
    return promise.get_future().get();
  }
  static std::string told(const Result<ingest::IngestReply>& reply) {
    if (!reply) return reply.error().id;
    std::string out = fmt::format("{} {}", reply->accepted, reply->duplicates);
    for (const auto& record : reply->rejected)
      out += fmt::format(" {}:{}:{}", record.line, record.id, record.reason);
    for (const auto& [partition, end] : reply->position)
      out += fmt::format(" {}={}", partition, end);
    return out;
  }
  std::int64_t count() {
    const auto result = sql("SELECT count(*) FROM e");
    return result.batches.empty() ? -1 : result.batches[0]->column(0).data<std::int64_t>()[0];
  }
};

constexpr std::string_view kLines =
    "{\"n\":1,\"k\":\"a\"}\n{\"n\":2,\"k\":\"b\"}\n{\"n\":\"x\"}\n{\"n\":3,\"k\":\"c\"}\n";

TEST_F(IdempotencyTest, TheSameRequestIsStoredOnceAndAnsweredTheSame) {
  post("e", "{\"n\":0,\"k\":\"a\"}\n");
  const auto first = send("one", kLines);
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->repeated);
  EXPECT_EQ(first->accepted, 3U);
  const auto again = send("one", kLines);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(told(again), told(first));
  EXPECT_EQ(send("one", "{\"n\":1}").error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(told(send("two", kLines)), told(first));
  EXPECT_EQ(count(), 7);
}

TEST_F(IdempotencyTest, ARequestThatWasRefusedAsAWholeLeavesItsKeyFree) {
  const auto refused = send("one", kLines, ingest::OnError::kReject);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->accepted, 0U);
  EXPECT_EQ(count(), 0);
  // Corrected, and under the same key: that is what the client would do.
  const auto corrected = send("one", "{\"n\":1,\"k\":\"a\"}\n", ingest::OnError::kReject);
  ASSERT_TRUE(corrected) << corrected.error().text();
  EXPECT_FALSE(corrected->repeated);
  EXPECT_EQ(corrected->accepted, 1U);
  EXPECT_EQ(count(), 1);
  // It is asked again, too: the stream may have changed meanwhile.
  EXPECT_FALSE(send("two", "x\n", ingest::OnError::kReject)->repeated);
  EXPECT_FALSE(send("two", "x\n", ingest::OnError::kReject)->repeated);
}

TEST_F(IdempotencyTest, ARequestWithoutAGoodRecordIsRememberedWhereItsRecordsWereTaken) {
  const auto first = send("one", "x\ny\n");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->rejected_count, 2U);
  const auto again = send("one", "x\ny\n");
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(told(again), told(first));
  EXPECT_EQ(rows("SELECT count(*) FROM e__quarantine"), "2|\n");
  EXPECT_FALSE(send("two", "x\n", ingest::OnError::kPartial)->repeated);
  EXPECT_TRUE(send("two", "x\n", ingest::OnError::kPartial)->repeated);
}

TEST_F(IdempotencyTest, RestartsAndLakeCommitsChangeNothing) {
  std::vector<std::string> answers;
  for (int round = 0; round < 24; ++round) {
    post("e", fmt::format("{{\"n\":{},\"k\":\"{}\"}}\n", round, round));
    answers.push_back(told(send(fmt::format("key {}", round), kLines)));
    // In the log only, in the lake, and in files that were written into one.
    if (round % 3 == 1) run_batch();
    if (round % 5 == 4) open();
  }
  const auto stored = count();
  for (const bool restart : {false, true}) {
    if (restart) open();
    for (std::size_t round = 0; round < answers.size(); ++round) {
      const auto again = send(fmt::format("key {}", round), kLines);
      ASSERT_TRUE(again);
      EXPECT_TRUE(again->repeated);
      EXPECT_EQ(told(again), answers[round]) << round;
    }
    EXPECT_EQ(count(), stored);
  }
}

TEST_F(IdempotencyTest, ManyAtOnceAreStoredOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> answers(8);
  for (auto& answer : answers)
    threads.emplace_back([this, &answer] { answer = told(send("same", kLines)); });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(answers, testing::Each(answers.front()));
  EXPECT_EQ(count(), 3);
}

TEST_F(IdempotencyTest, ADamagedFileIsToldOf) {
  ASSERT_TRUE(send("one", kLines));
  run_batch();
  node_.reset();
  std::filesystem::path file;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "data/requests"))
    file = entry.path();
  ASSERT_FALSE(file.empty());
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(30).put('?');
  const auto node = Node::open(folder_ / "data", config_);
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().id, error_id::kChecksum);
}

}  // namespace
}  // namespace millrace::server
