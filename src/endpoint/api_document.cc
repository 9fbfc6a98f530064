#include "endpoint/api_document.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/ascii_case.h"
#include "base/check.h"
#include "endpoint/http_message.h"

namespace millrace::endpoint {

namespace {

namespace json = boost::json;

/// References to the parts of the document, each of which must be there.
class Parts {
 public:
  explicit Parts(const json::object& components) : components_(components) {}
  [[nodiscard]] json::object ref(std::string_view kind, std::string_view name) const {
    MR_CHECK(components_.at(kind).as_object().contains(name), "the document has no {} {}", kind,
             name);
    return {{"$ref", fmt::format("#/components/{}/{}", kind, name)}};
  }

 private:
  const json::object& components_;
};

json::array parameters_of(const HttpRouter::Route& route, const RouteText& text,
                          const Parts& parts) {
  json::array out;
  for (const std::string& segment : route.segments) {
    if (!segment.starts_with('{')) continue;
    out.push_back(parts.ref("parameters", "path." + segment.substr(1, segment.size() - 2)));
  }
  for (const std::string& name : route.options.query)
    out.push_back(parts.ref("parameters", "query." + name));
  if (text.columns) out.push_back(parts.ref("parameters", "query.columns"));
  for (const auto name : text.headers)
    out.push_back(parts.ref("parameters", fmt::format("header.{}", name)));
  return out;
}

json::object answers_of(const HttpRouter::Route& route, const RouteText& text, const Parts& parts) {
  const auto& options = route.options;
  json::object out;
  for (const auto& [status, name] : text.answers)
    out[fmt::format("{}", status)] = parts.ref("responses", name);
  std::set<int> refusals(text.refusals.begin(), text.refusals.end());
  refusals.insert(429);
  if (options.refuse_other_query) refusals.insert(400);
  if (!text.body.empty()) refusals.insert({400, 413});
  if (!options.media_types.empty() && !text.body.empty()) refusals.insert(415);
  if (options.access.kind != RouteAccess::Kind::kOpen) refusals.insert(401);
  const bool asks_for_more = options.access.kind == RouteAccess::Kind::kAdmin ||
                             options.access.kind == RouteAccess::Kind::kPrivilege;
  if (asks_for_more) refusals.insert(403);
  for (const int status : refusals) {
    const std::string name = fmt::format("{}", status);
    if (!out.contains(name)) out[name] = parts.ref("responses", "Problem");
  }
  out["5XX"] = parts.ref("responses", "Problem");
  return out;
}

}  // namespace

std::string api_document(const HttpRouter& router) {
  json::object document = json::parse(document_parts()).as_object();
  document["info"].as_object()["version"] = MR_VERSION;
  const Parts parts(document["components"].as_object());
  json::object paths;
  std::size_t documented = 0;
  for (const RouteText& text : route_texts()) {
    const auto route = std::ranges::find_if(router.routes(), [&](const auto& one) {
      return one.method == text.method && one.pattern == text.pattern;
    });
    MR_CHECK(route != router.routes().end(), "{} {} is no route", text.method, text.pattern);
    ++documented;
    json::object operation{{"operationId", text.operation},
                           {"tags", json::array{text.tag}},
                           {"summary", text.summary}};
    if (auto parameters = parameters_of(*route, text, parts); !parameters.empty())
      operation["parameters"] = std::move(parameters);
    if (!text.body.empty()) operation["requestBody"] = parts.ref("requestBodies", text.body);
    operation["responses"] = answers_of(*route, text, parts);
    if (route->options.access.kind == RouteAccess::Kind::kOpen)
      operation["security"] = json::array();
    auto& path = paths[text.pattern];
    if (!path.is_object()) path = json::object();
    path.as_object()[lower_name(text.method)] = std::move(operation);
  }
  MR_CHECK(documented == router.routes().size(), "{} routes are not in the API's document: {}",
           router.routes().size() - documented, router.known_routes());
  document["paths"] = std::move(paths);
  return json::serialize(document);
}

}  // namespace millrace::endpoint
