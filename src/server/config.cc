#include "server/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "model/stream.h"

namespace millrace::server {

namespace {
constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = {
      {"log.segment_bytes", &Config::log_segment_bytes, 64 * kMiB, 64 * kKiB, 4 * kGiB,
       "size of a log segment"},
      {"log.commit_bytes_max", &Config::log_commit_bytes_max, 4 * kMiB, 64 * kKiB, 64 * kMiB,
       "most bytes that one sync covers"},
      {"log.queue_bytes_max", &Config::log_queue_bytes_max, 64 * kMiB, kMiB, 4 * kGiB,
       "most bytes that wait for the log; beyond it producers get 429"},
      {"lake.commit_rows", &Config::lake_commit_rows, 262'144, 1, 100'000'000,
       "rows after which a lake commit is due"},
      {"lake.commit_interval_ms", &Config::lake_commit_interval_ms, 10'000, 10, 86'400'000,
       "age of the oldest event after which a lake commit is due"},
      {"batch.interval_ms", &Config::batch_interval_ms, 60'000, 10, 86'400'000,
       "pause between scheduled batch runs"},
      {"batch.memory_bytes_max", &Config::batch_memory_bytes_max, 512 * kMiB, 64 * kMiB,
       1024 * kGiB, "memory of the lake scans"},
      {"speed.delta_bytes_max", &Config::speed_delta_bytes_max, 256 * kMiB, kKiB, 1024 * kGiB,
       "size of all deltas together that makes the batch layer run sooner"},
      {"speed.tail_bytes_max", &Config::speed_tail_bytes_max, 384 * kMiB, kKiB, 1024 * kGiB,
       "decoded events kept in memory until the lake has them; the rest is decoded again from the "
       "log"},
      {"speed.checkpoint_rows", &Config::speed_checkpoint_rows, 2'000'000, 1, 1'000'000'000,
       "events after which the deltas are checkpointed"},
      {"http.body_bytes_max", &Config::http_body_bytes_max, 64 * kMiB, kKiB, 1 * kGiB,
       "largest request body"},
      {"http.connections_max", &Config::http_connections_max, 4096, 1, 1'000'000,
       "most open connections"},
      {"http.threads", &Config::http_threads, 0, 0, 256, "I/O threads; 0 is one per core"},
      {"access.anonymous", &Config::access_anonymous, 0, 0, 1,
       "1: whoever reaches the server may do everything; 0: only from this machine, while there is "
       "no user"},
      {"server.log_json", &Config::server_log_json, 0, 0, 1,
       "1: the server's own messages are JSON, an object a line; 0: text"},
      {"mqtt.connections_max", &Config::mqtt_connections_max, 100'000, 1, 1'000'000,
       "most open connections"},
      {"mqtt.threads", &Config::mqtt_threads, 0, 0, 256, "I/O threads; 0 is one per core"},
      {"mqtt.packet_bytes_max", &Config::mqtt_packet_bytes_max, 2 * kMiB, kKiB, 256 * kMiB,
       "largest packet of a client"},
      {"mqtt.client_id_bytes_max", &Config::mqtt_client_id_bytes_max, 256, 23, 65'535,
       "longest client id"},
      {"mqtt.topic_levels_max", &Config::mqtt_topic_levels_max, 32, 1, 128,
       "most levels of a topic or filter"},
      {"mqtt.keep_alive_max_s", &Config::mqtt_keep_alive_max_s, 0, 0, 65'535,
       "longest keep-alive of an MQTT 5 client; 0 is any, also none"},
      {"mqtt.sessions_max", &Config::mqtt_sessions_max, 100'000, 1, 10'000'000,
       "most sessions, connected or not"},
      {"mqtt.session_expiry_max_s", &Config::mqtt_session_expiry_max_s, 30 * 86'400, 1,
       4'294'967'295, "longest life of a session without a connection"},
      {"mqtt.subscriptions_max", &Config::mqtt_subscriptions_max, 1'000'000, 1, 100'000'000,
       "most subscriptions of one client"},
      {"mqtt.retained_max", &Config::mqtt_retained_max, 1'000'000, 0, 100'000'000,
       "most retained messages"},
      {"mqtt.retained_bytes_max", &Config::mqtt_retained_bytes_max, 256 * kMiB, kKiB, 1024 * kGiB,
       "most bytes of retained messages"},
      {"mqtt.queue_messages_max", &Config::mqtt_queue_messages_max, 100'000, 1, 100'000'000,
       "most messages that wait for one client"},
      {"mqtt.queue_bytes_max", &Config::mqtt_queue_bytes_max, 64 * kMiB, kKiB, 1024 * kGiB,
       "most bytes of messages that wait for one client"},
      {"mqtt.message_bytes_max", &Config::mqtt_message_bytes_max, 512 * kMiB, kMiB, 1024 * kGiB,
       "most bytes of all messages that are held, each counted once"},
      {"ingest.record_bytes_max", &Config::ingest_record_bytes_max, kMiB, 64, 64 * kMiB,
       "largest event"},
      {"ingest.depth_max", &Config::ingest_depth_max, 64, 1, 1024, "deepest nesting of an event"},
      {"ingest.idempotency_keys_max", &Config::ingest_idempotency_keys_max, 200'000, 1, 100'000'000,
       "requests with an Idempotency-Key whose answers are remembered"},
      {"ingest.idempotency_bytes_max", &Config::ingest_idempotency_bytes_max, 128 * kMiB, kMiB,
       64 * kGiB, "memory of these answers"},
      {"ingest.idempotency_kept_s", &Config::ingest_idempotency_kept_s, 86'400, 1, 365 * 86'400,
       "how long they are remembered"},
      {"sql.deadline_ms", &Config::sql_deadline_ms, 30'000, 10, 86'400'000,
       "time after which a SELECT is stopped"},
      {"sql.memory_bytes_max", &Config::sql_memory_bytes_max, 1 * kGiB, 64 * kMiB, 1024 * kGiB,
       "memory of one SELECT"},
      {"sql.rows_max", &Config::sql_rows_max, 100'000, 1, 100'000'000,
       "most rows of an answer; the rest is cut off"},
      {"sql.table_bytes_max", &Config::sql_table_bytes_max, 256 * kMiB, kKiB, 16 * kGiB,
       "most bytes of a reference table in memory"},
      {"sql.workers", &Config::sql_workers, 2, 1, 256, "worker processes for SELECTs"},
  };
  return keys;
}

Config::Config() {
  for (const auto& key : config_keys()) this->*key.value = key.default_value;
}

namespace {

std::unexpected<Error> bad(std::string where, std::string what, std::string hint = {}) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kBadConfig),
                               .message = std::move(where) + ": " + std::move(what),
                               .hint = std::move(hint),
                               .place = {}});
}

