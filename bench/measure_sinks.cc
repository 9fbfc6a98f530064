// (16) A sink to PostgreSQL and (17) one to Redis: how many rows a second it writes when it begins,
// and when every group changes. What the store has is compared with what was sent, both times.

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "measures.h"
#include "postgres_process.h"
#include "redis_process.h"
#include "wire_load.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kKeys = 500'000;
constexpr std::uint64_t kRowsAtOnce = 1'000;
constexpr std::size_t kConnections = 2;
constexpr double kSecondsMax = 120;

/// One event for each key, its value that of the key.
Result<LoadResult> post_round(std::uint16_t port, std::uint64_t keys) {
  std::array<std::string, kConnections> heads;
  std::array<std::string, kConnections> bodies;
  std::uint64_t next_key = 0;
  return run_load(
      {.port = port, .connections = kConnections},
      [&](std::size_t index, Request& request) {
        if (next_key == keys) return false;
        auto& body = bodies[index];
        body.clear();
        const auto end = std::min(keys, next_key + kRowsAtOnce);
        for (; next_key != end; ++next_key) {
          fmt::format_to(std::back_inserter(body),
                         R"({{"id":"k{:07}","value":{}}})"
                         "\n",
                         next_key, next_key);
        }
        heads[index] = request_head("POST", "/v1/streams/k/events", kJsonLines, body.size());
        request = {heads[index], body};
        return true;
      },
      [](std::size_t, const ReplyReader& reply) { return expect_status(reply, 200); });
}

struct Written {
  std::uint64_t rows = 0;
  double seconds = 0;
};

/// Waits until the store has what the view has. Gives the rows that the sink has written so far.
Result<std::uint64_t> wait_for_sink(WireConnection& connection) {
  const double begin = now_us();
  std::string shown;
  while (now_us() - begin < kSecondsMax * 1e6) {
    MR_TRY(shown, connection.ask("SELECT CASE WHEN state = 'running' AND lag_events = 0 THEN rows "
                                 "ELSE -1 END FROM millrace.sinks"));
    const auto rows = std::strtoll(shown.c_str(), nullptr, 10);
    if (!shown.empty() && rows >= 0) return static_cast<std::uint64_t>(rows);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  MR_TRY(shown, connection.ask("SELECT state, error, lag_events, rows FROM millrace.sinks"));
  return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal,
              "the sink is behind after {} s: {}", kSecondsMax, shown);
}

struct Store {
  int measure = 0;
  std::string name;
  double target = 0;  // rows a second
  std::string url;    // of the sink
  /// Whether it has this many keys, each with so many events.
  std::function<Status(std::uint64_t keys, std::uint64_t events)> check;
};

