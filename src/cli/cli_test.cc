#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/answer_check.h"
#include "cli/api_client.h"
#include "cli/batch_state.h"
#include "cli/command_line.h"
#include "cli/flight_source.h"

namespace millrace::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::variant<Command, ExitCode> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "millrace");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  auto parsed = parse_command_line(static_cast<int>(words.size()), words.data());
  static_cast<void>(testing::internal::GetCapturedStdout());
  const auto diagnostics = testing::internal::GetCapturedStderr();
  if (std::holds_alternative<ExitCode>(parsed) && std::get<ExitCode>(parsed) == ExitCode::kUsage) {
    EXPECT_THAT(diagnostics, HasSubstr("error: "));
    EXPECT_THAT(diagnostics, HasSubstr("Usage: "));
  }
  return parsed;
}

template <class T>
T parse_as(std::vector<const char*> words) {
  auto parsed = parse(std::move(words));
  EXPECT_TRUE(std::holds_alternative<Command>(parsed));
  return std::get<T>(std::get<Command>(parsed));
}

TEST(CommandLine, ReadsEveryOptionOfEveryCommand) {
  const auto up =
      parse_as<UpCommand>({"up", "a.sql", "b.sql", "--data", "d", "--http-port", "0", "--listen",
                           "::1", "--ready-file", "r", "--config", "c.yaml"});
  EXPECT_THAT(up.pipelines, ElementsAre("a.sql", "b.sql"));
  EXPECT_EQ(up.data, "d");
  EXPECT_EQ(up.http_port, "0");
  EXPECT_EQ(up.listen, "::1");
  EXPECT_EQ(up.ready_file, "r");
  EXPECT_EQ(up.config, "c.yaml");
  EXPECT_FALSE(parse_as<UpCommand>({"up"}).http_port);

  const auto sql =
      parse_as<SqlCommand>({"sql", "SELECT 1", "--server", "http://h:1", "-o", "csv", "-q"});
  EXPECT_EQ(sql.text, "SELECT 1");
  EXPECT_EQ(sql.client.server, "http://h:1");
  EXPECT_EQ(sql.client.format, OutputFormat::kCsv);
  EXPECT_TRUE(sql.client.terminal.quiet);
  EXPECT_EQ(parse_as<SqlCommand>({"sql", "-f", "x.sql", "--json"}).client.format,
            OutputFormat::kJson);
  EXPECT_EQ(parse_as<StatusCommand>({"status"}).client.server, "http://127.0.0.1:8080");

  EXPECT_TRUE(parse_as<BatchRunCommand>({"batch", "run", "--full"}).full);
  EXPECT_TRUE(parse_as<BatchRunCommand>({"batch", "run", "--wait"}).wait);
  EXPECT_FALSE(parse_as<BatchRunCommand>({"batch", "run", "--no-wait"}).wait);

  const auto made =
      parse_as<GenerateCommand>({"generate", "iot", "--rate", "5", "--count", "9", "--seed", "3",
                                 "--late", "0.1", "--duplicates", "0.2", "--bad", "0.3"});
  EXPECT_EQ(made.kind, "iot");
  EXPECT_EQ(made.count, 9U);
  EXPECT_EQ(made.seed, 3U);
  EXPECT_EQ(made.bad, 0.3);
  EXPECT_FALSE(made.post);
  EXPECT_TRUE(
      parse_as<GenerateCommand>({"generate", "iot", "--server", "http://h:1", "--create"}).post);
  EXPECT_EQ(parse_as<DemoCommand>({"demo", "--events", "10", "--keep"}).events_max, 10U);
}

TEST(CommandLine, TakesTheServerFromTheEnvironmentButNotForGenerate) {
  setenv("MILLRACE_SERVER", "http://elsewhere:9", 1);
  EXPECT_EQ(parse_as<StatusCommand>({"status"}).client.server, "http://elsewhere:9");
  EXPECT_EQ(parse_as<StatusCommand>({"status", "--server", "http://h:1"}).client.server,
            "http://h:1");
  EXPECT_FALSE(parse_as<GenerateCommand>({"generate", "clicks"}).post);
  unsetenv("MILLRACE_SERVER");
}

TEST(CommandLine, AnswersHelpWith0AndWrongUsageWith2) {
  for (const auto& words : std::vector<std::vector<const char*>>{{"--help"},
                                                                 {"--version"},
                                                                 {"up", "--help"},
                                                                 {"batch", "--help"},
                                                                 {"batch", "run", "--help"}}) {
    EXPECT_EQ(std::get<ExitCode>(parse(words)), ExitCode::kOk) << words.front();
  }
  for (const auto& words :
       std::vector<std::vector<const char*>>{{},
                                             {"nope"},
                                             {"up", "--nope"},
                                             {"up", "--http-port", "many"},
                                             {"up", "--http-port", "70000"},
                                             {"generate"},
                                             {"generate", "birds"},
                                             {"generate", "iot", "--late", "2"},
                                             {"generate", "iot", "--create"},
                                             {"batch"},
                                             {"sql"},
                                             {"sql", "SELECT 1", "-o", "xml"},
                                             {"sql", "SELECT 1", "--json", "-o", "csv"}}) {
    EXPECT_EQ(std::get<ExitCode>(parse(words)), ExitCode::kUsage) << testing::PrintToString(words);
  }
}

