// GET /v1/views/{view}: rows of the merged answer. POST /v1/views/{view}/lookup: the rows of many
// keys. What is looked up by the whole key is answered on the I/O thread, unless it is much or the
// disk has to be read for it. GET /v1/views/{view}/plan: the view for the operator outside of the
// server.
#include <algorithm>
#include <charconv>

#include "endpoint/answer_format.h"
#include "endpoint/answer_json.h"
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"
#include "op/plan.h"
#include "serving/view_lookup.h"
#include "serving/view_reader.h"

namespace millrace::endpoint {

namespace {

/// More are looked up on the pool.
constexpr std::size_t kInlineKeysMax = 100;
constexpr std::uint64_t kLookupBytesMax = std::uint64_t{1} << 20;

Result<serving::ViewRequest> parse_request(const HttpRequest& request) {
  serving::ViewRequest out;
  for (const auto& [name, value] : request.query) {
    if (name == "format" || name == "at_least" || name == "timeout_ms") {
      continue;
    }
    if (name == "limit") {
      const auto [stop, code] =
          std::from_chars(value.data(), value.data() + value.size(), out.limit);
      if (code != std::errc() || stop != value.data() + value.size()) {
        return fail(ErrorCode::kInvalidArgument, error_id::kBadRequest,
                    "limit={} is not a number of rows", value);
      }
    } else if (name == "order") {
      std::string_view rest = value;
      while (!rest.empty()) {
        const auto comma = rest.find(',');
        auto column = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
        const bool descending = column.starts_with('-');
        if (descending) column.remove_prefix(1);
        out.order.push_back({std::string(column), descending});
      }
    } else {
      out.where.push_back({name, value});
    }
  }
  return out;
}

serving::PositionToken position_of(const speed::ViewState& view, const speed::Coverage& coverage) {
  serving::PositionToken position;
  for (std::size_t i = 0; i < coverage.streams.size(); ++i)
    position.include(view.record().streams[i], coverage.streams[i].delta_end);
  return position;
}

HttpResponse answer_of(const serving::StatementRunner& statements, const speed::ViewState& view,
                       const serving::ViewRows& read, AnswerFormat format) {
  const auto position = position_of(view, read.coverage);
  if (format != AnswerFormat::kJson) {
    std::string coverage;
    append_coverage(coverage, statements.source_of(view, read.coverage));
    auto answer = answer_rows(format, serving::columns_of(view.compiled()),
                              std::span(&read.rows, 1), coverage, read.truncated);
    add_position(answer, position);
    return answer;
  }
  HttpResponse response;
  add_position(response, position);
  std::string& out = response.body;
  out.reserve(256);
  out += "{\"columns\":";
  append_columns(out, serving::columns_of(view.compiled()));
  out += ",\"rows\":";
  append_rows(out, std::span(&read.rows, 1));
  out += ",\"coverage\":";
  append_coverage(out, statements.source_of(view, read.coverage));
  if (const auto next = statements.replacement_of(view)) {
    out += ",\"replacement\":";
    append_replacement(out, *next);
  }
  if (read.truncated) out += ",\"truncated\":true";
  out += '}';
  return response;
}

HttpResponse read(const serving::StatementRunner& statements, const speed::ViewState& view,
                  const serving::ViewRequest& request, AnswerFormat format) {
  const auto read = serving::read_view(view, request);
  return read ? answer_of(statements, view, *read, format) : problem(read.error());
}

/// [["Lima",1],null,...]: null for a key that the view has no row of.
void append_found(std::string& out, const serving::FoundRows& found) {
  const auto views = found.rows->views();
  out += '[';
  for (std::size_t i = 0; i < found.places.size(); ++i) {
    if (i != 0) out += ',';
    if (!found.places[i]) {
      out += "null";
      continue;
    }
    out += '[';
    for (std::size_t c = 0; c < views.size(); ++c) {
      if (c != 0) out += ',';
      append_json(out, views[c], *found.places[i]);
    }
    out += ']';
  }
  out += ']';
}

HttpResponse look_up(const serving::StatementRunner& statements, const speed::ViewState& view,
                     const serving::LookupKeys& keys, AnswerFormat format) {
  const auto found = serving::look_up(view, keys);
  if (!found) return problem(found.error());
  const auto position = position_of(view, found->coverage);
  std::string coverage;
  append_coverage(coverage, statements.source_of(view, found->coverage));
  if (format != AnswerFormat::kJson) {
    const auto rows = serving::marked_rows(view.compiled(), keys, *found);
    auto answer = answer_rows(format, serving::marked_columns(view.compiled()), std::span(&rows, 1),
                              coverage, false);
    add_position(answer, position);
    return answer;
  }
  HttpResponse response;
  add_position(response, position);
  std::string& out = response.body;
  out += "{\"columns\":";
  append_columns(out, serving::columns_of(view.compiled()));
  out += ",\"rows\":";
  append_found(out, *found);
  out += ",\"coverage\":" + coverage + "}";
  return response;
}

void answer_lookup(const Services& services, const HttpRequest& request, Responder responder) {
  const auto name = request.param("view");
  auto view = services.speed.find_view(name);
  if (view == nullptr) {
    responder.respond(no_such_view(services.catalog, name));
    return;
  }
  auto keys = serving::parse_lookup(view->compiled(), view->record().name, request.body.view());
  if (!keys) {
    responder.respond(problem(keys.error()));
    return;
  }
  const auto format = answer_format_of(request);
  if (!format) {
    responder.respond(problem(format.error()));
    return;
  }
  auto position = read_position_of(request);
  const auto kept = position ? keep_only(services, request.who, view->record().streams, *position)
                             : Status(std::unexpected(position.error()));
  if (!kept) {
    responder.respond(problem(kept.error()));
    return;
  }
  if (keys->encoded.size() <= kInlineKeysMax && position->at_least.streams.empty() &&
      view->is_cached(keys->encoded)) {
    responder.respond(look_up(services.statements, *view, *keys, *format));
    return;
  }
  read_at(services.positions, std::move(*position), std::move(responder),
          [&statements = services.statements, &pool = services.pool, share = request.share, view,
           keys = std::make_shared<const serving::LookupKeys>(std::move(*keys)),
           format = *format](Responder answer) {
            answer_on_pool(pool, share, std::move(answer), [&statements, view, keys, format] {
              return look_up(statements, *view, *keys, format);
            });
          });
}

HttpResponse plan_of(const catalog::Catalog& catalog, const speed::ViewState& view) {
  op::Plan plan{.view = view.record().name,
                .select = view.record().select,
                .streams = {},
                .program = MR_VERSION};
  for (const auto& input : view.compiled().inputs) {
    if (std::ranges::find(plan.streams, input.stream, &StreamDefinition::id) != plan.streams.end())
      continue;
    const auto stream = catalog.stream(input.stream);
    MR_CHECK(stream.has_value(), "view {} reads a stream that is not there", plan.view);
    plan.streams.push_back(*stream);
  }
  HttpResponse response;
  response.body = op::write_plan(plan);
  return response;
}

}  // namespace

HttpResponse no_such_view(const catalog::Catalog& catalog, std::string_view name) {
  const bool plain = catalog.find_view(name).has_value();
  return problem(Error{.code = ErrorCode::kNotFound,
                       .id = std::string(error_id::kViewNotFound),
                       .message = fmt::format("materialized view {} does not exist", name),
                       .hint = plain ? "it is a plain view: read it with SELECT over POST /v1/sql"
                                     : "GET /v1/views lists what there is",
                       .place = {}});
}

void add_view_routes(HttpRouter& router, const Services& services) {
  router.add(
      "GET", "/v1/views/{view}",
      [services](HttpRequest request, Responder responder) {
        const auto name = request.param("view");
        auto view = services.speed.find_view(name);
        if (view == nullptr) {
          responder.respond(no_such_view(services.catalog, name));
          return;
        }
        auto parsed = parse_request(request);
        if (!parsed) {
          responder.respond(problem(parsed.error()));
          return;
        }
        const auto format = answer_format_of(request);
        if (!format) {
          responder.respond(problem(format.error()));
          return;
        }
        auto position = read_position_of(request);
        auto kept = position ? keep_only(services, request.who, view->record().streams, *position)
                             : Status(std::unexpected(position.error()));
        if (!kept) {
          responder.respond(problem(kept.error()));
          return;
        }
        if (position->at_least.streams.empty()) {
          const auto rows = serving::read_at_hand(*view, *parsed);
          if (!rows || *rows) {
            responder.respond(rows ? answer_of(services.statements, *view, **rows, *format)
                                   : problem(rows.error()));
            return;
          }
        }
        read_at(services.positions, std::move(*position), std::move(responder),
                [&statements = services.statements, &pool = services.pool, share = request.share,
                 view, parsed = std::move(*parsed), format = *format](Responder answer) {
                  answer_on_pool(pool, share, std::move(answer),
                                 [&statements, view, parsed, format] {
                                   return read(statements, *view, parsed, format);
                                 });
                });
      },
      {.gzip_answer = true,
       .query = {"limit", "order", "format", "at_least", "timeout_ms"},
       .access = RouteAccess::needs(Privilege::kSelect, "view")});
  router.add("POST", "/v1/views/{view}/lookup",
             [services](const HttpRequest& request, Responder responder) {
               answer_lookup(services, request, std::move(responder));
             },
             {.body_bytes_max = kLookupBytesMax,
              .media_types = {"application/json"},
              .gzip_answer = true,
              .query = {"format", "at_least", "timeout_ms"},
              .refuse_other_query = true,
              .access = RouteAccess::needs(Privilege::kSelect, "view")});
  router.add(
      "GET", "/v1/views/{view}/plan",
      [&speed = services.speed, &catalog = services.catalog](const HttpRequest& request,
                                                             Responder responder) {
        const auto name = request.param("view");
        const auto view = speed.find_view(name);
        responder.respond(view == nullptr ? no_such_view(catalog, name) : plan_of(catalog, *view));
      });
}

}  // namespace millrace::endpoint
