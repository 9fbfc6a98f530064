// Who gets the threads of the pool when there is more work than threads: all in turn, nobody all of
// them, and what does not fit is refused.
#include "runtime/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>

namespace millrace::runtime {
namespace {

using testing::ElementsAre;

/// Tasks that say who they are, and end when they are told.
class WorkerPoolTest : public testing::Test {
 protected:
  std::function<void()> noted(std::string name) {
    return [this, name] {
      const MutexLock lock(mutex_);
      ran_.push_back(name);
    };
  }
  /// Runs until release().
  std::function<void()> held() {
    return [this, end = released_] {
      {
        const MutexLock lock(mutex_);
        ++holding_;
        changed_.notify_all();
      }
      end.wait();
    };
  }
  void wait_until_held(int count) {
    const MutexLock lock(mutex_);
    while (holding_ < count) changed_.wait(mutex_);
  }
  int holding() {
    const MutexLock lock(mutex_);
    return holding_;
  }
  std::vector<std::string> ran() {
    const MutexLock lock(mutex_);
    return ran_;
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> ran_ GUARDED_BY(mutex_);
  int holding_ GUARDED_BY(mutex_) = 0;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
};

TEST_F(WorkerPoolTest, OwnersTakeTurnsAndSoDoTheirClients) {
  WorkerPool pool("test", 1, 100);
  ASSERT_TRUE(pool.post({9, 9}, held()));
  wait_until_held(1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pool.post({1, 1}, noted("greedy")));
  ASSERT_TRUE(pool.post({1, 2}, noted("its other connection")));
  ASSERT_TRUE(pool.post({2, 3}, noted("another")));
  ASSERT_TRUE(pool.post({2, 3}, noted("another")));
  release_.set_value();
  pool.close();
  EXPECT_THAT(ran(), ElementsAre("greedy", "another", "its other connection", "another", "greedy",
                                 "greedy"));
}

TEST_F(WorkerPoolTest, AClientWithNothingUnderWayComesBeforeThoseWhoAlwaysWait) {
  WorkerPool pool("test", 1, 100);
  ASSERT_TRUE(pool.post({9, 9}, held()));
  wait_until_held(1);
  for (std::uint64_t client = 1; client <= 3; ++client) {
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.post({1, client}, noted("greedy")));
  }
  std::promise<void> posted;
  // After its first task each greedy one is behind those who come new.
  ASSERT_TRUE(pool.post({1, 4}, [&] { posted.get_future().wait(); }));
  release_.set_value();
  ASSERT_TRUE(pool.post({1, 5}, noted("sparse")));
  posted.set_value();
  pool.close();
  EXPECT_THAT(ran(),
              ElementsAre("greedy", "greedy", "greedy", "sparse", "greedy", "greedy", "greedy"));
}

TEST_F(WorkerPoolTest, AClientHasHalfOfTheThreadsAtMost) {
  WorkerPool pool("test", 4, 100);
  const auto greedy = held();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pool.post({1, 1}, greedy));
  wait_until_held(2);
  std::promise<void> other;
  ASSERT_TRUE(pool.post({1, 2}, [&] { other.set_value(); }));
  other.get_future().wait();
  EXPECT_EQ(holding(), 2);
  release_.set_value();
  pool.close();
  EXPECT_EQ(holding(), 10);
}

TEST_F(WorkerPoolTest, AnOwnerHasNeverAllThreadsHoweverManyClientsItHas) {
  WorkerPool pool("test", 4, 100);
  const auto greedy = held();
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(pool.post({1, i}, greedy));
  wait_until_held(3);
  std::promise<void> other;
  ASSERT_TRUE(pool.post({2, 0}, [&] { other.set_value(); }));
  other.get_future().wait();
  EXPECT_EQ(holding(), 3);
  release_.set_value();
}

TEST_F(WorkerPoolTest, AnOwnerDoesNotFillTheQueue) {
  WorkerPool pool("test", 1, 8);
  ASSERT_TRUE(pool.post({1, 1}, held()));
  wait_until_held(1);
  int taken = 0;
  while (pool.post({1, 1}, noted("greedy"))) ++taken;
  EXPECT_EQ(taken, 6);
  // Another client of the same owner still gets in, and another owner after it.
  EXPECT_TRUE(pool.post({1, 2}, noted("its other connection")));
  EXPECT_FALSE(pool.post({1, 3}, noted("a third of its connections")));
  EXPECT_TRUE(pool.post({2, 1}, noted("another")));
  EXPECT_FALSE(pool.post({3, 1}, noted("too many")));
  release_.set_value();
  pool.close();
  EXPECT_EQ(ran().size(), 8U);
  EXPECT_FALSE(pool.post({5, 1}, noted("late")));
}

}  // namespace
}  // namespace millrace::runtime
