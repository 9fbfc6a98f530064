#include "server/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <thread>

#include "runtime/clock.h"
#include "speed/moment.h"

namespace millrace::server {

namespace {
/// Rows of the lake that a start maps again for a view without a generation: a fraction of a
/// second.
constexpr std::uint64_t kRestoreRowsMax = 2'000'000;
/// A checkpoint's file that is read into memory at a start.
constexpr std::uint64_t kLoadedBytesMax = std::uint64_t{32} << 20;

ingest::RequestLimits request_limits(const Config& config) {
  return {
      .entries_max = config.ingest_idempotency_keys_max,
      .bytes_max = config.ingest_idempotency_bytes_max,
      .kept_us = static_cast<std::int64_t>(config.ingest_idempotency_kept_s) * 1'000'000,
  };
}

broker::Limits mqtt_limits(const Config& config) {
  return {.sessions_max = config.mqtt_sessions_max,
          .subscriptions_per_client_max = config.mqtt_subscriptions_max,
          .topic_levels_max = config.mqtt_topic_levels_max,
          .retained_max = config.mqtt_retained_max,
          .retained_bytes_max = config.mqtt_retained_bytes_max,
          .queue_messages_max = config.mqtt_queue_messages_max,
          .queue_bytes_max = config.mqtt_queue_bytes_max,
          .message_bytes_max = config.mqtt_message_bytes_max,
          .session_expiry_max_s = static_cast<std::uint32_t>(config.mqtt_session_expiry_max_s)};
}
}  // namespace

Result<std::unique_ptr<Node>> Node::open(const std::filesystem::path& folder,
                                         const Config& config) {
  std::unique_ptr<Node> node(new Node());
  MR_RETURN_IF_ERROR(node->recover(folder, config));
  return node;
}

Node::~Node() { stop(); }

endpoint::Services Node::services(runtime::WorkerPool& pool) {
  return {.ingest = *ingest_,
          .lake_writer = *lake_writer_,
          .statements = *statements_,
          .batch = *batch_,
          .feed = *feed_,
          .events = *events_,
          .positions = *positions_,
          .speed = *speed_,
          .catalog = *catalog_,
          .registry = *registry_,
          .access = *access_,
          .lake = *lake_,
          .log = *log_,
          .pool = pool,
          .broker = *broker_,
          .bridge = *bridge_,
          .sinks = *sinks_,
          .http_metrics = [] { return nullptr; },
          .mqtt_metrics = [] { return nullptr; },
          .postgres_metrics = [] { return nullptr; },
          .tls_metrics = [] { return nullptr; },
          .mqtt_web_socket = {},
          .web_origins = {}};
}

void Node::stop_queries() {
  statements_->stop();
  workers_->stop();
}

void Node::stop() {
  if (positions_ != nullptr) positions_->stop();
  if (bridge_ != nullptr) bridge_->stop();
  if (foreign_tables_ != nullptr) foreign_tables_->stop();
  if (sinks_ != nullptr) sinks_->stop();
  if (feed_ != nullptr) feed_->stop();
  if (scrub_ != nullptr) scrub_->stop();
  if (batch_ != nullptr) batch_->stop();
  if (lake_writer_ != nullptr) lake_writer_->stop();
  if (ingest_ != nullptr) ingest_->stop();
  if (broker_ != nullptr) broker_->stop();
}

Status Node::recover(const std::filesystem::path& folder, const Config& config) {
  auto& files = runtime::system_files();
  const std::int64_t started = runtime::monotonic_us();
  const std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
  MR_RETURN_IF_ERROR(files.create_directories(folder));
  MR_TRY(lock_, runtime::FolderLock::acquire(folder));
  MR_TRY(catalog_, catalog::Catalog::open(folder / "catalog.db"));
  MR_TRY(registry_, catalog::SchemaRegistry::open(*catalog_));
  access_ = std::make_unique<access::Access>(*catalog_, config.access_anonymous != 0
                                                            ? access::Anonymous::kAllowed
                                                            : access::Anonymous::kUntilUsers);

  const auto lake_folder = std::filesystem::absolute(folder / "lake");
  MR_RETURN_IF_ERROR(files.create_directories(lake_folder));
  const auto tables_folder = std::filesystem::absolute(folder / "tables");
  MR_RETURN_IF_ERROR(files.create_directories(tables_folder));
  MR_TRY(lake_database_, sql::Database::open({.threads = 1,
                                              .memory_bytes_max = config.batch_memory_bytes_max,
                                              .folders = {lake_folder, tables_folder},
                                              .spill_folder = {}}));
  MR_TRY(speed_database_, sql::Database::open({.threads = 1,
                                               .memory_bytes_max = std::uint64_t{256} << 20,
                                               .folders = {},
                                               .spill_folder = {}}));
  MR_TRY(batch_database_, sql::Database::open({.threads = cores,
                                               .memory_bytes_max = config.batch_memory_bytes_max,
                                               .folders = {lake_folder},
                                               .spill_folder = {}}));
  MR_TRY(lake_, lake::Lake::open(files, *catalog_, lake_database_, lake_folder));
  MR_RETURN_IF_ERROR(lake_->sweep());
  MR_TRY(tables_, lake::Tables::open(files, *catalog_, lake_database_, tables_folder));
  MR_TRY(state_files_, batch::StateFiles::open(files, folder / "states",
                                               {.cache_bytes_max = config.state_cache_bytes_max}));

  speed_ = std::make_unique<speed::SpeedLayer>(
      speed::TailOptions{.commit_rows = config.lake_commit_rows,
                         .tail_bytes_max = config.speed_tail_bytes_max,
                         .checkpoint_rows = config.speed_checkpoint_rows});
  std::map<log::StreamPartition, Offset> first_offsets;
  for (const auto& stream : catalog_->streams()) {
    const auto snapshot = lake_->snapshot(stream.id);
    speed_->add_stream(stream, snapshot->last(), snapshot->end);
    for (std::uint32_t p = 0; p < stream.partitions; ++p) {
      first_offsets[{stream.id, PartitionId(p)}] = snapshot->end.end(PartitionId(p));
    }
  }
  std::set<std::string> named;
  for (const auto& view : catalog_->views()) {
    for (const auto& generation : catalog_->generations(view.id))
      named.insert(generation.file.name);
    for (const auto& checkpoint : catalog_->checkpoints(view.id))
      named.insert(checkpoint.file.name);
  }
  MR_RETURN_IF_ERROR(state_files_->sweep(named));
  spiller_ =
      std::make_unique<speed::DeltaSpiller>(*speed_, *state_files_, config.speed_table_bytes_max);
  for (const auto& view : catalog_->views()) {
    if (view.materialized) MR_RETURN_IF_ERROR(restore_view(view, config));
  }
  const std::int64_t states_done = runtime::monotonic_us();

  filters_ = std::make_unique<ingest::DuplicateFilters>(*speed_);
  for (const auto& stream : catalog_->streams()) {
    const bool is_quarantine = speed_->is_quarantine(stream.id);
    const auto state = speed_->stream(stream.id);
    MR_RETURN_IF_ERROR(
        filters_->restore(*lake_database_, *lake_, stream, [&](const ColumnBatch& read) {
          if (is_quarantine) state->add_quarantined(ingest::quarantined_by(read.column(0)));
        }));
  }
  MR_TRY(requests_,
         ingest::RequestMemory::open(files, folder / "requests", request_limits(config)));
  first_offsets[{kRequestsStream, PartitionId(0)}] = requests_->saved_end();
  broker_ = std::make_unique<broker::Broker>(files, folder / "mqtt", *speed_, mqtt_limits(config));
  MR_TRY(const Offset broker_covered, broker_->open());
  first_offsets[{kBrokerStream, PartitionId(0)}] = broker_covered;
  ingest::Replay replay(*speed_, *filters_, cores);
  auto log = log::CommitLog::open(
      files,
      {.folder = folder / "log",
       .segment_bytes = config.log_segment_bytes,
       .commit_bytes_max = std::min(config.log_commit_bytes_max, config.log_segment_bytes),
       .queue_bytes_max = config.log_queue_bytes_max},
      first_offsets, [&](const log::RecoveredBatch& batch) -> Status {
        if (batch.stream == kBrokerStream) return broker_->replay(batch);
        MR_RETURN_IF_ERROR(requests_->meet(batch));
        return batch.stream == kRequestsStream ? Status() : replay.add(batch);
      });
  if (!log)
    return std::unexpected(std::move(log).error().within("log in {}", (folder / "log").string()));
  log_ = std::move(*log);
  MR_RETURN_IF_ERROR(replay.finish());
  for (auto& failed : replay.take_failures()) failures_.push_back(std::move(failed));
  spdlog::info(
      "recovered in {} ms: {} streams, {} views, {} events replayed from the log ({} ms), {} bytes "
      "of a torn tail cut",
      (runtime::monotonic_us() - started) / 1000, speed_->streams().size(), speed_->views().size(),
      replay.records(), (runtime::monotonic_us() - states_done) / 1000,
      log_->statistics().torn_tail_bytes);

  MR_TRY(workers_,
         sql::QueryWorkers::start({.executable = "/proc/self/exe",
                                   .lake_folder = lake_folder,
                                   .workers_max = static_cast<std::uint32_t>(config.sql_workers),
                                   .memory_bytes_max = config.sql_memory_bytes_max,
                                   .threads = cores,
                                   .files = &files,
                                   .spill_folder = folder / "states"}));
  ingest_ = std::make_unique<ingest::Ingest>(
      *log_, *speed_, *filters_,
      ingest::IngestOptions{
          .limits = {.depth_max = static_cast<std::uint32_t>(config.ingest_depth_max),
                     .record_bytes_max = static_cast<std::uint32_t>(config.ingest_record_bytes_max),
                     .rejected_bytes_max = config.ingest_rejected_bytes_max},
          .schemas = registry_.get(),
          .spiller = spiller_.get()},
      requests_.get());
  for (const auto& stream : catalog_->streams()) {
    if (!stream.source) continue;
    MR_RETURN_IF_ERROR(
        serving::StatementRunner::start_derivation(*speed_database_, *ingest_, *catalog_, stream));
  }
  lake_writer_ = std::make_unique<ingest::LakeWriter>(
      *log_, *speed_, *ingest_, *lake_, *catalog_, *state_files_,
      ingest::LakeWriterOptions{.commit_interval_ms = config.lake_commit_interval_ms,
                                .also_covered = [this](auto& covered) {
                                  covered[{kBrokerStream, PartitionId(0)}] = broker_->covered();
                                }});
  batch_ = std::make_unique<serving::BatchScheduler>(
      *batch_database_, *lake_, *catalog_, *state_files_, *speed_, *lake_writer_,
      serving::BatchOptions{.interval_ms = config.batch_interval_ms,
                            .delta_bytes_max = config.speed_delta_bytes_max,
                            .table_bytes_max = config.batch_table_bytes_max});
  scrub_ = std::make_unique<serving::StateScrub>(
      *speed_,
      serving::StateScrubOptions{.interval_ms = config.state_scrub_interval_ms,
                                 .bytes_per_second_max = config.state_scrub_bytes_per_second_max},
      [this] { batch_->request(true, "damage"); });
  bridge_ = std::make_unique<bridge::Bridge>(*catalog_, *broker_);
  // As many as change while a sink is backfilled: one that falls behind its backfill begins anew.
  feed_ = std::make_unique<serving::ChangeFeed>(
      *speed_, serving::FeedOptions{.touched = {.keys_max = std::size_t{512} << 10,
                                                .bytes_max = std::size_t{64} << 20}});
  sinks_ = std::make_unique<serving::Sinks>(*catalog_, *feed_, *speed_, *speed_database_);
  statements_ = std::make_unique<serving::StatementRunner>(
      *catalog_, *log_, *lake_, *tables_, *state_files_, *speed_, *speed_database_, *lake_database_,
      *workers_, *lake_writer_, *batch_, *access_, *bridge_, *feed_, *sinks_,
      serving::StatementOptions{.deadline_ms = config.sql_deadline_ms,
                                .rows_max = config.sql_rows_max,
                                .spill_bytes_max = config.sql_spill_bytes_max,
                                .table_bytes_max = config.sql_table_bytes_max,
                                .import_folder = std::filesystem::absolute(folder / "import")});

  foreign_tables_ = std::make_unique<serving::ForeignTables>(*catalog_, *statements_);
  positions_ = std::make_unique<serving::PositionWait>(*speed_);
  events_ = std::make_unique<serving::EventReader>(*lake_, *log_, *lake_database_);
  batch_->on_published([this](const std::shared_ptr<speed::ViewState>& view) {
    statements_->finish_replacement(view);
  });
  // A replacement that was whole when the program ended takes its place now.
  const auto views = speed_->views();
  for (const auto& view : views) statements_->finish_replacement(view);
  statements_->refresh_views();

  ingest_->start();
  broker_->start(*ingest_, *log_, [this] { lake_writer_->ask_trim(); });
  // Those that are in the quarantine already are told by their ids.
  for (auto& [stream, failures] : std::exchange(failures_, {}))
    ingest_->report(stream, std::move(failures));
  lake_writer_->start();
  batch_->start();
  feed_->start();
  sinks_->start();
  foreign_tables_->start();
  bridge_->start();
  const bool building = std::ranges::any_of(
      views, [](const auto& view) { return view->phase() == speed::ViewPhase::kBuilding; });
  if (building) batch_->request(false, "build");
  return {};
}

Status Node::restore_view(const catalog::ViewRecord& record, const Config& config) {
  // What is restored goes into the deltas.
  const std::uint64_t bytes_max =
      std::min(config.batch_table_bytes_max, config.speed_table_bytes_max);
  MR_TRY(const auto streams, serving::StatementRunner::streams_of(*catalog_, record));
  auto tables = tables_->read_all(record.tables);
  if (!tables) return std::unexpected(std::move(tables).error().within("view {}", record.name));
  auto made = serving::StatementRunner::make_view_state({*speed_database_, *lake_database_, *lake_},
                                                        record, streams, std::move(*tables));
  if (!made) return std::unexpected(std::move(made).error().within("view {}", record.name));
  const auto view = *made;
  auto generations = catalog_->generations(record.id);
  std::ranges::sort(generations, std::greater<>(), &catalog::Generation::number);

  bool restored = false;
  for (const auto& generation : generations) {
    auto base = state_files_->read(generation.file, view->compiled().fingerprint);
    if (!base) {
      // Damaged, and named so; an older generation and the lake give the same answer.
      spdlog::error("view {} generation {}: {}", record.name, generation.number,
                    base.error().message);
      continue;
    }
    if (auto delta = restore_delta(*view, streams, generation, *base, bytes_max); !delta) {
      spdlog::error("view {}: {}", record.name, delta.error().message);
      view->fail(std::move(delta).error().within("view {}", record.name));
    }
    restored = true;
    break;
  }
  if (!restored) {
    // No generation, or none that can be read: everything is delta. Where that is little it is
    // computed now, so that the view answers at once, as it did before; where it is much, a batch
    // run builds it while the rest serves.
    catalog::Generation empty;
    empty.view = record.id;
    empty.cuts.resize(streams.size());
    std::vector<Position> ends;
    std::uint64_t events = 0;
    for (const auto& stream : streams) {
      ends.push_back(lake_->snapshot(stream.id)->end);
      events += ends.back().events();
    }
    if (!generations.empty()) empty.number = generations.front().number;
    if (events <= kRestoreRowsMax) {
      if (auto delta = restore_delta(*view, streams, empty, view::StateRun::empty(), bytes_max);
          !delta) {
        spdlog::error("view {}: {}", record.name, delta.error().message);
        view->fail(std::move(delta).error().within("view {}", record.name));
      }
    } else {
      spdlog::info("view {} is built from the lake", record.name);
      view->start_building(std::move(ends), empty.number);
    }
  }
  speed::add_view(speed_->streams_of(*view), view, [](const auto&) {});
  if (record.replaces) {
    speed_->add_replacement(view, *record.replaces);
  } else {
    speed_->add_view(view);
  }
  return {};
}

namespace {

/// The states of a checkpoint: in a table, as they were, where they are few, else as they lie
/// there.
Status take_checkpoint(const view::AggregatePlan& plan, std::shared_ptr<const view::StateRun> run,
                       view::GroupParts& delta) {
  if (run->file_bytes() > kLoadedBytesMax) {
    delta.runs.push_back(std::move(run));
    return {};
  }
  auto table = std::make_shared<view::GroupTable>(plan);
  view::RunCursor cursor(std::move(run), false);
  MR_RETURN_IF_ERROR(cursor.seek({}));
  while (!cursor.at_end()) {
    MR_RETURN_IF_ERROR(table->merge_state(cursor.key(), cursor.state()));
    MR_RETURN_IF_ERROR(cursor.next());
  }
  delta.tables.push_back(std::move(table));
  return {};
}

}  // namespace

Status Node::restore_delta(speed::ViewState& view, std::span<const StreamDefinition> streams,
                           const catalog::Generation& generation,
                           std::shared_ptr<const view::StateRun> base, std::uint64_t bytes_max) {
  const auto& compiled = view.compiled();
  view::GroupParts delta;
  std::uint64_t skipped = 0;
  std::map<StreamId, std::vector<view::FailedRow>> failed;
  batch::BatchInput input{.view = &compiled,
                          .streams = {},
                          .base = {},
                          .tables = view.tables(),
                          .scratch = state_files_.get(),
                          .table_bytes_max = bytes_max,
                          .failed = [&](StreamId stream, view::FailedRow row) -> Status {
                            failed[stream].push_back(std::move(row));
                            return {};
                          }};
  std::vector<Position> ends;
  bool behind = false;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto lake = lake_->snapshot(streams[i].id);
    input.streams.push_back(
        {.stream = &streams[i], .after = generation.cuts[i].commit, .upto = lake->last()});
    ends.push_back(lake->end);
  }
  for (const auto& checkpoint : catalog_->checkpoints(view.record().id)) {
    auto& range = input.streams.front();
    if (checkpoint.base_commit != range.after || checkpoint.commit > range.upto) continue;
    auto run = state_files_->read(checkpoint.file, compiled.fingerprint);
    if (!run) {
      spdlog::error("view {}: {}; its states are computed again from the lake", view.record().name,
                    run.error().message);
      continue;
    }
    MR_RETURN_IF_ERROR(take_checkpoint(compiled.plan, *std::move(run), delta));
    range.after = checkpoint.commit;
    skipped = checkpoint.skipped_rows;
    break;
  }
  for (const auto& range : input.streams) behind = behind || range.after < range.upto;
  if (behind) {
    batch::BatchProgress progress;
    MR_TRY(auto rest, batch::map_commits(*batch_database_, *lake_, input, progress, skipped));
    delta.add(std::move(rest));
  }
  view.restore(generation, std::move(base), std::move(delta), std::move(ends), skipped);
  for (auto& [stream, rows] : failed) {
    std::vector<speed::ViewFailures> all;
    all.push_back({view.record().id, view.record().name, std::move(rows)});
    failures_.emplace_back(speed_->stream(stream), std::move(all));
  }
  return {};
}

}  // namespace millrace::server
