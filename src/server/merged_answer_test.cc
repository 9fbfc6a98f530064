// Promise 3: for every view and every position the merged answer equals a recomputation from
// scratch, the same bits, wherever the cut lies. Random events, random views, random cuts, restarts
// between; the recomputation runs the view's stage over all events at once, and the lake's own SQL
// checks the counts independently.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "server/node_fixture_test.h"
#include "sql/syntax.h"
#include "view/evaluator.h"
#include "view/finalizer.h"

namespace millrace::server {
namespace {

constexpr const char* kCreateStream =
    "CREATE STREAM e (ts TIMESTAMP, k VARCHAR, n BIGINT, d DOUBLE, m DECIMAL(18,4), f BOOLEAN, day "
    "DATE) "
    "WITH (time = ts, key = k, partitions = {})";

class Events {
 public:
  explicit Events(std::uint64_t seed) : random_(seed) {}

  std::string lines(std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      if (!sent_.empty() && one_in(20)) {
        out += sent_[random_() % sent_.size()];  // repeated, and late
      } else {
        sent_.push_back(line());
        out += sent_.back();
      }
    }
    return out;
  }

 private:
  bool one_in(unsigned n) { return random_() % n == 0; }
  std::string double_text_of() {
    switch (random_() % 12) {
      case 0:
        return "\"NaN\"";
      case 1:
        return "\"Infinity\"";
      case 2:
        return "\"-Infinity\"";
      case 3:
        return "-0.0";
      case 4:
        return "5e-324";
      case 5:
        return one_in(2) ? "1.7976931348623157e308" : "-1.7976931348623157e308";
      case 6:
        return fmt::format("{}e{}", static_cast<std::int64_t>(random_() % 2000) - 1000,
                           static_cast<int>(random_() % 600) - 300);
      default:
        return fmt::format("{}", static_cast<double>(
                                     static_cast<std::int64_t>(random_() % 2'000'001) - 1'000'000) /
                                     1000);
    }
  }
  std::string line() {
    static constexpr const char* kKeys[] = {
        "a",         "b", "\u00e4\u00f6", "\U0001F600 long enough to leave the inline form", "",
        "x\\u0000y", "A"};
    std::string out = fmt::format("{{\"ts\":\"20{:02}-01-{:02}T{:02}:{:02}:00Z\"", random_() % 3,
                                  1 + random_() % 3, random_() % 24, random_() % 60);
    const auto field = [&](const char* name, const std::string& value) {
      if (one_in(15)) return;
      out += fmt::format(",\"{}\":{}", name, one_in(15) ? "null" : value);
    };
    field("k", fmt::format("\"{}\"", kKeys[random_() % std::size(kKeys)]));
    field("n", one_in(10) ? (one_in(2) ? "9223372036854775807" : "-9223372036854775808")
                          : fmt::format("{}", static_cast<std::int64_t>(random_() % 200) - 100));
    field("d", double_text_of());
    field("m", fmt::format("{}.{:04}", static_cast<std::int64_t>(random_() % 2'000) - 1'000,
                           random_() % 10'000));
    field("f", one_in(2) ? "true" : "false");
    field("day", fmt::format("\"19{}-02-0{}\"", 60 + random_() % 20, 1 + random_() % 9));
    return out + "}\n";
  }

  std::mt19937_64 random_;
  std::vector<std::string> sent_;
};

std::string random_view(std::mt19937_64& random) {
  static const std::vector<std::string> kKeys = {"k",
                                                 "date_trunc('hour', ts)",
                                                 "n",
                                                 "f",
                                                 "day",
                                                 "d",
                                                 "m",
                                                 "lower(k)",
                                                 "n // 7",
                                                 "d > 0",
                                                 "coalesce(k, '?')",
                                                 "date_trunc('month', ts)",
                                                 "ts::DATE",
                                                 "n % 3",
                                                 "CASE WHEN f THEN k END"};
  static const std::vector<std::string> kAggregates = {
      "count(*)", "count(k)",   "count(d)", "sum(n)", "sum(d)", "sum(m)",     "avg(n)",
      "avg(d)",   "avg(m)",     "min(d)",   "max(d)", "min(k)", "max(k)",     "min(ts)",
      "max(day)", "sum(d * 2)", "min(m)",   "max(f)", "sum(f)", "avg(d + n)", "max(n)"};
  static const std::vector<std::string> kFilters = {"",
                                                    "",
                                                    "n > 0",
                                                    "f",
                                                    "d IS NOT NULL AND n <> 5",
                                                    "k = 'a' OR NOT f",
                                                    "length(k) > 0",
                                                    "d < 100 AND m >= 0"};
  std::string select = "SELECT ";
  const std::size_t keys = random() % 4;
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < keys; ++i) {
    const auto& key = kKeys[random() % kKeys.size()];
    if (std::ranges::find(groups, key) != groups.end()) continue;
    groups.push_back(key);
    select += fmt::format("{} AS k{}, ", key, groups.size());
  }
  const std::size_t aggregates = 1 + random() % 5;
  for (std::size_t i = 0; i < aggregates; ++i) {
    select += fmt::format("{}{} AS a{}", i == 0 ? "" : ", ",
                          kAggregates[random() % kAggregates.size()], i);
  }
  select += " FROM e";
  if (const auto& filter = kFilters[random() % kFilters.size()]; !filter.empty())
    select += " WHERE " + filter;
  if (!groups.empty()) select += fmt::format(" GROUP BY {}", fmt::join(groups, ", "));
  return select;
}

class MergedAnswer : public NodeTest {
 protected:
  /// The view's rows from all events of the stream at once, without generation, cut or delta.
  std::string recomputed(std::string_view view_name) {
    const auto view = node_->speed().find_view(view_name);
    const auto stream = node_->speed().find_stream("e");
    std::vector<StreamBatch> all;
    const auto database =
        sql::Database::open({.threads = 1, .folders = {folder_ / "data" / "lake"}});
    EXPECT_TRUE(database);
    // Both at one moment: a lake commit may be under way.
    std::shared_ptr<const lake::LakeSnapshot> lake;
    const auto snapshot =
        stream->snapshot([&] { lake = node_->lake().snapshot(stream->definition().id); });
    std::vector<std::filesystem::path> paths;
    for (const auto& commit : lake->commits) {
      for (const auto& file : commit.files)
        paths.push_back(node_->lake().path(stream->definition().id, file));
    }
    if (!paths.empty()) {
      const auto read = sql::read_lake_files(
          **database, paths, stream->definition(), [&](const StreamBatch& batch) -> Status {
            all.push_back(view::slice(batch, 0, batch.columns->rows()));
            return {};
          });
      EXPECT_TRUE(read) << read.error().text();
    }
    for (const auto& entry : snapshot.tail) {
      if (entry.batch.base_offset < lake->end.end(entry.batch.partition)) continue;
      auto batch = ingest::load_tail_entry(node_->log(), stream->definition(), entry);
      EXPECT_TRUE(batch) << batch.error().text();
      all.push_back(*batch);
    }
    // In another order than they came, which no bit may show.
    std::shuffle(all.begin(), all.end(), shuffle_);
    auto evaluator = view::Evaluator::make(**database, view->compiled(), 0, stream->definition());
    EXPECT_TRUE(evaluator) << evaluator.error().text();
    std::vector<view::GroupTable> parts(3, view::GroupTable(view->compiled().plan));
    std::uint64_t skipped = 0;
    for (const auto& batch : all) {
      const auto run =
          (*evaluator)->run(std::span(&batch, 1), parts[shuffle_() % parts.size()], skipped);
      EXPECT_TRUE(run) << run.error().text();
    }
    parts[2].merge(parts[0]);
    parts[2].merge(parts[1]);
    const auto finalizer = view::Finalizer::make(**database, view->compiled());
    EXPECT_TRUE(finalizer) << finalizer.error().text();
    const auto rows = (*finalizer)->rows(parts[2], true);
    EXPECT_TRUE(rows) << rows.error().text();
    return text_of(**rows);
  }

  void check_all(const std::set<std::string>& views, const std::string& when) {
    for (const auto& view : views) {
      const auto answer = all_rows(view);
      EXPECT_EQ(answer.coverage.streams[0].delta_end, node_->speed().find_stream("e")->applied())
          << view << " " << when;
      const std::string expected = recomputed(view);
      // An aggregate without keys has a row also where there is no event.
      if (!expected.empty()) EXPECT_EQ(text_of(*answer.rows), expected) << view << " " << when;
    }
  }

  /// Events, batch runs, restarts and new views in any order, and the answers after each.
  void follow();

  std::mt19937_64 shuffle_{7};
};

void MergedAnswer::follow() {
  const char* given = std::getenv("MILLRACE_TEST_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  Events events(seed);
  open();
  sql(fmt::format(kCreateStream, 1 + random() % 3));
  std::set<std::string> views;
  const auto add_view = [&] {
    const std::string name = fmt::format("v{}", views.size());
    const std::string select = random_view(random);
    std::printf("%s: %s\n", name.c_str(), select.c_str());
    sql(fmt::format("CREATE MATERIALIZED VIEW {} AS {}", name, select));
    views.insert(name);
  };
  for (int i = 0; i < 4; ++i) add_view();
  for (int step = 0; step < 24; ++step) {
    const auto reply = post("e", events.lines(1 + random() % 300));
    ASSERT_TRUE(reply.rejected.empty()) << reply.rejected.front().reason;
    switch (random() % 6) {
      case 0:
        EXPECT_EQ(run_batch().drift_rows, 0U);
        break;
      case 1:
        EXPECT_EQ(run_batch(true).drift_rows, 0U);
        break;
      case 2:
        open();
        break;
      case 3:
        node_->speed().find_stream("e")->cut_edge();
        break;
      case 4:
        if (views.size() < 8) {
          add_view();
          run_batch();  // it is built from the history
        }
        break;
      default:
        break;
    }
    if (step % 4 == 3) check_all(views, fmt::format("after step {}", step));
  }
  open();
  check_all(views, "after the last restart");
  EXPECT_EQ(run_batch(true).drift_rows, 0U);
  check_all(views, "after the last full run");
}

TEST_F(MergedAnswer, HasTheSameBitsAtEveryCutThroughRestartsAndInEveryMergeOrder) { follow(); }

TEST_F(MergedAnswer, HasTheSameBitsWhereNothingFitsTheMemory) {
  config_.speed_table_bytes_max = 1024;
  config_.batch_table_bytes_max = 1024;
  config_.state_cache_bytes_max = 64 << 10;
  follow();
}

// The recomputation by other code: DuckDB over the stream itself, for what it computes exactly too.
TEST_F(MergedAnswer, CountsAndIntegerSumsAreThoseOfPlainSqlOverTheStream) {
  Events events(11);
  open();
  sql(fmt::format(kCreateStream, 2));
  sql("CREATE MATERIALIZED VIEW v AS SELECT k, f, count(*) AS c, count(d) AS cd, sum(n) AS s, "
      "min(n) AS lo, max(m) AS hi "
      "FROM e GROUP BY k, f");
  for (int step = 0; step < 6; ++step) {
    post("e", events.lines(200));
    if (step == 1 || step == 4) run_batch();
    if (step == 3) open();
    const auto merged = sql("SELECT * FROM v ORDER BY ALL");
    const auto plain =
        sql("SELECT k, f, count(*), count(d), sum(n), min(n), max(m) FROM e GROUP BY k, f ORDER BY "
            "ALL");
    ASSERT_EQ(merged.rows, plain.rows);
    std::string left;
    std::string right;
    for (const auto& batch : merged.batches) left += text_of(*batch);
    for (const auto& batch : plain.batches) right += text_of(*batch);
    EXPECT_EQ(left, right);
  }
}

}  // namespace
}  // namespace millrace::server
