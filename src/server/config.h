// Infrastructure configuration: defaults < millrace.yaml < environment (MILLRACE_SECTION__KEY) <
// flags. One table of keys, with unit, default and bounds; config/default.yaml shows it (a test
// compares). Errors: kInvalidArgument (kBadConfig) with file:line:column, the key, and what is
// allowed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::server {

struct Config {
  std::uint64_t log_segment_bytes = 0;
  std::uint64_t log_commit_bytes_max = 0;
  std::uint64_t log_queue_bytes_max = 0;
  std::uint64_t lake_commit_rows = 0;
  std::uint64_t lake_commit_interval_ms = 0;
  std::uint64_t batch_interval_ms = 0;
  std::uint64_t batch_memory_bytes_max = 0;
  std::uint64_t batch_table_bytes_max = 0;
  std::uint64_t speed_delta_bytes_max = 0;
  std::uint64_t speed_table_bytes_max = 0;
  std::uint64_t state_cache_bytes_max = 0;
  std::uint64_t state_scrub_interval_ms = 0;
  std::uint64_t state_scrub_bytes_per_second_max = 0;
  std::uint64_t speed_tail_bytes_max = 0;
  std::uint64_t speed_checkpoint_rows = 0;
  std::uint64_t http_body_bytes_max = 0;
  std::uint64_t http_connections_max = 0;
  std::uint64_t http_threads = 0;
  std::uint64_t http_streams_max = 0;
  std::uint64_t http_peer_connections_max = 0;
  std::uint64_t http_peer_requests_per_second_max = 0;
  std::uint64_t http_head_bytes_max = 0;
  std::uint64_t http_bodies_bytes_max = 0;
  std::uint64_t http_answers_bytes_max = 0;
  std::uint64_t http_head_time_ms = 0;
  std::uint64_t http_body_time_ms = 0;
  std::uint64_t http_idle_time_ms = 0;
  std::uint64_t http_write_time_ms = 0;
  std::uint64_t access_anonymous = 0;
  std::uint64_t server_log_json = 0;
  std::uint64_t mqtt_connections_max = 0;
  std::uint64_t mqtt_threads = 0;
  std::uint64_t mqtt_peer_connections_max = 0;
  std::uint64_t mqtt_connect_time_ms = 0;
  std::uint64_t mqtt_packet_time_ms = 0;
  std::uint64_t mqtt_write_time_ms = 0;
  std::uint64_t mqtt_packet_bytes_max = 0;
  std::uint64_t mqtt_unfinished_bytes_max = 0;
  std::uint64_t mqtt_client_messages_per_second_max = 0;
  std::uint64_t mqtt_client_bytes_per_second_max = 0;
  std::uint64_t mqtt_client_id_bytes_max = 0;
  std::uint64_t mqtt_topic_levels_max = 0;
  std::uint64_t mqtt_keep_alive_max_s = 0;
  std::uint64_t mqtt_sessions_max = 0;
  std::uint64_t mqtt_session_expiry_max_s = 0;
  std::uint64_t mqtt_subscriptions_max = 0;
  std::uint64_t mqtt_retained_max = 0;
  std::uint64_t mqtt_retained_bytes_max = 0;
  std::uint64_t mqtt_queue_messages_max = 0;
  std::uint64_t mqtt_queue_bytes_max = 0;
  std::uint64_t mqtt_message_bytes_max = 0;
  std::uint64_t postgres_connections_max = 0;
  std::uint64_t postgres_threads = 0;
  std::uint64_t postgres_peer_connections_max = 0;
  std::uint64_t postgres_connect_time_ms = 0;
  std::uint64_t postgres_write_time_ms = 0;
  std::uint64_t postgres_message_bytes_max = 0;
  std::uint64_t postgres_statements_max = 0;
  std::uint64_t postgres_held_bytes_max = 0;
  std::uint64_t ingest_record_bytes_max = 0;
  std::uint64_t ingest_depth_max = 0;
  std::uint64_t ingest_rejected_bytes_max = 0;
  std::uint64_t ingest_idempotency_keys_max = 0;
  std::uint64_t ingest_idempotency_bytes_max = 0;
  std::uint64_t ingest_idempotency_kept_s = 0;
  std::uint64_t sql_deadline_ms = 0;
  std::uint64_t sql_memory_bytes_max = 0;
  std::uint64_t sql_rows_max = 0;
  std::uint64_t sql_spill_bytes_max = 0;
  std::uint64_t sql_table_bytes_max = 0;
  std::uint64_t sql_workers = 0;
  std::string http_cors_origins;
  std::string postgres_tls;
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;
  std::string tls_client_certificates;
  std::string tls_client_user;

  /// Every key at its default.
  Config();
};

struct ConfigKey {
  std::string_view name;  // "log.segment_bytes"
  std::uint64_t Config::* value;
  std::uint64_t default_value;
  std::uint64_t min;
  std::uint64_t max;
  std::string_view what;
};
[[nodiscard]] const std::vector<ConfigKey>& config_keys();

/// A key whose value is text, such as the path of a file.
struct ConfigTextKey {
  std::string_view name;
  std::string Config::* value;
  std::string_view default_value;
  std::string_view what;
  /// Those that it takes; empty: any.
  std::vector<std::string_view> allowed = {};
  /// Takes several values: a list in YAML, with commas between them in the environment.
  bool is_list = false;
};
[[nodiscard]] const std::vector<ConfigTextKey>& config_text_keys();

/// Reads a YAML file over what `config` has.
Status read_config_file(const std::filesystem::path& path, Config& config);
/// Takes "MILLRACE_LOG__SEGMENT_BYTES=65536" and the like from an environment block (as `environ`).
/// Other variables that begin with MILLRACE_ and hold a double underscore are errors.
Status read_config_environment(const char* const* environment, Config& config);

}  // namespace millrace::server
