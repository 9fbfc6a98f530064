// Views as MQTT topics, by the packets of a client: rows of now as retained messages, then what
// changes; who may have them, and until when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using mqtt::QoS;
using mqtt::ReasonCode;
using mqtt::RetainHandling;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr auto kCode = [](ReasonCode code) { return static_cast<std::uint8_t>(code); };

class MqttViewsTest : public MqttTest {
 protected:
  void SetUp() override {
    MqttTest::SetUp();
    sql("CREATE STREAM trips (city VARCHAR, lane BIGINT, minutes DOUBLE)");
    sql("CREATE MATERIALIZED VIEW by_city AS SELECT city, count(*) AS trips, sum(minutes) AS "
        "minutes "
        "FROM trips GROUP BY city");
  }
  void trip(std::string_view city, std::int64_t lane = 1, double minutes = 1) {
    post("trips", fmt::format(R"({{"city":"{}","lane":{},"minutes":{}}})", city, lane, minutes));
  }
  struct Row {
    std::string topic;
    std::string payload;
    bool retain = false;
    QoS qos = QoS::kAtMostOnce;
  };
  // The next row; acknowledged where it asks for that.
  static Row next_row(MqttTestClient& client) {
    const auto message = client.expect<mqtt::Publish>();
    Row row{std::string(message.topic), std::string(message.payload), message.retain, message.qos};
    if (message.qos == QoS::kAtLeastOnce)
      client.answer(mqtt::PacketType::kPubAck, message.packet_id);
    return row;
  }
  // What a client holds when it has received until `enough` says so: the newest payload of a topic.
  template <class Enough>
  static std::map<std::string, std::string> rows_until(MqttTestClient& client,
                                                       const Enough& enough) {
    std::map<std::string, std::string> rows;
    while (!enough(rows) && !testing::Test::HasFailure()) {
      auto row = next_row(client);
      if (row.payload.empty()) {
        rows.erase(row.topic);
      } else {
        rows[row.topic] = row.payload;
      }
    }
    return rows;
  }
  std::unique_ptr<MqttTestClient> client_of(std::string_view user, std::string_view password,
                                            std::string_view id, std::uint32_t expiry_s = 0) {
    auto client = std::make_unique<MqttTestClient>(port());
    mqtt::Connect packet;
    packet.client_id = id;
    packet.clean_start = expiry_s == 0;
    packet.session_expiry_s = expiry_s;
    packet.user_name = user;
    packet.password = password;
    EXPECT_EQ(client->connect(packet).reason, ReasonCode::kSuccess);
    return client;
  }
  static ReasonCode farewell(MqttTestClient& client) {
    while (auto packet = client.next()) {
      if (const auto* end = std::get_if<mqtt::Disconnect>(&*packet)) return end->reason;
    }
    return ReasonCode::kSuccess;
  }
};

TEST_F(MqttViewsTest, rows_of_now_are_retained_messages_and_then_changes_come) {
  trip("Lima", 1, 2.5);
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_THAT(client.subscribe("views/by_city/+", QoS::kAtLeastOnce), ElementsAre(1));
  auto row = next_row(client);
  EXPECT_EQ(row.topic, "views/by_city/Lima");
  EXPECT_EQ(row.payload, R"({"city":"Lima","trips":1,"minutes":2.5})");
  EXPECT_TRUE(row.retain);
  EXPECT_EQ(row.qos, QoS::kAtLeastOnce);
  trip("Oslo");
  row = next_row(client);
  EXPECT_EQ(row.topic, "views/by_city/Oslo");
  EXPECT_FALSE(row.retain);
  trip("Lima", 1, 1.5);
  row = next_row(client);
  EXPECT_EQ(row.payload, R"({"city":"Lima","trips":2,"minutes":4.0})");
}

