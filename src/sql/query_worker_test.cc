// Queries in worker processes, from the outside: answers, limits, and what a query must not do.
// This file has the main function of the module's tests, because the same program is the worker.
#include "sql/query_worker.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "runtime/clock.h"
#include "runtime/simulated_file_system.h"
#include "sql/database.h"
#include "sql/lake_select.h"
#include "sql/worker_sandbox.h"

namespace millrace::sql {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "query_worker_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::vector<std::string> rows_of(const QueryResult& result) {
  std::vector<std::string> rows;
  for (const auto& batch : result.batches) {
    const auto views = batch->views();
    for (std::size_t row = 0; row < batch->rows(); ++row) {
      std::string line;
      for (const ColumnView& column : views) {
        if (!line.empty()) line += '|';
        line += value_text(column, row).value_or("NULL");
      }
      rows.push_back(std::move(line));
    }
  }
  return rows;
}

StreamDefinition flights() {
  StreamDefinition stream;
  stream.id = StreamId(1);
  stream.name = "flights";
  stream.columns = {{"origin", {TypeKind::kVarchar}},
                    {"delay", {TypeKind::kBigInt}},
                    {"big", {TypeKind::kHugeInt}}};
  return stream;
}

/// Events with the offsets [begin, end): delay is the offset, every tenth origin is NULL.
StreamBatch events(std::uint64_t begin, std::uint64_t end) {
  ColumnBatch batch(flights().types());
  for (std::uint64_t i = begin; i < end; ++i) {
    if (i % 10 == 0) {
      batch.column(0).push_null();
    } else {
      batch.column(0).push_string(i % 3 == 0 ? "an origin with a long name" : "AMS", batch.arena());
    }
    batch.column(1).push<std::int64_t>(static_cast<std::int64_t>(i));
    batch.column(2).push<Int128>((Int128{1} << 100) + static_cast<Int128>(i));
  }
  return {.stream = StreamId(1),
          .partition = PartitionId(0),
          .base_offset = Offset(begin),
          .arrival_us = 1'000'000,
          .columns = std::make_shared<const ColumnBatch>(std::move(batch))};
}

class QueryWorkersTest : public ::testing::Test {
 protected:
  void start(std::uint32_t workers_max = 2,
             std::uint64_t memory_bytes_max = std::uint64_t{256} << 20) {
    QueryWorkerOptions options;
    options.lake_folder = folder_.path();
    options.workers_max = workers_max;
    options.memory_bytes_max = memory_bytes_max;
    options.spill_folder = folder_.path();
    options.spill_after_bytes = spill_after_bytes_;
    options.files = files_;
    auto workers = QueryWorkers::start(options);
    ASSERT_TRUE(workers) << workers.error().text();
    workers_ = std::move(*workers);
  }
  Result<QueryResult> run(std::string select, std::uint64_t deadline_ms = 60'000) {
    Query query;
    query.select = std::move(select);
    query.deadline_ms = deadline_ms;
    return workers_->run(query);
  }
  std::vector<std::string> rows(const Query& query) {
    const auto result = workers_->run(query);
    EXPECT_TRUE(result) << query.select << "\n" << (result ? "" : result.error().text());
    return result ? rows_of(*result) : std::vector<std::string>();
  }
  std::vector<std::string> rows(std::string select) {
    Query query;
    query.select = std::move(select);
    return rows(query);
  }
  std::filesystem::path lake_file(std::string_view name, std::uint64_t begin, std::uint64_t end) {
    DatabaseOptions options;
    options.folders = {folder_.path()};
    auto database = Database::open(options);
    EXPECT_TRUE(database);
    auto connection = (*database)->connect();
    EXPECT_TRUE(connection);
    const auto path = folder_.path() / name;
    // The rows of events(begin, end).
    const auto written =
        (*connection)
            ->execute(fmt::format("COPY (SELECT {} FROM (SELECT CASE WHEN i % 10 = 0 THEN NULL "
                                  "WHEN i % 3 = 0 THEN 'an origin with a long "
                                  "name' ELSE 'AMS' END AS origin, i::BIGINT AS delay, (1::HUGEINT "
                                  "<< 100) + i AS big, 0::INTEGER AS "
                                  "_partition, i::BIGINT AS _offset, TIMESTAMPTZ '1970-01-01 "
                                  "00:00:01+00' AS _arrival FROM range({}, {}) "
                                  "t(i))) TO '{}' (FORMAT parquet)",
                                  parquet_items(flights().columns), begin, end, path.string()));
    EXPECT_TRUE(written) << (written ? "" : written.error().text());
    return path;
  }
  static QueryRelation relation(std::string name) {
    QueryRelation made;
    made.name = std::move(name);
    made.columns = flights().columns;
    return made;
  }

