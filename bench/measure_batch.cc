// (4) Batch recomputation of the three views over all history, against the same GROUP BYs by plain
// DuckDB, with two threads, over the same Parquet files.
#include <simdjson.h>

#include "measures.h"
#include "plain_duckdb.h"
#include "view_check.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kEvents = 20'000'000;

/// Seconds that the newest generation of a view took.
double generation_seconds(std::string_view state, std::string_view view) {
  simdjson::dom::parser parser;
  simdjson::dom::array generations;
  double seconds = 0;
  std::uint64_t newest = 0;
  const simdjson::padded_string text(state);
  if (parser.parse(text)["generations"].get_array().get(generations) != simdjson::SUCCESS) return 0;
  for (const simdjson::dom::element generation : generations) {
    std::string_view name;
    std::uint64_t number = 0;
    double taken = 0;
    if (generation["view"].get_string().get(name) != simdjson::SUCCESS || name != view ||
        generation["generation"].get_uint64().get(number) != simdjson::SUCCESS || number < newest ||
        generation["seconds"].get_double().get(taken) != simdjson::SUCCESS) {
      continue;
    }
    newest = number;
    seconds = taken;
  }
  return seconds;
}

}  // namespace

Figures measure_batch(const Settings& settings) {
  const std::uint64_t events = settings.scaled(kEvents, 200'000);
  // Lake commits follow at once, and no batch run comes in between.
  const ConfigValues config = {{"lake.commit_interval_ms", "200"},
                               {"lake.commit_rows", "1000000"},
                               {"batch.interval_ms", "86400000"},
                               {"speed.delta_bytes_max", "1099511627776"}};
  MR_TRY(const auto server, start_with_views(settings, "batch", config));
  say(fmt::format("4: loading {} events", events));
  EventGenerator generator;
  MR_TRY(const auto load, load_events(server->port(), generator, events));
  MR_TRY(auto connection, Connection::open(server->port()));
  MR_RETURN_IF_ERROR(wait_for_lake(connection, events));

  say("4: plain DuckDB, then the batch layer, twice each in turn");
  MR_TRY(auto duckdb, PlainDuckDb::open(server->data_folder() / "lake"));
  double duckdb_best = 0;
  double ours_best = 0;
  std::vector<double> duckdb_views(std::size(kViews));
  std::vector<double> our_views(std::size(kViews));
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<double> views;
    double sum = 0;
    for (const auto& view : kViews) {
      MR_TRY(const double seconds, duckdb.count(view, events));
      views.push_back(seconds);
      sum += seconds;
    }
    if (turn == 0 || sum < duckdb_best) {
      duckdb_best = sum;
      duckdb_views = views;
    }
    const double begin = now_us();
    MR_TRY(const auto run, run_batch(connection, true));
    const double seconds = (now_us() - begin) / 1e6;
    if (run != 0 && (turn == 0 || seconds < ours_best)) {
      ours_best = seconds;
      MR_TRY(const auto state, connection.ask("GET", "/v1/batch"));
      for (std::size_t i = 0; i < std::size(kViews); ++i)
        our_views[i] = generation_seconds(state.body, kViews[i].name);
    }
  }
  MR_RETURN_IF_ERROR(check_views(server->port(), generator.totals()));
  MR_RETURN_IF_ERROR(server->stop());

  const double ratio = duckdb_best / ours_best;
  std::vector<Figure> figures{
      {.measure = 4,
       .what =
           fmt::format("batch of 3 views over {:.1f} M events", static_cast<double>(events) / 1e6),
       .reached = fmt::format("{:.2f} s, {:.1f} M rows/s a view", ours_best,
                              static_cast<double>(events) * 3 / ours_best / 1e6),
       .roofline = fmt::format("{:.2f} s plain DuckDB", duckdb_best),
       .ratio = ratio,
       .target = "ratio 0.8",
       .met = ratio >= 0.8,
       .numbers = {{"events", static_cast<double>(events)},
                   {"seconds", ours_best},
                   {"duckdb_seconds", duckdb_best},
                   {"load_events_per_second", static_cast<double>(events) / load.seconds}}}};
  for (std::size_t i = 0; i < std::size(kViews); ++i) {
    figures.push_back(
        {.measure = 4,
         .what = fmt::format("  view {}", kViews[i].name),
         .reached = fmt::format("{:.2f} s", our_views[i]),
         .roofline = fmt::format("{:.2f} s", duckdb_views[i]),
         .ratio = our_views[i] > 0 ? duckdb_views[i] / our_views[i] : 0,
         .target = "-",
         .numbers = {{"seconds", our_views[i]}, {"duckdb_seconds", duckdb_views[i]}}});
  }
  return figures;
}

}  // namespace millrace::bench
