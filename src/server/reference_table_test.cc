// Reference tables: made, changed by statements, read by SELECTs, kept over a restart; and what is
// refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "server/node_fixture_test.h"

namespace millrace::server {
namespace {

using testing::HasSubstr;

class ReferenceTableTest : public NodeTest {
 protected:
  std::string rows(std::string_view text) {
    const auto result = sql(text);
    std::string out;
    for (const auto& batch : result.batches) out += text_of(*batch);
    return out;
  }
  Error error_of(std::string_view text) {
    const auto result = node_->statements().run(text);
    EXPECT_FALSE(result) << text;
    return result ? Error{} : result.error();
  }
  void write(const std::filesystem::path& path, std::string_view text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "data" / "tables"))
      count += entry.is_regular_file() ? 1 : 0;
    return count;
  }
};

TEST_F(ReferenceTableTest, IsChangedByStatementsAndKeptOverARestart) {
  open();
  sql("CREATE TABLE city (code VARCHAR PRIMARY KEY, name VARCHAR, people HUGEINT, area "
      "DECIMAL(9,2))");
  EXPECT_EQ(rows("SELECT * FROM city"), "");
  EXPECT_EQ(rows("INSERT INTO city VALUES ('SFO', 'San Francisco, California', 873965, 121.4), "
                 "('LIM', 'Lima', 10092000, NULL)"),
            "2|\n");
  EXPECT_EQ(rows("INSERT INTO city (name, code) SELECT 'x' || i, 'c' || i FROM range(3) r(i)"),
            "3|\n");
  EXPECT_EQ(rows("SELECT * FROM city ORDER BY code"),
            "LIM|Lima|10092000|NULL|\nSFO|San Francisco, California|873965|121.40|\n"
            "c0|x0|NULL|NULL|\nc1|x1|NULL|NULL|\nc2|x2|NULL|NULL|\n");
  EXPECT_EQ(
      rows("UPDATE City SET people = people + 1, NAME = upper(name) /* , */ WHERE area > 100"),
      "1|\n");
  EXPECT_EQ(rows("UPDATE city SET area = (SELECT max(area) FROM city) -- all\n"), "5|\n");
  EXPECT_EQ(rows("DELETE FROM city WHERE people IS NULL AND code <> 'c1'"), "2|\n");
  EXPECT_EQ(rows("DELETE FROM city WHERE name = NULL"), "0|\n") << "NULL is not TRUE";
  EXPECT_EQ(rows("INSERT OR REPLACE INTO city VALUES ('c1', 'one', 1, 1), ('c9', 'nine', 9, 9)"),
            "2|\n");
  const std::string content =
      "LIM|Lima|10092000|121.40|\nSFO|SAN FRANCISCO, CALIFORNIA|873966|121.40|\n"
      "c1|one|1|1.00|\nc9|nine|9|9.00|\n";
  EXPECT_EQ(rows("SELECT * FROM city ORDER BY code"), content);
  EXPECT_EQ(files(), 1U) << "older contents go";
  open();
  EXPECT_EQ(rows("SELECT * FROM city ORDER BY code"), content);
  EXPECT_EQ(rows("DESCRIBE city"),
            "code|VARCHAR|key|\nname|VARCHAR||\npeople|HUGEINT||\narea|DECIMAL(9,2)||\n");
  sql("CREATE VIEW big AS SELECT name FROM city WHERE people > 1000000");
  EXPECT_EQ(rows("SELECT * FROM big"), "Lima|\n");
  EXPECT_THAT(rows("SHOW TABLES"), HasSubstr("city|4|7|"));
  EXPECT_THAT(rows("SHOW TABLES"), HasSubstr("|big|CREATE TABLE city"));
  EXPECT_THAT(error_of("DROP TABLE city").message, HasSubstr("big"));
  sql("DROP VIEW big");
  sql("DROP TABLE city");
  EXPECT_EQ(files(), 0U);
  EXPECT_EQ(error_of("SELECT * FROM city").code, ErrorCode::kNotFound);
  sql("CREATE TABLE city AS SELECT 1 AS a");
  open();
  EXPECT_EQ(rows("SELECT * FROM city"), "1|\n");
}

