#include "endpoint/statement_answer.h"

#include <boost/json.hpp>
#include <utility>

#include "base/ascii_case.h"
#include "endpoint/answer_json.h"
#include "endpoint/live_stream.h"
#include "model/column_batch.h"
#include "sql/tokens.h"

namespace millrace::endpoint {
namespace {

Error bad_body(std::string message) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .id = std::string(error_id::kBadRequest),
               .message = std::move(message),
               .hint = "send {\"sql\": \"SELECT ...\"} as application/json",
               .place = {}};
}

}  // namespace

Result<std::string> statement_of(const HttpRequest& request) {
  boost::system::error_code failed;
  const auto document = boost::json::parse(request.body.view(), failed);
  if (failed) return std::unexpected(bad_body("the body is not JSON: " + failed.message()));
  if (!document.is_object()) return std::unexpected(bad_body("the body is not an object"));
  for (const auto& field : document.get_object()) {
    if (field.key() != "sql") {
      return std::unexpected(bad_body(fmt::format("the body has a field '{}' that means nothing",
                                                  std::string_view(field.key()))));
    }
  }
  const auto* sql = document.get_object().if_contains("sql");
  if (sql == nullptr || !sql->is_string())
    return std::unexpected(bad_body("the body has no text field 'sql'"));
  return std::string(sql->get_string());
}

bool is_subscribe(std::string_view sql) {
  const auto tokens = sql::tokenize(sql);
  if (!tokens || tokens->empty()) return false;
  const auto& first = tokens->front();
  return first.kind == sql::TokenKind::kWord &&
         same_name(sql.substr(first.begin, first.end - first.begin), "SUBSCRIBE");
}

void append_sources(std::string& out, const std::vector<serving::SourceCoverage>& sources) {
  out += '{';
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (i != 0) out += ',';
    append_json_string(out, sources[i].name);
    out += ':';
    append_coverage(out, sources[i]);
  }
  out += '}';
}

void append_statement(std::string& out, const serving::StatementResult& result) {
  out += "{\"command\":";
  append_json_string(out, result.command);
  out += ",\"columns\":";
  append_columns(out, result.columns);
  out += ",\"rows\":";
  append_rows(out, result.batches);
  if (result.truncated) out += ",\"truncated\":true";
  if (result.sources.size() == 1) {
    out += ",\"coverage\":";
    append_coverage(out, result.sources.front());
  }
  if (!result.sources.empty()) {
    out += ",\"sources\":";
    append_sources(out, result.sources);
  }
}

serving::PositionToken position_of(const serving::StatementResult& result) {
  serving::PositionToken position;
  for (const auto& source : result.sources) {
    for (std::size_t i = 0; i < source.stream_ids.size(); ++i)
      position.include(source.stream_ids[i], source.coverage.streams[i].delta_end);
  }
  return position;
}

void stream_rows(std::shared_ptr<serving::LiveQuery> live, runtime::WorkerPool& pool,
                 runtime::WorkShare share, std::shared_ptr<SqlSessions::Lease> lease,
                 Responder& responder) {
  auto stream = std::make_shared<LiveStream>(HttpStreamWriter(responder), pool, share,
                                             std::move(live), std::move(lease));
  HttpResponse response;
  response.content_type = "application/x-ndjson";
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Accel-Buffering", "no");
  response.stream = stream;
  responder.respond(std::move(response));
  stream->begin();
}

}  // namespace millrace::endpoint
