#include "server/up.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>

#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "endpoint/mqtt_server.h"
#include "runtime/file_system.h"
#include "runtime/worker_pool.h"
#include "server/config.h"
#include "server/node.h"
#include "sql/statement.h"

extern char** environ;

namespace millrace::server {

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConflict = 5;

int report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.text().c_str());
  if (error.id == error_id::kLocked) return kExitConflict;
  return error.id == error_id::kBadConfig ? kExitUsage : kExitFailure;
}

Result<Config> load_config(const UpOptions& options) {
  Config config;
  const std::string standing = "millrace.yaml";
  if (!options.config_file.empty()) {
    MR_RETURN_IF_ERROR(read_config_file(options.config_file, config));
  } else if (std::filesystem::exists(standing)) {
    MR_RETURN_IF_ERROR(read_config_file(standing, config));
  }
  MR_RETURN_IF_ERROR(read_config_environment(environ, config));
  return config;
}

/// Runs the statements of a pipeline file. What exists already stays as it is, so that the same
/// file can be given at every start.
Status run_pipeline(const std::string& path, serving::StatementRunner& statements) {
  MR_TRY(const std::string text, runtime::read_file(runtime::system_files(), path));
  MR_TRY(const auto parts, sql::split_script(text));
  for (const auto& part : parts) {
    auto done = statements.run(part.text, std::filesystem::absolute(path).parent_path());
    if (!done && done.error().code != ErrorCode::kAlreadyExists) {
      auto error = std::move(done).error();
      const std::uint32_t line =
          part.place.line + (error.place.line == 0 ? 0 : error.place.line - 1);
      return std::unexpected(std::move(error).within("{}:{}", path, line));
    }
  }
  return {};
}

/// Nobody may reach an open server from elsewhere by mistake.
Status check_listener(const UpOptions& options, const access::Access& access) {
  if (endpoint::is_loopback(options.listen) || access.has_users() || access.anonymous_allowed())
    return {};
  return std::unexpected(
      Error{.code = ErrorCode::kFailedPrecondition,
            .id = std::string(error_id::kNotAuthenticated),
            .message = fmt::format("--listen {} is not of this machine alone, and there is no user "
                                   "who would have to prove who it is",
                                   options.listen),
            .hint = "make one on 127.0.0.1 first, or in the pipeline file: CREATE USER admin WITH "
                    "PASSWORD '...'; or set access.anonymous: 1 to let everybody do everything",
            .place = {}});
}

void print_addresses(const std::string& http, const std::string& mqtt, const UpOptions& options) {
  fmt::print("Millrace {} serves {}\n\n  http      {}\n  mqtt      {}\n\n", MR_VERSION,
             std::filesystem::absolute(options.data).lexically_normal().string(), http, mqtt);
  fmt::print(
      "make a stream and a view of it\n"
      "  curl -s {0}/v1/sql -H 'Content-Type: application/json' -d '{{\"sql\":\"CREATE STREAM "
      "trips (started TIMESTAMP, "
      "city VARCHAR, minutes DOUBLE) WITH (time = started, key = city)\"}}'\n"
      "  curl -s {0}/v1/sql -H 'Content-Type: application/json' -d '{{\"sql\":\"CREATE "
      "MATERIALIZED VIEW by_city AS "
      "SELECT city, count(*) AS trips, avg(minutes) AS mean FROM trips GROUP BY city\"}}'\n"
      "post an event\n"
      "  curl -s {0}/v1/streams/trips/events -H 'Content-Type: application/x-ndjson' -d "
      "'{{\"started\":\"2026-01-01T08:00:00Z\",\"city\":\"Lima\",\"minutes\":12.5}}'\n"
      "ask the view\n"
      "  curl -s '{0}/v1/views/by_city?city=Lima'\n",
      http);
  std::fflush(stdout);
}

}  // namespace

int run_up(const UpOptions& options) {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "millrace", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  // Before any thread starts, so that all of them leave these signals to this one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Bodies, record batches and columns are pieces of some 100 KiB that come and go a thousand times
  // a second: their pages stay with the process instead of being zeroed by the kernel each time.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);

  const auto config = load_config(options);
  if (!config) return report(config.error());
  auto node = Node::open(options.data, *config);
  if (!node) return report(node.error());
  for (const auto& pipeline : options.pipelines) {
    if (auto done = run_pipeline(pipeline, (*node)->statements()); !done)
      return report(done.error());
  }

  if (const auto safe = check_listener(options, (*node)->access()); !safe)
    return report(safe.error());

  runtime::WorkerPool pool("query", 4, 256);
  std::atomic<const endpoint::HttpMetrics*> http_metrics{nullptr};
  std::atomic<const endpoint::MqttMetrics*> mqtt_metrics{nullptr};
  endpoint::Services services = (*node)->services(pool);
  services.http_metrics = [&http_metrics] { return http_metrics.load(); };
  services.mqtt_metrics = [&mqtt_metrics] { return mqtt_metrics.load(); };
  endpoint::HttpServerOptions http;
  http.address = options.listen;
  http.port = options.http_port;
  http.threads = static_cast<unsigned>(config->http_threads);
  http.body_bytes_max = config->http_body_bytes_max;
  http.connections_max = config->http_connections_max;
  auto server = endpoint::HttpServer::start(http, endpoint::api_routes(services));
  if (!server) return report(server.error());
  http_metrics = &(*server)->metrics();
  const bool ipv6 = options.listen.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + options.listen + "]" : options.listen;
  const std::string address = fmt::format("http://{}:{}", host, (*server)->port());
  endpoint::MqttServerOptions mqtt;
  mqtt.address = options.listen;
  mqtt.port = options.mqtt_port;
  mqtt.threads = static_cast<unsigned>(config->mqtt_threads);
  mqtt.connections_max = config->mqtt_connections_max;
  mqtt.packet_bytes_max = static_cast<std::uint32_t>(config->mqtt_packet_bytes_max);
  mqtt.client_id_bytes_max = config->mqtt_client_id_bytes_max;
  mqtt.topic_levels_max = static_cast<std::uint16_t>(config->mqtt_topic_levels_max);
  mqtt.keep_alive_max_s = static_cast<std::uint16_t>(config->mqtt_keep_alive_max_s);
  auto mqtt_server =
      endpoint::MqttServer::start(mqtt, (*node)->access(), (*node)->broker(), (*node)->feed());
  if (!mqtt_server) return report(mqtt_server.error());
  mqtt_metrics = &(*mqtt_server)->metrics();
  const std::string mqtt_address = fmt::format("mqtt://{}:{}", host, (*mqtt_server)->port());
  print_addresses(address, mqtt_address, options);
  if (!options.ready_file.empty()) {
    const auto written = runtime::write_file_durably(
        runtime::system_files(), std::filesystem::absolute(options.ready_file),
        fmt::format("{{\"pid\": {}, \"http\": \"{}\", \"mqtt\": \"{}\"}}\n", getpid(), address,
                    mqtt_address));
    if (!written) return report(written.error());
  }

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("signal {}: stopping", signal_number);
  (*mqtt_server)->stop();
  (*server)->stop();
  (*node)->stop_queries();
  pool.close();
  (*node)->stop();
  spdlog::info("stopped");
  return 0;
}

}  // namespace millrace::server
