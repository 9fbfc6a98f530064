#include "wire/mqtt_properties.h"

#include <array>

#include "wire/mqtt_varint.h"

namespace millrace::wire::mqtt {
namespace {

/// The wire type of each identifier; kNone: no such property.
constexpr std::uint8_t kNone = 0xff;

constexpr auto kTypes = [] {
  std::array<std::uint8_t, 0x2b> types{};
  types.fill(kNone);
  const auto set = [&](PropertyType type, std::initializer_list<PropertyId> ids) {
    for (const PropertyId id : ids)
      types[static_cast<std::size_t>(id)] = static_cast<std::uint8_t>(type);
  };
  using enum PropertyId;
  set(PropertyType::kByte,
      {kPayloadFormatIndicator, kRequestProblemInformation, kRequestResponseInformation,
       kMaximumQos, kRetainAvailable, kWildcardSubscriptionAvailable,
       kSubscriptionIdentifierAvailable, kSharedSubscriptionAvailable});
  set(PropertyType::kUint16, {kServerKeepAlive, kReceiveMaximum, kTopicAliasMaximum, kTopicAlias});
  set(PropertyType::kUint32,
      {kMessageExpiryInterval, kSessionExpiryInterval, kWillDelayInterval, kMaximumPacketSize});
  set(PropertyType::kVarint, {kSubscriptionIdentifier});
  set(PropertyType::kText,
      {kContentType, kResponseTopic, kAssignedClientIdentifier, kAuthenticationMethod,
       kResponseInformation, kServerReference, kReasonString});
  set(PropertyType::kBinary, {kCorrelationData, kAuthenticationData});
  set(PropertyType::kPair, {kUserProperty});
  return types;
}();

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

bool take_number(std::string_view& rest, std::size_t size, std::uint32_t& value) {
  if (rest.size() < size) return false;
  value = big_endian(rest.substr(0, size));
  rest.remove_prefix(size);
  return true;
}

bool take_bytes(std::string_view& rest, std::string_view& bytes) {
  std::uint32_t size = 0;
  if (!take_number(rest, 2, size) || rest.size() < size) return false;
  bytes = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

bool take_varint(std::string_view& rest, std::uint32_t& value) {
  const Varint read = read_varint(rest);
  if (read.state != Varint::State::kComplete) return false;
  value = read.value;
  rest.remove_prefix(read.size);
  return true;
}

bool take_user_property(std::string_view& rest, Property& property) {
  while (take_property(rest, property))
    if (property.id == PropertyId::kUserProperty) return true;
  return false;
}

}  // namespace

bool RepeatedProperties::operator==(const RepeatedProperties& other) const {
  std::string_view left = bytes_;
  std::string_view right = other.bytes_;
  for (;;) {
    Property one;
    Property two;
    const bool more = take_user_property(left, one);
    if (more != take_user_property(right, two)) return false;
    if (!more) return true;
    if (one.text != two.text || one.value != two.value) return false;
  }
}

bool take_property(std::string_view& rest, Property& property) {
  if (rest.empty()) return false;
  const auto id = static_cast<unsigned char>(rest.front());
  if (id >= kTypes.size() || kTypes[id] == kNone) return false;
  property = {.id = static_cast<PropertyId>(id),
              .type = static_cast<PropertyType>(kTypes[id]),
              .number = 0,
              .text = {},
              .value = {}};
  std::string_view after = rest.substr(1);
  bool fits = false;
  switch (property.type) {
    case PropertyType::kByte:
      fits = take_number(after, 1, property.number);
      break;
    case PropertyType::kUint16:
      fits = take_number(after, 2, property.number);
      break;
    case PropertyType::kUint32:
      fits = take_number(after, 4, property.number);
      break;
    case PropertyType::kVarint:
      fits = take_varint(after, property.number);
      break;
    case PropertyType::kText:
    case PropertyType::kBinary:
      fits = take_bytes(after, property.text);
      break;
    case PropertyType::kPair:
      fits = take_bytes(after, property.text) && take_bytes(after, property.value);
      break;
  }
  if (fits) rest = after;
  return fits;
}

void append_user_property(std::string_view name, std::string_view value, std::string& bytes) {
  bytes.push_back(static_cast<char>(PropertyId::kUserProperty));
  for (const std::string_view text : {name, value}) {
    bytes.push_back(static_cast<char>(text.size() >> 8));
    bytes.push_back(static_cast<char>(text.size() & 0xff));
    bytes.append(text);
  }
}

}  // namespace millrace::wire::mqtt
