// MQTT through its other doors: over TLS, with a certificate instead of a password, and over a
// WebSocket; and what none of them lets in.
#include <gmock/gmock.h>

#include "endpoint/http_server.h"
#include "endpoint/tls_client_test.h"
#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using endpoint::RawClient;
using endpoint::TlsClient;
using testing::HasSubstr;
using testing::StartsWith;

std::string connect_packet(std::string_view client_id) {
  mqtt::Connect packet;
  packet.version = mqtt::Version::k5;
  packet.client_id = client_id;
  packet.clean_start = true;
  std::string bytes;
  mqtt::encode(packet, bytes);
  return bytes;
}

std::string publish_packet(std::string_view topic, std::string_view payload) {
  mqtt::Publish packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.qos = mqtt::QoS::kAtLeastOnce;
  packet.packet_id = 7;
  std::string bytes;
  mqtt::encode(packet, mqtt::Version::k5, bytes);
  return bytes;
}

/// The next packet of a client that has read_bytes().
template <class Client>
std::string next_packet(Client& client) {
  std::string bytes = client.read_bytes(2);
  if (bytes.size() < 2) return bytes;
  EXPECT_LT(static_cast<unsigned char>(bytes[1]), 128) << "these tests have short packets";
  return bytes + client.read_bytes(static_cast<unsigned char>(bytes[1]));
}

template <class Client>
mqtt::ReasonCode reason_of_connack(Client& client) {
  const std::string bytes = next_packet(client);
  const auto packet = mqtt::decode(bytes, mqtt::Version::k5, mqtt::Receiver::kClient);
  if (!packet || !std::holds_alternative<mqtt::ConnAck>(*packet)) {
    ADD_FAILURE() << "no CONNACK in " << bytes.size() << " bytes";
    return mqtt::ReasonCode::kUnspecifiedError;
  }
  return std::get<mqtt::ConnAck>(*packet).reason;
}

class MqttDoors : public MqttTest {
 protected:
  void SetUp() override {
    endpoint::TlsOptions options = files_.options();
    options.client_ca = files_.path("ca.crt");
    options.client_certificates = endpoint::ClientCertificates::kOptional;
    options.common_name_is_user = true;
    tls_ = files_.load(options);
    ASSERT_NE(tls_, nullptr);
    options_.tls = tls_.get();
    options_.connect_time = std::chrono::seconds(60);
    MqttTest::SetUp();
    sql("CREATE STREAM readings (site VARCHAR, value DOUBLE) WITH (mqtt = 'site/{site}/value')");
    sql("CREATE MATERIALIZED VIEW by_site AS SELECT site, count(*) AS n FROM readings GROUP BY "
        "site");
  }
  void TearDown() override {
    if (http_ != nullptr) http_->stop();
    MqttTest::TearDown();
    http_.reset();
    pool_.close();
  }
  void start_http(std::vector<std::string> origins = {}) {
    endpoint::Services services = node_->services(pool_);
    services.mqtt_web_socket = [this, origins](const endpoint::HttpRequest& request) {
      return server_->web_socket(request, origins);
    };
    endpoint::HttpServerOptions options;
    options.tls = tls_.get();
    auto http = endpoint::HttpServer::start(options, endpoint::api_routes(services));
    ASSERT_TRUE(http) << http.error().text();
    http_ = std::move(*http);
  }
  [[nodiscard]] endpoint::TlsClientOptions trusting(const std::string& certificate = {}) const {
    return {.ca = files_.path("ca.crt"),
            .certificate = certificate.empty() ? certificate : files_.path(certificate)};
  }
  std::int64_t events() {
    return static_cast<std::int64_t>(node_->speed().find_stream("readings")->events());
  }

  endpoint::CertificateFolder files_;
  std::unique_ptr<endpoint::Tls> tls_;
  runtime::WorkerPool pool_{"query", 1, 16};
  std::unique_ptr<endpoint::HttpServer> http_;
};

