// (15) An ad-hoc aggregate over all events of a stream, over PostgreSQL's wire, beside plain
// DuckDB, with two threads, over the same Parquet files; what both answer is compared first.
#include <cmath>
#include <cstdlib>

#include "measures.h"
#include "plain_duckdb.h"
#include "wire_load.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kEvents = 20'000'000;
constexpr int kTurns = 3;
// A mean of doubles depends on the order in which DuckDB adds them.
constexpr double kMeanTolerance = 1e-9;
constexpr std::string_view kSelect =
    "SELECT country, count(*) AS c, max(value) AS mx, avg(value) AS a FROM {} WHERE ok GROUP BY "
    "country ORDER BY country";

struct Row {
  std::string country;
  std::int64_t count = 0;
  double max = 0;
  double mean = 0;
};

Result<double> by_duckdb(PlainDuckDb& duckdb, std::vector<Row>& out) {
  out.clear();
  return duckdb.run(kSelect, [&](const BatchView& rows) {
    for (std::size_t i = 0; i < rows.rows; ++i) {
      out.push_back({.country = std::string(rows.columns[0].as<StringRef>()[i].view()),
                     .count = rows.columns[1].as<std::int64_t>()[i],
                     .max = rows.columns[2].as<double>()[i],
                     .mean = rows.columns[3].as<double>()[i]});
    }
    return Status();
  });
}

Result<double> by_wire(WireConnection& connection, std::string& out) {
  const double begin = now_us();
  MR_TRY(out, connection.ask(fmt::format(fmt::runtime(kSelect), "ev")));
  return (now_us() - begin) / 1e6;
}

/// "AA\t1\t2.5\t1.5\n..."
Status compare(std::string_view ours, const std::vector<Row>& theirs) {
  std::size_t at = 0;
  for (const auto& row : theirs) {
    const auto want = fmt::format("{}\t{}\t{}\t", row.country, row.count, row.max);
    if (!ours.substr(at).starts_with(want)) {
      return fail(ErrorCode::kInternal, error_id::kInternal, "{} is not what DuckDB gives: {}",
                  ours.substr(at, 80), want);
    }
    const double mean = std::strtod(ours.data() + at + want.size(), nullptr);
    if (std::abs(mean - row.mean) > std::abs(row.mean) * kMeanTolerance)
      return fail(ErrorCode::kInternal, error_id::kInternal, "{} is not {}", mean, row.mean);
    at = ours.find('\n', at) + 1;
  }
  if (at == ours.size() && !theirs.empty()) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "there are more than {} rows",
              theirs.size());
}

}  // namespace

Figures measure_ad_hoc(const Settings& settings) {
  const std::uint64_t events = settings.scaled(kEvents, 200'000);
  MR_TRY(const auto server, ServerProcess::start(settings.binary, settings.folder / "ad_hoc",
                                                 {{"lake.commit_interval_ms", "200"},
                                                  {"lake.commit_rows", "1000000"},
                                                  {"batch.interval_ms", "86400000"}}));
  MR_TRY(auto http, Connection::open(server->port()));
  MR_RETURN_IF_ERROR(ask_sql(http, kStreamSql));
  say(fmt::format("15: loading {} events", events));
  EventGenerator generator;
  MR_TRY(const auto load, load_events(server->port(), generator, events));
  MR_RETURN_IF_ERROR(wait_for_lake(http, events));

  say("15: plain DuckDB, then the statement, in turn");
  MR_TRY(auto duckdb, PlainDuckDb::open(server->data_folder() / "lake"));
  MR_TRY(auto connection, WireConnection::open(server->postgres_url()));
  double ours_best = 0;
  double theirs_best = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::vector<Row> theirs;
    std::string ours;
    MR_TRY(const double their_seconds, by_duckdb(duckdb, theirs));
    MR_TRY(const double our_seconds, by_wire(connection, ours));
    MR_RETURN_IF_ERROR(compare(ours, theirs));
    if (turn == 0 || their_seconds < theirs_best) theirs_best = their_seconds;
    if (turn == 0 || our_seconds < ours_best) ours_best = our_seconds;
  }
  MR_RETURN_IF_ERROR(server->stop());
  const double ratio = ours_best / theirs_best;
  return std::vector<Figure>{{.measure = 15,
                              .what = fmt::format("ad-hoc aggregate of {:.1f} M events",
                                                  static_cast<double>(events) / 1e6),
                              .reached = fmt::format("{:.3f} s", ours_best),
                              .roofline = fmt::format("{:.3f} s plain DuckDB", theirs_best),
                              .ratio = ratio,
                              .target = "at most 1.15",
                              .met = ratio <= 1.15 && load.requests != 0,
                              .numbers = {{"seconds", ours_best},
                                          {"duckdb_seconds", theirs_best},
                                          {"events", static_cast<double>(events)}}}};
}

}  // namespace millrace::bench
