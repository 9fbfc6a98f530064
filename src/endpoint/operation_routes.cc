// GET /healthz, /readyz, /metrics (docs/reference/metrics.md) and /v1/openapi.json.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "endpoint/api_document.h"
#include "endpoint/api_routes.h"
#include "endpoint/http_metrics.h"
#include "runtime/clock.h"

namespace millrace::endpoint {

namespace {

class Families {
 public:
  /// One metric without labels, or the next one of a family with a label.
  void counter(const char* name, const char* help, double value, const char* label = nullptr,
               const std::string& of = {}) {
    add(prometheus::MetricType::Counter, name, help, label, of).counter.value = value;
  }
  void gauge(const char* name, const char* help, double value, const char* label = nullptr,
             const std::string& of = {}) {
    add(prometheus::MetricType::Gauge, name, help, label, of).gauge.value = value;
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  prometheus::ClientMetric& add(prometheus::MetricType type, const char* name, const char* help,
                                const char* label, const std::string& of) {
    if (families_.empty() || families_.back().name != name) {
      families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
    }
    auto& metric = families_.back().metric.emplace_back();
    if (label != nullptr) metric.label.push_back({.name = label, .value = of});
    return metric;
  }
  std::vector<prometheus::MetricFamily> families_;
};

double number(std::uint64_t value) { return static_cast<double>(value); }

void add_postgres(Families& families, const PostgresMetrics& postgres) {
  families.gauge("millrace_postgres_connections", "Open PostgreSQL connections.",
                 number(postgres.connections_open));
  families.counter("millrace_postgres_connections_refused_total",
                   "PostgreSQL connections closed at once because there were too many.",
                   number(postgres.connections_refused));
  families.counter("millrace_postgres_received_bytes_total", "Bytes received over PostgreSQL.",
                   number(postgres.received_bytes));
  families.counter("millrace_postgres_sent_bytes_total", "Bytes sent over PostgreSQL.",
                   number(postgres.sent_bytes));
  families.counter("millrace_postgres_statements_total", "Statements of PostgreSQL clients.",
                   number(postgres.statements));
  families.counter("millrace_postgres_statement_errors_total",
                   "Statements of PostgreSQL clients that ended with an error.",
                   number(postgres.statement_errors));
  families.counter("millrace_postgres_sent_rows_total", "Rows sent to PostgreSQL clients.",
                   number(postgres.sent_rows));
  families.counter("millrace_postgres_violations_total",
                   "Messages against the protocol; each ended its connection.",
                   number(postgres.violations));
  families.counter("millrace_postgres_not_authorized_total",
                   "PostgreSQL connections whose client did not prove who it is.",
                   number(postgres.not_authorized));
  families.counter("millrace_postgres_timeouts_total",
                   "PostgreSQL connections closed because the client did not log in or read.",
                   number(postgres.timeouts));
  families.counter("millrace_postgres_cancels_total", "Cancel requests with the right key.",
                   number(postgres.cancels));
  families.gauge("millrace_postgres_held_bytes",
                 "Bytes of answers that PostgreSQL clients have not read yet.",
                 number(postgres.held_bytes));
}

void add_mqtt(Families& families, const MqttMetrics& mqtt, broker::Broker& broker) {
  families.gauge("millrace_mqtt_connections", "Open MQTT connections.",
                 number(mqtt.connections_open));
  families.counter("millrace_mqtt_connections_refused_total",
                   "MQTT connections closed at once because there were too many.",
                   number(mqtt.connections_refused));
  families.counter("millrace_mqtt_received_bytes_total", "Bytes received over MQTT.",
                   number(mqtt.received_bytes));
  families.counter("millrace_mqtt_sent_bytes_total", "Bytes sent over MQTT.",
                   number(mqtt.sent_bytes));
  families.counter("millrace_mqtt_received_packets_total", "MQTT packets received.",
                   number(mqtt.received_packets));
  families.counter("millrace_mqtt_sent_messages_total", "PUBLISH packets sent to subscribers.",
                   number(mqtt.sent_messages));
  families.counter("millrace_mqtt_violations_total",
                   "Packets against the specification; each ended its connection.",
                   number(mqtt.violations));
  families.counter("millrace_mqtt_not_authorized_total", "MQTT requests that were not allowed.",
                   number(mqtt.not_authorized));
  families.counter("millrace_mqtt_timeouts_total",
                   "MQTT connections closed because the client was silent or did not read.",
                   number(mqtt.timeouts));
  families.counter("millrace_mqtt_paced_total",
                   "Times that a client was not read because it published faster than it may.",
                   number(mqtt.paced));
  families.gauge("millrace_mqtt_in_flight_bytes", "Bytes of packets that wait for the log.",
                 number(mqtt.bytes_in_flight));
  const auto& counters = broker.counters();
  families.counter("millrace_mqtt_messages_total", "Messages published by MQTT clients.",
                   number(counters.published));
  families.counter("millrace_mqtt_stream_messages_total",
                   "Messages of MQTT clients that are events of a stream.",
                   number(counters.stream_messages));
  families.counter("millrace_mqtt_refused_total",
                   "Messages refused because a queue or a limit was full.",
                   number(counters.refused));
  families.counter("millrace_mqtt_delivered_total", "Messages put into a client's queue.",
                   number(counters.delivered));
  families.counter("millrace_mqtt_dropped_total",
                   "Messages of QoS 0 dropped for clients that do not keep up.",
                   number(counters.dropped));
  families.counter("millrace_mqtt_expired_total", "Messages not sent because their time was over.",
                   number(counters.expired));
  families.counter("millrace_mqtt_slow_disconnects_total",
                   "Clients without a persistent session disconnected with a full queue.",
                   number(counters.slow_disconnects));
  families.counter("millrace_mqtt_checkpoints_total", "Checkpoints of the broker's state.",
                   number(counters.checkpoints));
  const auto sizes = broker.sizes();
  families.gauge("millrace_mqtt_sessions", "MQTT sessions, connected or not.",
                 number(sizes.sessions));
  families.gauge("millrace_mqtt_subscriptions", "MQTT subscriptions.", number(sizes.subscriptions));
  families.gauge("millrace_mqtt_retained_messages", "Retained MQTT messages.",
                 number(sizes.retained));
  families.gauge("millrace_mqtt_queued_messages",
                 "Messages of QoS 1 and 2 without their last acknowledgement.",
                 number(sizes.queued));
}

void add_connections(Families& families, const bridge::Bridge& bridge) {
  const auto all = bridge.connections();
  const auto each = [&](auto&& put) {
    for (const auto& one : all) put(one, one.record.name);
  };
  constexpr const char* kLabel = "connection";
  each([&](const auto& one, const auto& name) {
    families.gauge("millrace_connection_up", "1 where the connection to another broker stands.",
                   one.status.state == bridge::SourceState::kConnected ? 1 : 0, kLabel, name);
  });
  each([&](const auto& one, const auto& name) {
    families.counter("millrace_connection_messages_total", "Messages from another broker.",
                     number(one.messages), kLabel, name);
  });
  each([&](const auto& one, const auto& name) {
    families.counter("millrace_connection_redelivered_total",
                     "Of these, marked as possibly sent before.", number(one.redelivered), kLabel,
                     name);
  });
  each([&](const auto& one, const auto& name) {
    families.gauge("millrace_connection_waiting",
                   "Messages from another broker that are not durable yet.", number(one.waiting),
                   kLabel, name);
  });
  each([&](const auto& one, const auto& name) {
    families.counter("millrace_connection_connects_total", "Times that the connection was made.",
                     number(one.connects), kLabel, name);
  });
}

void add_sinks(Families& families, const serving::Sinks& sinks) {
  constexpr const char* kLabel = "sink";
  for (const auto& one : sinks.infos()) {
    const std::string& name = one.record.name;
    families.gauge(
        "millrace_sink_up", "1 where the sink writes into its store.",
        one.state == serving::SinkState::kRunning || one.state == serving::SinkState::kBackfilling
            ? 1
            : 0,
        kLabel, name);
    families.gauge("millrace_sink_lag_events", "Events of the view that the store does not have.",
                   number(one.lag_events), kLabel, name);
    families.gauge("millrace_sink_lag_seconds", "How long ago the store had all of the view.",
                   static_cast<double>(one.lag_us) / 1e6, kLabel, name);
    families.counter("millrace_sink_rows_total", "Rows written into the store.", number(one.rows),
                     kLabel, name);
    families.counter("millrace_sink_deletes_total", "Keys taken out of the store.",
                     number(one.deletes), kLabel, name);
    families.counter("millrace_sink_commits_total", "Transactions in the store.",
                     number(one.commits), kLabel, name);
    families.counter("millrace_sink_backfills_total", "Times that all rows were written.",
                     number(one.backfills), kLabel, name);
    families.counter("millrace_sink_errors_total", "Times that the store failed or refused.",
                     number(one.errors), kLabel, name);
  }
}

std::string metrics_text(const Services& services) {
  Families families;
  const auto& ingest = services.ingest.counters();
  families.counter("millrace_ingest_events_total", "Events that were decoded and given to the log.",
                   number(ingest.accepted));
  families.counter("millrace_ingest_rejected_total", "Records that went to a quarantine stream.",
                   number(ingest.rejected));
  families.counter("millrace_ingest_duplicates_total",
                   "Records that their stream had already, by its dedup column.",
                   number(ingest.duplicates));
  families.counter("millrace_ingest_bytes_total", "Bytes of request bodies with events.",
                   number(ingest.bytes));
  families.counter("millrace_ingest_busy_total",
                   "Requests refused because the log's queue was full.", number(ingest.busy));

  const auto log = services.log.statistics();
  families.counter("millrace_log_commits_total", "Group commits, one sync each.",
                   number(log.commits));
  families.counter("millrace_log_bytes_total", "Bytes of record batches made durable.",
                   number(log.bytes));
  families.counter("millrace_log_records_total", "Records made durable.", number(log.records));
  families.counter("millrace_log_sync_seconds_total", "Time spent in syncs.",
                   number(log.sync_us_sum) / 1e6);
  families.gauge("millrace_log_queue_bytes", "Bytes that wait for the log.",
                 number(log.queue_bytes));
  families.gauge("millrace_log_segments", "Log segments that hold records.", number(log.segments));
  families.gauge("millrace_log_torn_tail_bytes", "Bytes cut off the log's end at the last start.",
                 number(log.torn_tail_bytes));

  const auto streams = services.speed.streams();
  for (const auto& stream : streams) {
    families.counter("millrace_stream_events_total",
                     "Events of a stream that are durable and visible.", number(stream->events()),
                     "stream", stream->definition().name);
  }
  for (const auto& stream : streams) {
    families.gauge("millrace_stream_tail_events",
                   "Events of a stream that are not in the lake yet.", number(stream->tail_rows()),
                   "stream", stream->definition().name);
  }
  families.gauge("millrace_tail_bytes", "Memory of decoded events that wait for the lake.",
                 number(services.speed.tail_bytes()));

  const auto& lake = services.lake_writer.counters();
  families.counter("millrace_lake_commits_total", "Lake commits since the start.",
                   number(lake.commits));
  families.counter("millrace_lake_rows_total", "Rows written to the lake since the start.",
                   number(lake.rows));
  families.counter("millrace_lake_failures_total", "Lake commits that failed and are tried again.",
                   number(lake.failures));
  families.counter("millrace_checkpoints_total", "Checkpoints of deltas written since the start.",
                   number(lake.checkpoints));

  const auto views = services.speed.named_views();
  for (const auto& view : views) {
    families.gauge("millrace_view_groups", "Groups of a view's generation.",
                   number(view->base_groups()), "view", view->record().name);
  }
  for (const auto& view : views) {
    families.gauge("millrace_view_delta_groups", "Groups of a view's delta.",
                   number(view->delta_groups()), "view", view->record().name);
  }
  for (const auto& view : views) {
    families.gauge("millrace_view_delta_events", "Events between a view's cut and its delta's end.",
                   number(view->delta_events()), "view", view->record().name);
  }
  for (const auto& view : views) {
    families.gauge("millrace_view_skipped_rows", "Rows on which an expression of the view failed.",
                   number(view->coverage().skipped_rows), "view", view->record().name);
  }
  families.gauge("millrace_delta_bytes", "Memory of all deltas.",
                 number(services.speed.delta_bytes()));
  const auto cache = services.batch.state_files().cache_statistics();
  families.gauge("millrace_state_cache_bytes",
                 "Memory of what was read of generations and other sorted files.",
                 number(cache.bytes));
  families.gauge("millrace_state_index_bytes", "Memory of the indexes of these files.",
                 number(cache.held_bytes));
  families.counter("millrace_state_cache_hits_total", "Reads of these files that memory answered.",
                   number(cache.hits));
  families.counter("millrace_state_cache_misses_total",
                   "Reads of these files that went to the file.", number(cache.misses));

  const auto& spilled = services.statements.spilled();
  families.counter("millrace_sql_spilled_answers_total",
                   "Answers of which a part went to disk, since they were larger than memory may "
                   "hold.",
                   number(spilled.answers));
  families.counter("millrace_sql_spilled_bytes_total", "Bytes of these parts.",
                   number(spilled.bytes));
  families.gauge("millrace_sql_spilled_held_bytes",
                 "Bytes of these parts that are on disk: their clients have not read all yet.",
                 number(spilled.held_bytes));

  const auto batch = services.batch.state();
  families.counter("millrace_batch_runs_total", "Batch runs since the start.", number(batch.runs));
  families.counter("millrace_batch_failures_total", "Batch runs that ended with an error.",
                   number(batch.failures));
  families.gauge("millrace_batch_running", "1 while a batch run is under way.",
                 batch.running ? 1 : 0);
  families.gauge("millrace_audit_drift_rows",
                 "Groups in which batch and speed layer differed at the same cut, since the start.",
                 number(batch.drift_rows));

  const auto& feed = services.feed.counters();
  families.gauge("millrace_feed_subscribers", "Clients that follow a view.",
                 number(feed.subscribers));
  families.counter("millrace_feed_batches_total", "Batches of rows given to them.",
                   number(feed.batches));
  families.counter("millrace_feed_keys_total", "Keys in these batches.", number(feed.keys));
  families.counter("millrace_feed_snapshots_total", "Snapshots of a view that began for a client.",
                   number(feed.snapshots));
  families.counter("millrace_feed_fell_behind_total",
                   "Clients that read so slowly that they got a new snapshot.",
                   number(feed.fell_behind));
  if (const auto* http = services.http_metrics()) {
    for (std::size_t digit = 1; digit < http->answers_by_class.size(); ++digit) {
      families.counter("millrace_http_answers_total",
                       "HTTP answers by the first digit of their status.",
                       number(http->answers_by_class[digit]), "class", fmt::format("{}xx", digit));
    }
    families.counter("millrace_http_received_bytes_total", "Bytes received over HTTP.",
                     number(http->received_bytes));
    families.counter("millrace_http_sent_bytes_total", "Bytes sent over HTTP.",
                     number(http->sent_bytes));
    families.gauge("millrace_http_connections", "Open HTTP connections.",
                   number(http->connections_open));
    families.gauge("millrace_http_streams", "Open event streams and WebSockets.",
                   number(http->streams_open));
    families.counter("millrace_http_connections_refused_total",
                     "Connections refused because there were too many.",
                     number(http->connections_refused));
    families.counter("millrace_http_requests_limited_total",
                     "Requests refused because their address had sent too many.",
                     number(http->requests_limited));
    families.counter("millrace_http_timeouts_total",
                     "Connections closed because a phase took too long.", number(http->timeouts));
  }
  if (const auto* postgres = services.postgres_metrics()) add_postgres(families, *postgres);
  if (const auto* mqtt = services.mqtt_metrics()) {
    add_mqtt(families, *mqtt, services.broker);
  }
  if (const auto* tls = services.tls_metrics()) {
    families.counter("millrace_tls_handshakes_total", "TLS handshakes that succeeded.",
                     number(tls->handshakes));
    families.counter("millrace_tls_handshakes_failed_total",
                     "TLS handshakes that failed or were given up.",
                     number(tls->handshakes_failed));
    families.counter("millrace_tls_reloads_total", "Times that the certificate was read again.",
                     number(tls->reloads));
    families.counter("millrace_tls_reloads_failed_total",
                     "Times that a new certificate could not be used, and the old one stayed.",
                     number(tls->reloads_failed));
    families.gauge("millrace_tls_certificate_expiry_seconds",
                   "When the server's certificate expires, in seconds since 1970.",
                   static_cast<double>(tls->expires_s));
  }
  add_connections(families, services.bridge);
  add_sinks(families, services.sinks);
  return families.text();
}

}  // namespace

void add_document_route(HttpRouter& router) {
  auto text = std::make_shared<std::string>();
  router.add("GET", "/v1/openapi.json",
             [text](const HttpRequest&, Responder responder) {
               HttpResponse response;
               response.body = *text;
               responder.respond(std::move(response));
             },
             {.gzip_answer = true, .access = RouteAccess::open()});
  // Of all routes, this one too.
  *text = api_document(router);
}

void add_operation_routes(HttpRouter& router, const Services& services) {
  router.add("GET", "/healthz",
             [](const HttpRequest&, Responder responder) {
               HttpResponse response;
               response.body = "{\"status\":\"alive\"}";
               responder.respond(std::move(response));
             },
             {.access = RouteAccess::open()});
  router.add("GET", "/readyz",
             [services](const HttpRequest&, Responder responder) {
               // The server listens only after recovery; a view that is still being built is told,
               // and stops nobody.
               std::size_t building = 0;
               std::size_t failed = 0;
               for (const auto& view : services.speed.views()) {
                 const auto phase = view->phase();
                 if (phase == speed::ViewPhase::kBuilding) ++building;
                 if (phase == speed::ViewPhase::kFailed) ++failed;
               }
               HttpResponse response;
               response.body = fmt::format(
                   "{{\"status\":\"ready\",\"log\":\"recovered\",\"views_building\":{},\"views_"
                   "failed\":{}}}",
                   building, failed);
               responder.respond(std::move(response));
             },
             {.access = RouteAccess::open()});
  router.add("GET", "/metrics", [services](const HttpRequest&, Responder responder) {
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_text(services);
    responder.respond(std::move(response));
  });
}

}  // namespace millrace::endpoint
