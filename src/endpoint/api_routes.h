// The product's HTTP API (docs/reference/http.md): one function for each group of routes, all put
// into one router. Handlers run on I/O threads: what may block goes to the pool with its Responder.
#pragma once

#include <functional>
#include <memory>

#include "access/access.h"
#include "batch/state_files.h"
#include "bridge/bridge.h"
#include "broker/broker.h"
#include "catalog/catalog.h"
#include "catalog/schema_registry.h"
#include "endpoint/http_metrics.h"
#include "endpoint/http_router.h"
#include "endpoint/mqtt_metrics.h"
#include "endpoint/postgres_metrics.h"
#include "endpoint/tls.h"
#include "ingest/ingest.h"
#include "ingest/lake_writer.h"
#include "lake/lake.h"
#include "log/commit_log.h"
#include "runtime/worker_pool.h"
#include "serving/batch_scheduler.h"
#include "serving/change_feed.h"
#include "serving/event_reader.h"
#include "serving/position_wait.h"
#include "serving/statement_runner.h"
#include "speed/speed_layer.h"

namespace millrace::endpoint {

/// What the routes call. All of it outlives the server that has the router.
struct Services {
  ingest::Ingest& ingest;
  ingest::LakeWriter& lake_writer;
  serving::StatementRunner& statements;
  serving::BatchScheduler& batch;
  serving::ChangeFeed& feed;
  serving::EventReader& events;
  serving::PositionWait& positions;
  speed::SpeedLayer& speed;
  catalog::Catalog& catalog;
  catalog::SchemaRegistry& registry;
  access::Access& access;
  lake::Lake& lake;
  log::CommitLog& log;
  runtime::WorkerPool& pool;
  broker::Broker& broker;
  bridge::Bridge& bridge;
  serving::Sinks& sinks;
  /// The servers' own counters, once they run; null before.
  std::function<const HttpMetrics*()> http_metrics;
  std::function<const MqttMetrics*()> mqtt_metrics;
  std::function<const PostgresMetrics*()> postgres_metrics;
  std::function<const TlsMetrics*()> tls_metrics;
  /// Makes a connection one of MQTT; empty where there is no such listener.
  std::function<HttpResponse(const HttpRequest&)> mqtt_web_socket;
  /// Web pages of these origins may open WebSockets, beside those of this server itself.
  std::vector<std::string> web_origins;
};

[[nodiscard]] HttpRouter api_routes(const Services& services);

void add_event_routes(HttpRouter& router, const Services& services);      // event_routes.cc
void add_stream_routes(HttpRouter& router, const Services& services);     // stream_routes.cc
void add_view_routes(HttpRouter& router, const Services& services);       // view_routes.cc
void add_change_routes(HttpRouter& router, const Services& services);     // change_routes.cc
void add_statement_routes(HttpRouter& router, const Services& services);  // statement_routes.cc
void add_session_routes(HttpRouter& router, const Services& services);    // session_routes.cc
void add_registry_routes(HttpRouter& router, const Services& services);   // registry_routes.cc
void add_batch_routes(HttpRouter& router, const Services& services);      // batch_routes.cc
void add_operation_routes(HttpRouter& router, const Services& services);  // operation_routes.cc
void add_mqtt_route(HttpRouter& router, const Services& services);        // mqtt_route.cc

/// The last one: it serves a document of all routes.
void add_document_route(HttpRouter& router);  // operation_routes.cc

/// The answer where no materialized view has this name.
[[nodiscard]] HttpResponse no_such_view(const catalog::Catalog& catalog, std::string_view name);

/// Runs `work` on the pool and answers with what it gives, or with 429 at once where the pool is
/// full.
void answer_on_pool(runtime::WorkerPool& pool, runtime::WorkShare share, Responder responder,
                    std::function<HttpResponse()> work);
[[nodiscard]] HttpResponse pool_is_full();

}  // namespace millrace::endpoint
