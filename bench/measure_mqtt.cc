// (9) to (12) MQTT, each against Millrace and against Debian's mosquitto with the same client.
// Millrace has each message of (9) and (10) in its log, synced, and in a view, before it
// acknowledges it; mosquitto runs without persistence and writes nothing to disk.
#include <fcntl.h>
#include <simdjson.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <optional>

#include "measures.h"
#include "mosquitto_process.h"
#include "mqtt_load.h"

namespace millrace::bench {

namespace {

using wire::mqtt::QoS;

constexpr std::uint64_t kThroughputMessages = 1'000'000;
constexpr std::uint64_t kSingleMessages = 3'000;
constexpr std::uint64_t kIdleConnections = 10'000;
constexpr std::size_t kSubscribers = 1'000;
constexpr std::uint64_t kFanOuts = 500;
constexpr double kMegabyte = 1024 * 1024;

constexpr std::string_view kStream =
    "CREATE STREAM readings (sensor BIGINT, n BIGINT, value DOUBLE)"
    " WITH (mqtt = 'bench/{sensor}/reading')";
constexpr std::string_view kView =
    "CREATE MATERIALIZED VIEW totals AS SELECT sensor, count(*) AS messages, sum(n) AS numbers"
    " FROM readings GROUP BY sensor";

void next_reading(std::size_t connection, std::uint64_t number, std::string& topic,
                  std::string& payload) {
  topic.clear();
  payload.clear();
  fmt::format_to(std::back_inserter(topic), "bench/{}/reading", connection);
  fmt::format_to(std::back_inserter(payload), R"({{"n":{},"value":21.5}})", number);
}

struct Broker {
  std::uint16_t port = 0;
  pid_t pid = -1;
};

/// Both brokers, one at a time: the other would take its share of the machine.
struct Comparison {
  double millrace = 0;
  std::optional<double> mosquitto;
  Latencies latencies;  // of Millrace
  Latencies other;      // of mosquitto
};

/// None where mosquitto is not installed.
Result<std::unique_ptr<MosquittoProcess>> start_mosquitto(const Settings& settings) {
  auto broker = MosquittoProcess::start(settings.folder / "mosquitto");
  if (!broker && broker.error().code == ErrorCode::kNotFound) {
    say(fmt::format("no comparison: {}", broker.error().message));
    return nullptr;
  }
  return broker;
}

Result<std::unique_ptr<ServerProcess>> start_millrace(const Settings& settings,
                                                      std::string_view name) {
  MR_TRY(auto server, ServerProcess::start(settings.binary, settings.folder / name, {}));
  MR_TRY(auto connection, Connection::open(server->port()));
  for (const std::string_view sql : {kStream, kView}) {
    MR_TRY(const auto reply,
           connection.ask("POST", "/v1/sql", fmt::format(R"({{"sql":"{}"}})", sql)));
    if (reply.status != 200)
      return fail(ErrorCode::kInternal, error_id::kInternal, "{}: {}", sql, reply.body);
  }
  return server;
}

/// The view has all messages, each once: their number, and the sum of their numbers.
Status check_totals(const ServerProcess& server, std::uint64_t messages) {
  MR_TRY(auto connection, Connection::open(server.port()));
  const std::string sql = "SELECT sum(messages)::BIGINT, sum(numbers)::BIGINT FROM totals";
  MR_TRY(const auto reply,
         connection.ask("POST", "/v1/sql", fmt::format(R"({{"sql":"{}"}})", sql)));
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  std::int64_t count = 0;
  std::int64_t sum = 0;
  const auto wanted = static_cast<std::int64_t>(messages);
  if (parser.parse(reply.body).get(document) == simdjson::SUCCESS &&
      document["rows"].at(0).at(0).get_int64().get(count) == simdjson::SUCCESS &&
      document["rows"].at(0).at(1).get_int64().get(sum) == simdjson::SUCCESS && count == wanted &&
      sum == wanted * (wanted - 1) / 2)
    return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "{} messages, but the view says {}",
              messages, reply.body);
}

/// mosquitto counts what it received; the number appears in its $SYS tree within a second.
Status check_received(const MosquittoProcess& broker, std::uint64_t messages) {
  MR_TRY(auto client, MqttClient::connect(broker.port(), "bench-sys"));
  MR_RETURN_IF_ERROR(client.subscribe("$SYS/broker/publish/messages/received", QoS::kAtMostOnce));
  std::uint64_t count = 0;
  for (int i = 0; i < 5 && count != messages; ++i) {
    MR_TRY(const std::string payload, client.receive_payload());
    std::from_chars(payload.data(), payload.data() + payload.size(), count);
  }
  if (count == messages) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "{} messages, but mosquitto received {}",
              messages, count);
}

