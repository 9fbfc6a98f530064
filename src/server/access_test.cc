// Every door of the HTTP endpoint, tried by everybody: who may not, neither gets in nor learns what
// is there.
#include <gmock/gmock.h>

#include "client/http_client.h"
#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class AccessDoors : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    open();
    sql("CREATE STREAM trips (at TIMESTAMP, city VARCHAR, minutes DOUBLE) WITH (time = at)");
    sql("CREATE STREAM wages (name VARCHAR, amount DOUBLE)");
    sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips FROM trips GROUP BY "
        "city");
    sql("CREATE VIEW long_trips AS SELECT city FROM trips WHERE minutes > 60");
    sql("CREATE MATERIALIZED VIEW wage_sum AS SELECT sum(amount) AS s FROM wages");
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
  void make_users() {
    sql("CREATE USER root WITH PASSWORD 'root-secret'");
    sql("CREATE USER sensor WITH PASSWORD 'sensor-secret'");
    sql("CREATE USER reader WITH PASSWORD 'reader-secret'");
    sql("CREATE USER nobody WITH PASSWORD 'nobody-secret'");
    sql("GRANT PUBLISH ON STREAM trips TO sensor");
    sql("GRANT SELECT ON by_city, long_trips TO reader");
  }
  client::HttpReply ask(const std::string& authorization, std::string_view method,
                        std::string_view target, std::string_view body = {},
                        std::string_view type = "application/json") {
    client::HttpClientOptions options;
    options.authorization = authorization;
    auto http =
        client::HttpClient::connect(fmt::format("http://127.0.0.1:{}", server_->port()), options);
    EXPECT_TRUE(http) << http.error().text();
    // Problems name it; those of two requests are compared.
    client::HttpHeaders headers{{"X-Request-Id", "the same"}};
    if (!body.empty()) headers.emplace_back("Content-Type", type);
    auto reply = http->request(method, target, body, headers);
    EXPECT_TRUE(reply) << reply.error().text();
    return reply ? std::move(*reply) : client::HttpReply{};
  }
  client::HttpReply statement(const std::string& authorization, std::string_view sql) {
    std::string body = "{\"sql\":";
    append_json_string(body, sql);
    return ask(authorization, "POST", "/v1/sql", body + "}");
  }

  runtime::WorkerPool pool_{"query", 2, 16};
  std::unique_ptr<endpoint::Services> services_;
  std::unique_ptr<endpoint::HttpServer> server_;
};

// printf 'name:name-secret' | base64
const std::string kNone;
const std::string kRoot = "Basic cm9vdDpyb290LXNlY3JldA==";
const std::string kSensor = "Basic c2Vuc29yOnNlbnNvci1zZWNyZXQ=";
const std::string kReader = "Basic cmVhZGVyOnJlYWRlci1zZWNyZXQ=";
const std::string kNobody = "Basic bm9ib2R5Om5vYm9keS1zZWNyZXQ=";
const std::string kWrong = "Basic cm9vdDp3cm9uZw==";  // root:wrong

TEST_F(AccessDoors, NeedNoKeyOnThisMachineWhileThereIsNoUser) {
  EXPECT_EQ(ask(kNone, "GET", "/v1/views/by_city").status, 200);
  EXPECT_EQ(statement(kNone, "CREATE USER root WITH PASSWORD 'root-secret'").status, 200);
  EXPECT_EQ(ask(kNone, "GET", "/v1/views/by_city").status, 401);
  EXPECT_EQ(ask(kRoot, "GET", "/v1/views/by_city").status, 200);
}

