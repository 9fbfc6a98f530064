#include "wire/mqtt_reader.h"

#include <array>

#include "wire/mqtt_varint.h"

namespace millrace::wire::mqtt {
namespace {

constexpr std::uint32_t bit(PropertyScope scope) {
  return std::uint32_t{1} << static_cast<unsigned>(scope);
}

/// In which sections each property may stand: MQTT 5, table 2-4.
constexpr auto kAllowed = [] {
  std::array<std::uint32_t, 0x2b> allowed{};
  const auto set = [&](std::uint32_t scopes, std::initializer_list<PropertyId> ids) {
    for (const PropertyId id : ids) allowed[static_cast<std::size_t>(id)] = scopes;
  };
  using enum PropertyId;
  using S = PropertyScope;
  const std::uint32_t message = bit(S::kPublish) | bit(S::kWill);
  const std::uint32_t handshake = bit(S::kConnect) | bit(S::kConnAck);
  set(message, {kPayloadFormatIndicator, kMessageExpiryInterval, kContentType, kResponseTopic,
                kCorrelationData});
  set(bit(S::kPublish) | bit(S::kSubscribe), {kSubscriptionIdentifier});
  set(bit(S::kPublish), {kTopicAlias});
  set(bit(S::kWill), {kWillDelayInterval});
  set(handshake | bit(S::kDisconnect), {kSessionExpiryInterval});
  set(handshake, {kReceiveMaximum, kTopicAliasMaximum, kMaximumPacketSize});
  set(handshake | bit(S::kAuth), {kAuthenticationMethod, kAuthenticationData});
  set(bit(S::kConnect), {kRequestProblemInformation, kRequestResponseInformation});
  set(bit(S::kConnAck), {kAssignedClientIdentifier, kServerKeepAlive, kResponseInformation,
                         kMaximumQos, kRetainAvailable, kWildcardSubscriptionAvailable,
                         kSubscriptionIdentifierAvailable, kSharedSubscriptionAvailable});
  set(bit(S::kConnAck) | bit(S::kDisconnect), {kServerReference});
  set(bit(S::kConnAck) | bit(S::kPubAck) | bit(S::kPubRec) | bit(S::kPubRel) | bit(S::kPubComp) |
          bit(S::kSubAck) | bit(S::kUnsubAck) | bit(S::kDisconnect) | bit(S::kAuth),
      {kReasonString});
  set(~std::uint32_t{0}, {kUserProperty});
  return allowed;
}();

/// The section of the specification that describes the properties of a packet.
std::string_view section_of(PropertyScope scope) {
  switch (scope) {
    case PropertyScope::kWill:
      return "MQTT 5 3.1.3.2";
    case PropertyScope::kConnect:
      return "MQTT 5 3.1.2.11";
    case PropertyScope::kConnAck:
      return "MQTT 5 3.2.2.3";
    case PropertyScope::kPublish:
      return "MQTT 5 3.3.2.3";
    case PropertyScope::kPubAck:
      return "MQTT 5 3.4.2.2";
    case PropertyScope::kPubRec:
      return "MQTT 5 3.5.2.2";
    case PropertyScope::kPubRel:
      return "MQTT 5 3.6.2.2";
    case PropertyScope::kPubComp:
      return "MQTT 5 3.7.2.2";
    case PropertyScope::kSubscribe:
      return "MQTT 5 3.8.2.1";
    case PropertyScope::kSubAck:
      return "MQTT 5 3.9.2.1";
    case PropertyScope::kUnsubscribe:
      return "MQTT 5 3.10.2.1";
    case PropertyScope::kUnsubAck:
      return "MQTT 5 3.11.2.1";
    case PropertyScope::kDisconnect:
      return "MQTT 5 3.14.2.2";
    case PropertyScope::kAuth:
      return "MQTT 5 3.15.2.2";
  }
  return "MQTT 5 2.2.2.2";
}

}  // namespace

void Reader::truncated() {
  malformed(clause("[MQTT-4.8.0-1]", "[MQTT-4.13.1-1]"), "a packet shorter than its fields");
}

void Reader::zero_packet_id() {
  // Version 5 calls it a protocol error; the clauses are those of the packets that a client sends.
  reject(is_v5() ? ReasonCode::kProtocolError : ReasonCode::kMalformedPacket,
         clause("[MQTT-2.3.1-1]", "[MQTT-2.2.1-3]"), "a packet identifier of zero");
}

std::string_view Reader::property_section() {
  const Varint length = read_varint(rest_);
  switch (length.state) {
    case Varint::State::kNeedMore:
      malformed("[MQTT-2.2.2-1]", "a packet without its property length");
      return {};
    case Varint::State::kTooLong:
      malformed("MQTT 5 1.5.5", "a property length of more than four bytes");
      return {};
    case Varint::State::kNotMinimal:
      malformed("[MQTT-1.5.5-1]", "a property length in more bytes than it needs");
      return {};
    case Varint::State::kComplete:
      break;
  }
  rest_.remove_prefix(length.size);
  return take(length.value);
}

bool Reader::next_property(PropertyScope scope, std::string_view& left, std::uint64_t& seen,
                           Property& property) {
  if (!ok()) return false;
  if (!take_property(left, property)) {
    malformed("MQTT 5 2.2.2.2", "an unknown property, or a property without its value");
    return false;
  }
  const auto id = static_cast<unsigned>(property.id);
  if ((kAllowed[id] & bit(scope)) == 0) {
    malformed("MQTT 5 2.2.2.2", "a property that this packet cannot have");
    return false;
  }
  const std::uint64_t mark = std::uint64_t{1} << id;
  const bool repeatable =
      property.id == PropertyId::kUserProperty ||
      (property.id == PropertyId::kSubscriptionIdentifier && scope == PropertyScope::kPublish);
  if ((seen & mark) != 0 && !repeatable) {
    protocol_error(section_of(scope), "a property twice");
    return false;
  }
  seen |= mark;
  check_value(property);
  return ok();
}

void Reader::check_value(const Property& property) {
  using enum PropertyId;
  switch (property.type) {
    case PropertyType::kPair:
      if (check_text(property.text, version_) || check_text(property.value, version_))
        malformed("[MQTT-1.5.7-1]", "a user property that is not valid UTF-8 without U+0000");
      return;
    case PropertyType::kText:
      if (auto bad = check_text(property.text, version_)) return reject(*bad);
      if (property.id == kResponseTopic && check_topic_name(property.text, version_))
        protocol_error("[MQTT-3.3.2-14]", "a response topic that is no topic name");
      return;
    case PropertyType::kByte:
      if (property.number > 1)
        protocol_error("MQTT 5 2.2.2.2", "a property that is 0 or 1 with another value");
      return;
    case PropertyType::kVarint:
      if (property.number == 0)
        protocol_error("MQTT 5 3.8.2.1.2", "a subscription identifier of zero");
      return;
    case PropertyType::kUint16:
      if (property.number != 0) return;
      if (property.id == kReceiveMaximum)
        protocol_error("MQTT 5 3.1.2.11.3", "a receive maximum of zero");
      if (property.id == kTopicAlias)
        reject(ReasonCode::kTopicAliasInvalid, "[MQTT-3.3.2-8]", "a topic alias of zero");
      return;
    case PropertyType::kUint32:
      if (property.number == 0 && property.id == kMaximumPacketSize)
        protocol_error("MQTT 5 3.1.2.11.4", "a maximum packet size of zero");
      return;
    case PropertyType::kBinary:
      return;
  }
}

}  // namespace millrace::wire::mqtt
