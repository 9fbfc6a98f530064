// Lines of the server's own log as JSON: one object a line, with time, level, message, and the
// request where it belongs to one. Thread: any; the sink's lock is held. Errors: none; what is not
// UTF-8 becomes U+FFFD.
#pragma once

#include <spdlog/formatter.h>

#include <memory>

namespace millrace::server {

class JsonLogFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override;
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override;
};

}  // namespace millrace::server
