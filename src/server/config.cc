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
      {"batch.table_bytes_max", &Config::batch_table_bytes_max, 512 * kMiB, kKiB, 1024 * kGiB,
       "groups of a batch run in memory; what is more goes to sorted files"},
      {"speed.delta_bytes_max", &Config::speed_delta_bytes_max, 256 * kMiB, kKiB, 1024 * kGiB,
       "size of all deltas together that makes the batch layer run sooner"},
      {"speed.table_bytes_max", &Config::speed_table_bytes_max, 512 * kMiB, kKiB, 1024 * kGiB,
       "groups of all deltas in memory; what is more goes to sorted files; at twice as much events "
       "wait, and producers get 429"},
      {"state.cache_bytes_max", &Config::state_cache_bytes_max, 256 * kMiB, 64 * kKiB, 1024 * kGiB,
       "memory for what is read of generations and other sorted files"},
      {"state.scrub_interval_ms", &Config::state_scrub_interval_ms, 86'400'000, 0,
       std::uint64_t{86'400'000} * 366,
       "pause between two checks of all bytes of generations and other sorted files; 0: they are "
       "checked only when they are read"},
      {"state.scrub_bytes_per_second_max", &Config::state_scrub_bytes_per_second_max, 32 * kMiB,
       kKiB, 1024 * kGiB, "most bytes a second that such a check reads"},
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
      {"http.streams_max", &Config::http_streams_max, 2048, 1, 1'000'000,
       "most open event streams and WebSockets"},
      {"http.peer_connections_max", &Config::http_peer_connections_max, 0, 0, 1'000'000,
       "most open connections of one address; 0 is any number"},
      {"http.peer_requests_per_second_max", &Config::http_peer_requests_per_second_max, 0, 0,
       1'000'000, "most requests a second of one address; beyond it they get 429; 0 is any number"},
      {"http.head_bytes_max", &Config::http_head_bytes_max, 16 * kKiB, 1 * kKiB, 1 * kMiB,
       "largest head of a request"},
      {"http.bodies_bytes_max", &Config::http_bodies_bytes_max, 256 * kMiB, kMiB, 1024 * kGiB,
       "most bytes of all request bodies under way; beyond it requests get 429"},
      {"http.answers_bytes_max", &Config::http_answers_bytes_max, 256 * kMiB, kMiB, 1024 * kGiB,
       "most bytes of all answers that clients have not read yet; beyond it requests get 429"},
      {"http.head_time_ms", &Config::http_head_time_ms, 10'000, 100, 3'600'000,
       "longest time for the head of a request, and for the handshake of TLS"},
      {"http.body_time_ms", &Config::http_body_time_ms, 60'000, 100, 3'600'000,
       "longest time for the body of a request"},
      {"http.idle_time_ms", &Config::http_idle_time_ms, 75'000, 100, 86'400'000,
       "time after which a connection without a request is closed"},
      {"http.write_time_ms", &Config::http_write_time_ms, 60'000, 100, 3'600'000,
       "time after which a client is dropped that reads nothing of its answer"},
      {"access.anonymous", &Config::access_anonymous, 0, 0, 1,
       "1: whoever reaches the server may do everything; 0: only from this machine, while there is "
       "no user"},
      {"server.log_json", &Config::server_log_json, 0, 0, 1,
       "1: the server's own messages are JSON, an object a line; 0: text"},
      {"mqtt.connections_max", &Config::mqtt_connections_max, 100'000, 1, 1'000'000,
       "most open connections"},
      {"mqtt.threads", &Config::mqtt_threads, 0, 0, 256, "I/O threads; 0 is one per core"},
      {"mqtt.peer_connections_max", &Config::mqtt_peer_connections_max, 0, 0, 1'000'000,
       "most open connections of one address; 0 is any number"},
      {"mqtt.connect_time_ms", &Config::mqtt_connect_time_ms, 10'000, 100, 3'600'000,
       "longest time from a connection to its CONNECT, with the handshake of TLS"},
      {"mqtt.packet_time_ms", &Config::mqtt_packet_time_ms, 60'000, 100, 3'600'000,
       "longest time from the first byte of a packet to its last"},
      {"mqtt.write_time_ms", &Config::mqtt_write_time_ms, 30'000, 100, 3'600'000,
       "time after which a client is dropped that reads nothing"},
      {"mqtt.packet_bytes_max", &Config::mqtt_packet_bytes_max, 2 * kMiB, kKiB, 256 * kMiB,
       "largest packet of a client"},
      {"mqtt.unfinished_bytes_max", &Config::mqtt_unfinished_bytes_max, 64 * kMiB, kMiB,
       1024 * kGiB,
       "most bytes of packets of all clients that have begun to come and are not whole"},
      {"mqtt.client_messages_per_second_max", &Config::mqtt_client_messages_per_second_max, 0, 0,
       100'000'000,
       "most messages a second of one client; beyond it the client is not read for a while; 0 is "
       "any number"},
      {"mqtt.client_bytes_per_second_max", &Config::mqtt_client_bytes_per_second_max, 0, 0,
       1024 * kGiB, "the same in bytes of its PUBLISH packets"},
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
      {"postgres.connections_max", &Config::postgres_connections_max, 10'000, 1, 1'000'000,
       "most open connections"},
      {"postgres.threads", &Config::postgres_threads, 0, 0, 256, "I/O threads; 0 is one per core"},
      {"postgres.peer_connections_max", &Config::postgres_peer_connections_max, 0, 0, 1'000'000,
       "most open connections of one address; 0 is any number"},
      {"postgres.connect_time_ms", &Config::postgres_connect_time_ms, 10'000, 100, 3'600'000,
       "longest time from a connection to the end of its authentication"},
      {"postgres.write_time_ms", &Config::postgres_write_time_ms, 60'000, 100, 3'600'000,
       "time after which a client is dropped that reads nothing of its answer"},
      {"postgres.message_bytes_max", &Config::postgres_message_bytes_max, 16 * kMiB, 64 * kKiB,
       1 * kGiB, "largest message of a client"},
      {"postgres.statements_max", &Config::postgres_statements_max, 1'000, 1, 1'000'000,
       "most prepared statements of one connection"},
      {"postgres.held_bytes_max", &Config::postgres_held_bytes_max, 1 * kGiB, kMiB, 1024 * kGiB,
       "most bytes of answers that clients have not read yet; beyond it statements are refused"},
      {"ingest.record_bytes_max", &Config::ingest_record_bytes_max, kMiB, 64, 64 * kMiB,
       "largest event"},
      {"ingest.depth_max", &Config::ingest_depth_max, 64, 1, 1024, "deepest nesting of an event"},
      {"ingest.rejected_bytes_max", &Config::ingest_rejected_bytes_max, 32 * kMiB, 16 * kMiB,
       16 * kGiB,
       "memory for the bad records of one request; where it has more, it is refused as a whole"},
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
       "most rows of an answer over HTTP; the rest is cut off"},
      {"sql.spill_bytes_max", &Config::sql_spill_bytes_max, 4 * kGiB, kMiB, 1024 * kGiB,
       "most bytes of an answer over PostgreSQL's protocol, nearly all on disk; beyond it the "
       "statement is refused"},
      {"sql.table_bytes_max", &Config::sql_table_bytes_max, 256 * kMiB, kKiB, 16 * kGiB,
       "most bytes of a reference table in memory"},
      {"sql.workers", &Config::sql_workers, 2, 1, 256, "worker processes for SELECTs"},
  };
  return keys;
}

