#include "server/up.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>

#include "endpoint/api_routes.h"
#include "endpoint/http_server.h"
#include "endpoint/mqtt_server.h"
#include "endpoint/peer.h"
#include "endpoint/postgres_server.h"
#include "endpoint/tls.h"
#include "runtime/file_system.h"
#include "runtime/worker_pool.h"
#include "server/config.h"
#include "server/log_format.h"
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

void print_first_steps(std::string_view http, const std::optional<std::string>& postgres) {
  fmt::print(
      "\nmake a stream and a view of it\n"
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
  if (postgres) fmt::print("  psql {} -c 'SELECT * FROM by_city'\n", *postgres);
}

/// The certificate, where there is one.
Result<std::unique_ptr<endpoint::Tls>> load_tls(const UpOptions& options, const Config& config) {
  using endpoint::ClientCertificates;
  if (config.tls_certificate.empty()) {
    if (!config.tls_key.empty() || !config.tls_client_ca.empty()) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                  "tls.key or tls.client_ca is set, and tls.certificate is not");
    }
    if (options.needs_tls) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                  "--https-port and --mqtts-port need tls.certificate and tls.key");
    }
    if (!options.http_port && !options.mqtt_port && !options.postgres_port) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                  "--http-port off --mqtt-port off --postgres-port off leaves no port; "
                  "tls.certificate is not set");
    }
    if (config.postgres_tls == "required" && options.postgres_port) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                  "postgres.tls is required, and tls.certificate is not set");
    }
    return nullptr;
  }
  const std::string_view clients = config.tls_client_certificates;
  return endpoint::Tls::load(
      {.certificate = config.tls_certificate,
       .key = config.tls_key,
       .client_ca = config.tls_client_ca,
       .client_certificates = clients == "required"   ? ClientCertificates::kRequired
                              : clients == "optional" ? ClientCertificates::kOptional
                                                      : ClientCertificates::kNone,
       .common_name_is_user = config.tls_client_user == "cn"});
}

/// The values of a list, which has commas between them.
std::vector<std::string> items_of(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma != 0) items.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return items;
}

endpoint::HttpServerOptions http_options(const UpOptions& options, const Config& config,
                                         endpoint::Tls* tls) {
  using std::chrono::milliseconds;
  endpoint::HttpServerOptions http;
  http.address = options.listen;
  http.plain = options.http_port.has_value();
  http.port = options.http_port.value_or(0);
  http.tls = options.https_port ? tls : nullptr;
  http.tls_port = options.https_port.value_or(0);
  http.threads = static_cast<unsigned>(config.http_threads);
  http.head_bytes_max = config.http_head_bytes_max;
  http.body_bytes_max = config.http_body_bytes_max;
  http.body_bytes_in_flight_max = config.http_bodies_bytes_max;
  http.answer_bytes_in_flight_max = config.http_answers_bytes_max;
  http.connections_max = config.http_connections_max;
  http.streams_max = config.http_streams_max;
  http.peer_connections_max = config.http_peer_connections_max;
  http.peer_requests_per_second_max =
      static_cast<std::uint32_t>(config.http_peer_requests_per_second_max);
  http.cors_origins = items_of(config.http_cors_origins);
  http.head_time = milliseconds(config.http_head_time_ms);
  http.body_time = milliseconds(config.http_body_time_ms);
  http.idle_time = milliseconds(config.http_idle_time_ms);
  http.write_time = milliseconds(config.http_write_time_ms);
  return http;
}

