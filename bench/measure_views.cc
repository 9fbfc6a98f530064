// (8) What views cost: processor time for each event with no view and with each of four, with a
// thousand groups and with a million, and of a POST of one event into a view of either size. Views
// are kept by the server's apply thread alone: its time is taken, in nanoseconds of the scheduler,
// and the whole server's, in ticks of 10 ms, only for the whole event. Nothing is written to the
// lake and no batch runs meanwhile, so that only the difference counts. The number of events in the
// answer is compared before a figure counts; the exact sums of such views are compared in (1).
#include "measures.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kEvents = 2'000'000;
constexpr std::uint64_t kPosts = 20'000;
constexpr std::size_t kTurns = 3;
constexpr std::string_view kApply = "apply";  // the thread that keeps the views
constexpr double kViewNsMax = 60;
constexpr double kGroupsTimesMax = 4;
/// A figure of a run may swing by as much with nothing changed.
constexpr double kPublishTimesMax = 1.25;

struct Case {
  std::string_view what;
  std::string_view select;  // empty: no view
  std::string_view count;   // a SELECT whose only value is the number of events
};
constexpr Case kNoView = {"no view", "", "SELECT count(*) FROM ev"};
constexpr Case kCases[] = {
    {"V1",
     "SELECT \"user\", count(*) AS c, sum(value) AS s, min(value) AS mn, max(value) AS mx "
     "FROM ev GROUP BY \"user\"",
     "SELECT sum(c)::BIGINT FROM v"},
    {"V2", "SELECT page, type, count(*) AS c, sum(value) AS s FROM ev GROUP BY page, type",
     "SELECT sum(c)::BIGINT FROM v"},
    {"V3",
     "SELECT date_trunc('minute', ts) AS minute, type, count(*) AS c, sum(value) AS s FROM ev "
     "GROUP BY minute, type",
     "SELECT sum(c)::BIGINT FROM v"},
    {"V4",
     "SELECT date_trunc('minute', ts) AS minute, approx_count_distinct(\"user\") AS u, count(*) "
     "AS c FROM ev GROUP BY minute",
     "SELECT sum(c)::BIGINT FROM v"}};
constexpr Case kFewGroups = {
    "1,000 groups",
    "SELECT substr(id, 2)::BIGINT * 2654435761 % 1000 AS k, count(*) AS c, sum(value) AS s FROM ev "
    "GROUP BY k",
    "SELECT sum(c)::BIGINT FROM v"};
constexpr Case kManyGroups = {"1 M groups",
                              "SELECT substr(id, 2)::BIGINT * 2654435761 % 1000000 AS k, count(*) "
                              "AS c, sum(value) AS s FROM ev "
                              "GROUP BY k",
                              "SELECT sum(c)::BIGINT FROM v"};

struct Cost {
  double event_ns = 0;  // of the server, in bulk
  double apply_ns = 0;  // of the apply thread, in bulk
  double post_us = 0;   // of the apply thread, for one POST of one event, after the bulk
};

Status check_count(Connection& connection, const Case& which, std::uint64_t events) {
  MR_TRY(const auto answer, ask_sql(connection, which.count));
  if (answer.find(fmt::format("[[{}]]", events)) != std::string::npos) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal,
              "{}: {} events were sent, the answer is {}", which.what, events, answer);
}

