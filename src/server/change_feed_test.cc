// Views are followed while they change: what a subscriber has is what the view answers, whatever is
// done to it and however slow it reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using serving::FeedStart;
using testing::ElementsAre;
using testing::HasSubstr;

std::string line_of(std::span<const ColumnView> views, std::size_t row) {
  std::string out;
  for (const auto& view : views) {
    if (view.type.kind == TypeKind::kDouble && view.valid(row)) {
      out += fmt::format("{:016x}|", std::bit_cast<std::uint64_t>(view.as<double>()[row]));
    } else {
      out += value_text(view, row).value_or("NULL") + "|";
    }
  }
  return out;
}

// What a client would keep: the rows under each key.
class Follower : public serving::FeedSink {
 public:
  void start(FeedStart why, const std::shared_ptr<const serving::FeedShape>& shape,
             const std::string& token) override {
    const std::lock_guard lock(mutex_);
    starts_.push_back(why);
    columns_.clear();
    for (const auto& column : shape->columns) columns_ += column.name + " ";
    if (why != FeedStart::kResumed) rows_.clear();
    if (!token.empty()) token_ = token;
    changed_.notify_all();
  }
  void batch(const std::shared_ptr<const serving::FeedBatch>& batch) override {
    const std::lock_guard lock(mutex_);
    const auto keys = batch->keys->views();
    const auto rows = batch->rows->views();
    std::size_t row = 0;
    for (std::size_t i = 0; i < batch->row_ends.size(); ++i) {
      auto& lines = rows_[line_of(keys, i)];
      lines.clear();
      for (; row < batch->row_ends[i]; ++row) lines.push_back(line_of(rows, row));
      keys_ += 1;
    }
    if (row != batch->rows->rows()) ADD_FAILURE() << "rows of no key";
    ++batches_;
    if (!batch->more) {
      token_ = batch->token;
      events_ = batch->coverage.events();
    } else if (!batch->token.empty()) {
      ADD_FAILURE() << "a token in the middle";
    }
    whole_ = !batch->more;
    if (check_) check_(*this);
    if (eager_ && handle_ != nullptr) handle_->grant();
    changed_.notify_all();
  }
  void end(const Error& error) override {
    const std::lock_guard lock(mutex_);
    ended_ = error;
    changed_.notify_all();
  }

  // All rows, a line each, in no order that means something.
  [[nodiscard]] std::string rows() const {
    std::vector<std::string> lines;
    for (const auto& [key, under] : rows_) lines.insert(lines.end(), under.begin(), under.end());
    std::ranges::sort(lines);
    return fmt::format("{}\n", fmt::join(lines, "\n"));
  }
  template <class Condition>
  bool wait_until(const Condition& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(*this); });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<serving::FeedSubscription> handle_;
  bool eager_ = true;
  std::function<void(Follower&)> check_;
  std::vector<FeedStart> starts_;
  std::string columns_;
  std::map<std::string, std::vector<std::string>> rows_;
  std::string token_;
  std::uint64_t events_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t keys_ = 0;
  bool whole_ = false;
  std::optional<Error> ended_;
};