endpoint::MqttServerOptions mqtt_options(const UpOptions& options, const Config& config,
                                         endpoint::Tls* tls) {
  using std::chrono::milliseconds;
  endpoint::MqttServerOptions mqtt;
  mqtt.address = options.listen;
  mqtt.plain = options.mqtt_port.has_value();
  mqtt.port = options.mqtt_port.value_or(0);
  mqtt.tls = options.mqtts_port ? tls : nullptr;
  mqtt.tls_port = options.mqtts_port.value_or(0);
  mqtt.threads = static_cast<unsigned>(config.mqtt_threads);
  mqtt.connections_max = config.mqtt_connections_max;
  mqtt.packet_bytes_max = static_cast<std::uint32_t>(config.mqtt_packet_bytes_max);
  mqtt.client_id_bytes_max = config.mqtt_client_id_bytes_max;
  mqtt.topic_levels_max = static_cast<std::uint16_t>(config.mqtt_topic_levels_max);
  mqtt.keep_alive_max_s = static_cast<std::uint16_t>(config.mqtt_keep_alive_max_s);
  mqtt.peer_connections_max = config.mqtt_peer_connections_max;
  mqtt.connect_time = milliseconds(config.mqtt_connect_time_ms);
  mqtt.unfinished_bytes_max = config.mqtt_unfinished_bytes_max;
  mqtt.client_messages_per_second_max = config.mqtt_client_messages_per_second_max;
  mqtt.client_bytes_per_second_max = config.mqtt_client_bytes_per_second_max;
  mqtt.packet_time = milliseconds(config.mqtt_packet_time_ms);
  mqtt.write_time = milliseconds(config.mqtt_write_time_ms);
  return mqtt;
}

endpoint::PostgresServerOptions postgres_options(const UpOptions& options, const Config& config,
                                                 endpoint::Tls* tls) {
  using std::chrono::milliseconds;
  endpoint::PostgresServerOptions postgres;
  postgres.address = options.listen;
  postgres.port = options.postgres_port.value_or(0);
  postgres.tls = tls;
  postgres.tls_required = config.postgres_tls == "required";
  postgres.threads = static_cast<unsigned>(config.postgres_threads);
  postgres.connections_max = config.postgres_connections_max;
  postgres.peer_connections_max = config.postgres_peer_connections_max;
  postgres.message_bytes_max = config.postgres_message_bytes_max;
  postgres.statements_max = config.postgres_statements_max;
  postgres.held_bytes_max = config.postgres_held_bytes_max;
  postgres.connect_time = milliseconds(config.postgres_connect_time_ms);
  postgres.write_time = milliseconds(config.postgres_write_time_ms);
  return postgres;
}

/// Where the program serves, by protocol: "http" -> "http://127.0.0.1:8080".
using Addresses = std::vector<std::pair<std::string_view, std::string>>;

Addresses addresses_of(const UpOptions& options, const endpoint::HttpServer& http,
                       const endpoint::MqttServer& mqtt, const endpoint::PostgresServer* postgres) {
  const bool ipv6 = options.listen.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + options.listen + "]" : options.listen;
  Addresses all;
  const auto add = [&](std::string_view scheme, std::uint16_t port) {
    if (port != 0) all.emplace_back(scheme, fmt::format("{}://{}:{}", scheme, host, port));
  };
  add("http", http.port());
  add("https", http.tls_port());
  add("mqtt", mqtt.port());
  add("mqtts", mqtt.tls_port());
  // With the name that clients would make one of the user otherwise.
  if (postgres != nullptr) {
    all.emplace_back("postgres",
                     fmt::format("postgresql://{}:{}/millrace", host, postgres->port()));
  }
  return all;
}

void print_addresses(const Addresses& addresses, const UpOptions& options) {
  fmt::print("Millrace {} serves {}\n\n", MR_VERSION,
             std::filesystem::absolute(options.data).lexically_normal().string());
  for (const auto& [protocol, address] : addresses) fmt::print("  {:<9} {}\n", protocol, address);
  std::string_view http;
  std::optional<std::string> postgres;
  for (const auto& [protocol, address] : addresses) {
    if (http.empty() && protocol.starts_with("http")) http = address;
    if (protocol == "postgres") postgres = address;
  }
  if (!http.empty()) print_first_steps(http, postgres);
  std::fflush(stdout);
}

/// What `--ready-file` gets.
Status write_ready_file(const Addresses& addresses, const UpOptions& options) {
  if (options.ready_file.empty()) return {};
  std::string text = fmt::format("{{\"pid\": {}", getpid());
  for (const auto& [protocol, address] : addresses)
    text += fmt::format(", \"{}\": \"{}\"", protocol, address);
  return runtime::write_file_durably(runtime::system_files(),
                                     std::filesystem::absolute(options.ready_file), text + "}\n");
}