const ConfigKey* find_key(std::string_view name) {
  const auto found = std::ranges::find(config_keys(), name, &ConfigKey::name);
  return found == config_keys().end() ? nullptr : &*found;
}

std::string known_keys(std::string_view section) {
  std::vector<std::string_view> names;
  for (const auto& key : config_keys()) {
    if (section.empty() || key.name.starts_with(section)) names.push_back(key.name);
  }
  return fmt::format("the keys are {}", fmt::join(names, ", "));
}

Status set_key(const std::string& where, const ConfigKey& key, std::string_view text,
               Config& config) {
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || stop != text.data() + text.size() || value < key.min ||
      value > key.max) {
    return bad(where, fmt::format("{} is {}, and takes a whole number from {} to {} ({})", key.name,
                                  text, key.min, key.max, key.what));
  }
  config.*key.value = value;
  return {};
}

}  // namespace

Status read_config_file(const std::filesystem::path& path, Config& config) {
  YAML::Node root;
  try {
    root = YAML::LoadFile(path.string());
  } catch (const YAML::Exception& error) {
    // Marks count from 0.
    return error.mark.is_null() ? bad(path.string(), error.msg)
                                : bad(fmt::format("{}:{}:{}", path.string(), error.mark.line + 1,
                                                  error.mark.column + 1),
                                      error.msg);
  }
  const auto at = [&](const YAML::Node& node) {
    return fmt::format("{}:{}:{}", path.string(), node.Mark().line + 1, node.Mark().column + 1);
  };
  if (root.IsNull()) return {};
  if (!root.IsMap()) return bad(at(root), "a configuration is a map of sections");
  std::set<std::string> seen;
  for (const auto& section : root) {
    const std::string name = section.first.as<std::string>("");
    if (!section.second.IsMap()) {
      return bad(at(section.first), fmt::format("'{}' is no section with keys", name),
                 known_keys({}));
    }
    for (const auto& entry : section.second) {
      const std::string full = name + "." + entry.first.as<std::string>("");
      const auto* key = find_key(full);
      if (key == nullptr)
        return bad(at(entry.first), fmt::format("there is no key '{}'", full), known_keys({}));
      // The library takes a doubled key without a word.
      if (!seen.insert(full).second)
        return bad(at(entry.first), fmt::format("'{}' stands here twice", full));
      MR_RETURN_IF_ERROR(set_key(at(entry.second), *key, entry.second.as<std::string>(""), config));
    }
  }
  return {};
}

Status read_config_environment(const char* const* environment, Config& config) {
  constexpr std::string_view kPrefix = "MILLRACE_";
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view variable(*environment);
    const auto equals = variable.find('=');
    const auto name = variable.substr(0, equals);
    const auto section_end = name.find("__");
    if (!name.starts_with(kPrefix) || section_end == std::string_view::npos ||
        equals == std::string_view::npos)
      continue;
    std::string key_name(name.substr(kPrefix.size(), section_end - kPrefix.size()));
    key_name += "." + std::string(name.substr(section_end + 2));
    std::ranges::transform(key_name, key_name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto* key = find_key(key_name);
    if (key == nullptr)
      return bad(std::string(name), fmt::format("there is no key '{}'", key_name), known_keys({}));
    MR_RETURN_IF_ERROR(set_key(std::string(name), *key, variable.substr(equals + 1), config));
  }
  return {};
}

}  // namespace millrace::server
