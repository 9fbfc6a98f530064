// Sessions of SQL on a whole node: statements in, rows out.
#include "serving/sql_session.h"

#include <algorithm>
#include <random>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using serving::SqlSession;
using serving::StatementResult;
using serving::TransactionState;
using Values = std::vector<std::optional<std::string>>;
using Types = std::vector<std::optional<Type>>;

std::string texts(const StatementResult& result) {
  std::string out;
  for (const auto& batch : result.batches) {
    const auto views = batch->views();
    for (std::size_t row = 0; row < batch->rows(); ++row) {
      for (std::size_t i = 0; i < views.size(); ++i)
        out += (i == 0 ? "" : "|") + value_text(views[i], row).value_or("NULL");
      out += '\n';
    }
  }
  return out;
}

class SqlSessionTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    sql("CREATE STREAM s (k VARCHAR, n BIGINT, x DOUBLE)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS total FROM s GROUP BY k");
    sql("CREATE MATERIALIZED VIEW w AS SELECT n, count(*) AS c FROM s GROUP BY n");
    post("s", "{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":2}\n{\"k\":\"a\",\"n\":3}\n");
    session_ = make_session();
  }
  void TearDown() override {
    session_.reset();
    NodeTest::TearDown();
  }
  std::unique_ptr<SqlSession> make_session() {
    return std::make_unique<SqlSession>(node_->statements(), access::Principal::owner());
  }
  std::string ask(std::string_view text, const Values& values = {}, const Types& types = {}) {
    auto prepared = session_->prepare(text, types);
    if (!prepared) return prepared.error().text();
    auto result = session_->execute(**prepared, values);
    return result ? texts(*result) : result.error().text();
  }
  std::string run(std::string_view text) {
    auto result = session_->run(text);
    return result ? texts(*result) : result.error().text();
  }
  Error failure(std::string_view text, const Values& values = {}) {
    auto prepared = session_->prepare(text);
    if (!prepared) return prepared.error();
    auto result = session_->execute(**prepared, values);
    EXPECT_FALSE(result) << text;
    return result ? Error{} : result.error();
  }
  std::string parameters(std::string_view text) {
    auto prepared = session_->prepare(text);
    if (!prepared) return prepared.error().text();
    std::string out;
    for (const auto& type : (*prepared)->parameters) out += type.sql() + " ";
    out += "->";
    for (const auto& column : (*prepared)->columns)
      out += fmt::format(" {} {}", column.name, column.type.sql());
    return out;
  }

  std::unique_ptr<SqlSession> session_;
};

TEST_F(SqlSessionTest, PrepareTellsParametersAndColumnsWithoutRunning) {
  EXPECT_EQ(parameters("SELECT k, c FROM v WHERE k = $1"), "VARCHAR -> k VARCHAR c BIGINT");
  EXPECT_EQ(parameters("SELECT count(*) AS c FROM s WHERE n > $1 AND k = $2 LIMIT $3"),
            "BIGINT VARCHAR BIGINT -> c BIGINT");
  EXPECT_EQ(parameters("SELECT $1 AS a"), "VARCHAR -> a VARCHAR");
  EXPECT_EQ(parameters("SELECT CAST($1 AS DATE) + 1 AS a"), "DATE -> a DATE");
  EXPECT_EQ(parameters("INSERT INTO s (n, k) VALUES ($1, $2)"), "BIGINT VARCHAR ->");
  EXPECT_EQ(parameters("BEGIN"), "->");
  EXPECT_NE(parameters("SELECT nothing FROM v WHERE k = $1").find("MR1203"), std::string::npos);
  EXPECT_NE(parameters("SELECT $name").find("MR1001"), std::string::npos);
}

TEST_F(SqlSessionTest, AListIsComparedWithByTheTypeOfItsElements) {
  EXPECT_EQ(parameters("SELECT k FROM s WHERE k = ANY($1) AND n <> ALL($2)"),
            "VARCHAR[] BIGINT[] -> k VARCHAR");
  EXPECT_EQ(ask("SELECT k FROM v WHERE k = ANY($1) ORDER BY k", {"[\"b\", \"z\", NULL]"}), "b\n");
}