class ChangeFeedTest : public NodeTest {
 protected:
  std::shared_ptr<Follower> follow(serving::FeedRequest request, bool eager = true) {
    auto follower = std::make_shared<Follower>();
    follower->eager_ = eager;
    const std::lock_guard lock(follower->mutex_);
    auto handle = node_->feed().subscribe(std::move(request), follower);
    EXPECT_TRUE(handle) << handle.error().text();
    if (handle) follower->handle_ = *handle;
    return follower;
  }
  std::string rows_of_view(const std::string& view) {
    const auto all = all_rows(view);
    std::vector<std::string> lines;
    const auto views = all.rows->views();
    for (std::size_t row = 0; row < all.rows->rows(); ++row) lines.push_back(line_of(views, row));
    std::ranges::sort(lines);
    return fmt::format("{}\n", fmt::join(lines, "\n"));
  }
  // Waits until the follower has all events of the view, and compares.
  void expect_same(Follower& follower, const std::string& view) {
    const auto wanted = rows_of_view(view);
    const bool same = follower.wait_until(
        [&](Follower& f) { return f.whole_ && !f.ended_ && f.rows() == wanted; });
    const std::lock_guard lock(follower.mutex_);
    EXPECT_TRUE(same) << view << ": it has\n" << follower.rows() << "instead of\n" << wanted;
  }
  std::string lines(std::mt19937_64& random, std::size_t count, int keys = 40) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      out +=
          fmt::format(R"({{"t":"2020-01-01T{:02}:{:02}:00Z","k":{},"c":"c{}","x":{},"d":{}}})"
                      "\n",
                      random() % 24, random() % 60, random() % static_cast<unsigned>(keys),
                      random() % 5, random() % 1000, static_cast<double>(random() % 100'000) / 7);
    }
    return out;
  }
  void make_stream() {
    open();
    sql("CREATE STREAM e (t TIMESTAMP, k BIGINT, c VARCHAR, x BIGINT, d DOUBLE) "
        "WITH (time = t, key = k, partitions = 2)");
  }
};

constexpr const char* kViews[][2] = {
    {"plain", "SELECT k, count(*) AS n, sum(d) AS s, min(c) AS m FROM e GROUP BY k"},
    {"two_keys", "SELECT c, k, count(*) AS n, avg(d) AS s FROM e GROUP BY c, k"},
    {"having", "SELECT k, count(*) AS n FROM e GROUP BY k HAVING sum(x) % 2 = 0"},
    {"hidden", "SELECT count(*) + 1 AS n, max(d) AS worst FROM e GROUP BY k HAVING sum(x) % 3 > 0"},
    {"hidden_plain", "SELECT count(*) AS n FROM e GROUP BY k"},
    {"global", "SELECT count(*) AS n, sum(d) AS s FROM e"},
    {"filtered", "SELECT c, sum(x) AS s FROM e WHERE k < 10 GROUP BY c"},
    {"sets", "SELECT c, k, count(*) AS n FROM e GROUP BY GROUPING SETS ((c), (k), ())"},
    {"windows",
     "SELECT c, hop(t, INTERVAL 1 HOUR, INTERVAL 3 HOURS) AS w, count(*) AS n FROM e GROUP BY ALL"},
    {"sessions",
     "SELECT k, session(t, INTERVAL 10 MINUTES) AS start, count(*) AS n FROM e GROUP BY k, start"},
    {"one_session",
     "SELECT session(t, INTERVAL 5 MINUTES) AS start, sum(x) + 1 AS n FROM e GROUP BY start"},
};

TEST_F(ChangeFeedTest, FollowersOfAllKindsOfViewsHaveWhatTheViewsAnswer) {
  make_stream();
  std::mt19937_64 random(7);
  for (const auto& [name, select] : kViews)
    sql(fmt::format("CREATE MATERIALIZED VIEW {} AS {}", name, select));
  post("e", lines(random, 300));
  run_batch();
  post("e", lines(random, 50));
  std::vector<std::pair<std::string, std::shared_ptr<Follower>>> followers;
  for (const auto& [name, select] : kViews) {
    followers.emplace_back(name, follow({.view = name}));
    followers.emplace_back(name, follow({.view = name}, false));  // reads when the test says so
  }
  for (const auto& [name, follower] : followers) {
    if (follower->eager_) expect_same(*follower, name);
  }
  for (int round = 0; round < 40; ++round) {
    post("e", lines(random, 1 + random() % 30));
    if (round % 13 == 5) run_batch(round == 5);
    for (const auto& [name, follower] : followers) {
      if (!follower->eager_ && random() % 4 == 0) follower->handle_->grant();
    }
  }
  for (const auto& [name, follower] : followers) {
    if (!follower->eager_) follower->handle_->grant(1000);
    expect_same(*follower, name);
    EXPECT_EQ(follower->starts_.size(), 1U) << name;
  }
}

