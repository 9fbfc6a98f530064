// Every malformed form of every packet, byte by byte, with the clause that it breaks and the reason
// code with which the connection must end. The fixed header is made by packet(); the hand-written
// part is the body. Version and direction are part of each case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <vector>

#include "wire/mqtt.h"
#include "wire/mqtt_hex.h"

namespace millrace::wire::mqtt {
namespace {

constexpr Version k31 = Version::k31;
constexpr Version k311 = Version::k311;
constexpr Version k5 = Version::k5;
constexpr Receiver kServer = Receiver::kServer;
constexpr Receiver kClient = Receiver::kClient;
constexpr ReasonCode kMalformed = ReasonCode::kMalformedPacket;
constexpr ReasonCode kProtocol = ReasonCode::kProtocolError;

struct Case {
  std::string_view what;
  Version version;
  Receiver receiver;
  unsigned first_byte;
  std::string_view body;
  ReasonCode reason;
  std::string_view clause;
};

std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << "MQTT " << static_cast<int>(one.version) << ": " << one.what;
}

std::string packet(unsigned first_byte, const std::string& body) {
  std::string out(1, static_cast<char>(first_byte));
  out.push_back(static_cast<char>(body.size()));
  return out + body;
}

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, WithItsClauseAndReason) {
  const Case& one = GetParam();
  const std::string bytes = packet(one.first_byte, hex(one.body));
  const Frame frame = try_frame(bytes, 1'000);
  ASSERT_EQ(frame.state, Frame::State::kComplete);
  const auto decoded = decode(frame.bytes, one.version, one.receiver);
  ASSERT_FALSE(decoded.has_value()) << "was accepted";
  EXPECT_EQ(decoded.error().clause, one.clause) << decoded.error().text();
  EXPECT_EQ(decoded.error().reason, one.reason) << decoded.error().text();
  if (frame.type == PacketType::kPublish) {
    EXPECT_EQ(decode_publish(frame.bytes, one.version, one.receiver).error().clause, one.clause);
  }
}

#define MQTT_CASES(name, ...) \
  INSTANTIATE_TEST_SUITE_P(name, Refused, testing::ValuesIn(std::vector<Case>{__VA_ARGS__}))

constexpr ReasonCode kVersion = ReasonCode::kUnsupportedProtocolVersion;
constexpr ReasonCode kClientId = ReasonCode::kClientIdentifierNotValid;

// body: protocol name, level, flags, keep alive, (5: properties), client id, ...
MQTT_CASES(Connect,
           {"flags in the fixed header", k311, kServer, 0x11, "0004'MQTT' 04 02 003c 0001'a'",
            kMalformed, "[MQTT-2.2.2-1]"},
           {"another protocol", k311, kServer, 0x10, "0004'HTTP' 04 02 003c 0001'a'", kVersion,
            "[MQTT-3.1.2-1]"},
           {"a protocol name in lower case", k311, kServer, 0x10, "0004'mqtt' 04 02 003c 0001'a'",
            kVersion, "[MQTT-3.1.2-1]"},
           {"level 6", k5, kServer, 0x10, "0004'MQTT' 06 02 003c 00 0001'a'", kVersion,
            "[MQTT-3.1.2-2]"},
           {"level 3 of the new name", k311, kServer, 0x10, "0004'MQTT' 03 02 003c 0001'a'",
            kVersion, "[MQTT-3.1.2-2]"},
           {"level 4 of the old name", k311, kServer, 0x10, "0006'MQIsdp' 04 02 003c 0001'a'",
            kVersion, "[MQTT-3.1.2-2]"},
           {"the bit of a bridge in the level", k311, kServer, 0x10,
            "0004'MQTT' 84 02 003c 0001'a'", kVersion, "[MQTT-3.1.2-2]"},
           {"the reserved flag", k311, kServer, 0x10, "0004'MQTT' 04 03 003c 0001'a'", kMalformed,
            "[MQTT-3.1.2-3]"},
           {"the reserved flag", k5, kServer, 0x10, "0004'MQTT' 05 03 003c 00 0001'a'", kMalformed,
            "[MQTT-3.1.2-3]"},
           {"will QoS without will", k311, kServer, 0x10, "0004'MQTT' 04 0a 003c 0001'a'",
            kMalformed, "[MQTT-3.1.2-13]"},
           {"will QoS without will", k5, kServer, 0x10, "0004'MQTT' 05 0a 003c 00 0001'a'",
            kMalformed, "[MQTT-3.1.2-11]"},
           {"will retain without will", k311, kServer, 0x10, "0004'MQTT' 04 22 003c 0001'a'",
            kMalformed, "[MQTT-3.1.2-15]"},
           {"will retain without will", k5, kServer, 0x10, "0004'MQTT' 05 22 003c 00 0001'a'",
            kMalformed, "[MQTT-3.1.2-13]"},
           {"will QoS 3", k311, kServer, 0x10, "0004'MQTT' 04 1e 003c 0001'a' 0001't' 0001'p'",
            kMalformed, "[MQTT-3.1.2-14]"},
           {"will QoS 3", k5, kServer, 0x10, "0004'MQTT' 05 1e 003c 00 0001'a' 00 0001't' 0001'p'",
            kMalformed, "[MQTT-3.1.2-12]"},
           {"a password without a user name", k311, kServer, 0x10,
            "0004'MQTT' 04 42 003c 0001'a' 0001'p'", kMalformed, "[MQTT-3.1.2-22]"},
           {"a password without a user name", k31, kServer, 0x10,
            "0006'MQIsdp' 03 42 003c 0001'a' 0001'p'", kMalformed, "[MQTT-3.1.2-22]"},
           {"an empty client id with a session to keep", k311, kServer, 0x10,
            "0004'MQTT' 04 00 003c 0000", kClientId, "[MQTT-3.1.3-8]"},
           {"an empty client id", k31, kServer, 0x10, "0006'MQIsdp' 03 02 003c 0000", kClientId,
            "MQTT 3.1 3.1"},
           {"a client id that is not UTF-8", k311, kServer, 0x10, "0004'MQTT' 04 02 003c 0002 c080",
            kMalformed, "[MQTT-1.5.3-1]"},
           {"a client id that is not UTF-8", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 00 0003 eda080", kMalformed, "[MQTT-1.5.4-1]"},
           {"U+0000 in the client id", k5, kServer, 0x10, "0004'MQTT' 05 02 003c 00 0003 'a'00'b'",
            kMalformed, "[MQTT-1.5.4-2]"},
           {"U+0000 in the user name", k311, kServer, 0x10, "0004'MQTT' 04 82 003c 0001'a' 0001 00",
            kMalformed, "[MQTT-1.5.3-2]"},
           {"a wildcard in the will topic", k311, kServer, 0x10,
            "0004'MQTT' 04 06 003c 0001'a' 0003'a/+' 0001'p'", kMalformed, "[MQTT-3.3.2-2]"},
           {"an empty will topic", k5, kServer, 0x10,
            "0004'MQTT' 05 06 003c 00 0001'a' 00 0000 0001'p'", kMalformed, "[MQTT-4.7.3-1]"},
           {"the will flag without a will", k311, kServer, 0x10, "0004'MQTT' 04 06 003c 0001'a'",
            kMalformed, "[MQTT-4.8.0-1]"},
           {"the user name flag without a user name", k311, kServer, 0x10,
            "0004'MQTT' 04 82 003c 0001'a'", kMalformed, "[MQTT-4.8.0-1]"},
           {"a client id shorter than its length", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 00 0005'a'", kMalformed, "[MQTT-4.13.1-1]"},
           {"bytes after the end", k311, kServer, 0x10, "0004'MQTT' 04 02 003c 0001'a' 00",
            kMalformed, "[MQTT-4.8.0-1]"},
           {"nothing at all", k311, kServer, 0x10, "", kMalformed, "[MQTT-4.8.0-1]"},
           {"no property length", k5, kServer, 0x10, "0004'MQTT' 05 02 003c", kMalformed,
            "[MQTT-2.2.2-1]"},
           {"a property length that is not minimal", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 8000 0001'a'", kMalformed, "[MQTT-1.5.5-1]"},
           {"a property length of five bytes", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c ffffffff7f 0001'a'", kMalformed, "MQTT 5 1.5.5"},
           {"a property section longer than the packet", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 7f 0001'a'", kMalformed, "[MQTT-4.13.1-1]"},
           {"an unknown property", k5, kServer, 0x10, "0004'MQTT' 05 02 003c 02 0401 0001'a'",
            kMalformed, "MQTT 5 2.2.2.2"},
           {"a property identifier above all", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 02 ff01 0001'a'", kMalformed, "MQTT 5 2.2.2.2"},
           {"a property cut off", k5, kServer, 0x10, "0004'MQTT' 05 02 003c 03 110000 0001'a'",
            kMalformed, "MQTT 5 2.2.2.2"},
           {"a property of another packet", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 03 230001 0001'a'", kMalformed, "MQTT 5 2.2.2.2"},
           {"session expiry twice", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 0a 1100000001 1100000001 0001'a'", kProtocol, "MQTT 5 3.1.2.11"},
           {"receive maximum zero", k5, kServer, 0x10, "0004'MQTT' 05 02 003c 03 210000 0001'a'",
            kProtocol, "MQTT 5 3.1.2.11.3"},
           {"receive maximum twice", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 06 210001 210001 0001'a'", kProtocol, "MQTT 5 3.1.2.11"},
           {"maximum packet size zero", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 05 2700000000 0001'a'", kProtocol, "MQTT 5 3.1.2.11.4"},
           {"request problem information 2", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 02 1702 0001'a'", kProtocol, "MQTT 5 2.2.2.2"},
           {"request response information 2", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 02 1902 0001'a'", kProtocol, "MQTT 5 2.2.2.2"},
           {"authentication data without a method", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 04 160001'x' 0001'a'", kProtocol, "MQTT 5 3.1.2.11.10"},
           {"a user property that is not UTF-8", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 07 260001'n' 0001 80 0001'a'", kMalformed, "[MQTT-1.5.7-1]"},
           {"a will delay among the properties of CONNECT", k5, kServer, 0x10,
            "0004'MQTT' 05 02 003c 05 1800000001 0001'a'", kMalformed, "MQTT 5 2.2.2.2"},
           {"a will delay twice", k5, kServer, 0x10,
            "0004'MQTT' 05 06 003c 00 0001'a' 0a 1800000001 1800000001 0001't' 0000", kProtocol,
            "MQTT 5 3.1.3.2"},
           {"a topic alias in the will", k5, kServer, 0x10,
            "0004'MQTT' 05 06 003c 00 0001'a' 03 230001 0001't' 0000", kMalformed,
            "MQTT 5 2.2.2.2"},
           {"to a client", k311, kClient, 0x10, "0004'MQTT' 04 02 003c 0001'a'", kProtocol,
            "MQTT 5 2.1.2"});

MQTT_CASES(ConnAck, {"to a server", k311, kServer, 0x20, "0000", kProtocol, "MQTT 5 2.1.2"},
           {"reserved flags", k311, kClient, 0x20, "0200", kMalformed, "[MQTT-3.2.2-1]"},
           {"reserved flags", k5, kClient, 0x20, "0200 00", kMalformed, "[MQTT-3.2.2-1]"},
           {"a refusal with a session", k311, kClient, 0x20, "0105", kProtocol, "[MQTT-3.2.2-4]"},
           {"a refusal with a session", k5, kClient, 0x20, "0187 00", kProtocol, "[MQTT-3.2.2-6]"},
           {"return code 6", k311, kClient, 0x20, "0006", kProtocol, "MQTT 3.1.1 3.2.2.3"},
           {"a reason code of SUBACK", k5, kClient, 0x20, "008f 00", kProtocol, "[MQTT-3.2.2-8]"},
           {"too short", k311, kClient, 0x20, "00", kMalformed, "[MQTT-4.8.0-1]"},
           {"too long", k311, kClient, 0x20, "000000", kMalformed, "[MQTT-4.8.0-1]"},
           {"no properties", k5, kClient, 0x20, "0000", kMalformed, "[MQTT-2.2.2-1]"},
           {"maximum QoS 2", k5, kClient, 0x20, "0000 02 2402", kProtocol, "MQTT 5 2.2.2.2"},
           {"reason string twice", k5, kClient, 0x20, "0000 08 1f0001'a' 1f0001'a'", kProtocol,
            "MQTT 5 3.2.2.3"},
           {"a topic alias", k5, kClient, 0x20, "0000 03 230001", kMalformed, "MQTT 5 2.2.2.2"});

MQTT_CASES(
    Publish, {"QoS 3", k311, kServer, 0x36, "0001't' 0001", kMalformed, "[MQTT-3.3.1-4]"},
    {"QoS 3", k5, kServer, 0x36, "0001't' 0001 00", kMalformed, "[MQTT-3.3.1-4]"},
    {"DUP at QoS 0", k311, kServer, 0x38, "0001't'", kMalformed, "[MQTT-3.3.1-2]"},
    {"DUP at QoS 0", k5, kServer, 0x38, "0001't' 00", kMalformed, "[MQTT-3.3.1-2]"},
    {"no topic", k311, kServer, 0x30, "0000 'p'", kMalformed, "[MQTT-4.7.3-1]"},
    {"neither topic nor alias", k5, kServer, 0x30, "0000 00 'p'", kProtocol, "MQTT 5 3.3.2.1"},
    {"'+' in the topic", k311, kServer, 0x30, "0003'a/+'", kMalformed, "[MQTT-3.3.2-2]"},
    {"'#' in the topic", k5, kServer, 0x30, "0003'a/#' 00", kMalformed, "[MQTT-3.3.2-2]"},
    {"U+0000 in the topic", k311, kServer, 0x30, "0003'a'00'b'", kMalformed, "[MQTT-1.5.3-2]"},
    {"an overlong form in the topic", k311, kServer, 0x30, "0002 c1bf", kMalformed,
     "[MQTT-1.5.3-1]"},
    {"a surrogate in the topic", k5, kServer, 0x30, "0003 edbfbf 00", kMalformed, "[MQTT-1.5.4-1]"},
    {"a code point above U+10FFFF", k5, kServer, 0x30, "0004 f4908080 00", kMalformed,
     "[MQTT-1.5.4-1]"},
    {"a sequence cut off", k5, kServer, 0x30, "0002 e282 00", kMalformed, "[MQTT-1.5.4-1]"},
    {"packet id zero", k311, kServer, 0x32, "0001't' 0000 'p'", kMalformed, "[MQTT-2.3.1-1]"},
    {"packet id zero", k5, kServer, 0x34, "0001't' 0000 00 'p'", kProtocol, "[MQTT-2.2.1-3]"},
    {"no packet id", k311, kServer, 0x32, "0001't'", kMalformed, "[MQTT-4.8.0-1]"},
    {"no properties", k5, kServer, 0x30, "0001't'", kMalformed, "[MQTT-2.2.2-1]"},
    {"a topic longer than the packet", k5, kServer, 0x30, "0009't'", kMalformed, "[MQTT-4.13.1-1]"},
    {"nothing", k311, kServer, 0x30, "", kMalformed, "[MQTT-4.8.0-1]"},
    {"topic alias zero", k5, kServer, 0x30, "0001't' 03 230000", ReasonCode::kTopicAliasInvalid,
     "[MQTT-3.3.2-8]"},
    {"topic alias twice", k5, kServer, 0x30, "0001't' 06 230001 230001", kProtocol,
     "MQTT 5 3.3.2.3"},
    {"payload format 2", k5, kServer, 0x30, "0001't' 02 0102", kProtocol, "MQTT 5 2.2.2.2"},
    {"payload format twice", k5, kServer, 0x30, "0001't' 04 0101 0101", kProtocol,
     "MQTT 5 3.3.2.3"},
    {"message expiry twice", k5, kServer, 0x30, "0001't' 0a 0200000001 0200000001", kProtocol,
     "MQTT 5 3.3.2.3"},
    {"a wildcard in the response topic", k5, kServer, 0x30, "0001't' 04 080001'#'", kProtocol,
     "[MQTT-3.3.2-14]"},
    {"an empty response topic", k5, kServer, 0x30, "0001't' 03 080000", kProtocol,
     "[MQTT-3.3.2-14]"},
    {"a response topic that is not UTF-8", k5, kServer, 0x30, "0001't' 04 080001 ff", kMalformed,
     "[MQTT-1.5.4-1]"},
    {"a content type that is not UTF-8", k5, kServer, 0x30, "0001't' 04 030001 ff", kMalformed,
     "[MQTT-1.5.4-1]"},
    {"correlation data twice", k5, kServer, 0x30, "0001't' 08 090001'a' 090001'a'", kProtocol,
     "MQTT 5 3.3.2.3"},
    {"a subscription identifier of a client", k5, kServer, 0x30, "0001't' 02 0b01", kProtocol,
     "[MQTT-3.3.4-6]"},
    {"subscription identifier zero", k5, kClient, 0x30, "0001't' 02 0b00", kProtocol,
     "MQTT 5 3.8.2.1.2"},
    {"subscription identifier that is not minimal", k5, kClient, 0x30, "0001't' 03 0b8100",
     kMalformed, "MQTT 5 2.2.2.2"},
    {"a session expiry", k5, kServer, 0x30, "0001't' 05 1100000001", kMalformed, "MQTT 5 2.2.2.2"},
    {"U+0000 in a user property", k5, kServer, 0x30, "0001't' 07 260001 00 0001'v'", kMalformed,
     "[MQTT-1.5.7-1]"});

MQTT_CASES(
    Acknowledgements,
    {"PUBACK with flags", k311, kServer, 0x42, "0001", kMalformed, "[MQTT-2.2.2-1]"},
    {"PUBACK with flags", k5, kServer, 0x48, "0001", kMalformed, "[MQTT-2.1.3-1]"},
    {"PUBREC with flags", k311, kServer, 0x52, "0001", kMalformed, "[MQTT-2.2.2-1]"},
    {"PUBREL without its flags", k311, kServer, 0x60, "0001", kMalformed, "[MQTT-3.6.1-1]"},
    {"PUBREL without its flags", k5, kServer, 0x60, "0001", kMalformed, "[MQTT-3.6.1-1]"},
    {"PUBREL with DUP", k311, kServer, 0x6a, "0001", kMalformed, "[MQTT-3.6.1-1]"},
    {"PUBCOMP with flags", k5, kServer, 0x71, "0001", kMalformed, "[MQTT-2.1.3-1]"},
    {"PUBACK of id zero", k311, kServer, 0x40, "0000", kMalformed, "[MQTT-2.3.1-1]"},
    {"PUBREC of id zero", k5, kServer, 0x50, "0000", kProtocol, "[MQTT-2.2.1-3]"},
    {"PUBACK too short", k311, kServer, 0x40, "00", kMalformed, "[MQTT-4.8.0-1]"},
    {"PUBACK too long", k311, kServer, 0x40, "000100", kMalformed, "[MQTT-4.8.0-1]"},
    {"PUBACK with a reason of PUBREL", k5, kServer, 0x40, "0001 92", kProtocol, "[MQTT-3.4.2-1]"},
    {"PUBREC with reason 1", k5, kServer, 0x50, "0001 01", kProtocol, "[MQTT-3.5.2-1]"},
    {"PUBREL with a reason of PUBACK", k5, kServer, 0x62, "0001 10", kProtocol, "[MQTT-3.6.2-1]"},
    {"PUBCOMP with a reason of PUBACK", k5, kServer, 0x70, "0001 97", kProtocol, "[MQTT-3.7.2-1]"},
    {"PUBACK with two reason strings", k5, kServer, 0x40, "0001 00 08 1f0001'a' 1f0001'b'",
     kProtocol, "MQTT 5 3.4.2.2"},
    {"PUBREC with two reason strings", k5, kServer, 0x50, "0001 00 08 1f0001'a' 1f0001'b'",
     kProtocol, "MQTT 5 3.5.2.2"},
    {"PUBREL with two reason strings", k5, kServer, 0x62, "0001 00 08 1f0001'a' 1f0001'b'",
     kProtocol, "MQTT 5 3.6.2.2"},
    {"PUBCOMP with two reason strings", k5, kServer, 0x70, "0001 00 08 1f0001'a' 1f0001'b'",
     kProtocol, "MQTT 5 3.7.2.2"},
    {"PUBACK with a content type", k5, kServer, 0x40, "0001 00 04 030001'a'", kMalformed,
     "MQTT 5 2.2.2.2"},
    {"bytes after the properties", k5, kServer, 0x40, "0001 00 00 00", kMalformed,
     "[MQTT-4.13.1-1]"});

MQTT_CASES(
    Subscribe,
    {"wrong flags", k311, kServer, 0x80, "0001 0001'a' 00", kMalformed, "[MQTT-3.8.1-1]"},
    {"wrong flags", k5, kServer, 0x83, "0001 00 0001'a' 00", kMalformed, "[MQTT-3.8.1-1]"},
    {"packet id zero", k311, kServer, 0x82, "0000 0001'a' 00", kMalformed, "[MQTT-2.3.1-1]"},
    {"packet id zero", k5, kServer, 0x82, "0000 00 0001'a' 00", kProtocol, "[MQTT-2.2.1-3]"},
    {"no filter", k311, kServer, 0x82, "0001", kProtocol, "[MQTT-3.8.3-3]"},
    {"no filter", k5, kServer, 0x82, "0001 00", kProtocol, "[MQTT-3.8.3-2]"},
    {"an empty filter", k311, kServer, 0x82, "0001 0000 00", kMalformed, "[MQTT-4.7.3-1]"},
    {"a/#/b", k311, kServer, 0x82, "0001 0005'a/#/b' 00", kMalformed, "[MQTT-4.7.1-2]"},
    {"a/#/b", k5, kServer, 0x82, "0001 00 0005'a/#/b' 00", kMalformed, "[MQTT-4.7.1-1]"},
    {"a#", k5, kServer, 0x82, "0001 00 0002'a#' 00", kMalformed, "[MQTT-4.7.1-1]"},
    {"a+", k311, kServer, 0x82, "0001 0002'a+' 00", kMalformed, "[MQTT-4.7.1-3]"},
    {"a+/b", k5, kServer, 0x82, "0001 00 0004'a+/b' 00", kMalformed, "[MQTT-4.7.1-2]"},
    {"the second filter is bad", k5, kServer, 0x82, "0001 00 0001'a' 00 0002'++' 00", kMalformed,
     "[MQTT-4.7.1-2]"},
    {"U+0000 in the filter", k311, kServer, 0x82, "0001 0002'a'00 00", kMalformed,
     "[MQTT-1.5.3-2]"},
    {"a filter that is not UTF-8", k5, kServer, 0x82, "0001 00 0001 80 00", kMalformed,
     "[MQTT-1.5.4-1]"},
    {"QoS 3", k311, kServer, 0x82, "0001 0001'a' 03", kMalformed, "[MQTT-3-8.3-4]"},
    {"QoS 3", k5, kServer, 0x82, "0001 00 0001'a' 03", kMalformed, "[MQTT-3.8.3-5]"},
    {"options of version 5", k311, kServer, 0x82, "0001 0001'a' 04", kMalformed, "[MQTT-3-8.3-4]"},
    {"reserved options", k5, kServer, 0x82, "0001 00 0001'a' 40", kMalformed, "[MQTT-3.8.3-5]"},
    {"retain handling 3", k5, kServer, 0x82, "0001 00 0001'a' 30", kProtocol, "MQTT 5 3.8.3.1"},
    {"no local on a shared subscription", k5, kServer, 0x82, "0001 00 000a'$share/g/a' 04",
     kProtocol, "[MQTT-3.8.3-4]"},
    {"a share without a name", k5, kServer, 0x82, "0001 00 0009'$share//a' 00", kMalformed,
     "[MQTT-4.8.2-1]"},
    {"a share with a wildcard in its name", k5, kServer, 0x82, "0001 00 000a'$share/+/a' 00",
     kMalformed, "[MQTT-4.8.2-2]"},
    {"a share without a filter", k5, kServer, 0x82, "0001 00 0009'$share/g/' 00", kMalformed,
     "[MQTT-4.8.2-2]"},
    {"a share of a bad filter", k5, kServer, 0x82, "0001 00 000c'$share/g/a#b' 00", kMalformed,
     "[MQTT-4.7.1-1]"},
    {"no options after the filter", k311, kServer, 0x82, "0001 0001'a'", kMalformed,
     "[MQTT-4.8.0-1]"},
    {"a filter longer than the packet", k5, kServer, 0x82, "0001 00 0009'a' 00", kMalformed,
     "[MQTT-4.13.1-1]"},
    {"subscription identifier zero", k5, kServer, 0x82, "0001 02 0b00 0001'a' 00", kProtocol,
     "MQTT 5 3.8.2.1.2"},
    {"two subscription identifiers", k5, kServer, 0x82, "0001 04 0b01 0b02 0001'a' 00", kProtocol,
     "MQTT 5 3.8.2.1"},
    {"a reason string", k5, kServer, 0x82, "0001 04 1f0001'r' 0001'a' 00", kMalformed,
     "MQTT 5 2.2.2.2"},
    {"to a client", k5, kClient, 0x82, "0001 00 0001'a' 00", kProtocol, "MQTT 5 2.1.2"});

MQTT_CASES(Unsubscribe,
           {"wrong flags", k311, kServer, 0xa0, "0001 0001'a'", kMalformed, "[MQTT-3.10.1-1]"},
           {"wrong flags", k5, kServer, 0xa0, "0001 00 0001'a'", kMalformed, "[MQTT-3.10.1-1]"},
           {"packet id zero", k311, kServer, 0xa2, "0000 0001'a'", kMalformed, "[MQTT-2.3.1-1]"},
           {"no filter", k311, kServer, 0xa2, "0001", kProtocol, "[MQTT-3.10.3-2]"},
           {"no filter", k5, kServer, 0xa2, "0001 00", kProtocol, "[MQTT-3.10.3-2]"},
           {"a bad filter", k311, kServer, 0xa2, "0001 0003'#/a'", kMalformed, "[MQTT-4.7.1-2]"},
           {"a subscription identifier", k5, kServer, 0xa2, "0001 02 0b01 0001'a'", kMalformed,
            "MQTT 5 2.2.2.2"});

MQTT_CASES(SubAckAndUnsubAck,
           {"SUBACK to a server", k311, kServer, 0x90, "0001 00", kProtocol, "MQTT 5 2.1.2"},
           {"SUBACK with code 3", k311, kClient, 0x90, "0001 03", kProtocol, "[MQTT-3.9.3-2]"},
           {"SUBACK with code 0x81", k5, kClient, 0x90, "0001 00 81", kProtocol, "[MQTT-3.9.3-2]"},
           {"SUBACK of id zero", k311, kClient, 0x90, "0000 00", kMalformed, "[MQTT-2.3.1-1]"},
           {"SUBACK with two reason strings", k5, kClient, 0x90, "0001 08 1f0001'a' 1f0001'b' 00",
            kProtocol, "MQTT 5 3.9.2.1"},
           {"UNSUBACK to a server", k5, kServer, 0xb0, "0001 00 00", kProtocol, "MQTT 5 2.1.2"},
           {"UNSUBACK with a granted QoS", k5, kClient, 0xb0, "0001 00 01", kProtocol,
            "[MQTT-3.11.3-2]"},
           {"UNSUBACK with codes", k311, kClient, 0xb0, "0001 00", kMalformed, "[MQTT-4.8.0-1]"},
           {"UNSUBACK with two reason strings", k5, kClient, 0xb0, "0001 08 1f0001'a' 1f0001'b' 00",
            kProtocol, "MQTT 5 3.11.2.1"});

MQTT_CASES(Ping, {"PINGREQ with flags", k311, kServer, 0xc1, "", kMalformed, "[MQTT-2.2.2-1]"},
           {"PINGREQ with a body", k311, kServer, 0xc0, "00", kMalformed, "[MQTT-4.8.0-1]"},
           {"PINGREQ to a client", k5, kClient, 0xc0, "", kProtocol, "MQTT 5 2.1.2"},
           {"PINGRESP with flags", k5, kClient, 0xd8, "", kMalformed, "[MQTT-2.1.3-1]"},
           {"PINGRESP with a body", k5, kClient, 0xd0, "00", kMalformed, "[MQTT-4.13.1-1]"},
           {"PINGRESP to a server", k311, kServer, 0xd0, "", kProtocol, "MQTT 5 2.1.2"});

MQTT_CASES(DisconnectAndAuth,
           {"DISCONNECT with flags", k311, kServer, 0xe1, "", kMalformed, "[MQTT-3.14.1-1]"},
           {"DISCONNECT with flags", k5, kServer, 0xe2, "", kMalformed, "[MQTT-3.14.1-1]"},
           {"DISCONNECT with a body", k311, kServer, 0xe0, "00", kMalformed, "[MQTT-4.8.0-1]"},
           {"DISCONNECT to a client", k311, kClient, 0xe0, "", kProtocol, "MQTT 3.1.1 3.14"},
           {"DISCONNECT with reason 1", k5, kServer, 0xe0, "01", kProtocol, "[MQTT-3.14.2-1]"},
           {"DISCONNECT with a will to a client", k5, kClient, 0xe0, "04", kProtocol,
            "[MQTT-3.14.2-1]"},
           {"DISCONNECT of a client with take-over", k5, kServer, 0xe0, "8e", kProtocol,
            "[MQTT-3.14.2-1]"},
           {"DISCONNECT of a server with an expiry", k5, kClient, 0xe0, "00 05 1100000001",
            kProtocol, "[MQTT-3.14.2-2]"},
           {"DISCONNECT of a client with a server", k5, kServer, 0xe0, "00 04 1c0001's'", kProtocol,
            "MQTT 5 3.14.2.2.5"},
           {"DISCONNECT with two expiries", k5, kServer, 0xe0, "00 0a 1100000001 1100000001",
            kProtocol, "MQTT 5 3.14.2.2"},
           {"DISCONNECT with a receive maximum", k5, kServer, 0xe0, "00 03 210001", kMalformed,
            "MQTT 5 2.2.2.2"},
           {"AUTH before version 5", k311, kServer, 0xf0, "", kMalformed, "MQTT 3.1.1 2.2.1"},
           {"AUTH with flags", k5, kServer, 0xf2, "", kMalformed, "[MQTT-3.15.1-1]"},
           {"AUTH without properties", k5, kServer, 0xf0, "18", kMalformed, "[MQTT-2.2.2-1]"},
           {"AUTH without a method", k5, kServer, 0xf0, "18 00", kProtocol, "MQTT 5 3.15.2.2.2"},
           {"AUTH of a client with success", k5, kServer, 0xf0, "00 04 150001'm'", kProtocol,
            "[MQTT-3.15.2-1]"},
           {"AUTH of a server that re-authenticates", k5, kClient, 0xf0, "19 04 150001'm'",
            kProtocol, "[MQTT-3.15.2-1]"},
           {"AUTH with two methods", k5, kServer, 0xf0, "18 08 150001'm' 150001'm'", kProtocol,
            "MQTT 5 3.15.2.2"});

TEST(MqttConnectRefusal, SaysInWhichVersionItCanBeAnswered) {
  const auto refused = [](std::string_view body) {
    return decode(packet(0x10, hex(body)), k311, kServer).error();
  };
  const Violation level = refused("0004'MQTT' 06 02 003c 00 0001'a'");
  EXPECT_EQ(level.version, k311);
  EXPECT_TRUE(may_answer_connect(level));
  EXPECT_EQ(connect_return_code(level.reason), 1);  // [MQTT-3.1.2-2]
  const Violation id = refused("0004'MQTT' 04 00 003c 0000");
  EXPECT_TRUE(may_answer_connect(id));
  EXPECT_EQ(connect_return_code(id.reason), 2);  // [MQTT-3.1.3-8]
  // Anything else before version 5 closes without a CONNACK: [MQTT-3.1.4-1].
  EXPECT_FALSE(may_answer_connect(refused("0004'MQTT' 04 03 003c 0001'a'")));
  EXPECT_TRUE(may_answer_connect(refused("0004'MQTT' 05 03 003c 00 0001'a'")));
  EXPECT_FALSE(may_answer_connect(refused("0004'HTTP' 04 02 003c 0001'a'")));
}

}  // namespace
}  // namespace millrace::wire::mqtt
