// What the compiler makes of a view's SELECT, and what it refuses: with the reason, a way out, and
// the place.
#include "view/compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "sql/allow_list.h"
#include "sql/syntax.h"

namespace millrace::view {
namespace {

using testing::HasSubstr;

StreamDefinition flights() {
  StreamDefinition stream;
  stream.id = StreamId(3);
  stream.name = "flights";
  stream.columns = {{"date", {TypeKind::kTimestamp}},     {"origin", {TypeKind::kVarchar}},
                    {"delay", {TypeKind::kBigInt}},       {"distance", {TypeKind::kDouble}},
                    {"fare", {TypeKind::kDecimal, 9, 2}}, {"late", {TypeKind::kBoolean}},
                    {"gate", {TypeKind::kTinyInt}},       {"Odd \"Name", {TypeKind::kInteger}},
                    {"note", {TypeKind::kJson}},          {"id", {TypeKind::kUuid}},
                    {"day", {TypeKind::kDate}},           {"big", {TypeKind::kHugeInt}},
                    {"small", {TypeKind::kFloat}}};
  return stream;
}

class Compile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto opened = sql::Database::open({});
    ASSERT_TRUE(opened) << opened.error().text();
    database_ = *opened;
  }
  static void TearDownTestSuite() { database_.reset(); }

  static Result<CompiledView> compile(std::string_view select) {
    MR_TRY(const auto tree, sql::parse_select(select));
    MR_TRY(const auto allowed,
           sql::check_select(
               tree, sql::Use::kView, [](std::string_view) { return std::string("flights"); },
               select));
    return compile_view(*database_, select, tree, flights());
  }
  /// Names and types of the SELECT by DuckDB's own DESCRIBE over a table like the stream.
  static std::vector<std::string> described(std::string_view select) {
    const auto connection = *database_->connect();
    std::string table = "CREATE TEMP TABLE flights (";
    for (const auto& column : flights().columns) {
      table += quote_identifier(column.name) + " " + column.type.sql() + ", ";
    }
    EXPECT_TRUE(connection->execute(
        table + "_partition INTEGER, _offset BIGINT, _arrival TIMESTAMP WITH TIME ZONE)"));
    std::vector<std::string> out;
    const auto columns =
        connection->query(fmt::format("DESCRIBE {}", select), [&](const BatchView& rows) -> Status {
          for (std::size_t row = 0; row < rows.rows; ++row) {
            out.push_back(value_text(rows.columns[0], row).value_or("") + " " +
                          value_text(rows.columns[1], row).value_or(""));
          }
          return {};
        });
    EXPECT_TRUE(columns) << columns.error().text();
    return out;
  }
  static std::string plan_text(const AggregatePlan& plan) {
    static constexpr const char* kNames[] = {"rows", "count", "isum", "dsum", "min", "max"};
    std::string out;
    for (const auto& key : plan.keys) out += key.sql() + " ";
    out += "|";
    for (const auto& argument : plan.arguments) out += " " + argument.sql();
    out += " |";
    for (const auto& component : plan.components) {
      out += fmt::format(" {}", kNames[static_cast<int>(component.kind)]);
      if (component.kind != ComponentKind::kCountRows)
        out += fmt::format("({})", component.arguments.front().index);
    }
    return out;
  }

  static inline std::shared_ptr<sql::Database> database_;
};

struct Accepted {
  const char* select;
  const char* stage;
  const char* plan;
};