TEST_F(MqttViewsTest, retain_handling_and_retain_as_published_are_kept) {
  trip("Lima");
  MqttTestClient client(port());
  client.connect("a");
  mqtt::Subscription filter;
  filter.filter = "views/by_city/#";
  filter.retain_handling = RetainHandling::kDoNotSend;
  filter.retain_as_published = true;
  EXPECT_THAT(client.subscribe(filter), ElementsAre(0));
  EXPECT_TRUE(client.is_quiet());
  trip("Oslo");
  auto row = next_row(client);
  EXPECT_EQ(row.topic, "views/by_city/Oslo");
  EXPECT_TRUE(row.retain) << "the server publishes rows with the flag";
  filter.retain_handling = RetainHandling::kSendIfNew;
  client.subscribe(filter);
  EXPECT_TRUE(client.is_quiet()) << "the subscription was there";
  filter.retain_handling = RetainHandling::kSend;
  client.subscribe(filter, 7);
  const auto rows = rows_until(client, [](const auto& all) { return all.size() == 2; });
  EXPECT_THAT(rows, UnorderedElementsAre(Pair("views/by_city/Lima", testing::_),
                                         Pair("views/by_city/Oslo", testing::_)));
}

TEST_F(MqttViewsTest, a_filter_of_one_key_gets_that_key) {
  sql("CREATE MATERIALIZED VIEW by_lane AS SELECT lane, city, count(*) AS trips FROM trips "
      "GROUP BY lane, city");
  trip("a/b", 7);
  trip("", 7);
  post("trips", R"({"city":null,"lane":8,"minutes":1})");
  MqttTestClient client(port());
  client.connect("a");
  client.subscribe("views/by_lane/7/a%2Fb", QoS::kAtMostOnce);
  EXPECT_EQ(next_row(client).payload, R"({"lane":7,"city":"a/b","trips":1})");
  client.subscribe("views/by_lane/+/%null", QoS::kAtMostOnce);
  EXPECT_EQ(next_row(client).topic, "views/by_lane/8/%null");
  client.subscribe("views/by_lane/7/%empty", QoS::kAtMostOnce);
  EXPECT_EQ(next_row(client).topic, "views/by_lane/7/%empty");
  for (const auto* nothing : {"views/by_lane/07/+", "views/by_lane/x/+", "views/by_lane/7",
                              "views/by_lane/+/+/+", "views/BY_LANE/#", "views/none/#"})
    EXPECT_THAT(client.subscribe(nothing, QoS::kAtMostOnce), ElementsAre(0)) << nothing;
  EXPECT_TRUE(client.is_quiet());
}

TEST_F(MqttViewsTest, a_key_without_row_is_an_empty_retained_message) {
  sql("CREATE MATERIALIZED VIEW quiet AS SELECT city, count(*) AS trips FROM trips GROUP BY city "
      "HAVING count(*) < 3");
  trip("Lima");
  MqttTestClient client(port());
  client.connect("a");
  client.subscribe("views/quiet/#", QoS::kAtLeastOnce);
  EXPECT_EQ(next_row(client).payload, R"({"city":"Lima","trips":1})");
  trip("Lima");
  trip("Lima");
  while (!testing::Test::HasFailure()) {
    const auto row = next_row(client);
    EXPECT_EQ(row.topic, "views/quiet/Lima");
    if (row.payload.empty()) break;
  }
  MqttTestClient late(port());
  late.connect("b");
  late.subscribe("views/quiet/#", QoS::kAtLeastOnce);
  trip("Oslo");
  EXPECT_EQ(rows_until(late, [](const auto& all) { return !all.empty(); }).begin()->first,
            "views/quiet/Oslo");
}

TEST_F(MqttViewsTest, a_session_that_comes_back_gets_the_rows_of_then) {
  trip("Lima");
  {
    MqttTestClient client(port());
    client.connect("a", false, 3600);
    client.subscribe("views/by_city/#", QoS::kAtLeastOnce);
    EXPECT_EQ(client.expect<mqtt::Publish>().payload, R"({"city":"Lima","trips":1,"minutes":1.0})");
  }
  trip("Lima");
  trip("Oslo");
  const auto check = [&] {
    MqttTestClient client(port());
    EXPECT_TRUE(client.connect("a", false, 3600).session_present);
    const auto rows = rows_until(client, [](const auto& all) { return all.size() == 2; });
    EXPECT_EQ(rows.at("views/by_city/Lima"), R"({"city":"Lima","trips":2,"minutes":2.0})");
    trip("Oslo");
    EXPECT_EQ(next_row(client).topic, "views/by_city/Oslo");
  };
  check();
  restart();
  check();
}

