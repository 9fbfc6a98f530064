// One node, wired together: everything that stands between a data folder and the endpoints. Opening
// it recovers: catalog, generations and checkpoints, then the log's tail through the views. Owns:
// all of it, and the data folder's lock. Thread: open() and stop() on one. Errors:
// kFailedPrecondition (kLocked) where another process has the folder; kDataLoss where acknowledged
// bytes are damaged and nothing else has them.
#pragma once

#include <filesystem>
#include <memory>

#include "access/access.h"
#include "base/result.h"
#include "batch/state_files.h"
#include "bridge/bridge.h"
#include "broker/broker.h"
#include "catalog/catalog.h"
#include "catalog/schema_registry.h"
#include "endpoint/api_routes.h"
#include "ingest/ingest.h"
#include "ingest/lake_writer.h"
#include "ingest/replay.h"
#include "lake/lake.h"
#include "lake/tables.h"
#include "log/commit_log.h"
#include "runtime/file_system.h"
#include "server/config.h"
#include "serving/batch_scheduler.h"
#include "serving/change_feed.h"
#include "serving/event_reader.h"
#include "serving/foreign_tables.h"
#include "serving/position_wait.h"
#include "serving/sinks.h"
#include "serving/state_scrub.h"
#include "serving/statement_runner.h"
#include "speed/delta_spiller.h"
#include "speed/speed_layer.h"
#include "sql/database.h"
#include "sql/query_worker.h"

namespace millrace::server {

class Node {
 public:
  static Result<std::unique_ptr<Node>> open(const std::filesystem::path& folder,
                                            const Config& config);
  ~Node();
  /// Ends the SELECTs that run, and takes no more.
  void stop_queries();
  /// What was acknowledged stays; what runs is ended. Idempotent.
  void stop();

  /// All that the HTTP routes call; `pool` runs what takes long. Without the counters of listeners.
  [[nodiscard]] endpoint::Services services(runtime::WorkerPool& pool);
  [[nodiscard]] ingest::Ingest& ingest() { return *ingest_; }
  [[nodiscard]] broker::Broker& broker() { return *broker_; }
  [[nodiscard]] bridge::Bridge& bridge() { return *bridge_; }
  [[nodiscard]] ingest::LakeWriter& lake_writer() { return *lake_writer_; }
  [[nodiscard]] serving::StatementRunner& statements() { return *statements_; }
  [[nodiscard]] serving::BatchScheduler& batch() { return *batch_; }
  [[nodiscard]] serving::EventReader& events() { return *events_; }
  [[nodiscard]] serving::ChangeFeed& feed() { return *feed_; }
  [[nodiscard]] serving::Sinks& sinks() { return *sinks_; }
  [[nodiscard]] speed::SpeedLayer& speed() { return *speed_; }
  [[nodiscard]] access::Access& access() { return *access_; }
  [[nodiscard]] catalog::Catalog& catalog() { return *catalog_; }
  [[nodiscard]] catalog::SchemaRegistry& registry() { return *registry_; }
  [[nodiscard]] lake::Lake& lake() { return *lake_; }
  [[nodiscard]] lake::Tables& tables() { return *tables_; }
  [[nodiscard]] log::CommitLog& log() { return *log_; }

 private:
  Node() = default;
  Status recover(const std::filesystem::path& folder, const Config& config);
  Status restore_view(const catalog::ViewRecord& record, const Config& config);
  Status restore_delta(speed::ViewState& view, std::span<const StreamDefinition> streams,
                       const catalog::Generation& generation,
                       std::shared_ptr<const view::StateRun> base, std::uint64_t bytes_max);

  /// Rows on which views failed that were met while their states were computed again.
  ingest::Replay::Failures failures_;

  // In the order of construction; what is below uses what is above.
  std::unique_ptr<runtime::FolderLock> lock_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<catalog::SchemaRegistry> registry_;
  std::unique_ptr<access::Access> access_;
  std::shared_ptr<sql::Database> lake_database_;
  std::shared_ptr<sql::Database> speed_database_;
  std::shared_ptr<sql::Database> batch_database_;
  std::unique_ptr<lake::Lake> lake_;
  std::unique_ptr<lake::Tables> tables_;
  std::unique_ptr<batch::StateFiles> state_files_;
  std::unique_ptr<speed::SpeedLayer> speed_;
  std::unique_ptr<speed::DeltaSpiller> spiller_;
  std::unique_ptr<ingest::DuplicateFilters> filters_;
  std::unique_ptr<ingest::RequestMemory> requests_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<log::CommitLog> log_;
  std::unique_ptr<sql::QueryWorkers> workers_;
  std::unique_ptr<ingest::Ingest> ingest_;
  std::unique_ptr<ingest::LakeWriter> lake_writer_;
  std::unique_ptr<serving::BatchScheduler> batch_;
  std::unique_ptr<serving::StateScrub> scrub_;
  std::unique_ptr<bridge::Bridge> bridge_;
  std::unique_ptr<serving::ChangeFeed> feed_;
  std::unique_ptr<serving::Sinks> sinks_;
  std::unique_ptr<serving::StatementRunner> statements_;
  std::unique_ptr<serving::ForeignTables> foreign_tables_;
  std::unique_ptr<serving::EventReader> events_;
  std::unique_ptr<serving::PositionWait> positions_;
};

}  // namespace millrace::server
