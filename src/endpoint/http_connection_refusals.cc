// Why a connection does not take a request, found out from its head. Thread, errors and invariant:
// those of http_connection.h.
#include <fmt/format.h>

#include <algorithm>

#include "endpoint/content_encoding.h"
#include "endpoint/cors.h"
#include "endpoint/http_connection.h"
#include "endpoint/http_loop.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

std::optional<HttpResponse> HttpConnection::refusal_of_head(HttpHead& head) {
  const HttpServerState& state = loop_.state();
  const std::string_view request_id = printable_request_id(head.request);
  if (auto refusal = refusal_of_rate(request_id)) return refusal;
  if (is_preflight(head.request) &&
      !allowed_origin(head.request, state.options.cors_origins).empty())
    return preflight_answer();
  if (route_.route == nullptr && !route_.allowed.empty()) {
    HttpResponse response = problem_with_status(
        405,
        request_error(ErrorCode::kInvalidArgument, error_id::kMethod,
                      fmt::format("{} does not take {}", head.request.path, head.request.method),
                      "allowed: " + route_.allowed),
        request_id);
    response.headers.emplace_back("Allow", route_.allowed);
    return response;
  }
  if (route_.route == nullptr) {
    return problem(request_error(ErrorCode::kNotFound, error_id::kNoSuchRoute,
                                 fmt::format("nothing is served at {}", head.request.path),
                                 "known: " + state.router.known_routes()),
                   request_id);
  }
  if (const auto& gate = state.router.gate()) {
    const auto allowed = gate(head.request, route_, transport_.peer(), transport_.certified_user());
    if (!allowed) {
      HttpResponse response = problem(allowed.error(), request_id);
      if (allowed.error().code == ErrorCode::kUnauthenticated)
        response.headers.emplace_back("WWW-Authenticate",
                                      "Basic realm=\"millrace\", Bearer realm=\"millrace\"");
      return response;
    }
  }
  if (!head.has_body()) return std::nullopt;

  const RouteOptions& options = route_.route->options;
  const std::uint64_t bytes_max = options.body_bytes_max.value_or(state.options.body_bytes_max);
  if (head.content_bytes > bytes_max) {
    return problem(request_error(ErrorCode::kPayloadTooLarge, error_id::kBodyTooLarge,
                                 fmt::format("the body has {} bytes, at most {} are taken here",
                                             head.content_bytes, bytes_max),
                                 "send it in several requests"),
                   request_id);
  }
  const std::string media_type = head.request.media_type();
  if (!media_type.empty() && !options.media_types.empty() &&
      std::find(options.media_types.begin(), options.media_types.end(), media_type) ==
          options.media_types.end()) {
    return problem(request_error(ErrorCode::kUnsupportedMediaType, error_id::kMediaType,
                                 fmt::format("a body of type {} is not taken here", media_type),
                                 fmt::format("send {}", fmt::join(options.media_types, " or "))),
                   request_id);
  }
  if (options.decode_body) {
    const auto encoding = parse_content_encoding(head.request.header("content-encoding"));
    if (!encoding) return problem(encoding.error(), request_id);
  }
  if (state.metrics.body_bytes_in_flight.load(std::memory_order_relaxed) + head.content_bytes >
      state.options.body_bytes_in_flight_max) {
    return over_budget();
  }
  return std::nullopt;
}

std::optional<HttpResponse> HttpConnection::refusal_of_rate(std::string_view request_id) {
  HttpServerState& state = loop_.state();
  const std::uint32_t most = state.options.peer_requests_per_second_max;
  if (most == 0 || transport_.share() == nullptr) return std::nullopt;
  const auto early = transport_.share()->take_request(std::chrono::steady_clock::now(), most);
  if (!early) return std::nullopt;
  state.metrics.requests_limited.fetch_add(1, std::memory_order_relaxed);
  HttpResponse response =
      problem(request_error(ErrorCode::kResourceExhausted, error_id::kBusy,
                            fmt::format("your address sends more than {} requests a second", most),
                            "wait as Retry-After says, or put several events into one request"),
              request_id);
  for (auto& [name, value] : response.headers) {
    if (name == "Retry-After")
      value = std::to_string(std::chrono::ceil<std::chrono::seconds>(*early).count());
  }
  return response;
}

HttpResponse HttpConnection::over_budget() {
  HttpServerState& state = loop_.state();
  ++state.metrics.requests_over_budget;
  return problem(request_error(ErrorCode::kResourceExhausted, error_id::kBusy,
                               fmt::format("the bodies of all requests in flight would have more "
                                           "than {} bytes",
                                           state.options.body_bytes_in_flight_max),
                               "send the same request again after the time in Retry-After"));
}

}  // namespace millrace::endpoint