const Accepted kAccepted[] = {
    {"SELECT origin, count(*) FROM flights GROUP BY origin", "SELECT origin FROM flights",
     "VARCHAR | | rows"},
    {"SELECT count(*) FROM flights", "SELECT CAST('t' AS BOOLEAN) FROM flights", "| | rows"},
    {"SELECT count(*), sum(delay), avg(delay) FROM flights WHERE delay > 3",
     "SELECT delay FROM flights WHERE (delay > 3)", "| BIGINT | rows isum(0) count(0)"},
    {"SELECT ORIGIN, sum(distance), avg(distance), mean(distance), count(distance) FROM flights "
     "GROUP BY origin",
     "SELECT origin, distance FROM flights", "VARCHAR | DOUBLE | dsum(0) count(0)"},
    {"SELECT origin, min(date), max(date) FROM flights GROUP BY ALL",
     "SELECT origin, date FROM flights", "VARCHAR | TIMESTAMP | min(0) max(0)"},
    {"SELECT date_trunc('hour', date) AS hour, origin, count(*) AS n FROM flights GROUP BY 2, 1",
     "SELECT origin, date_trunc('hour', date) FROM flights", "VARCHAR TIMESTAMP | | rows"},
    {"SELECT date_trunc('hour', date) AS hour, count(*) FROM flights GROUP BY HOUR",
     "SELECT date_trunc('hour', date) FROM flights", "TIMESTAMP | | rows"},
    {"SELECT delay * 2 AS twice, SUM(delay * 2) AS s, Min(delay) FROM flights GROUP BY twice",
     "SELECT (delay * 2), (delay * 2), delay FROM flights", nullptr},
    {"SELECT delay * 2 AS twice, twice + 1 AS more, count(*) FROM flights GROUP BY ALL",
     "SELECT (delay * 2), ((delay * 2) + 1) FROM flights", nullptr},
    {"SELECT delay // 10 AS tens, count(*) FROM flights WHERE tens > 2 GROUP BY tens",
     "SELECT (delay // 10) FROM flights WHERE ((delay // 10) > 2)", "BIGINT | | rows"},
    {"SELECT f.origin, sum(f.fare) FROM flights AS f GROUP BY f.origin", nullptr,
     "VARCHAR | DECIMAL(9,2) | isum(0) count(0)"},
    {"SELECT flights.origin, max(origin) FROM flights GROUP BY origin", nullptr,
     "VARCHAR | VARCHAR | max(0)"},
    {"SELECT \"odd \"\"name\" AS \"An Odd One\", count(*) FROM flights GROUP BY \"Odd \"\"Name\"",
     "SELECT \"Odd \"\"Name\" FROM flights", "INTEGER | | rows"},
    {"SELECT \"Odd \"\"Name\", count(*) FROM flights GROUP BY ALL", nullptr, "INTEGER | | rows"},
    {"SELECT sum(late), sum(gate), sum(big), sum(small), avg(small), avg(fare), avg(gate) FROM "
     "flights",
     "SELECT late, gate, big, small, fare FROM flights", nullptr},
    {"SELECT min(note), max(id), min(day), max(late), min(big), max(small), min(fare) FROM flights",
     nullptr, nullptr},
    {"SELECT origin FROM flights GROUP BY origin", "SELECT origin FROM flights",
     "VARCHAR | | rows"},
    {"SELECT count(*) AS n FROM flights GROUP BY origin, day",
     "SELECT origin, \"day\" FROM flights", "VARCHAR DATE | | rows"},
    {"SELECT count(*), count() AS n, count(1) FROM flights", "SELECT 1 FROM flights", nullptr},
    {"SELECT min(DISTINCT delay) AS a, max(DISTINCT delay) AS b FROM flights", nullptr,
     "| BIGINT | min(0) max(0)"},
    {"SELECT CASE WHEN late THEN origin END AS o, sum(CASE WHEN late THEN 1 ELSE 0 END) AS n "
     "FROM flights GROUP BY o",
     nullptr, "VARCHAR | INTEGER | isum(0) count(0)"},
    {"SELECT _partition, max(_offset) AS last, min(_arrival) AS first FROM flights GROUP BY "
     "_partition",
     "SELECT _partition, _offset, _arrival FROM flights", nullptr},
    {"SELECT _Offset // 10 AS tens, count(*) FROM flights GROUP BY _OFFSET // 10",
     "SELECT (_offset // 10) FROM flights", "BIGINT | | rows"},
    {"SELECT origin, sum(delay) FROM flights GROUP BY ALL", nullptr, nullptr},
};

TEST_F(Compile, GivesStagePlanNamesAndTypesOfWhatItAccepts) {
  for (const auto& accepted : kAccepted) {
    SCOPED_TRACE(accepted.select);
    const auto view = compile(accepted.select);
    ASSERT_TRUE(view) << view.error().text();
    if (accepted.stage != nullptr) EXPECT_THAT(view->stage_sql, HasSubstr(accepted.stage));
    if (accepted.plan != nullptr) EXPECT_EQ(plan_text(view->plan), accepted.plan);
    std::vector<std::string> outputs;
    for (const auto& output : view->outputs) {
      outputs.push_back(output.name + " " + output.type.sql());
    }
    EXPECT_EQ(outputs, described(accepted.select));
  }
}

