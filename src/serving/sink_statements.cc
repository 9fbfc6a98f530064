// The statements about stores outside.
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

Result<StatementResult> StatementRunner::create_sink(const sql::CreateSink& statement) {
  // The view that it reads must not go meanwhile.
  const MutexLock lock(definitions_);
  auto created = sinks_.create({.name = statement.name,
                                .url = statement.url,
                                .select = statement.select,
                                .password = statement.password,
                                .password_file = statement.password_file,
                                .tls = statement.tls,
                                .ca_file = statement.ca_file,
                                .format = statement.format});
  if (created) return done("CREATE SINK");
  if (statement.if_not_exists && created.error().id == error_id::kAlreadyExists)
    return done("CREATE SINK");
  return std::unexpected(placed_behind(std::move(created).error(), statement.select_place));
}

Result<StatementResult> StatementRunner::alter_sink(const sql::AlterSink& statement) {
  MR_RETURN_IF_ERROR(sinks_.pause(statement.name, statement.paused));
  return done(statement.paused ? "PAUSE SINK" : "RESUME SINK");
}

Result<StatementResult> StatementRunner::drop_sink(const sql::Drop& statement) {
  const auto dropped = sinks_.drop(statement.name);
  const bool passed_over =
      !dropped && statement.if_exists && dropped.error().code == ErrorCode::kNotFound;
  if (!dropped && !passed_over) return std::unexpected(dropped.error());
  return done("DROP SINK");
}

Result<StatementResult> StatementRunner::show_sinks(const access::Principal& who) {
  MR_RETURN_IF_ERROR(access_.require_admin(who, "see sinks"));
  Rows rows({{"name", kText},
             {"type", kText},
             {"url", kText},
             {"view", kText},
             {"state", kText},
             {"error", kText},
             {"lag_events", kNumber},
             {"lag_ms", kNumber},
             {"rows", kNumber},
             {"deletes", kNumber},
             {"commits", kNumber},
             {"backfills", kNumber},
             {"connects", kNumber},
             {"errors", kNumber},
             {"position", kText},
             {"select", kText}});
  for (const auto& one : sinks_.infos()) {
    rows.text(one.record.name)
        .text(sink::name(one.kind))
        .text(one.record.url)
        .text(one.record.view)
        .text(name(one.state));
    one.error.empty() ? rows.null() : rows.text(one.error);
    rows.number(one.lag_events)
        .number(static_cast<std::uint64_t>(one.lag_us / 1000))
        .number(one.rows)
        .number(one.deletes)
        .number(one.commits)
        .number(one.backfills)
        .number(one.connects)
        .number(one.errors);
    one.position.empty() ? rows.null() : rows.text(one.position);
    rows.text(one.record.select).end();
  }
  return std::move(rows).result("SHOW SINKS");
}

}  // namespace millrace::serving
