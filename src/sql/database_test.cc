#include "sql/database.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace millrace::sql {
namespace {

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
};

Result<Table> read_table(Connection& connection, std::string_view sql) {
  Table table;
  auto columns = connection.query(sql, [&](const BatchView& view) -> Status {
    for (std::size_t row = 0; row < view.rows; ++row) {
      auto& values = table.rows.emplace_back();
      for (const auto& column : view.columns) values.push_back(value_text(column, row));
    }
    return {};
  });
  if (!columns) return std::unexpected(std::move(columns).error());
  table.columns = std::move(*columns);
  return table;
}

std::unique_ptr<Connection> open_connection(const DatabaseOptions& options = {}) {
  auto database = Database::open(options);
  EXPECT_TRUE(database) << database.error().text();
  auto connection = (*database)->connect();
  EXPECT_TRUE(connection) << connection.error().text();
  return std::move(*connection);
}

TEST(Database, GivesRowsOfEveryTypeOfTheModel) {
  auto connection = open_connection();
  auto table = read_table(
      *connection,
      "SELECT true AS a, 1::TINYINT, 2::SMALLINT, 3::INTEGER, 4::BIGINT, "
      "170141183460469231731687303715884105727::HUGEINT, 5::UTINYINT, 6::USMALLINT, 7::UINTEGER, "
      "18446744073709551615::UBIGINT, 1.5::FLOAT, -0.0::DOUBLE, 12.50::DECIMAL(9,2), "
      "1.5::DECIMAL(38,10), 'a text that is longer than twelve', 'ab'::BLOB, "
      "TIMESTAMP '2001-02-03 04:05:06.789', TIMESTAMPTZ '2001-02-03 04:05:06+01', "
      "DATE '2001-02-03', '00000000-0000-0000-0000-000000000001'::UUID, '{\"a\":1}'::JSON, "
      "NULL::BIGINT");
  ASSERT_TRUE(table) << table.error().text();
  const std::vector<std::string> types = {
      "BOOLEAN",      "TINYINT",        "SMALLINT",
      "INTEGER",      "BIGINT",         "HUGEINT",
      "UTINYINT",     "USMALLINT",      "UINTEGER",
      "UBIGINT",      "FLOAT",          "DOUBLE",
      "DECIMAL(9,2)", "DECIMAL(38,10)", "VARCHAR",
      "BLOB",         "TIMESTAMP",      "TIMESTAMP WITH TIME ZONE",
      "DATE",         "UUID",           "JSON",
      "BIGINT"};
  ASSERT_EQ(table->columns.size(), types.size());
  for (std::size_t i = 0; i < types.size(); ++i) EXPECT_EQ(table->columns[i].type.sql(), types[i]);
  EXPECT_EQ(table->columns[0].name, "a");
  const std::vector<std::optional<std::string>> expected = {
      "true",
      "1",
      "2",
      "3",
      "4",
      "170141183460469231731687303715884105727",
      "5",
      "6",
      "7",
      "18446744073709551615",
      "1.5",
      "-0.0",
      "12.50",
      "1.5000000000",
      "a text that is longer than twelve",
      "ab",
      "2001-02-03 04:05:06.789",
      "2001-02-03 03:05:06+00",
      "2001-02-03",
      "00000000-0000-0000-0000-000000000001",
      "{\"a\":1}",
      std::nullopt};
  EXPECT_EQ(table->rows.at(0), expected);
}

TEST(Database, GivesTypesThatTheModelLacksAsText) {
  auto connection = open_connection();
  const std::string items =
      "SELECT 'a'::ENUM('a', 'b') AS e, 1::UHUGEINT AS u, 7 AS n, '101'::BIT AS b, TIMETZ "
      "'01:02:03+01' AS t, 'x' AS e";
  auto table = read_table(*connection, items + "; -- a comment");
  ASSERT_FALSE(table.has_value() && table->rows.empty());
  table = read_table(*connection, items + " ORDER BY n -- a comment");
  ASSERT_TRUE(table) << table.error().text();
  const std::vector<std::optional<std::string>> expected = {"a",   "1",           "7",
                                                            "101", "01:02:03+01", "x"};
  EXPECT_EQ(table->rows.at(0), expected);
  EXPECT_EQ(table->columns[0], (Column{"e", Type{TypeKind::kVarchar}}));
  EXPECT_EQ(table->columns[2], (Column{"n", Type{TypeKind::kInteger}}));
  auto described = connection->describe("SELECT 'a'::ENUM('a', 'b') AS e, NULL AS nothing");
  ASSERT_TRUE(described) << described.error().text();
  EXPECT_EQ(described->at(0), (Column{"e", Type{TypeKind::kVarchar}}));
}