Result<Cost> measure_case(const Settings& settings, const Case& which, bool posts) {
  const std::uint64_t events = settings.scaled(kEvents, 100'000);
  const ConfigValues config = {{"lake.commit_interval_ms", "86400000"},
                               {"lake.commit_rows", "100000000"},
                               {"batch.interval_ms", "86400000"},
                               {"speed.delta_bytes_max", "1099511627776"}};
  const auto folder = settings.folder / "views";
  std::filesystem::remove_all(folder);
  MR_TRY(const auto server, ServerProcess::start(settings.binary, folder, config));
  MR_TRY(auto connection, Connection::open(server->port()));
  MR_RETURN_IF_ERROR(ask_sql(connection, kStreamSql));
  if (!which.select.empty()) {
    MR_RETURN_IF_ERROR(
        ask_sql(connection, fmt::format("CREATE MATERIALIZED VIEW v AS {}", which.select)));
  }
  EventGenerator generator;
  Cost cost;
  const double whole_before = server->cpu_seconds();
  double before = server->thread_cpu_seconds(kApply);
  MR_RETURN_IF_ERROR(load_events(server->port(), generator, events));
  cost.event_ns = (server->cpu_seconds() - whole_before) / static_cast<double>(events) * 1e9;
  cost.apply_ns = (server->thread_cpu_seconds(kApply) - before) / static_cast<double>(events) * 1e9;
  const std::uint64_t single = posts ? settings.scaled(kPosts, 1'000) : 0;
  before = server->thread_cpu_seconds(kApply);
  std::string body;
  for (std::uint64_t i = 0; i < single; ++i) {
    body.clear();
    generator.append(body, 1);
    MR_TRY(const auto reply, connection.ask("POST", kEventsTarget, body, kJsonLines));
    if (reply.status != 200)
      return fail(ErrorCode::kInternal, error_id::kInternal, "a POST got {}", reply.body);
  }
  if (single != 0)
    cost.post_us =
        (server->thread_cpu_seconds(kApply) - before) / static_cast<double>(single) * 1e6;
  MR_RETURN_IF_ERROR(check_count(connection, which, events + single));
  MR_RETURN_IF_ERROR(server->stop());
  return cost;
}

/// The least of several turns: what disturbs only adds.
Result<Cost> least_cost(const Settings& settings, const Case& which, bool posts) {
  Cost least{1e18, 1e18, 1e18};
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    say(fmt::format("8: {}, turn {}", which.what, turn + 1));
    MR_TRY(const auto cost, measure_case(settings, which, posts));
    least = {std::min(least.event_ns, cost.event_ns), std::min(least.apply_ns, cost.apply_ns),
             std::min(least.post_us, cost.post_us)};
  }
  return least;
}

}  // namespace

Figures measure_views(const Settings& settings) {
  std::vector<Figure> figures;
  MR_TRY(const auto none, least_cost(settings, kNoView, false));
  for (const auto& which : kCases) {
    MR_TRY(const auto cost, least_cost(settings, which, false));
    const double ns = cost.apply_ns - none.apply_ns;
    figures.push_back({.measure = 8,
                       .what = fmt::format("adding view {}, an event", which.what),
                       .reached = fmt::format("{:.0f} ns CPU", ns),
                       .roofline = fmt::format("{:.0f} ns the whole event", cost.event_ns),
                       .target = "60 ns",
                       .met = ns <= kViewNsMax,
                       .numbers = {{"view_ns", ns}, {"event_ns", cost.event_ns}}});
  }
  MR_TRY(const auto few, least_cost(settings, kFewGroups, true));
  MR_TRY(const auto many, least_cost(settings, kManyGroups, true));
  const double times = many.event_ns / few.event_ns;
  figures.push_back({.measure = 8,
                     .what = "an event into 1 M groups",
                     .reached = fmt::format("{:.0f} ns CPU", many.event_ns),
                     .roofline = fmt::format("{:.0f} ns into 1,000", few.event_ns),
                     .ratio = times,
                     .target = "at most 4 times",
                     .met = times <= kGroupsTimesMax,
                     .numbers = {{"few_ns", few.event_ns}, {"many_ns", many.event_ns}}});
  const double publish = many.post_us / few.post_us;
  figures.push_back({.measure = 8,
                     .what = "a POST of one event into 1 M groups",
                     .reached = fmt::format("{:.1f} us CPU", many.post_us),
                     .roofline = fmt::format("{:.1f} us into 1,000", few.post_us),
                     .ratio = publish,
                     .target = "no more",
                     .met = publish <= kPublishTimesMax,
                     .numbers = {{"few_us", few.post_us}, {"many_us", many.post_us}}});
  return figures;
}

}  // namespace millrace::bench