  Folder folder_;
  runtime::FileSystem* files_ = &runtime::system_files();
  std::uint64_t spill_after_bytes_ = std::uint64_t{8} << 20;
  std::unique_ptr<QueryWorkers> workers_;
};

/// The processes that this one has started and not yet waited for.
std::vector<pid_t> children(pid_t of) {
  std::vector<pid_t> found;
  std::error_code ignored;
  const std::filesystem::path tasks = fmt::format("/proc/{}/task", of);
  for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
    std::ifstream file(task.path() / "children");
    for (pid_t pid = 0; file >> pid;) found.push_back(pid);
  }
  return found;
}

TEST_F(QueryWorkersTest, GiveTypesAndValuesAsTheyAre) {
  start();
  const auto result = run(
      "SELECT 1 AS a, 'x' AS b, NULL::DOUBLE AS c, 1.50::DECIMAL(9,2) AS d, true AS e, DATE "
      "'2001-02-03' AS f, "
      "TIMESTAMPTZ '2001-02-03 04:05:06+00' AS g, [1, NULL] AS h, INTERVAL 1 DAY AS i, "
      "uuid '00000000-0000-0000-0000-000000000001' AS j, '\\x01'::BLOB AS k, "
      "170141183460469231731687303715884105727::HUGEINT AS l, {'a b': map(['k'], [[1.5]])} AS m, "
      "TIME '01:02:03' AS n, [1]::INTEGER[1] AS o");
  ASSERT_TRUE(result) << result.error().text();
  std::vector<std::string> columns;
  for (const Column& column : result->columns)
    columns.push_back(column.name + " " + column.type.sql());
  EXPECT_THAT(columns, ElementsAre("a INTEGER", "b VARCHAR", "c DOUBLE", "d DECIMAL(9,2)",
                                   "e BOOLEAN", "f DATE", "g TIMESTAMP WITH TIME ZONE",
                                   "h INTEGER[]", "i INTERVAL", "j UUID", "k BLOB", "l HUGEINT",
                                   "m STRUCT(\"a b\" MAP(VARCHAR, DECIMAL(2,1)[]))", "n TIME",
                                   "o INTEGER[]"));
  EXPECT_THAT(
      rows_of(*result),
      ElementsAre(
          "1|x|NULL|1.50|true|2001-02-03|2001-02-03 04:05:06+00|[1, NULL]|1 day|"
          "00000000-0000-0000-0000-000000000001|\\x01|170141183460469231731687303715884105727|"
          "{'a b': {k=[1.5]}}|01:02:03|[1]"));
  EXPECT_EQ(result->rows, 1u);
  EXPECT_FALSE(result->truncated);
}

TEST_F(QueryWorkersTest, TakeRowsWithNestedValuesAndGiveThemBack) {
  start();
  const auto made = run(
      "SELECT i % 10 AS k, list(CASE WHEN i % 3 = 0 THEN NULL ELSE {'v': i, 't': 'text number ' || "
      "i} END ORDER BY i) AS l, histogram(i % 4) AS h, max(i) * INTERVAL 1 MINUTE AS d FROM "
      "range(50000) AS r(i) GROUP BY k");
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->columns[1].type.sql(), "STRUCT(v BIGINT, t VARCHAR)[]");
  Query query;
  query.relations.push_back({.name = "made", .columns = made->columns, .rows = made->batches});
  query.select =
      "SELECT k, l[2].t, l[1] IS NULL, len(l), h, d FROM made WHERE k IN (0, 4) ORDER BY k";
  EXPECT_THAT(rows(query), ElementsAre("0|text number 10|true|5000|{0=2500, 2=2500}|833:10:00",
                                       "4|text number 14|false|5000|{0=2500, 2=2500}|833:14:00"));
  query.select = "SELECT * FROM made ORDER BY k";
  const auto again = workers_->run(query);
  ASSERT_TRUE(again) << again.error().text();
  auto sorted = rows_of(*made);
  std::ranges::sort(sorted);
  EXPECT_EQ(rows_of(*again), sorted);
}

