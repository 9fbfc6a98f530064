// Addresses of other brokers.
#include "bridge/broker_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::bridge {
namespace {

TEST(BrokerUrl, has_a_host_and_a_port) {
  const auto check = [](std::string_view url, std::string_view host, std::uint16_t port) {
    const auto parsed = BrokerUrl::parse(url);
    ASSERT_TRUE(parsed) << url << ": " << parsed.error().text();
    EXPECT_EQ(parsed->host, host) << url;
    EXPECT_EQ(parsed->port, port) << url;
  };
  check("mqtt://host", "host", 1883);
  check("mqtt://10.0.0.7:1884/", "10.0.0.7", 1884);
  check("mqtt://[::1]:8000", "::1", 8000);
  check("mqtt://[fe80::1]", "fe80::1", 1883);
}

TEST(BrokerUrl, others_are_refused_and_secrets_are_not_repeated) {
  for (const auto* wrong : {"", "host:1883", "http://host", "mqtts://host", "mqtt://", "mqtt://:1",
                            "mqtt://host:", "mqtt://host:0", "mqtt://host:65536", "mqtt://host:1x",
                            "mqtt://a/b", "mqtt://[::1", "mqtt://host?x"})
    EXPECT_FALSE(BrokerUrl::parse(wrong)) << wrong;
  const auto user = BrokerUrl::parse("mqtt://ana:secret@host");
  ASSERT_FALSE(user);
  EXPECT_THAT(user.error().text(), testing::Not(testing::HasSubstr("secret")));
}

}  // namespace
}  // namespace millrace::bridge
