// The HTTP port with TLS, from the outside: real handshakes by OpenSSL's client, certificates made
// for each test.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "endpoint/http_server.h"
#include "endpoint/tls_client_test.h"

namespace millrace::endpoint {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

class TlsTest : public testing::Test {
 protected:
  void start(TlsOptions tls_options, HttpServerOptions options = {}) {
    tls_ = files_.load(std::move(tls_options));
    ASSERT_NE(tls_, nullptr);
    HttpRouter router;
    router.set_gate([](HttpRequest& request, const HttpRouter::Match&, const Peer& peer,
                       std::string_view certified) -> Status {
      request.who = access::Principal::user(fmt::format("{}@{}", certified, peer.address));
      return {};
    });
    router.add("GET", "/who", [](HttpRequest request, Responder responder) {
      HttpResponse response;
      response.body = std::string(request.who.name());
      responder.respond(std::move(response));
    });
    router.add("POST", "/echo", [](HttpRequest request, Responder responder) {
      HttpResponse response;
      response.body = std::string(request.body.view());
      responder.respond(std::move(response));
    });
    options.tls = tls_.get();
    options.threads = 2;
    auto server = HttpServer::start(options, std::move(router));
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  [[nodiscard]] TlsClientOptions trusting() const { return {.ca = files_.path("ca.crt")}; }
  std::string who(TlsClient& client) {
    client.send(get("/who"));
    return read_reply(client).body;
  }
  void wait_for_failed_handshakes(std::uint64_t count) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (tls_->metrics().handshakes_failed < count && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(1ms);
    EXPECT_EQ(tls_->metrics().handshakes_failed, count);
  }

  CertificateFolder files_;
  std::unique_ptr<Tls> tls_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(TlsTest, RequestsAreAnsweredInEachVersionOfTls) {
  start(files_.options());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto options = trusting();
    options.version_max = version;
    options.alpn = "http/1.1";
    TlsClient client(server_->tls_port(), options);
    ASSERT_TRUE(client.connected()) << client.error();
    EXPECT_EQ(client.alpn(), "http/1.1");
    EXPECT_EQ(who(client), "@127.0.0.1");
    EXPECT_EQ(who(client), "@127.0.0.1") << "the connection stays";
  }
  EXPECT_EQ(tls_->metrics().handshakes, 2U);
  EXPECT_EQ(exchange(server_->port(), get("/who")).body, "@127.0.0.1") << "the plain port serves";
}

TEST_F(TlsTest, OlderVersionsAndOtherProtocolsInsideAreRefused) {
  start(files_.options());
  auto old = trusting();
  old.version_max = TLS1_1_VERSION;
  EXPECT_FALSE(TlsClient(server_->tls_port(), old).connected());
  auto other = trusting();
  other.alpn = "smtp";
  EXPECT_FALSE(TlsClient(server_->tls_port(), other).connected());
  wait_for_failed_handshakes(2);
}

TEST_F(TlsTest, LargeBodiesGoBothWaysAndRequestsMayFollowEachOther) {
  start(files_.options());
  TlsClient client(server_->tls_port(), trusting());
  std::string body(3'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>('a' + i % 26);
  std::thread sender([&] { client.send(post("/echo", body)); });
  sender.join();
  EXPECT_EQ(read_reply(client).body, body);
  std::string many;
  for (int i = 0; i < 50; ++i) many += post("/echo", fmt::format("number {}", i));
  client.send(many);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(read_reply(client).body, fmt::format("number {}", i));
}

TEST_F(TlsTest, AClientThatTrustsAnotherAuthorityGoesAway) {
  start(files_.options());
  const CertificateFolder others;
  TlsClient client(server_->tls_port(), {.ca = others.path("ca.crt")});
  EXPECT_FALSE(client.connected());
  wait_for_failed_handshakes(1);
}

TEST_F(TlsTest, AHalfClosedClientStillGetsItsAnswer) {
  start(files_.options());
  TlsClient client(server_->tls_port(), trusting());
  client.send(get("/who"));
  SSL_shutdown(client.ssl());
  EXPECT_THAT(client.read_to_end(), HasSubstr("@127.0.0.1"));
}

TEST_F(TlsTest, PlainHttpOnThePortIsToldSo) {
  start(files_.options());
  RawClient client(server_->tls_port());
  client.send(get("/who"));
  const std::string answer = client.read_to_end();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("this port speaks TLS"));
  wait_for_failed_handshakes(1);
}

TEST_F(TlsTest, HandshakesThatDoNotComeForthEndInTimeAndOthersAreServed) {
  start(files_.options(), {.head_time = 1500ms});
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(std::make_unique<RawClient>(server_->tls_port()));
    // The beginning of a ClientHello, as far as a byte a second gets.
    slow.back()->send(std::string_view("\x16\x03\x01\x02", static_cast<std::size_t>(i % 5)));
  }
  TlsClient client(server_->tls_port(), trusting());
  EXPECT_EQ(who(client), "@127.0.0.1");
  for (const auto& one : slow) EXPECT_EQ(one->read_to_end(), "");
  wait_for_failed_handshakes(100);
  EXPECT_EQ(who(client), "@127.0.0.1");
}

TEST_F(TlsTest, AnIdleConnectionAfterTheHandshakeIsNotHeldToItsTime) {
  start(files_.options(), {.head_time = 1s, .idle_time = 60s});
  TlsClient client(server_->tls_port(), trusting());
  std::this_thread::sleep_for(1600ms);
  EXPECT_EQ(who(client), "@127.0.0.1");
}

TEST_F(TlsTest, ANewCertificateIsTakenAndOpenConnectionsGoOn) {
  start(files_.options());
  TlsClient before(server_->tls_port(), trusting());
  EXPECT_EQ(before.server_name(), "first");
  files_.issue("server", "second");
  ASSERT_TRUE(tls_->reload());
  TlsClient after(server_->tls_port(), trusting());
  EXPECT_EQ(after.server_name(), "second");
  EXPECT_EQ(who(before), "@127.0.0.1");
  EXPECT_EQ(who(after), "@127.0.0.1");
}

TEST_F(TlsTest, AChangedFileIsNoticedWithoutASignal) {
  start(files_.options());
  files_.issue("server", "second");
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::string name;
  while (name != "second" && std::chrono::steady_clock::now() < end) {
    name = TlsClient(server_->tls_port(), trusting()).server_name();
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(name, "second");
  EXPECT_EQ(tls_->metrics().reloads, 1U);
}

TEST_F(TlsTest, ABrokenNewPairLeavesTheOldOneInUse) {
  start(files_.options());
  files_.issue("other", "other");
  std::filesystem::copy_file(files_.path("other.key"), files_.path("server.key"),
                             std::filesystem::copy_options::overwrite_existing);
  const auto done = tls_->reload();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr(files_.path("server.key")));
  TlsClient client(server_->tls_port(), trusting());
  EXPECT_EQ(client.server_name(), "first");
  EXPECT_EQ(who(client), "@127.0.0.1");
  EXPECT_EQ(tls_->metrics().reloads_failed, 1U);
}

TEST_F(TlsTest, AClientCertificateNamesItsUser) {
  auto options = files_.options();
  options.client_ca = files_.path("ca.crt");
  options.client_certificates = ClientCertificates::kOptional;
  options.common_name_is_user = true;
  start(options);
  files_.issue("sensor", "sensor-7");
  auto with = trusting();
  with.certificate = files_.path("sensor");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    with.version_max = version;
    TlsClient client(server_->tls_port(), with);
    EXPECT_EQ(who(client), "sensor-7@127.0.0.1");
  }
  TlsClient without(server_->tls_port(), trusting());
  EXPECT_EQ(who(without), "@127.0.0.1");