TEST_F(QueryWorkersTest, CountEventsOfLakeAndTailOnce) {
  const auto first = lake_file("one.parquet", 0, 5000);
  const auto second = lake_file("two.parquet", 5000, 7000);
  start();
  Query query;
  query.relations.push_back(relation("Flights"));
  query.relations[0].lake_files = {first, second};
  query.relations[0].tail = {events(7000, 9500), events(9500, 9501)};
  query.select = "SELECT count(*), sum(delay), count(origin), max(big) - min(big) FROM flights";
  EXPECT_THAT(rows(query), ElementsAre("9501|45129750|8550|9500"));
  query.select =
      "SELECT count(*) FROM main.flights AS a JOIN flights AS b USING (delay) WHERE a.big = b.big";
  EXPECT_THAT(rows(query), ElementsAre("9501"));
  query.select = "SELECT _offset FROM flights";
  EXPECT_FALSE(workers_->run(query));

  query.relations[0].hidden_columns = true;
  query.select =
      "SELECT count(DISTINCT _offset), min(_partition), max(_arrival), bool_and(_offset = delay) "
      "FROM flights";
  EXPECT_THAT(rows(query), ElementsAre("9501|0|1970-01-01 00:00:01+00|true"));

  query.relations[0].lake_files.clear();
  query.select = "SELECT count(*) FROM flights";
  EXPECT_THAT(rows(query), ElementsAre("2501"));
  query.relations[0].tail.clear();
  EXPECT_THAT(rows(query), ElementsAre("0"));
}

TEST_F(QueryWorkersTest, ReadMergedRowsAndPlainViews) {
  start();
  Query query;
  query.relations.push_back(relation("delays"));
  query.relations[0].rows = {events(0, 10).columns, events(10, 30).columns};
  query.views = {{"late", "SELECT * FROM delays WHERE delay >= 10"},
                 {"later", "SELECT delay + 1 AS d FROM late"}};
  query.select = "SELECT count(*), min(d), max(d) FROM later";
  EXPECT_THAT(rows(query), ElementsAre("20|11|30"));
  // What one query has made, another does not see.
  EXPECT_FALSE(run("SELECT * FROM later"));
  EXPECT_FALSE(run("SELECT * FROM delays"));
  EXPECT_FALSE(run("SELECT * FROM mr_source(1)"));
}

TEST_F(QueryWorkersTest, EqualDuckDbDirectly) {
  start();
  auto database = Database::open({});
  ASSERT_TRUE(database);
  auto connection = (*database)->connect();
  ASSERT_TRUE(connection);
  for (const std::string select : {"SELECT i % 7 AS k, count(*), avg(i * 0.1), "
                                   "string_agg(i::VARCHAR, ',' ORDER BY i) FROM range(1000) t(i) "
                                   "GROUP BY k ORDER BY k",
                                   "SELECT i, row_number() OVER (ORDER BY i DESC), sum(i) OVER "
                                   "(ORDER BY i) FROM range(5000) t(i) ORDER BY i",
                                   "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r "
                                   "WHERE n < 50) SELECT * FROM r"}) {
    QueryResult direct;
    auto columns = (*connection)->query(select, [&](const BatchView& view) -> Status {
      std::vector<Type> types;
      for (const auto& column : view.columns) types.push_back(column.type);
      ColumnBatch copy{types};
      copy.append_all(view);
      direct.batches.push_back(std::make_shared<const ColumnBatch>(std::move(copy)));
      return {};
    });
    ASSERT_TRUE(columns) << columns.error().text();
    EXPECT_EQ(rows(select), rows_of(direct));
  }
}