const std::vector<ConfigTextKey>& config_text_keys() {
  static const std::vector<ConfigTextKey> keys = {
      {"http.cors_origins",
       &Config::http_cors_origins,
       "",
       "web pages of these origins may talk to the server, a list; \"*\": all pages",
       {},
       true},
      {"postgres.tls",
       &Config::postgres_tls,
       "optional",
       "whether PostgreSQL's clients must use TLS",
       {"optional", "required"}},
      {"tls.certificate", &Config::tls_certificate, "",
       "file (PEM) with the server's certificate and those up to its authority; with it there are "
       "ports with TLS"},
      {"tls.key", &Config::tls_key, "",
       "file (PEM) with the certificate's key, without a password"},
      {"tls.client_ca", &Config::tls_client_ca, "",
       "file (PEM) with the authorities that sign certificates of clients"},
      {"tls.client_certificates",
       &Config::tls_client_certificates,
       "none",
       "whether clients show certificates",
       {"none", "optional", "required"}},
      {"tls.client_user",
       &Config::tls_client_user,
       "none",
       "cn: the common name of a client's certificate is its user",
       {"none", "cn"}},
  };
  return keys;
}

Config::Config() {
  for (const auto& key : config_keys()) this->*key.value = key.default_value;
  for (const auto& key : config_text_keys()) this->*key.value = key.default_value;
}

