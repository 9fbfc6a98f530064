// (3) How long after its POST an event is in a view's answer, while others arrive at a fixed rate.
// The question is asked on a second connection at once and again, without waiting for the
// acknowledgement.
#include <atomic>
#include <thread>

#include "measures.h"

namespace millrace::bench {

namespace {

constexpr double kSeconds = 15;
constexpr double kBackgroundRequestsPerSecond = 100;
constexpr std::size_t kBackgroundConnections = 4;
constexpr double kProbeEveryUs = 20'000;

class Background {
 public:
  Background(std::uint16_t port, EventGenerator& generator, double events_per_second)
      : thread_([this, port, &generator, events_per_second] {
          run(port, generator, events_per_second);
        }) {}
  ~Background() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  Result<LoadResult> end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return std::move(result_);
  }

 private:
  void run(std::uint16_t port, EventGenerator& generator, double events_per_second) {
    const auto rows = static_cast<std::size_t>(events_per_second / kBackgroundRequestsPerSecond);
    std::vector<std::pair<std::string, std::string>> pending(kBackgroundConnections);
    const NextRequest next = [&](std::size_t connection, Request& request) {
      if (stop_) return false;
      auto& [head, body] = pending[connection];
      body.clear();
      generator.append(body, rows);
      head = request_head("POST", kEventsTarget, kJsonLines, body.size());
      request = {head, body};
      return true;
    };
    const OnReply check = [](std::size_t, const ReplyReader& reply) {
      return expect_status(reply, 200);
    };
    result_ = run_load({.port = port,
                        .connections = kBackgroundConnections,
                        .requests_per_second = kBackgroundRequestsPerSecond},
                       next, check);
  }

  std::atomic<bool> stop_ = false;
  Result<LoadResult> result_ = LoadResult{};
  std::thread thread_;
};

/// Adds the time from before the POST until the answer has the event.
Status probe(Connection& poster, Connection& reader, std::uint64_t number, Latencies& latencies) {
  const std::string body = fmt::format(
      R"({{"ts":{},"id":"probe","user":"p{:06}","type":"probe","page":"/probe","country":"XX","value":1.00,"ok":true}})"
      "\n",
      kFirstEventMs, number);
  const std::string target = fmt::format("/v1/views/v1?user=p{:06}", number);
  const double begin = now_us();
  MR_RETURN_IF_ERROR(poster.send("POST", kEventsTarget, body, kJsonLines));
  for (;;) {
    MR_TRY(const auto answer, reader.ask("GET", target));
    if (answer.status != 200)
      return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {}", target, answer.body);
    if (answer.body.find("\"rows\":[[") != std::string::npos) break;
    if (now_us() - begin > 30e6) {
      return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal,
                  "an event is not visible after 30 s");
    }
  }
  latencies.add_us(now_us() - begin);
  MR_TRY(const auto posted, poster.receive());
  if (posted.status != 200)
    return fail(ErrorCode::kInternal, error_id::kInternal, "POST: {}", posted.body);
  return {};
}

}  // namespace

Figures measure_freshness(const Settings& settings) {
  MR_TRY(const auto server, start_with_views(settings, "freshness", {}));
  MR_TRY(auto poster, Connection::open(server->port()));
  MR_TRY(auto reader, Connection::open(server->port()));
  EventGenerator generator;
  std::vector<Figure> figures;
  std::uint64_t probes = 0;
  for (const double rate : {1e3, 1e4, 1e5}) {
    say(fmt::format("3: POST until visible at {:.0f} events/s", rate));
    const double seconds = std::max(3.0, kSeconds * settings.scale);
    Latencies latencies;
    const std::uint64_t events_before = generator.totals().events;
    Background background(server->port(), generator, rate);
    const double begin = now_us();
    double next_us = begin + 500'000;  // the load first
    while (next_us < begin + seconds * 1e6) {
      const double wait_us = next_us - now_us();
      if (wait_us > 0)
        std::this_thread::sleep_for(std::chrono::duration<double, std::micro>(wait_us));
      MR_RETURN_IF_ERROR(probe(poster, reader, probes++, latencies));
      next_us = std::max(next_us + kProbeEveryUs, now_us());
    }
    MR_TRY(const auto load, background.end());
    const double sent =
        static_cast<double>(generator.totals().events - events_before) / load.seconds;
    const double p50 = latencies.ms(0.5);
    const double p99 = latencies.ms(0.99);
    const bool judged = rate == 1e4;
    figures.push_back({.measure = 3,
                       .what = fmt::format("POST until visible at {:.0f} k/s", rate / 1e3),
                       .reached = fmt::format("p50 {:.2f} ms, p99 {:.2f} ms", p50, p99),
                       .roofline = "",
                       .target = judged ? "p50 2 ms, p99 20 ms" : "-",
                       .met = judged && p50 <= 2 && p99 <= 20,
                       .numbers = {{"background_events_per_second", sent},
                                   {"probes", static_cast<double>(latencies.count())},
                                   {"p50_ms", p50},
                                   {"p99_ms", p99},
                                   {"background_p99_ms", load.latencies.ms(0.99)}}});
  }
  // Every event counts once: those of the load and the probes.
  MR_TRY(const auto count,
         reader.ask("POST", "/v1/sql", R"({"sql":"SELECT CAST(sum(c) AS BIGINT) FROM v1"})"));
  const std::uint64_t expected = generator.totals().events + probes;
  if (count.body.find(fmt::format("\"rows\":[[{}]]", expected)) == std::string::npos) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "{} events were sent, the view says {}",
                expected, count.body);
  }
  MR_RETURN_IF_ERROR(server->stop());
  return figures;
}

}  // namespace millrace::bench
