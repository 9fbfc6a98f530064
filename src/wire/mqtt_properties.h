// The properties of MQTT 5 (2.2.2): their identifiers and wire types, a cursor over a property
// section, and the two properties that may occur more than once, kept as the bytes that they lie
// in. Pure; views point into the packet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::wire::mqtt {

enum class PropertyId : std::uint8_t {
  kPayloadFormatIndicator = 0x01,
  kMessageExpiryInterval = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionIdentifier = 0x0b,
  kSessionExpiryInterval = 0x11,
  kAssignedClientIdentifier = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelayInterval = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1a,
  kServerReference = 0x1c,
  kReasonString = 0x1f,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardSubscriptionAvailable = 0x28,
  kSubscriptionIdentifierAvailable = 0x29,
  kSharedSubscriptionAvailable = 0x2a,
};

enum class PropertyType : std::uint8_t { kByte, kUint16, kUint32, kVarint, kText, kBinary, kPair };

struct Property {
  PropertyId id = PropertyId::kUserProperty;
  PropertyType type = PropertyType::kPair;
  std::uint32_t number = 0;  // of the four number types
  std::string_view text;     // of kText and kBinary; the name of kPair
  std::string_view value;    // of kPair
};

/// Takes one property from the front of `rest`. False at the end, and when the bytes are no
/// property: an unknown identifier or a value that does not fit (`rest` then stays as it was).
/// Checks no text: the decoder does, once.
bool take_property(std::string_view& rest, Property& property);

/// A checked property section of which only user properties and subscription identifiers are looked
/// at. A default-constructed one has none.
class RepeatedProperties {
 public:
  RepeatedProperties() = default;
  /// `checked`: bytes that a decoder accepted, or that append_user_property made.
  explicit RepeatedProperties(std::string_view checked) : bytes_(checked) {}
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

  /// The same user properties in the same order.
  bool operator==(const RepeatedProperties& other) const;

  /// visit(name, value), in the order of the packet.
  template <class Visit>
  void for_each_user_property(Visit&& visit) const {
    Property property;
    for (std::string_view rest = bytes_; take_property(rest, property);)
      if (property.id == PropertyId::kUserProperty) visit(property.text, property.value);
  }
  /// visit(identifier); only a PUBLISH from a server has them.
  template <class Visit>
  void for_each_subscription_id(Visit&& visit) const {
    Property property;
    for (std::string_view rest = bytes_; take_property(rest, property);)
      if (property.id == PropertyId::kSubscriptionIdentifier) visit(property.number);
  }

 private:
  std::string_view bytes_;
};

/// Builds the bytes of a RepeatedProperties.
void append_user_property(std::string_view name, std::string_view value, std::string& bytes);

}  // namespace millrace::wire::mqtt
