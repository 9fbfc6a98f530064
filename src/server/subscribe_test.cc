// SUBSCRIBE on a whole node: in a session, and over PostgreSQL's wire byte for byte.
#include <gmock/gmock.h>

#include <map>
#include <random>
#include <set>

#include "format/base64.h"
#include "server/postgres_fixture_test.h"
#include "serving/feed_token.h"
#include "serving/live_query.h"
#include "serving/sql_session.h"

namespace millrace::server {
namespace {

using serving::LiveQuery;
using testing::HasSubstr;
using testing::StartsWith;

/// Whoever applies what a SUBSCRIBE says: rows by their keys.
class Reader {
 public:
  explicit Reader(std::shared_ptr<LiveQuery> live) : live_(std::move(live)) {
    live_->on_ready([this] {
      const MutexLock lock(mutex_);
      changed_.notify_one();
    });
  }
  ~Reader() {
    live_->on_ready({});
    live_->cancel();
  }

  /// Takes up to the next progress row; gives its position, or the error.
  std::string to_progress() {
    const auto end = std::chrono::steady_clock::now() + endpoint::kPatience;
    while (std::chrono::steady_clock::now() < end) {
      auto piece = live_->next(rows_max_);
      if (!piece) return piece.error().text();
      if (piece->rows != nullptr) {
        const std::string position = apply(*piece->rows);
        EXPECT_EQ(piece->ends_in_progress, !position.empty());
        if (!position.empty()) return position;
        continue;
      }
      const MutexLock lock(mutex_);
      if (!live_->is_ready()) changed_.wait_for(mutex_, std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "no progress";
    return "error[none]";
  }
  /// Until the rows are these.
  bool comes_to(const std::multiset<std::string>& rows) {
    const auto end = std::chrono::steady_clock::now() + endpoint::kPatience;
    while (this->rows() != rows) {
      if (std::chrono::steady_clock::now() > end) return false;
      to_progress();
    }
    return true;
  }
  [[nodiscard]] std::multiset<std::string> rows() const {
    std::multiset<std::string> out;
    for (const auto& [key, held] : rows_) out.insert(held.begin(), held.end());
    return out;
  }
  [[nodiscard]] const std::vector<std::string>& told() const { return told_; }
  void take_rows(std::uint64_t rows_max) { rows_max_ = rows_max; }

 private:
  std::string apply(const ColumnBatch& batch) {
    const auto views = batch.views();
    std::string position;
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      const auto text = [&](std::size_t c) { return value_text(views[c], row).value_or("NULL"); };
      const std::string op = text(1);
      std::string values;
      for (std::size_t c = serving::kLiveColumns; c < views.size(); ++c) values += text(c) + "|";
      told_.push_back(op + " " + text(2) + " " + values);
      EXPECT_EQ(position, "") << "rows behind a progress row of the same piece";
      if (op == "progress") {
        position = text(0);
      } else if (op == "reset") {
        rows_.clear();
      } else if (op == "delete") {
        rows_.erase(text(2));
      } else if (op == "insert") {
        rows_[text(2)].insert(values);
      } else {
        EXPECT_EQ(op, "upsert");
        rows_[text(2)] = {values};
      }
    }
    return position;
  }

  std::shared_ptr<LiveQuery> live_;
  Mutex mutex_;
  CondVar changed_;
  std::uint64_t rows_max_ = 1'000'000;
  std::map<std::string, std::multiset<std::string>> rows_;
  std::vector<std::string> told_;
};

class SubscribeTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    sql("CREATE STREAM s (k VARCHAR, n BIGINT, at TIMESTAMP)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS total FROM s GROUP BY k");
    post("s", "{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":2}\n{\"k\":\"a\",\"n\":3}\n");
  }
  void TearDown() override {
    session_.reset();
    NodeTest::TearDown();
  }
  std::shared_ptr<LiveQuery> subscribe(std::string_view text,
                                       access::Principal who = access::Principal::owner()) {
    auto live = tried(text, std::move(who));
    EXPECT_TRUE(live) << live.error().text();
    return live ? *live : nullptr;
  }
  Result<std::shared_ptr<LiveQuery>> tried(std::string_view text,
                                           access::Principal who = access::Principal::owner()) {
    session_ = std::make_unique<serving::SqlSession>(node_->statements(), std::move(who));
    MR_TRY(auto result, session_->run(text));
    return result.live;
  }
  Error failure(std::string_view text) {
    auto live = tried(text);
    EXPECT_FALSE(live) << text;
    return live ? Error{} : live.error();
  }

