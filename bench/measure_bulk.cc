// (1) Bulk JSON Lines: durable, with three live views, and the memory that it takes. The roofline
// is what one core does at best with the same bytes: simdjson over the whole text, five fields into
// dense tables.
#include <simdjson.h>

#include <array>

#include "measures.h"
#include "view_check.h"

namespace millrace::bench {

namespace {

constexpr std::uint64_t kEvents = 4'000'000;
constexpr std::size_t kEventsPerRequest = 1'000;
constexpr std::size_t kConnections = 4;
constexpr double kRooflineSeconds = 2;
constexpr std::uint64_t kMemoryMax = std::uint64_t{1536} << 20;

struct PlainTotals {
  std::uint64_t count = 0;
  double sum = 0;
  double min = 1e300;
  double max = -1e300;
};

std::size_t digits_at(std::string_view text, std::size_t skip) {
  std::size_t value = 0;
  for (std::size_t i = skip; i < text.size(); ++i)
    value = value * 10 + static_cast<std::size_t>(text[i] - '0');
  return value;
}

/// Events per second of one core, and a sum that keeps the work from being left out.
Result<double> parse_roofline(std::string_view text, std::uint64_t events) {
  const simdjson::padded_string padded(text);
  simdjson::ondemand::parser parser;
  std::vector<PlainTotals> users(kUsers);
  std::vector<PlainTotals> pages(kPages * kTypes);
  std::vector<PlainTotals> minutes(100'000);
  std::array<std::size_t, 256> types{};
  for (std::size_t i = 0; i < kTypes; ++i) types[static_cast<unsigned char>(kTypeNames[i][0])] = i;
  const double begin = now_us();
  std::uint64_t done = 0;
  while (now_us() - begin < kRooflineSeconds * 1e6) {
    simdjson::ondemand::document_stream documents;
    if (parser.iterate_many(padded, padded.size() + 64).get(documents) != simdjson::SUCCESS) break;
    for (auto document : documents) {
      simdjson::ondemand::object event;
      std::int64_t ts = 0;
      std::string_view user;
      std::string_view type;
      std::string_view page;
      double value = 0;
      if (document.get_object().get(event) != simdjson::SUCCESS ||
          event.find_field("ts").get_int64().get(ts) != simdjson::SUCCESS ||
          event.find_field("user").get_string().get(user) != simdjson::SUCCESS ||
          event.find_field("type").get_string().get(type) != simdjson::SUCCESS ||
          event.find_field("page").get_string().get(page) != simdjson::SUCCESS ||
          event.find_field("value").get_double().get(value) != simdjson::SUCCESS) {
        return fail(ErrorCode::kInternal, error_id::kInternal,
                    "simdjson refuses the benchmark's own events");
      }
      const std::size_t kind = types[static_cast<unsigned char>(type[0])];
      PlainTotals& by_user = users[digits_at(user, 1)];
      ++by_user.count;
      by_user.sum += value;
      by_user.min = std::min(by_user.min, value);
      by_user.max = std::max(by_user.max, value);
      PlainTotals& by_page = pages[digits_at(page, 3) * kTypes + kind];
      ++by_page.count;
      by_page.sum += value;
      PlainTotals& by_minute =
          minutes[static_cast<std::size_t>((ts - kFirstEventMs + 60'000) / 60'000) * kTypes + kind];
      ++by_minute.count;
      by_minute.sum += value;
    }
    done += events;
  }
  std::uint64_t counted = 0;
  for (const auto& group : users) counted += group.count;
  if (counted != done || done == 0) {
    return fail(ErrorCode::kInternal, error_id::kInternal, "the roofline counted {} of {} events",
                counted, done);
  }
  return static_cast<double>(done) / (now_us() - begin) * 1e6;
}

}  // namespace

Figures measure_bulk(const Settings& settings) {
  const std::uint64_t events =
      settings.scaled(kEvents, 100'000) / kEventsPerRequest * kEventsPerRequest;
  say(fmt::format("1: making {} events", events));
  EventGenerator generator;
  std::vector<std::string> bodies(events / kEventsPerRequest);
  for (auto& body : bodies) generator.append(body, kEventsPerRequest);
  std::string sample;
  constexpr std::size_t kSampleBodies = 100;
  for (std::size_t i = 0; i < std::min(kSampleBodies, bodies.size()); ++i) sample += bodies[i];
  MR_TRY(const double roofline,
         parse_roofline(sample, std::min(kSampleBodies, bodies.size()) * kEventsPerRequest));

  MR_TRY(const auto server, start_with_views(settings, "bulk", {}));
  say("1: posting");
  std::vector<std::string> heads(kConnections);
  std::size_t sent = 0;
  const NextRequest next = [&](std::size_t connection, Request& request) {
    if (sent == bodies.size()) return false;
    const std::string& body = bodies[sent++];
    heads[connection] = request_head("POST", kEventsTarget, kJsonLines, body.size());
    request = {heads[connection], body};
    return true;
  };
  const OnReply check = [](std::size_t, const ReplyReader& reply) {
    return expect_status(reply, 200);
  };
  const double cpu_before = server->cpu_seconds();
  MR_TRY(const auto load,
         run_load({.port = server->port(), .connections = kConnections}, next, check));
  const double cpu = server->cpu_seconds() - cpu_before;
  MR_RETURN_IF_ERROR(check_views(server->port(), generator.totals()));
  const std::uint64_t memory = server->peak_bytes();
  MR_RETURN_IF_ERROR(server->stop());

  const double rate = static_cast<double>(events) / load.seconds;
  const double cpu_us = cpu / static_cast<double>(events) * 1e6;
  const double ratio = rate / roofline;
  return std::vector<Figure>{
      {.measure = 1,
       .what = "bulk JSON Lines, durable, 3 views",
       .reached = fmt::format("{:.2f} M events/s, {:.2f} us CPU each", rate / 1e6, cpu_us),
       .roofline = fmt::format("{:.1f} M/s parse + aggregate, one core", roofline / 1e6),
       .ratio = ratio,
       .target = "ratio 0.15, 1 M/s",
       .met = ratio >= 0.15 && rate >= 1e6,
       .numbers = {{"events", static_cast<double>(events)},
                   {"events_per_second", rate},
                   {"roofline_events_per_second", roofline},
                   {"server_cpu_us_per_event", cpu_us},
                   {"request_p50_ms", load.latencies.ms(0.5)},
                   {"request_p99_ms", load.latencies.ms(0.99)}}},
      {.measure = 1,
       .what = "  memory under that load",
       .reached = fmt::format("{:.2f} GiB at most", static_cast<double>(memory) / 0x1p30),
       .roofline = "",
       .target = "1.5 GiB",
       .met = memory < kMemoryMax,
       .numbers = {{"peak_bytes", static_cast<double>(memory)}}}};
}

}  // namespace millrace::bench
