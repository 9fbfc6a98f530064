// Configuration: what is refused and where, what wins over what, and that the shown defaults are
// the real ones.
#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "endpoint/http_options.h"
#include "endpoint/mqtt_options.h"
#include "format/decoded.h"

namespace millrace::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ =
        std::filesystem::temp_directory_path() / fmt::format("millrace-config-{}.yaml", ::getpid());
  }
  void TearDown() override { std::filesystem::remove(path_); }

  Status read(std::string_view text) {
    std::ofstream(path_) << text;
    return read_config_file(path_, config_);
  }
  void expect_refused(std::string_view text, std::string_view place, std::string_view what) {
    const auto status = read(text);
    ASSERT_FALSE(status) << text;
    EXPECT_EQ(status.error().id, error_id::kBadConfig);
    EXPECT_THAT(status.error().message, StartsWith(fmt::format("{}:{}", path_.string(), place)));
    EXPECT_THAT(status.error().message, HasSubstr(what));
  }

  std::filesystem::path path_;
  Config config_;
};

TEST_F(ConfigTest, EveryDefaultLiesInItsBoundsAndEveryKeyHasItsOwnPlace) {
  Config config;
  for (const auto& key : config_keys()) {
    EXPECT_GE(key.default_value, key.min) << key.name;
    EXPECT_LE(key.default_value, key.max) << key.name;
    EXPECT_EQ(config.*key.value, key.default_value) << key.name;
    EXPECT_FALSE(key.what.empty()) << key.name;
    config.*key.value = key.max + 1;  // taken once only, or the next key would not find its default
  }
}

TEST_F(ConfigTest, TakesValuesAtTheirBoundsAndNothingBeyond) {
  for (const auto& key : config_keys()) {
    const auto dot = key.name.find('.');
    const auto text = [&](std::string_view value) {
      return fmt::format("{}:\n  {}: {}\n", key.name.substr(0, dot), key.name.substr(dot + 1),
                         value);
    };
    for (const auto value : {key.min, key.max}) {
      ASSERT_TRUE(read(text(std::to_string(value)))) << key.name;
      EXPECT_EQ(config_.*key.value, value) << key.name;
    }
    const auto column = key.name.size() - dot + 4;
    const auto place = fmt::format("2:{}: {} is", column, key.name);
    expect_refused(text(std::to_string(key.max + 1)), place, std::to_string(key.max));
    if (key.min > 0)
      expect_refused(text(std::to_string(key.min - 1)), place, std::to_string(key.min));
    for (const auto* wrong :
         {"-1", "1.5", "64MiB", "many", "''", "\"1 \"", "0x10", "99999999999999999999"}) {
      expect_refused(text(wrong), fmt::format("2:{}", column), key.name);
    }
  }
}

TEST_F(ConfigTest, RefusesWhatItDoesNotKnowAndNamesLineAndColumn) {
  expect_refused("log:\n  segment_byte: 65536\n", "2:3", "there is no key 'log.segment_byte'");
  expect_refused("batch:\n  interval_ms: 100\nlogs:\n  segment_bytes: 65536\n", "4:3",
                 "'logs.segment_bytes'");
  expect_refused("log: 3\n", "1:1", "'log' is no section");
  expect_refused("log:\n", "1:1", "'log' is no section");
  expect_refused("- log\n", "1:1", "map of sections");
  expect_refused("log: [\n", "", "");
  expect_refused("log:\n  segment_bytes: [1]\n", "2:18", "log.segment_bytes");
  const auto missing = read_config_file("/nowhere/millrace.yaml", config_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().id, error_id::kBadConfig);
}

TEST_F(ConfigTest, RefusesAKeyThatStandsTwiceInOneSectionOrInTwo) {
  expect_refused("log:\n  segment_bytes: 65536\n  segment_bytes: 65536\n", "3:3", "twice");
  expect_refused("log:\n  segment_bytes: 65536\nlog:\n  segment_bytes: 131072\n", "4:3", "twice");
}

TEST_F(ConfigTest, HintsAtTheKeysOfTheTable) {
  const auto status = read("log:\n  nothing: 1\n");
  ASSERT_FALSE(status);
  for (const auto& key : config_keys()) EXPECT_THAT(status.error().hint, HasSubstr(key.name));
}

TEST_F(ConfigTest, AnEmptyFileChangesNothing) {
  EXPECT_TRUE(read(""));
  EXPECT_TRUE(read("# nothing\n"));
  for (const auto& key : config_keys()) EXPECT_EQ(config_.*key.value, key.default_value);
}

TEST_F(ConfigTest, TheEnvironmentWinsOverTheFileAndTheFileOverTheDefault) {
  ASSERT_TRUE(read("log:\n  segment_bytes: 131072\nbatch:\n  interval_ms: 77\n"));
  const char* environment[] = {"MILLRACE_LOG__SEGMENT_BYTES=65536", "PATH=/bin", "MILLRACE_HOME=/x",
                               "NO_EQUALS", nullptr};
  ASSERT_TRUE(read_config_environment(environment, config_));
  EXPECT_EQ(config_.log_segment_bytes, 65536U);
  EXPECT_EQ(config_.batch_interval_ms, 77U);
  EXPECT_EQ(config_.sql_workers, Config().sql_workers);
  EXPECT_TRUE(read_config_environment(nullptr, config_));
}

