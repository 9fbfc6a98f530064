// PostgreSQL's wire from the outside: what a client sends and what comes back, byte for byte.
#include <gmock/gmock.h>

#include "access/scram.h"
#include "format/base64.h"
#include "server/postgres_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class PostgresSimpleTest : public PostgresTest {};
class PostgresPreparedTest : public PostgresTest {};
class PostgresHostileTest : public PostgresTest {};
class PostgresUsersTest : public PostgresTest {};

/// Waits until the condition holds, at most the patience of a client.
template <class Condition>
bool comes_true(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + endpoint::kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

TEST_F(PostgresSimpleTest, TheStartTellsWhatDriversAskFor) {
  PostgresTestClient client(port());
  std::map<std::string, std::string> status;
  std::string types;
  for (const auto& one : client.connect()) {
    types += one.type;
    if (one.type != 'S') continue;
    const auto middle = one.body.find('\0');
    status[one.body.substr(0, middle)] = one.body.substr(middle + 1, one.body.size() - middle - 2);
  }
  EXPECT_EQ(types.front(), 'R');
  EXPECT_TRUE(types.ends_with("KZ")) << types;
  EXPECT_THAT(status["server_version"], StartsWith("15.0 (Millrace "));
  EXPECT_EQ(status["client_encoding"], "UTF8");
  EXPECT_EQ(status["standard_conforming_strings"], "on");
  EXPECT_EQ(status["integer_datetimes"], "on");
}

TEST_F(PostgresSimpleTest, AScriptAnswersEachStatementUpToTheFirstError) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("SELECT 1 AS a, NULL AS b; SELECT 'x' AS t"),
            "T D(1|NULL|) C(SELECT 1) T D(x|) C(SELECT 1) Z(I)");
  EXPECT_EQ(client.ask("SELECT 1; SELECT * FROM nothing; SELECT 2"),
            "T D(1|) C(SELECT 1) E(42P01) Z(I)");
  EXPECT_EQ(client.ask(" -- ping\n"), "I Z(I)");
  EXPECT_EQ(client.ask("SELECT 'it is not over"), "E(42601) Z(I)");
}

TEST_F(PostgresSimpleTest, AnErrorHasItsPlaceInTheWholeQueryAndOurId) {
  PostgresTestClient client(port());
  client.connect();
  client.send(message('Q', text("SELECT 'é';\nSELECT *\n FROM nothing")));
  const auto answer = client.until_ready();
  const auto error = std::ranges::find(answer, 'E', &PostgresTestClient::Message::type);
  ASSERT_NE(error, answer.end());
  EXPECT_EQ(error->field('C'), "42P01");
  EXPECT_EQ(error->field('P'), "28");  // of 'nothing', in characters
  EXPECT_EQ(error->field('W'), "MR1201");
  EXPECT_EQ(error->field('S'), "ERROR");
}

/// 20 MB, of which 8 MiB stay in memory.
constexpr std::string_view kLarge =
    "SELECT i, repeat('x', 1000) AS x FROM range(20000) t(i) ORDER BY i";

/// How many DataRows there are; each has the next number in front.
std::uint64_t numbered(const std::vector<PostgresTestClient::Message>& messages,
                       std::uint64_t first) {
  std::uint64_t count = 0;
  for (const auto& one : messages) {
    if (one.type != 'D') continue;
    EXPECT_THAT(one.values(), StartsWith(fmt::format("{}|x", first + count)));
    ++count;
  }
  return count;
}

