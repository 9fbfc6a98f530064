#include "endpoint/api_routes.h"

#include <algorithm>

#include "base/check.h"
#include "endpoint/http_origin.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

Status check_route(const access::Access& access, const HttpRequest& request,
                   const HttpRouter::Match& match) {
  const RouteAccess& wanted = match.route->options.access;
  switch (wanted.kind) {
    case RouteAccess::Kind::kOpen:
      return {};
    case RouteAccess::Kind::kKnown:
      break;
    case RouteAccess::Kind::kAdmin:
      return access.require_admin(request.who, fmt::format("use {}", match.route->pattern));
    case RouteAccess::Kind::kPrivilege: {
      const auto named = std::ranges::find(match.params, wanted.param,
                                           &std::pair<std::string, std::string>::first);
      MR_CHECK(named != match.params.end(), "{} has no {{{}}}", match.route->pattern, wanted.param);
      return access.require(request.who, wanted.privilege, named->second);
    }
  }
  return access.is_known(request.who)
             ? Status()
             : access.require_admin(request.who, fmt::format("use {}", match.route->pattern));
}

/// A page may send some requests to any server without asking it first (what a form can send), and
/// the browser adds what it knows of the user. Those that change something are refused here;
/// answers to the others are kept from the page by the browser itself.
Status check_origin(const HttpRequest& request, std::span<const std::string> origins) {
  if (request.method == "GET" || request.method == "HEAD" || is_origin_allowed(request, origins))
    return {};
  return std::unexpected(Error{
      .code = ErrorCode::kPermissionDenied,
      .id = std::string(error_id::kNotAllowed),
      .message = fmt::format("pages of {} may not change anything here", request.header("origin")),
      .hint = "send it from a page of the server's own address, or list the page's in "
              "http.cors_origins",
      .place = {}});
}

/// Who asks, and whether that client may.
HttpRouter::Gate gate(access::Access& access, const std::vector<std::string>& origins) {
  return [&access, origins](HttpRequest& request, const HttpRouter::Match& match, const Peer& peer,
                            std::string_view certified) -> Status {
    if (auto ours = check_origin(request, origins); !ours) return ours;
    const std::string_view header = request.header("authorization");
    const bool named_by_address = is_named_by_address(request.header("host"));
    if (header.empty()) {
      request.who = access.certified(certified, peer.local && named_by_address);
    } else if (match.route->options.access.kind != RouteAccess::Kind::kOpen) {
      MR_TRY(request.who, access.authenticate_header(header, peer.address));
    }
    // A user is one owner of work, wherever it asks from.
    if (const std::string_view name = request.who.name(); !name.empty())
      request.share.owner = std::hash<std::string_view>{}(name);
    auto allowed = check_route(access, request, match);
    // Who has not said who it is may still do so.
    if (!allowed && header.empty() && request.who.name().empty()) {
      allowed.error().code = ErrorCode::kUnauthenticated;
      if (peer.local && !named_by_address && !access.has_users())
        allowed.error().hint = "ask for 127.0.0.1 or localhost, or make a user and log in";
    }
    return allowed;
  };
}

}  // namespace

HttpRouter api_routes(const Services& services) {
  HttpRouter router;
  router.set_gate(gate(services.access, services.web_origins));
  add_event_routes(router, services);
  add_stream_routes(router, services);
  add_view_routes(router, services);
  add_change_routes(router, services);
  add_statement_routes(router, services);
  add_session_routes(router, services);
  add_registry_routes(router, services);
  add_batch_routes(router, services);
  add_operation_routes(router, services);
  add_mqtt_route(router, services);
  add_document_route(router);
  return router;
}

HttpResponse pool_is_full() {
  return problem(Error{.code = ErrorCode::kResourceExhausted,
                       .id = std::string(error_id::kBusy),
                       .message = "too many queries wait already",
                       .hint = "send it again in a moment",
                       .place = {}});
}

void answer_on_pool(runtime::WorkerPool& pool, runtime::WorkShare share, Responder responder,
                    std::function<HttpResponse()> work) {
  // std::function copies what it holds, a Responder is one of a kind.
  auto shared = std::make_shared<Responder>(std::move(responder));
  if (!pool.post(share, [shared, work = std::move(work)] { shared->respond(work()); }))
    shared->respond(pool_is_full());
}

}  // namespace millrace::endpoint
