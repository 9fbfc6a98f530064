// What is asked of views and what statements answer: values of query strings, reads by key, prefix
// and filter, and the errors of statements that make, drop and show.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <future>

#include "model/value_text.h"
#include "runtime/clock.h"
#include "runtime/file_system.h"
#include "serving/statement_runner.h"
#include "serving/value_parser.h"
#include "serving/view_reader.h"

namespace millrace::serving {
namespace {

using testing::HasSubstr;

std::optional<std::string> parsed(Type type, std::string_view text) {
  ColumnBatch batch(std::span(&type, 1));
  const auto status = push_parsed(text, batch.column(0), batch.arena());
  if (!status) {
    EXPECT_EQ(status.error().id, error_id::kBadValue);
    EXPECT_THAT(status.error().message, HasSubstr(type.sql()));
    EXPECT_EQ(batch.column(0).rows(), 0U);
    return std::nullopt;
  }
  EXPECT_EQ(batch.column(0).rows(), 1U);
  return value_text(batch.column(0).view(), 0);
}

TEST(ValueParser, TakesTheFormsOfEachTypeAndNoOthers) {
  struct Case {
    Type type;
    std::vector<std::pair<const char*, const char*>> good;
    std::vector<const char*> bad;
  };
  const Case cases[] = {
      {{TypeKind::kBoolean},
       {{"true", "true"}, {"false", "false"}},
       {"", "TRUE", "1", "t", "true "}},
      {{TypeKind::kTinyInt},
       {{"-128", "-128"}, {"127", "127"}},
       {"128", "-129", "1.0", "", " 1", "1 ", "+1", "0x1"}},
      {{TypeKind::kSmallInt}, {{"-32768", "-32768"}}, {"32768"}},
      {{TypeKind::kInteger}, {{"2147483647", "2147483647"}}, {"2147483648"}},
      {{TypeKind::kBigInt},
       {{"-9223372036854775808", "-9223372036854775808"}},
       {"9223372036854775808", "1e3"}},
      {{TypeKind::kUTinyInt}, {{"255", "255"}}, {"256", "-1"}},
      {{TypeKind::kUSmallInt}, {{"65535", "65535"}}, {"65536"}},
      {{TypeKind::kUInteger}, {{"4294967295", "4294967295"}}, {"4294967296"}},
      {{TypeKind::kUBigInt},
       {{"18446744073709551615", "18446744073709551615"}},
       {"18446744073709551616", "-1"}},
      {{TypeKind::kHugeInt},
       {{"170141183460469231731687303715884105727", "170141183460469231731687303715884105727"},
        {"-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"},
        {"-7", "-7"},
        {"0", "0"}},
       {"170141183460469231731687303715884105728", "-170141183460469231731687303715884105729", "",
        "-", "1.5", "7x", "9999999999999999999999999999999999999999"}},
      {{TypeKind::kFloat}, {{"0.1", "0.1"}, {"1e3", "1000.0"}, {"NaN", "nan"}}, {"1e99", "x", ""}},
      {{TypeKind::kDouble},
       {{"0.1", "0.1"},
        {"-0.0", "-0.0"},
        {"Infinity", "inf"},
        {"-Infinity", "-inf"},
        {"5e-324", "5e-324"}},
       {"1e999", "1,5", "", "0.1 "}},
      {{TypeKind::kDecimal, 9, 2},
       {{"12.5", "12.50"}, {"-0.01", "-0.01"}, {"1e3", "1000.00"}},
       {"0.001", "12345678.9", "x", ""}},
      {{TypeKind::kDecimal, 4, 1}, {{"-999.9", "-999.9"}}, {"1000"}},
      {{TypeKind::kDecimal, 38, 0},
       {{"99999999999999999999999999999999999999", "99999999999999999999999999999999999999"}},
       {"100000000000000000000000000000000000000"}},
      {{TypeKind::kVarchar}, {{"", ""}, {"a b", "a b"}, {"\u00e4", "\u00e4"}}, {}},
      {{TypeKind::kJson}, {{"{\"a\":1}", "{\"a\":1}"}}, {}},
      {{TypeKind::kBlob}, {{"", ""}, {"YWI=", "ab"}}, {"YWI", "not base64!"}},
      {{TypeKind::kTimestamp},
       {{"2001-01-01T00:30:00Z", "2001-01-01 00:30:00"},
        {"2001-01-01", "2001-01-01 00:00:00"},
        {"2001-01-01T02:00:00+02:00", "2001-01-01 00:00:00"}},
       {"2001-13-01", "yesterday", "", "infinity"}},
      {{TypeKind::kTimestampTz},
       {{"2001-01-01T00:00:00.5Z", "2001-01-01 00:00:00.5+00"}},
       {"2001"}},
      {{TypeKind::kDate}, {{"1969-12-31", "1969-12-31"}}, {"2001-02-29", "2001-1-1", ""}},
      {{TypeKind::kTime},
       {{"01:02", "01:02:00"}, {"23:59:59.000001", "23:59:59.000001"}},
       {"24:01", "1:02", "", "01:02:03+01"}},
      {{TypeKind::kInterval}, {}, {"1 day", ""}},
      {Type::list({TypeKind::kBigInt}), {}, {"[1]", ""}},
      {{TypeKind::kUuid},
       {{"00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a"}},
       {"00000000-0000-0000-0000", ""}},
  };
  for (const auto& one : cases) {
    for (const auto& [text, value] : one.good)
      EXPECT_EQ(parsed(one.type, text), value) << one.type.sql() << " " << text;
    for (const auto* text : one.bad)
      EXPECT_EQ(parsed(one.type, text), std::nullopt) << one.type.sql() << " " << text;
  }
}

/// Everything that statements need, in a folder of its own; the batch layer and the lake run when a
/// test asks.
class ServingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "millrace-serving-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto& files = runtime::system_files();
    std::filesystem::create_directories(folder_ / "lake");
    catalog_ = *catalog::Catalog::open(folder_ / "catalog.db");
    access_ = std::make_unique<access::Access>(*catalog_, access::Anonymous::kUntilUsers);
    database_ = *sql::Database::open({.threads = 1, .folders = {folder_ / "lake"}});
    lake_ = *lake::Lake::open(files, *catalog_, database_, folder_ / "lake");
    tables_ = *lake::Tables::open(files, *catalog_, database_, folder_ / "lake" / "tables");
    states_ = *batch::StateFiles::open(files, folder_ / "states");
    speed_ = std::make_unique<speed::SpeedLayer>(speed::TailOptions{});
    log_ = *log::CommitLog::open(
        files, {.folder = folder_ / "log", .segment_bytes = 1 << 20, .commit_bytes_max = 1 << 18},
        {}, [](const log::RecoveredBatch&) -> Status { return {}; });
    auto workers = sql::QueryWorkers::start({.executable = "/proc/self/exe",
                                             .lake_folder = folder_ / "lake",
                                             .workers_max = 1,
                                             .threads = 1});
    ASSERT_TRUE(workers) << workers.error().text();
    workers_ = std::move(*workers);
    filters_ = std::make_unique<ingest::DuplicateFilters>(*speed_);
    ingest_ = std::make_unique<ingest::Ingest>(*log_, *speed_, *filters_, ingest::IngestOptions{});
    writer_ = std::make_unique<ingest::LakeWriter>(
        *log_, *speed_, *ingest_, *lake_, *catalog_, *states_,
        ingest::LakeWriterOptions{.commit_interval_ms = 3'600'000});
    batch_ = std::make_unique<BatchScheduler>(*database_, *lake_, *catalog_, *states_, *speed_,
                                              *writer_, BatchOptions{.interval_ms = 3'600'000});
    broker_ = std::make_unique<broker::Broker>(files, folder_ / "mqtt", *speed_, broker::Limits{});
    bridge_ = std::make_unique<bridge::Bridge>(*catalog_, *broker_);
    feed_ = std::make_unique<ChangeFeed>(*speed_, FeedOptions());
    sinks_ = std::make_unique<Sinks>(*catalog_, *feed_, *speed_, *database_);
    runner_ = std::make_unique<StatementRunner>(
        *catalog_, *log_, *lake_, *tables_, *states_, *speed_, *database_, *database_, *workers_,
        *writer_, *batch_, *access_, *bridge_, *feed_, *sinks_, StatementOptions{});
    batch_->on_published([this](const auto& view) { runner_->finish_replacement(view); });
    ingest_->start();
    writer_->start();
    batch_->start();
    run("CREATE STREAM flights (at TIMESTAMP, origin VARCHAR, dest VARCHAR, delay BIGINT) WITH "
        "(key = origin)");
  }
  void TearDown() override {
    batch_->stop();
    writer_->stop();
    ingest_->stop();
    workers_.reset();
    std::filesystem::remove_all(folder_);
  }