TEST_F(AccessDoors, OpenForThoseWhoMayAndForNobodyElse) {
  make_users();
  struct Door {
    std::string method;
    std::string target;
    std::string body;
    std::vector<std::string> open_for;  // besides root
  };
  const std::string event = "{\"at\":\"2026-01-01T08:00:00Z\",\"city\":\"Lima\"}";
  const std::vector<Door> doors = {
      {"POST", "/v1/streams/trips/events", event, {kSensor}},
      {"POST", "/v1/streams/wages/events", "{\"name\":\"a\",\"amount\":1}", {}},
      {"POST", "/v1/streams/trips/quarantine/replay", "{}", {}},
      {"GET", "/v1/views/by_city", "", {kReader}},
      {"GET", "/v1/views/by_city?city=Lima", "", {kReader}},
      {"GET", "/v1/views/by_city/plan", "", {}},
      {"GET", "/v1/views/wage_sum", "", {}},
      {"GET", "/v1/batch", "", {}},
      {"POST", "/v1/batch", "{}", {}},
      {"DELETE", "/v1/batch", "", {}},
      {"GET", "/metrics", "", {}},
      {"GET", "/v1/streams", "", {kSensor, kReader, kNobody}},
      {"GET", "/v1/views", "", {kSensor, kReader, kNobody}},
      {"GET", "/healthz", "", {kNone, kWrong, kSensor, kReader, kNobody}},
      {"GET", "/readyz", "", {kNone, kWrong, kSensor, kReader, kNobody}},
  };
  for (const auto& door : doors) {
    for (const auto& who : {kNone, kWrong, kSensor, kReader, kNobody, kRoot}) {
      const auto reply = ask(who, door.method, door.target, door.body);
      const bool may = who == kRoot || std::ranges::find(door.open_for, who) != door.open_for.end();
      const std::string what = door.method + " " + door.target + " as '" + who + "': " + reply.body;
      if (may) {
        EXPECT_LT(reply.status, 300) << what;
        continue;
      }
      if (who == kWrong) {
        // Who guesses again and again waits; who is known does not wait for that.
        EXPECT_TRUE(reply.status == 401 || reply.status == 429) << what;
        continue;
      }
      EXPECT_EQ(reply.status, who == kNone ? 401 : 403) << what;
      EXPECT_EQ(reply.header("WWW-Authenticate").empty(), who != kNone) << what;
    }
  }
}

TEST_F(AccessDoors, LetStatementsReadWhatIsGranted) {
  make_users();
  EXPECT_EQ(statement(kReader, "SELECT * FROM by_city").status, 200);
  EXPECT_EQ(statement(kReader, "SELECT * FROM long_trips").status, 200)
      << "a plain view is read with its maker's eyes";
  EXPECT_EQ(statement(kReader, "SELECT 1").status, 200);
  EXPECT_EQ(statement(kReader, "DESCRIBE by_city").status, 200);
  for (const std::string_view refused :
       {"SELECT * FROM trips", "SELECT * FROM wage_sum", "SELECT (SELECT s FROM wage_sum)",
        "SELECT * FROM by_city JOIN wages ON true",
        "WITH w AS (SELECT * FROM wages) SELECT * FROM w",
        "SELECT * FROM wage_sum AS OF POSITION '{\"0\": 0}'", "DESCRIBE wages",
        "SELECT * FROM trips__quarantine"}) {
    const auto reply = statement(kReader, refused);
    EXPECT_TRUE(reply.status == 403 || reply.status == 404) << refused << ": " << reply.body;
  }
  for (const std::string_view refused :
       {"CREATE STREAM s (a BIGINT)", "DROP STREAM trips", "ALTER STREAM trips ADD COLUMN x BIGINT",
        "CREATE VIEW v AS SELECT 1", "CREATE TABLE t AS SELECT * FROM wages",
        "REPLAY QUARANTINE trips", "CREATE USER u WITH PASSWORD 'x'", "DROP USER root",
        "ALTER USER root WITH PASSWORD 'x'", "GRANT ADMIN TO reader", "CREATE TOKEN t FOR root",
        "REVOKE ADMIN FROM root"}) {
    EXPECT_EQ(statement(kReader, refused).status, 403) << refused;
    EXPECT_EQ(statement(kNone, refused).status, 401) << refused;
  }
}

