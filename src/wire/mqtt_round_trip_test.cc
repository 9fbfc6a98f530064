// For any packet: decode(encode(packet)) == packet, in every version that knows its fields; and
// what a cut or a changed byte makes of it never reads outside and never decodes to something that
// does not encode again.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>

#include "wire/mqtt.h"

namespace millrace::wire::mqtt {
namespace {

using Text = std::optional<std::string_view>;

/// Random fields; keeps the strings that the packets look into.
class Fields {
 public:
  bool flag() { return *rc::gen::arbitrary<bool>(); }
  std::uint16_t u16() { return *rc::gen::arbitrary<std::uint16_t>(); }
  std::uint16_t id() { return *rc::gen::inRange<std::uint16_t>(1, 0xffff); }
  std::uint32_t u32() { return *rc::gen::arbitrary<std::uint32_t>(); }
  std::uint32_t below(std::uint32_t end) { return *rc::gen::inRange<std::uint32_t>(0, end); }
  std::string_view binary() { return keep(*rc::gen::arbitrary<std::string>()); }
  std::string_view text() {
    static const std::vector<std::string> pieces = {"a", "B", "/", "é", "€", "💡", " ", "$"};
    std::string out;
    for (const auto piece : *rc::gen::container<std::vector<std::size_t>>(
             rc::gen::inRange<std::size_t>(0, pieces.size())))
      out += pieces[piece];
    return keep(out);
  }
  std::string_view topic() { return keep("t" + std::string(text())); }
  Text maybe_text() { return flag() ? Text(text()) : std::nullopt; }
  Text maybe_topic() { return flag() ? Text(topic()) : std::nullopt; }
  Text maybe_binary() { return flag() ? Text(binary()) : std::nullopt; }
  std::optional<std::uint32_t> maybe_u32() { return flag() ? std::optional(u32()) : std::nullopt; }
  RepeatedProperties user_properties() {
    std::string bytes;
    for (std::uint32_t left = below(4); left > 0; --left)
      append_user_property(text(), text(), bytes);
    return RepeatedProperties(keep(bytes));
  }
  ReasonCode one_of(std::initializer_list<ReasonCode> codes) {
    return *rc::gen::elementOf(std::vector<ReasonCode>(codes));
  }
  std::string_view keep(std::string value) { return kept_.emplace_back(std::move(value)); }