namespace {

std::unexpected<Error> bad(std::string where, std::string what, std::string hint = {}) {
  return std::unexpected(Error{.code = ErrorCode::kInvalidArgument,
                               .id = std::string(error_id::kBadConfig),
                               .message = std::move(where) + ": " + std::move(what),
                               .hint = std::move(hint),
                               .place = {}});
}

template <class Key>
const Key* find_key(const std::vector<Key>& keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &Key::name);
  return found == keys.end() ? nullptr : &*found;
}

std::string known_keys(std::string_view section) {
  std::vector<std::string_view> names;
  for (const auto& key : config_keys()) {
    if (section.empty() || key.name.starts_with(section)) names.push_back(key.name);
  }
  for (const auto& key : config_text_keys()) {
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

Status set_key(const std::string& where, const ConfigTextKey& key, std::string_view text,
               Config& config) {
  if (!key.allowed.empty() && std::ranges::find(key.allowed, text) == key.allowed.end()) {
    return bad(where, fmt::format("{} is {}, and takes {} ({})", key.name, text,
                                  fmt::join(key.allowed, " or "), key.what));
  }
  config.*key.value = text;
  return {};
}

/// The text of a value; a list is its values with commas between them, as in the environment.
Result<std::string> text_of(const std::string& where, std::string_view name,
                            const YAML::Node& value) {
  if (value.IsScalar() || value.IsNull()) return value.as<std::string>("");
  const auto* const key = find_key(config_text_keys(), name);
  if (!value.IsSequence() || key == nullptr || !key->is_list)
    return bad(where, fmt::format("{} takes one value", name));
  std::vector<std::string> all;
  for (const auto& one : value) all.push_back(one.as<std::string>(""));
  return fmt::format("{}", fmt::join(all, ","));
}

/// Finds the key in either table.
Status set_key_of_name(const std::string& where, const std::string& place_of_name,
                       std::string_view name, std::string_view text, Config& config) {
  if (const auto* key = find_key(config_keys(), name); key != nullptr)
    return set_key(where, *key, text, config);
  if (const auto* key = find_key(config_text_keys(), name); key != nullptr)
    return set_key(where, *key, text, config);
  return bad(place_of_name, fmt::format("there is no key '{}'", name), known_keys({}));
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
      // The library takes a doubled key without a word.
      if (!seen.insert(full).second)
        return bad(at(entry.first), fmt::format("'{}' stands here twice", full));
      MR_TRY(const std::string text, text_of(at(entry.second), full, entry.second));
      MR_RETURN_IF_ERROR(set_key_of_name(at(entry.second), at(entry.first), full, text, config));
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
    MR_RETURN_IF_ERROR(set_key_of_name(std::string(name), std::string(name), key_name,
                                       variable.substr(equals + 1), config));
  }
  return {};
}

}  // namespace millrace::server