TEST_F(MqttDoors, OverTlsAMessageIsAnEventOnceItIsAcknowledged) {
  endpoint::TlsClientOptions options = trusting();
  options.alpn = "mqtt";
  TlsClient client(server_->tls_port(), options);
  ASSERT_TRUE(client.connected()) << client.error();
  client.send(connect_packet("a"));
  EXPECT_EQ(reason_of_connack(client), mqtt::ReasonCode::kSuccess);
  // Many packets in one record, and one packet in many.
  std::string many;
  for (int i = 0; i < 200; ++i) many += publish_packet("site/7/value", "1.5");
  client.send(many);
  for (int i = 0; i < 200; ++i) EXPECT_THAT(next_packet(client), StartsWith("\x40"));
  for (const char letter : publish_packet("site/8/value", "2.5"))
    client.send(std::string_view(&letter, 1));
  EXPECT_THAT(next_packet(client), StartsWith("\x40"));
  EXPECT_EQ(events(), 201);
}

TEST_F(MqttDoors, ACertificateNamesTheUserAndAStrangerIsRefused) {
  sql("CREATE USER root WITH PASSWORD 'root-secret'");
  sql("CREATE USER sensor7");
  sql("GRANT PUBLISH ON TOPIC 'site/7/#' TO sensor7");
  files_.issue("sensor", "sensor7");
  TlsClient sensor(server_->tls_port(), trusting("sensor"));
  sensor.send(connect_packet("a"));
  EXPECT_EQ(reason_of_connack(sensor), mqtt::ReasonCode::kSuccess);
  sensor.send(publish_packet("site/7/value", "1.5"));
  EXPECT_THAT(next_packet(sensor), StartsWith("\x40"));
  EXPECT_EQ(events(), 1);
  sensor.send(publish_packet("site/8/value", "1.5"));
  EXPECT_THAT(next_packet(sensor), HasSubstr("\x87")) << "not that topic";
  EXPECT_EQ(events(), 1);

  files_.issue("stranger", "nobody");
  TlsClient stranger(server_->tls_port(), trusting("stranger"));
  stranger.send(connect_packet("b"));
  EXPECT_EQ(reason_of_connack(stranger), mqtt::ReasonCode::kNotAuthorized);
  TlsClient none(server_->tls_port(), trusting());
  none.send(connect_packet("c"));
  EXPECT_EQ(reason_of_connack(none), mqtt::ReasonCode::kNotAuthorized);
}

TEST_F(MqttDoors, WhatIsNoConnectIsClosedAtItsFirstByte) {
  for (const std::string_view bytes : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "\x20", "x"}) {
    RawClient client(server_->port());
    client.send(bytes);
    EXPECT_EQ(client.read_to_end(), "");
  }
  TlsClient inside(server_->tls_port(), trusting());
  inside.send("GET");
  EXPECT_EQ(inside.read_to_end(), "");
  EXPECT_EQ(server_->metrics().violations, 5U);
}

// ---- over a WebSocket ----

/// A frame of a client, which is masked; these are short.
std::string frame(std::string_view payload, char first = '\x82') {
  std::string out(1, first);
  EXPECT_LT(payload.size(), 126U);
  out += static_cast<char>(0x80 | payload.size());
  out += "mask";
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(payload[i] ^ "mask"[i % 4]);
  return out;
}

/// Takes the frames off what the inner client reads.
template <class Client>
class Unframed {
 public:
  explicit Unframed(Client& client) : client_(client) {}
  std::string read_bytes(std::size_t count) {
    while (bytes_.size() < count) {
      const std::string head = client_.read_bytes(2);
      if (head.size() < 2) break;
      first_ = head[0];
      const std::string payload = client_.read_bytes(static_cast<unsigned char>(head[1]));
      if ((first_ & 0x0f) == 8) {
        closed_ = payload;
        break;
      }
      bytes_ += payload;
    }
    std::string out = bytes_.substr(0, count);
    bytes_.erase(0, out.size());
    return out;
  }
  /// The status in the frame that closes, or 0.
  [[nodiscard]] int close_status() const {
    return closed_.size() < 2 ? 0
                              : static_cast<unsigned char>(closed_[0]) * 256 +
                                    static_cast<unsigned char>(closed_[1]);
  }

 private:
  Client& client_;
  std::string bytes_;
  std::string closed_;
  char first_ = 0;
};