  std::unique_ptr<serving::SqlSession> session_;
};

TEST_F(SubscribeTest, GivesAllRowsAndThenWhatChanges) {
  Reader reader(subscribe("SUBSCRIBE TO SELECT * FROM v"));
  EXPECT_FALSE(reader.to_progress().empty());
  EXPECT_EQ(reader.rows(), (std::multiset<std::string>{"a|2|4|", "b|1|2|"}));
  post("s", "{\"k\":\"c\",\"n\":9}\n{\"k\":\"a\",\"n\":1}\n");
  EXPECT_TRUE(reader.comes_to({"a|3|5|", "b|1|2|", "c|1|9|"}));
  EXPECT_THAT(reader.told(), testing::Contains("upsert [\"c\"] c|1|9|"));
}

TEST_F(SubscribeTest, ProjectsRenamesComputesAndFilters) {
  Reader reader(
      subscribe("SUBSCRIBE TO SELECT upper(x.k) AS name, total * 10 AS tenfold, 'x' AS t "
                "FROM v AS x WHERE total < 5"));
  reader.to_progress();
  EXPECT_EQ(reader.rows(), (std::multiset<std::string>{"A|40|x|", "B|20|x|"}));
  // A row that does not satisfy WHERE any more is deleted, and may come back.
  post("s", "{\"k\":\"a\",\"n\":1}\n{\"k\":\"c\",\"n\":50}\n");
  EXPECT_TRUE(reader.comes_to({"B|20|x|"}));
  EXPECT_THAT(reader.told(), testing::Contains("delete [\"a\"] NULL|NULL|NULL|"));
  post("s", "{\"k\":\"a\",\"n\":-3}\n");
  EXPECT_TRUE(reader.comes_to({"A|20|x|", "B|20|x|"}));
  // Of a key that never had a row, nothing is said.
  EXPECT_THAT(reader.told(), testing::Not(testing::Contains(HasSubstr("[\"c\"]"))));
}

TEST_F(SubscribeTest, StarsMayLeaveOutAndReplaceColumns) {
  Reader reader(subscribe("SUBSCRIBE TO SELECT * EXCLUDE (c) REPLACE (total + 1 AS total) FROM v"));
  reader.to_progress();
  EXPECT_EQ(reader.rows(), (std::multiset<std::string>{"a|5|", "b|3|"}));
}

TEST_F(SubscribeTest, AnEqualityOnTheKeyFollowsThatKeyAlone) {
  Reader reader(subscribe("SUBSCRIBE TO SELECT c FROM v WHERE k = 'b' AND c > 0"));
  reader.to_progress();
  EXPECT_EQ(reader.rows(), (std::multiset<std::string>{"1|"}));
  post("s", "{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":1}\n");
  EXPECT_TRUE(reader.comes_to({"2|"}));
  for (const auto& told : reader.told()) EXPECT_THAT(told, testing::Not(HasSubstr("[\"a\"]")));
}

TEST_F(SubscribeTest, GoesOnFromAPosition) {
  std::string position;
  {
    Reader reader(subscribe("SUBSCRIBE TO v"));
    position = reader.to_progress();
  }
  post("s", "{\"k\":\"b\",\"n\":1}\n");
  Reader reader(subscribe(fmt::format("SUBSCRIBE TO v WITH (position = '{}')", position)));
  while (reader.rows().empty()) reader.to_progress();
  EXPECT_EQ(reader.rows(), (std::multiset<std::string>{"b|2|3|"}));
  // One that nobody knows any more begins anew, and says so.
  Reader lost(subscribe("SUBSCRIBE TO v WITH (position = '1.77.12-9')"));
  lost.to_progress();
  EXPECT_THAT(lost.told().front(), StartsWith("reset"));
  EXPECT_EQ(lost.rows().size(), 2U);
}

TEST_F(SubscribeTest, WithoutASnapshotOnlyChangesCome) {
  Reader reader(subscribe("SUBSCRIBE TO SELECT k, c FROM v WITH (snapshot = false)"));
  EXPECT_FALSE(reader.to_progress().empty());
  EXPECT_TRUE(reader.rows().empty());
  post("s", "{\"k\":\"b\",\"n\":1}\n");
  EXPECT_TRUE(reader.comes_to({"b|2|"}));
}

TEST_F(SubscribeTest, AViewWithoutKeyAndOneWithSessionsAreFollowedToo) {
  sql("CREATE MATERIALIZED VIEW all_of_it AS SELECT count(*) AS c FROM s");
  sql("CREATE MATERIALIZED VIEW visits AS SELECT k, session(\"at\", INTERVAL 10 MINUTE) AS began, "
      "count(*) AS c FROM s WHERE \"at\" IS NOT NULL GROUP BY k, began");
  Reader one(subscribe("SUBSCRIBE TO all_of_it"));
  one.to_progress();
  EXPECT_EQ(one.rows(), (std::multiset<std::string>{"3|"}));
  Reader visits(subscribe("SUBSCRIBE TO SELECT began::TIME::VARCHAR AS t, c FROM visits"));
  visits.to_progress();
  post("s",
       "{\"k\":\"a\",\"n\":1,\"at\":\"2026-01-01T10:00:00\"}\n"
       "{\"k\":\"a\",\"n\":1,\"at\":\"2026-01-01T11:00:00\"}\n");
  EXPECT_TRUE(visits.comes_to({"10:00:00|1|", "11:00:00|1|"}));
  // The event between them makes one session of the two.
  std::string between;
  for (int minute = 5; minute < 60; minute += 5)
    between += fmt::format("{{\"k\":\"a\",\"n\":1,\"at\":\"2026-01-01T10:{:02}:00\"}}\n", minute);
  post("s", between);
  EXPECT_TRUE(visits.comes_to({"10:00:00|13|"}));
}

TEST_F(SubscribeTest, WhatCannotBeFollowedIsRefusedWithTheReasonAndTheWayOut) {
  sql("CREATE VIEW plain AS SELECT k FROM v");
  const auto refused = [&](std::string_view select, std::string_view reason) {
    const Error error = failure(fmt::format("SUBSCRIBE TO {}", select));
    EXPECT_EQ(error.id, error_id::kUnsupportedStatement) << select << ": " << error.text();
    EXPECT_THAT(error.message, HasSubstr(reason)) << select;
    EXPECT_FALSE(error.hint.empty()) << select;
  };
  refused("SELECT sum(c) FROM v", "sum() is over many rows");
  refused("SELECT k FROM v GROUP BY k", "groups");
  refused("SELECT k FROM v ORDER BY k", "ORDER BY");
  refused("SELECT k FROM v LIMIT 3", "LIMIT");
  refused("SELECT DISTINCT k FROM v", "DISTINCT");
  refused("SELECT v.k FROM v JOIN v AS w ON v.k = w.k", "joins");
  refused("SELECT k FROM (SELECT k FROM v)", "subquery");
  refused("SELECT k FROM v WHERE c > (SELECT 1)", "subquery");
  refused("SELECT row_number() OVER () FROM v", "window");
  refused("SELECT k FROM v UNION ALL SELECT k FROM v", "several SELECTs");
  refused("WITH w AS (SELECT 1) SELECT k FROM v", "WITH");
  refused("SELECT 1", "no view");
  refused("SELECT k FROM s", "s is a stream");
  refused("SELECT k FROM plain", "plain view");
  refused("SELECT k FROM v AS OF TIMESTAMP '2026-01-01'", "AS OF");
  EXPECT_EQ(failure("SUBSCRIBE TO SELECT now() FROM v").id, error_id::kFunctionNotAllowed);
  EXPECT_EQ(failure("SUBSCRIBE TO nothing").id, error_id::kStreamNotFound);
  EXPECT_EQ(failure("SUBSCRIBE").id, error_id::kSyntax);
  EXPECT_EQ(failure("SUBSCRIBE TO v WITH (speed = 1)").id, error_id::kSyntax);
  // The place is that in the whole statement.
  const Error place = failure("SUBSCRIBE TO\nSELECT k, sum(c) FROM v");
  EXPECT_EQ(place.place, (TextPlace{.line = 2, .column = 11})) << place.text();
}

TEST_F(SubscribeTest, WhoMayNotSelectMayNotSubscribe) {
  sql("CREATE USER root WITH PASSWORD 'p'");  // the first one may do everything
  sql("CREATE USER ana WITH PASSWORD 'p'");
  sql("CREATE USER bob WITH PASSWORD 'p'");
  sql("GRANT SELECT ON v TO ana");
  EXPECT_FALSE(tried("SUBSCRIBE TO v", access::Principal::user("bob")));
  Reader reader(subscribe("SUBSCRIBE TO v", access::Principal::user("ana")));
  reader.to_progress();
  EXPECT_EQ(reader.rows().size(), 2U);
  // Once a second it is looked whether that is still so.
  sql("REVOKE SELECT ON v FROM ana");
  std::string end;
  while (!end.contains("error[")) end = reader.to_progress();
  EXPECT_THAT(end, HasSubstr("MR3102"));
}

TEST_F(SubscribeTest, AViewWithOtherColumnsEndsItAndOneThatIsDroppedToo) {
  Reader reader(subscribe("SUBSCRIBE TO SELECT k FROM v"));
  reader.to_progress();
  sql("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT k, max(n) AS top FROM s GROUP BY k");
  std::string end;
  while (!end.contains("error[")) end = reader.to_progress();
  EXPECT_THAT(end, HasSubstr("SUBSCRIBE again"));
  Reader again(subscribe("SUBSCRIBE TO SELECT top FROM v"));
  again.to_progress();
  sql("DROP MATERIALIZED VIEW v");
  end.clear();
  while (!end.contains("error[")) end = again.to_progress();
  EXPECT_THAT(end, HasSubstr("MR1202"));
}

TEST_F(SubscribeTest, CancelEndsIt) {
  auto live = subscribe("SUBSCRIBE TO v");
  session_->cancel();
  auto piece = live->next(10);
  ASSERT_FALSE(piece);
  EXPECT_EQ(piece.error().code, ErrorCode::kCancelled);
  // A cursor that nobody fetches from is not what is cancelled.
  session_ = std::make_unique<serving::SqlSession>(node_->statements(), access::Principal::owner());
  ASSERT_TRUE(session_->run("DECLARE c CURSOR WITH HOLD FOR SUBSCRIBE TO v"));
  session_->cancel();
  auto fetched = session_->run("FETCH 1 FROM c");
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(fetched->live->next(1));
}

// Promise 7: where a progress row stands, the rows are the view's at its position, to the last
// event, while events come in and generations are made.
TEST_F(SubscribeTest, UnderLoadTheRowsAreThoseOfTheViewAtEachPosition) {
  sql("CREATE STREAM counted (k BIGINT, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS total, count(*) AS c FROM counted "
      "GROUP "
      "BY "
      "k");
  constexpr std::int64_t kEvents = 6'000;
  constexpr std::int64_t kKeys = 37;
  const auto value_of = [](std::int64_t i) { return i * 7919 % 101 - 50; };
  constexpr std::size_t kChecks = 6;
  std::atomic<bool> enough{false};
  std::int64_t all = 0;
  std::thread writer([&] {
    while (!enough) {
      std::string lines;
      for (int j = 0; j < 40; ++j, ++all)
        lines += fmt::format("{{\"k\":{},\"n\":{}}}\n", all * all % kKeys, value_of(all));
      post("counted", lines);
    }
  });
  Reader reader(subscribe("SUBSCRIBE TO SELECT k, total * 2 AS twice FROM sums WHERE total >= 0"));
  reader.take_rows(17);
  std::int64_t events = 0;
  std::size_t checked = 0;
  while (!enough || events != all) {
    const auto token = serving::FeedToken::parse(reader.to_progress());
    ASSERT_TRUE(token);
    events = static_cast<std::int64_t>(token->position.front().end(PartitionId(0)).value);
    std::map<std::int64_t, std::int64_t> totals;
    for (std::int64_t i = 0; i < events; ++i) totals[i * i % kKeys] += value_of(i);
    std::multiset<std::string> rows;
    for (const auto& [key, total] : totals) {
      if (total >= 0) rows.insert(fmt::format("{}|{}|", key, total * 2));
    }
    ASSERT_EQ(reader.rows(), rows) << "after " << events << " events";
    if (++checked == 3) commit_to_lake("counted");
    if (checked == 5) run_batch();
    if (checked < kChecks || events < kEvents || enough) continue;
    enough = true;
    writer.join();
  }
  EXPECT_EQ(events, all);
}

// --- over the wire ------------------------------------------------------------------------------

class SubscribeWireTest : public PostgresTest {
 protected:
  void SetUp() override {
    PostgresTest::SetUp();
    sql("CREATE STREAM s (k VARCHAR, n BIGINT)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c FROM s GROUP BY k");
    NodeTest::post("s", "{\"k\":\"a\",\"n\":1}\n");
  }
  /// Connects; gives what a CancelRequest needs.
  static std::string key_of(PostgresTestClient& client) {
    std::string key;
    for (const auto& one : client.connect()) {
      if (one.type == 'K') key = one.body;
    }
    return key;
  }
  /// Until what runs has ended: a request that comes before it has begun ends nothing.
  void cancel(const std::string& key) {
    const auto before = server_->metrics().statement_errors.load();
    const auto end = std::chrono::steady_clock::now() + endpoint::kPatience;
    while (server_->metrics().statement_errors == before) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      PostgresTestClient other(port());
      other.send(first_message(u32(80877102) + key));
      EXPECT_EQ(other.raw().read_to_end(), "");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  /// The next row without its position.
  static std::string row(PostgresTestClient& client) {
    const auto one = client.next();
    const std::string values = one.type == 'D' ? one.values() : std::string(1, one.type);
    return values.substr(values.find('|') + 1);
  }
  bool nobody_follows() {
    const auto end = std::chrono::steady_clock::now() + endpoint::kPatience;
    while (node_->feed().counters().subscribers != 0) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
};

TEST_F(SubscribeWireTest, RowsStreamUntilACancelAndTheSessionGoesOn) {
  PostgresTestClient client(port());
  const auto key = key_of(client);
  EXPECT_THAT(client.ask("SET statement_timeout = '50ms'"), HasSubstr("C(SET)"));
  client.send(message('Q', text("SUBSCRIBE TO SELECT k, c FROM v; SELECT 1")));
  EXPECT_EQ(client.next().type, 'T');
  EXPECT_EQ(row(client), "upsert|[\"a\"]|a|1|");
  EXPECT_EQ(row(client), "progress|NULL|NULL|NULL|");
  // Longer than the statement may take: a timeout is not for it.
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  NodeTest::post("s", "{\"k\":\"b\",\"n\":1}\n");
  EXPECT_EQ(row(client), "upsert|[\"b\"]|b|1|");
  EXPECT_EQ(row(client), "progress|NULL|NULL|NULL|");
  cancel(key);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(57014) Z(I)");
  EXPECT_TRUE(nobody_follows());
  EXPECT_EQ(client.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(SubscribeWireTest, AClientThatGoesEndsItsSubscription) {
  {
    PostgresTestClient client(port());
    client.connect();
    client.send(message('Q', text("SUBSCRIBE TO v")));
    EXPECT_EQ(client.next().type, 'T');
    EXPECT_EQ(row(client), "upsert|[\"a\"]|a|1|");
    EXPECT_EQ(node_->feed().counters().subscribers, 1U);
  }
  EXPECT_TRUE(nobody_follows());
}

TEST_F(SubscribeWireTest, APortalGivesWhatThereIsByThePiece) {
  PostgresTestClient client(port());
  const auto key = key_of(client);
  client.send(parse("", "SUBSCRIBE TO SELECT c FROM v WHERE k = $1") + bind("", "", {"a"}) +
              message('D', "P" + text("")) + execute("", 1) + execute("", 10) + message('H', ""));
  const auto types = [&](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += client.next().type;
    return out;
  };
  // A row and the end of its portion, then the progress row, which is all that there is.
  EXPECT_EQ(types(7), "12TDsDs");
  client.send(execute("", 10) + message('H', ""));
  NodeTest::post("s", "{\"k\":\"b\",\"n\":1}\n{\"k\":\"a\",\"n\":1}\n");
  EXPECT_EQ(row(client), "upsert|[\"a\"]|2|");
  EXPECT_EQ(row(client), "progress|NULL|NULL|");
  EXPECT_EQ(client.next().type, 's');
  client.send(execute("", 10) + kSync);
  cancel(key);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(57014) Z(I)");
}

TEST_F(SubscribeWireTest, ACursorIsPolled) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_THAT(client.ask("FETCH 1 FROM c"), HasSubstr("E("));
  EXPECT_THAT(client.ask("SET subscribe_wait = '20ms'"), HasSubstr("C(SET)"));
  EXPECT_EQ(client.ask("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE TO SELECT k FROM v"),
            "C(BEGIN) C(DECLARE CURSOR) Z(T)");
  const auto fetch = [&](std::string_view sql) {
    const std::string got = client.ask(sql);
    std::string out;
    // Without the positions.
    for (std::size_t at = 0; at < got.size(); ++at) {
      out += got[at];
      if (got[at] == '(' && at != 0 && got[at - 1] == 'D') at = got.find('|', at) - 1;
    }
    return out;
  };
  client.send(message('Q', text("SET subscribe_wait = '10s'")));
  client.until_ready();
  EXPECT_EQ(fetch("FETCH ALL FROM c"),
            "T D(|upsert|[\"a\"]|a|) D(|progress|NULL|NULL|) C(FETCH 2) Z(T)");
  client.send(message('Q', text("SET subscribe_wait = '20ms'")));
  client.until_ready();
  EXPECT_EQ(fetch("FETCH ALL FROM c"), "T C(FETCH 0) Z(T)");
  EXPECT_EQ(fetch("FETCH 0 FROM c"), "T C(FETCH 0) Z(T)");
  client.send(message('Q', text("SET subscribe_wait = '10s'")));
  client.until_ready();
  NodeTest::post("s", "{\"k\":\"b\",\"n\":1}\n{\"k\":\"c\",\"n\":1}\n");
  EXPECT_EQ(fetch("FETCH 1 FROM c"), "T D(|upsert|[\"b\"]|b|) C(FETCH 1) Z(T)");
  EXPECT_EQ(fetch("FETCH FORWARD 5 FROM c; SELECT 1"),
            "T D(|upsert|[\"c\"]|c|) D(|progress|NULL|NULL|) C(FETCH 2) "
            "T D(|) C(SELECT 1) Z(T)");
  EXPECT_THAT(client.ask("FETCH PRIOR FROM c"), HasSubstr("E("));
  EXPECT_EQ(client.ask("ROLLBACK"), "C(ROLLBACK) Z(I)");
  EXPECT_TRUE(nobody_follows());
}

TEST_F(SubscribeWireTest, CopyGivesItAsData) {
  PostgresTestClient client(port());
  const auto key = key_of(client);
  client.send(message('Q', text("COPY (SUBSCRIBE TO SELECT k, c FROM v) TO STDOUT (FORMAT csv)")));
  EXPECT_EQ(client.next().type, 'H');
  EXPECT_EQ(client.next().body, ",upsert,\"[\"\"a\"\"]\",a,1\n");
  EXPECT_THAT(client.next().body, HasSubstr(",progress,,,\n"));
  cancel(key);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(57014) Z(I)");
}

TEST_F(SubscribeWireTest, WhoReadsSlowlyHoldsNoMoreAndEndsWithTheNewest) {
  sql("CREATE MATERIALIZED VIEW wide AS SELECT n, max(k) AS k FROM s GROUP BY n");
  PostgresTestClient client(port());
  client.connect();
  client.send(message('Q', text("SUBSCRIBE TO SELECT n, k || k AS k FROM wide")));
  EXPECT_EQ(client.next().type, 'T');
  // More than the socket takes, over and over.
  std::uint64_t held = 0;
  for (int round = 0; round < 12; ++round) {
    std::string lines;
    for (int n = 0; n < 200; ++n) {
      lines += fmt::format("{{\"k\":\"{}{}\",\"n\":{}}}\n", std::string(1500, 'x'),
                           static_cast<char>('a' + round), n);
    }
    NodeTest::post("s", lines);
    held = std::max(held, server_->metrics().held_bytes.load());
  }
  EXPECT_LT(held, std::uint64_t{4} << 20);
  std::set<std::string> newest;
  while (newest.size() < 200) {
    const auto one = client.next();
    ASSERT_EQ(one.type, 'D');
    const auto values = one.values();
    if (values.contains("xl|")) newest.insert(values.substr(0, values.find("xx")));
  }
}

TEST_F(SubscribeWireTest, TheEndOfTheServerIsTold) {
  PostgresTestClient client(port());
  client.connect();
  client.send(message('Q', text("SUBSCRIBE TO v")));
  EXPECT_EQ(client.next().type, 'T');
  server_->stop();
  std::string state;
  for (auto one = client.next(); one.type != 0; one = client.next()) {
    if (one.type == 'E') state = one.field('C');
  }
  EXPECT_TRUE(state == "57P01" || state == "57014") << state;
}

}  // namespace
}  // namespace millrace::server