TEST_F(ChangeFeedTest, EveryTokenStandsForTheAnswerAtItsPosition) {
  make_stream();
  std::mt19937_64 random(11);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 3000, 2000));
  run_batch();
  auto follower = std::make_shared<Follower>();
  std::atomic<std::uint64_t> checked{0};
  follower->check_ = [&](Follower& f) {
    if (!f.whole_) return;
    std::uint64_t sum = 0;
    for (const auto& [key, rows] : f.rows_) sum += std::stoull(rows.at(0).substr(key.size()));
    if (sum != f.events_) ADD_FAILURE() << sum << " events in the rows, " << f.events_ << " said";
    ++checked;
  };
  auto handle = node_->feed().subscribe({.view = "v", .credit = 1'000'000}, follower);
  ASSERT_TRUE(handle);
  for (int i = 0; i < 300; ++i) {
    post("e", lines(random, 1 + random() % 200, 2000));
    if (i % 100 == 50) run_batch();
  }
  expect_same(*follower, "v");
  EXPECT_GT(checked, 3U);
}

TEST_F(ChangeFeedTest, GoesOnFromATokenWithNoMoreThanWhatChanged) {
  make_stream();
  std::mt19937_64 random(3);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, sum(d) AS s FROM e GROUP BY k");
  post("e", lines(random, 1000, 500));
  auto first = follow({.view = "v"});
  expect_same(*first, "v");
  first->handle_->cancel();
  const auto rows = first->rows_;
  post("e", R"({"t":"2020-01-01T00:00:00Z","k":3,"c":"x","x":1,"d":1})"
            "\n"
            R"({"t":"2020-01-01T00:00:00Z","k":7777,"c":"x","x":1,"d":1})");

  auto second = follow({.view = "v", .where = {}, .after = first->token_});
  {
    const std::lock_guard lock(second->mutex_);
    for (const auto& [key, under] : rows) second->rows_.try_emplace(key, under);
  }
  expect_same(*second, "v");
  EXPECT_THAT(second->starts_, ElementsAre(FeedStart::kResumed));
  EXPECT_LE(second->keys_, 2U);
  second->handle_->cancel();

  // Nothing changed: nothing comes but the word that it goes on.
  auto third = follow({.view = "v", .where = {}, .after = second->token_});
  ASSERT_TRUE(third->wait_until([](Follower& f) { return !f.starts_.empty(); }));
  EXPECT_THAT(third->starts_, ElementsAre(FeedStart::kResumed));
  EXPECT_EQ(third->keys_, 0U);
  const auto token = third->handle_->token();
  ASSERT_TRUE(token);
  EXPECT_EQ(*token, second->token_);
}

