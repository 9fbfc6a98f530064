// What the decoders of src/wire/mqtt_decode*.cc share: a reader over one packet that stops at the
// first violation, and the reading of a property section with the rules of its packet. Internal to
// the codec. After a violation every read gives zeros and an empty rest, so a decoder asks ok()
// once at its end (and in its loops).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/mqtt.h"
#include "wire/mqtt_topic.h"

namespace millrace::wire::mqtt {

/// Where a property section lies; the will has its own.
enum class PropertyScope : std::uint8_t {
  kWill = 0,
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
  kDisconnect = 14,
  kAuth = 15,
};

class Reader {
 public:
  Reader(std::string_view body, Version version, Receiver receiver)
      : rest_(body), version_(version), receiver_(receiver) {}

  [[nodiscard]] bool ok() const { return !violation_; }
  [[nodiscard]] Version version() const { return version_; }
  [[nodiscard]] bool is_v5() const { return version_ == Version::k5; }
  [[nodiscard]] Receiver receiver() const { return receiver_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] std::string_view clause(std::string_view v3, std::string_view v5) const {
    return is_v5() ? v5 : v3;
  }
  void set_version(Version version) { version_ = version; }

  /// The first one stays.
  void reject(ReasonCode reason, std::string_view clause, std::string_view what) {
    reject(Violation{.reason = reason, .clause = clause, .what = what, .version = {}});
  }
  void reject(Violation violation) {
    if (!violation_) violation_ = violation;
    rest_ = {};
  }
  void malformed(std::string_view clause, std::string_view what) {
    reject(ReasonCode::kMalformedPacket, clause, what);
  }
  void protocol_error(std::string_view clause, std::string_view what) {
    reject(ReasonCode::kProtocolError, clause, what);
  }
  [[nodiscard]] const Violation& violation() const { return *violation_; }

  std::uint8_t u8() {
    const std::string_view bytes = take(1);
    return bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes[0]);
  }
  std::uint16_t u16() {
    const std::string_view bytes = take(2);
    if (bytes.empty()) return 0;
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 |
                                      static_cast<unsigned char>(bytes[1]));
  }
  /// Two bytes of length and as many bytes: binary data, or a text whose rules come later.
  std::string_view binary() { return take(u16()); }
  std::string_view text() {
    const std::string_view out = binary();
    if (auto bad = check_text(out, version_)) reject(*bad);
    return out;
  }
  std::string_view take(std::size_t size) {
    if (rest_.size() < size) [[unlikely]] {
      truncated();
      return {};
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view take_rest() { return take(rest_.size()); }
  /// A packet identifier that must be there and not zero.
  std::uint16_t packet_id() {
    const std::uint16_t id = u16();
    if (id == 0 && ok()) zero_packet_id();
    return id;
  }
  void expect_end() {
    if (!rest_.empty())
      malformed(clause("[MQTT-4.8.0-1]", "[MQTT-4.13.1-1]"), "bytes after the end of the packet");
  }

  /// Reads a property section (in version 5; before, there is none) and gives each property that
  /// occurs at most once to visit(property). The section stays for the repeated ones.
  template <class Visit>
  RepeatedProperties properties(PropertyScope scope, Visit&& visit) {
    if (!is_v5() || !ok()) return {};
    const std::string_view section = property_section();
    std::uint64_t seen = 0;
    Property property;
    std::string_view left = section;
    while (!left.empty() && next_property(scope, left, seen, property))
      if (property.id != PropertyId::kUserProperty) visit(property);
    return RepeatedProperties(ok() ? section : std::string_view());
  }

 private:
  void truncated();
  void zero_packet_id();
  std::string_view property_section();
  /// False after a violation.
  bool next_property(PropertyScope scope, std::string_view& left, std::uint64_t& seen,
                     Property& property);
  void check_value(const Property& property);

  std::string_view rest_;
  Version version_;
  Receiver receiver_;
  std::optional<Violation> violation_;
};

/// The decoders of mqtt_decode_connect.cc; `body` is what follows the fixed header.
Decoded<Packet> decode_connect(std::string_view body, Receiver receiver);
Decoded<Packet> decode_connack(std::string_view body, Version version, Receiver receiver);

}  // namespace millrace::wire::mqtt
