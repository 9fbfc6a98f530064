// The encoders. Each packet is described once, as a template over a sink; it runs over a counter
// for the lengths that stand in front, and over a writer that fills exactly so many bytes.
#include <cstring>

#include "base/check.h"
#include "wire/mqtt.h"
#include "wire/mqtt_varint.h"

namespace millrace::wire::mqtt {
namespace {

class Counter {
 public:
  void u8(unsigned /*value*/) { size_ += 1; }
  void u16(unsigned /*value*/) { size_ += 2; }
  void u32(std::uint32_t /*value*/) { size_ += 4; }
  void varint(std::uint32_t value) { size_ += varint_size(value); }
  void raw(std::string_view bytes) { size_ += bytes.size(); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}
  void u8(unsigned value) { *at_++ = static_cast<char>(value); }
  void u16(unsigned value) {
    u8(value >> 8);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void varint(std::uint32_t value) {
    for (; value >= 0x80; value >>= 7) u8((value & 0x7f) | 0x80);
    u8(value);
  }
  void raw(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }

 private:
  char* at_;
};

/// Fields of either sink.
template <class Sink>
void put_text(Sink& sink, std::string_view text) {
  MR_CHECK(text.size() <= 0xffff, "an MQTT field of {} bytes", text.size());
  sink.u16(static_cast<unsigned>(text.size()));
  sink.raw(text);
}
template <class Sink>
void put_id(Sink& sink, PropertyId id) {
  sink.u8(static_cast<unsigned>(id));
}
template <class Sink>
void put_property(Sink& sink, PropertyId id, const std::optional<std::string_view>& text) {
  if (!text) return;
  put_id(sink, id);
  put_text(sink, *text);
}
template <class Sink>
void put_property(Sink& sink, PropertyId id, const std::optional<std::uint32_t>& value) {
  if (!value) return;
  put_id(sink, id);
  sink.u32(*value);
}
/// A number or flag that is left out when it has its default.
template <class Sink>
void put_u16_unless(Sink& sink, PropertyId id, std::uint16_t value, std::uint16_t absent) {
  if (value == absent) return;
  put_id(sink, id);
  sink.u16(value);
}
template <class Sink>
void put_u32_unless(Sink& sink, PropertyId id, std::uint32_t value, std::uint32_t absent) {
  if (value != absent) put_property(sink, id, std::optional(value));
}
template <class Sink>
void put_flag_unless(Sink& sink, PropertyId id, bool value, bool absent) {
  if (value == absent) return;
  put_id(sink, id);
  sink.u8(value ? 1 : 0);
}
template <class Sink>
void put_subscription_id(Sink& sink, std::uint32_t id) {
  put_id(sink, PropertyId::kSubscriptionIdentifier);
  sink.varint(id);
}
template <class Sink>
void put_user_properties(Sink& sink, const RepeatedProperties& properties) {
  properties.for_each_user_property([&](std::string_view name, std::string_view value) {
    put_id(sink, PropertyId::kUserProperty);
    put_text(sink, name);
    put_text(sink, value);
  });
}
/// The section with its length in front.
template <class Sink, class Put>
void put_section(Sink& sink, Put&& put) {
  Counter length;
  put(length);
  sink.varint(static_cast<std::uint32_t>(length.size()));
  put(sink);
}

char* extend(std::string& out, std::size_t size) {
  const std::size_t before = out.size();
  // Not the lambda's own size: libstdc++ 12 passes the capacity there.
  const std::size_t after = before + size;
  out.resize_and_overwrite(after, [after](char*, std::size_t) { return after; });
  return out.data() + before;
}

/// Fixed header and body; `after` bytes follow that the caller appends.
template <class Body>
void put_packet(std::string& out, PacketType type, unsigned flags, std::size_t after, Body&& body) {
  Counter counter;
  body(counter);
  const std::size_t remaining = counter.size() + after;
  MR_CHECK(remaining <= kMaxVarint, "an MQTT packet of {} bytes", remaining);
  const auto length = static_cast<std::uint32_t>(remaining);
  Writer writer(extend(out, 1 + varint_size(length) + counter.size()));
  writer.u8(static_cast<unsigned>(type) << 4 | flags);
  writer.varint(length);
  body(writer);
}

template <class Sink>
void put_will(Sink& sink, const Will& will, Version version) {
  if (version == Version::k5)
    put_section(sink, [&](auto& s) {
      put_u32_unless(s, PropertyId::kWillDelayInterval, will.delay_s, 0);
      put_flag_unless(s, PropertyId::kPayloadFormatIndicator, will.payload_is_utf8, false);
      put_property(s, PropertyId::kMessageExpiryInterval, will.message_expiry_s);
      put_property(s, PropertyId::kContentType, will.content_type);
      put_property(s, PropertyId::kResponseTopic, will.response_topic);
      put_property(s, PropertyId::kCorrelationData, will.correlation_data);
      put_user_properties(s, will.user_properties);
    });
  put_text(sink, will.topic);
  put_text(sink, will.payload);
}

unsigned connect_flags(const Connect& packet) {
  unsigned flags = packet.clean_start ? 0x02 : 0;
  if (packet.will)
    flags |= 0x04 | static_cast<unsigned>(packet.will->qos) << 3 | (packet.will->retain ? 0x20 : 0);
  if (packet.password) flags |= 0x40;
  if (packet.user_name) flags |= 0x80;
  return flags;
}

template <class Sink>
void put_connect_properties(Sink& sink, const Connect& packet) {
  put_section(sink, [&](auto& s) {
    put_u32_unless(s, PropertyId::kSessionExpiryInterval, packet.session_expiry_s, 0);
    put_u16_unless(s, PropertyId::kReceiveMaximum, packet.receive_maximum, 0xffff);
    put_u32_unless(s, PropertyId::kMaximumPacketSize, packet.maximum_packet_size, 0);
    put_u16_unless(s, PropertyId::kTopicAliasMaximum, packet.topic_alias_maximum, 0);
    put_flag_unless(s, PropertyId::kRequestResponseInformation, packet.request_response_information,
                    false);
    put_flag_unless(s, PropertyId::kRequestProblemInformation, packet.request_problem_information,
                    true);
    put_property(s, PropertyId::kAuthenticationMethod, packet.authentication_method);
    put_property(s, PropertyId::kAuthenticationData, packet.authentication_data);
    put_user_properties(s, packet.user_properties);
  });
}

template <class Sink>
void put_connack_properties(Sink& sink, const ConnAck& packet) {
  put_section(sink, [&](auto& s) {
    put_property(s, PropertyId::kSessionExpiryInterval, packet.session_expiry_s);
    put_u16_unless(s, PropertyId::kReceiveMaximum, packet.receive_maximum, 0xffff);
    if (packet.maximum_qos != QoS::kExactlyOnce) {
      put_id(s, PropertyId::kMaximumQos);
      s.u8(static_cast<unsigned>(packet.maximum_qos));
    }
    put_flag_unless(s, PropertyId::kRetainAvailable, packet.retain_available, true);
    put_u32_unless(s, PropertyId::kMaximumPacketSize, packet.maximum_packet_size, 0);
    put_property(s, PropertyId::kAssignedClientIdentifier, packet.assigned_client_id);
    put_u16_unless(s, PropertyId::kTopicAliasMaximum, packet.topic_alias_maximum, 0);
    put_property(s, PropertyId::kReasonString, packet.reason_string);
    put_flag_unless(s, PropertyId::kWildcardSubscriptionAvailable,
                    packet.wildcard_subscription_available, true);
    put_flag_unless(s, PropertyId::kSubscriptionIdentifierAvailable,
                    packet.subscription_identifier_available, true);
    put_flag_unless(s, PropertyId::kSharedSubscriptionAvailable,
                    packet.shared_subscription_available, true);
    if (packet.server_keep_alive_s) {
      put_id(s, PropertyId::kServerKeepAlive);
      s.u16(*packet.server_keep_alive_s);
    }
    put_property(s, PropertyId::kResponseInformation, packet.response_information);
    put_property(s, PropertyId::kServerReference, packet.server_reference);
    put_property(s, PropertyId::kAuthenticationMethod, packet.authentication_method);
    put_property(s, PropertyId::kAuthenticationData, packet.authentication_data);
    put_user_properties(s, packet.user_properties);
  });
}

template <class Sink>
void put_publish_head(Sink& sink, const Publish& packet, Version version) {
  put_text(sink, packet.topic);
  if (packet.qos != QoS::kAtMostOnce) sink.u16(packet.packet_id);
  if (version != Version::k5) return;
  put_section(sink, [&](auto& s) {
    put_flag_unless(s, PropertyId::kPayloadFormatIndicator, packet.payload_is_utf8, false);
    put_property(s, PropertyId::kMessageExpiryInterval, packet.message_expiry_s);
    put_u16_unless(s, PropertyId::kTopicAlias, packet.topic_alias, 0);
    put_property(s, PropertyId::kResponseTopic, packet.response_topic);
    put_property(s, PropertyId::kCorrelationData, packet.correlation_data);
    put_property(s, PropertyId::kContentType, packet.content_type);
    packet.repeated.for_each_subscription_id([&](std::uint32_t id) { put_subscription_id(s, id); });
    for (const std::uint32_t id : packet.subscription_ids) put_subscription_id(s, id);
    put_user_properties(s, packet.repeated);
  });
}

template <class Packet>
bool has_reason_properties(const Packet& packet) {
  bool any = packet.reason_string.has_value();
  packet.user_properties.for_each_user_property(
      [&](std::string_view, std::string_view) { any = true; });
  return any;
}

template <class Sink, class Packet>
void put_reason_properties(Sink& sink, const Packet& packet) {
  put_section(sink, [&](auto& s) {
    put_property(s, PropertyId::kReasonString, packet.reason_string);
    put_user_properties(s, packet.user_properties);
  });
}

unsigned publish_flags(const Publish& packet) {
  return (packet.dup ? 8U : 0U) | static_cast<unsigned>(packet.qos) << 1 |
         (packet.retain ? 1U : 0U);
}

/// Where the packet identifier of an encoded PUBLISH stands.
std::size_t packet_id_at(std::span<const char> frame) {
  const std::string_view bytes(frame.data(), frame.size());
  const std::size_t topic = 1 + read_varint(bytes.substr(1)).size;
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[topic]) << 8 |
                                               static_cast<unsigned char>(bytes[topic + 1]));
  return topic + 2 + length;
}

}  // namespace