TEST_F(AccessDoors, DoNotTellWhatIsBehindThem) {
  make_users();
  const auto without = [](std::string text, const std::string& name) {
    for (std::size_t at; (at = text.find(name)) != std::string::npos;) text.erase(at, name.size());
    return text;
  };
  // What is there and what is not give the same answer.
  for (const auto& [there, absent] : std::vector<std::pair<std::string, std::string>>{
           {"SELECT * FROM wages", "SELECT * FROM nages"},
           {"SELECT * FROM wage_sum", "SELECT * FROM nage_sum"},
           {"DESCRIBE wages", "DESCRIBE nages"},
           {"DROP STREAM wages", "DROP STREAM nages"}}) {
    const auto a = statement(kReader, there);
    const auto b = statement(kReader, absent);
    EXPECT_EQ(a.status, b.status) << there;
    EXPECT_EQ(without(a.body, "wage"), without(b.body, "nage"));
  }
  for (const auto& target : {"/v1/views/{}_sum", "/v1/streams/{}s/events"}) {
    const std::string method = std::string_view(target).ends_with("events") ? "POST" : "GET";
    const std::string body = method == "POST" ? "{}" : "";
    const auto a = ask(kReader, method, fmt::format(fmt::runtime(target), "wage"), body);
    const auto b = ask(kReader, method, fmt::format(fmt::runtime(target), "nage"), body);
    EXPECT_EQ(a.status, b.status) << target;
    EXPECT_EQ(without(a.body, "wage"), without(b.body, "nage"));
  }
  for (const std::string_view show :
       {"SHOW STREAMS", "SHOW VIEWS", "SHOW TABLES", "SHOW USERS", "SHOW GRANTS"}) {
    const auto reply = statement(kReader, show);
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_THAT(reply.body, Not(HasSubstr("wage"))) << show;
    EXPECT_THAT(reply.body, Not(HasSubstr("root"))) << show;
    EXPECT_THAT(reply.body, Not(HasSubstr("FROM trips"))) << show;
  }
  EXPECT_THAT(statement(kReader, "SHOW VIEWS").body, HasSubstr("by_city"));
  EXPECT_THAT(ask(kReader, "GET", "/v1/views").body, Not(HasSubstr("wage")));
  EXPECT_THAT(ask(kReader, "GET", "/v1/views").body, HasSubstr("by_city"));
  EXPECT_THAT(ask(kSensor, "GET", "/v1/streams").body, HasSubstr("trips"));
  EXPECT_THAT(ask(kSensor, "GET", "/v1/streams").body, Not(HasSubstr("wages")));
  EXPECT_THAT(ask(kSensor, "GET", "/v1/views").body, Not(HasSubstr("by_city")));
}

TEST_F(AccessDoors, KeepSecretsOutOfErrors) {
  make_users();
  for (const std::string_view sql :
       {"CREATE USER u WITH PASSWORD hunter2", "CREATE USER u WITH PASSWORD \"hunter2\"",
        "ALTER USER root WITH PASSWORD 'x' hunter2", "CREATE USER root WITH PASSWORD 'hunter2'",
        "ALTER USER nemo WITH PASSWORD 'hunter2'", "CREATE USER u WITH PASSWORD 'hunter2"}) {
    const auto reply = statement(kRoot, sql);
    EXPECT_GE(reply.status, 400) << sql;
    EXPECT_THAT(reply.body, Not(HasSubstr("hunter2"))) << sql;
  }
  const auto made = statement(kRoot, "CREATE TOKEN probe FOR sensor VALID FOR '1 day'");
  ASSERT_EQ(made.status, 200) << made.body;
  const auto begin = made.body.find("mr_");
  ASSERT_NE(begin, std::string::npos);
  const std::string token = made.body.substr(begin, made.body.find('"', begin) - begin);
  EXPECT_EQ(ask("Bearer " + token, "POST", "/v1/streams/trips/events",
                "{\"at\":\"2026-01-01T08:00:00Z\",\"city\":\"a\"}")
                .status,
            200);
  EXPECT_THAT(statement(kRoot, "SHOW USERS").body, Not(HasSubstr(token)));
  EXPECT_THAT(statement(kRoot, "SHOW USERS").body, HasSubstr("probe until"));
}

}  // namespace
}  // namespace millrace::server
