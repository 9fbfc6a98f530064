// /v1/sessions: SQL sessions over HTTP, for the interactive shell and for pages. A statement is
// answered as POST /v1/sql does, with the state of the transaction and the notices beside it.
#include <memory>
#include <utility>

#include "endpoint/answer_json.h"
#include "endpoint/api_routes.h"
#include "endpoint/problem.h"
#include "endpoint/read_position.h"
#include "endpoint/sql_sessions.h"
#include "endpoint/statement_answer.h"
#include "model/column_batch.h"

namespace millrace::endpoint {

namespace {

std::string_view name(serving::TransactionState state) {
  switch (state) {
    case serving::TransactionState::kNone:
      return "none";
    case serving::TransactionState::kOpen:
      return "open";
    case serving::TransactionState::kFailed:
      return "failed";
  }
  return "none";
}

HttpResponse answer_of(const serving::StatementResult& result, serving::SqlSession& session) {
  HttpResponse response;
  add_position(response, position_of(result));
  std::string& out = response.body;
  append_statement(out, result);
  if (result.affected) out += fmt::format(",\"affected\":{}", *result.affected);
  out += fmt::format(",\"transaction\":\"{}\",\"notices\":[", name(session.transaction()));
  bool first = true;
  for (const auto& notice : session.take_notices()) {
    if (!std::exchange(first, false)) out += ',';
    append_json_text(out, notice.message);
  }
  out += "]}";
  return response;
}

/// Thread: the pool's.
void run_statement(std::shared_ptr<SqlSessions::Lease> lease, const std::string& sql,
                   runtime::WorkerPool& pool, runtime::WorkShare share, Responder& responder) {
  auto& session = lease->session();
  const auto result = session.run(sql);
  HttpResponse response;
  if (!result) {
    response = problem(result.error());
  } else if (result->live != nullptr && result->fetch == nullptr) {
    stream_rows(result->live, pool, share, std::move(lease), responder);
    return;
  } else if (result->live != nullptr) {
    response =
        problem(Error{.code = ErrorCode::kUnimplemented,
                      .id = std::string(error_id::kUnsupportedStatement),
                      .message = "the cursor of a SUBSCRIBE is fetched over the Postgres wire only",
                      .hint = "SUBSCRIBE without a cursor streams its rows here",
                      .place = {}});
  } else {
    response = answer_of(*result, session);
  }
  // Before the client is told, which may ask again at once.
  lease.reset();
  responder.respond(std::move(response));
}

void handle_statement(const std::shared_ptr<SqlSessions>& sessions, runtime::WorkerPool& pool,
                      const HttpRequest& request, Responder responder) {
  auto sql = statement_of(request);
  if (!sql) {
    responder.respond(problem(sql.error()));
    return;
  }
  auto lease = sessions->take(request.param("session"), request.who);
  if (!lease) {
    responder.respond(problem(lease.error()));
    return;
  }
  auto shared = std::make_shared<Responder>(std::move(responder));
  // The pool may keep its task for longer than the lease is to be held.
  const bool posted =
      pool.post(request.share,
                [lease = std::make_shared<std::shared_ptr<SqlSessions::Lease>>(std::move(*lease)),
                 sql = std::move(*sql), &pool, share = request.share, shared] {
                  run_statement(std::exchange(*lease, nullptr), sql, pool, share, *shared);
                });
  if (!posted) shared->respond(pool_is_full());
}

HttpResponse done(const Status& status) {
  if (!status) return problem(status.error());
  HttpResponse response;
  response.body = "{}";
  return response;
}

}  // namespace

void add_session_routes(HttpRouter& router, const Services& services) {
  auto sessions = std::make_shared<SqlSessions>(services.statements, services.access);
  router.add("POST", "/v1/sessions",
             [sessions](const HttpRequest& request, Responder responder) {
               const auto opened = sessions->open(request.who);
               if (!opened) {
                 responder.respond(problem(opened.error()));
                 return;
               }
               HttpResponse response;
               response.status = 201;
               response.body = fmt::format("{{\"session\":\"{}\"}}", *opened);
               responder.respond(std::move(response));
             },
             {.body_bytes_max = 1024, .access = RouteAccess::known()});
  router.add("POST", "/v1/sessions/{session}/sql",
             [sessions, &pool = services.pool](const HttpRequest& request, Responder responder) {
               handle_statement(sessions, pool, request, std::move(responder));
             },
             {.body_bytes_max = std::uint64_t{1} << 20,
              .media_types = {"application/json"},
              .gzip_answer = true,
              .access = RouteAccess::known()});
  router.add("POST", "/v1/sessions/{session}/cancel",
             [sessions](const HttpRequest& request, Responder responder) {
               responder.respond(done(sessions->cancel(request.param("session"), request.who)));
             },
             {.body_bytes_max = 1024, .access = RouteAccess::known()});
  router.add("DELETE", "/v1/sessions/{session}",
             [sessions](const HttpRequest& request, Responder responder) {
               responder.respond(done(sessions->close(request.param("session"), request.who)));
             },
             {.access = RouteAccess::known()});
}

}  // namespace millrace::endpoint