TEST_F(PostgresSimpleTest, AnAnswerHasAllRows) {
  config_.sql_rows_max = 10;
  start();
  PostgresTestClient client(port());
  client.connect();
  EXPECT_THAT(client.ask("SELECT * FROM range(11)"), HasSubstr("C(SELECT 11)"));
  client.send(message('Q', text(fmt::format("{}; SELECT 1 AS one", kLarge))));
  const auto answer = client.until_ready();
  EXPECT_EQ(numbered({answer.begin(), answer.begin() + 20'001}, 0), 20'000U);
  EXPECT_EQ(client.shortly({answer.begin() + 20'001, answer.end()}),
            "C(SELECT 20000) T D(1|) C(SELECT 1) Z(I)");
  client.send(message('Q', text(fmt::format("COPY ({}) TO STDOUT", kLarge))));
  const auto copied = client.until_ready();
  EXPECT_EQ(copied.size(), 20'004U);
  EXPECT_EQ(copied[20'000].body.substr(0, 7), "19999\tx");
  EXPECT_EQ(client.shortly({copied.end() - 3, copied.end()}), "c C(COPY 20000) Z(I)");
  EXPECT_EQ(node_->statements().spilled().answers, 2U);
  EXPECT_EQ(node_->statements().spilled().held_bytes, 0U);
}

TEST_F(PostgresSimpleTest, AnAnswerThatWouldBeCutOffIsAnError) {
  config_.sql_spill_bytes_max = 10 << 20;
  start();
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask(kLarge), "E(54000) Z(I)");
  EXPECT_EQ(client.ask(fmt::format("COPY ({}) TO STDOUT", kLarge)), "E(54000) Z(I)");
  EXPECT_EQ(client.ask(fmt::format("BEGIN; DECLARE c CURSOR FOR {}", kLarge)),
            "C(BEGIN) E(53200) Z(E)");
  EXPECT_EQ(node_->statements().spilled().held_bytes, 0U);
  EXPECT_EQ(client.ask("ROLLBACK; SELECT 1"), "C(ROLLBACK) T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresSimpleTest, RowsOnDiskGoWithTheirClient) {
  const auto& spilled = node_->statements().spilled();
  {
    PostgresTestClient client(port());
    client.connect();
    client.send(message('Q', text(kLarge)));
    EXPECT_EQ(client.next().type, 'T');
    EXPECT_TRUE(comes_true([&] { return spilled.held_bytes > 10'000'000; }));
    EXPECT_LT(server_->metrics().held_bytes, 16'000'000U);
  }
  EXPECT_TRUE(comes_true([&] { return spilled.held_bytes == 0; }));
  EXPECT_TRUE(comes_true([&] { return server_->metrics().held_bytes == 0; }));
}

TEST_F(PostgresSimpleTest, ACursorGoesBackAndForthOverRowsOnDisk) {
  config_.sql_rows_max = 10;
  start();
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask(fmt::format("BEGIN; DECLARE c CURSOR FOR {}", kLarge)),
            "C(BEGIN) C(DECLARE CURSOR) Z(T)");
  const auto fetch = [&](std::string_view what) {
    client.send(message('Q', text(fmt::format("FETCH {} FROM c", what))));
    return client.until_ready();
  };
  EXPECT_EQ(numbered(fetch("7000"), 0), 7000U);
  EXPECT_EQ(numbered(fetch("7000"), 7000), 7000U);
  EXPECT_EQ(numbered(fetch("NEXT"), 14'000), 1U);
  EXPECT_EQ(numbered(fetch("ABSOLUTE 19999"), 19'998), 1U);
  EXPECT_EQ(numbered(fetch("PRIOR"), 19'997), 1U);
  EXPECT_EQ(client.ask("MOVE ABSOLUTE 0 FROM c"), "C(MOVE 0) Z(T)");
  EXPECT_EQ(numbered(fetch("ALL"), 0), 20'000U);
  const auto back = fetch("BACKWARD ALL");
  ASSERT_EQ(back.size(), 20'003U);
  for (std::size_t i = 0; i < 20'000; i += 100)
    EXPECT_THAT(back[i + 1].values(), StartsWith(fmt::format("{}|x", 19'999 - i)));
  EXPECT_EQ(client.ask("COMMIT"), "C(COMMIT) Z(I)");
  EXPECT_EQ(node_->statements().spilled().held_bytes, 0U);
}

TEST_F(PostgresSimpleTest, WhatAClientDoesNotReadIsNotEncoded) {
  PostgresTestClient slow(port());
  slow.connect();
  slow.send(message('Q', text("SELECT repeat('x', 1000) FROM range(50000)")));
  const auto& metrics = server_->metrics();
  ASSERT_TRUE(comes_true([&] { return metrics.held_bytes > 5'000'000; }));
  // The sockets' buffers take some MB; then it stands still, and others are served.
  PostgresTestClient other(port());
  other.connect();
  EXPECT_EQ(other.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
  EXPECT_LT(metrics.sent_bytes, 20'000'000U);
  EXPECT_LT(metrics.held_bytes, 20'000'000U);
  EXPECT_EQ(slow.until_ready().size(), 50'003U);
  EXPECT_TRUE(comes_true([&] { return metrics.held_bytes == 0; }));
}

TEST_F(PostgresSimpleTest, AClientThatReadsNothingIsDropped) {
  options_.write_time = std::chrono::milliseconds(200);
  start();
  PostgresTestClient client(port());
  client.connect();
  client.send(message('Q', text("SELECT repeat('x', 1000) FROM range(50000)")));
  EXPECT_TRUE(comes_true([&] { return server_->metrics().timeouts == 1; }));
  EXPECT_TRUE(comes_true([&] { return server_->metrics().held_bytes == 0; }));
}

TEST_F(PostgresSimpleTest, AnswersOfAllClientsTogetherHaveABound) {
  options_.held_bytes_max = 1'000'000;
  start();
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("SELECT repeat('x', 1000) FROM range(5000)"), "E(53200) Z(I)");
  EXPECT_EQ(client.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresSimpleTest, AStoppingServerSaysSo) {
  PostgresTestClient client(port());
  client.connect();
  server_->stop();
  const auto farewell = client.next();
  EXPECT_EQ(farewell.field('S'), "FATAL");
  EXPECT_EQ(farewell.field('C'), "57P01");
  EXPECT_EQ(client.next().type, 0);
}

TEST_F(PostgresPreparedTest, NothingRunsBetweenAnErrorAndSync) {
  PostgresTestClient client(port());
  client.connect();
  client.send(parse("", "SELECT 1; SELECT 2") + bind("", "") + execute("") +
              parse("", "CREATE STREAM s (at TIMESTAMP) WITH (time = at)") + bind("", "") +
              execute("") + message('Q', text("SELECT 1")) + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(42601) Z(I)");
  EXPECT_EQ(node_->speed().find_stream("s"), nullptr);
  client.send(parse("", "CREATE STREAM s (at TIMESTAMP) WITH (time = at)") + bind("", "") +
              execute("") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "1 2 C(CREATE STREAM) Z(I)");
  EXPECT_NE(node_->speed().find_stream("s"), nullptr);
}

TEST_F(PostgresPreparedTest, AnEmptyStatementIsNoError) {
  PostgresTestClient client(port());
  client.connect();
  client.send(parse("", "") + bind("", "") + message('D', text("P")) + execute("") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "1 2 n I Z(I)");
}

TEST_F(PostgresPreparedTest, NamesThatAreNotThereOrTakenAreTold) {
  PostgresTestClient client(port());
  client.connect();
  const auto outcome = [&](const std::string& bytes) {
    client.send(bytes + kSync);
    return client.shortly(client.until_ready());
  };
  EXPECT_EQ(outcome(bind("", "none")), "E(26000) Z(I)");
  EXPECT_EQ(outcome(execute("none")), "E(34000) Z(I)");
  EXPECT_EQ(outcome(message('D', text("Snone"))), "E(26000) Z(I)");
  EXPECT_EQ(outcome(parse("a", "") + parse("a", "")), "1 E(42P05) Z(I)");
  EXPECT_EQ(outcome(bind("p", "a") + bind("p", "a")), "2 E(42P03) Z(I)");
  EXPECT_EQ(outcome(bind("", "a", {"1"})), "E(08P01) Z(I)");
  EXPECT_EQ(outcome(parse("", "SELECT 1; SELECT 2")), "E(42601) Z(I)");
  EXPECT_EQ(outcome(message('C', text("Sa")) + bind("", "a")), "3 E(26000) Z(I)");
  EXPECT_EQ(outcome(message('F', u32(1))), "E(0A000) Z(I)");
}

TEST_F(PostgresPreparedTest, WhatAConnectionKeepsHasABound) {
  options_.statements_max = 3;
  options_.portals_max = 2;
  start();
  PostgresTestClient client(port());
  client.connect();
  client.send(parse("a", "") + parse("b", "") + parse("c", "") + parse("d", "") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "1 1 1 E(53200) Z(I)");
  client.send(bind("1", "a") + bind("2", "a") + bind("3", "a") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "2 2 E(53200) Z(I)");
}

TEST_F(PostgresPreparedTest, AStatementIsDescribedBoundAndExecuted) {
  PostgresTestClient client(port());
  client.connect();
  client.send(parse("s", "SELECT $1::INTEGER + 1 AS a, $2::VARCHAR AS b") +
              message('D', text("Ss")) + kSync);
  const auto described = client.until_ready();
  ASSERT_EQ(client.shortly(described), "1 t T Z(I)");
  EXPECT_EQ(described[1].body, u16(2) + u32(23) + u32(25));
  EXPECT_THAT(described[2].body, StartsWith(u16(2) + text("a")));
  for (const std::string_view value : {"1", "41"}) {
    client.send(bind("", "s", {std::string(value), "x"}) + execute("") + kSync);
    EXPECT_EQ(client.shortly(client.until_ready()),
              fmt::format("2 D({}|x|) C(SELECT 1) Z(I)", std::stoi(std::string(value)) + 1));
  }
  client.send(bind("", "s", {"no number", "x"}) + execute("") + kSync);
  EXPECT_THAT(client.shortly(client.until_ready()), HasSubstr("E(22P02) Z(I)"));
}

TEST_F(PostgresPreparedTest, ValuesGoInBinaryBothWays) {
  PostgresTestClient client(port());
  client.connect();
  client.send(message('P', text("") + text("SELECT $1 + 1 AS a") + u16(1) + u32(20)) +
              message('B', text("") + text("") + u16(1) + u16(1) + u16(1) + u32(8) + u32(0) +
                               u32(41) + u16(1) + u16(1)) +
              execute("") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()),
            "1 2 D(" + u32(0) + u32(42) + "|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresPreparedTest, APortalGivesItsRowsByThePiece) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("BEGIN"), "C(BEGIN) Z(T)");
  client.send(parse("", "SELECT * FROM range(5)") + bind("p", "") + execute("p", 2) + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "1 2 D(0|) D(1|) s Z(T)");
  client.send(execute("p", 2) + execute("p") + execute("p") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()),
            "D(2|) D(3|) s D(4|) C(SELECT 1) C(SELECT 0) Z(T)");
  EXPECT_EQ(client.ask("COMMIT"), "C(COMMIT) Z(I)");
  client.send(execute("p") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(34000) Z(I)");
}

TEST_F(PostgresPreparedTest, APortalGivesRowsOnDiskByThePiece) {
  config_.sql_rows_max = 10;
  start();
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("BEGIN"), "C(BEGIN) Z(T)");
  client.send(parse("", kLarge) + bind("p", "") + kSync);
  client.until_ready();
  for (std::uint64_t first = 0; first < 20'000; first += 3000) {
    client.send(execute("p", 3000) + kSync);
    const auto piece = client.until_ready();
    const bool last = first + 3000 > 20'000;
    EXPECT_EQ(numbered(piece, first), last ? 2000U : 3000U);
    EXPECT_EQ(client.shortly({piece.end() - 2, piece.end()}),
              last ? "C(SELECT 2000) Z(T)" : "s Z(T)");
  }
  EXPECT_EQ(node_->statements().spilled().held_bytes, 0U);
  // As many as there are.
  client.send(bind("q", "") + execute("q", 20'000) + execute("q", 1) + kSync);
  const auto all = client.until_ready();
  EXPECT_EQ(numbered(all, 0), 20'000U);
  EXPECT_EQ(client.ask("COMMIT"), "C(COMMIT) Z(I)");
}

TEST_F(PostgresPreparedTest, ACancelEndsRowsOnDisk) {
  PostgresTestClient client(port());
  std::string key;
  for (const auto& one : client.connect()) {
    if (one.type == 'K') key = one.body;
  }
  client.send(message('Q', text("SELECT repeat('x', 1000) FROM range(100000)")));
  const auto& spilled = node_->statements().spilled();
  ASSERT_TRUE(comes_true([&] { return spilled.held_bytes > 90'000'000; }));
  EXPECT_EQ(client.next().type, 'T');
  PostgresTestClient other(port());
  other.send(first_message(u32(80877102) + key));
  EXPECT_EQ(other.raw().read_to_end(), "");
  const auto answer = client.until_ready();
  EXPECT_LT(answer.size(), 90'000U);
  EXPECT_EQ(client.shortly({answer.end() - 2, answer.end()}), "E(57014) Z(I)");
  EXPECT_TRUE(comes_true([&] { return spilled.held_bytes == 0; }));
  EXPECT_EQ(client.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresPreparedTest, AFailedTransactionSaysSoUntilItsEnd) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("BEGIN; SELECT * FROM nothing"), "C(BEGIN) E(42P01) Z(E)");
  EXPECT_EQ(client.ask("SELECT 1"), "E(25P02) Z(E)");
  EXPECT_EQ(client.ask("COMMIT"), "C(ROLLBACK) Z(I)");
  EXPECT_EQ(client.ask("SET application_name = 'x'"), "S C(SET) Z(I)");
  EXPECT_THAT(client.ask("COMMIT"), StartsWith("N "));
}

TEST_F(PostgresPreparedTest, ACancelNeedsTheRightKey) {
  PostgresTestClient client(port());
  std::string key;
  for (const auto& one : client.connect()) {
    if (one.type == 'K') key = one.body;
  }
  ASSERT_EQ(key.size(), 8U);
  EXPECT_EQ(client.ask("SELECT pg_backend_pid()"),
            fmt::format("T D({}|) C(SELECT 1) Z(I)", static_cast<unsigned char>(key[3])));
  client.send(message('Q', text("SELECT count(*) FROM range(100000000) a, range(100000) b")));
  auto wrong = key;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  for (const auto& request : {wrong, key}) {
    ASSERT_TRUE(comes_true([&] {
      PostgresTestClient other(port());
      other.send(first_message(u32(80877102) + request));
      EXPECT_EQ(other.raw().read_to_end(), "");
      return request == wrong || server_->metrics().statement_errors == 1;
    }));
    EXPECT_EQ(server_->metrics().statement_errors, request == wrong ? 0U : 1U);
  }
  EXPECT_EQ(client.shortly(client.until_ready()), "E(57014) Z(I)");
  EXPECT_EQ(client.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresPreparedTest, ACopyThatIsBrokenOffStoresNothing) {
  sql("CREATE STREAM s (at TIMESTAMP, n INTEGER) WITH (time = at)");
  PostgresTestClient client(port());
  client.connect();
  const std::string row = message('d', "2026-01-01 00:00:00\t1\n");
  const auto copy = [&](const std::string& then) {
    client.send(message('Q', text("COPY s FROM STDIN; SELECT 1")) + row + then);
    return client.shortly(client.until_ready());
  };
  EXPECT_EQ(copy(message('c', "")), "G C(COPY 1) T D(1|) C(SELECT 1) Z(I)");
  EXPECT_EQ(copy(message('f', text("no more"))), "G E(57014) Z(I)");
  EXPECT_EQ(copy(message('d', "one column\n") + row + message('c', "")), "G E(22P04) Z(I)");
  EXPECT_EQ(client.ask("SELECT count(*) FROM s"), "T D(1|) C(SELECT 1) Z(I)");
  client.send(parse("", "COPY s FROM STDIN") + bind("", "") + execute("") + kSync + row + kSync +
              message('c', "") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "1 2 G C(COPY 1) Z(I)");
}

TEST_F(PostgresHostileTest, ARequestForTlsWithoutACertificateIsAnsweredNo) {
  PostgresTestClient client(port());
  client.send(first_message(u32(80877104)));
  EXPECT_EQ(client.raw().read_bytes(1), "N");
  client.send(kSslRequest);
  EXPECT_EQ(client.raw().read_bytes(1), "N");
  EXPECT_EQ(client.connect().back().type, 'Z');
}

TEST_F(PostgresHostileTest, BytesBehindTheRequestForTlsEndTheConnection) {
  PostgresTestClient client(port());
  client.send(kSslRequest + startup("anybody"));
  EXPECT_EQ(client.raw().read_to_end(), "");
}

TEST_F(PostgresHostileTest, ALaterProtocolIsNegotiatedAndAnOlderOneRefused) {
  PostgresTestClient later(port());
  later.send(startup("anybody", text("_pq_.new_thing") + text("1"), (3U << 16) + 2));
  const auto answer = later.until_ready();
  EXPECT_EQ(answer.front().type, 'v');
  EXPECT_THAT(answer.front().body, HasSubstr("_pq_.new_thing"));
  EXPECT_EQ(answer.back().type, 'Z');
  PostgresTestClient older(port());
  older.send(startup("anybody", "", 2U << 16));
  EXPECT_EQ(older.next().field('C'), "0A000");
  EXPECT_EQ(older.next().type, 0);
}

TEST_F(PostgresHostileTest, StartsThatAreNoneEndWithoutAnAnswer) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), u32(3) + "abc", u32(0x7fffffff), u32(10'001)}) {
    PostgresTestClient client(port());
    client.send(bytes);
    EXPECT_EQ(client.raw().read_to_end(), "") << bytes;
  }
  EXPECT_EQ(server_->metrics().violations, 4U);
  EXPECT_TRUE(comes_true([&] { return server_->metrics().connections_open == 0; }));
}

TEST_F(PostgresHostileTest, MessagesThatAreNoneEndTheConnection) {
  for (const std::string& bytes :
       {message('?', ""), message('Q', "no end"), message('p', text("a password")), 'Q' + u32(3),
        'Q' + u32(0x7fffffff), message('B', text("") + text("") + u16(0xffff)),
        message('D', text("X"))}) {
    PostgresTestClient client(port());
    client.connect();
    client.send(bytes);
    const auto error = client.next();
    EXPECT_EQ(error.field('S'), "FATAL") << bytes;
    EXPECT_THAT(error.field('C'), testing::AnyOf("08P01", "54000")) << bytes;
    EXPECT_EQ(client.next().type, 0) << bytes;
  }
}

TEST_F(PostgresHostileTest, HalfOpenConnectionsAreDroppedInTime) {
  options_.connect_time = std::chrono::milliseconds(300);
  start();
  std::vector<std::unique_ptr<PostgresTestClient>> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::make_unique<PostgresTestClient>(port()));
    if (i % 2 == 0) all.back()->send(startup("anybody").substr(0, 7));
  }
  ASSERT_TRUE(comes_true([&] { return server_->metrics().connections_accepted == 200; }));
  EXPECT_TRUE(comes_true([&] { return server_->metrics().connections_open == 0; }));
  EXPECT_EQ(server_->metrics().timeouts, 200U);
}

TEST_F(PostgresHostileTest, UnfinishedMessagesOfAllHaveABound) {
  options_.unfinished_bytes_max = 1'000'000;
  start();
  PostgresTestClient client(port());
  client.connect();
  client.send('Q' + u32(8'000'000) + std::string(4'000'000, 'x'));
  EXPECT_EQ(client.next().field('C'), "53200");
}

TEST_F(PostgresHostileTest, TextThatIsNotUtf8IsRefused) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_EQ(client.ask("SELECT '\xff'"), "E(22021) Z(I)");
  client.send(parse("", "SELECT '\xff'") + kSync);
  EXPECT_EQ(client.shortly(client.until_ready()), "E(22021) Z(I)");
}

TEST_F(PostgresHostileTest, OneAddressHasSoManyConnectionsAndAllHaveSoMany) {
  options_.peer_connections_max = 2;
  start();
  PostgresTestClient first(port());
  first.connect();
  PostgresTestClient second(port());
  second.connect();
  PostgresTestClient third(port());
  EXPECT_EQ(third.raw().read_to_end(), "");
  EXPECT_EQ(server_->metrics().connections_refused, 1U);
}

/// SCRAM-SHA-256 as a client does it, to its end; the last message of the server.
PostgresTestClient::Message log_in(PostgresTestClient& client, std::string_view user,
                                   std::string_view password) {
  client.send(startup(user));
  const auto offer = client.next();
  EXPECT_THAT(offer.body, HasSubstr("SCRAM-SHA-256"));
  const std::string bare = "n=,r=clientnonce";
  const std::string first = "n,," + bare;
  client.send(message('p', text("SCRAM-SHA-256") + u32(first.size()) + first));
  const auto challenge = client.next();
  if (challenge.type != 'R') return challenge;
  const std::string server_first = challenge.body.substr(4);
  const auto salt_at = server_first.find(",s=");
  const auto count_at = server_first.find(",i=");
  const auto nonce = server_first.substr(2, salt_at - 2);
  const auto salt =
      *format::base64_decode(server_first.substr(salt_at + 3, count_at - salt_at - 3));
  // The client key, by the verifier that this password would have with this salt.
  std::string block = salt + u32(1);
  auto round = access::hmac_sha256(password, block);
  auto salted = round;
  for (int i = 1; i < std::stoi(server_first.substr(count_at + 3)); ++i) {
    round = access::hmac_sha256(password, access::bytes_of(round));
    for (std::size_t b = 0; b < salted.size(); ++b) salted[b] ^= round[b];
  }
  auto proof = access::hmac_sha256(access::bytes_of(salted), "Client Key");
  const auto stored = access::sha256(access::bytes_of(proof));
  const std::string without_proof = "c=biws,r=" + nonce;
  const auto signature = access::hmac_sha256(access::bytes_of(stored),
                                             bare + "," + server_first + "," + without_proof);
  for (std::size_t b = 0; b < proof.size(); ++b) proof[b] ^= signature[b];
  client.send(message('p', without_proof + ",p=" + format::base64_encode(access::bytes_of(proof))));
  auto last = client.next();
  if (last.type == 'R') last = client.until_ready().back();
  return last;
}

TEST_F(PostgresUsersTest, APasswordIsProvenAndNobodyLearnsNames) {
  sql("CREATE USER ana WITH PASSWORD 'right'");
  PostgresTestClient good(port());
  EXPECT_EQ(log_in(good, "Ana", "right").type, 'Z');
  EXPECT_EQ(good.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
  PostgresTestClient wrong(port());
  const auto refused = log_in(wrong, "ana", "wrong");
  EXPECT_EQ(refused.field('C'), "28P01");
  EXPECT_EQ(wrong.next().type, 0);
  PostgresTestClient unknown(port());
  EXPECT_EQ(log_in(unknown, "bob", "wrong").body, refused.body);
  EXPECT_EQ(server_->metrics().not_authorized, 2U);
}

TEST_F(PostgresUsersTest, WhoIsNotThereHasTheSameSaltEachTime) {
  sql("CREATE USER ana WITH PASSWORD 'right'");
  const auto salt = [&](std::string_view user) {
    PostgresTestClient client(port());
    client.send(startup(user));
    client.next();
    const std::string first = "n,,n=,r=abc";
    client.send(message('p', text("SCRAM-SHA-256") + u32(first.size()) + first));
    const std::string challenge = client.next().body;
    return challenge.substr(challenge.find(",s="));
  };
  EXPECT_EQ(salt("bob"), salt("bob"));
  EXPECT_NE(salt("bob"), salt("eve"));
  EXPECT_EQ(salt("ana").size(), salt("bob").size());
}

TEST_F(PostgresUsersTest, GuessesAreSlowedDown) {
  sql("CREATE USER ana WITH PASSWORD 'right'");
  std::string last;
  for (int i = 0; i < 20 && last != "28000"; ++i) {
    PostgresTestClient client(port());
    last = log_in(client, "ana", "wrong").field('C');
  }
  EXPECT_EQ(last, "28000");
}

TEST_F(PostgresUsersTest, MalformedExchangesAreRefused) {
  sql("CREATE USER ana WITH PASSWORD 'right'");
  for (const std::string& first :
       {std::string("n,,n=,r="), std::string("p=tls-unique,,n=,r=abc"), std::string("x"),
        std::string("n,a=root,n=,r=abc"), std::string(5'000, 'n')}) {
    PostgresTestClient client(port());
    client.send(startup("ana"));
    client.next();
    client.send(message('p', text("SCRAM-SHA-256") + u32(first.size()) + first));
    EXPECT_EQ(client.next().field('S'), "FATAL") << first;
    EXPECT_EQ(client.next().type, 0) << first;
  }
  PostgresTestClient client(port());
  client.send(startup("ana") + message('Q', text("SELECT 1")));
  client.next();
  EXPECT_EQ(client.next().field('C'), "08P01");
}

TEST_F(PostgresUsersTest, ATokenServesAsThePasswordThatIsSent) {
  sql("CREATE USER ana WITH PASSWORD 'right'");
  auto made = node_->access().create_token("ana", "t", std::nullopt);
  ASSERT_TRUE(made);
  const auto option = text("options") + text("-c millrace.auth=password");
  PostgresTestClient good(port());
  good.send(startup("ana", option));
  EXPECT_EQ(good.next().body, u32(3));
  good.send(message('p', text(*made)));
  EXPECT_EQ(good.until_ready().back().type, 'Z');
  PostgresTestClient wrong(port());
  wrong.send(startup("ana", option) + message('p', text("mr_wrong")));
  wrong.next();
  EXPECT_EQ(wrong.next().field('C'), "28P01");
}

TEST_F(PostgresUsersTest, ADroppedUserIsDisconnected) {
  sql("CREATE USER root WITH PASSWORD 'right'");
  sql("CREATE USER ana WITH PASSWORD 'right'");
  PostgresTestClient client(port());
  EXPECT_EQ(log_in(client, "ana", "right").type, 'Z');
  PostgresTestClient stays(port());
  EXPECT_EQ(log_in(stays, "root", "right").type, 'Z');
  sql("DROP USER ana");
  EXPECT_EQ(client.next().field('S'), "FATAL");
  EXPECT_EQ(client.next().type, 0);
  EXPECT_EQ(stays.ask("SELECT 1"), "T D(1|) C(SELECT 1) Z(I)");
}

TEST_F(PostgresUsersTest, TheFirstUserEndsTheSessionsOfNobody) {
  PostgresTestClient client(port());
  client.connect();
  EXPECT_THAT(client.ask("CREATE USER ana WITH PASSWORD 'right'"), HasSubstr("C(CREATE USER)"));
  EXPECT_EQ(client.next().field('S'), "FATAL");
}

}  // namespace
}  // namespace millrace::server