TEST_F(SqlSessionTest, FunctionsThatLookAtTheirArgumentsArePreparedToo) {
  EXPECT_EQ(parameters("SELECT json_object($1::VARCHAR, n) AS j, k FROM s"),
            "VARCHAR -> j JSON k VARCHAR");
}

TEST_F(SqlSessionTest, AMaterializedViewIsRefreshedByDoingNothing) {
  run("REFRESH MATERIALIZED VIEW public.v");
  EXPECT_EQ(failure("REFRESH MATERIALIZED VIEW s").id, error_id::kViewNotFound);
  EXPECT_EQ(failure("REFRESH MATERIALIZED VIEW nothing").id, error_id::kViewNotFound);
}

TEST_F(SqlSessionTest, ValuesTakeTheParametersPlaces) {
  EXPECT_EQ(ask("SELECT k, c FROM v WHERE k = $1", {"a"}), "a|2\n");
  EXPECT_EQ(ask("SELECT sum(n) FROM s WHERE n >= $1 AND k <> $2", {"1", "b"}), "4\n");
  EXPECT_EQ(ask("SELECT $2, $1, $1", {"1", "two"}), "two|1|1\n");
  EXPECT_EQ(ask("SELECT $1 + 1", {"41"}, {Type{TypeKind::kInteger}}), "42\n");
  EXPECT_EQ(ask("SELECT $1 IS NULL", {std::nullopt}), "true\n");
  EXPECT_EQ(ask("SELECT k FROM v ORDER BY k LIMIT $1", {"1"}), "a\n");
  EXPECT_EQ(ask("SELECT k FROM v WHERE k IN ($1, $2) ORDER BY k", {"b", "z"}), "b\n");
}

TEST_F(SqlSessionTest, AValueStaysAValueWhateverItHolds) {
  for (const std::string text :
       {"'; DROP STREAM s; --", "$$ || 1 || $$", "E'\\n'", "a'b\"c", "\\", "/* */ -- x",
        "\xE2\x80\x99 OR 1=1", "%s ' OR '1'='1", "$1", "', NULL) --", "\n\r\t\x01"}) {
    EXPECT_EQ(ask("SELECT $1", {text}), text + "\n");
    EXPECT_EQ(ask("SELECT count(*) FROM s WHERE k = $1", {text}), "0\n");
    EXPECT_EQ(ask("SELECT c FROM v WHERE k = $1", {text}), "");
    EXPECT_EQ(ask("INSERT INTO s (k) VALUES ($1)", {text}), "");
    EXPECT_EQ(ask("SELECT c FROM v WHERE k = $1", {text}), "1\n") << text;
  }
  EXPECT_EQ(failure("SELECT $1", {std::string("a\0b", 3)}).id, error_id::kBadValue);
  EXPECT_EQ(failure("SELECT $1", {"\xff"}).id, error_id::kBadValue);
}

TEST_F(SqlSessionTest, AValueThatIsNoneOfItsTypeIsNamed) {
  const auto error = failure("SELECT count(*) FROM s WHERE k = $1 AND n = $2", {"a", "x"});
  EXPECT_EQ(error.id, error_id::kBadValue);
  EXPECT_NE(error.message.find("$2"), std::string::npos) << error.text();
  EXPECT_EQ(failure("SELECT c FROM w WHERE n = $1", {"x"}).id, error_id::kBadValue);
  EXPECT_EQ(failure("SELECT $1, $2", {"a"}).id, error_id::kBadValue);
}

TEST_F(SqlSessionTest, InsertIntoAStreamIsVisibleWhenItIsAnswered) {
  auto prepared = session_->prepare("INSERT INTO s (k, n) VALUES ($1, $2), ('q', 7)");
  ASSERT_TRUE(prepared) << prepared.error().text();
  const auto inserted = session_->execute(**prepared, Values{"q", "5"});
  ASSERT_TRUE(inserted) << inserted.error().text();
  EXPECT_EQ(inserted->command, "INSERT");
  EXPECT_EQ(inserted->affected, 2U);
  EXPECT_EQ(ask("SELECT c, total FROM v WHERE k = 'q'"), "2|12\n");
  EXPECT_EQ(run("INSERT INTO s SELECT k, n + 100, x FROM s WHERE k = 'q'"), "");
  EXPECT_EQ(ask("SELECT c, total FROM v WHERE k = 'q'"), "4|224\n");
}

