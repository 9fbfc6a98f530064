// The MQTT broker from the outside: packets in, packets out, rows in views, restarts.
#include <gtest/gtest.h>

#include "server/mqtt_fixture_test.h"

namespace millrace::server {
namespace {

using mqtt::PacketType;
using mqtt::QoS;
using mqtt::ReasonCode;

constexpr auto k0 = QoS::kAtMostOnce;
constexpr auto k1 = QoS::kAtLeastOnce;
constexpr auto k2 = QoS::kExactlyOnce;

TEST_F(MqttTest, AnAcknowledgedMessageIsInTheView) {
  sql("CREATE STREAM readings (site VARCHAR, sensor BIGINT, value DOUBLE) "
      "WITH (key = site, mqtt = 'site/{site}/sensor/{sensor}/reading')");
  sql("CREATE MATERIALIZED VIEW by_site AS SELECT site, count(*) AS n, sum(value) AS total, "
      "max(sensor) AS sensor FROM readings GROUP BY site");
  MqttTestClient client(port());
  client.connect("device");
  EXPECT_EQ(client.publish_once("site/lima/sensor/7/reading", R"({"value": 1.5})", 1),
            ReasonCode::kSuccess);
  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", " 2.5 ", 2), ReasonCode::kSuccess);
  EXPECT_EQ(all_rows("by_site").rows->rows(), 1U);
  EXPECT_EQ(text_of(*all_rows("by_site").rows), "lima|2|4010000000000000|8|\n");

  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", "{\"value\":\n 1}", 3),
            ReasonCode::kSuccess);
  EXPECT_EQ(client.publish_once("site/lima/sensor/x/reading", "1", 4),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", "{\"value\":1}{\"value\":2}", 5),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", "{\"value\":\"\n\"}", 6),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", "", 7),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(client.publish_once("site/lima/sensor/8/reading", "{\"site\":\"x\",\"value\":1}", 8),
            ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(text_of(*all_rows("by_site").rows), "lima|3|4014000000000000|8|\n");
  const auto quarantine = node_->speed().find_stream("readings__quarantine");
  ASSERT_NE(quarantine, nullptr);
  EXPECT_EQ(quarantine->quarantined(), 5U);

  MqttTestClient old(port(), mqtt::Version::k311);
  old.connect("old device");
  EXPECT_EQ(old.publish_once("site/lima/sensor/8/reading", "nothing", 1), ReasonCode::kSuccess);
  EXPECT_EQ(quarantine->quarantined(), 6U);
}

TEST_F(MqttTest, ATopicIsOneStreamsAndOfItsColumns) {
  sql("CREATE STREAM a (x BIGINT, y BIGINT) WITH (mqtt = 'a/{x}/#')");
  const auto refused = [&](std::string_view text) {
    const auto result = node_->statements().run(text);
    EXPECT_FALSE(result);
    return result ? std::string() : result.error().id;
  };
  EXPECT_EQ(refused("CREATE STREAM b (x BIGINT) WITH (mqtt = 'a/b')"), error_id::kInUse);
  EXPECT_EQ(refused("CREATE STREAM b (x BIGINT) WITH (mqtt = 'b/{z}')"), error_id::kBadOption);
  EXPECT_EQ(refused("CREATE STREAM b (x BIGINT) WITH (mqtt = 'b/{x')"), error_id::kBadOption);
  EXPECT_EQ(refused("CREATE STREAM b AS SELECT x FROM a WITH (mqtt = 'b')").empty(), false);
  EXPECT_EQ(refused("ALTER STREAM a DROP COLUMN x"), error_id::kInUse);
  sql("ALTER STREAM a RENAME COLUMN x TO z");
  MqttTestClient client(port());
  client.connect("device");
  EXPECT_EQ(client.publish_once("a/5/deep/er", "7", 1), ReasonCode::kSuccess);
  restart();
  sql("CREATE MATERIALIZED VIEW v AS SELECT z, sum(y) AS y FROM a GROUP BY z");
  run_batch();
  EXPECT_EQ(text_of(*all_rows("v").rows), "5|7|\n");
  sql("DROP MATERIALIZED VIEW v");
  sql("DROP STREAM a");
  MqttTestClient after(port());
  after.connect("device");
  EXPECT_EQ(after.publish_once("a/5/x", "7", 1), ReasonCode::kNoMatchingSubscribers);
}

TEST_F(MqttTest, AcknowledgementsComeInTheOrderOfTheMessages) {
  sql("CREATE STREAM a (x BIGINT) WITH (mqtt = 'a')");
  MqttTestClient client(port());
  client.connect("device");
  std::string bytes;
  for (std::uint16_t id = 1; id <= 1000; ++id) {
    mqtt::Publish packet;
    packet.topic = id % 3 == 0 ? "plain" : "a";
    packet.payload = id % 7 == 0 ? "bad" : "1";
    packet.qos = k1;
    packet.packet_id = id;
    mqtt::encode(packet, mqtt::Version::k5, bytes);
  }
  client.send_bytes(bytes);
  for (std::uint16_t id = 1; id <= 1000; ++id) {
    const auto ack = client.expect<mqtt::Ack>();
    ASSERT_EQ(ack.packet_id, id);
    ASSERT_EQ(ack.reason, id % 3 == 0   ? ReasonCode::kNoMatchingSubscribers
                          : id % 7 == 0 ? ReasonCode::kPayloadFormatInvalid
                                        : ReasonCode::kSuccess);
  }
}

TEST_F(MqttTest, SubscribersGetWhatTheyAskedFor) {
  MqttTestClient subscriber(port());
  subscriber.connect("subscriber");
  EXPECT_EQ(subscriber.subscribe("a/+", k1), std::vector<std::uint8_t>{1});
  EXPECT_EQ(subscriber.subscribe("a/#", k2), std::vector<std::uint8_t>{2});
  MqttTestClient publisher(port(), mqtt::Version::k311);
  publisher.connect("publisher");
  publisher.publish("a/b", "0", k0);
  auto got = subscriber.expect<mqtt::Publish>();
  EXPECT_EQ(got.topic, "a/b");
  EXPECT_EQ(got.payload, "0");
  EXPECT_EQ(got.qos, k0);
  EXPECT_EQ(publisher.publish_once("a/b", "1", 9), ReasonCode::kSuccess);
  got = subscriber.expect<mqtt::Publish>();
  EXPECT_EQ(got.payload, "1");
  EXPECT_EQ(got.qos, k1);
  subscriber.answer(PacketType::kPubAck, got.packet_id);
  publisher.publish("a/b", "2", k2, 10);
  EXPECT_EQ(publisher.expect<mqtt::Ack>().type, PacketType::kPubRec);
  publisher.answer(PacketType::kPubRel, 10);
  EXPECT_EQ(publisher.expect<mqtt::Ack>().type, PacketType::kPubComp);
  got = subscriber.expect<mqtt::Publish>();
  EXPECT_EQ(got.payload, "2");
  EXPECT_EQ(got.qos, k2);
  const auto packet_id = got.packet_id;
  subscriber.answer(PacketType::kPubRec, packet_id);
  EXPECT_EQ(subscriber.expect<mqtt::Ack>().type, PacketType::kPubRel);
  subscriber.answer(PacketType::kPubComp, packet_id);
  EXPECT_TRUE(subscriber.is_quiet());
}

TEST_F(MqttTest, APersistentSessionGetsWhatCameWhileItWasAwayAlsoAfterARestart) {
  for (const auto version : {mqtt::Version::k311, mqtt::Version::k5}) {
    const std::string name = version == mqtt::Version::k5 ? "five" : "three";
    {
      MqttTestClient subscriber(port(), version);
      EXPECT_FALSE(subscriber.connect(name, false, 1000).session_present);
      subscriber.subscribe("queue/" + name, k1);
    }
    MqttTestClient publisher(port());
    publisher.connect("publisher");
    for (std::uint16_t id = 1; id <= 100; ++id)
      ASSERT_EQ(publisher.publish_once("queue/" + name, std::to_string(id), id),
                ReasonCode::kSuccess);
    publisher.close();
    restart();
    {
      MqttTestClient subscriber(port(), version);
      EXPECT_TRUE(subscriber.connect(name, false, 1000).session_present);
      for (std::uint16_t id = 1; id <= 100; ++id) {
        const auto got = subscriber.expect<mqtt::Publish>();
        ASSERT_EQ(got.payload, std::to_string(id));
        if (id <= 40) subscriber.answer(PacketType::kPubAck, got.packet_id);
      }
      // The server has read the acknowledgements when it answers.
      subscriber.send(mqtt::PingReq{});
      subscriber.expect<mqtt::PingResp>();
    }
    restart();
    MqttTestClient subscriber(port(), version);
    EXPECT_TRUE(subscriber.connect(name, false, 1000).session_present);
    for (std::uint16_t id = 41; id <= 100; ++id) {
      const auto got = subscriber.expect<mqtt::Publish>();
      ASSERT_EQ(got.payload, std::to_string(id));
      subscriber.answer(PacketType::kPubAck, got.packet_id);
    }
    EXPECT_TRUE(subscriber.is_quiet());
    subscriber.close();
    MqttTestClient clean(port(), version);
    EXPECT_FALSE(clean.connect(name, true, 0).session_present);
    EXPECT_TRUE(clean.is_quiet());
  }
}

TEST_F(MqttTest, AMessageOfQos2IsOneEventHoweverOftenItIsSent) {
  sql("CREATE STREAM events (x BIGINT) WITH (mqtt = 'events')");
  sql("CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM events");
  {
    MqttTestClient client(port());
    client.connect("device", false, 1000);
    client.publish("events", "1", k2, 7);
    EXPECT_EQ(client.expect<mqtt::Ack>().type, PacketType::kPubRec);
  }
  restart();
  {
    // The client did not see the PUBREC.
    MqttTestClient client(port());
    EXPECT_TRUE(client.connect("device", false, 1000).session_present);
    client.publish("events", "1", k2, 7);
    EXPECT_EQ(client.expect<mqtt::Ack>().type, PacketType::kPubRec);
    client.answer(PacketType::kPubRel, 7);
    EXPECT_EQ(client.expect<mqtt::Ack>().reason, ReasonCode::kSuccess);
  }
  EXPECT_EQ(text_of(*all_rows("n").rows), "1|\n");
  restart();
  MqttTestClient client(port());
  client.connect("device", false, 1000);
  client.answer(PacketType::kPubRel, 7);
  EXPECT_EQ(client.expect<mqtt::Ack>().reason, ReasonCode::kPacketIdentifierNotFound);
  client.publish("events", "2", k2, 7);
  EXPECT_EQ(client.expect<mqtt::Ack>().type, PacketType::kPubRec);
  EXPECT_EQ(text_of(*all_rows("n").rows), "2|\n");
}

TEST_F(MqttTest, ASubscriberThatReceivedAMessageOfQos2GetsOnlyItsRelease) {
  {
    MqttTestClient subscriber(port());
    subscriber.connect("subscriber", false, 1000);
    subscriber.subscribe("t", k2);
    MqttTestClient publisher(port());
    publisher.connect("publisher");
    publisher.publish("t", "x", k2, 1);
    publisher.expect<mqtt::Ack>();
    const auto got = subscriber.expect<mqtt::Publish>();
    subscriber.answer(PacketType::kPubRec, got.packet_id);
    EXPECT_EQ(subscriber.expect<mqtt::Ack>().type, PacketType::kPubRel);
  }
  restart();
  MqttTestClient subscriber(port());
  EXPECT_TRUE(subscriber.connect("subscriber", false, 1000).session_present);
  const auto release = subscriber.expect<mqtt::Ack>();
  EXPECT_EQ(release.type, PacketType::kPubRel);
  subscriber.answer(PacketType::kPubComp, release.packet_id);
  EXPECT_TRUE(subscriber.is_quiet());
}

TEST_F(MqttTest, RetainedMessagesSurviveAndAreSentAsAsked) {
  {
    MqttTestClient client(port());
    client.connect("device");
    EXPECT_EQ(client.publish_once("state/a", "on", 1, true), ReasonCode::kSuccess);
    EXPECT_EQ(client.publish_once("state/b", "on", 2, true), ReasonCode::kSuccess);
    EXPECT_EQ(client.publish_once("state/b", "", 3, true), ReasonCode::kSuccess);
  }
  restart();
  MqttTestClient client(port());
  client.connect("reader");
  client.subscribe("state/+", k1);
  const auto got = client.expect<mqtt::Publish>();
  EXPECT_EQ(got.topic, "state/a");
  EXPECT_EQ(got.payload, "on");
  EXPECT_TRUE(got.retain);
  client.answer(PacketType::kPubAck, got.packet_id);
  EXPECT_TRUE(client.is_quiet());
  mqtt::Subscription again;
  again.filter = "state/+";
  again.retain_handling = mqtt::RetainHandling::kSendIfNew;
  client.subscribe(again);
  EXPECT_TRUE(client.is_quiet());
  again.filter = "state/a";
  again.retain_handling = mqtt::RetainHandling::kDoNotSend;
  client.subscribe(again);
  EXPECT_TRUE(client.is_quiet());
}

TEST_F(MqttTest, AWillIsPublishedWhenTheConnectionBreaksAndNotAtDisconnect) {
  MqttTestClient watcher(port());
  watcher.connect("watcher");
  watcher.subscribe("will/#", k1);
  for (const bool broken : {false, true}) {
    MqttTestClient client(port());
    mqtt::Connect connect;
    connect.client_id = "device";
    mqtt::Will will;
    will.topic = "will/device";
    will.payload = "gone";
    will.qos = k1;
    connect.will = will;
    client.connect(connect);
    if (!broken) {
      client.send(mqtt::Disconnect{});
      EXPECT_FALSE(client.next());
      EXPECT_TRUE(watcher.is_quiet());
    } else {
      client.close();
      EXPECT_EQ(watcher.expect<mqtt::Publish>().payload, "gone");
    }
  }
}

TEST_F(MqttTest, TheNewerConnectionOfAClientTakesOver) {
  for (const std::uint32_t expiry : {0U, 100U}) {
    MqttTestClient first(port());
    first.connect("same", false, expiry);
    MqttTestClient second(port());
    EXPECT_EQ(second.connect("same", false, expiry).session_present, expiry != 0);
    EXPECT_EQ(first.expect<mqtt::Disconnect>().reason, ReasonCode::kSessionTakenOver);
    second.send(mqtt::PingReq{});
    second.expect<mqtt::PingResp>();
  }
}

TEST_F(MqttTest, PropertiesAreForwardedAndExpiryCountsDown) {
  MqttTestClient subscriber(port());
  subscriber.connect("subscriber");
  mqtt::Subscription one;
  one.filter = "p";
  one.maximum_qos = k1;
  subscriber.subscribe(one, 77);
  MqttTestClient publisher(port());
  publisher.connect("publisher");
  std::string user;
  mqtt::append_user_property("k", "v", user);
  mqtt::Publish packet;
  packet.topic = "p";
  packet.payload = "x";
  packet.payload_is_utf8 = true;
  packet.message_expiry_s = 100;
  packet.response_topic = "answer/here";
  packet.correlation_data = "42";
  packet.content_type = "text/plain";
  packet.repeated = mqtt::RepeatedProperties(user);
  publisher.send(packet);
  const auto got = subscriber.expect<mqtt::Publish>();
  EXPECT_TRUE(got.payload_is_utf8);
  EXPECT_LE(got.message_expiry_s.value_or(0), 100U);
  EXPECT_GT(got.message_expiry_s.value_or(0), 90U);
  EXPECT_EQ(got.response_topic, "answer/here");
  EXPECT_EQ(got.correlation_data, "42");
  EXPECT_EQ(got.content_type, "text/plain");
  std::string seen;
  got.repeated.for_each_user_property([&](std::string_view name, std::string_view value) {
    seen += fmt::format("{}={}", name, value);
  });
  EXPECT_EQ(seen, "k=v");
  std::vector<std::uint32_t> ids;
  got.repeated.for_each_subscription_id([&](std::uint32_t id) { ids.push_back(id); });
  EXPECT_EQ(ids, std::vector<std::uint32_t>{77});
}

TEST_F(MqttTest, TopicAliasesStandForTopicsBothWays) {
  MqttTestClient subscriber(port());
  mqtt::Connect connect;
  connect.client_id = "subscriber";
  connect.topic_alias_maximum = 2;
  subscriber.connect(connect);
  subscriber.subscribe("long/+", k0);
  MqttTestClient publisher(port());
  const auto connack = [&] {
    mqtt::Connect own;
    own.client_id = "publisher";
    return publisher.connect(own);
  }();
  ASSERT_GE(connack.topic_alias_maximum, 1);
  mqtt::Publish packet;
  packet.topic = "long/topic";
  packet.topic_alias = 1;
  packet.payload = "1";
  publisher.send(packet);
  packet.topic = "";
  packet.payload = "2";
  publisher.send(packet);
  auto got = subscriber.expect<mqtt::Publish>();
  EXPECT_EQ(got.topic, "long/topic");
  EXPECT_EQ(got.topic_alias, 1);
  got = subscriber.expect<mqtt::Publish>();
  EXPECT_EQ(got.topic, "");
  EXPECT_EQ(got.topic_alias, 1);
  EXPECT_EQ(got.payload, "2");
  packet.topic_alias = 9;
  publisher.send(packet);
  EXPECT_EQ(publisher.expect<mqtt::Disconnect>().reason, ReasonCode::kProtocolError);
}

TEST_F(MqttTest, SharedSubscriptionsDealMessagesInTurn) {
  MqttTestClient one(port());
  MqttTestClient two(port());
  one.connect("one", false, 100);
  two.connect("two", false, 100);
  one.subscribe("$share/g/work/#", k1);
  two.subscribe("$share/g/work/#", k1);
  MqttTestClient publisher(port());
  publisher.connect("publisher");
  for (std::uint16_t id = 1; id <= 4; ++id)
    publisher.publish_once("work/x", std::to_string(id), id);
  std::set<std::string> got;
  for (auto* member : {&one, &two}) {
    for (int i = 0; i < 2; ++i) {
      const auto message = member->expect<mqtt::Publish>();
      got.insert(std::string(message.payload));
      member->answer(PacketType::kPubAck, message.packet_id);
    }
    EXPECT_TRUE(member->is_quiet());
  }
  EXPECT_EQ(got.size(), 4U);
  // Nobody is there: it waits for one of them.
  one.close();
  two.close();
  publisher.publish_once("work/x", "5", 5);
  MqttTestClient back_one(port());
  MqttTestClient back_two(port());
  back_one.connect("one", false, 100);
  back_two.connect("two", false, 100);
  const auto first = back_one.next(500);
  const auto second = back_two.next(500);
  EXPECT_NE(first.has_value(), second.has_value());
}

TEST_F(MqttTest, NoLocalAndRetainAsPublishedAreKept) {
  MqttTestClient client(port());
  client.connect("client");
  mqtt::Subscription own;
  own.filter = "t";
  own.no_local = true;
  client.subscribe(own);
  client.publish("t", "mine", k0);
  MqttTestClient reader(port());
  reader.connect("reader");
  own.no_local = false;
  own.retain_as_published = true;
  reader.subscribe(own);
  client.publish_once("t", "kept", 1, true);
  const auto got = reader.expect<mqtt::Publish>();
  EXPECT_EQ(got.payload, "kept");
  EXPECT_TRUE(got.retain);
  EXPECT_TRUE(client.is_quiet());
}

TEST_F(MqttTest, WhatIsAgainstTheRulesIsRefusedWithAReason) {
  const auto refused_by = [&](auto&& act) {
    MqttTestClient client(port());
    client.connect("client");
    act(client);
    return client.expect<mqtt::Disconnect>().reason;
  };
  EXPECT_EQ(refused_by([](auto& client) { client.send(mqtt::Connect{}); }),
            ReasonCode::kProtocolError);
  EXPECT_EQ(refused_by([](auto& client) { client.send_bytes(std::string_view("\x00\x00", 2)); }),
            ReasonCode::kMalformedPacket);
  EXPECT_EQ(refused_by([](auto& client) { client.send(mqtt::Auth{}); }),
            ReasonCode::kProtocolError);
  EXPECT_EQ(refused_by([](auto& client) { client.publish("a", std::string(3 << 20, 'x'), k0); }),
            ReasonCode::kPacketTooLarge);
  MqttTestClient client(port());
  client.connect("client");
  EXPECT_EQ(client.publish_once("$SYS/x", "1", 1), ReasonCode::kTopicNameInvalid);
  std::string deep = "a";
  for (int i = 0; i < 40; ++i) deep += "/a";
  EXPECT_EQ(client.publish_once(deep, "1", 2), ReasonCode::kTopicNameInvalid);
  EXPECT_EQ(client.subscribe(deep, k0),
            std::vector<std::uint8_t>{static_cast<std::uint8_t>(ReasonCode::kTopicFilterInvalid)});
  MqttTestClient authenticated(port());
  mqtt::Connect connect;
  connect.authentication_method = "SCRAM-SHA-256";
  EXPECT_EQ(authenticated.connect(connect).reason, ReasonCode::kBadAuthenticationMethod);
  MqttTestClient nameless(port());
  EXPECT_TRUE(nameless.connect(mqtt::Connect{}).assigned_client_id.has_value());
}

TEST_F(MqttTest, AFullQueueRefusesThePublisherAndLosesNothing) {
  config_.mqtt_queue_messages_max = 10;
  options_.full_time = std::chrono::milliseconds(50);
  start();
  {
    MqttTestClient subscriber(port());
    subscriber.connect("subscriber", false, 1000);
    subscriber.subscribe("t", k1);
  }
  MqttTestClient publisher(port());
  publisher.connect("publisher");
  std::uint16_t taken = 0;
  for (std::uint16_t id = 1; id <= 12; ++id) {
    const auto reason = publisher.publish_once("t", std::to_string(id), id);
    if (reason == ReasonCode::kSuccess) ++taken;
    EXPECT_EQ(reason, id <= 10 ? ReasonCode::kSuccess : ReasonCode::kQuotaExceeded);
  }
  MqttTestClient subscriber(port());
  subscriber.connect("subscriber", false, 1000);
  for (std::uint16_t id = 1; id <= taken; ++id)
    EXPECT_EQ(subscriber.expect<mqtt::Publish>().payload, std::to_string(id));
}

TEST_F(MqttTest, ACheckpointBringsBackWhatTheLogLetGo) {
  {
    MqttTestClient subscriber(port());
    subscriber.connect("subscriber", false, 1000);
    subscriber.subscribe("t", k1);
  }
  MqttTestClient publisher(port());
  publisher.connect("publisher", false, 1000);
  // More than the broker lets gather without a checkpoint.
  const std::string large(1 << 20, 'x');
  std::uint16_t id = 0;
  publisher.publish("hold", "1", k2, 1000);
  EXPECT_EQ(publisher.expect<mqtt::Ack>().type, PacketType::kPubRec);
  while (node_->broker().covered().value == 0 && id < 60) {
    ++id;
    ASSERT_EQ(publisher.publish_once("t", std::to_string(id) + large, id), ReasonCode::kSuccess);
  }
  for (int i = 0; i < 500 && node_->broker().covered().value == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(node_->broker().covered().value, 0U);
  ASSERT_EQ(publisher.publish_once("t", "last", ++id), ReasonCode::kSuccess);
  publisher.close();
  restart();
  MqttTestClient subscriber(port());
  EXPECT_TRUE(subscriber.connect("subscriber", false, 1000).session_present);
  for (std::uint16_t i = 1; i <= id; ++i) {
    const auto got = subscriber.expect<mqtt::Publish>();
    ASSERT_TRUE(got.payload.starts_with(i == id ? "last" : std::to_string(i) + "x"));
    subscriber.answer(PacketType::kPubAck, got.packet_id);
  }
  MqttTestClient again(port());
  EXPECT_TRUE(again.connect("publisher", false, 1000).session_present);
  again.answer(PacketType::kPubRel, 1000);
  EXPECT_EQ(again.expect<mqtt::Ack>().reason, ReasonCode::kSuccess);
}

TEST_F(MqttTest, ASessionEndsAfterItsExpiry) {
  {
    MqttTestClient client(port());
    client.connect("short", false, 1);
    client.subscribe("t", k1);
  }
  for (int i = 0; i < 500 && node_->broker().sizes().sessions != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(node_->broker().sizes().sessions, 0U);
  MqttTestClient client(port());
  EXPECT_FALSE(client.connect("short", false, 1).session_present);
}

TEST_F(MqttTest, OnlyThoseGetInWhoMayAndOnlyWhereTheyMay) {
  const auto log_in = [](MqttTestClient& client, std::string_view user, std::string_view password,
                         std::string_view id = "c", bool clean = true) {
    mqtt::Connect packet;
    packet.version = mqtt::Version::k5;
    packet.client_id = id;
    packet.clean_start = clean;
    packet.session_expiry_s = clean ? 0 : 3600;
    packet.user_name = user;
    packet.password = password;
    return client.connect(packet);
  };
  sql("CREATE USER root WITH PASSWORD 'root-secret'");
  sql("CREATE USER sensor WITH PASSWORD 'sensor-secret'");
  sql("GRANT PUBLISH ON TOPIC 'site/+/temp' TO sensor");
  sql("GRANT SUBSCRIBE ON TOPIC 'orders/#' TO sensor");
  {
    MqttTestClient client(port());
    mqtt::Connect packet;
    packet.version = mqtt::Version::k5;
    packet.client_id = "anybody";
    packet.clean_start = true;
    EXPECT_EQ(client.connect(packet).reason, ReasonCode::kNotAuthorized) << "there are users now";
  }
  {
    MqttTestClient client(port());
    EXPECT_EQ(log_in(client, "sensor", "wrong").reason, ReasonCode::kBadUserNameOrPassword);
  }
  MqttTestClient client(port());
  ASSERT_EQ(log_in(client, "sensor", "sensor-secret").reason, ReasonCode::kSuccess);
  EXPECT_EQ(client.publish_once("site/lima/temp", "1", 1), ReasonCode::kNoMatchingSubscribers);
  EXPECT_EQ(client.publish_once("site/lima/door", "1", 2), ReasonCode::kNotAuthorized);
  using Codes = std::vector<std::uint8_t>;
  const auto refused = static_cast<std::uint8_t>(ReasonCode::kNotAuthorized);
  EXPECT_EQ(client.subscribe("orders/7", k1), Codes{1});
  EXPECT_EQ(client.subscribe("orders/#", k1), Codes{1});
  EXPECT_EQ(client.subscribe("$share/g/orders/+", k1), Codes{1});
  for (const std::string_view filter : {"#", "+/7", "site/+/temp", "$SYS/#", "$share/g/#"})
    EXPECT_EQ(client.subscribe(filter, k1), Codes{refused}) << filter;
  sql("REVOKE PUBLISH ON TOPIC 'site/+/temp' FROM sensor");
  EXPECT_EQ(client.publish_once("site/lima/temp", "1", 3), ReasonCode::kNotAuthorized)
      << "also on connections that are open";

  // What waits for one user's session is not another's who knows its client id.
  MqttTestClient root(port());
  ASSERT_EQ(log_in(root, "root", "root-secret", "kept", false).reason, ReasonCode::kSuccess);
  EXPECT_EQ(root.subscribe("secret", k1), Codes{1});
  root.close();
  MqttTestClient thief(port());
  const auto answer = log_in(thief, "sensor", "sensor-secret", "kept", false);
  EXPECT_EQ(answer.reason, ReasonCode::kSuccess);
  EXPECT_FALSE(answer.session_present);
}

}  // namespace
}  // namespace millrace::server