TEST_F(ChangeFeedTest, ATokenThatIsNotKnownGetsASnapshotThatSaysSo) {
  make_stream();
  std::mt19937_64 random(3);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  sql("CREATE MATERIALIZED VIEW w AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 100));
  auto first = follow({.view = "v"});
  expect_same(*first, "v");
  const std::string token = first->token_;
  for (const std::string& after :
       {std::string("nonsense"), std::string("1.99.0-0"), token + "_5", std::string("1.1.99999"),
        std::string("1."), std::string(100'000, '1')}) {
    auto follower = follow({.view = "v", .where = {}, .after = after});
    expect_same(*follower, "v");
    EXPECT_THAT(follower->starts_, ElementsAre(FeedStart::kPositionUnknown)) << after;
  }
  auto other = follow({.view = "w", .where = {}, .after = token});
  expect_same(*other, "w");
  EXPECT_THAT(other->starts_, ElementsAre(FeedStart::kPositionUnknown));

  // After a restart the same position is known, and an earlier one is not.
  const std::string before = token;
  post("e", lines(random, 10));
  expect_same(*first, "v");
  const std::string now = first->token_;
  open();
  auto same = follow({.view = "v", .where = {}, .after = now});
  ASSERT_TRUE(same->wait_until([](Follower& f) { return !f.starts_.empty(); }));
  EXPECT_THAT(same->starts_, ElementsAre(FeedStart::kResumed));
  auto earlier = follow({.view = "v", .where = {}, .after = before});
  expect_same(*earlier, "v");
  EXPECT_THAT(earlier->starts_, ElementsAre(FeedStart::kPositionUnknown));
}

TEST_F(ChangeFeedTest, AFilterLetsItsKeysThroughAndNoOthers) {
  make_stream();
  std::mt19937_64 random(5);
  sql("CREATE MATERIALIZED VIEW v AS SELECT c, k, count(*) AS n FROM e GROUP BY c, k");
  post("e", lines(random, 500));
  run_batch();
  auto whole = follow({.view = "v", .where = {{"k", "7"}, {"c", "c1"}}});
  auto first = follow({.view = "v", .where = {{"c", "c2"}}});
  auto second = follow({.view = "v", .where = {{"k", "3"}}});
  auto none = follow({.view = "v", .where = {{"c", "nobody"}}});
  for (int i = 0; i < 20; ++i) post("e", lines(random, 30));
  const auto expect_rows = [&](Follower& follower, std::vector<serving::ViewRequest::Equal> where) {
    const auto rows = serving::read_view(*node_->speed().find_view("v"), {.where = where});
    ASSERT_TRUE(rows);
    std::vector<std::string> wanted;
    const auto views = rows->rows->views();
    for (std::size_t row = 0; row < rows->rows->rows(); ++row)
      wanted.push_back(line_of(views, row));
    std::ranges::sort(wanted);
    const std::string text = fmt::format("{}\n", fmt::join(wanted, "\n"));
    EXPECT_TRUE(follower.wait_until([&](Follower& f) { return f.whole_ && f.rows() == text; }));
  };
  expect_rows(*whole, {{"k", "7"}, {"c", "c1"}});
  expect_rows(*first, {{"c", "c2"}});
  expect_rows(*second, {{"k", "3"}});
  expect_rows(*none, {{"c", "nobody"}});
  EXPECT_LE(none->batches_, 1U);

  const auto refused = [&](std::vector<serving::ViewRequest::Equal> where) {
    const auto handle =
        node_->feed().subscribe({.view = "v", .where = where}, std::make_shared<Follower>());
    return handle ? std::string("taken") : handle.error().text();
  };
  EXPECT_THAT(refused({{"n", "1"}}), HasSubstr("n is no column of the key of view v"));
  EXPECT_THAT(refused({{"n", "1"}}), HasSubstr("can be filtered by c, k"));
  EXPECT_THAT(refused({{"k", "x"}}), HasSubstr("MR2003"));
  const auto missing = node_->feed().subscribe({.view = "nothing"}, std::make_shared<Follower>());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().id, error_id::kViewNotFound);
}

TEST_F(ChangeFeedTest, WithoutASnapshotOnlyWhatChangesComes) {
  make_stream();
  std::mt19937_64 random(5);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 500));
  auto follower = follow({.view = "v", .where = {}, .after = {}, .snapshot = false});
  ASSERT_TRUE(follower->wait_until([](Follower& f) { return !f.token_.empty(); }));
  post("e", R"({"t":"2020-01-01T00:00:00Z","k":4000,"c":"x","x":1,"d":1})");
  ASSERT_TRUE(follower->wait_until([](Follower& f) { return f.keys_ > 0; }));
  EXPECT_EQ(follower->rows(), "4000|1|\n");
}