TEST_F(ReferenceTableTest, IsMadeFromAFileThatTheOperatorPutThere) {
  open();
  const auto import = folder_ / "data" / "import";
  write(import / "a" / "city.csv", "code,name,people\n007,\"Lima, Peru\",5\n010,Rome,\n");
  sql("CREATE TABLE guessed FROM 'a/city.csv'");
  EXPECT_EQ(rows("SELECT * FROM guessed"), "007|Lima, Peru|5|\n010|Rome|NULL|\n");
  EXPECT_EQ(rows("SELECT sum(people) FROM guessed"), "5|\n") << "numbers are guessed";
  sql("CREATE TABLE given (name VARCHAR, code VARCHAR PRIMARY KEY) FROM 'a/city.csv'");
  EXPECT_EQ(rows("SELECT * FROM given"), "Lima, Peru|007|\nRome|010|\n");
  write(import / "city.jsonl", "{\"code\":\"011\",\"name\":\"Oslo\"}\n");
  sql("CREATE OR REPLACE TABLE given FROM 'city.jsonl'");
  EXPECT_EQ(rows("SELECT * FROM given"), "Oslo|011|\n");
  write(folder_ / "outside" / "city.csv", "code\n1\n");
  const auto outside = (folder_ / "outside" / "city.csv").string();
  EXPECT_EQ(error_of(fmt::format("CREATE TABLE o FROM '{}'", outside)).id,
            error_id::kImportNotAllowed);
  EXPECT_EQ(error_of("CREATE TABLE o FROM '../../outside/city.csv'").id,
            error_id::kImportNotAllowed);
  std::filesystem::create_symlink(folder_ / "outside", import / "link");
  EXPECT_EQ(error_of("CREATE TABLE o FROM 'link/city.csv'").id, error_id::kImportNotAllowed);
  // A pipeline file of the operator may read what the operator may.
  ASSERT_TRUE(node_->statements().run("CREATE TABLE o FROM 'city.csv'", folder_ / "outside"));
  EXPECT_EQ(rows("SELECT * FROM o"), "1|\n");
  EXPECT_THAT(error_of("CREATE TABLE p FROM 'none.csv'").message, HasSubstr("none.csv"));
  EXPECT_THAT(error_of("CREATE TABLE p FROM 'a'").hint, HasSubstr(".parquet"));
  write(import / "bad.parquet", "this is none");
  EXPECT_EQ(error_of("CREATE TABLE p FROM 'bad.parquet'").code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error_of("CREATE TABLE p (nope VARCHAR) FROM 'a/city.csv'").message,
              HasSubstr("nope"));
}

TEST_F(ReferenceTableTest, RefusesWhatItCannotKeepAndStaysAsItWas) {
  config_.sql_table_bytes_max = 64 << 10;
  open();
  sql("CREATE TABLE t (a BIGINT PRIMARY KEY, b VARCHAR)");
  sql("INSERT INTO t VALUES (1, 'x'), (2, 'y')");
  EXPECT_EQ(error_of("INSERT INTO t VALUES (3, 'z'), (2, 'y')").id, error_id::kPrimaryKey);
  EXPECT_EQ(error_of("INSERT INTO t (b) VALUES ('z')").id, error_id::kPrimaryKey);
  EXPECT_EQ(error_of("UPDATE t SET a = 7").id, error_id::kPrimaryKey);
  EXPECT_THAT(error_of("INSERT INTO t VALUES (3)").message, HasSubstr("1 columns, and 2"));
  EXPECT_THAT(error_of("INSERT INTO t VALUES (3, 'z', 4)").message, HasSubstr("3 columns, and 2"));
  EXPECT_EQ(error_of("INSERT INTO t VALUES ('three', 'z')").code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error_of("UPDATE t SET c = 1").hint, HasSubstr("a, b"));
  EXPECT_EQ(error_of("UPDATE t SET b = nope").id, error_id::kColumnNotFound);
  EXPECT_EQ(error_of("UPDATE t SET b = getenv('HOME')").code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(error_of("DELETE FROM t WHERE b = (SELECT content FROM read_text('/etc/passwd'))").code,
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(error_of("INSERT INTO t SELECT i, repeat('x', 100) FROM range(10, 10000) r(i)").id,
            error_id::kTableTooLarge);
  EXPECT_EQ(error_of("CREATE TABLE t (a BIGINT)").code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(error_of("CREATE VIEW t AS SELECT 1 AS a").code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(error_of("CREATE STREAM t (a BIGINT)").code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(error_of("CREATE OR REPLACE TABLE t (a BIGINT)").message, HasSubstr("other columns"));
  EXPECT_EQ(error_of("CREATE TABLE u AS SELECT 1 AS a, 2 AS A").id, error_id::kBadName);
  sql("CREATE STREAM s (a BIGINT)");
  EXPECT_THAT(error_of("DELETE FROM s").hint, HasSubstr("is a stream"));
  EXPECT_EQ(error_of("DELETE FROM nope").id, error_id::kTableNotFound);
  EXPECT_EQ(rows("SELECT * FROM t ORDER BY a"), "1|x|\n2|y|\n");
  EXPECT_EQ(files(), 1U);
}

TEST_F(ReferenceTableTest, ADamagedFileIsNamed) {
  open();
  sql("CREATE TABLE t AS SELECT 42 AS a");
  node_.reset();
  const auto path = folder_ / "data" / "tables" / "table-1-1.parquet";
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(20).put('!');
  open();
  const auto error = error_of("SELECT * FROM t");
  EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  EXPECT_THAT(error.message, HasSubstr("table-1-1.parquet"));
}

}  // namespace
}  // namespace millrace::server