ResultTable answer() {
  auto table = ResultTable::parse(
      R"({"command":"SELECT","columns":[{"name":"city","type":"VARCHAR"},{"name":"n","type":"BIGINT"},)"
      R"({"name":"x","type":"DOUBLE"}],"rows":[["Z\u00fcrich, \"old\" town",1,0.1],["\u6771\n",12345,null]],)"
      R"("coverage":{"generation":2,"cut":{"0":7}}})");
  EXPECT_TRUE(table) << table.error().text();
  return std::move(*table);
}

TEST(ResultTable, DrawsNumbersToTheRightAndKeepsWideAndControlCharactersInLine) {
  EXPECT_EQ(answer().table_text(),
            "┌────────────────────┬───────┬──────┐\n"
            "│ city               │     n │    x │\n"
            "├────────────────────┼───────┼──────┤\n"
            "│ Zürich, \"old\" town │     1 │  0.1 │\n"
            "│ 東\\n               │ 12345 │ NULL │\n"
            "└────────────────────┴───────┴──────┘\n");
  EXPECT_THAT(answer().table_text(1), HasSubstr("1 of 2 rows"));
  EXPECT_EQ(answer().coverage(), R"({"generation":2,"cut":{"0":7}})");
}

TEST(ResultTable, WritesCsvAndJsonLines) {
  EXPECT_EQ(answer().csv_text(),
            "city,n,x\r\n\"Zürich, \"\"old\"\" town\",1,0.1\r\n\"東\n\",12345,\r\n");
  EXPECT_EQ(answer().json_lines_text(),
            "{\"city\":\"Z\\u00fcrich, \\\"old\\\" town\",\"n\":1,\"x\":0.1}\n"
            "{\"city\":\"\\u6771\\n\",\"n\":12345,\"x\":null}\n");
}

TEST(ResultTable, KeepsEveryDigitAndNestedValues) {
  const auto table = ResultTable::parse(
      R"({"rows":[[0.30000000000000004, {"a":[1, 2]}],[1e-300 ,"170141183460469231731687303715884105727"]],)"
      R"("columns":[{"name":"a","type":"DOUBLE"},{"name":"b","type":"JSON"}],"truncated":true})");
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(table->cell(0, 0), "0.30000000000000004");
  EXPECT_EQ(table->cell(0, 1), R"({"a":[1, 2]})");
  EXPECT_EQ(table->cell(1, 0), "1e-300");
  EXPECT_TRUE(table->truncated());
}

TEST(ResultTable, ShowsListsAndMapsAsTheirJsonAndToTheLeft) {
  const auto table = ResultTable::parse(
      R"x({"columns":[{"name":"l","type":"DECIMAL(3,1)[]"},)x"
      R"x({"name":"s","type":"STRUCT(\"a\" INTEGER)"},{"name":"i","type":"INTERVAL"}],)x"
      R"("rows":[[["1.5",null],{"a":1},"3 days"],[[],null,null]]})");
  ASSERT_TRUE(table) << table.error().text();
  EXPECT_EQ(table->columns()[1].type, "STRUCT(\"a\" INTEGER)");
  EXPECT_EQ(table->table_text(),
            "┌──────────────┬─────────┬────────┐\n"
            "│ l            │ s       │ i      │\n"
            "├──────────────┼─────────┼────────┤\n"
            "│ [\"1.5\",null] │ {\"a\":1} │ 3 days │\n"
            "│ []           │ NULL    │ NULL   │\n"
            "└──────────────┴─────────┴────────┘\n");
  EXPECT_EQ(table->csv_text(),
            "l,s,i\r\n\"[\"\"1.5\"\",null]\",\"{\"\"a\"\":1}\",3 days\r\n[],,\r\n");
}

TEST(ResultTable, RefusesWhatIsNoAnswer) {
  for (const auto* text :
       {"", "[]", "{", R"({"columns":[{"name":"a"}],"rows":[[1,2]]})",
        R"({"columns":[{"name":"a"},{"name":"b"}],"rows":[[1,2],[1]]})", R"({"columns":3})"}) {
    EXPECT_FALSE(ResultTable::parse(text)) << text;
  }
  const auto none = ResultTable::parse(R"({"command":"CREATE STREAM"})");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->rows(), 0U);
  EXPECT_EQ(none->table_text(), "");
}

