#include "endpoint/http_router.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "endpoint/http_target.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {
namespace {

constexpr std::size_t kSegmentsMax = 16;

bool is_name(std::string_view segment) { return segment.starts_with('{'); }

bool serves(const HttpRouter::Route& route, std::string_view method) {
  return route.method == method || (method == "HEAD" && route.method == "GET");
}

// The path cut at its slashes; a view into `raw_path` or, where there was an escape, into
// `decoded`.
struct PathSegments {
  std::array<std::string_view, kSegmentsMax> text;
  std::array<std::string, kSegmentsMax> decoded;
  std::size_t count = 0;
};

bool split(std::string_view raw_path, PathSegments& segments) {
  if (!raw_path.starts_with('/')) return false;
  raw_path.remove_prefix(1);
  for (;;) {
    if (segments.count == kSegmentsMax) return false;
    const std::size_t slash = raw_path.find('/');
    std::string_view segment = raw_path.substr(0, slash);
    if (segment.find('%') != std::string_view::npos) {
      auto decoded = percent_decoded(segment);
      if (!decoded) return false;
      segment = segments.decoded[segments.count] = std::move(*decoded);
    }
    segments.text[segments.count++] = segment;
    if (slash == std::string_view::npos) return true;
    raw_path.remove_prefix(slash + 1);
  }
}

bool fits(const HttpRouter::Route& route, const PathSegments& path) {
  if (route.segments.size() != path.count) return false;
  for (std::size_t i = 0; i < path.count; ++i) {
    const std::string& segment = route.segments[i];
    if (is_name(segment) ? path.text[i].empty() : segment != path.text[i]) return false;
  }
  return true;
}

/// A misspelt parameter must not pass for one that was left out.
HttpHandler refusing_others(std::vector<std::string> known, HttpHandler handler) {
  return [known = std::move(known), handler = std::move(handler)](HttpRequest request,
                                                                  Responder responder) {
    for (const auto& [name, value] : request.query) {
      if (std::ranges::find(known, name) != known.end()) continue;
      responder.respond(
          problem(Error{.code = ErrorCode::kInvalidArgument,
                        .id = std::string(error_id::kBadRequest),
                        .message = fmt::format("there is no parameter '{}' here", name),
                        .hint = known.empty() ? "there are none"
                                              : fmt::format("there are {}", fmt::join(known, ", ")),
                        .place = {}}));
      return;
    }
    handler(std::move(request), std::move(responder));
  };
}

}  // namespace

void HttpRouter::add(std::string method, std::string pattern, HttpHandler handler,
                     RouteOptions options) {
  Route route{.method = std::move(method),
              .pattern = std::move(pattern),
              .segments = {},
              .names_mask = 0,
              .handler = std::move(handler),
              .options = std::move(options)};
  if (route.options.refuse_other_query)
    route.handler = refusing_others(route.options.query, std::move(route.handler));
  PathSegments segments;
  MR_CHECK(split(route.pattern, segments), "route {} is not a path of at most {} segments",
           route.pattern, kSegmentsMax);
  for (std::size_t i = 0; i < segments.count; ++i) {
    route.segments.emplace_back(segments.text[i]);
    if (is_name(segments.text[i])) route.names_mask |= std::uint32_t{1} << (31 - i);
  }
  for (const Route& other : routes_) {
    MR_CHECK(other.method != route.method || other.pattern != route.pattern,
             "route {} {} was added twice", route.method, route.pattern);
  }
  const auto place =
      std::upper_bound(routes_.begin(), routes_.end(), route,
                       [](const Route& a, const Route& b) { return a.names_mask < b.names_mask; });
  routes_.insert(place, std::move(route));
}

HttpRouter::Match HttpRouter::match(std::string_view method, std::string_view raw_path) const {
  Match match;
  PathSegments path;
  if (!split(raw_path, path)) return match;
  for (const Route& route : routes_) {
    if (!fits(route, path)) continue;
    if (serves(route, method)) {
      match.route = &route;
      match.allowed.clear();
      for (std::size_t i = 0; i < path.count && route.names_mask != 0; ++i) {
        const std::string_view segment = route.segments[i];
        if (is_name(segment)) {
          match.params.emplace_back(segment.substr(1, segment.size() - 2), path.text[i]);
        }
      }
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return match;
}

std::string HttpRouter::known_routes() const {
  std::string text;
  for (const Route& route : routes_) {
    if (!text.empty()) text += ", ";
    text.append(route.method).append(" ").append(route.pattern);
  }
  return text;
}

}  // namespace millrace::endpoint
