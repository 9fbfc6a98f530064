// What one MQTT client may take of the server: time for a packet, sessions, messages a second, bad
// events in one message. Who keeps to it is served beside the others as before.
#include <gmock/gmock.h>

#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using mqtt::ReasonCode;
using std::chrono::milliseconds;
using testing::Ge;

class MqttLimits : public MqttTest {
 protected:
  /// The seconds until all acknowledgements of so many messages are there.
  double publish_all(MqttTestClient& client, int count, std::string_view payload) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 1; i <= count; ++i)
      client.publish("t", payload, mqtt::QoS::kAtLeastOnce, static_cast<std::uint16_t>(i));
    for (int i = 1; i <= count; ++i) EXPECT_EQ(client.expect<mqtt::Ack>().packet_id, i);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
};

TEST_F(MqttLimits, APacketThatIsNeverWholeEndsItsConnectionAlsoWithoutKeepAlive) {
  options_.packet_time = milliseconds(300);
  start();
  MqttTestClient idle(port());
  idle.connect("idle");
  MqttTestClient old(port(), mqtt::Version::k311);
  old.connect("old");
  MqttTestClient slow(port());
  slow.connect("slow");
  const std::string publish = "\x30\x7f" + std::string("\0\1t", 3);
  old.send_bytes(publish);
  slow.send_bytes(publish);
  EXPECT_EQ(slow.expect<mqtt::Disconnect>().reason, ReasonCode::kImplementationSpecificError);
  EXPECT_FALSE(old.next().has_value());
  EXPECT_EQ(server_->metrics().timeouts.load(), 2U);
  // Who sends nothing at all and asked for no keep-alive stays.
  idle.send(mqtt::PingReq{});
  idle.expect<mqtt::PingResp>();
}

TEST_F(MqttLimits, NeverMoreSessionsThanAllowedHoweverManyConnectAtOnce) {
  config_.mqtt_sessions_max = 20;
  start();
  std::vector<std::unique_ptr<MqttTestClient>> clients;
  const auto ask = [&](int number) {
    mqtt::Connect packet;
    const std::string id = fmt::format("client {}", number);
    packet.client_id = id;
    packet.clean_start = false;
    packet.session_expiry_s = 1000;
    clients.push_back(std::make_unique<MqttTestClient>(port()));
    clients.back()->send(packet);
  };
  for (int i = 0; i < 60; ++i) ask(i);
  int taken = 0;
  for (auto& client : clients) {
    const auto reason = client->expect<mqtt::ConnAck>().reason;
    if (reason == ReasonCode::kSuccess) {
      ++taken;
    } else {
      EXPECT_EQ(reason, ReasonCode::kServerBusy);
    }
  }
  EXPECT_EQ(taken, 20);
  EXPECT_EQ(node_->broker().sizes().sessions, 20U);
  // Those who have a session come back, and others do when one has ended.
  clients.clear();
  for (int i = 0; i < 60; ++i) ask(i);
  taken = 0;
  std::size_t with_session = clients.size();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (clients[i]->expect<mqtt::ConnAck>().reason != ReasonCode::kSuccess) continue;
    ++taken;
    with_session = i;
  }
  EXPECT_EQ(taken, 20);
  mqtt::Disconnect end;
  end.session_expiry_s = 0;
  clients[with_session]->send(end);
  EXPECT_FALSE(clients[with_session]->next().has_value());
  for (int number = 100;; ++number) {
    ask(number);
    if (clients.back()->expect<mqtt::ConnAck>().reason == ReasonCode::kSuccess) break;
    ASSERT_LT(number, 5000) << "the place of the session that ended stays taken";
  }
  EXPECT_EQ(node_->broker().sizes().sessions, 20U);
}

TEST_F(MqttLimits, WhoPublishesTooFastWaitsAndLosesNothing) {
  options_.client_messages_per_second_max = 200;
  start();
  MqttTestClient fast(port());
  fast.connect("fast");
  EXPECT_THAT(publish_all(fast, 300, "x"), Ge(0.45));
  EXPECT_GE(server_->metrics().paced.load(), 1U);
  // The limit is each client's own.
  const auto paced = server_->metrics().paced.load();
  MqttTestClient other(port());
  other.connect("other");
  publish_all(other, 100, "x");
  EXPECT_EQ(server_->metrics().paced.load(), paced);
}

TEST_F(MqttLimits, BytesASecondCountTheWholePublish) {
  options_.client_bytes_per_second_max = 100'000;
  start();
  MqttTestClient fast(port());
  fast.connect("fast");
  EXPECT_THAT(publish_all(fast, 16, std::string(10'000, 'x')), Ge(0.45));
  EXPECT_GE(server_->metrics().paced.load(), 1U);
}

TEST_F(MqttLimits, AMessageWithMoreBadEventsThanCanBeKeptIsOneRecordOfTheQuarantine) {
  config_.ingest_rejected_bytes_max = 64 << 10;
  start();
  sql("CREATE STREAM readings (n BIGINT) WITH (mqtt = 'readings')");
  MqttTestClient client(port());
  client.connect("sensor");
  std::string many = "[{\"n\":1}";
  for (int i = 0; i < 1000; ++i) many += ",{\"n\":\"x\"}";
  mqtt::Publish packet;
  packet.topic = "readings";
  packet.qos = mqtt::QoS::kAtLeastOnce;
  packet.packet_id = 1;
  packet.content_type = "application/json";
  packet.payload = many += "]";
  client.send(packet);
  EXPECT_EQ(client.expect<mqtt::Ack>().reason, ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(rows("SELECT code, line FROM readings__quarantine"), "MR2013|1|\n");
  EXPECT_EQ(rows("SELECT count(*) FROM readings"), "0|\n");
  EXPECT_EQ(client.publish_once("readings", "{\"n\":2}", 2), ReasonCode::kSuccess);
}

}  // namespace
}  // namespace millrace::server