TEST_F(QueryWorkersTest, StopAtTheLimitsOfRowsAndBytes) {
  start();
  Query query;
  query.select = "SELECT i FROM range(1000000000) t(i)";
  query.rows_max = 5000;
  auto result = workers_->run(query);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->rows, 5000u);
  EXPECT_EQ(rows_of(*result).size(), 5000u);
  EXPECT_TRUE(result->truncated);
  EXPECT_EQ(result->columns.size(), 1u);

  query.rows_max = 1000;
  query.select = "SELECT i FROM range(1000) t(i)";
  result = workers_->run(query);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->rows, 1000u);
  EXPECT_FALSE(result->truncated);

  query.rows_max = 1'000'000;
  query.result_bytes_max = 1 << 20;
  query.select = "SELECT repeat('x', 1000) FROM range(100000)";
  result = workers_->run(query);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->truncated);
  EXPECT_LT(result->rows, 2000u);
}

TEST_F(QueryWorkersTest, GiveAllRowsOfAnAnswerThatIsWantedWhole) {
  spill_after_bytes_ = 100'000;
  start();
  for (const std::string select :
       {"SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'number ' || i END, [i, NULL] "
        "FROM range(30000) t(i) ORDER BY i",
        // A chunk of these is more than a frame may have.
        "SELECT i, repeat(chr(65 + i::INTEGER % 26), 20000) FROM range(1500) t(i) ORDER BY i",
        "SELECT 1 AS a", "SELECT 1 AS a WHERE false"}) {
    Query query;
    query.select = select;
    const auto bounded = rows(query);
    query.rows_max = 10;
    query.result_bytes_max = 1'000'000;  // of a row
    query.spill_bytes_max = 100'000'000;
    auto result = workers_->run(query);
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_FALSE(result->truncated);
    EXPECT_EQ(result->rows, bounded.size());
    EXPECT_EQ(result->rest != nullptr, bounded.size() > 10) << select;
    while (result->rest != nullptr && !result->rest->at_end()) {
      auto batch = result->rest->next();
      ASSERT_TRUE(batch) << batch.error().text();
      EXPECT_LE((*batch)->size_bytes(), 6'000'000u);
      result->batches.push_back(std::move(*batch));
    }
    EXPECT_EQ(rows_of(*result), bounded);
  }
  EXPECT_EQ(workers_->spilled().answers, 2u);
  EXPECT_EQ(workers_->spilled().held_bytes, 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(QueryWorkersTest, CutOffAWholeAnswerWhereItOrARowIsTooLarge) {
  spill_after_bytes_ = 100'000;
  start();
  Query query;
  query.select = "SELECT repeat('x', 1000) FROM range(100000)";
  query.spill_bytes_max = 2'000'000;
  auto result = workers_->run(query);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->truncated);
  EXPECT_LE(workers_->spilled().bytes, 2'100'000u);
  query.select = "SELECT repeat('x', 1000 + i::INTEGER * 100000) FROM range(10) t(i)";
  query.result_bytes_max = 500'000;
  result = workers_->run(query);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->truncated);
  query.spill_bytes_max = 20'000'000;
  query.result_bytes_max = 1'500'000;
  result = workers_->run(query);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_FALSE(result->truncated);
}

