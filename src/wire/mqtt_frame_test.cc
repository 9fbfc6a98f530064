// Finding packets in a stream of bytes, and what texts, topic names and filters may be.
#include <gtest/gtest.h>

#include "wire/mqtt.h"
#include "wire/mqtt_hex.h"
#include "wire/mqtt_topic.h"
#include "wire/mqtt_varint.h"

namespace millrace::wire::mqtt {
namespace {

TEST(MqttFrame, NeedsMoreUntilTheWholePacketIsThere) {
  const std::string bytes = hex("30 05 0001't' 'pq'") + "next";
  for (std::size_t size = 0; size < 7; ++size) {
    const Frame frame = try_frame(std::string_view(bytes).substr(0, size), 100);
    EXPECT_EQ(frame.state, Frame::State::kNeedMore) << size;
    EXPECT_EQ(frame.size, size < 2 ? 0U : 7U) << size;
  }
  const Frame frame = try_frame(bytes, 100);
  ASSERT_EQ(frame.state, Frame::State::kComplete);
  EXPECT_EQ(frame.bytes, std::string_view(bytes).substr(0, 7));
  EXPECT_EQ(frame.type, PacketType::kPublish);
}

TEST(MqttFrame, ReadsLengthsOfOneToFourBytes) {
  // MQTT 5, table 1-1: the smallest and the largest value of each size.
  const std::vector<std::pair<std::string, std::size_t>> cases = {{"30 00", 0},
                                                                  {"30 7f", 127},
                                                                  {"30 8001", 128},
                                                                  {"30 ff7f", 16'383},
                                                                  {"30 808001", 16'384},
                                                                  {"30 ffff7f", 2'097'151},
                                                                  {"30 80808001", 2'097'152},
                                                                  {"30 ffffff7f", 268'435'455}};
  for (const auto& [bytes, value] : cases) {
    const Frame frame = try_frame(hex(bytes), kMaxPacketBytes);
    EXPECT_EQ(frame.size, value + hex(bytes).size()) << bytes;
    EXPECT_NE(frame.state, Frame::State::kMalformed) << bytes;
  }
}

TEST(MqttFrame, RefusesALengthOfFiveBytes) {
  const Frame frame = try_frame(hex("30 ffffffff 01"), kMaxPacketBytes);
  EXPECT_EQ(frame.state, Frame::State::kMalformed);
  EXPECT_EQ(frame.violation.clause, "MQTT 5 1.5.5");
  EXPECT_EQ(try_frame(hex("30 80808080"), 10).state, Frame::State::kMalformed);
}

TEST(MqttFrame, RefusesALengthThatIsNotMinimal) {
  for (const auto* bytes : {"30 8000", "30 808000", "30 ff8000", "30 80808000"}) {
    const Frame frame = try_frame(hex(bytes), kMaxPacketBytes);
    EXPECT_EQ(frame.state, Frame::State::kMalformed) << bytes;
    EXPECT_EQ(frame.violation.clause, "[MQTT-1.5.5-1]");
    EXPECT_EQ(frame.violation.reason, ReasonCode::kMalformedPacket);
  }
}

TEST(MqttFrame, RefusesAPacketThatIsTooLargeFromItsFirstBytes) {
  const Frame frame = try_frame(hex("30 ffffff7f"), 1'000);
  EXPECT_EQ(frame.state, Frame::State::kTooLarge);
  EXPECT_EQ(frame.violation.reason, ReasonCode::kPacketTooLarge);
  EXPECT_EQ(frame.violation.clause, "[MQTT-3.2.2-15]");
  EXPECT_EQ(try_frame(hex("30 08"), 10).state, Frame::State::kNeedMore);
  EXPECT_EQ(try_frame(hex("30 09"), 10).state, Frame::State::kTooLarge);
}

TEST(MqttFrame, RefusesTypeZero) {
  EXPECT_EQ(try_frame(hex("00"), 10).state, Frame::State::kMalformed);
  EXPECT_EQ(try_frame(hex("0f 00"), 10).violation.clause, "MQTT 5 2.1.2");
}

TEST(MqttFrame, DecodeRefusesBytesThatAreNoWholePacket) {
  for (const auto* bytes : {"", "30", "30 05 00", "c0 00 00", "30 ffffffff"})
    EXPECT_FALSE(decode(hex(bytes), Version::k5, Receiver::kServer).has_value()) << bytes;
  EXPECT_FALSE(decode_publish(hex("c0 00"), Version::k5, Receiver::kServer).has_value());
}

std::string clause_of(const std::optional<Violation>& violation) {
  return violation ? std::string(violation->clause) : "";
}

TEST(MqttText, IsUtf8WithoutU0000) {
  for (const auto* good : {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xa1",
                           "\xef\xbb\xbf"
                           "bom",
                           "\x01\x1f", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(clause_of(check_text(good, Version::k5)), "") << good;
  const std::vector<std::string> bad = {
      "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
      "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xe2\x82",
      "\xff"};
  for (const std::string& text : bad) {
    EXPECT_EQ(clause_of(check_text(text, Version::k5)), "[MQTT-1.5.4-1]") << text;
    EXPECT_EQ(clause_of(check_text(text, Version::k311)), "[MQTT-1.5.3-1]") << text;
  }
  EXPECT_EQ(clause_of(check_text(std::string_view("a\0b", 3), Version::k5)), "[MQTT-1.5.4-2]");
  EXPECT_EQ(clause_of(check_text(std::string_view("\0", 1), Version::k311)), "[MQTT-1.5.3-2]");
  EXPECT_EQ(clause_of(check_text(std::string(65'536, 'x'), Version::k5)), "[MQTT-4.7.3-3]");
  EXPECT_EQ(clause_of(check_text(std::string(65'535, 'x'), Version::k5)), "");
}

TEST(MqttTopic, NamesHaveNoWildcards) {
  for (const auto* good : {"a", "/", "//", "a/b", "/a/", "$SYS/x", " ", "a b", "$share/g/a"})
    EXPECT_EQ(clause_of(check_topic_name(good, Version::k5)), "") << good;
  for (const auto* bad : {"+", "#", "a+", "a/#", "a/+/b", "#a"})
    EXPECT_EQ(clause_of(check_topic_name(bad, Version::k5)), "[MQTT-3.3.2-2]") << bad;
  EXPECT_EQ(clause_of(check_topic_name("", Version::k5)), "[MQTT-4.7.3-1]");
}

TEST(MqttTopic, FiltersHaveWildcardsAsWholeLevels) {
  for (const auto* good :
       {"a", "+", "#", "/#", "/+", "+/+", "a/+/b", "a/#", "+/a/#", "//", "$SYS/#", "$share",
        "$shared/+", "$share/g/#", "$share/g/+/a", "$share/g//"})
    EXPECT_EQ(clause_of(check_topic_filter(good, Version::k5)), "") << good;
  for (const auto* bad : {"##", "a#", "#a", "a/#/b", "#/", "+#", "a/b#", "$share/g/a#"})
    EXPECT_EQ(clause_of(check_topic_filter(bad, Version::k5)), "[MQTT-4.7.1-1]") << bad;
  for (const auto* bad : {"a+", "+a", "a/+b", "a/b+/c", "++", "$share/g/a+"})
    EXPECT_EQ(clause_of(check_topic_filter(bad, Version::k5)), "[MQTT-4.7.1-2]") << bad;
  EXPECT_EQ(clause_of(check_topic_filter("a#", Version::k311)), "[MQTT-4.7.1-2]");
  EXPECT_EQ(clause_of(check_topic_filter("a+", Version::k311)), "[MQTT-4.7.1-3]");
  EXPECT_EQ(clause_of(check_topic_filter("", Version::k5)), "[MQTT-4.7.3-1]");
}

TEST(MqttTopic, SharedFiltersHaveAGroupAndAFilter) {
  EXPECT_EQ(clause_of(check_topic_filter("$share/", Version::k5)), "[MQTT-4.8.2-1]");
  EXPECT_EQ(clause_of(check_topic_filter("$share//a", Version::k5)), "[MQTT-4.8.2-1]");
  for (const auto* bad : {"$share/g", "$share/g/", "$share/#/a", "$share/g+/a"})
    EXPECT_EQ(clause_of(check_topic_filter(bad, Version::k5)), "[MQTT-4.8.2-2]") << bad;
  const auto parts = shared_filter("$share/g/a/+");
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->group, "g");
  EXPECT_EQ(parts->filter, "a/+");
  EXPECT_FALSE(shared_filter("a/b").has_value());
  EXPECT_FALSE(shared_filter("$shared/a/b").has_value());
}

}  // namespace
}  // namespace millrace::wire::mqtt
