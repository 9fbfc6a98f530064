// (6) kill -9 with five million events that only the log has, and how long after the new start an
// answer is there that has every acknowledged event.
#include <chrono>
#include <thread>

#include "measures.h"
#include "view_check.h"

namespace millrace::bench {

namespace {
constexpr std::uint64_t kEvents = 5'000'000;
constexpr double kTargetMs = 3'000;
}  // namespace

Figures measure_restart(const Settings& settings) {
  const std::uint64_t events = settings.scaled(kEvents, 100'000);
  const ConfigValues config = {{"lake.commit_interval_ms", "86400000"},
                               {"lake.commit_rows", "100000000"},
                               {"batch.interval_ms", "86400000"},
                               {"speed.delta_bytes_max", "1099511627776"}};
  MR_TRY(auto server, start_with_views(settings, "restart", config));
  say(fmt::format("6: loading {} events into the tail", events));
  EventGenerator generator;
  MR_TRY(const auto load, load_events(server->port(), generator, events));
  server->kill_now();

  say("6: killed, starting again");
  const double begin = now_us();
  MR_TRY(server, ServerProcess::start(settings.binary, settings.folder / "restart", config));
  MR_TRY(auto connection, Connection::open(server->port()));
  for (;;) {
    MR_TRY(const auto ready, connection.ask("GET", "/readyz"));
    if (ready.status == 200) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const double ready_ms = (now_us() - begin) / 1000;
  const auto right = fmt::format("\"rows\":[[\"u000000\",{},", generator.totals().users[0].count);
  MR_TRY(const auto answer, connection.ask("GET", "/v1/views/v1?user=u000000"));
  const double answer_ms = (now_us() - begin) / 1000;
  if (answer.body.find(right) == std::string::npos) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "the first answer is {} and not {}",
                answer.body, right);
  }
  MR_RETURN_IF_ERROR(check_views(server->port(), generator.totals()));
  MR_RETURN_IF_ERROR(server->stop());
  return std::vector<Figure>{
      {.measure = 6,
       .what = fmt::format("restart after kill -9, {:.1f} M events in the tail",
                           static_cast<double>(events) / 1e6),
       .reached = fmt::format("{:.0f} ms, {:.1f} M events/s", answer_ms,
                              static_cast<double>(events) / answer_ms / 1e3),
       .roofline = "",
       .target = "3000 ms",
       .met = answer_ms <= kTargetMs,
       .numbers = {{"ready_ms", ready_ms},
                   {"answer_ms", answer_ms},
                   {"events", static_cast<double>(events)},
                   {"load_events_per_second", static_cast<double>(events) / load.seconds}}}};
}

}  // namespace millrace::bench
