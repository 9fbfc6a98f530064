// (2) One event per POST on 64 keep-alive connections, each acknowledged after its sync.
#include "measures.h"
#include "view_check.h"

namespace millrace::bench {

namespace {
constexpr std::uint64_t kPosts = 200'000;
constexpr std::size_t kConnections = 64;
}  // namespace

Figures measure_single(const Settings& settings) {
  const std::uint64_t posts = settings.scaled(kPosts, 5'000);
  MR_TRY(const auto server, start_with_views(settings, "single", {}));
  say(fmt::format("2: {} posts of one event", posts));
  EventGenerator generator;
  struct Pending {
    std::string head;
    std::string body;
  };
  std::vector<Pending> pending(kConnections);
  std::uint64_t left = posts;
  const NextRequest next = [&](std::size_t connection, Request& request) {
    if (left == 0) return false;
    --left;
    auto& [head, body] = pending[connection];
    body.clear();
    generator.append(body, 1);
    head = request_head("POST", kEventsTarget, kJsonLines, body.size());
    request = {head, body};
    return true;
  };
  const OnReply check = [](std::size_t, const ReplyReader& reply) {
    return expect_status(reply, 200);
  };
  MR_TRY(const auto load,
         run_load({.port = server->port(), .connections = kConnections}, next, check));
  MR_RETURN_IF_ERROR(check_views(server->port(), generator.totals()));
  MR_RETURN_IF_ERROR(server->stop());
  MR_TRY(const double echo,
         echo_rate(kConnections, posts, {pending[0].head, pending[0].body}, load.reply_bytes));

  const double rate = static_cast<double>(posts) / load.seconds;
  const double p50 = load.latencies.ms(0.5);
  const double p99 = load.latencies.ms(0.99);
  return std::vector<Figure>{
      {.measure = 2,
       .what = "POST of one event, 64 connections",
       .reached =
           fmt::format("{:.1f} k posts/s, p50 {:.2f} ms, p99 {:.2f} ms", rate / 1e3, p50, p99),
       .roofline = fmt::format("{:.1f} k/s bare echo", echo / 1e3),
       .ratio = rate / echo,
       .target = "25 k posts/s",
       .met = rate >= 25'000,
       .numbers = {{"posts_per_second", rate},
                   {"p50_ms", p50},
                   {"p99_ms", p99},
                   {"echo_per_second", echo}}}};
}

}  // namespace millrace::bench
