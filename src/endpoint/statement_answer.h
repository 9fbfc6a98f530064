// What the routes that take a statement share: the statement in a request's body, and its answer.
// Thread: any. Errors: kInvalidArgument (kBadRequest) for a body that is no statement.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "endpoint/http_message.h"
#include "endpoint/http_responder.h"
#include "endpoint/sql_sessions.h"
#include "runtime/worker_pool.h"
#include "serving/position_token.h"
#include "serving/statement_runner.h"

namespace millrace::endpoint {

/// The text of {"sql": "..."}.
Result<std::string> statement_of(const HttpRequest& request);
/// Whether it begins with SUBSCRIBE, behind comments.
[[nodiscard]] bool is_subscribe(std::string_view sql);

/// {"a":{...},"b":{...}}
void append_sources(std::string& out, const std::vector<serving::SourceCoverage>& sources);
/// {"command":"SELECT","columns":[...],"rows":[...],"coverage":{...}: without its end.
void append_statement(std::string& out, const serving::StatementResult& result);
/// The newest that the answer shows of each stream: who reads at least that does not go back.
[[nodiscard]] serving::PositionToken position_of(const serving::StatementResult& result);

/// Answers with rows that have no end. `lease`: of the session; null where there is none.
void stream_rows(std::shared_ptr<serving::LiveQuery> live, runtime::WorkerPool& pool,
                 runtime::WorkShare share, std::shared_ptr<SqlSessions::Lease> lease,
                 Responder& responder);

}  // namespace millrace::endpoint
