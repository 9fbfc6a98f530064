// (5) Key look-ups over HTTP in a view that has a generation and a delta, against a bare echo of
// the same number of bytes in the same run.
#include "measures.h"
#include "view_check.h"

namespace millrace::bench {

namespace {
constexpr std::uint64_t kEvents = 1'000'000;
constexpr std::uint64_t kLookups = 100'000;
}  // namespace

Figures measure_lookup(const Settings& settings) {
  MR_TRY(const auto server,
         start_with_views(settings, "lookup", {{"batch.interval_ms", "86400000"}}));
  say("5: loading, with a generation in the middle");
  EventGenerator generator;
  MR_TRY(const auto before,
         load_events(server->port(), generator, settings.scaled(kEvents, 50'000)));
  MR_TRY(auto connection, Connection::open(server->port()));
  MR_TRY(const auto run, run_batch(connection, false));
  MR_TRY(const auto after,
         load_events(server->port(), generator, settings.scaled(kEvents, 50'000) / 10));
  MR_RETURN_IF_ERROR(check_views(server->port(), generator.totals()));

  std::vector<Figure> figures;
  for (const std::size_t connections : {std::size_t{1}, std::size_t{16}}) {
    const std::uint64_t lookups = settings.scaled(kLookups, 5'000);
    say(fmt::format("5: {} look-ups on {} connections", lookups, connections));
    std::vector<std::string> heads(connections);
    std::vector<std::size_t> asked(connections);
    std::uint64_t left = lookups;
    std::uint64_t draw = 1;
    const NextRequest next = [&](std::size_t index, Request& request) {
      if (left == 0) return false;
      --left;
      do {
        draw = draw * 6364136223846793005 + 1442695040888963407;
        asked[index] = (draw >> 33) % kUsers;
      } while (generator.totals().users[asked[index]].count == 0);
      heads[index] =
          request_head("GET", fmt::format("/v1/views/v1?user=u{:06}", asked[index]), "", 0);
      request = {heads[index], {}};
      return true;
    };
    const OnReply check = [&](std::size_t index, const ReplyReader& reply) -> Status {
      MR_RETURN_IF_ERROR(expect_status(reply, 200));
      const auto right = fmt::format("\"rows\":[[\"u{:06}\",{},", asked[index],
                                     generator.totals().users[asked[index]].count);
      if (reply.body().find(right) != std::string_view::npos) return {};
      return fail(ErrorCode::kInternal, error_id::kInternal, "wrong answer for {}: {}", right,
                  reply.body());
    };
    MR_TRY(const auto load,
           run_load({.port = server->port(), .connections = connections}, next, check));
    MR_TRY(const double echo, echo_rate(connections, lookups, {heads[0], {}}, load.reply_bytes));
    const double rate = static_cast<double>(load.requests) / load.seconds;
    figures.push_back(
        {.measure = 5,
         .what =
             fmt::format("key look-up, {} connection{}", connections, connections == 1 ? "" : "s"),
         .reached = fmt::format("{:.1f} k/s, p50 {:.3f} ms, p99 {:.3f} ms", rate / 1e3,
                                load.latencies.ms(0.5), load.latencies.ms(0.99)),
         .roofline = fmt::format("{:.1f} k/s bare echo", echo / 1e3),
         .ratio = rate / echo,
         .target = "ratio 0.7",
         .met = rate / echo >= 0.7,
         .numbers = {{"lookups_per_second", rate},
                     {"echo_per_second", echo},
                     {"p50_ms", load.latencies.ms(0.5)},
                     {"p99_ms", load.latencies.ms(0.99)},
                     {"reply_bytes", static_cast<double>(load.reply_bytes)}}});
  }
  MR_RETURN_IF_ERROR(server->stop());
  if (run == 0 || before.requests == 0 || after.requests == 0) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "nothing was loaded");
  }
  return figures;
}

}  // namespace millrace::bench
