// The OpenAPI 3.1 document of the HTTP API, made of the router's own routes: methods, paths,
// parameters, who may, and which answers follow from a route's options come from there; what only a
// person can say, bodies and meanings, stands in api_document_routes.cc and
// api_document_schemas.cc. Thread: any. Errors: a route without a text, a text without a route or
// a name that nothing has is a bug (MR_CHECK), so a server with such a document does not start.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "endpoint/http_router.h"

namespace millrace::endpoint {

/// What a route's options do not say. Names are those of the parts in api_document_schemas.cc.
struct RouteText {
  std::string_view method;
  std::string_view pattern;
  std::string_view operation;  // of generated clients
  std::string_view tag;
  std::string_view summary;
  std::vector<std::string_view> headers = {};
  /// Any query parameter that is no other is a column with the value that it must have.
  bool columns = false;
  std::string_view body = {};
  std::vector<std::pair<int, std::string_view>> answers = {};
  /// Refusals by the handler itself; those by the options are added.
  std::vector<int> refusals = {};
};
[[nodiscard]] std::span<const RouteText> route_texts();
/// The document without its paths, as JSON.
[[nodiscard]] std::string_view document_parts();

[[nodiscard]] std::string api_document(const HttpRouter& router);

}  // namespace millrace::endpoint
