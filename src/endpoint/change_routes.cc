// GET /v1/views/{view}/changes: the rows of a view and then what changes, as Server-Sent Events, or
// over a WebSocket where the request asks for one.
#include <charconv>

#include "endpoint/api_routes.h"
#include "endpoint/change_followers.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

/// Of a client that acknowledges: more would only be memory.
constexpr std::uint32_t kWindowMax = 1000;

struct ChangeRequest {
  serving::FeedRequest feed;
  std::uint32_t window = 0;
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
    } else {
      out.feed.where.push_back({name, value});
    }
  }
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

}  // namespace

void add_change_routes(HttpRouter& router, const Services& services) {
  router.add(
      "GET", "/v1/views/{view}/changes",
      [&feed = services.feed, &catalog = services.catalog, &speed = services.speed,
       origins = services.web_origins,
       renderer = std::make_shared<BatchRenderer>(services.statements)](HttpRequest request,
                                                                        Responder responder) {
        auto parsed = parse_request(request);
        if (!parsed) {
          responder.respond(problem(parsed.error()));
          return;
        }
        if (speed.find_view(parsed->feed.view) == nullptr) {
          responder.respond(no_such_view(catalog, parsed->feed.view));
          return;
        }
        if (asks_for_web_socket(request)) {
          auto follower = std::make_shared<WebSocketFollower>(renderer, parsed->window);
          follower->on_open(
              [&feed, wanted = std::move(parsed->feed), weak = std::weak_ptr(follower)] {
                return feed.subscribe(wanted, weak.lock());
              });
          WebSocketOptions options;
          options.allowed_origins = origins;
          responder.respond(web_socket_answer(request, std::move(options), std::move(follower)));
          return;
        }
        auto follower =
            std::make_shared<EventStreamFollower>(HttpStreamWriter(responder), renderer);
        auto handle = feed.subscribe(std::move(parsed->feed), follower);
        if (!handle) {
          responder.respond(problem(handle.error()));
          return;
        }
        follower->follow(std::move(*handle));
        responder.respond(event_stream(std::move(follower)));
      },
      {.access = RouteAccess::needs(Privilege::kSubscribe, "view")});
}

}  // namespace millrace::endpoint
