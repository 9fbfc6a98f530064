// LIST, STRUCT, MAP, INTERVAL and TIME out of DuckDB and back into it: the same types, the text
// that DuckDB gives them, and no value changed by the way.
#include "sql/nested_vector.h"

#include <gtest/gtest.h>

#include "model/nested_value.h"
#include "sql/database.h"
#include "sql/duckdb_handles.h"

namespace millrace::sql {
namespace {

class NestedVector : public ::testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::open({});
    ASSERT_TRUE(database) << database.error().text();
    database_ = std::move(*database);
    auto connection = database_->connect();
    ASSERT_TRUE(connection) << connection.error().text();
    connection_ = std::move(*connection);
  }

  /// The rows of a SELECT as batches of our own.
  std::vector<Column> rows_of(std::string_view select, std::vector<ColumnBatch>& batches) {
    auto columns = connection_->query(select, [&](const BatchView& view) -> Status {
      std::vector<Type> types;
      for (const ColumnView& column : view.columns) types.push_back(column.type);
      for (const ColumnView& column : view.columns) {
        for (std::size_t row = 0; column.type.is_nested() && row < view.rows; ++row) {
          if (!column.valid(row)) continue;
          const auto bytes = column.as<StringRef>()[row].view();
          EXPECT_TRUE(is_nested_value(column.type, bytes)) << select;
        }
      }
      batches.emplace_back(types).append_all(view);
      return {};
    });
    EXPECT_TRUE(columns) << select << "\n" << (columns ? "" : columns.error().text());
    return columns ? std::move(*columns) : std::vector<Column>();
  }

  /// Our text of the first column of each row, and that of its cast by DuckDB, which is the second.
  void expect_casts(std::string_view what, const std::vector<ColumnBatch>& batches,
                    std::size_t rows) {
    std::size_t seen = 0;
    for (const ColumnBatch& batch : batches) {
      for (std::size_t row = 0; row < batch.rows(); ++row, ++seen) {
        ASSERT_EQ(value_text(batch.column(0).view(), row), value_text(batch.column(1).view(), row))
            << what << ", row " << seen;
      }
    }
    EXPECT_EQ(seen, rows) << what;
  }

  /// `expression` of a row number i in `rows` rows, out of DuckDB, in again by mr_source, and out.
  void go_round(std::string_view expression, std::size_t rows) {
    std::vector<ColumnBatch> first;
    // The filter makes chunks that are not full, and vectors that are not flat.
    auto columns =
        rows_of(fmt::format("SELECT v, CAST(v AS VARCHAR) AS t, typeof(v) AS y FROM (SELECT {} AS "
                            "v, i FROM range({}) AS r(i)) WHERE i % 10 <> 9",
                            expression, rows),
                first);
    if (columns.empty()) return;
    const std::size_t left = rows - rows / 10;
    expect_casts(expression, first, left);
    const std::string type = columns[0].type.sql();

    auto source = std::make_shared<RowSource>();
    source->columns = columns;
    for (const ColumnBatch& batch : first)
      source->parts.push_back({.columns = batch.views(), .rows = batch.rows()});
    const RowFunctionId id(connection_->handle().functions, source);
    std::vector<ColumnBatch> second;
    const auto back = rows_of(fmt::format("SELECT v, t, CAST(v AS VARCHAR) IS NOT DISTINCT FROM t "
                                          "FROM mr_source({})",
                                          id.id()),
                              second);
    ASSERT_EQ(back.size(), 3u);
    EXPECT_EQ(back[0].type.sql(), type);
    expect_casts(expression, second, left);
    for (const ColumnBatch& batch : second) {
      for (std::size_t row = 0; row < batch.rows(); ++row)
        ASSERT_EQ(batch.column(2).data<bool>()[row], true) << expression;
    }
  }