/// Messages per second at QoS 1, all acknowledged and all there.
Result<Comparison> compare_publishing(const Settings& settings, std::string_view name,
                                      PublishLoad load) {
  Comparison out;
  const auto rate = [&](const PublishResult& result) {
    return static_cast<double>(load.messages) / result.seconds;
  };
  {
    MR_TRY(const auto server, start_millrace(settings, name));
    load.port = server->mqtt_port();
    MR_TRY(auto result, publish_qos1(load, next_reading));
    MR_RETURN_IF_ERROR(check_totals(*server, load.messages));
    MR_RETURN_IF_ERROR(server->stop());
    out.millrace = rate(result);
    out.latencies = std::move(result.latencies);
  }
  MR_TRY(const auto mosquitto, start_mosquitto(settings));
  if (mosquitto == nullptr) return out;
  load.port = mosquitto->port();
  MR_TRY(auto result, publish_qos1(load, next_reading));
  MR_RETURN_IF_ERROR(check_received(*mosquitto, load.messages));
  out.mosquitto = rate(result);
  out.other = std::move(result.latencies);
  return out;
}

/// How long an fdatasync of one written block takes: the median, in milliseconds. Into a file whose
/// blocks are there and written, as those of the log are.
Result<double> sync_ms(const std::filesystem::path& folder) {
  constexpr std::size_t kBlock = 4096;
  constexpr std::size_t kBlocks = 500;
  const std::string file = (folder / "sync").string();
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{} cannot be written", file);
  const std::string zeros(kBlock * kBlocks, '\0');
  bool fine = ::pwrite(fd, zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(zeros.size()) &&
              ::fsync(fd) == 0;
  Latencies latencies;
  const std::string block(kBlock, 'x');
  for (std::size_t i = 0; fine && i < kBlocks; ++i) {
    const double begin = now_us();
    fine = ::pwrite(fd, block.data(), kBlock, static_cast<off_t>(i * kBlock)) ==
               static_cast<ssize_t>(kBlock) &&
           ::fdatasync(fd) == 0;
    latencies.add_us(now_us() - begin);
  }
  ::close(fd);
  std::filesystem::remove(file);
  if (!fine) return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{} fails", file);
  return latencies.ms(0.5);
}

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  return 0;
}

/// Bytes of the broker's memory per connection, after each has pinged once.
Result<double> idle_bytes(const Broker& broker, std::uint64_t count) {
  // The first ones pay for what is made once.
  {
    MR_TRY(auto warm, MqttClient::connect(broker.port, "bench-warm"));
  }
  const std::uint64_t before = resident_bytes(broker.pid);
  std::vector<MqttClient> clients;
  for (std::uint64_t i = 0; i < count; ++i) {
    MR_TRY(auto client, MqttClient::connect(broker.port, fmt::format("bench-idle-{}", i)));
    clients.push_back(std::move(client));
  }
  for (auto& client : clients) MR_RETURN_IF_ERROR(client.ping());
  const std::uint64_t after = resident_bytes(broker.pid);
  return static_cast<double>(after - std::min(before, after)) / static_cast<double>(count);
}

Result<Latencies> fan_out_of(const Broker& broker, std::uint64_t messages) {
  std::vector<MqttClient> clients;
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    MR_TRY(auto client, MqttClient::connect(broker.port, fmt::format("bench-subscriber-{}", i)));
    MR_RETURN_IF_ERROR(client.subscribe("fan/out", QoS::kAtMostOnce));
    clients.push_back(std::move(client));
  }
  return fan_out(broker.port, clients, "fan/out", messages);
}

void allow_many_files() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string or_none(const std::optional<double>& value, std::string_view format) {
  if (!value) return "mosquitto is not installed";
  return fmt::format(fmt::runtime(format), *value);
}

}  // namespace