void encode(const Connect& packet, std::string& out) {
  const Version version = packet.version;
  put_packet(out, PacketType::kConnect, 0, 0, [&](auto& sink) {
    put_text(sink, version == Version::k31 ? "MQIsdp" : "MQTT");
    sink.u8(static_cast<unsigned>(version));
    sink.u8(connect_flags(packet));
    sink.u16(packet.keep_alive_s);
    if (version == Version::k5) put_connect_properties(sink, packet);
    put_text(sink, packet.client_id);
    if (packet.will) put_will(sink, *packet.will, version);
    if (packet.user_name) put_text(sink, *packet.user_name);
    if (packet.password) put_text(sink, *packet.password);
  });
}

void encode(const ConnAck& packet, Version version, std::string& out) {
  put_packet(out, PacketType::kConnAck, 0, 0, [&](auto& sink) {
    sink.u8(packet.session_present && version != Version::k31 ? 1 : 0);
    sink.u8(version == Version::k5 ? static_cast<unsigned>(packet.reason)
                                   : connect_return_code(packet.reason));
    if (version == Version::k5) put_connack_properties(sink, packet);
  });
}

void encode_publish_head(const Publish& packet, Version version, std::string& out) {
  put_packet(out, PacketType::kPublish, publish_flags(packet), packet.payload.size(),
             [&](auto& sink) { put_publish_head(sink, packet, version); });
}

