// GET /v1/streams/{stream}/events: the events of a stream from any place on, and with follow=true
// those that come, as JSON Lines or Server-Sent Events.
#include <charconv>

#include "endpoint/api_routes.h"
#include "endpoint/event_follower.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"

namespace millrace::endpoint {

namespace {

struct ReadRequest {
  std::string from;
  EventRequest events;
  ReadPosition position;
};

Result<ReadRequest> parse_request(const HttpRequest& request) {
  ReadRequest out;
  for (const auto& [name, value] : request.query) {
    if (name == "from") {
      out.from = value;
    } else if (name == "limit") {
      const auto [stop, code] =
          std::from_chars(value.data(), value.data() + value.size(), out.events.limit);
      if (code != std::errc() || stop != value.data() + value.size() || out.events.limit == 0) {
        return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                    "limit={} is not a number of events", value);
      }
    } else if (name == "at_least" || name == "timeout_ms") {
      continue;
    } else if (name == "follow" && (value == "true" || value == "false")) {
      out.events.follow = value == "true";
    } else {
      return std::unexpected(
          Error{.code = ErrorCode::kInvalidArgument,
                .id = std::string(error_id::kBadRequest),
                .message = fmt::format("{}={} is not understood", name, value),
                .hint = "from, limit, follow=true|false, at_least and timeout_ms are",
                .place = {}});
    }
  }
  MR_TRY(out.position, read_position_of(request));
  out.events.share = request.share;
  out.events.server_sent = lists_token(request.header("accept"), "text/event-stream");
  if (const auto last = request.header("last-event-id"); !last.empty()) out.from = last;
  return out;
}

HttpResponse no_stream(std::string_view name) {
  return problem(Error{.code = ErrorCode::kNotFound,
                       .id = std::string(error_id::kStreamNotFound),
                       .message = fmt::format("stream {} does not exist", name),
                       .hint = "GET /v1/streams lists what there is",
                       .place = {}});
}

HttpResponse streamed(const EventRequest& request, std::shared_ptr<HttpStreamSource> source) {
  HttpResponse response;
  response.content_type = request.server_sent ? "text/event-stream" : "application/x-ndjson";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.stream = std::move(source);
  return response;
}

/// On the pool: a time is looked up in files.
void read_events(serving::EventReader& reader, runtime::WorkerPool& pool,
                 const std::shared_ptr<EventPages>& pages, const ReadRequest& wanted,
                 Responder responder) {
  auto shared = std::make_shared<Responder>(std::move(responder));
  const bool posted = pool.post(wanted.events.share, [&reader, pages, shared, wanted] {
    auto place = reader.place(*wanted.events.stream, wanted.from);
    if (!place) {
      shared->respond(problem(place.error()));
      return;
    }
    auto events = wanted.events;
    events.from = std::move(*place);
    serving::PositionToken begin;
    begin.include(events.stream->definition().id, events.stream->applied());
    auto follower = std::make_shared<EventFollower>(*pages, events, HttpStreamWriter(*shared));
    auto response = streamed(events, follower);
    add_position(response, begin);
    shared->respond(std::move(response));
    pages->add(follower);
  });
  if (!posted) shared->respond(pool_is_full());
}

}  // namespace

void add_stream_routes(HttpRouter& router, const Services& services) {
  router.add("GET", "/v1/streams/{stream}/events",
             [services,
              pages = std::make_shared<EventPages>(services.events, services.speed, services.pool)](
                 const HttpRequest& request, Responder responder) {
               auto parsed = parse_request(request);
               if (!parsed) {
                 responder.respond(problem(parsed.error()));
                 return;
               }
               parsed->events.stream = services.speed.find_stream(request.param("stream"));
               if (parsed->events.stream == nullptr) {
                 responder.respond(no_stream(request.param("stream")));
                 return;
               }
               const StreamId id = parsed->events.stream->definition().id;
               auto kept = keep_only(services, request.who, std::span(&id, 1), parsed->position);
               if (!kept) {
                 responder.respond(problem(kept.error()));
                 return;
               }
               parsed->events.allowed = [&access = services.access, who = request.who,
                                         stream = std::string(request.param("stream"))] {
                 return access.require_still(who, Privilege::kSubscribe, stream);
               };
               auto position = parsed->position;
               read_at(services.positions, std::move(position), std::move(responder),
                       [&reader = services.events, &pool = services.pool, pages,
                        wanted = std::move(*parsed)](Responder answer) {
                         read_events(reader, pool, pages, wanted, std::move(answer));
                       });
             },
             {.query = {"from", "limit", "follow", "at_least", "timeout_ms"},
              .refuse_other_query = true,
              .access = RouteAccess::needs(Privilege::kSubscribe, "stream")});
}

}  // namespace millrace::endpoint