  const CertificateFolder strangers;
  strangers.issue("sensor", "sensor-7");
  with.certificate = strangers.path("sensor");
  TlsClient forged(server_->tls_port(), with);
  EXPECT_EQ(who(forged), "") << "of an authority that is not trusted";
}

TEST_F(TlsTest, AClientCertificateMayBeRequired) {
  auto options = files_.options();
  options.client_ca = files_.path("ca.crt");
  options.client_certificates = ClientCertificates::kRequired;
  start(options);
  TlsClient without(server_->tls_port(), trusting());
  EXPECT_EQ(who(without), "");
  files_.issue("late", "late", -1);
  auto with = trusting();
  with.certificate = files_.path("late");
  TlsClient expired(server_->tls_port(), with);
  EXPECT_EQ(who(expired), "");
  files_.issue("good", "good");
  with.certificate = files_.path("good");
  TlsClient good(server_->tls_port(), with);
  EXPECT_EQ(who(good), "@127.0.0.1");
}

TEST_F(TlsTest, FilesThatCannotBeUsedAreNamed) {
  auto options = files_.options();
  options.certificate = files_.path("nowhere.crt");
  auto failed = Tls::load(options);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().id, error_id::kBadConfig);
  EXPECT_THAT(failed.error().message, HasSubstr("nowhere.crt"));

  options = files_.options();
  options.key.clear();
  failed = Tls::load(options);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("tls.key"));

  options = files_.options();
  std::ofstream(files_.path("server.key")) << "not a key";
  failed = Tls::load(options);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("server.key"));

  options = files_.options();
  options.client_certificates = ClientCertificates::kRequired;
  failed = Tls::load(options);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("tls.client_ca"));
}

TEST_F(TlsTest, AServerMayHaveNoPlainPort) {
  HttpServerOptions options;
  options.plain = false;
  start(files_.options(), options);
  EXPECT_EQ(server_->port(), 0);
  TlsClient client(server_->tls_port(), trusting());
  EXPECT_EQ(who(client), "@127.0.0.1");
}

TEST(PeerTest, LoopbackIsKnownInEachOfItsForms) {
  for (const auto* address : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback(address)) << address;
  for (const auto* address : {"0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "", "localhost"})
    EXPECT_FALSE(is_loopback(address)) << address;
  EXPECT_EQ(peer_at(boost::asio::ip::make_address("::ffff:192.0.2.1")).address, "192.0.2.1");
}

}  // namespace
}  // namespace millrace::endpoint
