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

Result<ingest::SubmitOptions> options_of(const HttpRequest& request) {
  ingest::SubmitOptions options;
  const auto on_error = request.query_value("on_error").value_or("quarantine");
  if (on_error == "reject") {
    options.on_error = ingest::OnError::kReject;
  } else if (on_error == "partial") {
    options.on_error = ingest::OnError::kPartial;
  } else if (on_error != "quarantine") {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "on_error={} is none of quarantine, partial, reject", on_error);
  }
  return options;
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
        auto type = format::payload_type_of(request.header("content-type"));
        if (!type) {
          responder.respond(problem(type.error()));
          return;
        }
        auto options = options_of(request);
        if (!options) {
          responder.respond(problem(options.error()));
          return;
        }
        auto shared = std::make_shared<Responder>(std::move(responder));
        ingest.submit(
            std::move(stream), std::move(request.body), *type, "http",
            [shared](const Result<ingest::IngestReply>& reply) {
              shared->respond(event_answer(reply));
            },
            std::move(*options));
      });
}

}  // namespace millrace::endpoint
