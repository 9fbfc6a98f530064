// Framing, and the decoders of all packets but CONNECT and CONNACK.
#include <algorithm>
#include <initializer_list>

#include "wire/mqtt.h"
#include "wire/mqtt_reader.h"
#include "wire/mqtt_varint.h"

namespace millrace::wire::mqtt {
namespace {

std::unexpected<Violation> violated(ReasonCode reason, std::string_view clause,
                                    std::string_view what) {
  return std::unexpected(
      Violation{.reason = reason, .clause = clause, .what = what, .version = {}});
}

Frame malformed_frame(std::string_view clause, std::string_view what) {
  Frame frame;
  frame.state = Frame::State::kMalformed;
  frame.violation = {
      .reason = ReasonCode::kMalformedPacket, .clause = clause, .what = what, .version = {}};
  return frame;
}

/// What remains after the fixed header; the frame came from try_frame, or is refused here.
Decoded<std::string_view> body_of(std::string_view frame) {
  if (!frame.empty()) {
    const Varint length = read_varint(frame.substr(1));
    if (length.state == Varint::State::kComplete &&
        frame.size() == 1 + length.size + std::size_t{length.value})
      return frame.substr(1 + length.size);
  }
  return violated(ReasonCode::kMalformedPacket, "MQTT 5 2.1.4", "bytes that are no whole packet");
}

std::uint8_t flags_of(std::string_view frame) {
  return static_cast<std::uint8_t>(static_cast<unsigned char>(frame[0]) & 0x0f);
}
PacketType type_of(std::string_view frame) {
  return static_cast<PacketType>(static_cast<unsigned char>(frame[0]) >> 4);
}

/// The clause for wrong flags in the fixed header of this packet.
std::string_view flags_clause(PacketType type, Version version) {
  const bool v5 = version == Version::k5;
  switch (type) {
    case PacketType::kPubRel:
      return "[MQTT-3.6.1-1]";
    case PacketType::kSubscribe:
      return "[MQTT-3.8.1-1]";
    case PacketType::kUnsubscribe:
      return "[MQTT-3.10.1-1]";
    case PacketType::kDisconnect:
      return "[MQTT-3.14.1-1]";
    case PacketType::kAuth:
      return "[MQTT-3.15.1-1]";
    default:
      return v5 ? "[MQTT-2.1.3-1]" : "[MQTT-2.2.2-1]";
  }
}

/// PUBLISH has flags of its own. Version 3.1 leaves the others open: there PUBREL, SUBSCRIBE and
/// UNSUBSCRIBE may carry DUP, and the rest is "not used".
bool flags_allowed(PacketType type, std::uint8_t flags, Version version) {
  if (type == PacketType::kPublish || version == Version::k31) return true;
  const bool two = type == PacketType::kPubRel || type == PacketType::kSubscribe ||
                   type == PacketType::kUnsubscribe;
  return flags == (two ? 2 : 0);
}

bool flows_to(Receiver receiver, PacketType type) {
  switch (type) {
    case PacketType::kConnect:
    case PacketType::kSubscribe:
    case PacketType::kUnsubscribe:
    case PacketType::kPingReq:
      return receiver == Receiver::kServer;
    case PacketType::kConnAck:
    case PacketType::kSubAck:
    case PacketType::kUnsubAck:
    case PacketType::kPingResp:
      return receiver == Receiver::kClient;
    default:
      return true;
  }
}

template <class T>
Decoded<T> finished(Reader& reader, const T& packet) {
  reader.expect_end();
  if (!reader.ok()) return std::unexpected(reader.violation());
  return packet;
}

bool is_one_of(ReasonCode code, std::initializer_list<ReasonCode> codes) {
  return std::ranges::find(codes, code) != codes.end();
}

// --- PUBLISH ------------------------------------------------------------------------------------

void take_publish_property(Reader& reader, const Property& property, Publish& packet) {
  switch (property.id) {
    case PropertyId::kPayloadFormatIndicator:
      packet.payload_is_utf8 = property.number == 1;
      return;
    case PropertyId::kMessageExpiryInterval:
      packet.message_expiry_s = property.number;
      return;
    case PropertyId::kContentType:
      packet.content_type = property.text;
      return;
    case PropertyId::kResponseTopic:
      packet.response_topic = property.text;
      return;
    case PropertyId::kCorrelationData:
      packet.correlation_data = property.text;
      return;
    case PropertyId::kTopicAlias:
      packet.topic_alias = static_cast<std::uint16_t>(property.number);
      return;
    default:  // the subscription identifier, which stays in `repeated`
      if (reader.receiver() == Receiver::kServer)
        reader.protocol_error("[MQTT-3.3.4-6]", "a PUBLISH of a client with a subscription id");
      return;
  }
}

void check_publish_topic(Reader& reader, const Publish& packet) {
  if (!reader.ok()) return;
  if (packet.topic.empty()) {
    if (!reader.is_v5())
      reader.malformed("[MQTT-4.7.3-1]", "a PUBLISH without a topic");
    else if (packet.topic_alias == 0)
      reader.protocol_error("MQTT 5 3.3.2.1", "a PUBLISH with neither topic nor topic alias");
  } else if (auto bad = check_topic_name(packet.topic, reader.version())) {
    reader.reject(*bad);
  }
}

Decoded<Publish> publish_of(std::string_view frame, std::string_view body, Version version,
                            Receiver receiver) {
  const std::uint8_t flags = flags_of(frame);
  const std::uint8_t qos = flags >> 1 & 3;
  if (qos == 3)
    return violated(ReasonCode::kMalformedPacket, "[MQTT-3.3.1-4]", "a PUBLISH of QoS 3");
  Publish packet;
  packet.qos = static_cast<QoS>(qos);
  packet.dup = (flags & 8) != 0;
  packet.retain = (flags & 1) != 0;
  if (packet.dup && qos == 0)
    return violated(ReasonCode::kMalformedPacket, "[MQTT-3.3.1-2]", "a PUBLISH of QoS 0 with DUP");
  Reader reader(body, version, receiver);
  packet.topic = reader.binary();
  if (qos != 0) packet.packet_id = reader.packet_id();
  packet.repeated = reader.properties(PropertyScope::kPublish, [&](const Property& property) {
    take_publish_property(reader, property, packet);
  });
  check_publish_topic(reader, packet);
  packet.payload = reader.take_rest();
  return finished(reader, packet);
}

// --- Acknowledgements ---------------------------------------------------------------------------

void check_ack_reason(Reader& reader, const Ack& packet) {
  using enum ReasonCode;
  const bool first = packet.type == PacketType::kPubAck || packet.type == PacketType::kPubRec;
  const bool known =
      first ? is_one_of(packet.reason,
                        {kSuccess, kNoMatchingSubscribers, kUnspecifiedError,
                         kImplementationSpecificError, kNotAuthorized, kTopicNameInvalid,
                         kPacketIdentifierInUse, kQuotaExceeded, kPayloadFormatInvalid})
            : is_one_of(packet.reason, {kSuccess, kPacketIdentifierNotFound});
  if (known) return;
  const std::string_view clause = packet.type == PacketType::kPubAck   ? "[MQTT-3.4.2-1]"
                                  : packet.type == PacketType::kPubRec ? "[MQTT-3.5.2-1]"
                                  : packet.type == PacketType::kPubRel ? "[MQTT-3.6.2-1]"
                                                                       : "[MQTT-3.7.2-1]";
  reader.protocol_error(clause, "an acknowledgement with a reason code that it cannot have");
}

Decoded<Packet> decode_ack(Reader& reader, PacketType type) {
  Ack packet;
  packet.type = type;
  packet.packet_id = reader.packet_id();
  if (reader.is_v5() && !reader.at_end()) {
    packet.reason = static_cast<ReasonCode>(reader.u8());
    check_ack_reason(reader, packet);
    if (!reader.at_end())
      packet.user_properties = reader.properties(
          static_cast<PropertyScope>(type),
          [&](const Property& property) { packet.reason_string = property.text; });
  }
  return finished<Packet>(reader, packet);
}

void check_granted(Reader& reader, const SubAck& packet) {
  using enum ReasonCode;
  for (const char c : packet.codes) {
    const auto code = static_cast<ReasonCode>(c);
    bool known = false;
    if (!reader.is_v5())
      known = is_one_of(code, {kSuccess, kGrantedQos1, kGrantedQos2, kUnspecifiedError});
    else if (packet.type == PacketType::kSubAck)
      known = is_one_of(code,
                        {kSuccess, kGrantedQos1, kGrantedQos2, kUnspecifiedError,
                         kImplementationSpecificError, kNotAuthorized, kTopicFilterInvalid,
                         kPacketIdentifierInUse, kQuotaExceeded, kSharedSubscriptionsNotSupported,
                         kSubscriptionIdentifiersNotSupported, kWildcardSubscriptionsNotSupported});
    else
      known = is_one_of(
          code, {kSuccess, kNoSubscriptionExisted, kUnspecifiedError, kImplementationSpecificError,
                 kNotAuthorized, kTopicFilterInvalid, kPacketIdentifierInUse});
    if (!known)
      return reader.protocol_error(packet.type == PacketType::kSubAck
                                       ? reader.clause("[MQTT-3.9.3-2]", "[MQTT-3.9.3-2]")
                                       : "[MQTT-3.11.3-2]",
                                   "a code for a topic filter that does not exist");
  }
}

Decoded<Packet> decode_suback(Reader& reader, PacketType type) {
  SubAck packet;
  packet.type = type;
  packet.packet_id = reader.packet_id();
  packet.user_properties =
      reader.properties(static_cast<PropertyScope>(type),
                        [&](const Property& property) { packet.reason_string = property.text; });
  if (type == PacketType::kSubAck || reader.is_v5()) packet.codes = reader.take_rest();
  check_granted(reader, packet);
  return finished<Packet>(reader, packet);
}

// --- SUBSCRIBE, UNSUBSCRIBE ---------------------------------------------------------------------

std::string_view checked_filter(Reader& reader) {
  const std::string_view filter = reader.binary();
  if (!reader.ok()) return {};
  if (auto bad = check_topic_filter(filter, reader.version())) reader.reject(*bad);
  return filter;
}

void check_options(Reader& reader, std::string_view filter, std::uint8_t options) {
  const bool reserved = reader.is_v5() ? (options & 0xc0) != 0 : (options & 0xfc) != 0;
  if (reserved || (options & 3) == 3)
    return reader.malformed(reader.clause("[MQTT-3-8.3-4]", "[MQTT-3.8.3-5]"),
                            "subscription options with QoS 3 or a reserved bit");
  if ((options & 0x30) == 0x30)
    return reader.protocol_error("MQTT 5 3.8.3.1", "a subscription with retain handling 3");
  if ((options & 4) != 0 && shared_filter(filter))
    reader.protocol_error("[MQTT-3.8.3-4]", "a shared subscription with No Local");
}

Decoded<Packet> decode_subscribe(Reader& reader) {
  Subscribe packet;
  packet.packet_id = reader.packet_id();
  packet.user_properties = reader.properties(
      PropertyScope::kSubscribe,
      [&](const Property& property) { packet.subscription_id = property.number; });
  const std::string_view list = reader.rest();
  std::size_t count = 0;
  for (; reader.ok() && !reader.at_end(); ++count) {
    const std::string_view filter = checked_filter(reader);
    check_options(reader, filter, reader.u8());
  }
  if (count == 0 && reader.ok())
    reader.protocol_error(reader.clause("[MQTT-3.8.3-3]", "[MQTT-3.8.3-2]"),
                          "a SUBSCRIBE without a topic filter");
  packet.subscriptions = SubscriptionList(list, count);
  return finished<Packet>(reader, packet);
}

Decoded<Packet> decode_unsubscribe(Reader& reader) {
  Unsubscribe packet;
  packet.packet_id = reader.packet_id();
  packet.user_properties = reader.properties(PropertyScope::kUnsubscribe, [](const Property&) {});
  const std::string_view list = reader.rest();
  std::size_t count = 0;
  for (; reader.ok() && !reader.at_end(); ++count) checked_filter(reader);
  if (count == 0 && reader.ok())
    reader.protocol_error("[MQTT-3.10.3-2]", "an UNSUBSCRIBE without a topic filter");
  packet.filters = FilterList(list, count);
  return finished<Packet>(reader, packet);
}

// --- DISCONNECT, AUTH ---------------------------------------------------------------------------

/// MQTT 5, table 3-10, column "Sent by".
bool may_disconnect_with(ReasonCode code, Receiver receiver) {
  using enum ReasonCode;
  if (is_one_of(code, {kSuccess, kUnspecifiedError, kMalformedPacket, kProtocolError,
                       kImplementationSpecificError, kTopicNameInvalid, kReceiveMaximumExceeded,
                       kTopicAliasInvalid, kPacketTooLarge, kMessageRateTooHigh, kQuotaExceeded,
                       kAdministrativeAction, kPayloadFormatInvalid}))
    return true;
  if (receiver == Receiver::kServer) return code == kDisconnectWithWill;
  return is_one_of(
      code,
      {kNotAuthorized, kServerBusy, kServerShuttingDown, kKeepAliveTimeout, kSessionTakenOver,
       kTopicFilterInvalid, kRetainNotSupported, kQosNotSupported, kUseAnotherServer, kServerMoved,
       kSharedSubscriptionsNotSupported, kConnectionRateExceeded, kMaximumConnectTime,
       kSubscriptionIdentifiersNotSupported, kWildcardSubscriptionsNotSupported});
}

void take_disconnect_property(Reader& reader, const Property& property, Disconnect& packet) {
  switch (property.id) {
    case PropertyId::kSessionExpiryInterval:
      packet.session_expiry_s = property.number;
      if (reader.receiver() == Receiver::kClient)
        reader.protocol_error("[MQTT-3.14.2-2]", "a DISCONNECT of a server with a session expiry");
      return;
    case PropertyId::kServerReference:
      packet.server_reference = property.text;
      if (reader.receiver() == Receiver::kServer)
        reader.protocol_error("MQTT 5 3.14.2.2.5", "a DISCONNECT of a client with another server");
      return;
    default:
      packet.reason_string = property.text;
      return;
  }
}

Decoded<Packet> decode_disconnect(Reader& reader) {
  Disconnect packet;
  if (!reader.is_v5()) {
    if (reader.receiver() == Receiver::kClient)
      reader.protocol_error("MQTT 3.1.1 3.14", "a DISCONNECT from a server");
    return finished<Packet>(reader, packet);
  }
  if (!reader.at_end()) {
    packet.reason = static_cast<ReasonCode>(reader.u8());
    if (!may_disconnect_with(packet.reason, reader.receiver()))
      reader.protocol_error("[MQTT-3.14.2-1]", "a DISCONNECT with a reason code it cannot have");
  }
  if (!reader.at_end())
    packet.user_properties = reader.properties(
        PropertyScope::kDisconnect,
        [&](const Property& property) { take_disconnect_property(reader, property, packet); });
  return finished<Packet>(reader, packet);
}

Decoded<Packet> decode_auth(Reader& reader) {
  if (!reader.is_v5()) {
    reader.malformed("MQTT 3.1.1 2.2.1", "a packet of type 15");
    return finished<Packet>(reader, Auth{});
  }
  Auth packet;
  if (reader.at_end()) return finished<Packet>(reader, packet);
  packet.reason = static_cast<ReasonCode>(reader.u8());
  const bool to_server = reader.receiver() == Receiver::kServer;
  if (packet.reason != ReasonCode::kContinueAuthentication &&
      packet.reason != (to_server ? ReasonCode::kReauthenticate : ReasonCode::kSuccess))
    reader.protocol_error("[MQTT-3.15.2-1]", "an AUTH with a reason code that it cannot have");
  packet.user_properties = reader.properties(PropertyScope::kAuth, [&](const Property& property) {
    if (property.id == PropertyId::kAuthenticationMethod)
      packet.authentication_method = property.text;
    else if (property.id == PropertyId::kAuthenticationData)
      packet.authentication_data = property.text;
    else
      packet.reason_string = property.text;
  });
  if (reader.ok() && !packet.authentication_method)
    reader.protocol_error("MQTT 5 3.15.2.2.2", "an AUTH without its method");
  return finished<Packet>(reader, packet);
}

Decoded<Packet> decode_empty(Reader& reader, PacketType type) {
  if (type == PacketType::kPingReq) return finished<Packet>(reader, PingReq{});
  return finished<Packet>(reader, PingResp{});
}

}  // namespace

Frame try_frame(std::string_view bytes, std::size_t max_packet_size) {
  Frame frame;
  if (bytes.empty()) return frame;
  if (static_cast<unsigned char>(bytes[0]) >> 4 == 0)
    return malformed_frame("MQTT 5 2.1.2", "a packet of type 0");
  const Varint length = read_varint(bytes.substr(1));
  switch (length.state) {
    case Varint::State::kNeedMore:
      return frame;
    case Varint::State::kTooLong:
      return malformed_frame("MQTT 5 1.5.5", "a remaining length of more than four bytes");
    case Varint::State::kNotMinimal:
      return malformed_frame("[MQTT-1.5.5-1]", "a remaining length in more bytes than it needs");
    case Varint::State::kComplete:
      break;
  }
  frame.type = type_of(bytes);
  frame.size = 1 + length.size + std::size_t{length.value};
  if (frame.size > max_packet_size) {
    frame.state = Frame::State::kTooLarge;
    frame.violation = {.reason = ReasonCode::kPacketTooLarge,
                       .clause = "[MQTT-3.2.2-15]",
                       .what = "a packet larger than the maximum packet size",
                       .version = {}};
  } else if (bytes.size() >= frame.size) {
    frame.state = Frame::State::kComplete;
    frame.bytes = bytes.substr(0, frame.size);
  }
  return frame;
}

Decoded<Publish> decode_publish(std::string_view frame, Version version, Receiver receiver) {
  const auto body = body_of(frame);
  if (!body) return std::unexpected(body.error());
  if (type_of(frame) != PacketType::kPublish)
    return violated(ReasonCode::kProtocolError, "MQTT 5 3.3", "another packet than a PUBLISH");
  return publish_of(frame, *body, version, receiver);
}

Decoded<Packet> decode(std::string_view frame, Version version, Receiver receiver) {
  const auto body = body_of(frame);
  if (!body) return std::unexpected(body.error());
  const PacketType type = type_of(frame);
  if (!flags_allowed(type, flags_of(frame), version))
    return violated(ReasonCode::kMalformedPacket, flags_clause(type, version),
                    "reserved flags in the fixed header");
  if (!flows_to(receiver, type))
    return violated(ReasonCode::kProtocolError, "MQTT 5 2.1.2",
                    "a packet that does not flow in this direction");
  Reader reader(*body, version, receiver);
  switch (type) {
    case PacketType::kConnect:
      return decode_connect(*body, receiver);
    case PacketType::kConnAck:
      return decode_connack(*body, version, receiver);
    case PacketType::kPublish: {
      auto packet = publish_of(frame, *body, version, receiver);
      if (!packet) return std::unexpected(packet.error());
      return *packet;
    }
    case PacketType::kPubAck:
    case PacketType::kPubRec:
    case PacketType::kPubRel:
    case PacketType::kPubComp:
      return decode_ack(reader, type);
    case PacketType::kSubscribe:
      return decode_subscribe(reader);
    case PacketType::kUnsubscribe:
      return decode_unsubscribe(reader);
    case PacketType::kSubAck:
    case PacketType::kUnsubAck:
      return decode_suback(reader, type);
    case PacketType::kPingReq:
    case PacketType::kPingResp:
      return decode_empty(reader, type);
    case PacketType::kDisconnect:
      return decode_disconnect(reader);
    case PacketType::kAuth:
      return decode_auth(reader);
  }
  return violated(ReasonCode::kMalformedPacket, "MQTT 5 2.1.2", "a packet of type 0");
}

Subscription SubscriptionList::take(std::string_view& rest) {
  Reader reader(rest, Version::k5, Receiver::kServer);
  Subscription out;
  out.filter = reader.binary();
  const std::uint8_t options = reader.u8();
  out.maximum_qos = static_cast<QoS>(options & 3);
  out.no_local = (options & 4) != 0;
  out.retain_as_published = (options & 8) != 0;
  out.retain_handling = static_cast<RetainHandling>(options >> 4 & 3);
  rest = reader.rest();
  return out;
}

std::string_view FilterList::take(std::string_view& rest) {
  Reader reader(rest, Version::k5, Receiver::kServer);
  const std::string_view out = reader.binary();
  rest = reader.rest();
  return out;
}

}  // namespace millrace::wire::mqtt
