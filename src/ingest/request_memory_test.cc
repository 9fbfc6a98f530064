// What is remembered of requests with an Idempotency-Key: bounded in number, bytes and age, the
// same after a start from its files, whatever a crash left between them. The whole path, with the
// log, is in server/idempotency_test.cc.
#include "ingest/request_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

namespace millrace::ingest {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

class RequestMemoryTest : public testing::Test {
 protected:
  RequestMemoryTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "millrace-requests-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    open({});
  }
  ~RequestMemoryTest() override { std::filesystem::remove_all(folder_); }

  void open(RequestLimits limits) {
    memory_.reset();
    auto opened = RequestMemory::open(runtime::system_files(), folder_, limits);
    ASSERT_TRUE(opened) << opened.error().text();
    memory_ = std::move(*opened);
  }
  std::string opening_fails_with() {
    memory_.reset();
    const auto opened = RequestMemory::open(runtime::system_files(), folder_, {});
    return opened ? "" : opened.error().id;
  }
  /// A request as ingest handles it; what it was told, or "new" and it is stored now.
  std::string send(std::string_view key, std::string_view body, std::int64_t now_us,
                   std::string reason = {}) {
    const RequestKey whole{StreamId(1), std::string(key)};
    const auto print = request_print("json", body);
    std::string told = "new";
    RequestMemory::Done done = [&](const Result<IngestReply>& reply) {
      told = reply ? fmt::format("{}", reply->accepted) : reply.error().id;
    };
    if (!memory_->begin(whole, print, now_us, done)) return told;
    IngestReply reply;
    reply.accepted = ++accepted_;
    reply.position.emplace_back(PartitionId(0), Offset(accepted_));
    if (!reason.empty())
      reply.rejected.push_back({.line = 1, .id = "MR2003", .reason = std::move(reason), .raw = {}});
    memory_->know(whole, print, now_us, reply, Offset(++end_));
    memory_->finish(whole, reply);
    return told;
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      out.push_back(entry.path());
    std::ranges::sort(out);
    return out;
  }

  std::filesystem::path folder_;
  std::unique_ptr<RequestMemory> memory_;
  std::uint64_t accepted_ = 0;
  std::uint64_t end_ = 0;
};

TEST_F(RequestMemoryTest, TheOldestGoWhereThereAreTooMany) {
  open({.entries_max = 3});
  for (int i = 0; i < 6; ++i) send(fmt::format("k{}", i), "a", i);
  EXPECT_EQ(send("k5", "a", 6), "6");
  EXPECT_EQ(send("k5", "b", 6), error_id::kKeyReused);
  EXPECT_EQ(send("k0", "b", 6), "new");
  EXPECT_LE(memory_->size(), 4U);
}

TEST_F(RequestMemoryTest, WhatIsOlderThanTheLimitIsForgotten) {
  open({.kept_us = 10 * kSecond});
  send("k", "a", kSecond);
  EXPECT_EQ(send("k", "a", 11 * kSecond), "1");
  EXPECT_EQ(send("k", "b", 11 * kSecond + 1), "new");
}

TEST_F(RequestMemoryTest, LongAnswersCountForTheirBytes) {
  open({.bytes_max = 100'000});
  for (int i = 0; i < 1000; ++i) send(fmt::format("k{}", i), "a", i, std::string(1000, 'x'));
  EXPECT_LT(memory_->size(), 100U);
  EXPECT_GT(memory_->size(), 50U);
  EXPECT_EQ(send("k999", "a", 1000), "1000");
}

TEST_F(RequestMemoryTest, ARefusedRequestLeavesItsKeyFree) {
  const RequestKey key{StreamId(1), "k"};
  RequestMemory::Done ignored = [](const Result<IngestReply>&) {};
  ASSERT_TRUE(memory_->begin(key, request_print("json", "a"), 1, ignored));
  std::optional<std::string> second;
  RequestMemory::Done waits = [&](const Result<IngestReply>& reply) {
    second = reply ? "told" : reply.error().id;
  };
  EXPECT_FALSE(memory_->begin(key, request_print("json", "a"), 1, waits));
  EXPECT_FALSE(second);
  memory_->finish(key, fail(ErrorCode::kUnavailable, error_id::kDiskFull, "the disk is full"));
  EXPECT_EQ(second, error_id::kDiskFull);
  EXPECT_EQ(send("k", "b", 2), "new");
}

TEST_F(RequestMemoryTest, ManySavesAndStartsForgetNothing) {
  for (int i = 0; i < 60; ++i) {
    send(fmt::format("k{}", i), "a", i);
    ASSERT_TRUE(memory_->save());
    if (i % 7 == 0) open({});
  }
  EXPECT_LE(files().size(), 17U);
  open({});
  EXPECT_EQ(memory_->saved_end(), Offset(60));
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(send(fmt::format("k{}", i), "a", 60), fmt::format("{}", i + 1));
}

TEST_F(RequestMemoryTest, FilesThatACrashLeftBehindAWholeOneAreRemoved) {
  for (int i = 0; i < 16; ++i) {
    send(fmt::format("k{}", i), "a", i);
    ASSERT_TRUE(memory_->save());
  }
  const auto old = files();
  ASSERT_EQ(old.size(), 16U);
  const auto kept = folder_.string() + "-kept";
  std::filesystem::copy(folder_, kept);
  send("k16", "a", 16);
  ASSERT_TRUE(memory_->save());
  ASSERT_EQ(files().size(), 1U);
  // Some of them were removed, others not.
  for (const std::size_t left : {1U, 5U, 6U, 15U})
    std::filesystem::copy(std::filesystem::path(kept) / old[left].filename(), folder_);
  std::filesystem::remove_all(kept);
  open({});
  EXPECT_EQ(files().size(), 1U);
  EXPECT_EQ(send("k0", "a", 17), "1");
  EXPECT_EQ(send("k16", "a", 17), "17");
}

TEST_F(RequestMemoryTest, AMissingFileIsToldOf) {
  for (int i = 0; i < 3; ++i) {
    send(fmt::format("k{}", i), "a", i);
    ASSERT_TRUE(memory_->save());
  }
  std::filesystem::remove(files()[1]);
  EXPECT_EQ(opening_fails_with(), error_id::kChecksum);
}

TEST_F(RequestMemoryTest, ALongAnswerIsShortenedBetweenCharacters) {
  IngestReply reply;
  reply.rejected.resize(1000);
  reply.rejected[3].reason = "x";
  for (int i = 0; i < 400; ++i) reply.rejected[3].reason += "é";
  RequestMemory::shorten(reply);
  EXPECT_EQ(reply.rejected.size(), 100U);
  EXPECT_EQ(reply.rejected[3].reason.size(), 499U);
}

}  // namespace
}  // namespace millrace::ingest