TEST_F(Compile, GivesTheSameFingerprintToTheSameDefinitionOnly) {
  const auto fingerprint = [](std::string_view select) { return compile(select)->fingerprint; };
  const auto first = fingerprint("SELECT origin, sum(delay) AS s FROM flights GROUP BY origin");
  EXPECT_EQ(first, fingerprint("SELECT  ORIGIN, sum(DELAY) AS other FROM flights GROUP BY 1"));
  EXPECT_NE(first, fingerprint("SELECT origin, sum(gate) AS s FROM flights GROUP BY origin"));
  EXPECT_NE(first, fingerprint("SELECT origin, min(delay) AS s FROM flights GROUP BY origin"));
  EXPECT_NE(first,
            fingerprint("SELECT origin, sum(delay) AS s FROM flights WHERE late GROUP BY 1"));
}

TEST_F(Compile, TellsWhichOutputShowsAKey) {
  const auto view = compile("SELECT count(*) AS n, origin FROM flights GROUP BY day, origin");
  ASSERT_TRUE(view) << view.error().text();
  EXPECT_EQ(view->output_of_key(0), std::nullopt);
  EXPECT_EQ(view->output_of_key(1), 1U);
  EXPECT_EQ(view->find_output("ORIGIN"), 1U);
  EXPECT_EQ(view->find_output("day"), std::nullopt);
}

struct Refused {
  const char* select;
  const char* reason;
};

