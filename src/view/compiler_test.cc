// What the compiler makes of a view's SELECT, and what it refuses: with the reason, a way out, and
// the place.
#include "view/compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "sql/allow_list.h"
#include "sql/syntax.h"
#include "view/select_tree.h"

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

StreamDefinition trains() {
  StreamDefinition stream;
  stream.id = StreamId(4);
  stream.name = "trains";
  stream.columns = {{"departure", {TypeKind::kTimestamp}},
                    {"station", {TypeKind::kVarchar}},
                    {"delay", {TypeKind::kInteger}}};
  stream.time_column = 0;
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
               tree, sql::Use::kView, [](std::string_view name) { return std::string(name); },
               select));
    const TableDefinition airports[] = {
        {"airports", {{"code", {TypeKind::kVarchar}}, {"city", {TypeKind::kVarchar}}}}};
    return compile_view(*database_, select, tree, std::array{flights(), trains()}, airports);
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
    // What DuckDB lacks, by stand-ins of the types that the documentation promises.
    EXPECT_TRUE(connection->execute(
        "CREATE TEMP TABLE airports (code VARCHAR, city VARCHAR);"
        "CREATE TEMP TABLE trains (departure TIMESTAMP, station VARCHAR, delay INTEGER);"
        "CREATE TEMP MACRO hop(t, slide, size) AS t; CREATE TEMP MACRO session(t, gap) AS t;"
        "CREATE TEMP MACRO map_agg(k, v) AS map([any_value(k)], [any_value(v)]);"
        "CREATE TEMP MACRO top_k(x, k) AS [{'value': any_value(x), 'count': 0::UBIGINT}], "
        "(x, k, w) AS [{'value': any_value(x), 'sum': sum(w)}]"));
    std::vector<std::string> out;
    const auto columns =
        connection->query(fmt::format("DESCRIBE {}", select), [&](const BatchView& rows) -> Status {
          for (std::size_t row = 0; row < rows.rows; ++row) {
            const auto type = Type::parse(value_text(rows.columns[1], row).value_or(""));
            EXPECT_TRUE(type) << type.error().text();
            out.push_back(value_text(rows.columns[0], row).value_or("") + " " + type->sql());
          }
          return {};
        });
    EXPECT_TRUE(columns) << columns.error().text();
    return out;
  }
  static std::string plan_text(const AggregatePlan& plan) {
    static constexpr const char* kNames[] = {
        "rows", "count", "isum", "dsum",    "min",    "max",      "and", "or",
        "xor",  "power", "prod", "ordered", "values", "distinct", "hll", "buckets"};
    std::string out;
    for (const auto& key : plan.keys) out += key.sql() + " ";
    out += "|";
    for (const auto& argument : plan.arguments) out += " " + argument.sql();
    out += " |";
    for (const auto& component : plan.components) {
      out += fmt::format(" {}", kNames[static_cast<int>(component.kind)]);
      std::string arguments;
      for (const auto& argument : component.arguments) {
        arguments += fmt::format("{}{}{}{}", arguments.empty() ? "" : " ", argument.index,
                                 argument.descending ? "-" : "", argument.nulls_last ? "!" : "");
      }
      if (component.parameter != 0) arguments += fmt::format(",{}", component.parameter);
      if (!arguments.empty()) out += "(" + arguments + ")";
      if (component.filter) out += fmt::format("?{}", *component.filter);
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

    // Expressions over aggregates, HAVING, FILTER, DISTINCT.
    {"SELECT sum(delay) / count(*) + 1 AS r FROM flights", "SELECT delay FROM flights",
     "| BIGINT | isum(0) count(0) rows"},
    {"SELECT origin, sum(delay) AS s, s + 1 AS t FROM flights GROUP BY ALL", nullptr, nullptr},
    {"SELECT origin, round(avg(delay), 1) AS r FROM flights GROUP BY origin HAVING count(*) > 3 "
     "AND r > 1",
     "SELECT origin, delay FROM flights", "VARCHAR | BIGINT | isum(0) count(0) rows"},
    {"SELECT origin, count(*) FILTER (WHERE late) AS n FROM flights GROUP BY origin", nullptr,
     "VARCHAR | BOOLEAN | rows?0"},
    {"SELECT sum(delay) FILTER (WHERE late), count_if(late), bool_and(late) FROM flights", nullptr,
     nullptr},
    {"SELECT upper(origin) AS o, count(*) FROM flights GROUP BY origin", "SELECT origin FROM",
     "VARCHAR | | rows"},
    {"SELECT DISTINCT origin, \"day\" FROM flights", "SELECT origin, \"day\" FROM",
     "VARCHAR DATE | | rows"},
    {"SELECT 'all' AS what, count(*) FROM flights", nullptr, "| | rows"},
    {"SELECT count(DISTINCT origin), sum(DISTINCT delay) AS s, median(delay), mode(origin), "
     "quantile_cont(distance, 0.5), histogram(gate) FROM flights",
     nullptr,
     "| VARCHAR BIGINT DOUBLE TINYINT | distinct(0) distinct(1) values(1) values(0) "
     "values(2) values(3)"},
    {"SELECT var_pop(delay), stddev(delay), corr(delay, distance), skewness(fare) FROM flights",
     nullptr, nullptr},
    {"SELECT first(origin) AS f, last(origin) AS l, any_value(origin), arg_max(origin, delay), "
     "min(delay, 3), list(delay ORDER BY distance DESC), string_agg(origin, ',') FROM flights",
     nullptr, nullptr},
    {"SELECT approx_count_distinct(origin), approx_quantile(delay, 0.5), "
     "approx_quantile(fare, [0.1, 0.9]) FROM flights",
     nullptr, nullptr},
    {"SELECT top_k(origin, 3) AS t, top_k(origin, 3, delay) AS w, map_agg(origin, delay) AS m "
     "FROM flights",
     nullptr, nullptr},
    {"SELECT list_filter(list(delay), lambda x: x > 3) AS l, origin FROM flights GROUP BY origin",
     nullptr, nullptr},
    // Grouping sets.
    {"SELECT origin, \"day\", grouping(origin) AS g, count(*) FROM flights GROUP BY ROLLUP "
     "(origin, \"day\")",
     nullptr, "VARCHAR DATE INTEGER | | rows"},
    {"SELECT origin, \"day\", sum(delay) FROM flights GROUP BY GROUPING SETS ((origin), "
     "(\"day\"), ())",
     nullptr, "VARCHAR DATE INTEGER | BIGINT | isum(0) count(0)"},
    // Windows.
    {"SELECT hop(date, INTERVAL 1 HOUR, INTERVAL 3 HOURS) AS w, count(*) FROM flights GROUP BY w",
     "unnest", "TIMESTAMP | | rows"},
    {"SELECT session(date, INTERVAL 30 MINUTES) AS s, origin, count(*) FROM flights GROUP BY ALL",
     "SELECT origin, date FROM flights", "VARCHAR TIMESTAMP | | rows"},
    // Rows of subqueries, CTEs and reference tables.
    {"SELECT o, count(*) FROM (SELECT upper(origin) AS o FROM flights WHERE late) GROUP BY o",
     nullptr, "VARCHAR | | rows"},
    {"WITH w AS (SELECT origin, delay * 2 AS twice FROM flights) SELECT w.origin, last(twice) AS l "
     "FROM w GROUP BY origin",
     nullptr, nullptr},
    {"SELECT a.city, sum(f.delay) FROM flights AS f LEFT JOIN airports AS a ON f.origin = a.code "
     "GROUP BY a.city",
     nullptr, "VARCHAR | BIGINT | isum(0) count(0)"},
    {"SELECT city, first(origin) AS f FROM flights JOIN airports ON origin = code GROUP BY city",
     nullptr, nullptr},
    {"SELECT place, sum(delay), last(delay) AS l FROM (SELECT origin AS place, delay FROM flights "
     "UNION ALL SELECT station, delay FROM trains) GROUP BY place",
     nullptr, nullptr},
    {"WITH w AS (SELECT delay FROM flights UNION ALL SELECT delay FROM trains WHERE delay > 3) "
     "SELECT delay, count(*) FROM w GROUP BY delay",
     nullptr, "BIGINT | | rows"},
};

TEST_F(Compile, GivesStagePlanNamesAndTypesOfWhatItAccepts) {
  for (const auto& accepted : kAccepted) {
    SCOPED_TRACE(accepted.select);
    const auto view = compile(accepted.select);
    ASSERT_TRUE(view) << view.error().text();
    if (accepted.stage != nullptr) EXPECT_THAT(view->inputs[0].sql, HasSubstr(accepted.stage));
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
    {"SELECT DISTINCT origin FROM flights GROUP BY origin", "DISTINCT"},
    {"SELECT DISTINCT ON (origin) origin, delay FROM flights", "DISTINCT ON"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin ORDER BY origin", "order"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin LIMIT 3", "LIMIT"},
    {"SELECT origin, count(*) FROM flights GROUP BY origin OFFSET 3", "OFFSET"},
    {"SELECT a.origin, count(*) FROM flights a JOIN flights b ON a.id = b.id GROUP BY a.origin",
     "not bounded both ways"},
    {"SELECT count(*) FROM flights, flights AS other", "joined by an equality"},
    {"SELECT count(*) FROM airports", "no stream"},
    {"SELECT count(*) FROM (SELECT delay FROM flights UNION SELECT delay FROM trains)", "UNION"},
    {"SELECT count(*) FROM flights f JOIN trains t ON f.delay = t.delay", "not bounded both ways"},
    {"SELECT count(*) FROM flights FULL JOIN airports ON origin = code", "a join that keeps"},
    {"SELECT count(*) FROM flights RIGHT JOIN airports ON origin = code", "a join that keeps"},
    {"SELECT count(*) FROM airports LEFT JOIN flights ON origin = code", "a join that keeps"},
    {"SELECT sum(n) FROM (SELECT count(*) AS n FROM flights GROUP BY origin)", "aggregates"},
    {"SELECT count(*) FROM (SELECT DISTINCT origin FROM flights)", "DISTINCT"},
    {"SELECT count(*) FROM (SELECT origin FROM flights LIMIT 3)", "LIMIT"},
    {"SELECT count(*) FROM (SELECT row_number() OVER () AS r FROM flights)", ""},
    {"SELECT count(*) FROM (VALUES (1)) AS t(x)", ""},
    {"SELECT origin, count(*) FROM flights WHERE delay > (SELECT 1) GROUP BY origin", "subquery"},
    {"SELECT origin, sum((SELECT 1)) FROM flights GROUP BY origin", "subquery"},
    {"WITH w AS (SELECT count(*) FROM flights) SELECT count(*) FROM w", "aggregates"},
    {"SELECT count(*) FROM flights UNION ALL SELECT count(*) FROM flights", "set operation"},
    {"SELECT origin, row_number() OVER () FROM flights", ""},
    {"SELECT origin, sum(delay) OVER () AS s FROM flights GROUP BY ALL", ""},
    {"SELECT bitstring_agg(delay) FROM flights", "bitstring_agg"},
    {"SELECT string_agg(DISTINCT origin, ',' ORDER BY delay) FROM flights", "DISTINCT"},
    {"SELECT min(delay, 0) FROM flights", "whole number"},
    {"SELECT min(delay, delay) FROM flights", "constant"},
    {"SELECT approx_quantile(date, 0.5) FROM flights", "approx_quantile"},
    {"SELECT approx_quantile(delay, 2) FROM flights", "between 0 and 1"},
    {"SELECT sum(sum(delay)) FROM flights", "inside"},
    {"SELECT session(date, INTERVAL 1 MONTH) AS s, count(*) FROM flights GROUP BY s", "gap"},
    {"SELECT session(delay, INTERVAL 1 HOUR) AS s, count(*) FROM flights GROUP BY s", "TIMESTAMP"},
    {"SELECT count(*) FROM flights WHERE session(date, INTERVAL 1 HOUR) > date", "by itself"},
    {"SELECT hop(date, INTERVAL 1 HOUR) AS h, count(*) FROM flights GROUP BY h", "hop() takes"},
    {"SELECT * FROM flights", "*"},
    {"SELECT *, count(*) FROM flights GROUP BY ALL", "*"},
    {"SELECT COLUMNS('o.*'), count(*) FROM flights GROUP BY ALL", "*"},
    {"SELECT avg(late) FROM flights", "BOOLEAN"},
    {"SELECT sum(origin) FROM flights", "VARCHAR"},
    {"SELECT avg(date) FROM flights", "TIMESTAMP"},
    {"SELECT sum(date - date) FROM flights", "INTERVAL"},
    {"SELECT min(date - date) FROM flights", "INTERVAL"},
    {"SELECT [date - date] AS l, count(*) FROM flights GROUP BY l", "INTERVAL[]"},
    {"SELECT {'a': date - date} AS s, count(*) FROM flights GROUP BY s", "STRUCT"},
    {"SELECT count(*) AS n, sum(delay) AS N FROM flights", "two columns"},
    {"SELECT origin, origin, count(*) FROM flights GROUP BY origin", "two columns"},
    {"SELECT origin FROM flights", ""},
    {"SELECT 1 FROM flights", ""},
    {"SELECT delay, count(*) FROM flights GROUP BY origin", "neither"},
    {"SELECT count(*) FROM flights GROUP BY origin HAVING delay > 1", "neither"},
    {"SELECT delay AS _offset, count(*) FROM flights GROUP BY _offset", "neither"},
    {"SELECT origin, count(*) FROM flights GROUP BY 7", "GROUP BY takes"},
    {"SELECT origin, count(*) FROM flights GROUP BY 'origin'", "GROUP BY takes"},
    {"SELECT origin, count(*) FROM flights GROUP BY 2", ""},
    {"SELECT origin, count(*) FROM flights GROUP BY origin QUALIFY row_number() OVER () = 1", ""},
};

TEST_F(Compile, RefusesWhatHasNoMergeableStateWithReasonWayOutAndPlace) {
  for (const auto& refused : kRefused) {
    SCOPED_TRACE(refused.select);
    const auto view = compile(refused.select);
    ASSERT_FALSE(view) << view->inputs[0].sql;
    EXPECT_EQ(view.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(view.error().id, error_id::kNotMergeable) << view.error().text();
    EXPECT_THAT(view.error().message, HasSubstr(refused.reason));
    EXPECT_FALSE(view.error().hint.empty()) << view.error().text();
    EXPECT_GE(view.error().place.line, 1U) << view.error().text();
  }
}

TEST_F(Compile, PointsAtTheExpressionThatItRefuses) {
  const auto view =
      compile("SELECT origin,\n       bitstring_agg(delay)\nFROM flights GROUP BY origin");
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

// Whatever DuckDB calls an aggregate must never pass for a scalar function.
TEST_F(Compile, KnowsEveryAggregateOfDuckDb) {
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
  // DuckDB lists them with the aggregates, and knows them only before OVER.
  const std::set<std::string> windows = {"rank",       "rank_dense", "dense_rank", "percent_rank",
                                         "row_number", "nth_value",  "cume_dist",  "lead",
                                         "lag",        "ntile",      "fill"};
  for (const auto& name : names) {
    EXPECT_NE(is_aggregate(name), windows.contains(name)) << name;
    for (const auto* arguments : {"delay", "delay, delay", "late", "origin, delay"}) {
      EXPECT_FALSE(compile(fmt::format("SELECT {0}({1}) AS a FROM flights GROUP BY {0}({1})",
                                       quote_identifier(name), arguments)))
          << name;
    }
  }
}

}  // namespace
}  // namespace millrace::view