TEST_F(QueryWorkersTest, EndOnlyTheAnswerForWhichTheDiskIsFull) {
  spill_after_bytes_ = 100'000;
  runtime::SimulatedFileSystem disk(1);
  disk.set_faults([](const runtime::SimulatedFileSystem::Call& call) {
    using Disk = runtime::SimulatedFileSystem;
    const bool full = call.operation == Disk::Operation::kWrite && call.number > 5;
    return full ? Disk::Fault::kDiskFull : Disk::Fault::kNone;
  });
  files_ = &disk;
  start();
  Query query;
  query.select = "SELECT repeat('x', 1000) FROM range(100000)";
  query.spill_bytes_max = std::uint64_t{1} << 30;
  const auto full = workers_->run(query);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().id, error_id::kDiskFull);
  EXPECT_EQ(workers_->spilled().held_bytes, 0u);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(QueryWorkersTest, SayWhatIsWrongWithAQuery) {
  start();
  const auto missing = run("SELECT nothing FROM range(3)");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(missing.error().id, error_id::kColumnNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("nothing"));
  const auto failing = run("SELECT ('x' || i)::INT FROM range(3) t(i)");
  ASSERT_FALSE(failing);
  EXPECT_EQ(failing.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

// Layers below the list of functions: here the text was not checked, and still does no harm.
TEST_F(QueryWorkersTest, KeepUncheckedTextFromFilesAndNetwork) {
  const auto file = lake_file("one.parquet", 0, 10);
  const auto size = std::filesystem::file_size(file);
  start();
  EXPECT_THAT(rows("SELECT count(*) FROM read_parquet('" + file.string() + "')"),
              ElementsAre("10"));
  const std::string inside = (folder_.path() / "new").string();
  for (const std::string& text : std::vector<std::string>{
           "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/hostname')",
           "SELECT * FROM read_text('" + folder_.path().string() + "/../../etc/hostname')",
           "COPY (SELECT 1) TO '" + inside + ".parquet'",
           "COPY (SELECT 1) TO '" + file.string() + "'",
           "COPY (SELECT 1) TO '/tmp/query_worker_escape.csv'", "ATTACH '" + inside + ".db' AS x",
           "EXPORT DATABASE '" + inside + "'", "INSTALL httpfs", "LOAD httpfs",
           "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')", "SET threads = 1",
           "SET enable_external_access = true", "SET temp_directory = '" + inside + "'",
           "CALL enable_logging(storage = 'file', storage_path = '" + inside + "')",
           "SELECT getenv('HOME')"}) {
    const auto result = run(text);
    // Logging to a file may be taken, and break at the next statement of that worker.
    if (result) EXPECT_THAT(text, HasSubstr("enable_logging")) << text;
  }
  EXPECT_EQ(std::filesystem::file_size(file), size);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    ++files;
  EXPECT_EQ(files, 1u);
  EXPECT_FALSE(std::filesystem::exists("/tmp/query_worker_escape.csv"));
  // A worker that a query has broken is given up sooner or later; others answer.
  bool answered = false;
  for (int i = 0; i < 5 && !answered; ++i) answered = run("SELECT 1").has_value();
  EXPECT_TRUE(answered);
}

constexpr std::string_view kEndless =
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000000000) SELECT "
    "max(n) FROM r";

// Promise: one client's query does not keep another's waiting.
TEST_F(QueryWorkersTest, StopAnEndlessQueryAtItsDeadlineWhileAnotherAnswers) {
  start(2);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  const std::int64_t begin = runtime::monotonic_us();
  std::int64_t took_us = 0;
  std::thread endless([&] {
    const auto result = run(std::string(kEndless), 1500);
    took_us = runtime::monotonic_us() - begin;
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(result.error().id, error_id::kSqlDeadline);
  });
  for (int i = 0; i < 5; ++i) EXPECT_THAT(rows("SELECT 2"), ElementsAre("2"));
  endless.join();
  EXPECT_GE(took_us, 1'500'000);
  EXPECT_LT(took_us, 10'000'000);
  EXPECT_THAT(rows("SELECT 3"), ElementsAre("3"));
}

TEST_F(QueryWorkersTest, SayThatTheyAreBusy) {
  start(1);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  std::thread endless([&] { EXPECT_FALSE(run(std::string(kEndless), 3000)); });
  Result<QueryResult> result = run("SELECT 1", 100);
  while (result) result = run("SELECT 1", 100);  // until the other thread has the worker
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(result.error().id, error_id::kBusy);
  endless.join();
}

TEST_F(QueryWorkersTest, RefuseWhatTakesTooMuchMemory) {
  start(2, std::uint64_t{128} << 20);
  const auto result = run("SELECT list(repeat('x', 1000) || i) FROM range(10000000) t(i)");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted) << result.error().text();
  EXPECT_EQ(result.error().id, error_id::kSqlMemory) << result.error().text();
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(QueryWorkersTest, SurviveTheKillOfAWorkerInMidQuery) {
  start(1);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  for (const int signal : {SIGKILL, SIGSEGV}) {
    const auto workers = children(getpid());
    ASSERT_EQ(workers.size(), 1u);
    Result<QueryResult> result;
    std::thread caller([&] { result = run(std::string(kEndless)); });
    // Its state says that it works: the query has come to it.
    const auto ticks = [&] {
      std::ifstream file(fmt::format("/proc/{}/stat", workers[0]));
      std::string field;
      long sum = 0;
      for (int i = 1; i <= 15 && file >> field; ++i) {
        if (i >= 14) sum += std::stol(field);
      }
      return sum;
    };
    for (const long before = ticks(); ticks() < before + 10;) std::this_thread::yield();
    kill(workers[0], signal);
    caller.join();
    ASSERT_FALSE(result);
    if (signal == SIGKILL) {
      EXPECT_EQ(result.error().id, error_id::kSqlMemory) << result.error().text();
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::kInternal) << result.error().text();
      EXPECT_THAT(result.error().message, HasSubstr("the query ended its worker process"));
    }
    EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  }
}

