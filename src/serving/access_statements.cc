// Who may run which statement, and the statements about users, tokens and grants.
#include "model/value_text.h"
#include "serving/statement_rows.h"
#include "serving/statement_runner.h"

namespace millrace::serving {

bool StatementRunner::is_visible(const access::Principal& who, std::string_view name) const {
  return access_.allowed(who, Privilege::kSelect, name) ||
         access_.allowed(who, Privilege::kSubscribe, name) ||
         access_.allowed(who, Privilege::kPublish, name);
}

Status StatementRunner::check_known(const access::Principal& who) const {
  if (access_.is_known(who)) return {};
  return fail(ErrorCode::kUnauthenticated, error_id::kNotAuthenticated, "{} may run no statement",
              who.text());
}

Error StatementRunner::told(const access::Principal& who, Error error) const {
  if (error.code != ErrorCode::kNotFound || access_.is_admin(who)) return error;
  return std::move(error).with_hint("it may be there, and you may not read it");
}

Status StatementRunner::check_allowed(const access::Principal& who,
                                      const sql::Statement& statement) const {
  MR_RETURN_IF_ERROR(check_known(who));
  // What a SELECT names is checked where its names are resolved, what SHOW gives row by row.
  if (std::holds_alternative<sql::Select>(statement) ||
      std::holds_alternative<sql::Show>(statement)) {
    return {};
  }
  if (const auto* const describe = std::get_if<sql::Describe>(&statement)) {
    return is_visible(who, describe->name)
               ? Status()
               : access_.require(who, Privilege::kSelect, describe->name);
  }
  if (const auto* const insert = std::get_if<sql::Insert>(&statement)) {
    // The same answer whether there is such a stream or not.
    MR_RETURN_IF_ERROR(access_.require(who, Privilege::kPublish, insert->table));
    if (catalog_.find_stream(insert->table)) return {};
  }
  return access_.require_admin(who, "change what exists");
}

Status StatementRunner::check_materialized(const access::Principal& who,
                                           std::string_view name) const {
  MR_RETURN_IF_ERROR(check_known(who));
  MR_RETURN_IF_ERROR(access_.require(who, Privilege::kSelect, name));
  const auto view = catalog_.find_view(name);
  if (view && view->materialized) return {};
  return fail(ErrorCode::kNotFound, error_id::kViewNotFound, "there is no materialized view {}",
              name);
}

Result<StatementResult> StatementRunner::create_user(const sql::CreateUser& statement) {
  if (statement.alter) {
    MR_RETURN_IF_ERROR(access_.set_password(statement.name, *statement.password));
    return done("ALTER USER");
  }
  const auto created = access_.create_user(statement.name, statement.password);
  const bool passed_over =
      !created && statement.if_not_exists && created.error().code == ErrorCode::kAlreadyExists;
  if (!created && !passed_over) return std::unexpected(created.error());
  return done("CREATE USER");
}

Result<StatementResult> StatementRunner::drop_user(const sql::DropUser& statement) {
  const auto dropped = access_.drop_user(statement.name);
  const bool passed_over =
      !dropped && statement.if_exists && dropped.error().code == ErrorCode::kNotFound;
  if (!dropped && !passed_over) return std::unexpected(dropped.error());
  return done("DROP USER");
}

Result<StatementResult> StatementRunner::create_token(const sql::CreateToken& statement) {
  MR_TRY(const auto secret,
         access_.create_token(statement.user, statement.name, statement.valid_us));
  Rows rows({{"token", kText}});
  rows.text(secret).end();
  return std::move(rows).result("CREATE TOKEN");
}

Result<StatementResult> StatementRunner::drop_token(const sql::DropToken& statement) {
  MR_RETURN_IF_ERROR(access_.drop_token(statement.user, statement.name));
  return done("DROP TOKEN");
}

Result<StatementResult> StatementRunner::change_grants(const sql::GrantStatement& statement) {
  if (statement.revoke) {
    MR_RETURN_IF_ERROR(access_.revoke(statement.user, statement.grants));
    return done("REVOKE");
  }
  MR_RETURN_IF_ERROR(access_.grant(statement.user, statement.grants));
  return done("GRANT");
}

Result<StatementResult> StatementRunner::show_users(const access::Principal& who,
                                                    sql::ObjectKind kind) {
  const bool admin = access_.is_admin(who);
  const bool users = kind == sql::ObjectKind::kUser;
  Rows rows(users ? std::vector<Column>{{"name", kText},
                                        {"password", kText},
                                        {"tokens", kText},
                                        {"created", kText}}
                  : std::vector<Column>{{"user", kText}, {"grant", kText}});
  for (const auto& user : access_.users()) {
    if (!admin && !who.is_user(user.name)) continue;
    if (users) {
      std::vector<std::string> tokens;
      for (const auto& token : user.tokens) {
        tokens.push_back(token.expires_us ? fmt::format("{} until {}", token.name,
                                                        timestamp_text(*token.expires_us, true))
                                          : token.name);
      }
      rows.text(user.name).text(user.verifier.empty() ? "no" : "yes");
      tokens.empty() ? rows.null() : rows.text(fmt::format("{}", fmt::join(tokens, ", ")));
      rows.text(timestamp_text(user.created_us, true)).end();
      continue;
    }
    for (const auto& grant : user.grants) rows.text(user.name).text(grant.text()).end();
  }
  return std::move(rows).result(users ? "SHOW USERS" : "SHOW GRANTS");
}

}  // namespace millrace::serving
