#include "server/log_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "endpoint/problem.h"
#include "endpoint/request_log.h"
#include "model/value_text.h"

namespace millrace::server {

void JsonLogFormatter::format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) {
  const auto time_us =
      std::chrono::duration_cast<std::chrono::microseconds>(message.time.time_since_epoch());
  std::string time = timestamp_text(time_us.count(), false);
  std::ranges::replace(time, ' ', 'T');
  std::string line = fmt::format("{{\"time\":\"{}Z\",\"level\":", time);
  const auto level = spdlog::level::to_string_view(message.level);
  endpoint::append_json_text(line, std::string_view(level.data(), level.size()));
  line += ",\"message\":";
  endpoint::append_json_text(line,
                             std::string_view(message.payload.data(), message.payload.size()));
  if (const auto request = endpoint::logged_request_id(); !request.empty()) {
    line += ",\"request\":";
    endpoint::append_json_text(line, request);
  }
  line += "}\n";
  out.append(line.data(), line.data() + line.size());
}

std::unique_ptr<spdlog::formatter> JsonLogFormatter::clone() const {
  return std::make_unique<JsonLogFormatter>();
}

}  // namespace millrace::server