TEST_F(MqttViewsTest, views_come_and_go_and_are_replaced_under_a_subscription) {
  MqttTestClient client(port());
  client.connect("a");
  client.subscribe("views/later/#", QoS::kAtLeastOnce);
  trip("Lima");
  sql("CREATE MATERIALIZED VIEW later AS SELECT city, count(*) AS trips FROM trips GROUP BY city");
  EXPECT_EQ(next_row(client).payload, R"({"city":"Lima","trips":1})");
  sql("CREATE OR REPLACE MATERIALIZED VIEW later AS SELECT lane, city, count(*) AS n FROM trips "
      "GROUP BY lane, city");
  auto row = next_row(client);
  EXPECT_EQ(row.topic, "views/later/1/Lima");
  EXPECT_EQ(row.payload, R"({"lane":1,"city":"Lima","n":1})");
  sql("DROP MATERIALIZED VIEW later");
  trip("Oslo");
  EXPECT_TRUE(client.is_quiet());
  sql("CREATE MATERIALIZED VIEW later AS SELECT count(*) AS n FROM trips");
  row = next_row(client);
  EXPECT_EQ(row.topic, "views/later") << "a view without key is one topic";
  EXPECT_EQ(row.payload, R"({"n":2})");
}

TEST_F(MqttViewsTest, a_slow_client_gets_the_newest_row_of_every_key) {
  constexpr int kKeys = 3000;
  const auto round = [&](int lane) {
    std::string lines;
    for (int i = 0; i < kKeys; ++i)
      lines += fmt::format("{{\"city\":\"c{}\",\"lane\":{},\"minutes\":1}}\n", i, lane);
    post("trips", lines);
  };
  round(1);
  MqttTestClient client(port());
  mqtt::Connect packet;
  packet.client_id = "slow";
  packet.receive_maximum = 1;
  client.connect(packet);
  client.subscribe("views/by_city/#", QoS::kAtLeastOnce);
  for (int lane = 2; lane <= 10; ++lane) round(lane);
  const auto rows = rows_until(client, [&](const auto& all) {
    return all.size() == kKeys && std::ranges::all_of(all, [](const auto& row) {
             return row.second.find(R"("trips":10,)") != std::string::npos;
           });
  });
  EXPECT_EQ(rows.size(), kKeys);
}

TEST_F(MqttViewsTest, nobody_publishes_there_and_shared_subscriptions_are_refused) {
  MqttTestClient client(port());
  client.connect("a");
  EXPECT_EQ(client.publish_once("views/by_city/Lima", "{}", 1), ReasonCode::kNotAuthorized);
  EXPECT_THAT(client.subscribe("$share/g/views/by_city/#", QoS::kAtLeastOnce),
              ElementsAre(kCode(ReasonCode::kSharedSubscriptionsNotSupported)));
  EXPECT_THAT(client.subscribe("$share/g/#", QoS::kAtLeastOnce), ElementsAre(1));
  trip("Lima");
  EXPECT_TRUE(client.is_quiet());
  EXPECT_THAT(client.subscribe("#", QoS::kAtLeastOnce), ElementsAre(1));
  EXPECT_EQ(next_row(client).topic, "views/by_city/Lima");
}

