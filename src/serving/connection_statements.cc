// The statements about connections to other brokers.
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

Result<StatementResult> StatementRunner::create_connection(const sql::CreateConnection& statement) {
  const auto created = bridge_.create({.name = statement.name,
                                       .url = statement.url,
                                       .topic = statement.topic,
                                       .stream = statement.stream,
                                       .client_id = statement.client_id,
                                       .user = statement.user,
                                       .password = statement.password,
                                       .share = statement.share,
                                       .qos = statement.qos,
                                       .clean = statement.clean});
  const bool passed_over =
      !created && statement.if_not_exists && created.error().code == ErrorCode::kAlreadyExists;
  if (!created && !passed_over) return std::unexpected(created.error());
  return done("CREATE CONNECTION");
}

Result<StatementResult> StatementRunner::alter_connection(const sql::AlterConnection& statement) {
  MR_RETURN_IF_ERROR(bridge_.pause(statement.name, statement.paused));
  return done(statement.paused ? "PAUSE CONNECTION" : "RESUME CONNECTION");
}

Result<StatementResult> StatementRunner::drop_connection(const sql::Drop& statement) {
  const auto dropped = bridge_.drop(statement.name);
  const bool passed_over =
      !dropped && statement.if_exists && dropped.error().code == ErrorCode::kNotFound;
  if (!dropped && !passed_over) return std::unexpected(dropped.error());
  return done("DROP CONNECTION");
}

Result<StatementResult> StatementRunner::show_connections(const access::Principal& who) {
  MR_RETURN_IF_ERROR(access_.require_admin(who, "see connections to other brokers"));
  Rows rows({{"name", kText},
             {"type", kText},
             {"url", kText},
             {"topic", kText},
             {"stream", kText},
             {"state", kText},
             {"error", kText},
             {"messages", kNumber},
             {"redelivered", kNumber},
             {"quarantined", kNumber},
             {"unmatched", kNumber},
             {"waiting", kNumber},
             {"connects", kNumber},
             {"client_id", kText}});
  for (const auto& connection : bridge_.connections()) {
    const auto& record = connection.record;
    rows.text(record.name).text("mqtt").text(record.url).text(record.topic);
    record.stream.empty() ? rows.null() : rows.text(record.stream);
    rows.text(name(connection.status.state));
    connection.status.error.empty() ? rows.null() : rows.text(connection.status.error);
    rows.number(connection.messages)
        .number(connection.redelivered)
        .number(connection.quarantined)
        .number(connection.unmatched)
        .number(connection.waiting)
        .number(connection.connects)
        .text(record.client_id)
        .end();
  }
  return std::move(rows).result("SHOW CONNECTIONS");
}

}  // namespace millrace::serving