 private:
  std::deque<std::string> kept_;
};

Will any_will(Fields& f, bool v5) {
  Will will;
  will.topic = f.topic();
  will.payload = f.binary();
  will.qos = static_cast<QoS>(f.below(3));
  will.retain = f.flag();
  if (!v5) return will;
  will.delay_s = f.u32();
  will.payload_is_utf8 = f.flag();
  will.message_expiry_s = f.maybe_u32();
  will.content_type = f.maybe_text();
  will.response_topic = f.maybe_topic();
  will.correlation_data = f.maybe_binary();
  will.user_properties = f.user_properties();
  return will;
}

Packet any_connect(Fields& f, Version version) {
  const bool v5 = version == Version::k5;
  Connect packet;
  packet.version = version;
  packet.clean_start = f.flag();
  packet.keep_alive_s = f.u16();
  packet.client_id = f.topic();
  if (f.flag()) packet.will = any_will(f, v5);
  packet.user_name = f.maybe_text();
  if (packet.user_name || v5) packet.password = f.maybe_binary();
  if (!v5) return packet;
  packet.session_expiry_s = f.u32();
  packet.receive_maximum = f.id();
  packet.maximum_packet_size = f.u32();
  packet.topic_alias_maximum = f.u16();
  packet.request_response_information = f.flag();
  packet.request_problem_information = f.flag();
  packet.authentication_method = f.maybe_text();
  if (packet.authentication_method) packet.authentication_data = f.maybe_binary();
  packet.user_properties = f.user_properties();
  return packet;
}

Packet any_connack(Fields& f, Version version) {
  ConnAck packet;
  packet.session_present = version != Version::k31 && f.flag();
  if (!packet.session_present)
    packet.reason = f.one_of(
        {ReasonCode::kSuccess, ReasonCode::kNotAuthorized, ReasonCode::kServerUnavailable});
  if (version != Version::k5) return packet;
  packet.session_expiry_s = f.maybe_u32();
  packet.receive_maximum = f.id();
  packet.maximum_qos = static_cast<QoS>(f.below(3));
  packet.retain_available = f.flag();
  packet.maximum_packet_size = f.u32();
  packet.assigned_client_id = f.maybe_text();
  packet.topic_alias_maximum = f.u16();
  packet.reason_string = f.maybe_text();
  packet.wildcard_subscription_available = f.flag();
  packet.subscription_identifier_available = f.flag();
  packet.shared_subscription_available = f.flag();
  if (f.flag()) packet.server_keep_alive_s = f.u16();
  packet.response_information = f.maybe_text();
  packet.server_reference = f.maybe_text();
  packet.authentication_method = f.maybe_text();
  packet.authentication_data = f.maybe_binary();
  packet.user_properties = f.user_properties();
  return packet;
}

Publish any_publish(Fields& f, Version version) {
  Publish packet;
  packet.qos = static_cast<QoS>(f.below(3));
  packet.retain = f.flag();
  if (packet.qos != QoS::kAtMostOnce) {
    packet.dup = f.flag();
    packet.packet_id = f.id();
  }
  packet.topic = f.topic();
  packet.payload = f.binary();
  if (version != Version::k5) return packet;
  packet.payload_is_utf8 = f.flag();
  packet.message_expiry_s = f.maybe_u32();
  packet.topic_alias = f.u16();
  if (packet.topic_alias != 0 && f.flag()) packet.topic = {};
  packet.response_topic = f.maybe_topic();
  packet.correlation_data = f.maybe_binary();
  packet.content_type = f.maybe_text();
  packet.repeated = f.user_properties();
  return packet;
}

Packet any_ack(Fields& f, Version version) {
  Ack packet;
  packet.type = static_cast<PacketType>(4 + f.below(4));
  packet.packet_id = f.id();
  if (version != Version::k5) return packet;
  packet.reason = static_cast<unsigned>(packet.type) < 6
                      ? f.one_of({ReasonCode::kSuccess, ReasonCode::kNoMatchingSubscribers,
                                  ReasonCode::kPayloadFormatInvalid})
                      : f.one_of({ReasonCode::kSuccess, ReasonCode::kPacketIdentifierNotFound});
  packet.reason_string = f.maybe_text();
  packet.user_properties = f.user_properties();
  return packet;
}

Packet any_subscribe(Fields& f, Version version) {
  const bool v5 = version == Version::k5;
  std::string list;
  const std::uint32_t count = 1 + f.below(3);
  for (std::uint32_t i = 0; i < count; ++i) {
    Subscription one{.filter = f.topic(), .maximum_qos = static_cast<QoS>(f.below(3))};
    if (v5) {
      one.no_local = f.flag();
      one.retain_as_published = f.flag();
      one.retain_handling = static_cast<RetainHandling>(f.below(3));
    }
    SubscriptionList::append(one, list);
  }
  Subscribe packet{.packet_id = f.id(), .subscriptions = {f.keep(list), count}};
  if (!v5) return packet;
  packet.subscription_id = f.below(268'435'456);
  packet.user_properties = f.user_properties();
  return packet;
}

Packet any_unsubscribe(Fields& f, Version version) {
  std::string list;
  const std::uint32_t count = 1 + f.below(3);
  for (std::uint32_t i = 0; i < count; ++i) FilterList::append(f.topic(), list);
  Unsubscribe packet{.packet_id = f.id(), .filters = {f.keep(list), count}};
  if (version == Version::k5) packet.user_properties = f.user_properties();
  return packet;
}

Packet any_suback(Fields& f, Version version) {
  SubAck packet;
  packet.type = f.flag() ? PacketType::kSubAck : PacketType::kUnsubAck;
  packet.packet_id = f.id();
  const bool v5 = version == Version::k5;
  if (packet.type == PacketType::kSubAck)
    packet.codes = f.keep(std::string("\x00\x02\x80", 3));
  else if (v5)
    packet.codes = f.keep(std::string("\x00\x11\x8f", 3));
  if (!v5) return packet;
  packet.reason_string = f.maybe_text();
  packet.user_properties = f.user_properties();
  return packet;
}

Packet any_disconnect(Fields& f, Version version, Receiver receiver) {
  Disconnect packet;
  if (version != Version::k5) return packet;
  packet.reason = f.one_of({ReasonCode::kSuccess, ReasonCode::kProtocolError});
  packet.reason_string = f.maybe_text();
  packet.user_properties = f.user_properties();
  if (receiver == Receiver::kServer)
    packet.session_expiry_s = f.maybe_u32();
  else
    packet.server_reference = f.maybe_text();
  return packet;
}

Packet any_auth(Fields& f) {
  Auth packet;
  packet.reason = ReasonCode::kContinueAuthentication;
  packet.authentication_method = f.text();
  packet.authentication_data = f.maybe_binary();
  packet.reason_string = f.maybe_text();
  packet.user_properties = f.user_properties();
  return packet;
}

Packet any_packet(Fields& f, Version version, Receiver receiver) {
  const bool to_server = receiver == Receiver::kServer;
  switch (f.below(version == Version::k5 ? 7 : 6)) {
    case 0:
      return to_server ? any_connect(f, version) : any_connack(f, version);
    case 1:
      return any_publish(f, version);
    case 2:
      return any_ack(f, version);
    case 3:
      return to_server ? any_subscribe(f, version) : any_suback(f, version);
    case 4:
      return to_server ? any_unsubscribe(f, version) : Packet(PingResp{});
    case 5:
      if (version != Version::k5 && !to_server) return PingResp{};
      return any_disconnect(f, version, receiver);
    default:
      return any_auth(f);
  }
}

std::vector<std::uint32_t> subscription_ids(const Publish& packet) {
  std::vector<std::uint32_t> ids;
  packet.repeated.for_each_subscription_id([&](std::uint32_t id) { ids.push_back(id); });
  return ids;
}

bool same(const Publish& a, const Publish& b) {
  return a.qos == b.qos && a.dup == b.dup && a.retain == b.retain && a.packet_id == b.packet_id &&
         a.topic == b.topic && a.payload == b.payload && a.payload_is_utf8 == b.payload_is_utf8 &&
         a.message_expiry_s == b.message_expiry_s && a.topic_alias == b.topic_alias &&
         a.response_topic == b.response_topic && a.correlation_data == b.correlation_data &&
         a.content_type == b.content_type && a.repeated == b.repeated &&
         subscription_ids(a) == subscription_ids(b);
}

bool same(const Packet& a, const Packet& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& one) {
        const auto& other = std::get<std::decay_t<decltype(one)>>(b);
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Publish>)
          return same(one, other);
        else
          return one == other;
      },
      a);
}

