#include "endpoint/api_routes.h"

#include <algorithm>

#include "base/check.h"
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

/// Who asks, and whether that client may.
HttpRouter::Gate gate(access::Access& access) {
  return [&access](HttpRequest& request, const HttpRouter::Match& match, const Peer& peer,
                   std::string_view certified) -> Status {
    const std::string_view header = request.header("authorization");
    if (header.empty()) {
      request.who = access.certified(certified, peer.local);
    } else if (match.route->options.access.kind != RouteAccess::Kind::kOpen) {
      MR_TRY(request.who, access.authenticate_header(header, peer.address));
    }
    auto allowed = check_route(access, request, match);
    // Who has not said who it is may still do so.
    if (!allowed && header.empty() && request.who.name().empty())
      allowed.error().code = ErrorCode::kUnauthenticated;
    return allowed;
  };
}

}  // namespace

HttpRouter api_routes(const Services& services) {
  HttpRouter router;
  router.set_gate(gate(services.access));
  add_event_routes(router, services);
  add_stream_routes(router, services);
  add_view_routes(router, services);
  add_change_routes(router, services);
  add_statement_routes(router, services);
  add_registry_routes(router, services);
  add_batch_routes(router, services);
  add_operation_routes(router, services);
  add_mqtt_route(router, services);
  return router;
}

void answer_on_pool(runtime::WorkerPool& pool, Responder responder,
                    std::function<HttpResponse()> work) {
  // std::function copies what it holds, a Responder is one of a kind.
  auto shared = std::make_shared<Responder>(std::move(responder));
  if (pool.post([shared, work = std::move(work)] { shared->respond(work()); })) return;
  shared->respond(problem(Error{.code = ErrorCode::kResourceExhausted,
                                .id = std::string(error_id::kBusy),
                                .message = "too many queries wait already",
                                .hint = "send it again in a moment",
                                .place = {}}));
}

}  // namespace millrace::endpoint
