// Every packet in every version, written by hand from the tables of the specification: decoded to
// its fields, and encoded again to the very same bytes.
#include <gtest/gtest.h>

#include <vector>

#include "wire/mqtt.h"
#include "wire/mqtt_hex.h"

namespace millrace::wire::mqtt {
namespace {

constexpr Version k31 = Version::k31;
constexpr Version k311 = Version::k311;
constexpr Version k5 = Version::k5;
constexpr Receiver kServer = Receiver::kServer;
constexpr Receiver kClient = Receiver::kClient;

std::vector<std::pair<std::string, std::string>> user_properties(const RepeatedProperties& from) {
  std::vector<std::pair<std::string, std::string>> out;
  from.for_each_user_property(
      [&](std::string_view name, std::string_view value) { out.emplace_back(name, value); });
  return out;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Decodes, checks that encoding gives the bytes back, and keeps the bytes that the views need.
template <class T>
class Sample {
 public:
  Sample(std::string_view source, Version version, Receiver receiver) : bytes_(hex(source)) {
    const Frame frame = try_frame(bytes_, 1'000);
    EXPECT_EQ(frame.state, Frame::State::kComplete);
    EXPECT_EQ(frame.size, bytes_.size());
    auto packet = decode(frame.bytes, version, receiver);
    if (!packet) {
      ADD_FAILURE() << packet.error().text();
      return;
    }
    std::string again;
    encode(*packet, version, again);
    EXPECT_EQ(again, bytes_) << "encoded differently";
    const T* decoded = std::get_if<T>(&*packet);
    EXPECT_NE(decoded, nullptr) << "another packet";
    if (decoded != nullptr) packet_ = *decoded;
  }
  const T* operator->() const { return &packet_; }

 private:
  std::string bytes_;
  T packet_;
};

TEST(MqttConnect, Of311WithEverything) {
  // MQTT 3.1.1, figure 3.6 with all flags: user name, password, will of QoS 1, clean session.
  const Sample<Connect> packet(
      "10 24 0004'MQTT' 04 ce 000a 0002'id' 0004'will' 0003'bye' 0003'eve' 0004'pass'", k311,
      kServer);
  EXPECT_EQ(packet->version, k311);
  EXPECT_TRUE(packet->clean_start);
  EXPECT_EQ(packet->keep_alive_s, 10);
  EXPECT_EQ(packet->client_id, "id");
  ASSERT_TRUE(packet->will.has_value());
  EXPECT_EQ(packet->will->topic, "will");
  EXPECT_EQ(packet->will->payload, "bye");
  EXPECT_EQ(packet->will->qos, QoS::kAtLeastOnce);
  EXPECT_FALSE(packet->will->retain);
  EXPECT_EQ(packet->user_name, "eve");
  EXPECT_EQ(packet->password, "pass");
}

TEST(MqttConnect, Of31IsAccepted) {
  const Sample<Connect> packet("10 10 0006'MQIsdp' 03 00 003c 0002'id'", k31, kServer);
  EXPECT_EQ(packet->version, k31);
  EXPECT_FALSE(packet->clean_start);
  EXPECT_EQ(packet->client_id, "id");
}

TEST(MqttConnect, WithoutAClientIdIfTheSessionIsClean) {
  EXPECT_EQ(Sample<Connect>("10 0c 0004'MQTT' 04 02 0000 0000", k311, kServer)->client_id, "");
  EXPECT_EQ(Sample<Connect>("10 0d 0004'MQTT' 05 00 0000 00 0000", k5, kServer)->client_id, "");
}

TEST(MqttConnect, Of5WithEverything) {
  const Sample<Connect> packet(
      "10 71 0004'MQTT' 05 f6 003c"
      "2b 11 ffffffff 21 0014 27 00010000 22 000a 19 01 17 00 15 0001'm' 16 0002 00ff"
      "   26 0001'k' 0001'1' 26 0001'k' 0001'2'"
      "0002'id'"
      "2b 18 00000005 01 01 02 0000000a 03 0001'c' 08 0003'r/t' 09 0003 000102"
      "   26 0002'wn' 0002'wv' 26 0001'a' 0000"
      "0001't' 0000 0001'u' 0001'p'",
      k5, kServer);
  EXPECT_EQ(packet->session_expiry_s, 0xffffffffU);
  EXPECT_EQ(packet->receive_maximum, 20);
  EXPECT_EQ(packet->maximum_packet_size, 65'536U);
  EXPECT_EQ(packet->topic_alias_maximum, 10);
  EXPECT_TRUE(packet->request_response_information);
  EXPECT_FALSE(packet->request_problem_information);
  EXPECT_EQ(packet->authentication_method, "m");
  EXPECT_EQ(packet->authentication_data, std::string_view("\x00\xff", 2));
  EXPECT_EQ(user_properties(packet->user_properties), (Pairs{{"k", "1"}, {"k", "2"}}));
  ASSERT_TRUE(packet->will.has_value());
  EXPECT_EQ(packet->will->delay_s, 5U);
  EXPECT_TRUE(packet->will->payload_is_utf8);
  EXPECT_EQ(packet->will->message_expiry_s, 10U);
  EXPECT_EQ(packet->will->content_type, "c");
  EXPECT_EQ(packet->will->response_topic, "r/t");
  EXPECT_EQ(packet->will->correlation_data, std::string_view("\x00\x01\x02", 3));
  EXPECT_EQ(user_properties(packet->will->user_properties), (Pairs{{"wn", "wv"}, {"a", ""}}));
  EXPECT_EQ(packet->will->qos, QoS::kExactlyOnce);
  EXPECT_TRUE(packet->will->retain);
}

TEST(MqttConnect, Of5MayHaveAPasswordAlone) {
  const Sample<Connect> packet("10 11 0004'MQTT' 05 42 0000 00 0001'a' 0001'p'", k5, kServer);
  EXPECT_EQ(packet->password, "p");
  EXPECT_FALSE(packet->user_name.has_value());
}

TEST(MqttConnAck, BeforeVersion5) {
  EXPECT_TRUE(Sample<ConnAck>("20 02 01 00", k311, kClient)->session_present);
  const std::vector<std::pair<std::string, ReasonCode>> codes = {
      {"20 02 00 01", ReasonCode::kUnsupportedProtocolVersion},
      {"20 02 00 02", ReasonCode::kClientIdentifierNotValid},
      {"20 02 00 03", ReasonCode::kServerUnavailable},
      {"20 02 00 04", ReasonCode::kBadUserNameOrPassword},
      {"20 02 00 05", ReasonCode::kNotAuthorized}};
  for (const auto& [bytes, code] : codes)
    EXPECT_EQ(Sample<ConnAck>(bytes, k311, kClient)->reason, code);
  EXPECT_EQ(Sample<ConnAck>("20 02 00 05", k31, kClient)->reason, ReasonCode::kNotAuthorized);
}

TEST(MqttConnAck, Of5WithEverything) {
  const Sample<ConnAck> packet(
      "20 41 01 00 3e 11 00000e10 21 0064 24 01 25 00 27 00100000 12 0002'id' 22 0005 1f 0002'ok'"
      "28 00 29 00 2a 00 13 001e 1a 0001'r' 1c 0001's' 15 0001'm' 16 0001'd' 26 0001'n' 0001'v'",
      k5, kClient);
  EXPECT_TRUE(packet->session_present);
  EXPECT_EQ(packet->session_expiry_s, 3'600U);
  EXPECT_EQ(packet->receive_maximum, 100);
  EXPECT_EQ(packet->maximum_qos, QoS::kAtLeastOnce);
  EXPECT_FALSE(packet->retain_available);
  EXPECT_EQ(packet->maximum_packet_size, 1U << 20);
  EXPECT_EQ(packet->assigned_client_id, "id");
  EXPECT_EQ(packet->topic_alias_maximum, 5);
  EXPECT_EQ(packet->reason_string, "ok");
  EXPECT_FALSE(packet->wildcard_subscription_available);
  EXPECT_FALSE(packet->subscription_identifier_available);
  EXPECT_FALSE(packet->shared_subscription_available);
  EXPECT_EQ(packet->server_keep_alive_s, 30);
  EXPECT_EQ(packet->response_information, "r");
  EXPECT_EQ(packet->server_reference, "s");
  EXPECT_EQ(packet->authentication_method, "m");
  EXPECT_EQ(packet->authentication_data, "d");
  EXPECT_EQ(user_properties(packet->user_properties), (Pairs{{"n", "v"}}));
}

TEST(MqttConnAck, Of5RefusesWithAnyReason) {
  EXPECT_EQ(Sample<ConnAck>("20 03 00 87 00", k5, kClient)->reason, ReasonCode::kNotAuthorized);
  EXPECT_EQ(Sample<ConnAck>("20 03 00 9f 00", k5, kClient)->reason,
            ReasonCode::kConnectionRateExceeded);
}

TEST(MqttPublish, Of311) {
  const Sample<Publish> plain("30 07 0003'a/b' 'hi'", k311, kServer);
  EXPECT_EQ(plain->topic, "a/b");
  EXPECT_EQ(plain->payload, "hi");
  EXPECT_EQ(plain->qos, QoS::kAtMostOnce);
  EXPECT_EQ(plain->packet_id, 0);
  const Sample<Publish> again("3d 07 0003'a/b' 0102", k311, kServer);
  EXPECT_EQ(again->qos, QoS::kExactlyOnce);
  EXPECT_TRUE(again->dup);
  EXPECT_TRUE(again->retain);
  EXPECT_EQ(again->packet_id, 0x0102);
  EXPECT_EQ(again->payload, "");
  const Sample<Publish> nul("32 07 0001't' ffff 00ff", k31, kClient);
  EXPECT_EQ(nul->payload, std::string_view("\x00\xff", 2));
}

TEST(MqttPublish, Of5WithEverything) {
  const Sample<Publish> packet(
      "32 31 0001't' 0007 28 01 01 02 0000003c 23 0003 08 0003'r/t' 09 0002 00ff 03 0002'ct'"
      "26 0001'a' 0001'1' 26 0001'a' 0001'2' 'pay'",
      k5, kServer);
  EXPECT_EQ(packet->packet_id, 7);
  EXPECT_TRUE(packet->payload_is_utf8);
  EXPECT_EQ(packet->message_expiry_s, 60U);
  EXPECT_EQ(packet->topic_alias, 3);
  EXPECT_EQ(packet->response_topic, "r/t");
  EXPECT_EQ(packet->correlation_data, std::string_view("\x00\xff", 2));
  EXPECT_EQ(packet->content_type, "ct");
  EXPECT_EQ(user_properties(packet->repeated), (Pairs{{"a", "1"}, {"a", "2"}}));
  EXPECT_EQ(packet->payload, "pay");
}

TEST(MqttPublish, Of5WithOnlyAnAlias) {
  const Sample<Publish> packet("30 07 0000 03 230001 'p'", k5, kServer);
  EXPECT_EQ(packet->topic, "");
  EXPECT_EQ(packet->topic_alias, 1);
}

TEST(MqttPublish, OfAServerMayHaveManySubscriptionIdentifiers) {
  const Sample<Publish> packet("30 0a 0001't' 06 0b01 0b ffff7f", k5, kClient);
  std::vector<std::uint32_t> ids;
  packet->repeated.for_each_subscription_id([&](std::uint32_t id) { ids.push_back(id); });
  EXPECT_EQ(ids, (std::vector<std::uint32_t>{1, 2'097'151}));
}

TEST(MqttPublish, OfAClientIsForwardedWithOurIdentifiersAndItsUserProperties) {
  const std::string bytes = hex("30 11 0001't' 0c 230001 26 0001'k' 0001'v' 0101 'p'");
  auto packet = decode_publish(bytes, k5, kServer);
  ASSERT_TRUE(packet.has_value()) << packet.error().text();
  const std::vector<std::uint32_t> ids = {300, 1};
  packet->topic_alias = 0;
  packet->subscription_ids = ids;
  std::string out;
  encode(*packet, k5, out);
  EXPECT_EQ(out, hex("30 13 0001't' 0e 0101 0b ac02 0b01 26 0001'k' 0001'v' 'p'"));
  EXPECT_EQ(out.size(), encoded_size(*packet, k5));
  // To a subscriber of version 3.1.1 the properties are left out.
  out.clear();
  encode(*packet, k311, out);
  EXPECT_EQ(out, hex("30 04 0001't' 'p'"));
  EXPECT_EQ(out.size(), encoded_size(*packet, k311));
}

TEST(MqttPublish, ItsHeadStandsWithoutThePayload) {
  Publish packet;
  packet.topic = "t";
  const std::string payload(300, 'x');
  packet.payload = payload;
  std::string head;
  encode_publish_head(packet, k311, head);
  EXPECT_EQ(head, hex("30 af02 0001't'"));
}

TEST(MqttPublish, OneEncodingServesManySubscribers) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1'000}}) {
    Publish packet{.qos = QoS::kAtLeastOnce, .packet_id = 1, .topic = "a/b", .payload = {}};
    const std::string payload(size, 'x');
    packet.payload = payload;
    std::string frame;
    encode(packet, k5, frame);
    set_publish_packet_id(frame, 0xabcd);
    set_publish_dup(frame, true);
    const auto decoded = decode_publish(frame, k5, kClient);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->packet_id, 0xabcd);
    EXPECT_TRUE(decoded->dup);
    EXPECT_EQ(decoded->topic, "a/b");
    set_publish_dup(frame, false);
    EXPECT_FALSE(decode_publish(frame, k5, kClient)->dup);
  }
}

TEST(MqttAcknowledgements, BeforeVersion5HaveOnlyAnIdentifier) {
  for (const auto& [bytes, type] :
       std::vector<std::pair<std::string, PacketType>>{{"40 02 0102", PacketType::kPubAck},
                                                       {"50 02 0102", PacketType::kPubRec},
                                                       {"62 02 0102", PacketType::kPubRel},
                                                       {"70 02 0102", PacketType::kPubComp}}) {
    for (const Receiver receiver : {kServer, kClient}) {
      const Sample<Ack> packet(bytes, k311, receiver);
      EXPECT_EQ(packet->type, type);
      EXPECT_EQ(packet->packet_id, 0x0102);
      EXPECT_EQ(packet->reason, ReasonCode::kSuccess);
    }
    EXPECT_EQ(Sample<Ack>(bytes, k5, kServer)->type, type) << "success in its short form";
  }
}

TEST(MqttAcknowledgements, Of5HaveReasonsAndProperties) {
  EXPECT_EQ(Sample<Ack>("40 03 0001 10", k5, kClient)->reason, ReasonCode::kNoMatchingSubscribers);
  EXPECT_EQ(Sample<Ack>("50 03 0001 97", k5, kClient)->reason, ReasonCode::kQuotaExceeded);
  EXPECT_EQ(Sample<Ack>("62 03 0001 92", k5, kServer)->reason,
            ReasonCode::kPacketIdentifierNotFound);
  EXPECT_EQ(Sample<Ack>("70 03 0001 92", k5, kClient)->reason,
            ReasonCode::kPacketIdentifierNotFound);
  const Sample<Ack> packet("40 10 0001 99 0c 1f 0002'no' 26 0001'k' 0001'v'", k5, kClient);
  EXPECT_EQ(packet->reason, ReasonCode::kPayloadFormatInvalid);
  EXPECT_EQ(packet->reason_string, "no");
  EXPECT_EQ(user_properties(packet->user_properties), (Pairs{{"k", "v"}}));
}

TEST(MqttAcknowledgements, OfVersion31MayRepeatPubRelWithDup) {
  const auto packet = decode(hex("6a 02 0001"), k31, kServer);
  ASSERT_TRUE(packet.has_value());
  EXPECT_EQ(std::get<Ack>(*packet).type, PacketType::kPubRel);
}

TEST(MqttSubscribe, Of311) {
  // MQTT 3.1.1, figure 3.23.
  const Sample<Subscribe> packet("82 0e 000a 0003'a/b' 01 0003'c/d' 02", k311, kServer);
  EXPECT_EQ(packet->packet_id, 10);
  ASSERT_EQ(packet->subscriptions.size(), 2U);
  std::vector<Subscription> list;
  packet->subscriptions.for_each([&](const Subscription& one) { list.push_back(one); });
  EXPECT_EQ(list, (std::vector<Subscription>{{.filter = "a/b", .maximum_qos = QoS::kAtLeastOnce},
                                             {.filter = "c/d", .maximum_qos = QoS::kExactlyOnce}}));
}

TEST(MqttSubscribe, Of5WithEverything) {
  const Sample<Subscribe> packet(
      "82 20 000a 0a 0b ac02 26 0001'k' 0001'v' 0003'a/#' 2e 000a'$share/g/b' 19", k5, kServer);
  EXPECT_EQ(packet->subscription_id, 300U);
  EXPECT_EQ(user_properties(packet->user_properties), (Pairs{{"k", "v"}}));
  std::vector<Subscription> list;
  packet->subscriptions.for_each([&](const Subscription& one) { list.push_back(one); });
  EXPECT_EQ(list, (std::vector<Subscription>{{.filter = "a/#",
                                              .maximum_qos = QoS::kExactlyOnce,
                                              .no_local = true,
                                              .retain_as_published = true,
                                              .retain_handling = RetainHandling::kDoNotSend},
                                             {.filter = "$share/g/b",
                                              .maximum_qos = QoS::kAtLeastOnce,
                                              .no_local = false,
                                              .retain_as_published = true,
                                              .retain_handling = RetainHandling::kSendIfNew}}));
}

TEST(MqttSubscribe, IsBuiltFromItsParts) {
  std::string list;
  SubscriptionList::append({.filter = "a/b", .maximum_qos = QoS::kAtLeastOnce}, list);
  SubscriptionList::append({.filter = "c/d", .maximum_qos = QoS::kExactlyOnce}, list);
  std::string out;
  encode(Subscribe{.packet_id = 10, .subscriptions = SubscriptionList(list, 2)}, k311, out);
  EXPECT_EQ(out, hex("82 0e 000a 0003'a/b' 01 0003'c/d' 02"));
}

TEST(MqttSubAck, OfBothVersions) {
  EXPECT_EQ(Sample<SubAck>("90 06 000a 00 01 02 80", k311, kClient)->codes,
            std::string_view("\x00\x01\x02\x80", 4));
  const Sample<SubAck> packet("90 08 000a 04 1f 0001'r' 9e", k5, kClient);
  EXPECT_EQ(packet->codes, "\x9e");
  EXPECT_EQ(packet->reason_string, "r");
  std::string out;
  encode(SubAck{.packet_id = 1, .codes = "\x01\x87"}, k311, out);
  EXPECT_EQ(out, hex("90 04 0001 01 80")) << "3.1.1 knows one error";
}

TEST(MqttUnsubscribe, OfBothVersions) {
  const Sample<Unsubscribe> old("a2 0c 000a 0003'a/b' 0003'c/d'", k311, kServer);
  std::vector<std::string> filters;
  old->filters.for_each([&](std::string_view filter) { filters.emplace_back(filter); });
  EXPECT_EQ(filters, (std::vector<std::string>{"a/b", "c/d"}));
  const Sample<Unsubscribe> packet("a2 0d 000a 07 26 0001'k' 0001'v' 0001'#'", k5, kServer);
  EXPECT_EQ(packet->filters.size(), 1U);
  EXPECT_EQ(user_properties(packet->user_properties), (Pairs{{"k", "v"}}));
}

TEST(MqttUnsubAck, OfBothVersions) {
  const Sample<SubAck> old("b0 02 000a", k311, kClient);
  EXPECT_EQ(old->type, PacketType::kUnsubAck);
  EXPECT_EQ(old->packet_id, 10);
  const Sample<SubAck> packet("b0 05 000a 00 00 11", k5, kClient);
  EXPECT_EQ(packet->codes, std::string_view("\x00\x11", 2));
}

TEST(MqttPing, OfBothVersions) {
  for (const Version version : {k31, k311, k5}) {
    const Sample<PingReq> request("c0 00", version, kServer);
    const Sample<PingResp> response("d0 00", version, kClient);
  }
}

TEST(MqttDisconnect, OfBothVersions) {
  EXPECT_EQ(Sample<Disconnect>("e0 00", k311, kServer)->reason, ReasonCode::kSuccess);
  EXPECT_EQ(Sample<Disconnect>("e0 00", k5, kServer)->reason, ReasonCode::kSuccess);
  EXPECT_EQ(Sample<Disconnect>("e0 01 04", k5, kServer)->reason, ReasonCode::kDisconnectWithWill);
  const Sample<Disconnect> from_client("e0 0b 00 09 11 0000000a 1f 0001'r'", k5, kServer);
  EXPECT_EQ(from_client->session_expiry_s, 10U);
  EXPECT_EQ(from_client->reason_string, "r");
  const Sample<Disconnect> from_server("e0 0d 9c 0b 1c 0001's' 26 0001'k' 0001'v'", k5, kClient);
  EXPECT_EQ(from_server->reason, ReasonCode::kUseAnotherServer);
  EXPECT_EQ(from_server->server_reference, "s");
  EXPECT_EQ(user_properties(from_server->user_properties), (Pairs{{"k", "v"}}));
}

TEST(MqttAuth, OfVersion5) {
  const Sample<Auth> packet("f0 15 18 13 15 0001'm' 16 0001'd' 1f 0001'r' 26 0001'k' 0001'v'", k5,
                            kServer);
  EXPECT_EQ(packet->reason, ReasonCode::kContinueAuthentication);
  EXPECT_EQ(packet->authentication_method, "m");
  EXPECT_EQ(packet->authentication_data, "d");
  EXPECT_EQ(packet->reason_string, "r");
  EXPECT_EQ(Sample<Auth>("f0 06 19 04 15 0001'm'", k5, kServer)->reason,
            ReasonCode::kReauthenticate);
  EXPECT_EQ(Sample<Auth>("f0 00", k5, kClient)->reason, ReasonCode::kSuccess);
}

TEST(MqttReason, NamesEveryCode) {
  EXPECT_EQ(name(ReasonCode::kPayloadFormatInvalid), "Payload format invalid");
  EXPECT_EQ(name(static_cast<ReasonCode>(0x7f)), "unknown reason code");
  EXPECT_TRUE(is_error(ReasonCode::kUnspecifiedError));
  EXPECT_FALSE(is_error(ReasonCode::kReauthenticate));
  EXPECT_EQ(connect_return_code(ReasonCode::kQuotaExceeded), 3);
}

}  // namespace
}  // namespace millrace::wire::mqtt