Version any_version() { return *rc::gen::element(Version::k31, Version::k311, Version::k5); }
Receiver any_receiver() { return *rc::gen::element(Receiver::kServer, Receiver::kClient); }

RC_GTEST_PROP(MqttRoundTrip, GivesThePacketBack, ()) {
  const Version version = any_version();
  const Receiver receiver = any_receiver();
  Fields fields;
  const Packet packet = any_packet(fields, version, receiver);
  std::string bytes;
  encode(packet, version, bytes);
  const Frame frame = try_frame(bytes + "next", kMaxPacketBytes);
  RC_ASSERT(frame.size == bytes.size());
  const auto decoded = decode(bytes, version, receiver);
  if (!decoded) RC_FAIL(decoded.error().text());
  RC_ASSERT(same(*decoded, packet));
}

RC_GTEST_PROP(MqttRoundTrip, AnnouncesTheSizeOfAPublish, ()) {
  const Version version = any_version();
  Fields fields;
  Publish packet = any_publish(fields, version);
  const std::vector<std::uint32_t> ids = {1, 300, 70'000};
  packet.subscription_ids = ids;
  std::string bytes;
  encode(packet, version, bytes);
  RC_ASSERT(bytes.size() == encoded_size(packet, version));
  std::string head;
  encode_publish_head(packet, version, head);
  RC_ASSERT(head + std::string(packet.payload) == bytes);
}

RC_GTEST_PROP(MqttRoundTrip, SurvivesAChangedByte, ()) {
  const Version version = any_version();
  const Receiver receiver = any_receiver();
  Fields fields;
  std::string bytes;
  encode(any_packet(fields, version, receiver), version, bytes);
  const auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  const Frame frame = try_frame(bytes, kMaxPacketBytes);
  if (frame.state != Frame::State::kComplete) return;
  const auto decoded = decode(frame.bytes, version, receiver);
  if (!decoded) {
    RC_ASSERT(!decoded.error().clause.empty());
    return;
  }
  const auto* connect = std::get_if<Connect>(&*decoded);
  const Version spoken = connect != nullptr ? connect->version : version;
  std::string again;
  encode(*decoded, spoken, again);
  const auto twice = decode(again, spoken, receiver);
  if (!twice) RC_FAIL(twice.error().text());
  RC_ASSERT(same(*twice, *decoded));
}

}  // namespace
}  // namespace millrace::wire::mqtt
