// POST /v1/batch: ask for a run of the batch layer. GET /v1/batch: state, progress, last runs and
// generations. DELETE /v1/batch: end the run that is under way.
#include <boost/json.hpp>

#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "model/column_batch.h"
#include "model/value_text.h"
#include "runtime/clock.h"

namespace millrace::endpoint {

namespace {

Result<bool> wants_full(const HttpRequest& request) {
  if (request.body.size() == 0) return false;
  const auto bad = [](std::string message) {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(error_id::kBadRequest),
                                 .message = std::move(message),
                                 .hint = "send nothing, {} or {\"full\": true}",
                                 .place = {}});
  };
  boost::system::error_code failed;
  const auto document = boost::json::parse(request.body.view(), failed);
  if (failed) return bad("the body is not JSON: " + failed.message());
  if (!document.is_object()) return bad("the body is not an object");
  bool full = false;
  for (const auto& field : document.get_object()) {
    if (field.key() != "full" || !field.value().is_bool()) {
      return bad(fmt::format("the field '{}' is not \"full\" with true or false",
                             std::string_view(field.key())));
    }
    full = field.value().get_bool();
  }
  return full;
}

double seconds(std::int64_t us) { return static_cast<double>(us) / 1e6; }

void append_run(std::string& out, const serving::BatchRunSummary& run) {
  out += fmt::format(
      "{{\"run\":{},\"full\":{},\"reason\":\"{}\",\"started\":\"{}\",\"seconds\":{:.6f},"
      "\"generations\":{},"
      "\"drift_rows\":{},\"error\":",
      run.run, run.full, run.reason, timestamp_text(run.started_us, true), seconds(run.duration_us),
      run.generations, run.drift_rows);
  if (run.error) {
    out += fmt::format("{{\"code\":\"{}\",\"detail\":", run.error->id);
    append_json_text(out, run.error->message);
    out += '}';
  } else {
    out += "null";
  }
  out += '}';
}

/// "cut":{"0":1}; of a view over several streams "cuts":{"a":{"0":1},...}.
void append_cuts(std::string& out, const catalog::Catalog& catalog, const catalog::ViewRecord& view,
                 const catalog::Generation& generation) {
  if (generation.cuts.size() == 1) {
    out += fmt::format("\"cut\":{}", generation.cuts.front().end.json());
    return;
  }
  out += "\"cuts\":{";
  for (std::size_t i = 0; i < generation.cuts.size(); ++i) {
    if (i != 0) out += ',';
    const auto stream = catalog.stream(view.streams[i]);
    append_json_string(out, stream ? stream->name : "");
    out += fmt::format(":{}", generation.cuts[i].end.json());
  }
  out += '}';
}

/// [{"key":"…","batch":"…","speed":"…"},…]: the first groups that the audit found different.
void append_drift(std::string& out, std::span<const catalog::DriftRow> rows) {
  out += '[';
  for (const auto& row : rows) {
    if (out.back() != '[') out += ',';
    out += "{\"key\":";
    append_json_string(out, row.key);
    out += ",\"batch\":";
    append_json_string(out, row.batch);
    out += ",\"speed\":";
    append_json_string(out, row.speed);
    out += '}';
  }
  out += ']';
}

HttpResponse show_batch(const Services& services) {
  const auto state = services.batch.state();
  HttpResponse response;
  std::string& out = response.body;
  out = fmt::format("{{\"state\":\"{}\",\"runs\":{},\"failures\":{},\"drift_rows\":{},\"current\":",
                    state.running   ? "running"
                    : state.pending ? "pending"
                                    : "idle",
                    state.runs, state.failures, state.drift_rows);
  if (state.running) {
    const double spent = std::max(1e-3, seconds(runtime::wall_us() - state.view_started_us));
    const double rate = static_cast<double>(state.rows_done) / spent;
    const double left = rate > 0 && state.rows_total > state.rows_done
                            ? static_cast<double>(state.rows_total - state.rows_done) / rate
                            : 0;
    out += fmt::format("{{\"run\":{},\"full\":{},\"reason\":\"{}\",\"view\":", state.current.run,
                       state.current.full, state.current.reason);
    append_json_string(out, state.view);
    out += fmt::format(
        ",\"rows_done\":{},\"rows_total\":{},\"rows_per_second\":{:.0f},\"seconds_left\":{:.1f}}}",
        state.rows_done, state.rows_total, rate, left);
  } else {
    out += "null";
  }
  out += ",\"last\":[";
  for (std::size_t i = 0; i < state.last.size(); ++i) {
    if (i != 0) out += ',';
    append_run(out, state.last[i]);
  }
  out += "],\"generations\":[";
  bool first = true;
  for (const auto& view : services.catalog.views()) {
    for (const auto& generation : services.catalog.generations(view.id)) {
      out += first ? "{\"view\":" : ",{\"view\":";
      first = false;
      append_json_string(out, view.name);
      out += fmt::format(",\"generation\":{},", generation.number);
      append_cuts(out, services.catalog, view, generation);
      out += fmt::format(
          ",\"events\":{},\"groups\":{},\"bytes\":{},\"full\":{},"
          "\"drift_rows\":{},\"seconds\":{:.6f},\"created\":\"{}\",\"drift\":",
          generation.events, generation.file.rows, generation.file.size_bytes, generation.full,
          generation.drift_rows, seconds(generation.duration_us),
          timestamp_text(generation.created_us, true));
      append_drift(out, generation.drift);
      out += '}';
    }
  }
  out += "]}";
  return response;
}

}  // namespace

void add_batch_routes(HttpRouter& router, const Services& services) {
  router.add("POST", "/v1/batch",
             [&batch = services.batch](const HttpRequest& request, Responder responder) {
               const auto full = wants_full(request);
               if (!full) {
                 responder.respond(problem(full.error()));
                 return;
               }
               HttpResponse response;
               response.status = 202;
               response.body = fmt::format("{{\"run\":{}}}", batch.request(*full, "request"));
               responder.respond(std::move(response));
             });
  router.add("GET", "/v1/batch", [services](const HttpRequest&, Responder responder) {
    responder.respond(show_batch(services));
  });
  router.add("DELETE", "/v1/batch",
             [&batch = services.batch](const HttpRequest&, Responder responder) {
               batch.cancel();
               HttpResponse response;
               response.status = 202;
               response.body = "{}";
               responder.respond(std::move(response));
             });
}

}  // namespace millrace::endpoint
