// MQTT control packets, without I/O: MQTT 3.1 (level 3, "MQIsdp"), 3.1.1 (level 4, ISO/IEC 20922)
// and 5.0 (level 5, OASIS). Bytes in, structs of views into these bytes out, and back. Pure
// functions: any thread, no state, no allocation but by appending to the caller's buffer.
// What a peer sent wrong is a Violation: the clause that it broke and the reason code with which
// the connection must end; it is not an Error, since nobody but the peer can do anything about it.
// Invariant: a decoded packet obeys every rule of its version that can be seen without knowledge of
// the session (limits, packet identifiers in flight and topic aliases are the session's business).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "wire/mqtt_properties.h"
#include "wire/mqtt_reason.h"

namespace millrace::wire::mqtt {

/// The largest packet that the encoding of the remaining length allows: 5 bytes + 2^28 - 1.
inline constexpr std::size_t kMaxPacketBytes = 268'435'460;

enum class PacketType : std::uint8_t {
  kConnect = 1,
  kConnAck = 2,
  kPublish = 3,
  kPubAck = 4,
  kPubRec = 5,
  kPubRel = 6,
  kPubComp = 7,
  kSubscribe = 8,
  kSubAck = 9,
  kUnsubscribe = 10,
  kUnsubAck = 11,
  kPingReq = 12,
  kPingResp = 13,
  kDisconnect = 14,
  kAuth = 15,
};

/// Who reads the packet: some packets and properties may flow in one direction only.
enum class Receiver : std::uint8_t { kServer, kClient };

enum class QoS : std::uint8_t { kAtMostOnce = 0, kAtLeastOnce = 1, kExactlyOnce = 2 };

// --- Packets. Views point into the frame that was decoded. Properties exist in version 5 only; in
// the others they have their defaults, and the encoder leaves them out. ------------------------

struct Will {
  std::string_view topic;
  std::string_view payload;
  QoS qos = QoS::kAtMostOnce;
  bool retain = false;
  std::uint32_t delay_s = 0;
  bool payload_is_utf8 = false;
  std::optional<std::uint32_t> message_expiry_s;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> correlation_data;
  RepeatedProperties user_properties;
  bool operator==(const Will&) const = default;
};

struct Connect {
  Version version = Version::k5;
  bool clean_start = true;  // "clean session" before version 5
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
  std::uint32_t session_expiry_s = 0;      // 0xffffffff: never
  std::uint16_t receive_maximum = 65'535;  // never 0
  std::uint32_t maximum_packet_size = 0;   // 0: no limit
  std::uint16_t topic_alias_maximum = 0;   // 0: the server must not send aliases
  bool request_response_information = false;
  bool request_problem_information = true;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> authentication_data;
  RepeatedProperties user_properties;
  bool operator==(const Connect&) const = default;
};

struct ConnAck {
  bool session_present = false;
  /// Before version 5 it is mapped to and from the five return codes (connect_return_code).
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::uint32_t> session_expiry_s;  // none: what the client asked for
  std::uint16_t receive_maximum = 65'535;
  QoS maximum_qos = QoS::kExactlyOnce;
  bool retain_available = true;
  std::uint32_t maximum_packet_size = 0;  // 0: no limit
  std::optional<std::string_view> assigned_client_id;
  std::uint16_t topic_alias_maximum = 0;
  std::optional<std::string_view> reason_string;
  bool wildcard_subscription_available = true;
  bool subscription_identifier_available = true;
  bool shared_subscription_available = true;
  std::optional<std::uint16_t> server_keep_alive_s;
  std::optional<std::string_view> response_information;
  std::optional<std::string_view> server_reference;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> authentication_data;
  RepeatedProperties user_properties;
  bool operator==(const ConnAck&) const = default;
};

struct Publish {
  QoS qos = QoS::kAtMostOnce;
  bool dup = false;
  bool retain = false;
  std::uint16_t packet_id = 0;  // 0 exactly at QoS 0
  std::string_view topic;       // empty only with a topic alias
  std::string_view payload;
  bool payload_is_utf8 = false;  // as declared; the codec does not look into the payload
  std::optional<std::uint32_t> message_expiry_s;
  std::uint16_t topic_alias = 0;  // 0: none
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> correlation_data;
  std::optional<std::string_view> content_type;
  /// User properties, in order; at a client also the subscription identifiers. `repeated.bytes()`
  /// may be stored and given to the encoder again: it takes over just these two.
  RepeatedProperties repeated;
  /// For the encoder only, besides those in `repeated`; each 1 to 268,435,455.
  std::span<const std::uint32_t> subscription_ids;
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP. Before version 5 `reason` is not sent: there a packet with
/// an error must not be sent at all.
struct Ack {
  PacketType type = PacketType::kPubAck;
  std::uint16_t packet_id = 0;
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::string_view> reason_string;
  RepeatedProperties user_properties;
  bool operator==(const Ack&) const = default;
};

enum class RetainHandling : std::uint8_t { kSend = 0, kSendIfNew = 1, kDoNotSend = 2 };

struct Subscription {
  std::string_view filter;  // with its "$share/group/" (mqtt_topic.h takes it apart)
  QoS maximum_qos = QoS::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;
  bool operator==(const Subscription&) const = default;
};

/// The payload of a SUBSCRIBE as it lies in the packet, already checked; taken apart on iteration,
/// so that a packet of many filters costs nothing before the session has looked at its limits.
class SubscriptionList {
 public:
  SubscriptionList() = default;
  SubscriptionList(std::string_view checked, std::size_t count) : bytes_(checked), count_(count) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  bool operator==(const SubscriptionList&) const = default;
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::string_view rest = bytes_;
    while (!rest.empty()) visit(take(rest));
  }
  static void append(const Subscription& subscription, std::string& list);