  StatementResult run(std::string_view sql) {
    auto result = runner_->run(sql);
    EXPECT_TRUE(result) << sql << ": " << result.error().text();
    return result ? std::move(*result) : StatementResult{};
  }
  std::string rows(std::string_view sql) {
    const auto result = run(sql);
    std::string out;
    for (const auto& batch : result.batches) out += text_of(*batch);
    return out;
  }
  void refused(std::string_view sql, std::string_view id, std::string_view what) {
    const auto result = runner_->run(sql);
    ASSERT_FALSE(result) << sql;
    EXPECT_EQ(result.error().id, id) << sql << ": " << result.error().text();
    EXPECT_THAT(result.error().text(), HasSubstr(what)) << sql;
  }
  void post(std::string_view lines) {
    std::promise<Result<ingest::IngestReply>> promise;
    ingest_->submit(
        speed_->find_stream("flights"), PaddedBytes::copy_of(lines), format::JsonFraming::kLines,
        "test", [&](Result<ingest::IngestReply> reply) { promise.set_value(std::move(reply)); });
    const auto reply = promise.get_future().get();
    ASSERT_TRUE(reply) << reply.error().text();
  }
  void run_batch() {
    const auto number = batch_->request(false, "test");
    for (;;) {
      const auto state = batch_->state();
      for (const auto& summary : state.last) {
        if (summary.run != number) continue;
        EXPECT_FALSE(summary.error) << summary.error->text();
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  static std::string text_of(const ColumnBatch& batch) {
    std::string out;
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      for (const auto& column : batch.views())
        out += value_text(column, row).value_or("NULL") + " ";
      out += "; ";
    }
    return out;
  }
  std::string read(std::string_view view, const ViewRequest& request) {
    const auto answer = read_view(*speed_->find_view(view), request);
    EXPECT_TRUE(answer) << answer.error().text();
    return answer ? text_of(*answer->rows) + (answer->truncated ? "..." : "") : "";
  }
  /// A view by (origin, dest), half of it in a generation.
  void fill() {
    run("CREATE MATERIALIZED VIEW pairs AS SELECT origin, dest, count(*) AS n, sum(delay) AS late "
        "FROM flights "
        "GROUP BY origin, dest");
    post(
        "{\"origin\":\"A\",\"dest\":\"B\",\"delay\":5}\n{\"origin\":\"A\",\"dest\":\"C\"}\n{"
        "\"origin\":\"AB\",\"dest\":\"B\",\"delay\":1}\n");
    run_batch();
    post(
        "{\"origin\":\"A\",\"dest\":\"B\",\"delay\":7}\n{\"origin\":\"B\",\"delay\":9}\n{\"dest\":"
        "\"B\",\"delay\":-3}\n");
  }

  std::filesystem::path folder_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<access::Access> access_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<lake::Lake> lake_;
  std::unique_ptr<batch::StateFiles> states_;
  std::unique_ptr<lake::Tables> tables_;
  std::unique_ptr<speed::SpeedLayer> speed_;
  std::unique_ptr<log::CommitLog> log_;
  std::unique_ptr<sql::QueryWorkers> workers_;
  std::unique_ptr<ingest::DuplicateFilters> filters_;
  std::unique_ptr<ingest::Ingest> ingest_;
  std::unique_ptr<ingest::LakeWriter> writer_;
  std::unique_ptr<BatchScheduler> batch_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<bridge::Bridge> bridge_;
  std::unique_ptr<ChangeFeed> feed_;
  std::unique_ptr<Sinks> sinks_;
  std::unique_ptr<StatementRunner> runner_;
};

TEST_F(ServingTest, ReadsAViewByKeyByPrefixAndByAnyOtherColumn) {
  fill();
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"dest", "B"}}, .order = {}}), "A B 2 12 ; ");
  EXPECT_EQ(read("pairs", {.where = {{"DEST", "B"}, {"Origin", "A"}}, .order = {}}), "A B 2 12 ; ");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"dest", "X"}}, .order = {}}), "");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}}, .order = {}}), "A B 2 12 ; A C 1 NULL ; ");
  EXPECT_EQ(read("pairs", {.where = {{"dest", "B"}}, .order = {}}),
            "NULL B 1 -3 ; A B 2 12 ; AB B 1 1 ; ");
  EXPECT_EQ(read("pairs", {.where = {{"n", "2"}}, .order = {}}), "A B 2 12 ; ");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"late", "12"}}, .order = {}}),
            "A B 2 12 ; ");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"dest", "B"}, {"n", "3"}}, .order = {}}),
            "");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"origin", "B"}}, .order = {}}), "");
  EXPECT_EQ(read("pairs", {}), "NULL B 1 -3 ; A B 2 12 ; A C 1 NULL ; AB B 1 1 ; B NULL 1 9 ; ");
}

