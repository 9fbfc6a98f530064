// The versions of MQTT, its reason codes (MQTT 5, 2.4), and what a peer did wrong. Values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::wire::mqtt {

/// The protocol level in CONNECT.
enum class Version : std::uint8_t { k31 = 3, k311 = 4, k5 = 5 };

enum class ReasonCode : std::uint8_t {
  kSuccess = 0x00,  // also: normal disconnection, granted QoS 0
  kGrantedQos1 = 0x01,
  kGrantedQos2 = 0x02,
  kDisconnectWithWill = 0x04,
  kNoMatchingSubscribers = 0x10,
  kNoSubscriptionExisted = 0x11,
  kContinueAuthentication = 0x18,
  kReauthenticate = 0x19,
  kUnspecifiedError = 0x80,
  kMalformedPacket = 0x81,
  kProtocolError = 0x82,
  kImplementationSpecificError = 0x83,
  kUnsupportedProtocolVersion = 0x84,
  kClientIdentifierNotValid = 0x85,
  kBadUserNameOrPassword = 0x86,
  kNotAuthorized = 0x87,
  kServerUnavailable = 0x88,
  kServerBusy = 0x89,
  kBanned = 0x8a,
  kServerShuttingDown = 0x8b,
  kBadAuthenticationMethod = 0x8c,
  kKeepAliveTimeout = 0x8d,
  kSessionTakenOver = 0x8e,
  kTopicFilterInvalid = 0x8f,
  kTopicNameInvalid = 0x90,
  kPacketIdentifierInUse = 0x91,
  kPacketIdentifierNotFound = 0x92,
  kReceiveMaximumExceeded = 0x93,
  kTopicAliasInvalid = 0x94,
  kPacketTooLarge = 0x95,
  kMessageRateTooHigh = 0x96,
  kQuotaExceeded = 0x97,
  kAdministrativeAction = 0x98,
  kPayloadFormatInvalid = 0x99,
  kRetainNotSupported = 0x9a,
  kQosNotSupported = 0x9b,
  kUseAnotherServer = 0x9c,
  kServerMoved = 0x9d,
  kSharedSubscriptionsNotSupported = 0x9e,
  kConnectionRateExceeded = 0x9f,
  kMaximumConnectTime = 0xa0,
  kSubscriptionIdentifiersNotSupported = 0xa1,
  kWildcardSubscriptionsNotSupported = 0xa2,
};

[[nodiscard]] constexpr bool is_error(ReasonCode code) {
  return static_cast<std::uint8_t>(code) >= 0x80;
}
/// As the specification writes it: "Topic Name invalid".
[[nodiscard]] std::string_view name(ReasonCode code);

/// The return code of a CONNACK before version 5, 0 to 5 (MQTT 3.1.1, table 3.1), and back.
[[nodiscard]] std::uint8_t connect_return_code(ReasonCode code);
[[nodiscard]] std::optional<ReasonCode> from_connect_return_code(std::uint8_t code);

/// What a peer sent against the specification. The connection must end: version 5 with DISCONNECT
/// (or CONNACK, before the connection is accepted) and `reason`; before version 5 by closing, but
/// for the two CONNECTs that have a return code (may_answer_connect).
struct Violation {
  ReasonCode reason = ReasonCode::kMalformedPacket;
  std::string_view clause;  // "[MQTT-3.3.1-4]" or a section, "MQTT 5 2.2.2.2"
  std::string_view what;
  /// The version of a CONNECT that was refused, as far as it could be read: how to answer it.
  std::optional<Version> version;
  /// "Malformed Packet: a PUBLISH of QoS 3 [MQTT-3.3.1-4]"
  [[nodiscard]] std::string text() const;
};

/// Whether a refused CONNECT gets a CONNACK before the connection is closed.
[[nodiscard]] bool may_answer_connect(const Violation& violation);

}  // namespace millrace::wire::mqtt