 private:
  static Subscription take(std::string_view& rest);
  std::string_view bytes_;
  std::size_t count_ = 0;
};

/// The same for the filters of an UNSUBSCRIBE.
class FilterList {
 public:
  FilterList() = default;
  FilterList(std::string_view checked, std::size_t count) : bytes_(checked), count_(count) {}
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  bool operator==(const FilterList&) const = default;
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::string_view rest = bytes_;
    while (!rest.empty()) visit(take(rest));
  }
  static void append(std::string_view filter, std::string& list);

 private:
  static std::string_view take(std::string_view& rest);
  std::string_view bytes_;
  std::size_t count_ = 0;
};

struct Subscribe {
  std::uint16_t packet_id = 0;
  std::uint32_t subscription_id = 0;  // 0: none
  SubscriptionList subscriptions;     // at least one
  RepeatedProperties user_properties;
  bool operator==(const Subscribe&) const = default;
};

struct Unsubscribe {
  std::uint16_t packet_id = 0;
  FilterList filters;  // at least one
  RepeatedProperties user_properties;
  bool operator==(const Unsubscribe&) const = default;
};

/// SUBACK and UNSUBACK: one byte per filter, in order (ReasonCode; granted QoS 0, 1, 2). Before
/// version 5 the encoder writes every error of a SUBACK as 0x80, and an UNSUBACK has no codes.
struct SubAck {
  PacketType type = PacketType::kSubAck;
  std::uint16_t packet_id = 0;
  std::string_view codes;
  std::optional<std::string_view> reason_string;
  RepeatedProperties user_properties;
  bool operator==(const SubAck&) const = default;
};

struct PingReq {
  bool operator==(const PingReq&) const = default;
};
struct PingResp {
  bool operator==(const PingResp&) const = default;
};

struct Disconnect {
  ReasonCode reason = ReasonCode::kSuccess;  // kDisconnectWithWill: the will is to be sent
  std::optional<std::uint32_t> session_expiry_s;
  std::optional<std::string_view> reason_string;
  std::optional<std::string_view> server_reference;
  RepeatedProperties user_properties;
  bool operator==(const Disconnect&) const = default;
};

struct Auth {
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> authentication_data;
  std::optional<std::string_view> reason_string;
  RepeatedProperties user_properties;
  bool operator==(const Auth&) const = default;
};

using Packet = std::variant<Connect, ConnAck, Publish, Ack, Subscribe, SubAck, Unsubscribe, PingReq,
                            PingResp, Disconnect, Auth>;

// --- Framing ----------------------------------------------------------------------------------

struct Frame {
  enum class State : std::uint8_t { kNeedMore, kComplete, kMalformed, kTooLarge };
  State state = State::kNeedMore;
  /// The size of the whole packet once its length is known, else 0: what the reader must hold.
  std::size_t size = 0;
  std::string_view bytes;                  // the packet, if complete
  PacketType type = PacketType::kConnect;  // if complete
  Violation violation;                     // if malformed or too large
};

/// Looks for one packet at the start of `bytes`. Decides from the first five bytes at most, so a
/// packet larger than `max_packet_size` is refused before anything is read into memory for it.
Frame try_frame(std::string_view bytes, std::size_t max_packet_size);

// --- Decoding and encoding --------------------------------------------------------------------

template <class T>
using Decoded = std::expected<T, Violation>;

/// Decodes one whole frame. `version` is that of the connection; CONNECT brings its own.
Decoded<Packet> decode(std::string_view frame, Version version, Receiver receiver);
/// The same for the one packet that comes in millions, without the copy through the variant.
Decoded<Publish> decode_publish(std::string_view frame, Version version, Receiver receiver);

/// Appends the packet to `out`. The caller keeps to the field sizes of the protocol (strings up to
/// 65,535 bytes, packets up to kMaxPacketBytes); whatever was decoded does. What the version does
/// not know (properties, reason codes) is left out.
void encode(const Connect& packet, std::string& out);  // in the version that it names
void encode(const ConnAck& packet, Version version, std::string& out);
void encode(const Publish& packet, Version version, std::string& out);
void encode(const Ack& packet, Version version, std::string& out);
void encode(const Subscribe& packet, Version version, std::string& out);
void encode(const SubAck& packet, Version version, std::string& out);
void encode(const Unsubscribe& packet, Version version, std::string& out);
void encode(const PingReq& packet, Version version, std::string& out);
void encode(const PingResp& packet, Version version, std::string& out);
void encode(const Disconnect& packet, Version version, std::string& out);
void encode(const Auth& packet, Version version, std::string& out);
void encode(const Packet& packet, Version version, std::string& out);

/// The size of the whole packet, for the receiver's maximum packet size.
std::size_t encoded_size(const Publish& packet, Version version);
/// All of the packet but its payload, which the caller sends right after it.
void encode_publish_head(const Publish& packet, Version version, std::string& out);
/// Changes a PUBLISH that encode() made: one encoding can serve all subscribers of a message.
void set_publish_packet_id(std::span<char> frame, std::uint16_t packet_id);
void set_publish_dup(std::span<char> frame, bool dup);

}  // namespace millrace::wire::mqtt
