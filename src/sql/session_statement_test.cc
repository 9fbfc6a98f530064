#include "sql/session_statement.h"

#include <gtest/gtest.h>

namespace millrace::sql {
namespace {

template <class T>
T read(std::string_view text) {
  auto statement = parse_session_statement(text);
  EXPECT_TRUE(statement) << text << ": " << statement.error().text();
  if (!statement || !*statement || !std::holds_alternative<T>(**statement)) {
    ADD_FAILURE() << text << " is another statement";
    return {};
  }
  return std::get<T>(**statement);
}

TEST(SessionStatement, TransactionsAsDriversWriteThem) {
  EXPECT_EQ(read<BeginTransaction>("BEGIN").read_only, std::nullopt);
  EXPECT_EQ(read<BeginTransaction>("begin isolation level serializable read only;").read_only,
            true);
  EXPECT_EQ(read<BeginTransaction>("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE")
                .read_only,
            false);
  EXPECT_TRUE(read<EndTransaction>("COMMIT").commit);
  EXPECT_TRUE(read<EndTransaction>("COMMIT AND CHAIN").chain);
  EXPECT_FALSE(read<EndTransaction>("ROLLBACK AND NO CHAIN").commit);
  EXPECT_EQ(read<SavepointStatement>("ROLLBACK TO SAVEPOINT \"sa Point\"").name, "sa Point");
  EXPECT_EQ(read<SavepointStatement>("RELEASE SAVEPOINT A").name, "a");
  EXPECT_TRUE(read<SetTransaction>("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").session);
  EXPECT_FALSE(parse_session_statement("BEGIN READ NOTHING"));
  EXPECT_FALSE(parse_session_statement("COMMIT; DROP STREAM s"));
}

TEST(SessionStatement, SettingsAsDriversWriteThem) {
  EXPECT_EQ(read<SetSetting>("SET extra_float_digits = 3").value, "3");
  EXPECT_EQ(read<SetSetting>("SET application_name TO 'it''s'").value, "it's");
  EXPECT_EQ(read<SetSetting>("SET search_path = a, \"B\"").value, "a, B");
  EXPECT_EQ(read<SetSetting>("SET x.y = -5").name, "x.y");
  EXPECT_EQ(read<SetSetting>("SET NAMES 'UTF8'").name, "client_encoding");
  EXPECT_TRUE(read<SetSetting>("SET LOCAL a TO on").local);
  EXPECT_EQ(read<SetSetting>("RESET datestyle").value, std::nullopt);
  EXPECT_EQ(read<ShowSetting>("SHOW TRANSACTION ISOLATION LEVEL").name, "transaction_isolation");
  EXPECT_FALSE(parse_session_statement("SHOW STREAMS")->has_value());
  EXPECT_FALSE(parse_session_statement("SELECT 1")->has_value());
  EXPECT_FALSE(parse_session_statement("SET ROLE admin"));
}

TEST(SessionStatement, RefreshAsToolsWriteIt) {
  EXPECT_EQ(read<RefreshView>("refresh materialized view \"millrace\".\"public\".\"v\"").name, "v");
  EXPECT_EQ(read<RefreshView>("REFRESH MATERIALIZED VIEW CONCURRENTLY v WITH DATA;").name, "v");
  EXPECT_FALSE(parse_session_statement("REFRESH MATERIALIZED VIEW v WITH NO DATA"));
  EXPECT_EQ(read<NothingToDo>("drop index if exists \"public\".\"v_pkey\" cascade").command,
            "DROP INDEX");
  EXPECT_FALSE(parse_session_statement("DROP INDEX v_pkey"));
  EXPECT_FALSE(parse_session_statement("DROP VIEW v")->has_value());
}

TEST(SessionStatement, CopyAndItsOptions) {
  auto copy = read<Copy>("COPY s (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';')");
  EXPECT_TRUE(copy.in && copy.header);
  EXPECT_EQ(copy.format, Copy::Format::kCsv);
  EXPECT_EQ(copy.delimiter, ";");
  EXPECT_EQ(copy.columns, (std::vector<std::string>{"a", "b"}));
  copy = read<Copy>("copy (select ')' from v where (a) = 1) to stdout csv header null as 'x'");
  EXPECT_EQ(copy.query, "select ')' from v where (a) = 1");
  EXPECT_EQ(copy.null, "x");
  EXPECT_EQ(read<Copy>("COPY s TO STDOUT DELIMITER E'\\t'").delimiter, "\t");
  EXPECT_FALSE(parse_session_statement("COPY s FROM PROGRAM 'id'"));
  EXPECT_FALSE(parse_session_statement("COPY s TO '/tmp/x'"));
}

TEST(SessionStatement, SubscribeAndItsOptions) {
  const auto all = read<Subscribe>("SUBSCRIBE TO v");
  EXPECT_EQ(all.text, "SELECT * FROM v");
  EXPECT_TRUE(all.snapshot);
  EXPECT_EQ(all.position, "");
  // Places in the SELECT are those in the statement.
  EXPECT_EQ(read<Subscribe>("SUBSCRIBE TO\n /* é */ SELECT 'é' FROM v").text,
            "            \n         SELECT 'é' FROM v");
  EXPECT_EQ(read<Subscribe>("subscribe (SELECT 1 FROM v)").text, "           SELECT 1 FROM v");
  const auto with = read<Subscribe>(
      "SUBSCRIBE TO SELECT a FROM v WHERE b IN (1) WITH (snapshot = false, POSITION = '1.2');");
  EXPECT_EQ(with.text, "             SELECT a FROM v WHERE b IN (1)");
  EXPECT_FALSE(with.snapshot);
  EXPECT_EQ(with.position, "1.2");
  for (const auto* wrong :
       {"SUBSCRIBE", "SUBSCRIBE TO", "SUBSCRIBE TO v WITH (", "SUBSCRIBE TO v WITH (snapshot)",
        "SUBSCRIBE TO v WITH (position = 1)", "SUBSCRIBE TO v WITH (snapshot = true) x"}) {
    EXPECT_FALSE(parse_session_statement(wrong)) << wrong;
  }
}

TEST(SessionStatement, CursorsAndPreparedStatements) {
  const auto fetch = read<FetchStatement>("FETCH BACKWARD 10 FROM c");
  EXPECT_EQ(fetch.from, FetchStatement::From::kBackward);
  EXPECT_EQ(fetch.count, 10);
  EXPECT_TRUE(read<FetchStatement>("FETCH FORWARD ALL FROM \"c 1\"").all);
  EXPECT_TRUE(read<FetchStatement>("MOVE RELATIVE -3 IN c").move);
  EXPECT_TRUE(read<DeclareCursor>("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1").hold);
  EXPECT_EQ(read<PrepareStatement>("PREPARE p(int, unknown) AS SELECT $1").parameters.size(), 2U);
  const auto execute = read<ExecuteStatement>("EXECUTE p('a', NULL, -1.5, true, $$x'y$$)");
  EXPECT_EQ(execute.values,
            (std::vector<std::optional<std::string>>{"a", std::nullopt, "-1.5", "true", "x'y"}));
  EXPECT_FALSE(parse_session_statement("EXECUTE p(a || b)"));
}

}  // namespace
}  // namespace millrace::sql