void encode(const Publish& packet, Version version, std::string& out) {
  encode_publish_head(packet, version, out);
  out.append(packet.payload);
}

std::size_t encoded_size(const Publish& packet, Version version) {
  Counter counter;
  put_publish_head(counter, packet, version);
  const std::size_t remaining = counter.size() + packet.payload.size();
  if (remaining > kMaxVarint) return kMaxPacketBytes + 1;
  return 1 + varint_size(static_cast<std::uint32_t>(remaining)) + remaining;
}

void set_publish_packet_id(std::span<char> frame, std::uint16_t packet_id) {
  const std::size_t at = packet_id_at(frame);
  frame[at] = static_cast<char>(packet_id >> 8);
  frame[at + 1] = static_cast<char>(packet_id & 0xff);
}

void set_publish_dup(std::span<char> frame, bool dup) {
  const auto first = static_cast<unsigned char>(frame[0]);
  frame[0] = static_cast<char>(dup ? first | 0x08 : first & 0xf7);
}

void encode(const Ack& packet, Version version, std::string& out) {
  const unsigned flags = packet.type == PacketType::kPubRel ? 2 : 0;
  const bool properties = version == Version::k5 && has_reason_properties(packet);
  const bool reason =
      properties || (version == Version::k5 && packet.reason != ReasonCode::kSuccess);
  put_packet(out, packet.type, flags, 0, [&](auto& sink) {
    sink.u16(packet.packet_id);
    if (reason) sink.u8(static_cast<unsigned>(packet.reason));
    if (properties) put_reason_properties(sink, packet);
  });
}

