// A client that speaks MQTT by the codec over a plain socket, and a node with its MQTT listener,
// for tests from the outside.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "endpoint/mqtt_server.h"
#include "server/node_fixture_test.h"
#include "wire/mqtt.h"

namespace millrace::server {

namespace mqtt = wire::mqtt;

class MqttTestClient {
 public:
  explicit MqttTestClient(std::uint16_t port, mqtt::Version version = mqtt::Version::k5)
      : version_(version), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~MqttTestClient() { close(); }
  MqttTestClient(const MqttTestClient&) = delete;
  MqttTestClient& operator=(const MqttTestClient&) = delete;

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  void send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  template <class T>
  void send(const T& packet) {
    std::string bytes;
    if constexpr (std::is_same_v<T, mqtt::Connect>) {
      mqtt::encode(packet, bytes);
    } else {
      mqtt::encode(packet, version_, bytes);
    }
    send_bytes(bytes);
  }
  /// The next packet; nothing when the server closed, or after `patience_ms`. Views live until the
  /// next call.
  std::optional<mqtt::Packet> next(int patience_ms = 10'000) {
    in_.erase(0, std::exchange(taken_, 0));
    for (;;) {
      const auto frame = mqtt::try_frame(in_, mqtt::kMaxPacketBytes);
      if (frame.state == mqtt::Frame::State::kComplete) {
        taken_ = frame.size;
        auto packet = mqtt::decode(frame.bytes, version_, mqtt::Receiver::kClient);
        EXPECT_TRUE(packet) << packet.error().text();
        if (!packet) return std::nullopt;
        return *packet;
      }
      pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, patience_ms) <= 0) return std::nullopt;
      char bytes[65'536];
      const auto got = ::recv(socket_, bytes, sizeof(bytes), 0);
      if (got <= 0) return std::nullopt;
      in_.append(bytes, static_cast<std::size_t>(got));
    }
  }
  template <class T>
  T expect() {
    auto packet = next();
    if (packet && std::holds_alternative<T>(*packet)) return std::get<T>(*packet);
    ADD_FAILURE() << (packet ? fmt::format("another packet came: {}", packet->index())
                             : std::string("the connection ended"));
    return T{};
  }
  [[nodiscard]] bool is_quiet() { return !next(100).has_value(); }

  mqtt::ConnAck connect(const mqtt::Connect& packet) {
    send(packet);
    return expect<mqtt::ConnAck>();
  }
  mqtt::ConnAck connect(std::string_view client_id, bool clean = true, std::uint32_t expiry_s = 0) {
    mqtt::Connect packet;
    packet.version = version_;
    packet.client_id = client_id;
    packet.clean_start = clean;
    packet.session_expiry_s = expiry_s;
    const auto answer = connect(packet);
    EXPECT_EQ(answer.reason, mqtt::ReasonCode::kSuccess);
    return answer;
  }
  std::vector<std::uint8_t> subscribe(const mqtt::Subscription& subscription,
                                      std::uint32_t id = 0) {
    std::string list;
    mqtt::SubscriptionList::append(subscription, list);
    mqtt::Subscribe packet;
    packet.packet_id = 1;
    packet.subscription_id = id;
    packet.subscriptions = mqtt::SubscriptionList(list, 1);
    send(packet);
    const auto answer = expect<mqtt::SubAck>();
    return {answer.codes.begin(), answer.codes.end()};
  }
  std::vector<std::uint8_t> subscribe(std::string_view filter, mqtt::QoS qos) {
    mqtt::Subscription one;
    one.filter = filter;
    one.maximum_qos = qos;
    return subscribe(one);
  }
  void publish(std::string_view topic, std::string_view payload, mqtt::QoS qos,
               std::uint16_t packet_id = 0, bool retain = false) {
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = qos;
    packet.packet_id = packet_id;
    packet.retain = retain;
    send(packet);
  }
  mqtt::ReasonCode publish_once(std::string_view topic, std::string_view payload,
                                std::uint16_t packet_id, bool retain = false) {
    publish(topic, payload, mqtt::QoS::kAtLeastOnce, packet_id, retain);
    const auto ack = expect<mqtt::Ack>();
    EXPECT_EQ(ack.type, mqtt::PacketType::kPubAck);
    EXPECT_EQ(ack.packet_id, packet_id);
    return ack.reason;
  }
  void answer(mqtt::PacketType type, std::uint16_t packet_id) {
    mqtt::Ack ack;
    ack.type = type;
    ack.packet_id = packet_id;
    send(ack);
  }

 private:
  const mqtt::Version version_;
  int socket_;
  std::string in_;
  std::size_t taken_ = 0;
};

class MqttTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    config_.log_segment_bytes = 8 << 20;
    start();
  }
  void TearDown() override {
    server_.reset();
    NodeTest::TearDown();
  }
  void start() {
    server_.reset();
    open();
    auto server =
        endpoint::MqttServer::start(options_, node_->access(), node_->broker(), node_->feed());
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  /// As after a crash: what is not in the log is gone. The clients lose their connections.
  void restart() { start(); }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  endpoint::MqttServerOptions options_;
  std::unique_ptr<endpoint::MqttServer> server_;
};

}  // namespace millrace::server
