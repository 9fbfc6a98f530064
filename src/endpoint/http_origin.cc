#include "endpoint/http_origin.h"

#include <algorithm>

#include "base/ascii_case.h"

namespace millrace::endpoint {

namespace {

bool is_listed_origin(std::string_view origin, std::span<const std::string> listed) {
  return std::ranges::any_of(listed,
                             [&](const std::string& one) { return one == "*" || one == origin; });
}

}  // namespace

std::string allowed_origin(const HttpRequest& request, std::span<const std::string> listed) {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !is_listed_origin(origin, listed)) return {};
  return std::ranges::find(listed, "*") != listed.end() ? std::string("*") : std::string(origin);
}

bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && request.fields.contains("origin") &&
         request.fields.contains("access-control-request-method");
}

HttpResponse preflight_answer() {
  HttpResponse response;
  response.status = 204;
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
  // A browser does not take "*" for Authorization.
  response.headers.emplace_back("Access-Control-Allow-Headers",
                                "Authorization, Accept, Content-Type, Content-Encoding, "
                                "Idempotency-Key, Last-Event-ID, X-Request-Id");
  response.headers.emplace_back("Access-Control-Max-Age", "600");
  return response;
}

bool is_origin_allowed(const HttpRequest& request, std::span<const std::string> listed) {
  if (!request.fields.contains("origin")) return true;
  const std::string_view origin = request.header("origin");
  if (is_listed_origin(origin, listed)) return true;
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"http://", "https://"}, [&](std::string_view scheme) {
        return origin.starts_with(scheme) &&
               equal_ignoring_case(origin.substr(scheme.size()), request.header("host"));
      });
}

bool is_named_by_address(std::string_view host) {
  if (host.empty() || host.starts_with('[')) return true;
  host = host.substr(0, host.rfind(':'));
  // A browser takes a last label of digits for a part of an address, and of no name.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos) return true;
  return same_name(last, "localhost");
}

}  // namespace millrace::endpoint