TEST_F(QueryWorkersTest, ReplaceAWorkerThatDiedWhileItWasIdle) {
  start(1);
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
    const auto workers = children(getpid());
    ASSERT_EQ(workers.size(), 1u);
    kill(workers[0], SIGKILL);
  }
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(QueryWorkersTest, AnswerAHundredQueriesAtOnceWithTwoProcesses) {
  start(2);
  std::vector<std::thread> callers;
  std::atomic<int> right = 0;
  for (int i = 0; i < 100; ++i) {
    callers.emplace_back([&, i] {
      Query query;
      query.relations.push_back(relation("flights"));
      query.relations[0].tail = {events(0, static_cast<std::uint64_t>(i))};
      query.select = "SELECT count(*) FROM flights";
      query.deadline_ms = 120'000;
      const auto result = workers_->run(query);
      if (result && rows_of(*result) == std::vector{std::to_string(i)}) ++right;
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(right, 100);
  EXPECT_LE(children(getpid()).size(), 2u);
}

TEST_F(QueryWorkersTest, RenewAWorkerAfterManyQueries) {
  start(1);
  EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  const auto before = children(getpid());
  for (int i = 0; i < 200; ++i) EXPECT_THAT(rows("SELECT 1"), ElementsAre("1"));
  EXPECT_NE(children(getpid()), before);
}

TEST_F(QueryWorkersTest, AnswerATrivialQueryInMilliseconds) {
  start(1);
  Query query;
  query.relations.push_back(relation("flights"));
  query.select = "SELECT count(*) FROM flights";
  std::vector<std::int64_t> times;
  for (int i = 0; i < 101; ++i) {
    const std::int64_t begin = runtime::monotonic_us();
    EXPECT_THAT(rows(query), ElementsAre("0"));
    times.push_back(runtime::monotonic_us() - begin);
  }
  std::ranges::sort(times);
  RecordProperty("median_us", static_cast<int>(times[50]));
  EXPECT_LT(times[50], 100'000) << "3,000 in a release build on a quiet machine";
}

TEST_F(QueryWorkersTest, SayWhyTheyDoNotStart) {
  QueryWorkerOptions options;
  options.executable = "/nowhere/millrace";
  auto workers = QueryWorkers::start(options);
  ASSERT_TRUE(workers);
  Query query;
  query.select = "SELECT 1";
  const auto result = (*workers)->run(query);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr("/nowhere/millrace"));
}

// --- what needs a process of its own: this program again, see main() ---

/// Starts this program with the arguments; `pid` and `out` are its own to wait for and to close.
pid_t start_program(const std::vector<std::string>& arguments, int out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  std::vector<std::string> all = {"/proc/self/exe"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, pointers.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

TEST(QueryWorkers, EndWithTheServer) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t server = start_program({"hold-workers"}, ends[1]);
  close(ends[1]);
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);  // it has had an answer
  close(ends[0]);
  const auto workers = children(server);
  ASSERT_EQ(workers.size(), 1u);
  kill(server, SIGKILL);
  ASSERT_EQ(waitpid(server, nullptr, 0), server);
  // Whoever adopts orphans waits for it in its own time: gone, or a zombie.
  const auto runs = [&] {
    std::ifstream file(fmt::format("/proc/{}/stat", workers[0]));
    std::string pid;
    std::string name;
    std::string state;
    return static_cast<bool>(file >> pid >> name >> state) && state != "Z" && state != "X";
  };
  const std::int64_t limit = runtime::monotonic_us() + 10'000'000;
  while (runs() && runtime::monotonic_us() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(runs());
}

TEST(Sandbox, LeavesReadingTheFolderAndNothingElse) {
  const Folder folder;
  std::ofstream(folder.path() / "file") << "content";
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t probe = start_program({"probe-sandbox", folder.path().string()}, ends[1]);
  close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(probe, &status, 0), probe);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(out, "done\n");
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "file"), 7u);
}

/// In a process of its own: prints what the sandbox did not keep it from.
int probe_sandbox(const std::filesystem::path& folder) {
  const pid_t parent = getppid();
  if (auto entered = enter_sandbox({.readable = {folder}}); !entered) {
    fmt::print("{}\n", entered.error().text());
    return 1;
  }
  const std::string file = (folder / "file").string();
  const std::string fresh = (folder / "fresh").string();
  const auto refused = [](std::string_view what, long result) {
    if (result >= 0 || (errno != EPERM && errno != EACCES))
      fmt::print("{}: {} {}\n", what, result, errno);
  };
  const int reading = open(file.c_str(), O_RDONLY);
  if (reading < 0) fmt::print("the folder cannot be read\n");
  refused("read outside", open("/etc/passwd", O_RDONLY));
  refused("read /proc", open("/proc/self/environ", O_RDONLY));
  refused("read above", open((folder / "../../etc/passwd").c_str(), O_RDONLY));
  refused("write", open(file.c_str(), O_WRONLY));
  refused("read and write", open(file.c_str(), O_RDWR));
  refused("cut", open(file.c_str(), O_RDONLY | O_TRUNC));
  refused("create", open(fresh.c_str(), O_CREAT | O_RDONLY, 0600));
  refused("temporary", open(folder.c_str(), O_TMPFILE | O_RDWR, 0600));
  refused("truncate", truncate(file.c_str(), 0));
  refused("ftruncate", ftruncate(reading, 0));
  refused("unlink", unlink(file.c_str()));
  refused("rename", rename(file.c_str(), fresh.c_str()));
  refused("link", link(file.c_str(), fresh.c_str()));
  refused("symlink", symlink("/etc/passwd", fresh.c_str()));
  refused("mkdir", mkdir(fresh.c_str(), 0700));
  refused("chmod", chmod(file.c_str(), 0777));
  refused("socket", socket(AF_INET, SOCK_STREAM, 0));
  refused("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
  refused("fork", fork());
  char* const none[] = {nullptr};
  refused("exec", execve("/bin/true", none, none));
  refused("kill", kill(parent, 0));
  refused("ptrace", syscall(SYS_ptrace, 16, parent, 0, 0));
  refused("io_uring", syscall(SYS_io_uring_setup, 1, nullptr));
  refused("unshare", syscall(SYS_unshare, 0x10000000));
  refused("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr));
  refused("memfd", syscall(SYS_memfd_create, "x", 0));
  refused("death signal", prctl(PR_SET_PDEATHSIG, 0));
  const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  refused("limits", setrlimit(RLIMIT_FSIZE, &limit));
  std::atomic<int> ran = 0;
  std::thread([&] { ran = 1; }).join();  // threads there must be
  fmt::print("{}\n", ran == 1 ? "done" : "no threads");
  return 0;
}

int hold_workers() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that failed leaves nothing behind
  auto workers = QueryWorkers::start({});
  if (!workers) return 1;
  Query query;
  query.select = "SELECT 1";
  const auto result = (*workers)->run(query);
  fmt::print("{}\n", result ? "answered" : result.error().text());
  std::fflush(stdout);
  pause();
  return 0;
}

}  // namespace
}  // namespace millrace::sql

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "sql-worker") return millrace::sql::query_worker_main(argc, argv);
  if (command == "hold-workers") return millrace::sql::hold_workers();
  if (command == "probe-sandbox" && argc > 2) {
    const int code = millrace::sql::probe_sandbox(argv[2]);
    std::fflush(stdout);
    _exit(code);
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
