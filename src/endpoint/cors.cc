#include "endpoint/cors.h"

#include <algorithm>

namespace millrace::endpoint {

bool is_listed_origin(std::string_view origin, const std::vector<std::string>& listed) {
  return std::ranges::any_of(listed,
                             [&](const std::string& one) { return one == "*" || one == origin; });
}

std::string allowed_origin(const HttpRequest& request, const std::vector<std::string>& listed) {
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

}  // namespace millrace::endpoint
