#include "sql/access_statement.h"

#include "sql/duration.h"

namespace millrace::sql {

namespace {
constexpr std::string_view kGrantForm =
    "GRANT PUBLISH|SUBSCRIBE|SELECT ON name|TOPIC 'filter'|ALL TO user, or GRANT ADMIN TO user";
constexpr std::size_t kTopicBytesMax = 1024;
}  // namespace

Result<std::string> AccessParser::user_name() {
  if (!here_kind(TokenKind::kWord) && !here_kind(TokenKind::kQuotedIdentifier))
    return expected("the name of a user");
  std::string name = unquoted(here());
  if (auto good = check_object_name(name); !good)
    return std::unexpected(std::move(good).error().at(place()));
  ++at_;
  return lower_name(name);
}

Result<Statement> AccessParser::user(bool alter) {
  CreateUser statement;
  statement.alter = alter;
  if (!alter) {
    MR_TRY(statement.if_not_exists, if_not_exists());
  }
  MR_TRY(statement.name, user_name());
  static_cast<void>(take_word("WITH"));
  if (at_end() && !alter) return statement;
  if (!take_word("PASSWORD")) return expected("WITH PASSWORD '...'");
  // What stands here is a secret, wherever its quotes are.
  if (!here_kind(TokenKind::kString) || here().front() != '\'')
    return syntax_error("the password must stand behind PASSWORD in single quotes");
  statement.password = unquoted(here());
  ++at_;
  if (!at_end()) return syntax_error("the statement must end behind the password");
  return statement;
}

Result<Statement> AccessParser::create_token() {
  CreateToken statement;
  MR_TRY(statement.name, user_name());
  if (!take_word("FOR")) return expected("FOR", "CREATE TOKEN name FOR user [VALID FOR '30 days']");
  MR_TRY(statement.user, user_name());
  if (take_word("VALID")) {
    if (!take_word("FOR")) return expected("FOR", "VALID FOR '30 days'");
    if (!here_kind(TokenKind::kString)) return expected("a length of time, as '30 days',");
    auto parsed = parse_duration(unquoted(here()));
    if (!parsed) return std::unexpected(std::move(parsed).error().at(place()));
    statement.valid_us = *parsed;
    ++at_;
  }
  MR_RETURN_IF_ERROR(expect_end());
  return statement;
}

Result<Statement> AccessParser::drop_user() {
  DropUser statement;
  if (take_word("IF")) {
    if (!take_word("EXISTS")) return expected("EXISTS");
    statement.if_exists = true;
  }
  MR_TRY(statement.name, user_name());
  MR_RETURN_IF_ERROR(expect_end());
  return statement;
}

Result<Statement> AccessParser::drop_token() {
  DropToken statement;
  MR_TRY(statement.name, user_name());
  if (!take_word("FOR")) return expected("FOR", "DROP TOKEN name FOR user");
  MR_TRY(statement.user, user_name());
  MR_RETURN_IF_ERROR(expect_end());
  return statement;
}

Status AccessParser::targets(GrantStatement& statement, const std::vector<Privilege>& privileges) {
  const auto add = [&](GrantTarget target, const std::string& object) {
    for (const auto privilege : privileges) statement.grants.push_back({privilege, target, object});
  };
  do {
    if (take_word("ALL")) {
      add(GrantTarget::kAll, {});
      continue;
    }
    if (take_word("TOPIC")) {
      if (!here_kind(TokenKind::kString) || here().front() != '\'')
        return expected("a topic filter in quotes");
      const std::string filter = unquoted(here());
      if (filter.empty() || filter.size() > kTopicBytesMax) {
        return syntax_error(fmt::format("a topic filter has 1 to {} bytes, this one {}",
                                        kTopicBytesMax, filter.size()));
      }
      for (const auto privilege : privileges) {
        if (privilege == Privilege::kSelect)
          return syntax_error("topics are published and subscribed to, not selected from");
      }
      ++at_;
      add(GrantTarget::kTopic, filter);
      continue;
    }
    // The kind may be said, and says nothing: names are of one space.
    if (take_word("MATERIALIZED")) {
      if (!take_word("VIEW")) return expected("VIEW");
    } else if (is_word("STREAM") || is_word("VIEW") || is_word("TABLE")) {
      ++at_;
    }
    MR_TRY(const std::string name, object_name(/*made=*/false));
    add(GrantTarget::kRelation, lower_name(name));
  } while (take_symbol(','));
  return {};
}

Result<Statement> AccessParser::grant(bool revoke) {
  GrantStatement statement;
  statement.revoke = revoke;
  std::vector<Privilege> privileges;
  do {
    const auto privilege = parse_privilege(here());
    if (!here_kind(TokenKind::kWord) || !privilege)
      return expected("PUBLISH, SUBSCRIBE, SELECT or ADMIN", std::string(kGrantForm));
    privileges.push_back(*privilege);
    ++at_;
  } while (take_symbol(','));
  const bool admin = std::ranges::find(privileges, Privilege::kAdmin) != privileges.end();
  if (admin && privileges.size() > 1)
    return syntax_error("ADMIN includes all other privileges: grant it alone");
  if (admin && is_word("ON"))
    return expected(revoke ? "FROM" : "TO", "ADMIN is of everything: GRANT ADMIN TO user");
  if (admin) {
    statement.grants.push_back({Privilege::kAdmin, GrantTarget::kAll, {}});
  } else {
    if (!take_word("ON")) return expected("ON", std::string(kGrantForm));
    MR_RETURN_IF_ERROR(targets(statement, privileges));
  }
  if (!take_word(revoke ? "FROM" : "TO"))
    return expected(revoke ? "FROM" : "TO", std::string(kGrantForm));
  MR_TRY(statement.user, user_name());
  MR_RETURN_IF_ERROR(expect_end());
  return statement;
}

}  // namespace millrace::sql
