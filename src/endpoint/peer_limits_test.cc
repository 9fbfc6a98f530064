// What one address may have: connections and requests a second; and what web pages may ask.
#include "endpoint/peer_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "endpoint/http_server.h"
#include "endpoint/raw_client_test.h"

namespace millrace::endpoint {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

Peer peer(const std::string& address) { return peer_at(boost::asio::ip::make_address(address)); }

TEST(PeerLimitsTest, AnAddressMaySendASecondsWorthAtOnceAndThenSteadily) {
  PeerShare share;
  auto now = steady_clock::time_point(1000s);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(share.take_request(now, 10)) << i;
  EXPECT_EQ(share.take_request(now, 10), 100ms);
  now += 99ms;
  EXPECT_EQ(share.take_request(now, 10), 1ms);
  now += 1ms;
  EXPECT_FALSE(share.take_request(now, 10));
  EXPECT_TRUE(share.take_request(now, 10));
  EXPECT_FALSE(share.is_fresh(now));
  EXPECT_TRUE(share.is_fresh(now + 1s));
}

TEST(PeerLimitsTest, ConnectionsCountWhileTheyAreHeldAndBySixtyFourBitsInIpv6) {
  PeerLimits limits;
  std::vector<std::shared_ptr<PeerShare>> held;
  for (std::size_t i = 1; i <= 3; ++i) {
    auto [share, connections] = limits.enter(peer("192.0.2.1"));
    EXPECT_EQ(connections, i);
    held.push_back(std::move(share));
  }
  EXPECT_EQ(limits.enter(peer("192.0.2.2")).connections, 1U);
  EXPECT_EQ(limits.enter(peer("::ffff:192.0.2.1")).connections, 4U);
  held.clear();
  EXPECT_EQ(limits.enter(peer("192.0.2.1")).connections, 1U);
  held.push_back(limits.enter(peer("2001:db8:0:1::1")).share);
  EXPECT_EQ(limits.enter(peer("2001:db8:0:1:ffff::9")).connections, 2U);
  EXPECT_EQ(limits.enter(peer("2001:db8:0:2::1")).connections, 1U);
}

TEST(PeerLimitsTest, AddressesThatAreGoneAreForgotten) {
  PeerLimits limits;
  for (unsigned i = 0; i < 100'000; ++i)
    static_cast<void>(limits.enter(peer_at(boost::asio::ip::address_v4(i))));
  EXPECT_LE(limits.size(), 1024U);
}

class LimitedServer : public testing::Test {
 protected:
  void start(HttpServerOptions options) {
    HttpRouter router;
    router.add("GET", "/hello", [](HttpRequest, Responder responder) {
      HttpResponse response;
      response.body = "hello";
      responder.respond(std::move(response));
    });
    options.threads = 1;
    auto server = HttpServer::start(options, std::move(router));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  Reply ask(std::string_view fields, std::string_view method = "GET") {
    return exchange(server_->port(),
                    fmt::format("{} /hello HTTP/1.1\r\nHost: x\r\n{}\r\n", method, fields));
  }
  std::unique_ptr<HttpServer> server_;
};

TEST_F(LimitedServer, TooManyRequestsASecondGet429AndTheConnectionStays) {
  start({.peer_requests_per_second_max = 1});
  RawClient client(server_->port());
  std::string together;
  for (int i = 0; i < 30; ++i) together += get("/hello");
  client.send(together);
  std::uint64_t refused = 0;
  for (int i = 0; i < 30; ++i) {
    const Reply reply = read_reply(client);
    if (reply.status == 200) continue;
    ++refused;
    EXPECT_EQ(reply.status, 429);
    EXPECT_EQ(reply.code(), error_id::kBusy);
    EXPECT_EQ(reply.header("Retry-After"), "1");
  }
  EXPECT_GE(refused, 20U);
  EXPECT_EQ(server_->metrics().requests_limited, refused);
  // A new connection is of the same address.
  bool limited = false;
  for (int i = 0; i < 50 && !limited; ++i) limited = ask("").status == 429;
  EXPECT_TRUE(limited);
}

TEST_F(LimitedServer, TooManyConnectionsOfAnAddressGet429AndThoseThatAreOpenServe) {
  start({.peer_connections_max = 3});
  std::vector<std::unique_ptr<RawClient>> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(std::make_unique<RawClient>(server_->port()));
    open.back()->send(get("/hello"));
    EXPECT_EQ(read_reply(*open.back()).status, 200);
  }
  RawClient more(server_->port());
  EXPECT_EQ(read_reply(more).status, 429);
  open[0]->send(get("/hello"));
  EXPECT_EQ(read_reply(*open[0]).status, 200);
}

TEST_F(LimitedServer, WebPagesOfOtherOriginsAreToldNothingUnlessTheyAreListed) {
  start({});
  EXPECT_EQ(ask("Origin: https://app.example\r\n").header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(ask("Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n", "OPTIONS")
                .status,
            405);
  start({.cors_origins = {"https://app.example"}});
  const Reply listed = ask("Origin: https://app.example\r\n");
  EXPECT_EQ(listed.header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(listed.header("Vary"), "Origin");
  EXPECT_EQ(listed.body, "hello");
  const Reply other = ask("Origin: https://evil.example\r\n");
  EXPECT_EQ(other.header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(other.header("Vary"), "Origin");
  EXPECT_EQ(ask("").header("Access-Control-Allow-Origin"), "");
  start({.cors_origins = {"*"}});
  EXPECT_EQ(ask("Origin: https://evil.example\r\n").header("Access-Control-Allow-Origin"), "*");
}

TEST_F(LimitedServer, APreflightIsAnsweredWithoutARoute) {
  start({.cors_origins = {"https://app.example"}});
  const std::string asks = "Access-Control-Request-Method: POST\r\n";
  const Reply reply = ask("Origin: https://app.example\r\n" + asks, "OPTIONS");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_THAT(reply.header("Access-Control-Allow-Methods"), HasSubstr("POST"));
  EXPECT_THAT(reply.header("Access-Control-Allow-Headers"), HasSubstr("Authorization"));
  EXPECT_EQ(ask("Origin: https://evil.example\r\n" + asks, "OPTIONS").status, 405);
  EXPECT_THAT(ask("Origin: https://app.example\r\n", "OPTIONS").head, Not(HasSubstr("204")));
}

}  // namespace
}  // namespace millrace::endpoint
