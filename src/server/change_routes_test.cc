// Views followed over HTTP: the events that a browser or curl gets, a resumed connection, and the
// same over a WebSocket with acknowledgements.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <functional>
#include <set>

#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "endpoint/raw_client_test.h"
#include "runtime/worker_pool.h"
#include "server/node_fixture_test.h"
#include "serving/position_token.h"

namespace millrace::server {
namespace {

using endpoint::get;
using endpoint::RawClient;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
namespace json = boost::json;

struct Event {
  std::string name;
  std::string id;
  json::value data;
};

class ChangeRoutes : public NodeTest {
 protected:
  void TearDown() override {
    if (server_ != nullptr) server_->stop();
    if (pool_ != nullptr) pool_->close();
    server_.reset();
    NodeTest::TearDown();
  }
  void serve(endpoint::HttpServerOptions options = {}) {
    if (node_ == nullptr) open();
    pool_ = std::make_unique<runtime::WorkerPool>("query", 2, 64);
    endpoint::Services services = node_->services(*pool_);
    services.http_metrics = [this] { return &server_->metrics(); };
    options.threads = 2;
    auto server = endpoint::HttpServer::start(options, endpoint::api_routes(services));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  void make_view() {
    sql("CREATE STREAM e (k VARCHAR, x BIGINT, j JSON) WITH (key = k)");
    sql("CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS n, sum(x) AS s FROM e GROUP BY k");
  }
  void add(std::string_view key, int x) {
    post("e", fmt::format("{{\"k\":\"{}\",\"x\":{}}}\n", key, x));
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  // The next event; chunks of the answer are put together. Comments and lone ids are skipped.
  static Event next_event(RawClient& client, std::string& text) {
    for (;;) {
      std::size_t end = 0;
      while ((end = text.find("\n\n")) == std::string::npos) {
        const std::string size = client.read_until("\r\n");
        if (size.empty()) {
          ADD_FAILURE() << "the stream ended";
          return {};
        }
        text += client.read_bytes(std::stoul(size, nullptr, 16));
        client.read_bytes(2);
      }
      Event event;
      std::string data;
      for (std::string rest = text.substr(0, end + 1); !rest.empty();) {
        const std::size_t line_end = rest.find('\n');
        const std::string line = rest.substr(0, line_end);
        rest.erase(0, line_end + 1);
        if (line.starts_with("event: ")) event.name = line.substr(7);
        if (line.starts_with("id: ")) event.id = line.substr(4);
        if (line.starts_with("data: ")) data += line.substr(6) + "\n";
      }
      text.erase(0, end + 2);
      if (data.empty()) continue;
      event.data = json::parse(data);
      return event;
    }
  }
  static std::string changes(const Event& event) {
    return json::serialize(event.data.at("changes"));
  }

  // A text frame from the server, as JSON.
  static json::value next_message(RawClient& client) {
    const std::string head = client.read_bytes(2);
    if (head.size() < 2 || head[0] != '\x81') {
      ADD_FAILURE() << "no text message: " << head;
      return {};
    }
    std::size_t size = static_cast<unsigned char>(head[1]);
    if (size == 126) {
      const std::string more = client.read_bytes(2);
      size = static_cast<unsigned char>(more[0]) * 256U + static_cast<unsigned char>(more[1]);
    }
    return json::parse(client.read_bytes(size));
  }
  static std::string message(std::string_view text) {
    return std::string("\x81") + static_cast<char>(0x80 | text.size()) + std::string(4, '\0') +
           std::string(text);
  }
  [[nodiscard]] static std::string upgrade(std::string_view target) {
    return get(target,
               "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
  }

  /// A position that the stream has when it has so many events.
  std::string position(std::uint64_t events) {
    Position end;
    end.set_end(PartitionId(0), Offset(events));
    serving::PositionToken token;
    token.include(node_->speed().find_stream("e")->definition().id, end);
    return token.text();
  }

  std::unique_ptr<runtime::WorkerPool> pool_;
  std::unique_ptr<endpoint::HttpServer> server_;
};

TEST_F(ChangeRoutes, AnEventStreamBeginsWithAllRowsAndGoesOnWithWhatChanges) {
  serve();
  make_view();
  add("Lima", 1);
  RawClient client(port());
  client.send(get("/v1/views/v/changes"));
  const auto head = read_reply(client, false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(head.header("X-Accel-Buffering"), "no");
  EXPECT_EQ(head.header("Cache-Control"), "no-store");
  std::string text;
  const auto reset = next_event(client, text);
  EXPECT_EQ(reset.name, "reset");
  EXPECT_EQ(json::serialize(reset.data),
            R"({"view":"v","reason":"subscribed","columns":[{"name":"k","type":"VARCHAR"},)"
            R"({"name":"n","type":"BIGINT"},{"name":"s","type":"HUGEINT"}],"key":["k"]})");
  const auto snapshot = next_event(client, text);
  EXPECT_EQ(snapshot.name, "snapshot");
  EXPECT_EQ(changes(snapshot), R"([{"key":["Lima"],"rows":[["Lima",1,1]]}])");
  EXPECT_EQ(json::serialize(snapshot.data.at("coverage").at("delta_end")), R"({"0":1})");
  add("Oslo", 2);
  const auto second = next_event(client, text);
  EXPECT_EQ(second.name, "changes");
  EXPECT_EQ(changes(second), R"([{"key":["Oslo"],"rows":[["Oslo",1,2]]}])");

  // Connected again, it goes on where it was.
  add("Lima", 5);
  RawClient again(port());
  again.send(
      get("/v1/views/v/changes?after=1.1.0", fmt::format("Last-Event-ID: {}\r\n", second.id)));
  EXPECT_EQ(read_reply(again, false).status, 200);
  std::string more;
  EXPECT_EQ(next_event(again, more).name, "resumed");
  EXPECT_EQ(changes(next_event(again, more)), R"([{"key":["Lima"],"rows":[["Lima",2,6]]}])");

  sql("DROP MATERIALIZED VIEW v");
  const auto end = next_event(again, more);
  EXPECT_EQ(end.name, "end");
  EXPECT_EQ(end.data.at("code"), "MR1202");
  EXPECT_EQ(again.read_bytes(5), "0\r\n\r\n");
}

TEST_F(ChangeRoutes, AFollowerThatAsksForAPositionBeginsWithRowsThatHaveIt) {
  serve();
  make_view();
  add("Lima", 1);
  RawClient events(port());
  events.send(get("/v1/views/v/changes?at_least=" + position(2)));
  RawClient socket(port());
  socket.send(upgrade("/v1/views/v/changes?at_least=" + position(2)));
  EXPECT_THAT(socket.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  RawClient now(port());
  now.send(get("/v1/views/v/changes?at_least=" + position(1)));
  EXPECT_EQ(read_reply(now, false).status, 200);
  add("Lima", 5);
  const std::string rows = R"([{"key":["Lima"],"rows":[["Lima",2,6]]}])";
  EXPECT_EQ(read_reply(events, false).status, 200);
  std::string text;
  EXPECT_EQ(next_event(events, text).name, "reset");
  EXPECT_EQ(changes(next_event(events, text)), rows);
  EXPECT_EQ(next_message(socket).at("type"), "reset");
  EXPECT_EQ(json::serialize(next_message(socket).at("changes")), rows);
  // It goes on from there.
  add("Oslo", 1);
  EXPECT_EQ(json::serialize(next_message(socket).at("changes")),
            R"([{"key":["Oslo"],"rows":[["Oslo",1,1]]}])");
}

TEST_F(ChangeRoutes, APositionThatDoesNotComeInTimeIsAProblem) {
  serve();
  make_view();
  RawClient events(port());
  events.send(get("/v1/views/v/changes?timeout_ms=20&at_least=" + position(9)));
  EXPECT_EQ(read_reply(events).status, 504);
  events.send(get("/v1/views/v/changes?at_least=17"));
  EXPECT_EQ(read_reply(events).status, 400);
  RawClient socket(port());
  socket.send(upgrade("/v1/views/v/changes?timeout_ms=20&at_least=" + position(9)));
  EXPECT_THAT(socket.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  const auto end = next_message(socket);
  EXPECT_EQ(end.at("type"), "end");
  EXPECT_EQ(end.at("problem").at("code"), "MR3010");
}

TEST_F(ChangeRoutes, AFilterAndNoSnapshot) {
  serve();
  make_view();
  add("Lima", 1);
  RawClient client(port());
  client.send(get("/v1/views/v/changes?snapshot=false&k=Lima"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  std::string text;
  const auto start = next_event(client, text);
  EXPECT_EQ(start.name, "reset");
  EXPECT_NE(start.id, "");
  add("Oslo", 1);
  add("Lima", 7);
  EXPECT_EQ(changes(next_event(client, text)), R"([{"key":["Lima"],"rows":[["Lima",2,8]]}])");
}

TEST_F(ChangeRoutes, WhatCannotBeFollowedIsRefused) {
  serve();
  make_view();
  sql("CREATE VIEW plain AS SELECT * FROM v");
  const auto refused = [&](std::string_view target) {
    return endpoint::exchange(port(), get(target));
  };
  EXPECT_EQ(refused("/v1/views/nothing/changes").status, 404);
  EXPECT_THAT(refused("/v1/views/plain/changes").body, HasSubstr("it is a plain view"));
  EXPECT_EQ(refused("/v1/views/v/changes?n=1").status, 400);
  EXPECT_THAT(refused("/v1/views/v/changes?n=1").body, HasSubstr("changes can be filtered by k"));
  EXPECT_EQ(refused("/v1/views/v/changes?snapshot=no").status, 400);
  EXPECT_EQ(refused("/v1/views/v/changes?window=0").status, 400);
  EXPECT_EQ(node_->feed().counters().subscribers, 0U);
}

TEST_F(ChangeRoutes, AnIdleClientIsToldThePositionAndThatTheServerLives) {
  serve({.idle_time = std::chrono::milliseconds(40),
         .stream_heartbeat_time = std::chrono::milliseconds(50)});
  make_view();
  RawClient client(port());
  client.send(get("/v1/views/v/changes?k=nobody"));
  EXPECT_EQ(read_reply(client, false).status, 200);
  client.read_until("\n\n\r\n");
  client.read_until("\n\n\r\n");
  client.read_until(":\n\n");
  add("Lima", 1);
  EXPECT_THAT(client.read_until("id: 1.1.1\n\n"), Not(HasSubstr("data")));
}

TEST_F(ChangeRoutes, AClientThatGoesIsForgotten) {
  serve();
  make_view();
  {
    RawClient client(port());
    client.send(get("/v1/views/v/changes"));
    EXPECT_EQ(read_reply(client, false).status, 200);
    EXPECT_EQ(node_->feed().counters().subscribers, 1U);
  }
  for (int i = 0; i < 10'000 && node_->feed().counters().subscribers != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(node_->feed().counters().subscribers, 0U);
}

TEST_F(ChangeRoutes, AClientThatGoesWhileItWaitsForAPositionIsForgotten) {
  serve();
  make_view();
  const std::string target = "/v1/views/v/changes?timeout_ms=60000&at_least=" + position(1);
  const auto wait_until = [](const std::function<bool()>& condition) {
    for (int i = 0; i < 10'000 && !condition(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return condition();
  };
  const std::string request = get(target);
  const auto& metrics = server_->metrics();
  {
    RawClient gone(port());
    gone.send(request);
    ASSERT_TRUE(wait_until([&] { return metrics.received_bytes >= request.size(); }));
    // With a reset: after a mere end of what it sends the client could still read.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(gone.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  }
  ASSERT_TRUE(wait_until([&] { return metrics.connections_open == 0; }));
  RawClient there(port());
  there.send(request);
  ASSERT_TRUE(wait_until([&] { return metrics.received_bytes >= 2 * request.size(); }));
  add("Lima", 1);
  // Whoever waited first is told first.
  EXPECT_EQ(read_reply(there, false).status, 200);
  EXPECT_TRUE(wait_until([&] { return node_->feed().counters().subscribers == 1; }));
}

TEST_F(ChangeRoutes, AWebSocketHasTheSameMessagesAndWaitsForAcknowledgements) {
  serve();
  make_view();
  add("Lima", 1);
  RawClient client(port());
  client.send(upgrade("/v1/views/v/changes?window=1"));
  EXPECT_EQ(read_reply(client, false).status, 101);
  EXPECT_EQ(next_message(client).at("type"), "reset");
  const auto snapshot = next_message(client);
  EXPECT_EQ(snapshot.at("type"), "snapshot");
  EXPECT_EQ(snapshot.at("seq"), 1);
  EXPECT_EQ(json::serialize(snapshot.at("changes")), R"([{"key":["Lima"],"rows":[["Lima",1,1]]}])");
  // Three changes come as one, since the first batch is not acknowledged before.
  add("Lima", 1);
  add("Oslo", 1);
  add("Lima", 1);
  client.send(message(fmt::format(R"({{"ack":"{}"}})", snapshot.at("token").as_string().c_str())));
  const auto second = next_message(client);
  EXPECT_EQ(second.at("seq"), 2);
  EXPECT_EQ(json::serialize(second.at("changes")),
            R"([{"key":["Oslo"],"rows":[["Oslo",1,1]]},{"key":["Lima"],"rows":[["Lima",3,3]]}])");
  client.send(message(R"({"ack":2})"));
  add("Rome", 1);
  EXPECT_EQ(next_message(client).at("seq"), 3);
  sql("DROP MATERIALIZED VIEW v");
  const auto end = next_message(client);
  EXPECT_EQ(end.at("type"), "end");
  EXPECT_EQ(end.at("problem").at("code"), "MR1202");
  EXPECT_EQ(client.read_bytes(2), "\x88\x08");
}

TEST_F(ChangeRoutes, AWebSocketClientThatSaysSomethingElseIsClosed) {
  serve();
  make_view();
  for (const std::string_view bad : {"hello", "[1]", "{\"ack\":null}", "{\"nack\":1}"}) {
    RawClient client(port());
    client.send(upgrade("/v1/views/v/changes"));
    EXPECT_EQ(read_reply(client, false).status, 101);
    next_message(client);
    next_message(client);
    client.send(message(bad));
    EXPECT_THAT(client.read_bytes(4), HasSubstr("\x03\xef")) << bad;  // 1007
  }
}

// A line of JSON Lines; chunks are put together.
std::string next_line(RawClient& client, std::string& text) {
  std::size_t end = 0;
  while ((end = text.find('\n')) == std::string::npos) {
    const std::string size = client.read_until("\r\n");
    if (size.empty() || size == "0\r\n") return "";
    text += client.read_bytes(std::stoul(size, nullptr, 16));
    client.read_bytes(2);
  }
  std::string line = text.substr(0, end);
  text.erase(0, end + 1);
  return line;
}

class EventRoutes : public ChangeRoutes {
 protected:
  // All events of a stream in the order given, "partition:offset:x ...".
  std::string read(std::string_view target) {
    RawClient client(port());
    client.send(get(target));
    const auto head = endpoint::read_reply(client, false);
    if (head.status != 200) return fmt::format("{}", head.status);
    EXPECT_EQ(head.header("Content-Type"), "application/x-ndjson");
    std::string text;
    std::string out;
    for (std::string line; !(line = next_line(client, text)).empty();) {
      const auto event = json::parse(line);
      out += fmt::format("{}:{}:{} ", event.at("partition").as_int64(),
                         event.at("offset").as_int64(), event.at("event").at("x").as_int64());
    }
    return out;
  }
  std::uint64_t count(std::string_view target) {
    const std::string all = read(target);
    return static_cast<std::uint64_t>(std::ranges::count(all, ' '));
  }
};

TEST_F(EventRoutes, EventsComeOnceFromLakeAndTail) {
  serve();
  sql("CREATE STREAM e (x BIGINT, j JSON)");
  post("e", "{\"x\":1,\"j\":{\"a\":1}}\n{\"x\":2}\n");
  post("e", "{\"x\":3}\n");
  EXPECT_EQ(read("/v1/streams/e/events"), "0:0:1 0:1:2 0:2:3 ");
  run_batch(true);  // to the lake
  EXPECT_EQ(read("/v1/streams/e/events?from=earliest"), "0:0:1 0:1:2 0:2:3 ");
  post("e", "{\"x\":4}\n");
  EXPECT_EQ(read("/v1/streams/e/events"), "0:0:1 0:1:2 0:2:3 0:3:4 ");
  EXPECT_EQ(read("/v1/streams/e/events?from=2"), "0:2:3 0:3:4 ");
  EXPECT_EQ(read("/v1/streams/e/events?from=%7B%220%22:1%7D&limit=2"), "0:1:2 0:2:3 ");
  EXPECT_EQ(read("/v1/streams/e/events?from=latest"), "");
  EXPECT_EQ(read("/v1/streams/e/events?from=2000-01-01T00:00:00Z"), "0:0:1 0:1:2 0:2:3 0:3:4 ");
  EXPECT_EQ(read("/v1/streams/e/events?from=2200-01-01T00:00:00Z"), "");
  EXPECT_EQ(read("/v1/streams/e/events?from=99"), "400");
  EXPECT_EQ(read("/v1/streams/e/events?from=soon"), "400");
  EXPECT_EQ(read("/v1/streams/e/events?limit=0"), "400");
  EXPECT_EQ(read("/v1/streams/e/events?what=1"), "400");
  EXPECT_EQ(read("/v1/streams/nothing/events"), "404");
}

TEST_F(EventRoutes, ManyEventsComeInPagesEachOnce) {
  serve();
  sql("CREATE STREAM e (x BIGINT, k BIGINT) WITH (key = k, partitions = 3)");
  std::uint64_t sent = 0;
  for (int round = 0; round < 4; ++round) {
    for (int body = 0; body < 5; ++body) {
      std::string lines;
      for (int i = 0; i < 500; ++i, ++sent)
        lines += fmt::format("{{\"x\":{},\"k\":{}}}\n", sent, i);
      post("e", lines);
    }
    if (round < 3) node_->speed().find_stream("e")->cut_edge();
    if (round == 1) run_batch();
  }
  RawClient client(port());
  client.send(get("/v1/streams/e/events"));
  EXPECT_EQ(endpoint::read_reply(client, false).status, 200);
  std::vector<std::uint64_t> next(3, 0);
  std::set<std::int64_t> seen;
  std::string text;
  for (std::string line; !(line = next_line(client, text)).empty();) {
    const auto event = json::parse(line);
    const auto partition = static_cast<std::size_t>(event.at("partition").as_int64());
    ASSERT_EQ(event.at("offset").as_int64(), static_cast<std::int64_t>(next.at(partition)++));
    seen.insert(event.at("event").at("x").as_int64());
  }
  EXPECT_EQ(seen.size(), sent);
  EXPECT_EQ(count("/v1/streams/e/events?limit=4321"), 4321U);
}

TEST_F(EventRoutes, AFollowerGetsWhatComesAndGoesOnWhereItWas) {
  serve();
  sql("CREATE STREAM e (x BIGINT)");
  post("e", "{\"x\":1}\n");
  RawClient client(port());
  client.send(get("/v1/streams/e/events?follow=true&from=latest", "Accept: text/event-stream\r\n"));
  const auto head = endpoint::read_reply(client, false);
  EXPECT_EQ(head.header("Content-Type"), "text/event-stream");
  post("e", "{\"x\":2}\n");
  std::string text;
  const auto second = next_event(client, text);
  EXPECT_EQ(second.id, "2");
  EXPECT_EQ(second.data.at("event").at("x"), 2);
  post("e", "{\"x\":3}\n");
  EXPECT_EQ(next_event(client, text).id, "3");

  RawClient again(port());
  again.send(get("/v1/streams/e/events?follow=true&from=earliest",
                 "Accept: text/event-stream\r\nLast-Event-ID: 2\r\n"));
  EXPECT_EQ(endpoint::read_reply(again, false).status, 200);
  std::string more;
  EXPECT_EQ(next_event(again, more).data.at("event").at("x"), 3);
  sql("DROP STREAM e");
  EXPECT_EQ(next_event(again, more).name, "end");
}

}  // namespace
}  // namespace millrace::server
