#include "sql/scalar_stage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "sql/lake_select.h"

namespace millrace::sql {
namespace {

using Cells = std::vector<std::optional<std::string>>;
using Rows = std::vector<Cells>;

/// Every bit of a value: value_text gives one text to all NaN.
std::optional<std::string> bits_text(const ColumnView& column, std::size_t row) {
  if (!column.valid(row)) return std::nullopt;
  if (column.type.is_string()) return std::string(column.as<StringRef>()[row].view());
  const std::size_t width = size_bytes(column.type.physical());
  return std::string(static_cast<const char*>(column.data) + row * width, width);
}

template <class Text>
void add_rows(Rows& rows, const BatchView& view, const Text& text) {
  for (std::size_t row = 0; row < view.rows; ++row) {
    Cells& cells = rows.emplace_back();
    for (const auto& column : view.columns) cells.push_back(text(column, row));
  }
}

std::vector<Column> every_type() {
  std::vector<Column> columns;
  for (std::uint8_t kind = 0; kind <= static_cast<std::uint8_t>(TypeKind::kTime); ++kind) {
    Type type{static_cast<TypeKind>(kind)};
    if (type.kind == TypeKind::kInterval) continue;  // no stream has such a column
    if (type.kind != TypeKind::kDecimal) {
      columns.push_back({"column " + std::to_string(kind), type});
      continue;
    }
    for (const int width : {4, 9, 18, 38}) {
      type.width = static_cast<std::uint8_t>(width);
      type.scale = static_cast<std::uint8_t>(width / 2);
      columns.push_back({"decimal \"" + std::to_string(width), type});
    }
  }
  return columns;
}

Int128 power_of_ten(int exponent) {
  Int128 out = 1;
  while (exponent-- > 0) out *= 10;
  return out;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t bits() { return engine_(); }
  std::uint64_t below(std::uint64_t end) { return engine_() % end; }
  Int128 int128() {
    return static_cast<Int128>((static_cast<UInt128>(engine_()) << 64) | engine_());
  }

  void push(ColumnVector& column, Arena& arena) {
    if (below(5) == 0) {
      column.push_null();
      return;
    }
    const bool extreme = below(4) == 0;
    switch (column.type().kind) {
      case TypeKind::kBoolean:
        column.push(below(2) == 0);
        return;
      case TypeKind::kDecimal:
        push_decimal(column);
        return;
      case TypeKind::kFloat:
        push_float<float, std::uint32_t>(column, extreme);
        return;
      case TypeKind::kDouble:
        push_float<double, std::uint64_t>(column, extreme);
        return;
      case TypeKind::kVarchar:
        column.push_string(text(), arena);
        return;
      case TypeKind::kBlob:
        column.push_string(bytes(), arena);
        return;
      case TypeKind::kJson:
        column.push_string(json(), arena);
        return;
      case TypeKind::kDate:
        // Beyond lie the days that DuckDB has no calendar for; infinity is one of the last two.
        column.push(extreme ? std::numeric_limits<std::int32_t>::max()
                            : static_cast<std::int32_t>(below(5'000'000)) - 2'000'000);
        return;
      case TypeKind::kTimestamp:
      case TypeKind::kTimestampTz:
        column.push(extreme ? std::numeric_limits<std::int64_t>::max()
                            : static_cast<std::int64_t>(below(std::uint64_t{1} << 60)) -
                                  (std::int64_t{1} << 58));
        return;
      case TypeKind::kTime:
        column.push(extreme ? std::int64_t{86'400'000'000}
                            : static_cast<std::int64_t>(below(86'400'000'000)));
        return;
      default:
        break;
    }
    const Int128 low = below(2) == 0 ? Int128{0} : std::numeric_limits<Int128>::min();
    const Int128 value = extreme ? (below(2) == 0 ? low : ~low) : int128();
    switch (column.type().physical()) {
      case PhysicalType::kInt8:
        column.push(edge<std::int8_t>(value, extreme));
        return;
      case PhysicalType::kInt16:
        column.push(edge<std::int16_t>(value, extreme));
        return;
      case PhysicalType::kInt32:
        column.push(edge<std::int32_t>(value, extreme));
        return;
      case PhysicalType::kInt64:
        column.push(edge<std::int64_t>(value, extreme));
        return;
      case PhysicalType::kInt128:
        column.push(value);
        return;
      case PhysicalType::kUInt8:
        column.push(edge<std::uint8_t>(value, extreme));
        return;
      case PhysicalType::kUInt16:
        column.push(edge<std::uint16_t>(value, extreme));
        return;
      case PhysicalType::kUInt32:
        column.push(edge<std::uint32_t>(value, extreme));
        return;
      case PhysicalType::kUInt64:
        column.push(edge<std::uint64_t>(value, extreme));
        return;
      default:
        FAIL() << "no value for " << column.type().sql();
    }
  }

 private:
  template <class T>
  T edge(Int128 value, bool extreme) {
    if (!extreme) return static_cast<T>(value);
    return below(2) == 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  }
  void push_decimal(ColumnVector& column) {
    Int128 value = int128() % power_of_ten(column.type().width);
    if (below(4) == 0) value = (power_of_ten(column.type().width) - 1) * (below(2) == 0 ? 1 : -1);
    switch (column.type().physical()) {
      case PhysicalType::kInt16:
        column.push(static_cast<std::int16_t>(value));
        return;
      case PhysicalType::kInt32:
        column.push(static_cast<std::int32_t>(value));
        return;
      case PhysicalType::kInt64:
        column.push(static_cast<std::int64_t>(value));
        return;
      default:
        column.push(value);
        return;
    }
  }
  template <class Float, class Bits>
  void push_float(ColumnVector& column, bool extreme) {
    using Limits = std::numeric_limits<Float>;
    const Float specials[] = {Float{0},
                              -Float{0},
                              Limits::infinity(),
                              -Limits::infinity(),
                              Limits::quiet_NaN(),
                              -Limits::quiet_NaN(),
                              Limits::denorm_min(),
                              Limits::max(),
                              Limits::lowest()};
    // Random bits have NaN of every payload.
    column.push(extreme ? specials[below(std::size(specials))]
                        : std::bit_cast<Float>(static_cast<Bits>(bits())));
  }
  std::string text() {
    static const std::string pieces[] = {"a", "é",  "\U0001F600", std::string(1, '\0'),
                                         "'", "\"", " "};
    std::string out;
    for (auto left = below(30); left > 0; --left) out += pieces[below(std::size(pieces))];
    return out;
  }
  std::string bytes() {
    std::string out;
    for (auto left = below(30); left > 0; --left) out += static_cast<char>(bits());
    return out;
  }
  std::string json() {
    return below(2) == 0 ? "{ \"a\" : [1.50, null, \"\\u0000é\"]}" : std::to_string(below(100));
  }

  std::mt19937_64 engine_;
};

StreamDefinition stream_of(std::vector<Column> columns) {
  StreamDefinition stream;
  stream.id = StreamId(7);
  stream.name = "flights";
  stream.columns = std::move(columns);
  return stream;
}

StreamBatch random_batch(const StreamDefinition& stream, Random& random, std::size_t rows,
                         std::uint32_t partition = 0, std::uint64_t base_offset = 0) {
  auto columns = std::make_shared<ColumnBatch>(stream.types());
  for (std::size_t i = 0; i < columns->column_count(); ++i)
    for (std::size_t row = 0; row < rows; ++row) random.push(columns->column(i), columns->arena());
  return {.stream = stream.id,
          .partition = PartitionId(partition),
          .base_offset = Offset(base_offset),
          .arrival_us = 1'000'000 + static_cast<std::int64_t>(base_offset),
          .columns = std::move(columns)};
}

/// Three columns: origin VARCHAR, delay BIGINT (sometimes NULL), date TIMESTAMP.
StreamDefinition flights() {
  return stream_of({{"origin", Type{TypeKind::kVarchar}},
                    {"delay", Type{TypeKind::kBigInt}},
                    {"date", Type{TypeKind::kTimestamp}}});
}
StreamBatch flights_batch(std::size_t rows, std::uint64_t base_offset = 0) {
  auto columns = std::make_shared<ColumnBatch>(flights().types());
  for (std::size_t row = 0; row < rows; ++row) {
    const auto n = base_offset + row;
    columns->column(0).push_string(
        n % 2 == 0 ? "SFO" : "a name of more than twelve bytes " + std::to_string(n % 5),
        columns->arena());
    if (n % 7 == 3) {
      columns->column(1).push_null();
    } else {
      columns->column(1).push(static_cast<std::int64_t>(n % 1000));
    }
    columns->column(2).push(static_cast<std::int64_t>(n) * 1'000'000);
  }
  return {.stream = StreamId(7),
          .partition = PartitionId(1),
          .base_offset = Offset(base_offset),
          .arrival_us = 5,
          .columns = std::move(columns)};
}

class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("millrace_sql_[stage]_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::shared_ptr<Database> open_database(std::uint32_t threads = 1,
                                        std::vector<std::filesystem::path> folders = {}) {
  auto database = Database::open({.threads = threads, .folders = std::move(folders)});
  EXPECT_TRUE(database) << database.error().text();
  return *database;
}

Result<Rows> stage_rows(ScalarStage& stage, std::span<const StreamBatch> batches) {
  Rows rows;
  if (auto status =
          stage.run(batches, [&](const BatchView& view) { add_rows(rows, view, bits_text); });
      !status)
    return std::unexpected(std::move(status).error());
  return rows;
}

TEST(ScalarStage, EveryValueOfEveryTypePassesUnchanged) {
  const auto database = open_database();
  const auto stream = stream_of(every_type());
  std::string items;
  for (const auto& column : stream.columns)
    items += (items.empty() ? "" : ", ") + quote_identifier(column.name);
  auto stage = ScalarStage::prepare(*database, "SELECT " + items + " FROM flights", stream);
  ASSERT_TRUE(stage) << stage.error().text();
  EXPECT_EQ((*stage)->types(), stream.types());
  Random random(1);
  for (const std::size_t rows : {1U, 63U, 64U, 2048U, 5000U}) {
    // Batches of odd sizes, so that chunks are put together from several.
    const std::vector batches = {random_batch(stream, random, rows),
                                 random_batch(stream, random, 37, 0, rows)};
    Rows expected;
    for (const auto& batch : batches) {
      const auto views = batch.columns->views();
      add_rows(expected, {views, batch.columns->rows()}, bits_text);
    }
    auto seen = stage_rows(**stage, batches);
    ASSERT_TRUE(seen) << seen.error().text();
    EXPECT_EQ(*seen, expected);
  }
}

TEST(ScalarStage, FiltersAndComputesAsPlainSqlDoes) {
  const auto database = open_database();
  auto stage = ScalarStage::prepare(*database,
                                    "SELECT f.origin, date_trunc('minute', date) AS m, delay * 2, "
                                    "upper(origin) || 'x', _partition, "
                                    "_offset, _arrival FROM flights AS f WHERE delay > 100;",
                                    flights());
  ASSERT_TRUE(stage) << stage.error().text();
  const std::vector batches = {flights_batch(3000), flights_batch(1, 3000), flights_batch(0, 3001),
                               flights_batch(2000, 3001)};
  Rows seen;
  auto status =
      (*stage)->run(batches, [&](const BatchView& view) { add_rows(seen, view, value_text); });
  ASSERT_TRUE(status) << status.error().text();
  auto connection = database->connect();
  Rows expected;
  auto columns =
      (*connection)
          ->query(
              "SELECT o, date_trunc('minute', to_timestamp(n)::TIMESTAMP), 2 * (n % 1000), "
              "upper(o) || 'x', 1, n, TIMESTAMPTZ '1970-01-01 00:00:00.000005+00' FROM "
              "(SELECT CASE WHEN n % 2 = 0 THEN 'SFO' ELSE "
              "'a name of more than twelve bytes ' || (n % 5) END o, n FROM range(5001) r(n)) "
              "WHERE n % 7 <> 3 AND n % 1000 > 100 ORDER BY n",
              [&](const BatchView& view) -> Status {
                add_rows(expected, view, value_text);
                return {};
              });
  ASSERT_TRUE(columns) << columns.error().text();
  EXPECT_GT(seen.size(), 3000U);
  EXPECT_EQ(seen, expected);
}

TEST(ScalarStage, TheStreamMayBeNamedInAnyCaseAndQualified) {
  const auto database = open_database();
  const std::vector batches = {flights_batch(10)};
  for (const char* sql :
       {"SELECT flights.delay FROM flights", "SELECT FLIGHTS.Delay FROM Flights",
        "SELECT delay FROM \"flights\" WHERE flights._offset >= 0", "SELECT x.delay FROM flights x",
        "SELECT delay FROM flights -- all of them"}) {
    auto stage = ScalarStage::prepare(*database, sql, flights());
    ASSERT_TRUE(stage) << stage.error().text();
    auto rows = stage_rows(**stage, batches);
    ASSERT_TRUE(rows) << rows.error().text();
    EXPECT_EQ(rows->size(), 10U);
  }
}

TEST(ScalarStage, NullAndConstantItemsReachTheSinkOncePerRow) {
  const auto database = open_database();
  auto stage = ScalarStage::prepare(
      *database, "SELECT TRUE, NULL::BIGINT, 'a constant text of some length', delay FROM flights",
      flights());
  ASSERT_TRUE(stage) << stage.error().text();
  auto rows = stage_rows(**stage, std::vector{flights_batch(5000)});
  ASSERT_TRUE(rows) << rows.error().text();
  ASSERT_EQ(rows->size(), 5000U);
  std::size_t nulls = 0;
  for (const auto& row : *rows) {
    EXPECT_EQ(row[0], std::string(1, '\1'));
    EXPECT_EQ(row[1], std::nullopt);
    EXPECT_EQ(row[2], "a constant text of some length");
    nulls += row[3] ? 0 : 1;
  }
  EXPECT_EQ(nulls, 714U);
  stage = ScalarStage::prepare(*database, "SELECT TRUE FROM flights", flights());
  ASSERT_TRUE(stage) << stage.error().text();
  rows = stage_rows(**stage, std::vector{flights_batch(5000)});
  ASSERT_TRUE(rows) << rows.error().text();
  EXPECT_EQ(rows->size(), 5000U);
  stage = ScalarStage::prepare(*database, "SELECT TRUE FROM flights WHERE _offset = 77", flights());
  EXPECT_EQ(stage_rows(**stage, std::vector{flights_batch(5000)})->size(), 1U);
}

TEST(ScalarStage, NoRowsAreNoError) {
  const auto database = open_database();
  auto stage =
      ScalarStage::prepare(*database, "SELECT delay FROM flights WHERE delay > 5000", flights());
  ASSERT_TRUE(stage) << stage.error().text();
  for (const auto& batches : {std::vector{flights_batch(5000)}, {flights_batch(0)}, {}}) {
    auto rows = stage_rows(**stage, batches);
    ASSERT_TRUE(rows) << rows.error().text();
    EXPECT_TRUE(rows->empty());
  }
  stage = ScalarStage::prepare(*database, "SELECT delay FROM flights WHERE false", flights());
  ASSERT_TRUE(stage) << stage.error().text();
  EXPECT_EQ((*stage)->types(), std::vector{Type{TypeKind::kBigInt}});
  EXPECT_TRUE(stage_rows(**stage, std::vector{flights_batch(10)})->empty());
}

TEST(ScalarStage, OneRowAndAHundredThousandRowsPassOneAfterTheOther) {
  const auto database = open_database(2);
  auto stage = ScalarStage::prepare(*database, "SELECT delay, origin FROM flights", flights());
  ASSERT_TRUE(stage) << stage.error().text();
  for (const std::size_t rows : {1U, 100'000U, 1U, 2048U, 2049U}) {
    std::size_t seen = 0;
    auto status = (*stage)->run(std::vector{flights_batch(rows)},
                                [&](const BatchView& view) { seen += view.rows; });
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(seen, rows);
  }
}

TEST(ScalarStage, ARowThatCannotBeEvaluatedIsAnErrorAndTheStageGoesOn) {
  const auto database = open_database();
  auto stage = ScalarStage::prepare(
      *database, "SELECT CAST(origin AS INTEGER) FROM flights WHERE delay >= 0", flights());
  ASSERT_TRUE(stage) << stage.error().text();
  auto rows = stage_rows(**stage, std::vector{flights_batch(100)});
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(rows.error().id, error_id::kEvaluation);
  EXPECT_NE(rows.error().message.find("SFO"), std::string::npos);
  EXPECT_EQ(rows.error().message.find("mr_sink"), std::string::npos);
  EXPECT_EQ(stage_rows(**stage, std::vector{flights_batch(1, 3)})->size(), 0U);
  stage =
      ScalarStage::prepare(*database, "SELECT delay * 9223372036854775807 FROM flights", flights());
  EXPECT_EQ(stage_rows(**stage, std::vector{flights_batch(100)}).error().id, error_id::kEvaluation);
}

// Both layers must join alike: a batch, the same rows in pieces, and lake files on many threads.
TEST(ScalarStage, JoinsReferenceTablesUnderTheirNames) {
  const Folder folder;
  const auto database = open_database(4, {folder.path()});
  const std::vector<Column> columns = {{"code", Type{TypeKind::kVarchar}},
                                       {"city \"x\"", Type{TypeKind::kVarchar}}};
  const std::vector<Type> types = {columns[0].type, columns[1].type};
  auto cities = std::make_shared<ColumnBatch>(types);
  for (const auto& [code, city] : {std::pair("SFO", "San Francisco, California"),
                                   std::pair("SFO", "Bay"), std::pair("LAX", "Los Angeles")}) {
    cities->column(0).push_string(code, cities->arena());
    cities->column(1).push_string(city, cities->arena());
  }
  const std::vector<ReferenceTable> tables = {
      {.name = "Cities", .columns = columns, .rows = cities},
      {.name = "none", .columns = columns, .rows = std::make_shared<ColumnBatch>(types)}};
  const std::string sql =
      "SELECT f._offset, c.\"city \"\"x\"\"\", n.code FROM flights f LEFT JOIN cities c ON c.code "
      "= "
      "f.origin LEFT JOIN none n ON n.code = f.origin WHERE f._offset < 3000";
  const auto stage = ScalarStage::prepare(*database, sql, flights(), tables);
  ASSERT_TRUE(stage) << stage.error().text();
  // A name is of one stage only: another may give it other rows.
  const auto other = ScalarStage::prepare(
      *database, sql, flights(),
      std::vector{tables[1], ReferenceTable{"CITIES", columns, tables[1].rows}});
  ASSERT_TRUE(other) << other.error().text();
  const std::vector<StreamBatch> batches = {flights_batch(2500), flights_batch(1500, 2500)};
  Rows expected;
  for (std::int64_t n = 0; n < 3000; ++n) {
    const Cells left = {std::to_string(n)};
    for (const char* city : {"Bay", "San Francisco, California"}) {
      if (n % 2 == 0) expected.push_back({left[0], city, std::nullopt});
    }
    if (n % 2 != 0) expected.push_back({left[0], std::nullopt, std::nullopt});
  }
  const auto sorted = [](Rows rows) {
    std::ranges::sort(rows);
    return rows;
  };
  expected = sorted(expected);
  Rows seen;
  ASSERT_TRUE(
      (*stage)->run(batches, [&](const BatchView& view) { add_rows(seen, view, value_text); }));
  EXPECT_EQ(sorted(seen), expected);
  Rows in_pieces;
  for (const auto& batch : batches) {
    ASSERT_TRUE((*stage)->run(
        {&batch, 1}, [&](const BatchView& view) { add_rows(in_pieces, view, value_text); }));
  }
  EXPECT_EQ(sorted(in_pieces), expected);

  const auto path = folder.path() / "flights.parquet";
  ASSERT_TRUE(write_parquet(*database, path, flights(), batches));
  Rows scanned;
  std::mutex mutex;
  const ScanStage scan{sql,
                       [&]() -> RowSink {
                         return [&](const BatchView& view) {
                           const std::scoped_lock lock(mutex);
                           add_rows(scanned, view, value_text);
                         };
                       },
                       tables};
  std::atomic<std::uint64_t> done = 0;
  const std::atomic<bool> cancel = false;
  const auto ended = scan_lake_files(*database, {&path, 1}, flights(), scan, done, cancel);
  ASSERT_TRUE(ended) << ended.error().text();
  EXPECT_EQ(sorted(scanned), expected);
}

TEST(ScalarStage, RefusesWhatCannotBeBound) {
  const auto database = open_database();
  for (const char* sql :
       {"SELECT nothing FROM flights", "SELECT delay FROM trains", "SELECT FROM",
        "SELECT [delay]::BIGINT[1] FROM flights", "SELECT 'a'::ENUM('a') FROM flights",
        "SELECT delay FROM flights; SELECT 1"}) {
    auto stage = ScalarStage::prepare(*database, sql, flights());
    ASSERT_FALSE(stage) << sql;
    EXPECT_EQ(stage.error().code, ErrorCode::kInvalidArgument) << stage.error().text();
  }
}

TEST(ScalarStage, StagesOfOneDatabaseRunAtOnce) {
  const auto database = open_database(1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto stage = ScalarStage::prepare(
          *database, fmt::format("SELECT _offset FROM flights WHERE _offset % 4 = {}", i),
          flights());
      ASSERT_TRUE(stage) << stage.error().text();
      for (std::uint64_t run = 0; run < 50; ++run) {
        auto rows = stage_rows(**stage, std::vector{flights_batch(400, run * 400)});
        ASSERT_TRUE(rows) << rows.error().text();
        EXPECT_EQ(rows->size(), 100U);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(LakeFiles, KeepEveryBitOfEveryType) {
  const Folder folder;
  const auto database = open_database(2, {folder.path()});
  const auto stream = stream_of(every_type());
  Random random(2);
  const auto path = folder.path() / "a?*.parquet";
  const std::vector batches = {
      random_batch(stream, random, 5000), random_batch(stream, random, 1, 0, 5000),
      random_batch(stream, random, 0, 1, 9), random_batch(stream, random, 700, 1, 9)};
  auto written = write_parquet(*database, path, stream, batches);
  ASSERT_TRUE(written) << written.error().text();
  EXPECT_EQ(written->rows, 5701U);
  auto statistics = read_parquet_statistics(*database, path);
  ASSERT_TRUE(statistics) << statistics.error().text();
  EXPECT_EQ(statistics->rows, written->rows);
  EXPECT_TRUE(statistics->offset_sum == written->offset_sum);

  Rows expected;
  for (const auto& batch : batches) {
    const auto views = batch.columns->views();
    add_rows(expected, {views, batch.columns->rows()}, bits_text);
  }
  Rows seen;
  std::vector<std::string> runs;
  auto status = read_lake_files(
      *database, std::vector{path}, stream, [&](const StreamBatch& batch) -> Status {
        EXPECT_EQ(batch.stream, stream.id);
        runs.push_back(fmt::format("{}:{}+{}@{}", batch.partition, batch.base_offset,
                                   batch.columns->rows(), batch.arrival_us));
        const auto views = batch.columns->views();
        add_rows(seen, {views, batch.columns->rows()}, bits_text);
        return {};
      });
  ASSERT_TRUE(status) << status.error().text();
  ASSERT_EQ(seen.size(), expected.size());
  for (std::size_t column = 0; column < stream.columns.size(); ++column) {
    for (std::size_t row = 0; row < seen.size(); ++row)
      ASSERT_EQ(seen[row][column], expected[row][column])
          << stream.columns[column].type.sql() << " in row " << row;
  }
  EXPECT_EQ(runs, (std::vector<std::string>{"0:0+2048@1000000", "0:2048+2048@1000000",
                                            "0:4096+904@1000000", "0:5000+1@1005000",
                                            "1:9+700@1000009"}));
}

TEST(LakeFiles, ASelectOverThemHasTheTypesOfTheStream) {
  const Folder folder;
  const auto database = open_database(1, {folder.path()});
  const auto stream = stream_of(every_type());
  Random random(3);
  const std::vector paths = {folder.path() / "a.parquet"};
  ASSERT_TRUE(
      write_parquet(*database, paths[0], stream, std::vector{random_batch(stream, random, 10)}));
  const std::vector relative = {std::filesystem::relative(paths[0])};
  EXPECT_EQ(read_parquet_statistics(*database, relative[0])->rows, 10U);
  auto connection = database->connect();
  auto columns = (*connection)->describe(lake_select(relative, stream.columns, true));
  ASSERT_TRUE(columns) << columns.error().text();
  auto expected = stream.columns;
  expected.push_back({"_partition", Type{TypeKind::kInteger}});
  expected.push_back({"_offset", Type{TypeKind::kBigInt}});
  expected.push_back({"_arrival", Type{TypeKind::kTimestampTz}});
  EXPECT_EQ(*columns, expected);
}

struct ScanResult {
  Rows rows;
  std::size_t sinks = 0;
  std::uint64_t rows_done = 0;
  Status status;
};

ScanResult scan(Database& database, std::span<const std::filesystem::path> paths,
                const std::string& sql) {
  ScanResult out;
  std::mutex mutex;
  std::map<std::size_t, Rows> tables;
  std::atomic<std::uint64_t> rows_done = 0;
  const std::atomic<bool> cancel = false;
  const ScanStage stage{sql, [&]() -> RowSink {
                          const std::lock_guard lock(mutex);
                          Rows* rows = &tables[tables.size()];
                          return [rows, owner = std::this_thread::get_id()](const BatchView& view) {
                            EXPECT_EQ(std::this_thread::get_id(), owner);
                            add_rows(*rows, view, value_text);
                          };
                        }};
  out.status = scan_lake_files(database, paths, flights(), stage, rows_done, cancel);
  out.sinks = tables.size();
  out.rows_done = rows_done;
  for (auto& [number, rows] : tables) out.rows.insert(out.rows.end(), rows.begin(), rows.end());
  std::ranges::sort(out.rows);
  return out;
}

std::vector<std::filesystem::path> write_flights(Database& database, const Folder& folder,
                                                 int files, std::size_t rows) {
  std::vector<std::filesystem::path> paths;
  for (int i = 0; i < files; ++i) {
    paths.push_back(folder.path() / fmt::format("day=2001-01-0{}.parquet", i));
    auto written =
        write_parquet(database, paths.back(), flights(),
                      std::vector{flights_batch(rows, static_cast<std::uint64_t>(i) * rows)});
    EXPECT_TRUE(written) << written.error().text();
  }
  return paths;
}

TEST(LakeFiles, AScanOnManyThreadsSeesWhatOneThreadSees) {
  const Folder folder;
  const auto one = open_database(1, {folder.path()});
  const auto four = open_database(4, {folder.path()});
  const auto paths = write_flights(*one, folder, 4, 20'000);
  for (const char* sql :
       {"SELECT origin, delay, _offset FROM flights WHERE delay > 500", "SELECT TRUE FROM flights",
        "SELECT date FROM flights WHERE origin = 'nowhere'"}) {
    const auto serial = scan(*one, paths, sql);
    const auto parallel = scan(*four, paths, sql);
    ASSERT_TRUE(serial.status) << serial.status.error().text();
    ASSERT_TRUE(parallel.status) << parallel.status.error().text();
    EXPECT_EQ(serial.rows, parallel.rows) << sql;
    EXPECT_EQ(serial.rows_done, serial.rows.size());
    EXPECT_EQ(parallel.rows_done, parallel.rows.size());
    EXPECT_LE(serial.sinks, 1U);
    EXPECT_LE(parallel.sinks, 4U);
  }
  EXPECT_EQ(scan(*one, paths, "SELECT TRUE FROM flights").rows.size(), 80'000U);
  EXPECT_TRUE(scan(*one, {}, "SELECT TRUE FROM flights").status);
}

TEST(LakeFiles, AreReadBackInTheirOrder) {
  const Folder folder;
  const auto database = open_database(4, {folder.path()});
  const auto paths = write_flights(*database, folder, 3, 130'000);
  std::uint64_t next = 0;
  auto status =
      read_lake_files(*database, paths, flights(), [&](const StreamBatch& batch) -> Status {
        EXPECT_EQ(batch.base_offset.value, next);
        EXPECT_LE(batch.columns->rows(), 2048U);
        next += batch.columns->rows();
        return {};
      });
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(next, 390'000U);
  status = read_lake_files(*database, paths, flights(), [&](const StreamBatch&) -> Status {
    return fail(ErrorCode::kCancelled, error_id::kStopping, "enough");
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "enough");
}

TEST(LakeFiles, AScanEndsSoonAfterItIsCancelled) {
  const Folder folder;
  const auto database = open_database(2, {folder.path()});
  const auto paths = write_flights(*database, folder, 2, 50'000);
  // No row passes the filter, so the sink is never called: the cancel must be seen without it.
  const std::string slow =
      "SELECT delay FROM flights WHERE length(repeat(md5(origin || _offset), 4000)) < 3";
  std::atomic<std::uint64_t> rows_done = 0;
  std::atomic<bool> cancel = false;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancel = true;
  });
  const ScanStage stage{slow, [] { return [](const BatchView&) {}; }};
  auto status = scan_lake_files(*database, paths, flights(), stage, rows_done, cancel);
  other.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled) << status.error().text();
  // From inside the sink.
  cancel = false;
  const ScanStage from_sink{"SELECT delay FROM flights",
                            [&] { return [&](const BatchView&) { cancel = true; }; }};
  status = scan_lake_files(*database, paths, flights(), from_sink, rows_done, cancel);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled) << status.error().text();
}

TEST(LakeFiles, ErrorsOfRowsAndOfFilesAreToldApart) {
  const Folder folder;
  const auto database = open_database(2, {folder.path()});
  const auto paths = write_flights(*database, folder, 1, 5000);
  const auto rows = scan(*database, paths, "SELECT CAST(origin AS INTEGER) FROM flights");
  ASSERT_FALSE(rows.status);
  EXPECT_EQ(rows.status.error().id, error_id::kEvaluation) << rows.status.error().text();
  std::filesystem::resize_file(paths[0], 100);
  const auto torn = scan(*database, paths, "SELECT delay FROM flights");
  ASSERT_FALSE(torn.status);
  EXPECT_EQ(torn.status.error().code, ErrorCode::kDataLoss) << torn.status.error().text();
  EXPECT_EQ(read_parquet_statistics(*database, paths[0]).error().code, ErrorCode::kDataLoss);
  std::filesystem::remove(paths[0]);
  const auto gone = read_parquet_statistics(*database, paths[0]);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kUnavailable) << gone.error().text();
  const auto nowhere = write_parquet(*database, folder.path() / "none" / "a.parquet", flights(),
                                     std::vector{flights_batch(10)});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kUnavailable) << nowhere.error().text();
}

}  // namespace
}  // namespace millrace::sql
