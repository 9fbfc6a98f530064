// POST /v1/sql: any one statement. GET /v1/streams, /v1/views: what there is.
#include <boost/json.hpp>
#include <memory>

#include "endpoint/answer_format.h"
#include "endpoint/answer_json.h"
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"
#include "endpoint/statement_answer.h"
#include "model/column_batch.h"
#include "runtime/clock.h"
#include "serving/sql_session.h"
#include "serving/view_reader.h"

namespace millrace::endpoint {

namespace {

/// REPLAY QUARANTINE with the condition of the body, if there is one.
Result<std::string> replay_of(const HttpRequest& request) {
  std::string sql = "REPLAY QUARANTINE " + quote_identifier(request.param("stream"));
  if (request.body.view().empty()) return sql;
  const auto bad = [](std::string message) {
    return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                                 .id = std::string(error_id::kBadRequest),
                                 .message = std::move(message),
                                 .hint = "send {\"where\": \"code = 'MR2003'\"} or no body",
                                 .place = {}});
  };
  boost::system::error_code failed;
  const auto document = boost::json::parse(request.body.view(), failed);
  if (failed) return bad("the body is not JSON: " + failed.message());
  if (!document.is_object()) return bad("the body is not an object");
  for (const auto& field : document.get_object()) {
    if (field.key() != "where" || !field.value().is_string())
      return bad("the body has another field than the text 'where'");
    sql += " WHERE " + std::string(field.value().get_string());
  }
  return sql;
}

HttpResponse run_statement(serving::StatementRunner& statements, const access::Principal& who,
                           const std::string& sql, AnswerFormat format) {
  const auto result = statements.run_as(who, sql);
  if (!result) return problem(result.error());
  const auto position = position_of(*result);
  if (format != AnswerFormat::kJson && !result->columns.empty()) {
    std::string coverage;
    if (!result->sources.empty()) append_sources(coverage, result->sources);
    auto answer =
        answer_rows(format, result->columns, result->batches, coverage, result->truncated);
    add_position(answer, position);
    return answer;
  }
  HttpResponse response;
  add_position(response, position);
  append_statement(response.body, *result);
  response.body += '}';
  return response;
}

/// SUBSCRIBE, which has no end, in a session of its own.
void answer_live(const Services& services, const HttpRequest& request, std::string sql,
                 Responder responder) {
  auto shared = std::make_shared<Responder>(std::move(responder));
  const bool posted = services.pool.post(
      request.share, [&services_pool = services.pool, &statements = services.statements,
                      who = request.who, share = request.share, sql = std::move(sql), shared] {
        auto result = serving::SqlSession(statements, who).run(sql);
        if (!result) {
          shared->respond(problem(result.error()));
        } else {
          stream_rows(result->live, services_pool, share, nullptr, *shared);
        }
      });
  if (!posted) shared->respond(pool_is_full());
}

/// Runs the statement on the pool, when the position that the request asks for is visible; `sql` is
/// what it asks for.
void answer_statement(const Services& services, const HttpRequest& request, Result<std::string> sql,
                      Responder responder) {
  if (!sql) {
    responder.respond(problem(sql.error()));
    return;
  }
  const auto format = answer_format_of(request);
  if (!format) {
    responder.respond(problem(format.error()));
    return;
  }
  if (is_subscribe(*sql)) {
    answer_live(services, request, std::move(*sql), std::move(responder));
    return;
  }
  auto position = read_position_of(request);
  Status kept;
  if (!position) {
    kept = std::unexpected(position.error());
  } else if (!position->at_least.streams.empty()) {
    kept = keep_only(services, request.who, streams_within_reach(services, request.who), *position);
  }
  if (!kept) {
    responder.respond(problem(kept.error()));
    return;
  }
  read_at(services.positions, std::move(*position), std::move(responder),
          [&statements = services.statements, &pool = services.pool, who = request.who,
           share = request.share, sql = std::move(*sql), format = *format](Responder answer) {
            answer_on_pool(pool, share, std::move(answer), [&statements, who, sql, format] {
              return run_statement(statements, who, sql, format);
            });
          });
}

void append_column_list(std::string& out, const std::vector<Column>& columns) {
  out += ",\"columns\":";
  append_columns(out, columns);
}

/// The text of a statement names what else is there.
void append_sql(std::string& out, const Services& services, const access::Principal& who,
                const std::string& sql) {
  if (services.access.is_admin(who)) {
    append_json_string(out, sql);
  } else {
    out += "null";
  }
}