TEST(Database, KeepsTheOrderOfRowsOverManyChunks) {
  auto connection = open_connection({.threads = 2});
  std::int64_t next = 0;
  auto columns = connection->query(
      "SELECT i, [i] FROM range(50000) r(i) ORDER BY i DESC", [&](const BatchView& view) -> Status {
        EXPECT_LE(view.rows, 2048U);
        for (std::size_t row = 0; row < view.rows; ++row)
          EXPECT_EQ(view.columns[0].as<std::int64_t>()[row], 49999 - next++);
        return {};
      });
  ASSERT_TRUE(columns) << columns.error().text();
  EXPECT_EQ(next, 50000);
}

TEST(Database, TellsWhatIsWrongWithAStatement) {
  auto connection = open_connection();
  auto table = read_table(*connection, "SELECT nothing FROM nowhere");
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(table.error().id, error_id::kSqlFailed);
  EXPECT_NE(table.error().message.find("nowhere"), std::string::npos);
  EXPECT_FALSE(read_table(*connection, "SELECT CAST(x AS INTEGER) FROM (VALUES ('a')) t(x)"));
  EXPECT_FALSE(read_table(*connection, "SELECT 1; SELECT 2"));
  EXPECT_FALSE(read_table(*connection, ""));
  EXPECT_TRUE(read_table(*connection, "SELECT 1"));
}

TEST(Database, EndsAQueryWithTheErrorOfItsVisitor) {
  auto connection = open_connection();
  auto columns = connection->query("SELECT * FROM range(100000)", [](const BatchView&) -> Status {
    return fail(ErrorCode::kResourceExhausted, error_id::kSqlMemory, "enough");
  });
  ASSERT_FALSE(columns);
  EXPECT_EQ(columns.error().message, "enough");
  EXPECT_TRUE(read_table(*connection, "SELECT 1"));
}

TEST(Database, EndsAStatementThatIsInterrupted) {
  auto connection = open_connection();
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (!over) {
      connection->interrupt();
      std::this_thread::yield();
    }
  });
  auto table = read_table(
      *connection, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b");
  over = true;
  other.join();
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::kCancelled) << table.error().text();
}

TEST(Database, IsLockedDownBeforeAnyTextReachesIt) {
  const auto folder = std::filesystem::temp_directory_path() / "millrace_sql_locked";
  std::filesystem::create_directories(folder);
  for (const auto& folders : {std::vector<std::filesystem::path>{}, {folder}}) {
    auto connection = open_connection({.folders = folders});
    for (const char* sql :
         {"SET threads = 2", "SET GLOBAL memory_limit = '8GB'", "SET enable_external_access = true",
          "RESET lock_configuration", "SET TimeZone = 'Europe/Paris'", "INSTALL httpfs",
          "LOAD httpfs", "ATTACH '/tmp/millrace_sql_attached.db'",
          "COPY (SELECT 1) TO '/tmp/millrace_sql_copied.csv'",
          "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
          "SELECT * FROM '/etc/passwd'", "SELECT * FROM glob('/etc/*')",
          "SELECT * FROM mr_source(1)", "SELECT mr_sink(1, 2)", "SELECT mr_sink()"}) {
      EXPECT_FALSE(connection->execute(sql)) << sql;
    }
    auto zone = read_table(*connection, "SELECT current_setting('TimeZone')");
    ASSERT_TRUE(zone) << zone.error().text();
    EXPECT_EQ(zone->rows.at(0).at(0), "UTC");
  }
  std::filesystem::remove_all(folder);
}

TEST(Database, ReadsAndWritesInItsFoldersOnly) {
  const auto folder = std::filesystem::temp_directory_path() / "millrace_sql_folders";
  std::filesystem::create_directories(folder);
  auto connection = open_connection({.folders = {folder}});
  const std::string path = quote_literal((folder / "a.parquet").string());
  const auto written = connection->execute("COPY (SELECT 7 AS n) TO " + path + " (FORMAT parquet)");
  EXPECT_TRUE(written) << written.error().text();
  auto table = read_table(*connection, "SELECT n FROM read_parquet([" + path + "])");
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(table->rows.at(0).at(0), "7");
  EXPECT_FALSE(read_table(*connection, "SELECT * FROM read_parquet(['/tmp/b.parquet'])"));
  std::filesystem::remove_all(folder);
}

TEST(Database, SpillsOnlyWhereItMay) {
  const auto folder = std::filesystem::temp_directory_path() / "millrace_sql_spill";
  std::filesystem::create_directories(folder);
  const char* sql = "SELECT count(*) FROM (SELECT DISTINCT hash(i) FROM range(8000000) r(i))";
  auto without = open_connection({.memory_bytes_max = 64 << 20});
  auto refused = read_table(*without, sql);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, error_id::kSqlMemory) << refused.error().text();
  auto with = open_connection({.memory_bytes_max = 64 << 20, .spill_folder = folder});
  auto table = read_table(*with, sql);
  EXPECT_TRUE(table) << table.error().text();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace millrace::sql
