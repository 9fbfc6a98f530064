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

void print_addresses(const std::string& http, const UpOptions& options) {
  fmt::print("Millrace {} serves {}\n\n  http      {}\n\n", MR_VERSION,
             std::filesystem::absolute(options.data).lexically_normal().string(), http);
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

  runtime::WorkerPool pool("query", 4, 256);
  std::atomic<const endpoint::HttpMetrics*> http_metrics{nullptr};
  const endpoint::Services services{
      .ingest = (*node)->ingest(),
      .lake_writer = (*node)->lake_writer(),
      .statements = (*node)->statements(),
      .batch = (*node)->batch(),
      .feed = (*node)->feed(),
      .events = (*node)->events(),
      .speed = (*node)->speed(),
      .catalog = (*node)->catalog(),
      .registry = (*node)->registry(),
      .lake = (*node)->lake(),
      .log = (*node)->log(),
      .pool = pool,
      .http_metrics = [&http_metrics] { return http_metrics.load(); }};
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
  print_addresses(address, options);
  if (!options.ready_file.empty()) {
    const auto written = runtime::write_file_durably(
        runtime::system_files(), std::filesystem::absolute(options.ready_file),
        fmt::format("{{\"pid\": {}, \"http\": \"{}\"}}\n", getpid(), address));
    if (!written) return report(written.error());
  }

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("signal {}: stopping", signal_number);
  (*server)->stop();
  (*node)->stop_queries();
  pool.close();
  (*node)->stop();
  spdlog::info("stopped");
  return 0;
}

}  // namespace millrace::server