TEST_F(SqlSessionTest, AnInsertWithABadRowStoresNothing) {
  sql("CREATE STREAM d (t TIMESTAMP, n TINYINT) WITH (time = t)");
  EXPECT_FALSE(session_->run("INSERT INTO d VALUES ('2001-01-01', 1), ('2001-01-01', 1000)"));
  const auto error = failure("INSERT INTO d VALUES ('2001-01-01', 1), (NULL, 2)");
  EXPECT_NE(error.message.find("row 2"), std::string::npos) << error.text();
  EXPECT_EQ(run("SELECT count(*) FROM d"), "0\n");
  EXPECT_EQ(failure("INSERT INTO s (nothing) VALUES (1)").id, error_id::kColumnNotFound);
  EXPECT_EQ(failure("INSERT INTO s VALUES (1)").id, error_id::kSyntax);
  EXPECT_EQ(failure("INSERT INTO s__quarantine VALUES (1)").id, error_id::kInUse);
}

TEST_F(SqlSessionTest, TablesTakeParametersToo) {
  sql("CREATE TABLE t (id INTEGER, name VARCHAR, PRIMARY KEY (id))");
  EXPECT_EQ(ask("INSERT INTO t VALUES ($1, $2)", {"1", "one"}), "");
  EXPECT_EQ(ask("UPDATE t SET name = $1 WHERE id = $2", {"it's", "1"}), "");
  EXPECT_EQ(run("SELECT id, name FROM t"), "1|it's\n");
  EXPECT_EQ(ask("DELETE FROM t WHERE id = $1", {"1"}), "");
  EXPECT_EQ(run("SELECT count(*) FROM t"), "0\n");
}

TEST_F(SqlSessionTest, ReadsOfATransactionSeeOneMoment) {
  run("BEGIN");
  EXPECT_EQ(session_->transaction(), TransactionState::kOpen);
  EXPECT_EQ(run("SELECT sum(c) FROM v"), "3\n");
  post("s", "{\"k\":\"a\",\"n\":9}\n{\"k\":\"z\",\"n\":9}\n");
  EXPECT_EQ(run("SELECT sum(c) FROM v"), "3\n");
  EXPECT_EQ(run("SELECT sum(c) FROM w"), "3\n");
  EXPECT_EQ(run("SELECT count(*) FROM s"), "3\n");
  EXPECT_EQ(ask("SELECT c FROM v WHERE k = $1", {"a"}), "2\n");
  EXPECT_EQ(ask("SELECT c FROM w WHERE n = 9"), "");
  run("COMMIT");
  EXPECT_EQ(run("SELECT sum(c) FROM w"), "5\n");
}

TEST_F(SqlSessionTest, AViewThatAppearsLaterIsReadAsItWasAtTheMoment) {
  commit_to_lake("s");
  run("BEGIN READ ONLY");
  EXPECT_EQ(run("SELECT sum(c) FROM v"), "3\n");
  sql("CREATE MATERIALIZED VIEW u AS SELECT k, count(*) AS c FROM s GROUP BY k");
  post("s", "{\"k\":\"a\",\"n\":9}\n");
  run_batch();
  EXPECT_EQ(run("SELECT sum(c) FROM u"), "3\n");
  run("ROLLBACK");
  EXPECT_EQ(run("SELECT sum(c) FROM u"), "4\n");
}

TEST_F(SqlSessionTest, ViewsOfOneStreamAgreeUnderLoad) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i)
      post("s",
           fmt::format("{{\"k\":\"k{}\",\"n\":{}}}\n{{\"k\":\"a\",\"n\":1}}\n", i % 50, i % 7));
  });
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(run("SELECT (SELECT sum(c) FROM v) = (SELECT sum(c) FROM w), "
                  "(SELECT sum(c) FROM v) = (SELECT count(*) FROM s)"),
              "true|true\n");
    run("BEGIN");
    const auto first = run("SELECT sum(c) FROM v");
    EXPECT_EQ(run("SELECT sum(c) FROM w"), first);
    EXPECT_EQ(run("SELECT count(*) FROM s"), first);
    EXPECT_EQ(run("SELECT sum(c) FROM v"), first);
    run("COMMIT");
  }
  stop = true;
  writer.join();
}