std::string upgrade_head(std::string_view host) {
  return fmt::format(
      "GET /mqtt HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      host);
}
constexpr std::string_view kMqtt = "Sec-WebSocket-Protocol: mqtt\r\n";

template <class Client>
std::string upgrade(Client& client, std::string_view more = "",
                    std::string_view host = "127.0.0.1") {
  client.send(upgrade_head(host) + fmt::format("{}{}\r\n", kMqtt, more));
  return client.read_until("\r\n\r\n");
}

TEST_F(MqttDoors, OverAWebSocketPacketsMaySpanFramesAndShareThem) {
  start_http();
  RawClient plain(http_->port());
  TlsClient over_tls(http_->tls_port(), trusting());
  std::int64_t sent = 0;
  const auto scenario = [&](auto& client) {
    const std::string head = upgrade(client);
    EXPECT_THAT(head, StartsWith("HTTP/1.1 101 "));
    EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Protocol: mqtt"));
    Unframed frames(client);
    const std::string connect = connect_packet("a");
    client.send(frame(connect.substr(0, 3)));
    client.send(frame(connect.substr(3)));
    EXPECT_EQ(reason_of_connack(frames), mqtt::ReasonCode::kSuccess);
    const std::string publish = publish_packet("site/7/value", "1.5");
    client.send(frame(publish + publish) + frame(publish));
    for (int i = 0; i < 3; ++i) EXPECT_THAT(next_packet(frames), StartsWith("\x40"));
    EXPECT_EQ(events(), sent += 3);
    client.send(frame(std::string_view("\xe0\x00", 2)));  // DISCONNECT
    EXPECT_EQ(frames.read_bytes(1), "");
    EXPECT_EQ(frames.close_status(), 1000);
  };
  scenario(plain);
  scenario(over_tls);
}

TEST_F(MqttDoors, TextMessagesEndAWebSocket) {
  start_http();
  RawClient client(http_->port());
  upgrade(client);
  client.send(frame(connect_packet("a"), '\x81'));
  Unframed frames(client);
  EXPECT_EQ(frames.read_bytes(1), "");
  EXPECT_NE(frames.close_status(), 0);
}

TEST_F(MqttDoors, OnlyItsOwnPagesAndThoseThatAreListedMayConnect) {
  start_http({"https://app.example"});
  const auto status = [&](std::string_view more) {
    RawClient client(http_->port());
    return upgrade(client, more).substr(0, 13);
  };
  EXPECT_EQ(status("Origin: https://app.example\r\n"), "HTTP/1.1 101 ");
  EXPECT_EQ(status("Origin: http://127.0.0.1\r\n"), "HTTP/1.1 101 ");
  EXPECT_EQ(status("Origin: https://evil.example\r\n"), "HTTP/1.1 403 ");
  RawClient without(http_->port());
  without.send(upgrade_head("127.0.0.1") + "\r\n");
  EXPECT_THAT(without.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 400 ")) << "no subprotocol";
}

TEST_F(MqttDoors, APageOfANameThatMayMeanThisMachineIsNotOfIt) {
  start_http();
  RawClient client(http_->port());
  EXPECT_THAT(upgrade(client, "Origin: http://rebound.example\r\n", "rebound.example"),
              StartsWith("HTTP/1.1 101 "));
  client.send(frame(connect_packet("a")));
  Unframed frames(client);
  EXPECT_EQ(reason_of_connack(frames), mqtt::ReasonCode::kNotAuthorized);
}

TEST_F(MqttDoors, OverAWebSocketConnectSaysWhoConnects) {
  sql("CREATE USER root WITH PASSWORD 'root-secret'");
  start_http();
  RawClient client(http_->port());
  EXPECT_THAT(upgrade(client), StartsWith("HTTP/1.1 101 "));
  client.send(frame(connect_packet("a")));
  Unframed frames(client);
  EXPECT_EQ(reason_of_connack(frames), mqtt::ReasonCode::kNotAuthorized);
}

TEST_F(MqttDoors, WhenTheListenerStopsAWebSocketHearsDisconnect) {
  start_http();
  RawClient client(http_->port());
  upgrade(client);
  client.send(frame(connect_packet("a")));
  Unframed frames(client);
  EXPECT_EQ(reason_of_connack(frames), mqtt::ReasonCode::kSuccess);
  server_->stop();
  EXPECT_THAT(next_packet(frames), StartsWith("\xe0")) << "with the reason that the server stops";
}

}  // namespace
}  // namespace millrace::server