Figures measure_mqtt_throughput(const Settings& settings) {
  const std::uint64_t messages = settings.scaled(kThroughputMessages, 20'000);
  say(fmt::format("9: {} MQTT messages at QoS 1, 4 connections, 200 in flight each", messages));
  MR_TRY(const auto found,
         compare_publishing(settings, "mqtt-throughput",
                            {.connections = 4, .in_flight = 200, .messages = messages}));
  const double ratio = found.mosquitto ? found.millrace / *found.mosquitto : 0;
  return std::vector<Figure>{
      {.measure = 9,
       .what = "MQTT QoS 1, durable, 4 connections x 200 in flight",
       .reached =
           fmt::format("{:.1f} k messages/s, p50 {:.2f} ms, p99 {:.2f} ms", found.millrace / 1e3,
                       found.latencies.ms(0.5), found.latencies.ms(0.99)),
       .roofline = or_none(found.mosquitto ? std::optional(*found.mosquitto / 1e3) : std::nullopt,
                           "{:.1f} k/s mosquitto, nothing on disk"),
       .ratio = ratio,
       .target = "10 x mosquitto, 500 k/s",
       .met = ratio >= 10 && found.millrace >= 500'000,
       .numbers = {{"messages_per_second", found.millrace},
                   {"mosquitto_per_second", found.mosquitto.value_or(0)},
                   {"p50_ms", found.latencies.ms(0.5)},
                   {"p99_ms", found.latencies.ms(0.99)}}}};
}

Figures measure_mqtt_single(const Settings& settings) {
  const std::uint64_t messages = settings.scaled(kSingleMessages, 200);
  say(fmt::format("10: {} MQTT messages at QoS 1, one in flight", messages));
  MR_TRY(const double sync, sync_ms(settings.folder));
  MR_TRY(const auto found,
         compare_publishing(settings, "mqtt-single",
                            {.connections = 1, .in_flight = 1, .messages = messages}));
  const double p50 = found.latencies.ms(0.5);
  return std::vector<Figure>{
      {.measure = 10,
       .what = "MQTT QoS 1, durable, 1 in flight",
       .reached = fmt::format("p50 {:.3f} ms, p99 {:.3f} ms", p50, found.latencies.ms(0.99)),
       .roofline = fmt::format("{:.3f} ms one fdatasync", sync),
       .ratio = p50 / sync,
       .target = "at most 1.5 x fdatasync",
       .met = p50 <= 1.5 * sync,
       .numbers = {{"p50_ms", p50},
                   {"p99_ms", found.latencies.ms(0.99)},
                   {"fdatasync_ms", sync},
                   {"mosquitto_p50_ms", found.other.ms(0.5)}}}};
}

Figures measure_mqtt_idle(const Settings& settings) {
  allow_many_files();
  const std::uint64_t count = settings.scaled(kIdleConnections, 200);
  say(fmt::format("11: {} idle MQTT connections", count));
  double ours = 0;
  {
    MR_TRY(const auto server, start_millrace(settings, "mqtt-idle"));
    MR_TRY(ours, idle_bytes({server->mqtt_port(), server->pid()}, count));
    MR_RETURN_IF_ERROR(server->stop());
  }
  std::optional<double> other;
  MR_TRY(const auto mosquitto, start_mosquitto(settings));
  if (mosquitto != nullptr) {
    MR_TRY(other, idle_bytes({mosquitto->port(), mosquitto->pid()}, count));
  }
  return std::vector<Figure>{
      {.measure = 11,
       .what = fmt::format("{} idle MQTT connections", count),
       .reached = fmt::format("{:.1f} KiB each, {:.1f} MiB", ours / 1024,
                              ours * static_cast<double>(count) / kMegabyte),
       .roofline = or_none(other ? std::optional(*other / 1024) : std::nullopt,
                           "{:.1f} KiB each mosquitto"),
       .ratio = other ? ours / *other : 0,
       .target = "at most 16 KiB each",
       .met = ours <= 16 * 1024,
       .numbers = {{"bytes_per_connection", ours}, {"mosquitto_bytes", other.value_or(0)}}}};
}

Figures measure_mqtt_fan_out(const Settings& settings) {
  allow_many_files();
  const std::uint64_t messages = settings.scaled(kFanOuts, 20);
  say(fmt::format("12: {} MQTT messages to {} subscribers each", messages, kSubscribers));
  Latencies ours;
  {
    MR_TRY(const auto server, start_millrace(settings, "mqtt-fan-out"));
    MR_TRY(ours, fan_out_of({server->mqtt_port(), server->pid()}, messages));
    MR_RETURN_IF_ERROR(server->stop());
  }
  Latencies other;
  MR_TRY(const auto mosquitto, start_mosquitto(settings));
  if (mosquitto != nullptr) {
    MR_TRY(other, fan_out_of({mosquitto->port(), mosquitto->pid()}, messages));
  }
  const bool compared = other.count() != 0;
  return std::vector<Figure>{
      {.measure = 12,
       .what = "one MQTT message to 1,000 subscribers",
       .reached =
           fmt::format("p50 {:.2f} ms, p99 {:.2f} ms to the last", ours.ms(0.5), ours.ms(0.99)),
       .roofline = or_none(compared ? std::optional(other.ms(0.5)) : std::nullopt,
                           "p50 {:.2f} ms mosquitto"),
       .ratio = compared ? other.ms(0.5) / ours.ms(0.5) : 0,
       .target = "as fast as mosquitto",
       .met = compared && ours.ms(0.5) <= other.ms(0.5),
       .numbers = {{"p50_ms", ours.ms(0.5)},
                   {"p99_ms", ours.ms(0.99)},
                   {"mosquitto_p50_ms", other.ms(0.5)}}}};
}

}  // namespace millrace::bench
