// POST /v1/streams/{stream}/events: a request's events into the log and the views.
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "model/column_batch.h"

namespace millrace::endpoint {

namespace {

HttpResponse event_answer(const Result<ingest::IngestReply>& reply) {
  if (!reply) return problem(reply.error());
  HttpResponse response;
  const bool any_good = reply->accepted + reply->duplicates != 0;
  response.status = !any_good && !reply->rejected.empty() ? 422 : 200;
  std::string& out = response.body;
  out = fmt::format("{{\"accepted\":{},\"duplicates\":{},\"rejected\":[", reply->accepted,
                    reply->duplicates);
  for (std::size_t i = 0; i < reply->rejected.size(); ++i) {
    const auto& record = reply->rejected[i];
    out += fmt::format("{}{{\"line\":{},\"code\":\"{}\",\"reason\":", i == 0 ? "" : ",",
                       record.line, record.id);
    append_json_text(out, record.reason);
    out += '}';
  }
  out += "],\"position\":{";
  for (std::size_t i = 0; i < reply->position.size(); ++i) {
    out += fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", reply->position[i].first,
                       reply->position[i].second);
  }
  out += "}}";
  return response;
}

}  // namespace

void add_event_routes(HttpRouter& router, const Services& services) {
  router.add(
      "POST", "/v1/streams/{stream}/events",
      [&ingest = services.ingest, &speed = services.speed](HttpRequest request,
                                                           Responder responder) {
        const auto name = request.param("stream");
        auto stream = speed.find_stream(name);
        if (stream == nullptr) {
          responder.respond(problem(Error{.code = ErrorCode::kNotFound,
                                          .id = std::string(error_id::kStreamNotFound),
                                          .message = fmt::format("stream {} does not exist", name),
                                          .hint = "make it with CREATE STREAM over POST /v1/sql; "
                                                  "GET /v1/streams lists what there is",
                                          .place = {}}));
          return;
        }
        if (!stream->definition().quarantine) {
          responder.respond(
              problem(Error{.code = ErrorCode::kInvalidArgument,
                            .id = std::string(error_id::kBadRequest),
                            .message = fmt::format("{} is filled by the server alone", name),
                            .hint = {},
                            .place = {}}));
          return;
        }
        const auto type = request.media_type();
        if (type.empty()) {
          responder.respond(problem(Error{.code = ErrorCode::kUnsupportedMediaType,
                                          .id = std::string(error_id::kMediaType),
                                          .message = "the request has no Content-Type",
                                          .hint = "application/x-ndjson for one object a line, "
                                                  "application/json for one object or an array",
                                          .place = {}}));
          return;
        }
        const auto framing = type == "application/json" ? format::JsonFraming::kDocument
                                                        : format::JsonFraming::kLines;
        auto shared = std::make_shared<Responder>(std::move(responder));
        ingest.submit(std::move(stream), std::move(request.body), framing, "http",
                      [shared](const Result<ingest::IngestReply>& reply) {
                        shared->respond(event_answer(reply));
                      });
      },
      {.media_types = {"application/x-ndjson", "application/json", "application/jsonl",
                       "application/ndjson"}});
}

}  // namespace millrace::endpoint