TEST_F(SqlSessionTest, RowsOfATransactionAreStoredByItsCommit) {
  run("BEGIN");
  EXPECT_EQ(run("INSERT INTO s (k, n) VALUES ('t', 1)"), "");
  run("SAVEPOINT p");
  EXPECT_EQ(run("INSERT INTO s (k, n) VALUES ('t', 2)"), "");
  run("ROLLBACK TO SAVEPOINT p");
  EXPECT_EQ(run("INSERT INTO s (k, n) VALUES ('t', 4)"), "");
  auto other = make_session();
  EXPECT_EQ(texts(*other->run("SELECT count(*) FROM v WHERE k = 't'")), "0\n");
  run("COMMIT");
  EXPECT_EQ(run("SELECT c, total FROM v WHERE k = 't'"), "2|5\n");
  run("BEGIN");
  run("INSERT INTO s (k, n) VALUES ('t', 1)");
  run("ROLLBACK");
  EXPECT_EQ(run("SELECT c FROM v WHERE k = 't'"), "2\n");
}

TEST_F(SqlSessionTest, AFailedTransactionTakesNothingButItsEnd) {
  run("BEGIN");
  EXPECT_EQ(failure("SELECT nothing FROM v").id, error_id::kColumnNotFound);
  EXPECT_EQ(session_->transaction(), TransactionState::kFailed);
  EXPECT_EQ(failure("SELECT 1").id, error_id::kTransaction);
  const auto ended = session_->run("COMMIT");
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->command, "ROLLBACK");
  EXPECT_EQ(run("SELECT 1"), "1\n");
  run("BEGIN");
  run("SAVEPOINT p");
  failure("SELECT nothing FROM v");
  run("ROLLBACK TO p");
  EXPECT_EQ(run("SELECT 1"), "1\n");
  run("COMMIT");
}

TEST_F(SqlSessionTest, AReadOnlyTransactionRefusesChanges) {
  run("BEGIN READ ONLY");
  EXPECT_EQ(failure("INSERT INTO s (k) VALUES ('x')").id, error_id::kReadOnly);
  run("ROLLBACK");
  run("SET default_transaction_read_only = on");
  EXPECT_EQ(failure("INSERT INTO s (k) VALUES ('x')").id, error_id::kReadOnly);
}

TEST_F(SqlSessionTest, WhatTookEffectAtOnceIsToldAtRollback) {
  run("BEGIN");
  run("CREATE STREAM made (a BIGINT)");
  run("ROLLBACK");
  const auto notices = session_->take_notices();
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].message.find("CREATE STREAM"), std::string::npos);
  EXPECT_EQ(run("SELECT count(*) FROM made"), "0\n");
}

TEST_F(SqlSessionTest, AnIdleTransactionEnds) {
  run("SET idle_in_transaction_session_timeout = 1");
  run("BEGIN");
  while (!session_->expire_idle()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(failure("SELECT 1").id, error_id::kIdleTransaction);
  run("ROLLBACK");
  EXPECT_EQ(run("SELECT 1"), "1\n");
}

TEST_F(SqlSessionTest, SettingsAreKeptAndToldOf) {
  EXPECT_FALSE(session_->take_reported().empty());
  run("SET application_name TO 'mill'");
  const auto told = session_->take_reported();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0], std::pair(std::string("application_name"), std::string("mill")));
  EXPECT_EQ(run("SHOW application_name"), "mill\n");
  run("BEGIN");
  run("SET LOCAL statement_timeout = '5s'");
  EXPECT_EQ(run("SHOW statement_timeout"), "5000\n");
  run("SET TIME ZONE 'Europe/Berlin'");
  run("COMMIT");
  EXPECT_EQ(run("SHOW statement_timeout"), "0\n");
  EXPECT_EQ(run("SHOW TIME ZONE"), "Europe/Berlin\n");
  EXPECT_EQ(failure("SET client_encoding = 'LATIN1'").id, error_id::kSetting);
  EXPECT_EQ(failure("SHOW nothing_of_this").id, error_id::kSetting);
  EXPECT_EQ(failure("SET server_version = '16'").id, error_id::kSetting);
  run("DISCARD ALL");
  EXPECT_EQ(run("SHOW application_name"), "\n");
  EXPECT_EQ(run("SHOW TRANSACTION ISOLATION LEVEL"), "repeatable read\n");
}

