// The measures. Each but measure_groups starts a server of its own on an empty folder, and checks
// the answers of all views against the exact totals of what it sent before it gives a figure.
// Thread: one at a time: two would measure each other. Errors: those of the server, or a wrong
// answer.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "event_generator.h"
#include "http_load.h"
#include "report.h"
#include "server_process.h"

namespace millrace::bench {

struct Settings {
  std::filesystem::path binary;
  std::filesystem::path folder;
  double scale = 1;
  [[nodiscard]] std::uint64_t scaled(std::uint64_t full, std::uint64_t least) const {
    return std::max(least, static_cast<std::uint64_t>(static_cast<double>(full) * scale));
  }
};

using Figures = Result<std::vector<Figure>>;
Figures measure_bulk(const Settings& settings);
Figures measure_single(const Settings& settings);
Figures measure_freshness(const Settings& settings);
Figures measure_batch(const Settings& settings);
Figures measure_lookup(const Settings& settings);
Figures measure_restart(const Settings& settings);
Figures measure_views(const Settings& settings);
Figures measure_mqtt_throughput(const Settings& settings);
Figures measure_mqtt_single(const Settings& settings);
Figures measure_mqtt_idle(const Settings& settings);
Figures measure_mqtt_fan_out(const Settings& settings);
Figures measure_point_reads(const Settings& settings);
Figures measure_top(const Settings& settings);
Figures measure_ad_hoc(const Settings& settings);
Figures measure_postgres_sink(const Settings& settings);
Figures measure_redis_sink(const Settings& settings);
Figures measure_states(const Settings& settings);
/// Without a server.
Figures measure_groups(const Settings& settings);

/// A server with the stream and the three views, in the folder settings.folder / name.
Result<std::unique_ptr<ServerProcess>> start_with_views(const Settings& settings,
                                                        std::string_view name,
                                                        const ConfigValues& config);
/// The body of the answer.
Result<std::string> ask_sql(Connection& connection, std::string_view sql);
/// Sends `events` of the generator as they are made, 1000 a request on 4 connections.
Result<LoadResult> load_events(std::uint16_t port, EventGenerator& generator, std::uint64_t events);
/// Starts a batch run and waits for its end. Gives its number.
Result<std::uint64_t> run_batch(Connection& connection, bool full);
/// Waits until the lake has every event.
Status wait_for_lake(Connection& connection, std::uint64_t events);
/// The same request on the same number of connections against the bare echo: requests per second.
Result<double> echo_rate(std::size_t connections, std::uint64_t requests, const Request& request,
                         std::size_t reply_bytes);
/// One line on stderr: what is being done.
void say(std::string_view what);

inline constexpr std::string_view kEventsTarget = "/v1/streams/ev/events";
inline constexpr std::string_view kJsonLines = "application/x-ndjson";

}  // namespace millrace::bench
