// Payloads of MQTT messages that are not JSON: what the stream says of them, and MQTT 5's content
// type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using mqtt::QoS;
using mqtt::ReasonCode;

class MqttFormatsTest : public MqttTest {
 protected:
  ReasonCode publish(MqttTestClient& client, std::string_view topic, std::string_view payload,
                     std::optional<std::string_view> content_type = std::nullopt) {
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = payload;
    packet.qos = QoS::kAtLeastOnce;
    packet.packet_id = 9;
    packet.content_type = content_type;
    client.send(packet);
    return client.expect<mqtt::Ack>().reason;
  }
  std::string rows(std::string_view query) {
    const auto result = sql(query);
    return result.batches.empty() ? "" : text_of(*result.batches.front());
  }
};

TEST_F(MqttFormatsTest, a_stream_says_how_payloads_are_written) {
  sql("CREATE STREAM s (site VARCHAR, n BIGINT, note VARCHAR) WITH (mqtt = 'csv:in/{site}')");
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_EQ(publish(client, "in/lima", "7,\"a, b\""), ReasonCode::kSuccess);
  EXPECT_EQ(publish(client, "in/lima", "seven,x"), ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(publish(client, "in/oslo", R"({"n":8,"note":"c"})", "application/json"),
            ReasonCode::kSuccess)
      << "the content type counts";
  EXPECT_EQ(publish(client, "in/oslo", "9,d", "x/unknown"), ReasonCode::kSuccess)
      << "one that says nothing does not";
  EXPECT_EQ(rows("SELECT site, n, note FROM s ORDER BY n"), "lima|7|a, b|\noslo|8|c|\noslo|9|d|\n");
}

TEST_F(MqttFormatsTest, the_content_type_of_a_message_chooses) {
  sql("CREATE STREAM s (site VARCHAR, n BIGINT) WITH (mqtt = 'in/{site}')");
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_EQ(publish(client, "in/a", "1", "text/csv"), ReasonCode::kSuccess);
  EXPECT_EQ(publish(client, "in/a", "n\n2\n3\n", "text/csv; header=present"), ReasonCode::kSuccess);
  EXPECT_EQ(publish(client, "in/a", R"([{"n":4},{"n":5}])", "application/json"),
            ReasonCode::kSuccess);
  EXPECT_EQ(publish(client, "in/a", R"([{"n":6},{"m":true,"n":"x"}])", "application/json"),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(publish(client, "in/a", "7"), ReasonCode::kSuccess);
  EXPECT_EQ(rows("SELECT n FROM s ORDER BY n"), "1|\n2|\n3|\n4|\n5|\n6|\n7|\n");
}

TEST_F(MqttFormatsTest, qos_2_stays_exactly_once) {
  sql("CREATE STREAM s (n BIGINT) WITH (mqtt = 'csv:in')");
  MqttTestClient client(port());
  client.connect("a", false, 3600);
  for (int times = 0; times < 2; ++times) {
    client.publish("in", "1", QoS::kExactlyOnce, 5);
    EXPECT_EQ(client.expect<mqtt::Ack>().type, mqtt::PacketType::kPubRec);
  }
  EXPECT_EQ(node_->speed().find_stream("s")->events(), 1);
}

}  // namespace
}  // namespace millrace::server
