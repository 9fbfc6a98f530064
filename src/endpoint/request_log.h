// Messages of the server's log that belong to one request carry its id: whoever formats a line asks
// for it. Answers with 5xx are logged, at most kLinesPerSecond of them, so that a flood of failing
// requests does not become one of lines. Thread: any; the id belongs to the thread. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "endpoint/http_message.h"

namespace millrace::endpoint {

/// While it lives, lines that this thread logs belong to the request.
class RequestLogScope {
 public:
  explicit RequestLogScope(std::string_view request_id);
  ~RequestLogScope();
  RequestLogScope(const RequestLogScope&) = delete;
  RequestLogScope& operator=(const RequestLogScope&) = delete;

 private:
  const std::string_view outer_;
};
/// Empty where the thread's lines belong to no request.
[[nodiscard]] std::string_view logged_request_id();

inline constexpr std::uint64_t kLinesPerSecond = 20;

/// To be called with each answer before it is sent: a problem names its request, which gets an id
/// where the client gave it none, and is logged where it is the server's trouble.
void finish_problem(HttpResponse& response, std::string& request_id);

}  // namespace millrace::endpoint
