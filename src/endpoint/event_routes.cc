// POST /v1/streams/{stream}/events: a request's events into the log and the views.
#include <iterator>

#include "base/ascii_case.h"
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"
#include "format/cloud_event.h"
#include "model/column_batch.h"

namespace millrace::endpoint {

namespace {

HttpResponse event_answer(StreamId stream, const Result<ingest::IngestReply>& reply) {
  if (!reply) {
    // The key is good, but was given to another request.
    if (reply.error().code == ErrorCode::kFailedPrecondition)
      return problem_with_status(422, reply.error());
    return problem(reply.error());
  }
  HttpResponse response;
  if (!reply->position.empty()) {
    Position position(reply->position.back().first.value + 1);
    for (const auto& [partition, end] : reply->position) position.set_end(partition, end);
    serving::PositionToken token;
    token.streams.emplace_back(stream, std::move(position));
    add_position(response, token);
  }
  if (reply->repeated) response.headers.emplace_back("Idempotent-Replayed", "true");
  const bool any_good = reply->accepted + reply->duplicates != 0;
  response.status = !any_good && !reply->rejected.empty() ? 422 : 200;
  std::string& out = response.body;
  out.reserve(128);
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "{{\"accepted\":{},\"duplicates\":{},\"rejected\":[", reply->accepted,
                 reply->duplicates);
  for (std::size_t i = 0; i < reply->rejected.size(); ++i) {
    const auto& record = reply->rejected[i];
    fmt::format_to(to, "{}{{\"line\":{},\"code\":\"{}\",\"reason\":", i == 0 ? "" : ",",
                   record.line, record.id);
    append_json_text(out, record.reason);
    out += '}';
  }
  fmt::format_to(to, "],\"rejected_count\":{},\"position\":{{", reply->rejected_count);
  for (std::size_t i = 0; i < reply->position.size(); ++i) {
    fmt::format_to(to, "{}\"{}\":{}", i == 0 ? "" : ",", reply->position[i].first,
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
  const auto wait = request.query_value("wait").value_or("visible");
  if (wait == "durable") {
    options.wait = ingest::Wait::kDurable;
  } else if (wait != "visible") {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "wait={} is none of visible, durable", wait);
  }
  auto key = request.header("idempotency-key");
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"') {
    key.remove_prefix(1);
    key.remove_suffix(1);
  }
  if (request.fields.contains("idempotency-key") &&
      (key.empty() || key.size() > ingest::RequestMemory::kKeyBytesMax)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                "an Idempotency-Key has 1 to {} bytes", ingest::RequestMemory::kKeyBytesMax);
  }
  options.idempotency_key = std::string(key);
  return options;
}

/// Of the body; of a CloudEvent in the binary form (HTTP protocol binding 1.0.2, section 3.1) its
/// headers become bound values.
Result<format::PayloadType> type_of(HttpRequest& request, ingest::SubmitOptions& options) {
  constexpr std::string_view kPrefix = "ce-";
  const bool binary = !request.header("ce-specversion").empty();
  const auto content_type = request.header("content-type");
  Result<format::PayloadType> type = format::JsonFraming::kDocument;
  if (!binary || !content_type.empty()) type = format::payload_type_of(content_type);
  if (!type || !binary || type->format == format::Format::kCloudEvents) return type;
  std::vector<format::CloudAttribute> attributes;
  for (std::size_t i = 0; i < request.fields.size(); ++i) {
    const auto [name, value] = request.fields.at(i);
    if (name.size() <= kPrefix.size() || !equal_ignoring_case(name.substr(0, 3), kPrefix)) continue;
    attributes.push_back(
        {lower_name(name.substr(kPrefix.size())), format::decoded_attribute(value)});
  }
  if (!content_type.empty()) attributes.push_back({"datacontenttype", std::string(content_type)});
  format::FieldFault fault;
  auto bound = format::bind_attributes(attributes, fault);
  if (!bound) return fail(ErrorCode::kInvalidArgument, fault.id, "{}", fault.text);
  options.bound = std::move(*bound);
  if (request.body.empty() && type->is_json()) request.body = PaddedBytes::copy_of("{}");
  return type;
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
        auto options = options_of(request);
        auto type = options ? type_of(request, *options) : std::unexpected(options.error());
        if (!type) {
          responder.respond(problem(type.error()));
          return;
        }
        auto shared = std::make_shared<Responder>(std::move(responder));
        const StreamId id = stream->definition().id;
        ingest.submit(
            std::move(stream), std::move(request.body), *type, "http",
            [shared, id](const Result<ingest::IngestReply>& reply) {
              shared->respond(event_answer(id, reply));
            },
            std::move(*options));
      },
      {.query = {"on_error", "wait"},
       .refuse_other_query = true,
       .access = RouteAccess::needs(Privilege::kPublish, "stream")});
}

}  // namespace millrace::endpoint