TEST_F(SqlSessionTest, SettingsAreReadAndSetByFunctions) {
  EXPECT_EQ(run("SELECT set_config('application_name', 'it''s', false)"), "it's\n");
  EXPECT_EQ(run("SHOW application_name"), "it's\n");
  EXPECT_EQ(ask("SELECT current_setting($1)", {"application_name"}), "it's\n");
  EXPECT_EQ(run("SELECT setting FROM pg_settings WHERE name = 'application_name'"), "it's\n");
  EXPECT_EQ(run("SELECT c FROM public.v WHERE k = 'a'"), "2\n");
}

TEST_F(SqlSessionTest, RightsAreThoseOfTheUserAtEachExecution) {
  sql("CREATE USER root WITH PASSWORD 'a long password'");
  sql("CREATE USER ana WITH PASSWORD 'another password'");
  SqlSession ana(node_->statements(), access::Principal::user("ana"));
  EXPECT_FALSE(ana.run("SELECT c FROM v WHERE k = 'a'"));
  sql("GRANT SELECT ON v TO ana");
  const auto prepared = ana.prepare("SELECT c FROM v WHERE k = $1");
  ASSERT_TRUE(prepared) << prepared.error().text();
  EXPECT_TRUE(ana.execute(**prepared, Values{"a"}));
  sql("REVOKE SELECT ON v FROM ana");
  const auto refused = ana.execute(**prepared, Values{"a"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(ana.run("INSERT INTO s (k) VALUES ('x')"));
  EXPECT_FALSE(ana.prepare("COPY s FROM STDIN"));
  EXPECT_FALSE(ana.run("EXPLAIN SELECT c FROM v WHERE k = 'a'"));
  sql("GRANT PUBLISH ON s TO ana");
  EXPECT_TRUE(ana.run("INSERT INTO s (k) VALUES ('x')"));
  EXPECT_FALSE(ana.run("INSERT INTO s SELECT k, c, c FROM v"));
  EXPECT_FALSE(ana.run("CREATE STREAM other (a BIGINT)"));
}

TEST_F(SqlSessionTest, WithoutASessionAnInsertGivesItsCountAsARow) {
  EXPECT_EQ(rows("INSERT INTO s (k, n) VALUES ('h', 1), ('h', 2)"), "2|\n");
  EXPECT_EQ(rows("SELECT total FROM v WHERE k = 'h'"), "3|\n");
  EXPECT_EQ(refused("INSERT INTO s (k) VALUES ($1)").id, error_id::kFunctionNotAllowed);
}

TEST_F(SqlSessionTest, PreparedByNameAndExecuted) {
  run("PREPARE p (BIGINT) AS SELECT count(*) FROM s WHERE n >= $1");
  EXPECT_EQ(run("EXECUTE p (2)"), "2\n");
  EXPECT_EQ(run("EXECUTE p ('3')"), "1\n");
  EXPECT_EQ(failure("PREPARE p AS SELECT 1").id, error_id::kPrepared);
  run("DEALLOCATE p");
  EXPECT_EQ(failure("EXECUTE p (1)").id, error_id::kPrepared);
}

TEST_F(SqlSessionTest, CursorsGiveTheirRowsPieceByPiece) {
  EXPECT_EQ(failure("DECLARE c CURSOR FOR SELECT 1").id, error_id::kTransaction);
  run("BEGIN");
  run("DECLARE c SCROLL CURSOR FOR SELECT * FROM range(5)");
  EXPECT_EQ(run("FETCH 2 FROM c"), "0\n1\n");
  EXPECT_EQ(run("FETCH NEXT FROM c"), "2\n");
  EXPECT_EQ(run("FETCH BACKWARD 2 FROM c"), "1\n0\n");
  EXPECT_EQ(run("FETCH FORWARD ALL FROM c"), "1\n2\n3\n4\n");
  EXPECT_EQ(run("FETCH 1 FROM c"), "");
  EXPECT_EQ(run("FETCH LAST FROM c"), "4\n");
  EXPECT_EQ(run("FETCH ABSOLUTE 2 FROM c"), "1\n");
  const auto moved = session_->run("MOVE 9223372036854775807 IN c");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->affected, 3U);
  run("COMMIT");
  EXPECT_EQ(failure("FETCH 1 FROM c").id, error_id::kCursor);
}

TEST_F(SqlSessionTest, AStatementIsCancelled) {
  std::atomic<bool> ended{false};
  std::thread other([&] {
    while (!ended) {
      session_->cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const auto error = failure("SELECT count(*) FROM range(100000000000) AS a(x) WHERE x % 3 = 1");
  ended = true;
  other.join();
  EXPECT_EQ(error.id, error_id::kCancelled) << error.text();
  EXPECT_EQ(error.code, ErrorCode::kCancelled);
  EXPECT_EQ(run("SELECT 1"), "1\n");
  run("SET statement_timeout = 50");
  EXPECT_EQ(failure("SELECT count(*) FROM range(100000000000) AS a(x) WHERE x % 3 = 1").id,
            error_id::kSqlDeadline);
}

TEST_F(SqlSessionTest, CopyPutsRowsIntoAStream) {
  auto copy = session_->prepare("COPY s (k, n) FROM STDIN WITH (FORMAT csv, HEADER)");
  ASSERT_TRUE(copy) << copy.error().text();
  ASSERT_TRUE((*copy)->copy);
  EXPECT_EQ((*copy)->copy->columns.size(), 2U);
  ASSERT_TRUE(session_->copy_in(**copy, Values{"c\"1\n", "1", "c2", std::nullopt}));
  ASSERT_TRUE(session_->copy_in(**copy, Values{"", "3"}));
  const auto ended = session_->copy_end(**copy);
  ASSERT_TRUE(ended) << ended.error().text();
  EXPECT_EQ(ended->affected, 3U);
  EXPECT_EQ(run("SELECT k, n FROM s WHERE k NOT IN ('a', 'b') ORDER BY k"),
            "|3\nc\"1\n|1\nc2|NULL\n");
  ASSERT_TRUE(session_->copy_in(**copy, Values{"ok", "1", "bad", "x"}));
  const auto refused = session_->copy_end(**copy);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("row 2"), std::string::npos) << refused.error().text();
  EXPECT_EQ(run("SELECT count(*) FROM s WHERE k = 'ok'"), "0\n");
  EXPECT_EQ(run("COPY (SELECT k FROM v WHERE k = 'a') TO STDOUT"), "a\n");
  EXPECT_EQ(run("COPY v (c) TO STDOUT (FORMAT csv)").size(), run("COPY v (c) TO STDOUT").size());
  EXPECT_FALSE(session_->prepare("COPY s FROM '/etc/passwd'"));
}

TEST_F(SqlSessionTest, CopyCountsARowOfOneColumnThatIsNull) {
  run("CREATE STREAM notes (note VARCHAR)");
  auto copy = session_->prepare("COPY notes FROM STDIN");
  ASSERT_TRUE(copy) << copy.error().text();
  ASSERT_TRUE(session_->copy_in(**copy, Values{"a", std::nullopt, "", std::nullopt}));
  const auto ended = session_->copy_end(**copy);
  ASSERT_TRUE(ended) << ended.error().text();
  EXPECT_EQ(ended->affected, 4U);
  EXPECT_EQ(run("SELECT count(*), count(note) FROM notes"), "4|2\n");
}

TEST_F(SqlSessionTest, ExplainSaysWhatIsRead) {
  const auto by_key = run("EXPLAIN SELECT c FROM v WHERE k = 'a'");
  EXPECT_NE(by_key.find("by key"), std::string::npos) << by_key;
  const auto scan = run("EXPLAIN SELECT sum(c) FROM v, s WHERE s.k = v.k");
  EXPECT_NE(scan.find("worker"), std::string::npos) << scan;
  EXPECT_NE(scan.find("view v"), std::string::npos) << scan;
  EXPECT_NE(scan.find("3 events of the log"), std::string::npos) << scan;
}

TEST_F(SqlSessionTest, APreparedStatementFollowsTheDefinitions) {
  auto prepared = session_->prepare("SELECT * FROM v WHERE k = $1");
  ASSERT_TRUE(prepared);
  sql("CREATE OR REPLACE MATERIALIZED VIEW v AS "
      "SELECT k, count(*) AS c, sum(n) AS total, max(n) AS most FROM s GROUP BY k");
  for (int i = 0; i < 1000 && serving::columns_of(view()->compiled()).size() == 3; ++i) run_batch();
  const auto result = session_->execute(**prepared, Values{"a"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().id, error_id::kPrepared);
  EXPECT_EQ(ask("SELECT * FROM v WHERE k = $1", {"a"}), "a|2|4|3\n");
}

/// The point path against the engine, which a condition that means nothing keeps it from.
TEST_F(SqlSessionTest, ReadsByKeyGiveWhatTheEngineGives) {
  sql("CREATE STREAM e (a VARCHAR, b INTEGER, d DATE, n BIGINT)");
  sql("CREATE MATERIALIZED VIEW m AS SELECT a, b, count(*) AS c, avg(n) AS mean, max(d) AS last "
      "FROM e GROUP BY a, b HAVING count(*) < 5");
  sql("CREATE MATERIALIZED VIEW by_day AS SELECT d, sum(n) AS total FROM e GROUP BY d");
  std::mt19937_64 random(7);
  std::string lines;
  for (int i = 0; i < 400; ++i) {
    lines += fmt::format("{{\"a\":\"{}\",\"b\":{},\"d\":\"2001-01-{:02}\",\"n\":{}}}\n",
                         std::string(random() % 3, 'x'), static_cast<int>(random() % 40) - 20,
                         random() % 28 + 1, random() % 1000);
  }
  post("e", lines.substr(0, lines.find('\n', lines.size() / 2) + 1));
  commit_to_lake("e");
  run_batch();
  post("e", lines.substr(lines.find('\n', lines.size() / 2) + 1));
  const auto same = [&](const std::string& items, const std::string& from, const std::string& where,
                        const Values& values) {
    const auto text = fmt::format("SELECT {} FROM {} WHERE {}", items, from, where);
    auto quick = session_->prepare(text);
    ASSERT_TRUE(quick) << text << quick.error().text();
    EXPECT_NE(run("EXPLAIN " + text).find("by key"), std::string::npos) << text;
    auto slow = session_->prepare(text + " AND 1 = 1");
    ASSERT_TRUE(slow) << text << slow.error().text();
    EXPECT_EQ((*quick)->columns, (*slow)->columns) << text;
    EXPECT_EQ((*quick)->parameters, (*slow)->parameters) << text;
    auto got = session_->execute(**quick, values);
    auto wanted = session_->execute(**slow, values);
    ASSERT_TRUE(got && wanted) << text;
    const auto sorted = [](const StatementResult& result) {
      std::vector<std::string> rows;
      for (const auto& batch : result.batches) {
        const auto views = batch->views();
        for (std::size_t row = 0; row < batch->rows(); ++row) {
          std::string line;
          for (const auto& one : views) line += value_text(one, row).value_or("NULL") + "|";
          rows.push_back(std::move(line));
        }
      }
      std::ranges::sort(rows);
      return rows;
    };
    EXPECT_EQ(sorted(*got), sorted(*wanted)) << text;
  };
  const std::vector<std::string> items = {"*", "c", "mean, a", "m.b, last AS \"Last\", A", "c, c"};
  for (int i = 0; i < 12; ++i) {
    const auto& chosen = items[random() % items.size()];
    const std::string a(random() % 4, 'x');
    const std::string b = fmt::format("{}", static_cast<int>(random() % 50) - 25);
    same(chosen, "m", "a = $1 AND b = $2", {a, b});
    same(chosen, "m", "b = $2 AND a = $1", {a, b});
    same(chosen, "m", fmt::format("m.a = '{}' AND b = $1", a), {b});
    same("total, d", "by_day AS q", "q.d = $1", {fmt::format("2001-01-{:02}", random() % 31 + 1)});
    same("*", "by_day", "d IN ($1, '2001-01-05', $2)", {"2001-01-07", std::nullopt});
  }
}

}  // namespace
}  // namespace millrace::server
