// Read your writes over HTTP: what a request was answered with is what a read on another connection
// may ask for, over streams, views, derived streams and SQL; what is not there in time is a
// problem, and what is no position is refused.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "client/http_client.h"
#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "server/node_fixture_test.h"
#include "serving/position_token.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class ReadPosition : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    sql("CREATE STREAM e (k VARCHAR, n BIGINT) WITH (key = k, partitions = 2)");
    sql("CREATE STREAM big AS SELECT k, n FROM e WHERE n > 10");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS s FROM e GROUP BY k");
    sql("CREATE MATERIALIZED VIEW w AS SELECT k, sum(n) AS s FROM big GROUP BY k");
    services_ = std::make_unique<endpoint::Services>(node_->services(pool_));
    auto server = endpoint::HttpServer::start({}, endpoint::api_routes(*services_));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  void TearDown() override {
    server_.reset();
    pool_.close();
    NodeTest::TearDown();
  }
  /// On a connection of its own.
  client::HttpReply ask(std::string_view method, std::string_view target,
                        std::string_view body = {}, const std::string& authorization = {}) {
    client::HttpClientOptions options;
    options.authorization = authorization;
    auto http =
        client::HttpClient::connect(fmt::format("http://127.0.0.1:{}", server_->port()), options);
    EXPECT_TRUE(http) << http.error().text();
    client::HttpHeaders headers;
    if (!body.empty()) headers.emplace_back("Content-Type", "application/json");
    auto reply = http->request(method, target, body, headers);
    EXPECT_TRUE(reply) << reply.error().text();
    return reply ? std::move(*reply) : client::HttpReply{};
  }
  static std::string position_of(const client::HttpReply& reply) {
    return std::string(reply.header("Millrace-Position"));
  }
  /// A position that nothing has reached.
  std::string far(std::string_view stream) {
    Position position;
    position.set_end(PartitionId(0), Offset(1'000'000));
    serving::PositionToken token;
    token.include(node_->speed().find_stream(stream)->definition().id, position);
    return token.text();
  }

  runtime::WorkerPool pool_{"query", 2, 64};
  std::unique_ptr<endpoint::Services> services_;
  std::unique_ptr<endpoint::HttpServer> server_;
};

TEST_F(ReadPosition, WhatIsDurableIsVisibleToAReadThatAsksForIt) {
  std::int64_t sum = 0;
  for (int n = 11; n < 61; ++n) {
    const auto posted = ask("POST", "/v1/streams/e/events?wait=durable",
                            fmt::format("{{\"k\":\"Lima\",\"n\":{}}}", n));
    ASSERT_EQ(posted.status, 200) << posted.body;
    sum += n;
    const std::string at = position_of(posted);
    ASSERT_FALSE(at.empty());
    const std::string row = fmt::format("\"rows\":[[\"Lima\",{}]]", sum);
    EXPECT_THAT(ask("GET", "/v1/views/v?k=Lima&at_least=" + at).body, HasSubstr(row));
    EXPECT_THAT(ask("GET", "/v1/views/v?at_least=" + at).body, HasSubstr(row));
    // What is derived of an event is visible where the event is.
    EXPECT_THAT(ask("GET", "/v1/views/w?k=Lima&at_least=" + at).body, HasSubstr(row));
    EXPECT_THAT(
        ask("POST", "/v1/sql?at_least=" + at, R"({"sql":"SELECT k, sum(n) FROM e GROUP BY k"})")
            .body,
        HasSubstr(row));
    EXPECT_THAT(ask("GET", "/v1/streams/e/events?at_least=" + at).body,
                HasSubstr(fmt::format("\"n\":{}}}", n)));
  }
}

TEST_F(ReadPosition, EveryAnswerSaysWhereItStands) {
  post("e", "{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":20}\n");
  const auto e = node_->speed().find_stream("e");
  serving::PositionToken expected;
  expected.include(e->definition().id, e->applied());
  for (const auto* target : {"/v1/views/v", "/v1/views/v?k=a", "/v1/views/v?format=csv",
                             "/v1/views/v?format=arrow", "/v1/streams/e/events"}) {
    EXPECT_EQ(position_of(ask("GET", target)), expected.text()) << target;
  }
  const auto selected = [&](std::string_view target) {
    return position_of(ask("POST", target, R"({"sql":"SELECT * FROM v, big"})"));
  };
  const auto big = node_->speed().find_stream("big");
  expected.include(big->definition().id, big->applied());
  EXPECT_EQ(selected("/v1/sql"), expected.text());
  EXPECT_EQ(selected("/v1/sql?format=jsonl"), expected.text());
  EXPECT_EQ(position_of(ask("POST", "/v1/sql", R"({"sql":"SELECT 1"})")), "");
  // Nothing was stored.
  EXPECT_EQ(position_of(ask("POST", "/v1/streams/e/events?on_error=reject", R"({"n":"x"})")), "");
}