HttpResponse list_streams(const Services& services, const access::Principal& who) {
  HttpResponse response;
  std::string& out = response.body;
  out = "{\"streams\":[";
  bool first = true;
  for (const auto& stream : services.speed.streams()) {
    const auto& definition = stream->definition();
    if (!services.statements.is_visible(who, definition.name)) continue;
    const auto lake = services.lake.snapshot(definition.id);
    out += first ? "{\"name\":" : ",{\"name\":";
    first = false;
    append_json_string(out, definition.name);
    append_column_list(out, definition.columns);
    if (definition.time_column) {
      out += ",\"time\":";
      append_json_string(out, definition.columns[*definition.time_column].name);
    }
    if (definition.key_column) {
      out += ",\"key\":";
      append_json_string(out, definition.columns[*definition.key_column].name);
    }
    out += fmt::format(
        ",\"partitions\":{},\"position\":{},\"lake\":{{\"commit\":{},\"position\":{}}},\"tail_"
        "events\":{},"
        "\"events_per_second\":{:.1f},\"quarantined\":{},\"sql\":",
        definition.partitions, stream->applied().json(), lake->last(), lake->end.json(),
        stream->tail_rows(), stream->rate(runtime::monotonic_us()),
        services.statements.quarantined(definition));
    append_sql(out, services, who, definition.sql);
    out += '}';
  }
  out += "]}";
  return response;
}

HttpResponse list_views(const Services& services, const access::Principal& who) {
  HttpResponse response;
  std::string& out = response.body;
  out = "{\"views\":[";
  bool first = true;
  for (const auto& record : services.catalog.views()) {
    if (record.replaces || !services.statements.is_visible(who, record.name)) continue;
    out += first ? "{\"name\":" : ",{\"name\":";
    first = false;
    append_json_string(out, record.name);
    const auto view = record.materialized ? services.speed.find_view(record.name) : nullptr;
    if (view == nullptr) {
      out += ",\"kind\":\"view\",\"state\":\"live\"";
    } else {
      const auto source = services.statements.source_of(*view, view->coverage());
      out += ",\"kind\":\"materialized\",\"streams\":[";
      for (const auto& stream : source.streams) {
        if (&stream != source.streams.data()) out += ',';
        append_json_string(out, stream);
      }
      out += ']';
      double rate = 0;
      for (const auto& stream : services.speed.streams_of(*view))
        rate += stream->rate(runtime::monotonic_us());
      append_column_list(out, serving::columns_of(view->compiled()));
      out += fmt::format(
          ",\"state\":\"{}\",\"native\":{},\"groups_in_generation\":{},\"groups_in_delta\":{},"
          "\"delta_events\":{},"
          "\"delta_bytes\":{},\"events_per_second\":{:.1f},\"coverage\":",
          name(view->phase()), view->is_native(), view->base_groups(), view->delta_groups(),
          view->delta_events(), view->delta_bytes(), rate);
      append_coverage(out, source);
      if (view->phase() == speed::ViewPhase::kBuilding)
        out += fmt::format(",\"built\":{:.3f}", services.batch.built(record.id));
      if (const auto next = services.statements.replacement_of(*view)) {
        out += ",\"replacement\":";
        append_replacement(out, *next);
      }
    }
    out += ",\"sql\":";
    append_sql(out, services, who, record.sql);
    out += '}';
  }
  out += "]}";
  return response;
}

}  // namespace

void add_statement_routes(HttpRouter& router, const Services& services) {
  router.add("POST", "/v1/sql",
             [services](const HttpRequest& request, Responder responder) {
               answer_statement(services, request, statement_of(request), std::move(responder));
             },
             {.body_bytes_max = std::uint64_t{1} << 20,
              .media_types = {"application/json"},
              .gzip_answer = true,
              .query = {"format", "at_least", "timeout_ms"},
              .refuse_other_query = true,
              .access = RouteAccess::known()});
  router.add("POST", "/v1/streams/{stream}/quarantine/replay",
             [services](const HttpRequest& request, Responder responder) {
               answer_statement(services, request, replay_of(request), std::move(responder));
             },
             {.body_bytes_max = std::uint64_t{1} << 16,
              .media_types = {"application/json"},
              .query = {"format"},
              .refuse_other_query = true});
  router.add("GET", "/v1/streams",
             [services](const HttpRequest& request, Responder responder) {
               responder.respond(list_streams(services, request.who));
             },
             {.access = RouteAccess::known()});
  router.add("GET", "/v1/views",
             [services](const HttpRequest& request, Responder responder) {
               responder.respond(list_views(services, request.who));
             },
             {.access = RouteAccess::known()});
}

}  // namespace millrace::endpoint
