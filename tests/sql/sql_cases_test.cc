// The files of tests/sql, each in four ways; and that a wrong expectation fails, so that a file
// cannot pass by saying nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <numeric>
#include <random>

#include "tests/sql/ways.h"

namespace millrace::sql_cases {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(MR_SOURCE_FOLDER) / "tests" / "sql";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "millrace-sql-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A file with the runner that keeps DuckDB's answers for its four ways.
struct OpenFile {
  explicit OpenFile(CaseFile file) : runner(std::move(file), folder.path()) {}
  TemporaryFolder folder;
  CaseRunner runner;
};

std::vector<std::string> case_files() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() == ".test")
      out.push_back(std::filesystem::relative(entry.path(), kFolder).string());
  }
  std::ranges::sort(out);
  return out;
}

std::uint64_t test_seed() {
  static const std::uint64_t kSeed = [] {
    const char* given = std::getenv("MILLRACE_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  }();
  return kSeed;
}

/// Under a sanitizer, where all four take long, each file runs in one way, another one with another
/// seed; the release build runs all.
bool is_chosen(const std::string& file, Way way) {
  const char* one = std::getenv("MILLRACE_SQL_ONE_WAY");
  if (one == nullptr || std::string_view(one) != "1") return true;
  const auto sum = std::accumulate(file.begin(), file.end(), test_seed());
  return kWays[sum % kWays.size()] == way;
}

std::string test_name(const std::string& file, Way way) {
  std::string out = file.substr(0, file.size() - std::string_view(".test").size());
  std::ranges::replace_if(
      out, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return fmt::format("{}_{}", out, name(way));
}

class SqlCases : public testing::TestWithParam<std::tuple<std::string, Way>> {
 protected:
  static void TearDownTestSuite() { open_.reset(); }
  static std::unique_ptr<OpenFile> open_;
  static std::string open_path_;
};
std::unique_ptr<OpenFile> SqlCases::open_;
std::string SqlCases::open_path_;

TEST_P(SqlCases, AgreeWithDuckDb) {
  const auto& [file, way] = GetParam();
  RecordProperty("seed", std::to_string(test_seed()));
  if (!is_chosen(file, way)) GTEST_SKIP() << "another way was chosen for this file";
  if (open_ == nullptr || open_path_ != file) {
    std::ifstream in(kFolder / file);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    auto parsed = parse_case_file("tests/sql/" + file, text);
    ASSERT_TRUE(parsed) << parsed.error().text();
    open_ = std::make_unique<OpenFile>(std::move(*parsed));
    open_path_ = file;
  }
  for (const auto& failure : open_->runner.run(way, test_seed())) ADD_FAILURE() << failure;
}

// By file first, so that the ways of one share what DuckDB answered.
INSTANTIATE_TEST_SUITE_P(
    Files, SqlCases, testing::Combine(testing::ValuesIn(case_files()), testing::ValuesIn(kWays)),
    [](const auto& info) { return test_name(std::get<0>(info.param), std::get<1>(info.param)); });

TEST(SqlCaseFiles, AreThere) { EXPECT_GE(case_files().size(), 5U); }

constexpr const char* kInput = R"(
stream
CREATE STREAM e (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE) WITH (time = ts, key = k)

rows e
{"ts":"2024-01-01T00:00:00Z","k":"a","n":1,"d":0.5}
{"ts":"2024-01-01T00:00:01Z","k":"a","n":2,"d":0.25}
{"ts":"2024-01-01T00:00:02Z","k":"b","n":5,"d":1.5}
)";

/// Runs one case over kInput and gives what failed.
std::vector<std::string> failures_of(const std::string& text, Way way = Way::kCutAndMerged) {
  auto parsed = parse_case_file("self.test", kInput + ("\n" + text));
  EXPECT_TRUE(parsed) << parsed.error().text();
  if (!parsed) return {};
  OpenFile open(std::move(*parsed));
  return open.runner.run(way, test_seed());
}

void expect_failure(const std::string& text, std::string_view words) {
  const auto failures = failures_of(text, Way::kSpeedOnly);
  ASSERT_EQ(failures.size(), 1U) << text;
  EXPECT_NE(failures.front().find(words), std::string::npos) << failures.front();
  EXPECT_TRUE(failures.front().starts_with("self.test:10: speed_only")) << failures.front();
}

TEST(SqlCaseRunner, TakesARightExpectationInEveryWay) {
  for (const auto way : kWays) {
    EXPECT_EQ(failures_of("view\nSELECT k, sum(n) AS s FROM e GROUP BY k", way),
              std::vector<std::string>{});
    EXPECT_EQ(failures_of("view\nSELECT k, sum(n) AS s FROM e GROUP BY k\n---- VARCHAR | HUGEINT\n"
                          "a | 3\nb | 5",
                          way),
              std::vector<std::string>{});
  }
}

TEST(SqlCaseRunner, FailsWhereTheExpectationIsWrong) {
  const std::string sums = "view\nSELECT k, sum(n) AS s FROM e GROUP BY k\n";
  expect_failure(sums + "----\na | 3\nb | 6", "got      b | 5\n  expected b | 6");
  expect_failure(sums + "----\na | 3", "2 rows, expected 1");
  expect_failure(sums + "----\na | 3\nb | 5\nc | 1", "2 rows, expected 3");
  expect_failure(sums + "---- VARCHAR | BIGINT\na | 3\nb | 5", "type HUGEINT, expected BIGINT");
  expect_failure(sums + "like\nSELECT k, sum(n) + 1 FROM e GROUP BY k", "2 differ");
  expect_failure(sums + "like\nSELECT k, sum(n), 1 FROM e GROUP BY k", "2 columns, expected 3");
  expect_failure(sums + "like\nSELECT k, sum(n)::BIGINT FROM e GROUP BY k",
                 "type HUGEINT, expected BIGINT");
  expect_failure("view skips 1\nSELECT sum(n) AS s FROM e", "0 rows were skipped, expected 1");
  expect_failure("view\nSELECT nothing(n) AS s FROM e", "error[");
}

TEST(SqlCaseRunner, HoldsFloatingValuesToTheirToleranceAndApproximateOnesToTheirBound) {
  const std::string sum = "\nSELECT sum(d) AS s FROM e\nlike\nSELECT sum(d) + 0.1 AS s FROM e";
  expect_failure("view" + sum, "(4002000000000000)");
  expect_failure("view tolerance 1e-3" + sum, "1 differ");
  EXPECT_TRUE(failures_of("view tolerance 0.05" + sum).empty());
  expect_failure("view approx s within 1 %" + sum, "1 differ");
  EXPECT_TRUE(failures_of("view approx s within 5 %" + sum).empty());
  // Exact columns know no tolerance.
  expect_failure("view tolerance 0.5\nSELECT sum(n) AS s FROM e\n----\n9", "1 differ");
  expect_failure("view approx other within 5 %" + sum, "no such column");
}

TEST(SqlCaseRunner, FailsWhereARefusalIsAnotherOrNone) {
  const std::string sql = "\nSELECT k,\n  n FROM e GROUP BY k";
  EXPECT_TRUE(
      failures_of("refused MR1302 2:3 neither in an aggregate" + sql, Way::kSpeedOnly).empty());
  expect_failure("refused MR1301 2:3 neither in an aggregate" + sql, "refused with MR1302");
  expect_failure("refused MR1302 2:4 neither in an aggregate" + sql,
                 "at 2:3, expected MR1302 at 2:4");
  expect_failure("refused MR1302 2:3 something else" + sql, "the words \"something else\"");
  expect_failure("refused MR1302 2:3 neither\nSELECT k FROM e GROUP BY k", "was not refused");
}

TEST(SqlCaseFile, ThatSaysNothingKnownIsRefusedWithItsLine) {
  for (const auto* text : {"view something\nSELECT 1", "view", "views\nSELECT 1", "refused MR1302",
                           "view tolerance x\nSELECT 1", "generate e rows many seed 1"}) {
    const auto parsed = parse_case_file("f.test", std::string("# comment\n\n") + text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("f.test:3: "), std::string::npos)
        << parsed.error().text();
  }
}

}  // namespace
}  // namespace millrace::sql_cases
