// The decoders of CONNECT and CONNACK. A violation of a CONNECT carries the version in which it can
// be answered, as soon as that is known.
#include "wire/mqtt_reader.h"

namespace millrace::wire::mqtt {
namespace {

struct ConnectFlags {
  bool clean_start = false;
  bool will = false;
  std::uint8_t will_qos = 0;
  bool will_retain = false;
  bool password = false;
  bool user_name = false;
};

/// Protocol name and level. An unknown level of a known name is answered as MQTT 3.1.1 says, since
/// every client understands a CONNACK of two bytes.
Version take_version(Reader& reader) {
  const std::string_view protocol = reader.binary();
  const std::uint8_t level = reader.u8();
  if (!reader.ok()) return Version::k311;
  const bool is_mqtt = protocol == "MQTT";
  if (!is_mqtt && protocol != "MQIsdp") {
    reader.reject(ReasonCode::kUnsupportedProtocolVersion, "[MQTT-3.1.2-1]",
                  "a CONNECT of another protocol than MQTT");
    return Version::k311;
  }
  if ((is_mqtt && (level == 4 || level == 5)) || (!is_mqtt && level == 3))
    return static_cast<Version>(level);
  reader.reject({.reason = ReasonCode::kUnsupportedProtocolVersion,
                 .clause = "[MQTT-3.1.2-2]",
                 .what = "a CONNECT of another protocol level than 3, 4 and 5",
                 .version = Version::k311});
  return Version::k311;
}

ConnectFlags take_flags(Reader& reader) {
  const std::uint8_t bits = reader.u8();
  const ConnectFlags flags{.clean_start = (bits & 0x02) != 0,
                           .will = (bits & 0x04) != 0,
                           .will_qos = static_cast<std::uint8_t>(bits >> 3 & 3),
                           .will_retain = (bits & 0x20) != 0,
                           .password = (bits & 0x40) != 0,
                           .user_name = (bits & 0x80) != 0};
  if ((bits & 1) != 0 && reader.version() != Version::k31)
    reader.malformed("[MQTT-3.1.2-3]", "a CONNECT with its reserved flag");
  if (!flags.will && flags.will_qos != 0)
    reader.malformed(reader.clause("[MQTT-3.1.2-13]", "[MQTT-3.1.2-11]"),
                     "a CONNECT with a will QoS but no will");
  if (!flags.will && flags.will_retain)
    reader.malformed(reader.clause("[MQTT-3.1.2-15]", "[MQTT-3.1.2-13]"),
                     "a CONNECT with will retain but no will");
  if (flags.will_qos == 3)
    reader.malformed(reader.clause("[MQTT-3.1.2-14]", "[MQTT-3.1.2-12]"),
                     "a CONNECT with will QoS 3");
  if (flags.password && !flags.user_name && !reader.is_v5())
    reader.malformed("[MQTT-3.1.2-22]", "a CONNECT with a password but no user name");
  return flags;
}

void take_connect_property(const Property& property, Connect& packet) {
  switch (property.id) {
    case PropertyId::kSessionExpiryInterval:
      packet.session_expiry_s = property.number;
      return;
    case PropertyId::kReceiveMaximum:
      packet.receive_maximum = static_cast<std::uint16_t>(property.number);
      return;
    case PropertyId::kMaximumPacketSize:
      packet.maximum_packet_size = property.number;
      return;
    case PropertyId::kTopicAliasMaximum:
      packet.topic_alias_maximum = static_cast<std::uint16_t>(property.number);
      return;
    case PropertyId::kRequestResponseInformation:
      packet.request_response_information = property.number == 1;
      return;
    case PropertyId::kRequestProblemInformation:
      packet.request_problem_information = property.number == 1;
      return;
    case PropertyId::kAuthenticationMethod:
      packet.authentication_method = property.text;
      return;
    default:
      packet.authentication_data = property.text;
      return;
  }
}

void take_will_property(const Property& property, Will& will) {
  switch (property.id) {
    case PropertyId::kWillDelayInterval:
      will.delay_s = property.number;
      return;
    case PropertyId::kPayloadFormatIndicator:
      will.payload_is_utf8 = property.number == 1;
      return;
    case PropertyId::kMessageExpiryInterval:
      will.message_expiry_s = property.number;
      return;
    case PropertyId::kContentType:
      will.content_type = property.text;
      return;
    case PropertyId::kResponseTopic:
      will.response_topic = property.text;
      return;
    default:
      will.correlation_data = property.text;
      return;
  }
}

Will take_will(Reader& reader, const ConnectFlags& flags) {
  Will will;
  will.qos = static_cast<QoS>(flags.will_qos);
  will.retain = flags.will_retain;
  will.user_properties = reader.properties(
      PropertyScope::kWill, [&](const Property& property) { take_will_property(property, will); });
  will.topic = reader.binary();
  if (reader.ok())
    if (auto bad = check_topic_name(will.topic, reader.version())) reader.reject(*bad);
  will.payload = reader.binary();
  return will;
}

void take_client_id(Reader& reader, Connect& packet) {
  packet.client_id = reader.text();
  if (!reader.ok() || !packet.client_id.empty() || reader.is_v5()) return;
  if (reader.version() == Version::k31)
    reader.reject(ReasonCode::kClientIdentifierNotValid, "MQTT 3.1 3.1",
                  "a CONNECT without a client id");
  else if (!packet.clean_start)
    reader.reject(ReasonCode::kClientIdentifierNotValid, "[MQTT-3.1.3-8]",
                  "a CONNECT without a client id that wants a session kept");
}

void take_connect(Reader& reader, Connect& packet) {
  const ConnectFlags flags = take_flags(reader);
  packet.clean_start = flags.clean_start;
  packet.keep_alive_s = reader.u16();
  packet.user_properties =
      reader.properties(PropertyScope::kConnect,
                        [&](const Property& property) { take_connect_property(property, packet); });
  if (reader.ok() && packet.authentication_data && !packet.authentication_method)
    reader.protocol_error("MQTT 5 3.1.2.11.10", "authentication data without its method");
  take_client_id(reader, packet);
  if (flags.will) packet.will = take_will(reader, flags);
  if (flags.user_name) packet.user_name = reader.text();
  if (flags.password) packet.password = reader.binary();
  reader.expect_end();
}

void take_connack_property(const Property& property, ConnAck& packet) {
  const auto number16 = static_cast<std::uint16_t>(property.number);
  const bool yes = property.number == 1;
  switch (property.id) {
    case PropertyId::kSessionExpiryInterval:
      packet.session_expiry_s = property.number;
      return;
    case PropertyId::kReceiveMaximum:
      packet.receive_maximum = number16;
      return;
    case PropertyId::kMaximumQos:
      packet.maximum_qos = static_cast<QoS>(property.number);
      return;
    case PropertyId::kRetainAvailable:
      packet.retain_available = yes;
      return;
    case PropertyId::kMaximumPacketSize:
      packet.maximum_packet_size = property.number;
      return;
    case PropertyId::kAssignedClientIdentifier:
      packet.assigned_client_id = property.text;
      return;
    case PropertyId::kTopicAliasMaximum:
      packet.topic_alias_maximum = number16;
      return;
    case PropertyId::kReasonString:
      packet.reason_string = property.text;
      return;
    case PropertyId::kWildcardSubscriptionAvailable:
      packet.wildcard_subscription_available = yes;
      return;
    case PropertyId::kSubscriptionIdentifierAvailable:
      packet.subscription_identifier_available = yes;
      return;
    case PropertyId::kSharedSubscriptionAvailable:
      packet.shared_subscription_available = yes;
      return;
    case PropertyId::kServerKeepAlive:
      packet.server_keep_alive_s = number16;
      return;
    case PropertyId::kResponseInformation:
      packet.response_information = property.text;
      return;
    case PropertyId::kServerReference:
      packet.server_reference = property.text;
      return;
    case PropertyId::kAuthenticationMethod:
      packet.authentication_method = property.text;
      return;
    default:
      packet.authentication_data = property.text;
      return;
  }
}

/// MQTT 5, table 3-1.
bool is_connack_reason(ReasonCode code) {
  switch (code) {
    case ReasonCode::kSuccess:
    case ReasonCode::kUnspecifiedError:
    case ReasonCode::kMalformedPacket:
    case ReasonCode::kProtocolError:
    case ReasonCode::kImplementationSpecificError:
    case ReasonCode::kUnsupportedProtocolVersion:
    case ReasonCode::kClientIdentifierNotValid:
    case ReasonCode::kBadUserNameOrPassword:
    case ReasonCode::kNotAuthorized:
    case ReasonCode::kServerUnavailable:
    case ReasonCode::kServerBusy:
    case ReasonCode::kBanned:
    case ReasonCode::kBadAuthenticationMethod:
    case ReasonCode::kTopicNameInvalid:
    case ReasonCode::kPacketTooLarge:
    case ReasonCode::kQuotaExceeded:
    case ReasonCode::kPayloadFormatInvalid:
    case ReasonCode::kRetainNotSupported:
    case ReasonCode::kQosNotSupported:
    case ReasonCode::kUseAnotherServer:
    case ReasonCode::kServerMoved:
    case ReasonCode::kConnectionRateExceeded:
      return true;
    default:
      return false;
  }
}

ReasonCode take_connack_reason(Reader& reader) {
  const std::uint8_t code = reader.u8();
  const auto reason = reader.is_v5() ? std::optional(static_cast<ReasonCode>(code))
                                     : from_connect_return_code(code);
  if (reason && (!reader.is_v5() || is_connack_reason(*reason))) return *reason;
  reader.protocol_error(reader.clause("MQTT 3.1.1 3.2.2.3", "[MQTT-3.2.2-8]"),
                        "a CONNACK with an unknown code");
  return ReasonCode::kUnspecifiedError;
}

}  // namespace

Decoded<Packet> decode_connect(std::string_view body, Receiver receiver) {
  Reader reader(body, Version::k311, receiver);
  Connect packet;
  packet.version = take_version(reader);
  if (reader.ok()) {
    reader.set_version(packet.version);
    take_connect(reader, packet);
    if (!reader.ok()) {
      Violation violation = reader.violation();
      violation.version = packet.version;
      return std::unexpected(violation);
    }
    return packet;
  }
  return std::unexpected(reader.violation());
}

Decoded<Packet> decode_connack(std::string_view body, Version version, Receiver receiver) {
  Reader reader(body, version, receiver);
  ConnAck packet;
  const std::uint8_t flags = reader.u8();
  packet.reason = take_connack_reason(reader);
  // In version 3.1 the whole byte is reserved, and not used.
  if (version != Version::k31) {
    if ((flags & 0xfe) != 0) reader.malformed("[MQTT-3.2.2-1]", "a CONNACK with reserved flags");
    packet.session_present = (flags & 1) != 0;
    if (packet.session_present && packet.reason != ReasonCode::kSuccess)
      reader.protocol_error(reader.clause("[MQTT-3.2.2-4]", "[MQTT-3.2.2-6]"),
                            "a refusal that says a session is present");
  }
  packet.user_properties =
      reader.properties(PropertyScope::kConnAck,
                        [&](const Property& property) { take_connack_property(property, packet); });
  reader.expect_end();
  if (!reader.ok()) return std::unexpected(reader.violation());
  return packet;
}

}  // namespace millrace::wire::mqtt
