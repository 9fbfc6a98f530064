// Reads that wait for a position: told when it is visible, when their time is over, and when the
// server stops.
#include "serving/position_wait.h"

#include <gtest/gtest.h>

#include <future>

#include "runtime/clock.h"

namespace millrace::serving {
namespace {

class PositionWaitTest : public testing::Test {
 protected:
  PositionWaitTest() {
    StreamDefinition stream;
    stream.id = StreamId(1);
    stream.name = "events";
    stream.columns = {{"n", {TypeKind::kBigInt}}};
    stream.partitions = 2;
    stream_ = speed_.add_stream(stream, CommitNumber(0), Position(2));
  }
  /// An event of partition 1.
  void add() {
    const Type type{TypeKind::kBigInt};
    auto columns = std::make_shared<ColumnBatch>(std::span(&type, 1));
    columns->column(0).push(std::int64_t{1});
    std::vector<speed::TailEntry> entries;
    entries.push_back({.batch = {.stream = StreamId(1),
                                 .partition = PartitionId(1),
                                 .base_offset = Offset(events_++),
                                 .arrival_us = 0,
                                 .columns = std::move(columns)},
                       .place = {},
                       .rows = 1,
                       .applied_us = runtime::monotonic_us()});
    stream_->apply(std::move(entries));
  }
  static PositionToken at(std::uint64_t end, StreamId stream = StreamId(1)) {
    Position position;
    position.set_end(PartitionId(1), Offset(end));
    PositionToken token;
    token.include(stream, position);
    return token;
  }
  std::future<std::string> wait(const PositionToken& wanted, std::int64_t timeout_ms) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto future = promise->get_future();
    wait_.wait(wanted, timeout_ms, [promise](const Status& status) {
      promise->set_value(status ? "visible" : status.error().id);
    });
    return future;
  }
  static bool is_told(const std::future<std::string>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  speed::SpeedLayer speed_{speed::TailOptions{}};
  std::shared_ptr<speed::StreamState> stream_;
  PositionWait wait_{speed_};
  std::uint64_t events_ = 0;
};

TEST_F(PositionWaitTest, WhatIsVisibleIsNotWaitedFor) {
  add();
  auto told = wait(at(1), 60'000);
  ASSERT_TRUE(is_told(told));
  EXPECT_EQ(told.get(), "visible");
}

TEST_F(PositionWaitTest, EachIsToldWhenItsOwnPositionIsVisible) {
  auto first = wait(at(1), 60'000);
  auto second = wait(at(2), 60'000);
  EXPECT_FALSE(is_told(first));
  add();
  EXPECT_EQ(first.get(), "visible");
  EXPECT_FALSE(is_told(second));
  add();
  EXPECT_EQ(second.get(), "visible");
}

TEST_F(PositionWaitTest, TheTimeEnds) {
  EXPECT_EQ(wait(at(1), 0).get(), error_id::kNotVisibleYet);
  EXPECT_EQ(wait(at(1), 5).get(), error_id::kNotVisibleYet);
}

TEST_F(PositionWaitTest, AStreamThatIsDroppedMeanwhileIsNotWaitedFor) {
  auto told = wait(at(1), 60'000);
  speed_.remove_stream(StreamId(1));
  EXPECT_EQ(told.get(), "visible");
}

TEST_F(PositionWaitTest, StoppingTellsThoseWhoWaitAndThoseWhoCome) {
  auto told = wait(at(1), 60'000);
  wait_.stop();
  EXPECT_EQ(told.get(), error_id::kStopping);
  EXPECT_EQ(wait(at(1), 60'000).get(), error_id::kStopping);
  wait_.stop();
}

TEST_F(PositionWaitTest, MoreThanTheLimitAreRefused) {
  std::vector<std::future<std::string>> waiting;
  for (int i = 0; i < 4096; ++i) waiting.push_back(wait(at(1), 60'000));
  EXPECT_EQ(wait(at(1), 60'000).get(), error_id::kBusy);
  add();
  for (auto& one : waiting) EXPECT_EQ(one.get(), "visible");
}

}  // namespace
}  // namespace millrace::serving