TEST_F(ServingTest, OrdersWithNullsLastAndCutsAtTheLimit) {
  fill();
  EXPECT_EQ(read("pairs", {.where = {}, .order = {{"late", false}}}),
            "NULL B 1 -3 ; AB B 1 1 ; B NULL 1 9 ; A B 2 12 ; A C 1 NULL ; ");
  EXPECT_EQ(read("pairs", {.where = {}, .order = {{"late", true}}, .limit = 2}),
            "A B 2 12 ; B NULL 1 9 ; ...");
  EXPECT_EQ(read("pairs", {.where = {}, .order = {{"n", true}, {"origin", true}}}),
            "A B 2 12 ; B NULL 1 9 ; AB B 1 1 ; A C 1 NULL ; NULL B 1 -3 ; ");
  EXPECT_EQ(read("pairs", {.where = {}, .order = {}, .limit = 5}), read("pairs", {}));
  EXPECT_EQ(read("pairs", {.where = {}, .order = {}, .limit = 1}), "NULL B 1 -3 ; ...");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}}, .order = {}, .limit = 1}), "A B 2 12 ; ...");
  EXPECT_EQ(read("pairs", {.where = {}, .order = {}, .limit = 0}), "...");
  EXPECT_EQ(read("pairs", {.where = {{"origin", "A"}, {"dest", "B"}}, .order = {}, .limit = 0}),
            "...");
}