void encode(const Subscribe& packet, Version version, std::string& out) {
  put_packet(out, PacketType::kSubscribe, 2, 0, [&](auto& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::k5)
      put_section(sink, [&](auto& s) {
        if (packet.subscription_id != 0) put_subscription_id(s, packet.subscription_id);
        put_user_properties(s, packet.user_properties);
      });
    sink.raw(packet.subscriptions.bytes());
  });
}

void encode(const SubAck& packet, Version version, std::string& out) {
  put_packet(out, packet.type, 0, 0, [&](auto& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::k5) {
      put_reason_properties(sink, packet);
      sink.raw(packet.codes);
    } else if (packet.type == PacketType::kSubAck) {
      for (const char code : packet.codes)
        sink.u8(is_error(static_cast<ReasonCode>(code)) ? 0x80 : static_cast<unsigned>(code));
    }
  });
}

void encode(const Unsubscribe& packet, Version version, std::string& out) {
  put_packet(out, PacketType::kUnsubscribe, 2, 0, [&](auto& sink) {
    sink.u16(packet.packet_id);
    if (version == Version::k5)
      put_section(sink, [&](auto& s) { put_user_properties(s, packet.user_properties); });
    sink.raw(packet.filters.bytes());
  });
}

void encode(const PingReq& /*packet*/, Version /*version*/, std::string& out) {
  put_packet(out, PacketType::kPingReq, 0, 0, [](auto&) {});
}

void encode(const PingResp& /*packet*/, Version /*version*/, std::string& out) {
  put_packet(out, PacketType::kPingResp, 0, 0, [](auto&) {});
}

void encode(const Disconnect& packet, Version version, std::string& out) {
  const bool properties =
      version == Version::k5 &&
      (has_reason_properties(packet) || packet.session_expiry_s || packet.server_reference);
  const bool reason =
      properties || (version == Version::k5 && packet.reason != ReasonCode::kSuccess);
  put_packet(out, PacketType::kDisconnect, 0, 0, [&](auto& sink) {
    if (reason) sink.u8(static_cast<unsigned>(packet.reason));
    if (properties)
      put_section(sink, [&](auto& s) {
        put_property(s, PropertyId::kSessionExpiryInterval, packet.session_expiry_s);
        put_property(s, PropertyId::kReasonString, packet.reason_string);
        put_property(s, PropertyId::kServerReference, packet.server_reference);
        put_user_properties(s, packet.user_properties);
      });
  });
}

void encode(const Auth& packet, Version /*version*/, std::string& out) {
  const bool anything = packet.reason != ReasonCode::kSuccess || packet.authentication_method ||
                        packet.authentication_data || has_reason_properties(packet);
  put_packet(out, PacketType::kAuth, 0, 0, [&](auto& sink) {
    if (!anything) return;
    sink.u8(static_cast<unsigned>(packet.reason));
    put_section(sink, [&](auto& s) {
      put_property(s, PropertyId::kAuthenticationMethod, packet.authentication_method);
      put_property(s, PropertyId::kAuthenticationData, packet.authentication_data);
      put_property(s, PropertyId::kReasonString, packet.reason_string);
      put_user_properties(s, packet.user_properties);
    });
  });
}

void encode(const Packet& packet, Version version, std::string& out) {
  std::visit(
      [&](const auto& one) {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, Connect>)
          encode(one, out);
        else
          encode(one, version, out);
      },
      packet);
}

void SubscriptionList::append(const Subscription& subscription, std::string& list) {
  Writer writer(extend(list, 2 + subscription.filter.size() + 1));
  put_text(writer, subscription.filter);
  writer.u8(static_cast<unsigned>(subscription.maximum_qos) | (subscription.no_local ? 4U : 0U) |
            (subscription.retain_as_published ? 8U : 0U) |
            static_cast<unsigned>(subscription.retain_handling) << 4);
}

void FilterList::append(std::string_view filter, std::string& list) {
  Writer writer(extend(list, 2 + filter.size()));
  put_text(writer, filter);
}

}  // namespace millrace::wire::mqtt
