// A connection to another broker: here the node's own listener plays the other one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class BridgeTest : public MqttTest {
 protected:
  bridge::ConnectionInfo info(std::string_view name) {
    for (auto& one : node_->bridge().connections()) {
      if (one.record.name == name) return one;
    }
    ADD_FAILURE() << "no connection " << name;
    return {};
  }
  template <class Condition>
  void wait_until(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  [[nodiscard]] std::uint64_t events(std::string_view stream) {
    return node_->speed().find_stream(stream)->events();
  }
  void connect(std::string_view more) {
    sql(
        fmt::format("CREATE CONNECTION plant TYPE mqtt WITH (url = 'mqtt://127.0.0.1:{}', "
                    "topic = 'in/+'{})",
                    port(), more));
    wait_until([&] { return info("plant").status.state == bridge::SourceState::kConnected; });
  }
};

TEST_F(BridgeTest, messages_become_events_and_are_acknowledged_then) {
  sql("CREATE STREAM s (value DOUBLE)");
  connect(", stream = 's'");
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_EQ(client.publish_once("in/1", "21.5", 1), mqtt::ReasonCode::kSuccess);
  EXPECT_EQ(client.publish_once("in/2", R"({"value":1})", 2), mqtt::ReasonCode::kSuccess);
  EXPECT_EQ(client.publish_once("in/2", "rubbish", 3), mqtt::ReasonCode::kSuccess);
  wait_until([&] {
    return events("s") == 2 && info("plant").messages == 3 && info("plant").waiting == 0;
  });
  EXPECT_EQ(info("plant").quarantined, 1);
  // The connection's session at the other broker has nothing left that is not acknowledged.
  wait_until([&] { return node_->broker().sizes().queued == 0; });
}

TEST_F(BridgeTest, what_comes_while_it_is_paused_waits_at_the_other_broker) {
  sql("CREATE STREAM s (value DOUBLE)");
  connect(", stream = 's', client_id = 'bridge'");
  sql("PAUSE CONNECTION plant");
  EXPECT_EQ(info("plant").status.state, bridge::SourceState::kPaused);
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_EQ(client.publish_once("in/1", "1", 1), mqtt::ReasonCode::kSuccess);
  EXPECT_EQ(events("s"), 0);
  sql("RESUME CONNECTION plant");
  wait_until([&] { return events("s") == 1; });
}

TEST_F(BridgeTest, connections_are_checked_and_show_no_password) {
  sql("CREATE STREAM s (value DOUBLE)");
  const auto refused = [&](std::string_view options, std::string_view why) {
    const auto text = fmt::format("CREATE CONNECTION c TYPE mqtt WITH ({})", options);
    const auto result = node_->statements().run(text);
    ASSERT_FALSE(result) << text;
    EXPECT_THAT(result.error().text(), HasSubstr(why)) << text;
    EXPECT_THAT(result.error().text(), Not(HasSubstr("hidden")));
  };
  refused("topic = 'a'", "needs url");
  refused("url = 'mqtt://h'", "needs topic");
  refused("url = 'mqtts://h', topic = 'a'", "mqtt://");
  refused("url = 'mqtt://u:hidden@h', topic = 'a'", "holds a user");
  refused("url = 'mqtt://h', topic = 'a/#/b'", "topic");
  refused("url = 'mqtt://h', topic = '$share/g/a'", "share = ");
  refused("url = 'mqtt://h', topic = 'a', qos = 2", "0 or 1");
  refused("url = 'mqtt://h', topic = 'a', stream = 'none'", "does not exist");
  refused("url = 'mqtt://h', topic = 'a', stream = 's__quarantine'", "takes no events");
  refused("url = 'mqtt://h', topic = 'a', password = 'hidden'", "needs a user");
  refused("url = 'mqtt://h', topic = 'a', topics = 'b'", "did you mean topic");
  sql("CREATE CONNECTION plant TYPE mqtt WITH (url = 'mqtt://127.0.0.1:1', topic = 'a', "
      "user = 'ana', password = 'hidden')");
  wait_until([&] { return !info("plant").status.error.empty(); });
  const auto shown = sql("SHOW CONNECTIONS");
  EXPECT_THAT(text_of(*shown.batches.front()), Not(HasSubstr("hidden")));
  EXPECT_FALSE(
      node_->statements().run("CREATE CONNECTION plant TYPE mqtt WITH (url = 'mqtt://h', "
                              "topic = 'a')"));
  sql("CREATE CONNECTION IF NOT EXISTS plant TYPE mqtt WITH (url = 'mqtt://h', topic = 'a')");
  sql("DROP CONNECTION plant");
  EXPECT_FALSE(node_->statements().run("DROP CONNECTION plant"));
  sql("DROP CONNECTION IF EXISTS plant");
}

}  // namespace
}  // namespace millrace::server