TEST_F(ConfigTest, RefusesVariablesThatNameNoKeyOrHaveNoValue) {
  for (const auto* variable : {"MILLRACE_LOG__SEGMENT_BYTE=65536",
                               "MILLRACE_LOG__SEGMENT_BYTES=", "MILLRACE_LOG__SEGMENT_BYTES=1",
                               "MILLRACE_LOG__SEGMENT_BYTES=65536 ",
                               "MILLRACE_LOG__SEGMENT_BYTES=99999999999999999999999"}) {
    const char* environment[] = {variable, nullptr};
    const auto status = read_config_environment(environment, config_);
    ASSERT_FALSE(status) << variable;
    EXPECT_THAT(status.error().message, StartsWith("MILLRACE_LOG__SEGMENT_BYTE")) << variable;
    EXPECT_EQ(config_.log_segment_bytes, Config().log_segment_bytes);
  }
}

TEST_F(ConfigTest, TheDefaultFileHasEveryKeyWithItsDefaultAndWhatItIs) {
  const auto path = std::filesystem::path(MR_SOURCE_FOLDER) / "config" / "default.yaml";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  const std::string shown((std::istreambuf_iterator<char>(file)), {});
  // By sections, in the order of their first keys.
  std::vector<std::pair<std::string_view, std::string>> sections;
  const auto show = [&](std::string_view name, std::string_view what, const std::string& bounds,
                        std::string_view value) {
    const auto dot = name.find('.');
    auto section = std::ranges::find(sections, name.substr(0, dot),
                                     &std::pair<std::string_view, std::string>::first);
    if (section == sections.end()) section = sections.insert(section, {name.substr(0, dot), ""});
    section->second +=
        fmt::format("  # {}{}\n  {}: {}\n", what, bounds, name.substr(dot + 1), value);
  };
  for (const auto& key : config_keys())
    show(key.name, key.what, fmt::format(" ({} to {})", key.min, key.max),
         std::to_string(key.default_value));
  for (const auto& key : config_text_keys()) {
    show(key.name, key.what,
         key.allowed.empty() ? std::string() : fmt::format(" ({})", fmt::join(key.allowed, ", ")),
         key.default_value.empty() ? "\"\"" : key.default_value);
  }
  std::string expected;
  for (const auto& [section, keys] : sections) expected += fmt::format("\n{}:\n{}", section, keys);
  EXPECT_TRUE(shown.ends_with(expected)) << "config/default.yaml should end with" << expected;
  Config config;
  for (const auto& key : config_keys()) config.*key.value = 0;
  ASSERT_TRUE(read_config_file(path, config));
  for (const auto& key : config_keys()) EXPECT_EQ(config.*key.value, key.default_value) << key.name;
}

TEST_F(ConfigTest, TheBudgetsOfTheDoorsAreTheListenersOwnUnlessTheyAreSet) {
  EXPECT_EQ(config_.http_answers_bytes_max,
            endpoint::HttpServerOptions().answer_bytes_in_flight_max);
  EXPECT_EQ(config_.mqtt_unfinished_bytes_max, endpoint::MqttServerOptions().unfinished_bytes_max);
  EXPECT_EQ(milliseconds(config_.mqtt_packet_time_ms), endpoint::MqttServerOptions().packet_time);
  EXPECT_EQ(config_.mqtt_client_messages_per_second_max, 0U);
  EXPECT_EQ(config_.mqtt_client_bytes_per_second_max, 0U);
  EXPECT_EQ(config_.ingest_rejected_bytes_max, format::DecodeLimits().rejected_bytes_max);
  ASSERT_TRUE(
      read("http:\n  answers_bytes_max: 1048576\nmqtt:\n  unfinished_bytes_max: 2097152\n"
           "  packet_time_ms: 500\n  client_messages_per_second_max: 7\n"
           "  client_bytes_per_second_max: 8\ningest:\n  rejected_bytes_max: 16777216\n"));
  EXPECT_EQ(config_.http_answers_bytes_max, 1U << 20);
  EXPECT_EQ(config_.mqtt_unfinished_bytes_max, 2U << 20);
  EXPECT_EQ(config_.mqtt_packet_time_ms, 500U);
  EXPECT_EQ(config_.mqtt_client_messages_per_second_max, 7U);
  EXPECT_EQ(config_.mqtt_client_bytes_per_second_max, 8U);
  EXPECT_EQ(config_.ingest_rejected_bytes_max, 16U << 20);
  expect_refused("mqtt:\n  unfinished_bytes_max: 1000\n", "2:25", "1048576");
}

TEST_F(ConfigTest, TakesTextWhereAKeyIsText) {
  ASSERT_TRUE(read("tls:\n  certificate: /etc/a b.pem\n  client_certificates: required\n"));
  EXPECT_EQ(config_.tls_certificate, "/etc/a b.pem");
  EXPECT_EQ(config_.tls_client_certificates, "required");
  expect_refused("tls:\n  key: [a]\n", "2:8", "tls.key takes one value");
  ASSERT_TRUE(read("http:\n  cors_origins: [https://a.example, 'https://b.example:8443']\n"));
  EXPECT_EQ(config_.http_cors_origins, "https://a.example,https://b.example:8443");
  expect_refused("tls:\n  client_certificates: perhaps\n", "2:24", "none or optional or required");
  const char* environment[] = {"MILLRACE_TLS__KEY=/etc/key.pem", nullptr};
  ASSERT_TRUE(read_config_environment(environment, config_));
  EXPECT_EQ(config_.tls_key, "/etc/key.pem");
}

}  // namespace
}  // namespace millrace::server