const Refused kRefused[] = {
    {"SELECT origin, count(*) FROM flights GROUP BY origin HAVING count(*) > 1", "HAVING"},
    {"SELECT DISTINCT origin FROM flights GROUP BY origin", "DISTINCT"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin ORDER BY origin", "order"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin LIMIT 3", "LIMIT"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin OFFSET 3", "OFFSET"},
    {"SELECT a.origin, count(*) FROM flights a JOIN flights b ON a.id = b.id GROUP BY a.origin",
     "one stream"},
    {"SELECT count(*) FROM flights, flights AS other", "one stream"},
    {"SELECT count(*) FROM (SELECT * FROM flights)", "one stream"},
    {"SELECT count(*) FROM (VALUES (1)) AS t(x)", ""},
    {"SELECT origin, count(*) FROM flights WHERE delay > (SELECT 1) GROUP BY origin", "subquery"},
    {"SELECT origin, sum((SELECT 1)) FROM flights GROUP BY origin", "subquery"},
    {"WITH w AS (SELECT 1) SELECT count(*) FROM flights", "WITH"},
    {"SELECT count(*) FROM flights UNION ALL SELECT count(*) FROM flights", "set operation"},
    {"SELECT origin, row_number() OVER () FROM flights", "OVER"},
    {"SELECT origin, sum(delay) OVER () AS s FROM flights GROUP BY ALL", "OVER"},
    {"SELECT origin, count(*) FILTER (WHERE late) FROM flights GROUP BY origin", "FILTER"},
    {"SELECT count(DISTINCT origin) FROM flights", "DISTINCT"},
    {"SELECT sum(DISTINCT delay) FROM flights", "DISTINCT"},
    {"SELECT median(delay) FROM flights", "median"},
    {"SELECT list(delay) FROM flights", "list"},
    {"SELECT origin, string_agg(origin, ',' ORDER BY origin) FROM flights GROUP BY ALL",
     "string_agg"},
    {"SELECT min(delay, 3) FROM flights", "arguments"},
    {"SELECT sum(delay) + 1 FROM flights", "expression over aggregates"},
    {"SELECT round(avg(delay), 1) AS r FROM flights", "expression over aggregates"},
    {"SELECT origin, sum(delay) / count(*) FROM flights GROUP BY ALL",
     "expression over aggregates"},
    {"SELECT origin, sum(delay) AS s, s + 1 AS t FROM flights GROUP BY ALL",
     "expression over aggregates"},
    {"SELECT sum(delay) AS s, s + 1 AS t FROM flights GROUP BY ALL", "expression over aggregates"},
    {"SELECT sum(delay) AS s, s + 1 AS t FROM flights", "expression over aggregates"},
    {"SELECT * FROM flights", ""},
    {"SELECT *, count(*) FROM flights GROUP BY ALL", "*"},
    {"SELECT COLUMNS('o.*'), count(*) FROM flights GROUP BY ALL", "*"},
    {"SELECT avg(late) FROM flights", "avg() of BOOLEAN"},
    {"SELECT sum(origin) FROM flights", "sum() of VARCHAR"},
    {"SELECT avg(date) FROM flights", "avg() of TIMESTAMP"},
    {"SELECT sum(date - date) FROM flights", "INTERVAL"},
    {"SELECT min(date - date) FROM flights", "INTERVAL"},
    {"SELECT [delay] AS l, count(*) FROM flights GROUP BY l", "BIGINT[]"},
    {"SELECT {'a': delay} AS s, count(*) FROM flights GROUP BY s", "STRUCT"},
    {"SELECT count(*) AS n, sum(delay) AS N FROM flights", "two columns"},
    {"SELECT origin, origin, count(*) FROM flights GROUP BY origin", "two columns"},
    {"SELECT origin FROM flights", ""},
    {"SELECT 1 FROM flights", ""},
    {"SELECT delay, count(*) FROM flights GROUP BY origin", "neither"},
    {"SELECT upper(origin), count(*) FROM flights GROUP BY origin", "neither"},
    {"SELECT delay AS _offset, count(*) FROM flights GROUP BY _offset", "neither"},
    {"SELECT origin, count(*) FROM flights GROUP BY 7", "GROUP BY takes"},
    {"SELECT origin, count(*) FROM flights GROUP BY 'origin'", "GROUP BY takes"},
    {"SELECT origin, count(*) FROM flights GROUP BY 2", ""},
    {"SELECT origin, day, count(*) FROM flights GROUP BY ROLLUP (origin, day)", "ROLLUP"},
    {"SELECT origin, day, count(*) FROM flights GROUP BY GROUPING SETS ((origin), (day))", "SETS"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin QUALIFY row_number() OVER () = 1", ""},
};

TEST_F(Compile, RefusesWhatHasNoMergeableStateWithReasonWayOutAndPlace) {
  for (const auto& refused : kRefused) {
    SCOPED_TRACE(refused.select);
    const auto view = compile(refused.select);
    ASSERT_FALSE(view) << view->stage_sql;
    EXPECT_EQ(view.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(view.error().id, error_id::kNotMergeable) << view.error().text();
    EXPECT_THAT(view.error().message, HasSubstr(refused.reason));
    EXPECT_FALSE(view.error().hint.empty()) << view.error().text();
    EXPECT_GE(view.error().place.line, 1U) << view.error().text();
  }
}

TEST_F(Compile, PointsAtTheExpressionThatItRefuses) {
  const auto view = compile("SELECT origin,\n       median(delay)\nFROM flights GROUP BY origin");
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().place, (TextPlace{2, 8})) << view.error().text();
}

TEST_F(Compile, SaysWhatDuckDbSaysOfASelectThatIsWrongInItself) {
  for (const auto* select : {"SELECT nothing, count(*) FROM flights GROUP BY nothing",
                             "SELECT count(*) AS n FROM flights WHERE n > 1",
                             "SELECT origin || delay.x AS k, count(*) FROM flights GROUP BY 1",
                             "SELECT flights.origin, count(*) FROM flights AS f GROUP BY 1"}) {
    const auto view = compile(select);
    ASSERT_FALSE(view) << select;
    EXPECT_EQ(view.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(view.error().message.empty());
  }
}

// Whatever DuckDB calls an aggregate must never pass for a scalar group key.
TEST_F(Compile, RefusesEveryAggregateOfDuckDbThatHasNoState) {
  const auto connection = *database_->connect();
  std::vector<std::string> names;
  const auto listed = connection->query(
      "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'",
      [&](const BatchView& rows) -> Status {
        for (std::size_t row = 0; row < rows.rows; ++row) {
          names.push_back(*value_text(rows.columns[0], row));
        }
        return {};
      });
  ASSERT_TRUE(listed) << listed.error().text();
  ASSERT_GT(names.size(), 50U);
  const std::set<std::string> mergeable = {"count", "count_star", "sum", "avg",
                                           "mean",  "min",        "max"};
  for (const auto& name : names) {
    if (mergeable.contains(name)) continue;
    for (const auto* arguments : {"delay", "delay, delay", "late", "origin, delay", "delay, 0.5"}) {
      for (const auto* before : {"", "origin, "}) {
        const auto view = compile(fmt::format("SELECT {}{}({}) AS a FROM flights GROUP BY ALL",
                                              before, quote_identifier(name), arguments));
        EXPECT_FALSE(view) << name << ": " << view->stage_sql;
      }
    }
  }
}

}  // namespace
}  // namespace millrace::view
