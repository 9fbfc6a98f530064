#include "serving/sql_session.h"

#include <utility>

namespace millrace::serving {

SqlSession::SqlSession(StatementRunner& runner, access::Principal who)
    : runner_(runner), who_(std::move(who)) {}

SqlSession::~SqlSession() = default;

Result<std::shared_ptr<const PreparedStatement>> SqlSession::prepare(
    std::string_view text, std::span<const std::optional<Type>>) {
  auto out = std::make_shared<PreparedStatement>();
  out->text = text;
  return out;
}

Result<StatementResult> SqlSession::execute(const PreparedStatement& statement,
                                            std::span<const std::optional<std::string>>) {
  return runner_.run_as(who_, statement.text);
}

void SqlSession::cancel() {}

}  // namespace millrace::serving
