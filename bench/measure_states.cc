// (18) A view with very many groups on a small budget: every event makes one. What the full batch
// run takes, the most memory that the server had, and look-ups of keys that were asked for before
// and of keys that were not.
#include "measures.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kGroups = 100'000'000;
constexpr std::uint64_t kLookups = 20'000;
constexpr std::uint64_t kWarmKeys = 1'000;
constexpr std::size_t kRowsPerRequest = 10'000;
constexpr std::size_t kConnections = 2;

/// Odd, so that each number gives another key, and keys come in no order.
std::int64_t key_of(std::uint64_t number) {
  return static_cast<std::int64_t>(number * 0x9e3779b97f4a7c15);
}

/// As answers have it: a number that a double does not hold is a string.
std::string json_number(std::int64_t number) {
  constexpr std::int64_t kMax = (std::int64_t{1} << 53) - 1;
  return number > kMax || number < -kMax ? fmt::format("\"{}\"", number) : std::to_string(number);
}

Result<LoadResult> load_keys(std::uint16_t port, std::uint64_t groups) {
  struct Pending {
    std::string head;
    std::string body;
  };
  std::vector<Pending> pending(kConnections);
  std::uint64_t sent = 0;
  const NextRequest next = [&](std::size_t connection, Request& request) {
    if (sent == groups) return false;
    auto& [head, body] = pending[connection];
    body.clear();
    for (std::size_t row = 0; row < kRowsPerRequest && sent < groups; ++row, ++sent)
      fmt::format_to(std::back_inserter(body), "{{\"k\":{},\"n\":{}}}\n", key_of(sent), sent);
    head = request_head("POST", "/v1/streams/keys/events", kJsonLines, body.size());
    request = {head, body};
    return true;
  };
  return run_load({.port = port, .connections = kConnections}, next,
                  [](std::size_t, const ReplyReader& reply) { return expect_status(reply, 200); });
}

/// `choose` gives the number of the key that is asked for.
Result<LoadResult> look_up(std::uint16_t port, std::uint64_t lookups,
                           const std::function<std::uint64_t()>& choose) {
  std::string head;
  std::uint64_t asked = 0;
  std::uint64_t left = lookups;
  const NextRequest next = [&](std::size_t, Request& request) {
    if (left-- == 0) return false;
    asked = choose();
    head = request_head("GET", fmt::format("/v1/views/v?k={}", key_of(asked)), "", 0);
    request = {head, {}};
    return true;
  };
  return run_load(
      {.port = port, .connections = 1}, next, [&](std::size_t, const ReplyReader& reply) -> Status {
        MR_RETURN_IF_ERROR(expect_status(reply, 200));
        const auto right = fmt::format("\"rows\":[[{},1,{}]]", json_number(key_of(asked)), asked);
        if (reply.body().find(right) != std::string_view::npos) return {};
        return fail(ErrorCode::kInternal, error_id::kInternal, "wrong answer, not {}: {}", right,
                    reply.body());
      });
}

Figure lookup_figure(std::string what, const LoadResult& load) {
  return {.measure = 18,
          .what = std::move(what),
          .reached = fmt::format("p50 {:.3f} ms, p99 {:.3f} ms", load.latencies.ms(0.5),
                                 load.latencies.ms(0.99)),
          .roofline = "",
          .ratio = 0,
          .target = "told",
          .met = true,
          .numbers = {{"p50_ms", load.latencies.ms(0.5)}, {"p99_ms", load.latencies.ms(0.99)}}};
}

}  // namespace

Figures measure_states(const Settings& settings) {
  const std::uint64_t groups = settings.scaled(kGroups, 100'000);
  MR_TRY(const auto server, ServerProcess::start(settings.binary, settings.folder / "states",
                                                 {{"batch.interval_ms", "86400000"},
                                                  {"batch.table_bytes_max", "268435456"},
                                                  {"speed.table_bytes_max", "268435456"},
                                                  {"speed.tail_bytes_max", "67108864"},
                                                  {"state.cache_bytes_max", "268435456"}}));
  MR_TRY(auto connection, Connection::open(server->port()));
  MR_RETURN_IF_ERROR(ask_sql(connection, "CREATE STREAM keys (k BIGINT, n BIGINT)"));
  MR_RETURN_IF_ERROR(ask_sql(connection,
                             "CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS c, sum(n) AS s "
                             "FROM keys GROUP BY k"));
  say(fmt::format("18: {} events, each a group of its own", groups));
  MR_TRY(const auto load, load_keys(server->port(), groups));
  const double rate = static_cast<double>(groups) / load.seconds;
  say("18: a full batch run");
  const double begin = now_us();
  MR_TRY(const auto run, run_batch(connection, true));
  const double seconds = (now_us() - begin) / 1e6;
  std::uint64_t draw = run;
  const auto any = [&](std::uint64_t of) {
    draw = draw * 6364136223846793005 + 1442695040888963407;
    return (draw >> 20) % of;
  };
  const std::uint64_t lookups = settings.scaled(kLookups, 2'000);
  MR_TRY(const auto cold, look_up(server->port(), lookups, [&] { return any(groups); }));
  MR_TRY(const auto first, look_up(server->port(), kWarmKeys * 4, [&] { return any(kWarmKeys); }));
  MR_TRY(const auto warm, look_up(server->port(), lookups, [&] { return any(kWarmKeys); }));
  const double gib = static_cast<double>(server->peak_bytes()) / (1 << 30);
  MR_RETURN_IF_ERROR(server->stop());
  if (first.requests == 0)
    return fail(ErrorCode::kInternal, error_id::kInternal, "nothing was asked");
  std::vector<Figure> figures;
  figures.push_back({.measure = 18,
                     .what = fmt::format("{:.1f} M groups: events, then a full run",
                                         static_cast<double>(groups) / 1e6),
                     .reached = fmt::format("{:.0f} k events/s; run {:.1f} s", rate / 1e3, seconds),
                     .roofline = "",
                     .ratio = 0,
                     .target = "told",
                     .met = true,
                     .numbers = {{"groups", static_cast<double>(groups)},
                                 {"events_per_second", rate},
                                 {"run_seconds", seconds}}});
  figures.push_back({.measure = 18,
                     .what = "most memory, with its processes",
                     .reached = fmt::format("{:.2f} GiB", gib),
                     .roofline = "",
                     .ratio = 0,
                     .target = "told",
                     .met = true,
                     .numbers = {{"peak_gib", gib}}});
  figures.push_back(lookup_figure("look-up of any key, 1 connection", cold));
  figures.push_back(lookup_figure("look-up of a key asked before, 1 connection", warm));
  return figures;
}

}  // namespace millrace::bench