TEST_F(ServingTest, NamesTheColumnsWhereAReadAsksForNoneOfThem) {
  fill();
  const auto view = speed_->find_view("pairs");
  auto answer = read_view(*view, {.where = {{"origni", "A"}}, .order = {}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().id, error_id::kColumnNotFound);
  EXPECT_THAT(answer.error().hint, HasSubstr("origin, dest, n, late"));
  answer = read_view(*view, {.where = {}, .order = {{"when", false}}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().id, error_id::kColumnNotFound);
  EXPECT_THAT(answer.error().hint, HasSubstr("origin, dest, n, late"));
  answer = read_view(*view, {.where = {{"n", "many"}}, .order = {}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().id, error_id::kBadValue);
  EXPECT_THAT(answer.error().message, HasSubstr("n: 'many' is not a BIGINT"));
}

TEST_F(ServingTest, AnswersAnAggregateWithoutKeysByOneRowAlways) {
  run("CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(delay) AS s, max(origin) AS m "
      "FROM flights");
  EXPECT_EQ(read("total", {}), "0 NULL NULL ; ");
  EXPECT_EQ(rows("SELECT * FROM total"), "0 NULL NULL ; ");
  run_batch();
  EXPECT_EQ(read("total", {}), "0 NULL NULL ; ");
  post("{\"origin\":\"A\",\"delay\":5}\n");
  EXPECT_EQ(read("total", {}), "1 5 A ; ");
  run_batch();
  EXPECT_EQ(read("total", {.where = {{"n", "1"}}, .order = {}}), "1 5 A ; ");
  EXPECT_EQ(read("total", {.where = {{"n", "2"}}, .order = {}}), "");
}

TEST_F(ServingTest, RefusesANameThatIsTakenUnlessItIsAskedNotTo) {
  run("CREATE VIEW late AS SELECT * FROM flights WHERE delay > 10");
  run("CREATE MATERIALIZED VIEW counts AS SELECT origin, count(*) AS n FROM flights GROUP BY "
      "origin");
  refused("CREATE STREAM Flights (x BIGINT)", error_id::kAlreadyExists, "flights exists already");
  refused("CREATE STREAM late (x BIGINT)", error_id::kAlreadyExists, "late");
  refused("CREATE VIEW COUNTS AS SELECT 1", error_id::kAlreadyExists, "counts");
  refused("CREATE MATERIALIZED VIEW flights AS SELECT count(*) FROM flights",
          error_id::kAlreadyExists, "flights");
  EXPECT_EQ(run("CREATE STREAM IF NOT EXISTS flights (x BIGINT)").command, "CREATE STREAM");
  EXPECT_EQ(run("CREATE VIEW IF NOT EXISTS late AS SELECT 1").command, "CREATE VIEW");
  EXPECT_EQ(
      run("CREATE MATERIALIZED VIEW IF NOT EXISTS counts AS SELECT count(*) FROM flights").command,
      "CREATE MATERIALIZED VIEW");
  refused("CREATE STREAM IF NOT EXISTS late (x BIGINT)", error_id::kAlreadyExists, "late");
  refused("CREATE VIEW IF NOT EXISTS flights AS SELECT 1", error_id::kAlreadyExists, "flights");
  EXPECT_EQ(rows("DESCRIBE flights").substr(0, 16), "at TIMESTAMP  ; ");
}

TEST_F(ServingTest, DropsWhatNobodyReadsAndOfTheRightKindOnly) {
  run("CREATE MATERIALIZED VIEW counts AS SELECT origin, count(*) AS n FROM flights GROUP BY "
      "origin");
  run("CREATE VIEW many AS SELECT * FROM counts WHERE n > 1");
  run("CREATE VIEW bad AS SELECT * FROM flights__quarantine");
  refused("DROP STREAM flights", error_id::kInUse, "counts");
  refused("DROP MATERIALIZED VIEW counts", error_id::kInUse, "many");
  refused("DROP VIEW counts", error_id::kViewNotFound, "DROP MATERIALIZED VIEW");
  refused("DROP MATERIALIZED VIEW many", error_id::kViewNotFound, "DROP VIEW");
  refused("DROP VIEW flights", error_id::kViewNotFound, "flights is a stream");
  refused("DROP STREAM counts", error_id::kStreamNotFound, "counts is a view");
  refused("DROP STREAM nothing", error_id::kStreamNotFound, "nothing");
  refused("DROP VIEW IF EXISTS flights", error_id::kViewNotFound, "flights is a stream");
  EXPECT_EQ(run("DROP VIEW IF EXISTS nothing").command, "DROP VIEW");
  EXPECT_EQ(run("DROP STREAM IF EXISTS nothing").command, "DROP STREAM");
  run("DROP VIEW MANY");
  run("DROP MATERIALIZED VIEW Counts");
  refused("DROP STREAM flights", error_id::kInUse, "bad");
  run("DROP VIEW bad");
  refused("DROP STREAM flights__quarantine", error_id::kBadName, "goes with its stream");
  run("DROP STREAM flights");
  EXPECT_EQ(rows("SHOW STREAMS"), "");
  refused("SELECT * FROM flights", error_id::kStreamNotFound, "flights");
  run("CREATE STREAM flights (at TIMESTAMP)");
  EXPECT_EQ(rows("SELECT count(*) FROM flights"), "0 ; ");
}

TEST_F(ServingTest, LetsPlainViewsReadViewsButMaterializedOnesStreamsOnly) {
  fill();
  run("CREATE VIEW p AS SELECT origin, late / n AS mean FROM pairs WHERE origin IS NOT NULL");
  run("CREATE VIEW q AS SELECT max(mean) AS m FROM P");
  EXPECT_EQ(rows("SELECT * FROM q"), "9.0 ; ");
  refused("CREATE MATERIALIZED VIEW m AS SELECT origin, count(*) FROM pairs GROUP BY origin",
          error_id::kNotMergeable, "pairs is a view");
  refused("CREATE MATERIALIZED VIEW m AS SELECT origin, count(*) FROM p GROUP BY origin",
          error_id::kNotMergeable, "p is a view");
  refused("CREATE VIEW v AS SELECT nothing FROM flights", error_id::kColumnNotFound, "nothing");
  refused("CREATE VIEW v AS SELECT * FROM nothing", error_id::kStreamNotFound, "nothing");
  refused("CREATE VIEW v AS SELECT * FROM v", error_id::kStreamNotFound, "v");
  const auto result = run("SELECT count(*) FROM q, flights");
  std::vector<std::string> sources;
  for (const auto& source : result.sources) sources.push_back(source.name);
  EXPECT_THAT(sources, testing::UnorderedElementsAre("flights", "pairs"));
}

TEST_F(ServingTest, PointsIntoTheWholeStatementWhereAViewsSelectIsWrong) {
  const auto result = runner_->run(
      "CREATE MATERIALIZED VIEW m AS\n  SELECT origin,\n    bitstring_agg(delay) FROM flights "
      "GROUP BY "
      "origin");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().id, error_id::kNotMergeable);
  EXPECT_EQ(result.error().place, (TextPlace{3, 5})) << result.error().text();
  const auto first_line =
      runner_->run("CREATE MATERIALIZED VIEW m AS SELECT bitstring_agg(delay) FROM flights");
  ASSERT_FALSE(first_line);
  EXPECT_EQ(first_line.error().place, (TextPlace{1, 38})) << first_line.error().text();
}

TEST_F(ServingTest, AnswersAsItDidAtEveryPositionAndTime) {
  run("CREATE MATERIALIZED VIEW pairs AS SELECT origin, count(*) AS n, sum(delay) AS late "
      "FROM flights GROUP BY origin");
  struct Moment {
    std::string position;
    std::int64_t time_us;
    std::string answer;
  };
  std::vector<Moment> moments;
  const auto note = [&] {
    const auto state = speed_->find_stream("flights");
    // The next event arrives in a later microsecond than this one.
    const std::int64_t now = runtime::wall_us();
    while (runtime::wall_us() <= now) {
    }
    moments.push_back({state->applied().json(), now, rows("SELECT * FROM pairs ORDER BY ALL")});
  };
  note();
  for (int round = 0; round < 9; ++round) {
    post(fmt::format("{{\"origin\":\"A{}\",\"delay\":{}}}\n{{\"origin\":\"B\",\"delay\":1}}\n",
                     round % 3, round));
    note();
    if (round % 3 == 1) run_batch();
  }
  EXPECT_NE(moments.front().answer, moments.back().answer);
  for (const auto& moment : moments) {
    SCOPED_TRACE(moment.position);
    EXPECT_EQ(
        rows(fmt::format("SELECT * FROM pairs AS OF POSITION '{}' ORDER BY ALL", moment.position)),
        moment.answer);
    EXPECT_EQ(rows(fmt::format("SELECT p.* FROM pairs AS OF TIMESTAMP '{}' AS p ORDER BY ALL",
                               timestamp_text(moment.time_us, true))),
              moment.answer);
  }
  // Both ends of a change in one SELECT.
  EXPECT_EQ(rows(fmt::format("SELECT pairs.n, old.n FROM pairs JOIN pairs AS OF POSITION '{}' AS "
                             "old USING (origin) WHERE origin = 'B'",
                             moments[2].position)),
            "9 2 ; ");
  refused("SELECT * FROM pairs AS OF POSITION '{\"0\": 1000}'", error_id::kBadValue, "is at");
  refused("SELECT * FROM pairs AS OF POSITION 'x'", error_id::kSyntax, "POSITION");
  refused("SELECT * FROM pairs AS OF TIMESTAMP 'x'", error_id::kSyntax, "no time");
  refused("SELECT * FROM pairs AS OF TIMESTAMP now()", error_id::kSyntax, "quotes");
  refused("SELECT * FROM flights AS OF POSITION '{\"0\": 1}'", error_id::kViewNotFound, "flights");
}

TEST_F(ServingTest, DescribesAndShowsWhatThereIs) {
  fill();
  run("CREATE VIEW p AS SELECT origin AS o, late / n AS mean FROM pairs");
  EXPECT_EQ(rows("DESCRIBE flights"),
            "at TIMESTAMP  ; origin VARCHAR key ; dest VARCHAR  ; delay BIGINT  ; ");
  EXPECT_EQ(rows("DESCRIBE pairs"),
            "origin VARCHAR key ; dest VARCHAR key ; n BIGINT  ; late HUGEINT  ; ");
  EXPECT_EQ(rows("DESCRIBE P"), "o VARCHAR  ; mean DOUBLE  ; ");
  refused("DESCRIBE nothing", error_id::kStreamNotFound, "nothing");
  EXPECT_THAT(rows("SHOW STREAMS"), HasSubstr("flights 1 6 3 1 {\"0\":6} CREATE STREAM flights"));
  EXPECT_THAT(rows("SHOW STREAMS"), HasSubstr("flights__quarantine"));
  const auto views = rows("SHOW VIEWS");
  EXPECT_THAT(views, HasSubstr("pairs materialized flights live 1 {\"0\":3} {\"0\":6} 3 3 NULL "
                               "CREATE MATERIALIZED VIEW"));
  EXPECT_THAT(views, HasSubstr("p view NULL live NULL NULL NULL NULL NULL NULL CREATE VIEW p"));
}

TEST_F(ServingTest, SaysWhatAnAnswerCovers) {
  fill();
  post("{\"delay\":\"late\"}\n");
  const auto result = run("SELECT n FROM pairs WHERE origin = 'A' AND dest = 'B'");
  ASSERT_EQ(result.sources.size(), 1U);
  EXPECT_EQ(result.sources[0].name, "pairs");
  EXPECT_FALSE(result.sources[0].is_stream);
  EXPECT_EQ(result.sources[0].coverage.generation, GenerationNumber(1));
  EXPECT_EQ(result.sources[0].coverage.streams[0].cut.events(), 3U);
  EXPECT_EQ(result.sources[0].coverage.streams[0].delta_end.events(), 6U);
  EXPECT_EQ(result.sources[0].quarantined, 1U);
}

}  // namespace
}  // namespace millrace::serving

/// Statements start their SQL workers from this program's own file.
int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "sql-worker")
    return millrace::sql::query_worker_main(argc, argv);
  spdlog::set_level(spdlog::level::warn);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