Figures measure_sink(const Settings& settings, const Store& store) {
  MR_TRY(const auto server,
         ServerProcess::start(settings.binary, settings.folder / fmt::format("sink_{}", store.name),
                              {{"batch.interval_ms", "86400000"}}));
  MR_TRY(auto http, Connection::open(server->port()));
  MR_TRY(auto wire, WireConnection::open(server->postgres_url()));
  MR_RETURN_IF_ERROR(ask_sql(http, "CREATE STREAM k (id VARCHAR, value BIGINT)"));
  MR_RETURN_IF_ERROR(ask_sql(http,
                             "CREATE MATERIALIZED VIEW by_id AS SELECT id, count(*) AS c, "
                             "CAST(sum(value) AS BIGINT) AS s FROM k GROUP BY id"));
  const auto keys = settings.scaled(kKeys, 10'000);
  say(fmt::format("{}: {} keys into {}", store.measure, keys, store.name));
  MR_RETURN_IF_ERROR(post_round(server->port(), keys));

  const auto timed = [&](const std::function<Status()>& change) -> Result<Written> {
    Written out;
    MR_TRY(const auto before, wire.ask("SELECT coalesce(max(rows), 0) FROM millrace.sinks"));
    const double begin = now_us();
    MR_RETURN_IF_ERROR(change());
    MR_TRY(const auto rows, wait_for_sink(wire));
    out.seconds = (now_us() - begin) / 1e6;
    out.rows = rows - std::strtoull(before.c_str(), nullptr, 10);
    return out;
  };
  MR_TRY(const auto begun, timed([&]() -> Status {
           MR_RETURN_IF_ERROR(ask_sql(
               http, fmt::format("CREATE SINK out INTO '{}' AS SELECT * FROM by_id", store.url)));
           return {};
         }));
  MR_RETURN_IF_ERROR(store.check(keys, 1));
  MR_TRY(const auto changed, timed([&]() -> Status {
           MR_RETURN_IF_ERROR(post_round(server->port(), keys));
           return {};
         }));
  MR_RETURN_IF_ERROR(store.check(keys, 2));
  MR_RETURN_IF_ERROR(server->stop());

  std::vector<Figure> figures;
  for (const auto* written : {&begun, &changed}) {
    const double rate = static_cast<double>(written->rows) / written->seconds;
    figures.push_back(
        {.measure = store.measure,
         .what = fmt::format("sink to {}, {}", store.name,
                             written == &begun ? "its beginning" : "all groups change"),
         .reached = fmt::format("{:.1f} k rows/s", rate / 1e3),
         .roofline = {},
         .target = fmt::format("{:.0f} k/s", store.target / 1e3),
         .met = rate >= store.target,
         .numbers = {{"rows_per_second", rate},
                     {"rows", static_cast<double>(written->rows)},
                     {"seconds", written->seconds}}});
  }
  return figures;
}

std::unexpected<Error> unequal(std::string_view store, std::string_view has,
                               std::string_view wanted) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "{} has {} instead of {}", store, has,
              wanted);
}

}  // namespace

Figures measure_postgres_sink(const Settings& settings) {
  MR_TRY(const auto postgres, PostgresProcess::start(settings.folder / "sink_target"));
  MR_TRY(auto connection, WireConnection::open(postgres->url()));
  auto url = postgres->url();
  url.replace(0, url.find("://"), "postgres");
  return measure_sink(
      settings, {.measure = 16,
                 .name = "PostgreSQL",
                 .target = 50'000,
                 .url = url + "/public.by_id",
                 .check = [&](std::uint64_t keys, std::uint64_t events) -> Status {
                   MR_TRY(const auto has,
                          connection.ask("SELECT count(*), min(c), max(c), sum(s) FROM by_id"));
                   const auto wanted = fmt::format("{}\t{}\t{}\t{}\n", keys, events, events,
                                                   events * (keys * (keys - 1) / 2));
                   return has == wanted ? Status() : Status(unequal("PostgreSQL", has, wanted));
                 }});
}

Figures measure_redis_sink(const Settings& settings) {
  MR_TRY(const auto redis, RedisProcess::start(settings.folder / "sink_redis"));
  return measure_sink(settings,
                      {.measure = 17,
                       .name = "Redis",
                       .target = 150'000,
                       .url = fmt::format("redis://127.0.0.1:{}/0/by_id", redis->port()),
                       .check = [&](std::uint64_t keys, std::uint64_t events) -> Status {
                         constexpr std::uint64_t kCompared = 1'000;
                         for (std::uint64_t i = 0; i < kCompared; ++i) {
                           const auto key = i * (keys - 1) / (kCompared - 1);
                           for (const auto& [field, wanted] :
                                {std::pair{"c", events}, std::pair{"s", events * key}}) {
                             MR_TRY(const auto has,
                                    redis->ask(fmt::format("HGET by_id:k{:07} {}", key, field)));
                             if (has != fmt::to_string(wanted))
                               return unequal("Redis", has, fmt::to_string(wanted));
                           }
                         }
                         return {};
                       }});
}

}  // namespace millrace::bench