TEST_F(ChangeFeedTest, AReplacedViewStartsAnewAndADroppedOneEnds) {
  make_stream();
  std::mt19937_64 random(9);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 500));
  run_batch();
  auto all = follow({.view = "v"});
  auto one = follow({.view = "v", .where = {{"k", "3"}}});
  expect_same(*all, "v");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937_64 own(1);
    while (!stop) post("e", lines(own, 20));
  });
  const char* const definitions[] = {
      "SELECT c, sum(x) AS total, count(*) AS n FROM e GROUP BY c",
      "SELECT k, max(d) AS worst FROM e GROUP BY k HAVING count(*) % 2 = 0"};
  for (int round = 0; round < 4; ++round) {
    const auto old = node_->speed().find_view("v")->record().id;
    sql(fmt::format("CREATE OR REPLACE MATERIALIZED VIEW v AS {}", definitions[round % 2]));
    for (int i = 0; i < 20'000 && node_->speed().find_view("v")->record().id == old; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto columns = round % 2 == 0 ? "c total n " : "k worst ";
    EXPECT_TRUE(all->wait_until([&](Follower& f) { return f.columns_ == columns && f.whole_; }));
  }
  stop = true;
  writer.join();
  expect_same(*all, "v");
  EXPECT_EQ(all->starts_.back(), FeedStart::kReplaced);
  // Its column was in no key of the first replacement.
  ASSERT_TRUE(one->wait_until([](Follower& f) { return f.ended_.has_value(); }));
  EXPECT_EQ(one->ended_->id, error_id::kColumnNotFound);

  sql("DROP MATERIALIZED VIEW v");
  ASSERT_TRUE(all->wait_until([](Follower& f) { return f.ended_.has_value(); }));
  EXPECT_EQ(all->ended_->id, error_id::kViewNotFound);
  // They are told before they are let go.
  for (int i = 0; i < 20'000 && node_->feed().counters().subscribers != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(node_->feed().counters().subscribers, 0U);
}

TEST_F(ChangeFeedTest, WhoFallsBehindStartsAnewAndEndsWithTheNewest) {
  make_stream();
  std::mt19937_64 random(9);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 500));
  serving::ChangeFeed feed(node_->speed(), {.touched = {.keys_max = 100}});
  feed.start();
  auto slow = std::make_shared<Follower>();
  slow->eager_ = false;
  auto handle = feed.subscribe({.view = "v"}, slow);
  ASSERT_TRUE(handle);
  slow->handle_ = *handle;
  expect_same(*slow, "v");
  for (int i = 0; i < 20; ++i) post("e", lines(random, 500, 5000));
  (*handle)->grant(100);
  expect_same(*slow, "v");
  EXPECT_EQ(slow->starts_.size(), 2U);
  EXPECT_EQ(slow->starts_.back(), FeedStart::kSlow);
  EXPECT_EQ(feed.counters().fell_behind, 1U);
  feed.stop();
  ASSERT_TRUE(slow->ended_);
  EXPECT_EQ(slow->ended_->id, error_id::kStopping);
}

TEST_F(ChangeFeedTest, ASubscriberOfAViewThatIsBeingBuiltWaitsForIt) {
  make_stream();
  std::mt19937_64 random(9);
  post("e", lines(random, 2000));
  sql("CREATE MATERIALIZED VIEW first AS SELECT k, count(*) AS n FROM e GROUP BY k");
  run_batch();
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, sum(d) AS s FROM e GROUP BY k");
  auto follower = follow({.view = "v"});
  ASSERT_TRUE(follower->wait_until([](Follower& f) { return f.whole_; }));
  expect_same(*follower, "v");
  EXPECT_THAT(follower->starts_, ElementsAre(FeedStart::kSubscribed));
}

TEST_F(ChangeFeedTest, ManySubscribersShareOneReading) {
  make_stream();
  std::mt19937_64 random(9);
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n FROM e GROUP BY k");
  post("e", lines(random, 500));
  std::vector<std::shared_ptr<Follower>> followers;
  for (int i = 0; i < 200; ++i) followers.push_back(follow({.view = "v"}));
  for (int i = 0; i < 50; ++i) post("e", lines(random, 20));
  for (const auto& follower : followers) expect_same(*follower, "v");
  for (const auto& follower : followers) follower->handle_->cancel();
  for (int i = 0; i < 10'000 && node_->feed().counters().subscribers != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(node_->feed().counters().subscribers, 0U);
}

}  // namespace
}  // namespace millrace::server