  std::shared_ptr<Database> database_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(NestedVector, GivesEveryLiteralTheTypeAndTheTextOfDuckDb) {
  for (const auto* literal : {
           "[1, 2, NULL]",
           "[]::INTEGER[]",
           "[[1], NULL, [NULL, 2], []]",
           "{'a': 1}",
           "{'a': NULL::INTEGER, 'b c': 'x', 'd''e': [1.5], 'F': {'g': true}}",
           "NULL::STRUCT(a INTEGER, b VARCHAR[])",
           "row(1, 'it''s', [1], row(2, NULL::DATE))",
           "map(['x'], [1])",
           "map([1, 2], [['a'], NULL])",
           "map([{'a': 1}], [{'b': 'x y'}])",
           "MAP {}::MAP(VARCHAR, BIGINT)",
           "INTERVAL 3 DAY",
           "INTERVAL '-14 months 3 days -04:05:06.789'",
           "[INTERVAL '1 month', INTERVAL 0 DAY]",
           "TIME '01:02:03.5'",
           "[TIME '24:00:00', TIME '00:00:00']",
           "[true, false, NULL]",
           "[1::TINYINT, (-128)::TINYINT]",
           "[1::USMALLINT, NULL]",
           "[170141183460469231731687303715884105727::HUGEINT]",
           "[18446744073709551615::UBIGINT]",
           "[1.5::FLOAT, 'nan'::FLOAT]",
           "['-inf'::DOUBLE, 0.1]",
           "[1.50::DECIMAL(4,2)]",
           "[1.5::DECIMAL(38,10)]",
           "[DATE '2001-02-03']",
           "[TIMESTAMP '2001-02-03 04:05:06.789']",
           "[TIMESTAMPTZ '2001-02-03 04:05:06+01']",
           "['00000000-0000-0000-0000-000000000001'::UUID]",
           "['\\x00a'::BLOB, 'abc'::BLOB, '\\xFFq'::BLOB]",
           "['{\"a\":1}'::JSON, 'null'::JSON, NULL]",
           "{'j': '{\"a\":1}'::JSON}",
           "map(['{\"a\":1}'::JSON], ['[1, 2]'::JSON])",
           "['a', 'b c', 'it''s', '', 'NULL', 'null', NULL, 'a,b', '[x]', '{', 'x=1', 'a:b', ' a', "
           "'a ', '\\', '\"', 'a''b\"c', 'é', '(', 'a\nb', 'a\\b=', 'a text longer than twelve']",
       }) {
    std::vector<ColumnBatch> batches;
    const auto columns = rows_of(
        fmt::format("SELECT v, CAST(v AS VARCHAR), typeof(v) FROM (SELECT {} AS v)", literal),
        batches);
    if (columns.empty()) continue;
    expect_casts(literal, batches, 1);
    const auto type = Type::parse(*value_text(batches[0].column(2).view(), 0));
    ASSERT_TRUE(type) << literal;
    EXPECT_EQ(columns[0].type, *type) << literal;
    go_round(literal, 1);
  }
}

TEST_F(NestedVector, KeepsValuesThroughChunksNullsAndVectorsThatAreNotFlat) {
  constexpr std::size_t kRows = 5000;
  for (const auto* expression : {
           "i",
           "INTERVAL (i) MINUTE",
           "CASE WHEN i % 3 <> 0 THEN TIME '00:00:00' + INTERVAL (i) SECOND END",
           "list_transform(range(i % 7), x -> CASE WHEN x % 3 = 1 THEN NULL ELSE x + i END)",
           "CASE WHEN i % 5 <> 0 THEN ['a text that is long: ' || i, NULL, 'x'] END",
           "{'a': i, 'b': CASE WHEN i % 2 = 0 THEN 'b' || i END, 'c': [i, NULL]}",
           "CASE WHEN i % 4 <> 0 THEN {'a': {'b': [{'c': i}, NULL]}} END",
           "map(range(i % 4), list_transform(range(i % 4), x -> CASE WHEN x = 1 THEN NULL ELSE "
           "{'v': "
           "x * i} END))",
           "[[i], NULL, [], range(i % 3)]",
           "[1, 2, NULL]",
           "{'a': 1, 'b': ['c', NULL]}",
           "map(['x', 'y'], [[1], NULL])",
           "[{'k': 'constant', 'v': i}]",
           "NULL::STRUCT(a INTEGER[], b STRUCT(c MAP(VARCHAR, INTEGER)))",
           "{'n': NULL::STRUCT(a INTEGER[]), 'i': i}",
           "CASE WHEN i < 4000 THEN [1, 2] ELSE [i] END",
           "row(i, [i], row(NULL::VARCHAR, i))",
       }) {
    go_round(expression, kRows);
  }
}

TEST_F(NestedVector, ReadsVectorsThatGroupingAndJoiningMade) {
  const std::string tables =
      "WITH t AS (SELECT i, i % 10 AS k, [i, NULL] AS l, {'s': 'text ' || i} AS s FROM range(5000) "
      "AS r(i)) ";
  for (const auto* select : {
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT k, list(s ORDER BY i) AS v FROM t GROUP BY "
           "k)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT histogram(k) AS v FROM t GROUP BY k)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT a.l AS v FROM t a JOIN t b ON a.i = b.k)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT {'a': a.l, 'b': b.s} AS v FROM t a JOIN t b "
           "ON a.i = b.k)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT unnest([l, NULL, [7]]) AS v FROM t)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT s AS v FROM t ORDER BY i DESC LIMIT 3000)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT list(l) OVER (PARTITION BY k ORDER BY i ROWS "
           "2 "
           "PRECEDING) AS v FROM t)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT list_slice(l, 1, 1) AS v FROM t)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT map_from_entries([(k, s)]) AS v FROM t)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT str_split('a b c', ' ') AS v FROM t)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT list_value(s, s) AS v FROM t WHERE k = 3)",
           "SELECT v, CAST(v AS VARCHAR) FROM (SELECT arg_max(s, i, 2) AS v FROM t GROUP BY k)",
       }) {
    std::vector<ColumnBatch> batches;
    if (rows_of(tables + select, batches).empty()) continue;
    std::size_t rows = 0;
    for (const ColumnBatch& batch : batches) rows += batch.rows();
    EXPECT_GT(rows, 0u);
    expect_casts(select, batches, rows);
  }
}

TEST_F(NestedVector, TakesForeignTypesInsideAsTheNearestOfOurs) {
  struct Case {
    std::string_view expression;
    std::string_view type;
    std::string_view text;
  };
  for (const auto& [expression, type, text] : std::initializer_list<Case>{
           {"[1, NULL]::INTEGER[2]", "INTEGER[]", "[1, NULL]"},
           {"[[1, 2]::INTEGER[2], NULL]", "INTEGER[][]", "[[1, 2], NULL]"},
           {"['a'::ENUM('a', 'b')]", "VARCHAR[]", "[a]"},
           {"{'e': 'a'::ENUM('a', 'b'), 'i': 1, 'select': [1::UHUGEINT]}",
            "STRUCT(e VARCHAR, i INTEGER, \"select\" VARCHAR[])",
            "{'e': a, 'i': 1, 'select': [1]}"},
           {"map(['a'::ENUM('a', 'b')], [TIMESTAMP_S '2001-02-03 04:05:06'])",
            "MAP(VARCHAR, VARCHAR)", "{a='2001-02-03 04:05:06'}"},
           {"row(1, 'a'::ENUM('a', 'b'))", "VARCHAR", "(1, a)"},
           {"'a'::ENUM('a', 'b')", "VARCHAR", "a"},
           {"[]", "INTEGER[]", "[]"},
           {"{'a': NULL}", "STRUCT(a INTEGER)", "{'a': NULL}"},
           {"[NULL]", "INTEGER[]", "[NULL]"},
       }) {
    std::vector<ColumnBatch> batches;
    const auto columns = rows_of(fmt::format("SELECT {} AS v", expression), batches);
    ASSERT_EQ(columns.size(), 1u) << expression;
    EXPECT_EQ(columns[0].type.sql(), type);
    EXPECT_EQ(value_text(batches[0].column(0).view(), 0), text);
    const auto described = connection_->describe(fmt::format("SELECT {} AS v", expression));
    ASSERT_TRUE(described);
    EXPECT_EQ((*described)[0].type.sql(), type);
  }
}

TEST_F(NestedVector, TakesATypeThatIsTooDeepAsText) {
  std::string deep = "1";
  for (std::size_t i = 0; i <= kTypeDepthMax; ++i) deep = "[" + deep + "]";
  std::vector<ColumnBatch> batches;
  const auto columns = rows_of("SELECT " + deep, batches);
  ASSERT_EQ(columns.size(), 1u);
  EXPECT_EQ(value_text(batches[0].column(0).view(), 0), deep);
}

TEST_F(NestedVector, GivesBrokenBytesToDuckDbWithoutHarm) {
  const Type type = *Type::parse("STRUCT(a VARCHAR[], b MAP(INTEGER, BOOLEAN))");
  std::vector<ColumnBatch> made;
  rows_of("SELECT {'a': ['text', NULL], 'b': map([1], [true])}", made);
  const std::string good(made.at(0).column(0).data<StringRef>()[0].view());
  auto source = std::make_shared<RowSource>();
  source->columns = {{"v", type}};
  ColumnBatch broken(std::vector<Type>{type});
  for (std::size_t i = 0; i < good.size(); ++i) {
    broken.column(0).push_string(std::string_view(good).substr(0, i), broken.arena());
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 0x05);
    broken.column(0).push_string(changed, broken.arena());
  }
  source->parts.push_back({.columns = broken.views(), .rows = broken.rows()});
  const RowFunctionId id(connection_->handle().functions, source);
  std::vector<ColumnBatch> batches;
  rows_of(fmt::format("SELECT v.a, v.b FROM mr_source({})", id.id()), batches);
  ASSERT_EQ(batches.at(0).rows(), broken.rows());
  for (std::size_t row = 0; row < broken.rows(); ++row) {
    const auto bytes = broken.column(0).data<StringRef>()[row].view();
    EXPECT_EQ(batches[0].column(0).valid(row), is_nested_value(type, bytes)) << row;
  }
}

}  // namespace
}  // namespace millrace::sql
