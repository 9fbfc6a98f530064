// The server's log as JSON: whatever a message holds, a line is one object.
#include "server/log_format.h"

#include <gmock/gmock.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/json.hpp>
#include <sstream>

#include "endpoint/request_log.h"

namespace millrace::server {
namespace {

TEST(JsonLogFormatter, EachLineIsOneObjectWhateverTheMessageHolds) {
  std::ostringstream out;
  spdlog::logger logger("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger.set_formatter(std::make_unique<JsonLogFormatter>());
  logger.info("plain");
  logger.error("two\nlines, \"quotes\", \x01 and \xff");
  {
    const endpoint::RequestLogScope scope("id \"7\"");
    logger.warn("of a request");
  }
  logger.warn("of none");
  std::vector<boost::json::object> lines;
  std::istringstream in(out.str());
  for (std::string line; std::getline(in, line);)
    lines.push_back(boost::json::parse(line).as_object());
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0]["level"].as_string(), "info");
  EXPECT_EQ(lines[0]["message"].as_string(), "plain");
  EXPECT_THAT(std::string(lines[0]["time"].as_string()),
              testing::MatchesRegex("20..-..-..T..:..:...*Z"));
  EXPECT_FALSE(lines[0].contains("request"));
  EXPECT_EQ(lines[1]["message"].as_string(), "two\nlines, \"quotes\", \x01 and \xef\xbf\xbd");
  EXPECT_EQ(lines[2]["request"].as_string(), "id \"7\"");
  EXPECT_FALSE(lines[3].contains("request"));
}

}  // namespace
}  // namespace millrace::server
