// GET /v1/views/{view}/changes: the rows of a view and then what changes, as Server-Sent Events, or
// over a WebSocket where the request asks for one.
#include <charconv>

#include "endpoint/api_routes.h"
#include "endpoint/change_followers.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"

namespace millrace::endpoint {

namespace {

/// Of a client that acknowledges: more would only be memory.
constexpr std::uint32_t kWindowMax = 1000;

struct ChangeRequest {
  serving::FeedRequest feed;
  std::uint32_t window = 0;
  ReadPosition position;
};

std::unexpected<Error> bad_parameter(std::string_view name, std::string_view value,
                                     std::string_view wanted) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest, "{}={} is not {}", name, value,
              wanted);
}

Result<ChangeRequest> parse_request(const HttpRequest& request) {
  ChangeRequest out;
  out.feed.view = request.param("view");
  for (const auto& [name, value] : request.query) {
    if (name == "snapshot") {
      if (value != "true" && value != "false") return bad_parameter(name, value, "true or false");
      out.feed.snapshot = value == "true";
    } else if (name == "after") {
      out.feed.after = value;
    } else if (name == "window") {
      const auto [stop, code] =
          std::from_chars(value.data(), value.data() + value.size(), out.window);
      if (code != std::errc() || stop != value.data() + value.size() || out.window == 0 ||
          out.window > kWindowMax) {
        return bad_parameter(name, value, "a number of batches from 1 to 1000");
      }
    } else if (name == "at_least" || name == "timeout_ms") {
      continue;
    } else {
      out.feed.where.push_back({name, value});
    }
  }
  MR_TRY(out.position, read_position_of(request));
  // What a browser sends by itself when it connects again is newer than what its address says.
  if (const auto last = request.header("last-event-id"); !last.empty()) out.feed.after = last;
  return out;
}

HttpResponse event_stream(std::shared_ptr<HttpStreamSource> source) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.stream = std::move(source);
  return response;
}

/// Over a WebSocket the position is waited for when it is open: who opens one is not told why it
/// could not be.
HttpResponse web_socket(const Services& services, const HttpRequest& request, ChangeRequest wanted,
                        const std::shared_ptr<BatchRenderer>& renderer) {
  auto follower = std::make_shared<WebSocketFollower>(renderer, wanted.window);
  follower->on_open(
      [&positions = services.positions,
       position = std::move(wanted.position)](serving::PositionWait::Then then) {
        positions.wait(position.at_least, position.timeout_ms, std::move(then));
      },
      [&feed = services.feed, wanted = std::move(wanted.feed), weak = std::weak_ptr(follower)] {
        return feed.subscribe(wanted, weak.lock());
      });
  WebSocketOptions options;
  options.allowed_origins = services.web_origins;
  return web_socket_answer(request, std::move(options), std::move(follower));
}

void follow(serving::ChangeFeed& feed, const serving::FeedRequest& wanted,
            const std::shared_ptr<BatchRenderer>& renderer, Responder responder) {
  auto follower = std::make_shared<EventStreamFollower>(HttpStreamWriter(responder), renderer);
  auto handle = feed.subscribe(wanted, follower);
  if (!handle) {
    responder.respond(problem(handle.error()));
    return;
  }
  follower->follow(std::move(*handle));
  responder.respond(event_stream(std::move(follower)));
}

}  // namespace

void add_change_routes(HttpRouter& router, const Services& services) {
  router.add(
      "GET", "/v1/views/{view}/changes",
      [services, renderer = std::make_shared<BatchRenderer>(services.statements)](
          HttpRequest request, Responder responder) {
        auto parsed = parse_request(request);
        if (!parsed) {
          responder.respond(problem(parsed.error()));
          return;
        }
        const auto view = services.speed.find_view(parsed->feed.view);
        if (view == nullptr) {
          responder.respond(no_such_view(services.catalog, parsed->feed.view));
          return;
        }
        if (auto kept = keep_only(services, request.who, view->record().streams, parsed->position);
            !kept) {
          responder.respond(problem(kept.error()));
          return;
        }
        parsed->feed.allowed = [&access = services.access, who = request.who,
                                name = parsed->feed.view] {
          return access.require_still(who, Privilege::kSubscribe, name);
        };
        if (asks_for_web_socket(request)) {
          responder.respond(web_socket(services, request, std::move(*parsed), renderer));
          return;
        }
        read_at(services.positions, std::move(parsed->position), std::move(responder),
                [&feed = services.feed, wanted = std::move(parsed->feed), renderer](
                    Responder answer) { follow(feed, wanted, renderer, std::move(answer)); });
      },
      {.query = {"snapshot", "after", "window", "at_least", "timeout_ms"},
       .access = RouteAccess::needs(Privilege::kSubscribe, "view")});
}

}  // namespace millrace::endpoint
