#include "endpoint/request_log.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

#include "endpoint/problem.h"
#include "runtime/clock.h"

namespace millrace::endpoint {

namespace {

constexpr std::string_view kProblemType = "application/problem+json";
constexpr std::string_view kInstance = ",\"instance\":";

thread_local std::string_view id_of_thread;

/// The time of the start and a number: no two requests have the same.
std::string made_request_id() {
  static const std::int64_t start_us = runtime::wall_us();
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{:x}-{:x}", start_us, count.fetch_add(1, std::memory_order_relaxed) + 1);
}

bool may_log() {
  static std::atomic<std::int64_t> second{0};
  static std::atomic<std::uint64_t> lines{0};
  const std::int64_t now = runtime::monotonic_us() / 1'000'000;
  if (second.exchange(now, std::memory_order_relaxed) != now)
    lines.store(0, std::memory_order_relaxed);
  return lines.fetch_add(1, std::memory_order_relaxed) < kLinesPerSecond;
}

}  // namespace

RequestLogScope::RequestLogScope(std::string_view request_id)
    : outer_(std::exchange(id_of_thread, request_id)) {}

RequestLogScope::~RequestLogScope() { id_of_thread = outer_; }

std::string_view logged_request_id() { return id_of_thread; }

void finish_problem(HttpResponse& response, std::string& request_id) {
  if (response.content_type != kProblemType) return;
  if (request_id.empty()) request_id = made_request_id();
  // A text inside of the document has its quotes escaped.
  if (response.body.find(kInstance) == std::string::npos && response.body.ends_with('}')) {
    response.body.pop_back();
    response.body += kInstance;
    append_json_text(response.body, request_id);
    response.body += '}';
  }
  if (response.status < 500 || !may_log()) return;
  const RequestLogScope scope(request_id);
  constexpr std::string_view kCode = "\"code\":\"";
  const auto code = response.body.find(kCode);
  spdlog::warn("a request was answered with {} {}", response.status,
               code == std::string::npos
                   ? reason_phrase(response.status)
                   : std::string_view(response.body).substr(code + kCode.size(), 6));
}

}  // namespace millrace::endpoint