TEST_F(MqttViewsTest, only_views_that_the_client_may_read_are_there) {
  sql("CREATE MATERIALIZED VIEW secret AS SELECT city, count(*) AS n FROM trips GROUP BY city");
  sql("CREATE USER root WITH PASSWORD 'r'");
  sql("CREATE USER ana WITH PASSWORD 'a'");
  sql("GRANT SELECT ON by_city TO ana");
  trip("Lima");
  auto ana = client_of("ana", "a", "x");
  const auto refused = ElementsAre(kCode(ReasonCode::kNotAuthorized));
  EXPECT_THAT(ana->subscribe("views/secret/#", QoS::kAtMostOnce), refused);
  EXPECT_THAT(ana->subscribe("views/none/#", QoS::kAtMostOnce), refused);
  EXPECT_THAT(ana->subscribe("#", QoS::kAtMostOnce), refused);
  EXPECT_THAT(ana->subscribe("views/#", QoS::kAtMostOnce), ElementsAre(0));
  EXPECT_EQ(next_row(*ana).topic, "views/by_city/Lima");
  EXPECT_TRUE(ana->is_quiet());
  sql("GRANT SUBSCRIBE ON secret TO ana");
  EXPECT_EQ(next_row(*ana).topic, "views/secret/Lima") << "without another subscription";
  sql("REVOKE SUBSCRIBE ON secret FROM ana");
  trip("Oslo");
  std::string last;
  while (last != "views/by_city/Bonn" && !testing::Test::HasFailure()) {
    trip("Bonn");
    last = next_row(*ana).topic;
  }
  trip("Lima");
  const auto rows =
      rows_until(*ana, [](const auto& all) { return all.contains("views/by_city/Lima"); });
  EXPECT_FALSE(rows.contains("views/secret/Lima"));
}

TEST_F(MqttViewsTest, a_right_that_is_taken_back_ends_the_subscription) {
  sql("CREATE USER root WITH PASSWORD 'r'");
  sql("CREATE USER ana WITH PASSWORD 'a'");
  sql("GRANT SELECT ON by_city TO ana");
  sql("GRANT SUBSCRIBE ON TOPIC 'news/#' TO ana");
  auto ana = client_of("ana", "a", "views", 3600);
  EXPECT_THAT(ana->subscribe("views/by_city/#", QoS::kAtMostOnce), ElementsAre(0));
  auto other = client_of("ana", "a", "news", 3600);
  EXPECT_THAT(other->subscribe("news/#", QoS::kAtLeastOnce), ElementsAre(1));
  sql("REVOKE SELECT ON by_city FROM ana");
  EXPECT_EQ(farewell(*ana), ReasonCode::kNotAuthorized);
  ana = client_of("ana", "a", "views", 3600);
  trip("Lima");
  EXPECT_TRUE(ana->is_quiet());
  EXPECT_TRUE(other->is_quiet()) << "it may stay";

  auto root = client_of("root", "r", "root");
  other->close();
  EXPECT_EQ(root->publish_once("news/1", "waits", 1), ReasonCode::kSuccess);
  sql("REVOKE SUBSCRIBE ON TOPIC 'news/#' FROM ana");
  other = client_of("ana", "a", "news", 3600);
  EXPECT_TRUE(other->is_quiet()) << "what waited is not for ana any more";
}

TEST_F(MqttViewsTest, clients_of_a_user_who_is_dropped_or_has_another_password_are_let_go) {
  MqttTestClient anonymous(port());
  anonymous.connect("anonymous");
  sql("CREATE USER root WITH PASSWORD 'r'");
  EXPECT_EQ(farewell(anonymous), ReasonCode::kNotAuthorized);
  sql("CREATE USER ana WITH PASSWORD 'a'");
  sql("CREATE USER bob WITH PASSWORD 'b'");
  auto ana = client_of("ana", "a", "a");
  auto bob = client_of("bob", "b", "b");
  auto root = client_of("root", "r", "r");
  sql("ALTER USER ana WITH PASSWORD 'c'");
  EXPECT_EQ(farewell(*ana), ReasonCode::kNotAuthorized);
  sql("DROP USER bob");
  EXPECT_EQ(farewell(*bob), ReasonCode::kNotAuthorized);
  EXPECT_TRUE(root->is_quiet());
}

}  // namespace
}  // namespace millrace::server