TEST(Terminal, MakesTextSafeAndMeasuresIt) {
  EXPECT_EQ(printable("a\x1b[31m\xff\xc2\x9b\t"), "a\\x1b[31m\\xff\\x9b\\t");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\u202e");
  EXPECT_EQ(display_width("e\xcc\x81"), 1U);
  EXPECT_EQ(display_width("東京"), 4U);
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(123), "123");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(ExitCodes, FollowTheErrorOfTheServer) {
  const auto code = [](int status, std::string_view id) {
    client::HttpReply reply;
    reply.status = status;
    reply.body = fmt::format(R"({{"code":"{}","detail":"d","hint":"h","line":2,"column":3}})", id);
    const auto error = error_of(reply);
    EXPECT_EQ(error.id, id);
    EXPECT_EQ(error.place, (TextPlace{2, 3}));
    return exit_code(error);
  };
  EXPECT_EQ(code(400, error_id::kSyntax), ExitCode::kFailure);
  EXPECT_EQ(code(400, error_id::kColumnNotFound), ExitCode::kNotFound);
  EXPECT_EQ(code(404, error_id::kStreamNotFound), ExitCode::kNotFound);
  EXPECT_EQ(code(409, error_id::kAlreadyExists), ExitCode::kConflict);
  EXPECT_EQ(code(409, error_id::kInUse), ExitCode::kConflict);
  EXPECT_EQ(code(401, "MR9001"), ExitCode::kNotAuthenticated);
  EXPECT_EQ(code(503, error_id::kDiskFailed), ExitCode::kFailure);
  EXPECT_EQ(code(504, error_id::kSqlDeadline), ExitCode::kTimeout);
  EXPECT_EQ(code(500, error_id::kChecksum), ExitCode::kFailure);
  const auto nobody = ApiClient::connect("http://127.0.0.1:1");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(exit_code(nobody.error()), ExitCode::kNoConnection);
}

TEST(AnswerCheck, ComparesRowsInAnyOrderAndDoublesByValue) {
  const std::vector<ResultColumn> columns = {{"k", "VARCHAR"}, {"x", "DOUBLE"}};
  const auto expected =
      ResultTable::of_cells(columns, {"\"a\"", "3.0", "\"b\"", "0.1", "\"b\"", "0.1"});
  EXPECT_TRUE(compare_answers(expected, ResultTable::of_cells(columns, {"\"b\"", "1e-1", "\"a\"",
                                                                        "3", "\"b\"", "0.1"}))
                  .none());
  const auto other = compare_answers(
      expected, ResultTable::of_cells(
                    columns, {"\"b\"", "0.1", "\"a\"", "3", "\"b\"", "0.10000000000000002"}));
  EXPECT_EQ(other.missing, 1U);
  EXPECT_EQ(other.unexpected, 1U);
  EXPECT_EQ(other.samples.size(), 2U);
  EXPECT_EQ(compare_answers(expected, ResultTable::of_cells(columns, {})).missing, 3U);
  EXPECT_FALSE(
      compare_answers(expected, ResultTable::of_cells({{"k", "VARCHAR"}}, {"\"a\""})).none());
}

TEST(FlightSource, SendsEveryFlightOnceAndTheChosenOnesTwice) {
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("millrace-cli-{}", getpid());
  std::filesystem::create_directories(folder);
  {
    auto database = *sql::Database::open({.threads = 1, .folders = {folder}, .spill_folder = {}});
    const auto made =
        (*database->connect())
            ->execute(fmt::format(
                "COPY (SELECT TIMESTAMP '2001-01-01' + INTERVAL (i // 10) MINUTE AS date, i % 90 "
                "AS "
                "delay, 100 + i AS distance, 'A' || (i % 7) AS origin, 'B' AS destination FROM "
                "range(20000) t(i)) TO '{}' (FORMAT parquet)",
                (folder / "f.parquet").string()));
    ASSERT_TRUE(made) << made.error().text();
  }
  auto source = FlightSource::open(folder / "f.parquet", folder, 0);
  ASSERT_TRUE(source) << source.error().text();
  const auto totals = (*source)->totals();
  EXPECT_EQ(totals.flights, 20'000U);
  EXPECT_NEAR(static_cast<double>(totals.late), 200, 60);
  EXPECT_NEAR(static_cast<double>(totals.repeated), 100, 40);

  std::string all;
  std::uint64_t rows = 0;
  const auto sent =
      (*source)->send_all(1'000, [&](const std::string& body, std::uint64_t count) -> Status {
        EXPECT_EQ(std::ranges::count(body, '\n'), static_cast<std::ptrdiff_t>(count));
        EXPECT_LE(count, 1'000U);
        all += body;
        rows += count;
        return {};
      });
  ASSERT_TRUE(sent) << sent.error().text();
  EXPECT_EQ(rows, totals.events());
  EXPECT_TRUE(all.starts_with(R"({"date":"2001-01-01 00:00:00","origin":"A)"));
  const auto answer = (*source)->recompute("SELECT count(*) AS n, sum(distance) AS d FROM flights");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->cells[0], fmt::format("{}", totals.events()));
  const auto stopped = (*source)->send_all(1'000, [](const std::string&, std::uint64_t) -> Status {
    return fail(ErrorCode::kCancelled, "", "enough");
  });
  EXPECT_EQ(stopped.error().message, "enough");
  source->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace millrace::cli