/// Passwords and events must not cross a network that others can listen to without a word.
void warn_of_plain_ports(const UpOptions& options, const Config& config) {
  if (endpoint::is_loopback(options.listen)) return;
  if (options.http_port || options.mqtt_port) {
    spdlog::warn(
        "--listen {}: HTTP and MQTT without TLS can be read and changed on their way; set "
        "tls.certificate and tls.key, and --http-port off --mqtt-port off",
        options.listen);
  }
  if (options.postgres_port && config.postgres_tls != "required") {
    spdlog::warn(
        "--listen {}: PostgreSQL without TLS can be read and changed on its way; set "
        "tls.certificate, tls.key and postgres.tls: required",
        options.listen);
  }
}

/// Waits until the program is to stop. SIGHUP reads the certificate again.
void serve(const sigset_t& signals, endpoint::Tls* tls) {
  for (;;) {
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    if (signal_number == SIGHUP) {
      static_cast<void>(tls->reload());
      continue;
    }
    spdlog::info("signal {}: stopping", signal_number);
    return;
  }
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
  const auto config = load_config(options);
  if (!config) return report(config.error());
  if (config->server_log_json != 0)
    spdlog::default_logger()->set_formatter(std::make_unique<JsonLogFormatter>());
  auto tls = load_tls(options, *config);
  if (!tls) return report(tls.error());
  // Without a certificate there is nothing to read again, and a closed terminal ends the program.
  if (*tls != nullptr) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // Bodies, record batches and columns are pieces of some 100 KiB that come and go a thousand times
  // a second: their pages stay with the process instead of being zeroed by the kernel each time.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);

  auto node = Node::open(options.data, *config);
  if (!node) return report(node.error());
  for (const auto& pipeline : options.pipelines) {
    if (auto done = run_pipeline(pipeline, (*node)->statements()); !done)
      return report(done.error());
  }

  if (const auto safe = check_listener(options, (*node)->access()); !safe)
    return report(safe.error());
  warn_of_plain_ports(options, *config);

  runtime::WorkerPool pool("query", 4, 256);
  // One's statements do not wait for the other's.
  runtime::WorkerPool postgres_pool("postgres", 8, 1024);
  std::atomic<const endpoint::HttpMetrics*> http_metrics{nullptr};
  std::atomic<const endpoint::MqttMetrics*> mqtt_metrics{nullptr};
  std::atomic<const endpoint::PostgresMetrics*> postgres_metrics{nullptr};
  endpoint::Services services = (*node)->services(pool);
  services.http_metrics = [&http_metrics] { return http_metrics.load(); };
  services.mqtt_metrics = [&mqtt_metrics] { return mqtt_metrics.load(); };
  services.postgres_metrics = [&postgres_metrics] { return postgres_metrics.load(); };
  services.tls_metrics = [&tls] { return *tls == nullptr ? nullptr : &(*tls)->metrics(); };
  auto mqtt_server =
      endpoint::MqttServer::start(mqtt_options(options, *config, tls->get()), (*node)->access(),
                                  (*node)->broker(), (*node)->feed());
  if (!mqtt_server) return report(mqtt_server.error());
  mqtt_metrics = &(*mqtt_server)->metrics();
  services.web_origins = items_of(config->http_cors_origins);
  services.mqtt_web_socket = [&mqtt = **mqtt_server, origins = services.web_origins](
                                 const endpoint::HttpRequest& request) {
    return mqtt.web_socket(request, origins);
  };
  auto server = endpoint::HttpServer::start(http_options(options, *config, tls->get()),
                                            endpoint::api_routes(services));
  if (!server) return report(server.error());
  http_metrics = &(*server)->metrics();
  std::unique_ptr<endpoint::PostgresServer> postgres_server;
  if (options.postgres_port) {
    auto started =
        endpoint::PostgresServer::start(postgres_options(options, *config, tls->get()),
                                        (*node)->access(), (*node)->statements(), postgres_pool);
    if (!started) return report(started.error());
    postgres_server = std::move(*started);
    postgres_metrics = &postgres_server->metrics();
  }
  const Addresses addresses = addresses_of(options, **server, **mqtt_server, postgres_server.get());
  print_addresses(addresses, options);
  if (const auto written = write_ready_file(addresses, options); !written)
    return report(written.error());

  serve(signals, tls->get());
  (*mqtt_server)->stop();
  if (postgres_server != nullptr) postgres_server->stop();
  (*server)->stop();
  (*node)->stop_queries();
  pool.close();
  postgres_pool.close();
  (*node)->stop();
  spdlog::info("stopped");
  return 0;
}

}  // namespace millrace::server
