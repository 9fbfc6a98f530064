// (7) The aggregate stage by itself, on one core, against DuckDB's GROUP BY over a table in memory
// with one thread: six shapes of queries over the same rows. Both give the rows of the result;
// every one of them is compared.
#include <algorithm>
#include <ctime>
#include <set>
#include <string>

#include "measures.h"
#include "sql/database.h"
#include "view/group_table.h"

namespace millrace::bench {

namespace {

using view::AggregatePlan;
using view::ComponentKind;
using view::GroupTable;
using view::OutputColumn;
using view::OutputKind;

constexpr std::uint64_t kRows = 8'000'000;
constexpr int kTurns = 3;
constexpr double kRatioMin = 1 / 1.5;

/// Columns of the table t. The doubles are quarters, so that DuckDB's sums of them are exact too.
constexpr std::string_view kTableSql =
    "CREATE TABLE t AS SELECT "
    "(h % 1000)::BIGINT AS small, (h % 1000000)::BIGINT AS large, "
    "'/products/' || lpad(((h // 7) % 2000)::VARCHAR, 5, '0') AS page, "
    "(['view', 'click', 'buy', 'leave', 'search'])[1 + ((h // 11) % 5)::INTEGER] AS type, "
    "('user-' || lpad((h % 100000)::VARCHAR, 15, '0')) AS name, "
    "((h // 13) % 100000)::BIGINT AS number, ((h // 17) % 40000 / 4)::DOUBLE AS value, "
    "((h // 19) % 3 = 0) AS flag "
    "FROM (SELECT hash(i) // 2 AS h FROM range({}) r(i))";

struct Shape {
  std::string_view what;
  /// Of DuckDB.
  std::string_view select;
  /// The columns of t that are the keys and the arguments of the plan.
  std::string_view columns;
  std::size_t keys;
  std::vector<view::Component> components;
  std::vector<OutputColumn> outputs;
};

const Type kBigInt{.kind = TypeKind::kBigInt};
const Type kDouble{.kind = TypeKind::kDouble};
const Type kHugeInt{.kind = TypeKind::kHugeInt};

OutputColumn key(std::uint32_t number) { return {.name = "k", .inputs = {number}}; }
OutputColumn output(OutputKind kind, Type type, std::vector<std::uint32_t> inputs) {
  return {.name = "o", .type = std::move(type), .kind = kind, .inputs = std::move(inputs)};
}

std::vector<Shape> shapes() {
  using C = ComponentKind;
  using O = OutputKind;
  return {
      {"count, sum of BIGINT; 1,000 integers",
       "SELECT small, count(*), sum(number) FROM t GROUP BY small",
       "small, number",
       1,
       {{C::kCountRows, {}, {}, 0}, {C::kCount, {{0}}, {}, 0}, {C::kSumInteger, {{0}}, {}, 0}},
       {key(0), output(O::kCount, kBigInt, {0}), output(O::kSum, kHugeInt, {2, 1})}},
      {"count, sum of DOUBLE; 1 M integers",
       "SELECT large, count(*), sum(value) FROM t GROUP BY large",
       "large, value",
       1,
       {{C::kCountRows, {}, {}, 0}, {C::kCount, {{0}}, {}, 0}, {C::kSumDouble, {{0}}, {}, 0}},
       {key(0), output(O::kCount, kBigInt, {0}), output(O::kSum, kDouble, {2, 1})}},
      {"count, avg, max; 100,000 texts of 20 bytes",
       "SELECT name, count(*), avg(number), max(value) FROM t GROUP BY name",
       "name, number, value",
       1,
       {{C::kCountRows, {}, {}, 0},
        {C::kCount, {{0}}, {}, 0},
        {C::kSumInteger, {{0}}, {}, 0},
        {C::kMax, {{1}}, {}, 0}},
       {key(0), output(O::kCount, kBigInt, {0}), output(O::kAvg, kDouble, {2, 1}),
        output(O::kMax, kDouble, {3})}},
      {"count, min, max; 10,000 pairs of texts",
       "SELECT page, type, count(*), min(number), max(number) FROM t GROUP BY page, type",
       "page, type, number",
       2,
       {{C::kCountRows, {}, {}, 0}, {C::kMin, {{0}}, {}, 0}, {C::kMax, {{0}}, {}, 0}},
       {key(0), key(1), output(O::kCount, kBigInt, {0}), output(O::kMin, kBigInt, {1}),
        output(O::kMax, kBigInt, {2})}},
      {"3 counts and sums with FILTER; 1,000 integers",
       "SELECT small, count(*) FILTER (flag), sum(number) FILTER (flag), sum(value) FILTER (flag) "
       "FROM t GROUP BY small",
       "small, number, value, flag",
       1,
       {{C::kCountRows, {}, 2, 0},
        {C::kCount, {{0}}, 2, 0},
        {C::kSumInteger, {{0}}, 2, 0},
        {C::kCount, {{1}}, 2, 0},
        {C::kSumDouble, {{1}}, 2, 0}},
       {key(0), output(O::kCount, kBigInt, {0}), output(O::kSum, kHugeInt, {2, 1}),
        output(O::kSum, kDouble, {4, 3})}},
      {"count(DISTINCT BIGINT); 1,000 integers",
       "SELECT small, count(DISTINCT number) FROM t GROUP BY small",
       "small, number",
       1,
       {{C::kDistinct, {{0}}, {}, 0}},
       {key(0), output(O::kDistinctCount, kBigInt, {0})}},
  };
}

/// The rows of a result as texts, to compare.
std::multiset<std::string> texts_of(const BatchView& rows) {
  std::multiset<std::string> out;
  for (std::size_t row = 0; row < rows.rows; ++row) {
    std::string text;
    for (const ColumnView& column : rows.columns)
      text += value_text(column, row).value_or("NULL") + "|";
    out.insert(std::move(text));
  }
  return out;
}

/// Seconds of processor time of this process: nothing else runs in it, and others do not disturb.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// All rows of a SELECT in memory, in batches as ingest makes them.
Result<std::vector<std::unique_ptr<ColumnBatch>>> fetch(sql::Connection& connection,
                                                        std::string_view select,
                                                        std::size_t batch_rows) {
  std::vector<std::unique_ptr<ColumnBatch>> out;
  MR_TRY(const auto columns, connection.query(select, [&](const BatchView& rows) -> Status {
    if (out.empty() || out.back()->rows() + rows.rows > batch_rows) {
      std::vector<Type> types;
      for (const ColumnView& column : rows.columns) types.push_back(column.type);
      out.push_back(std::make_unique<ColumnBatch>(types));
    }
    out.back()->append_all(rows);
    return {};
  }));
  return out;
}

Result<Figure> measure_shape(sql::Connection& connection, const Shape& shape, std::uint64_t rows) {
  MR_TRY(const auto batches,
         fetch(connection, fmt::format("SELECT {} FROM t", shape.columns), 8192));
  AggregatePlan plan{.keys = {}, .arguments = {}, .components = shape.components};
  for (const ColumnView& column : batches.front()->views()) {
    (plan.keys.size() < shape.keys ? plan.keys : plan.arguments).push_back(column.type);
  }
  std::vector<OutputColumn> outputs = shape.outputs;
  std::vector<Type> types;
  for (OutputColumn& each : outputs) {
    if (each.kind == OutputKind::kKey) each.type = plan.keys[each.inputs.front()];
    types.push_back(each.type);
  }
  double ours = 0;
  double duckdb = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    double begin = cpu_seconds();
    MR_TRY(const auto wanted, fetch(connection, shape.select, SIZE_MAX));
    const double theirs = cpu_seconds() - begin;
    begin = cpu_seconds();
    GroupTable table(plan);
    for (const auto& batch : batches) {
      const std::vector<ColumnView> columns = batch->views();
      table.update({columns, batch->rows()});
    }
    ColumnBatch out(types);
    MR_RETURN_IF_ERROR(table.finalize(outputs, false, out));
    const double taken = cpu_seconds() - begin;
    duckdb = turn == 0 ? theirs : std::min(duckdb, theirs);
    ours = turn == 0 ? taken : std::min(ours, taken);
    if (turn != 0) continue;
    const std::vector<ColumnView> got = out.views();
    const std::vector<ColumnView> expected = wanted.front()->views();
    if (texts_of({got, out.rows()}) != texts_of({expected, wanted.front()->rows()})) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "{}: another result than DuckDB's",
                  shape.what);
    }
  }
  const double ratio = duckdb / ours;
  const auto count = static_cast<double>(rows);
  return Figure{.measure = 7,
                .what = fmt::format("  {}", shape.what),
                .reached = fmt::format("{:.1f} M rows/s", count / ours / 1e6),
                .roofline = fmt::format("{:.1f} M rows/s DuckDB, one thread", count / duckdb / 1e6),
                .ratio = ratio,
                .target = "ratio 0.67",
                .met = ratio >= kRatioMin,
                .numbers = {{"seconds", ours}, {"duckdb_seconds", duckdb}}};
}

}  // namespace

Figures measure_groups(const Settings& settings) {
  const std::uint64_t rows = settings.scaled(kRows, 100'000);
  MR_TRY(const auto database, sql::Database::open({.threads = 1,
                                                   .memory_bytes_max = std::uint64_t{6} << 30,
                                                   .folders = {},
                                                   .spill_folder = {}}));
  MR_TRY(const auto connection, database->connect());
  say(fmt::format("7: six shapes of GROUP BY over {} rows in memory", rows));
  MR_RETURN_IF_ERROR(connection->execute(fmt::format(fmt::runtime(kTableSql), rows)));
  std::vector<Figure> figures;
  for (const Shape& shape : shapes()) {
    MR_TRY(auto figure, measure_shape(*connection, shape, rows));
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace millrace::bench