TEST_F(ReadPosition, WhatDoesNotComeInTimeIsAProblem) {
  const std::string never = far("e") + "&timeout_ms=20";
  for (const std::string target :
       {"/v1/views/v?at_least=", "/v1/views/v?k=a&at_least=", "/v1/views/w?at_least=",
        "/v1/streams/e/events?at_least=", "/v1/streams/big/events?at_least="}) {
    const auto reply = ask("GET", target + never);
    EXPECT_EQ(reply.status, 504) << target;
    EXPECT_THAT(reply.body, HasSubstr("MR3010")) << target;
  }
  EXPECT_EQ(ask("POST", "/v1/sql?at_least=" + never, R"({"sql":"SELECT 1"})").status, 504);
  // A view that the position says nothing about does not wait.
  EXPECT_EQ(ask("GET", "/v1/views/v?at_least=" + far("big")).status, 200);
  EXPECT_EQ(ask("GET", "/v1/streams/e/events?at_least=" + far("big")).status, 200);
}

TEST_F(ReadPosition, WhatIsNoPositionIsRefused) {
  serving::PositionToken other;
  other.include(StreamId(4711), Position(1));
  serving::PositionToken wide;
  wide.include(node_->speed().find_stream("e")->definition().id, Position(3));
  for (const std::string& bad : {std::string("17"), std::string(), far("e") + "0",
                                 std::string(9000, '1'), other.text(), wide.text()}) {
    for (const std::string target : {"/v1/views/v?at_least=", "/v1/streams/e/events?at_least="}) {
      const auto reply = ask("GET", target + bad);
      EXPECT_EQ(reply.status, 400) << target << bad;
      EXPECT_THAT(reply.body, HasSubstr("at_least")) << target << bad;
    }
    EXPECT_EQ(ask("POST", "/v1/sql?at_least=" + bad, R"({"sql":"SELECT 1"})").status, 400) << bad;
  }
  for (const char* timeout : {"-1", "60001", "x", "1.5", ""})
    EXPECT_EQ(ask("GET", fmt::format("/v1/views/v?timeout_ms={}", timeout)).status, 400) << timeout;
  EXPECT_EQ(ask("POST", "/v1/streams/e/events?wait=soon", R"({"n":1})").status, 400);
}

TEST_F(ReadPosition, AMisspeltParameterDoesNotPassForOneThatWasLeftOut) {
  const auto reply = ask("POST", "/v1/streams/e/events?on_eror=reject", R"({"n":1})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.body, HasSubstr("on_eror"));
  EXPECT_THAT(reply.body, HasSubstr("on_error, wait"));
  EXPECT_EQ(ask("POST", "/v1/sql?atleast=1", R"({"sql":"SELECT 1"})").status, 400);
}

TEST_F(ReadPosition, NobodyLearnsOfStreamsThatAreNoneOfTheirBusiness) {
  sql("CREATE STREAM wages (name VARCHAR)");
  sql("CREATE USER root WITH PASSWORD 'root-secret'");
  sql("CREATE USER reader WITH PASSWORD 'reader-secret'");
  sql("GRANT SELECT ON w TO reader");
  const std::string reader = "Basic cmVhZGVyOnJlYWRlci1zZWNyZXQ=";
  const auto status = [&](std::string_view token) {
    const auto reply =
        ask("GET", fmt::format("/v1/views/w?timeout_ms=1&at_least={}", token), {}, reader);
    const auto by_sql = ask("POST", fmt::format("/v1/sql?timeout_ms=1&at_least={}", token),
                            R"({"sql":"SELECT 1"})", reader);
    EXPECT_EQ(reply.status, by_sql.status);
    EXPECT_THAT(reply.body, Not(HasSubstr("wages")));
    return reply.status;
  };
  EXPECT_EQ(status(far("wages")), 400);
  // Those that the view is made of.
  EXPECT_EQ(status(far("big")), 504);
  EXPECT_EQ(status(far("e")), 504);
}

}  // namespace
}  // namespace millrace::server
