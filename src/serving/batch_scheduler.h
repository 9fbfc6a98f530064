// Runs the batch layer: by schedule, by request, when the delta has outgrown its memory budget, and
// for views that are being built. One run at a time, one set of streams that views read together
// after the other: cut them at lake commits at one moment, compute each view's next generation up
// to those, audit it against the speed layer, record it in the catalog, and hand it over in one
// step. Thread: its own; request(), state() and cancel() on any. Errors: a failed run leaves the
// old generations and the delta as they were, and is shown in state().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "batch/batch_job.h"
#include "batch/state_files.h"
#include "catalog/catalog.h"
#include "ingest/lake_writer.h"
#include "lake/lake.h"
#include "speed/moment.h"
#include "speed/speed_layer.h"
#include "sql/database.h"

namespace millrace::serving {

struct BatchOptions {
  std::uint64_t interval_ms = 60'000;
  std::uint64_t delta_bytes_max = std::uint64_t{256} << 20;
  std::uint64_t table_bytes_max = std::uint64_t{512} << 20;
  std::uint32_t generations_kept = 2;
};

struct BatchRunSummary {
  std::uint64_t run = 0;
  bool full = false;
  std::string reason;  // "schedule", "request", "memory", "build"
  std::int64_t started_us = 0;
  std::int64_t duration_us = 0;
  std::uint64_t generations = 0;
  std::uint64_t drift_rows = 0;
  std::optional<Error> error;
};

struct BatchState {
  bool pending = false;  // a run was asked for and has not begun
  bool running = false;
  BatchRunSummary current;
  std::string view;  // in work
  ViewId view_id;    // of it; 0 where none is
  std::uint64_t rows_total = 0;
  std::uint64_t rows_done = 0;
  std::int64_t view_started_us = 0;
  std::vector<BatchRunSummary> last;  // newest first
  std::uint64_t runs = 0;
  std::uint64_t failures = 0;
  std::uint64_t drift_rows = 0;  // of all audits since the start
};

class BatchScheduler {
 public:
  BatchScheduler(sql::Database& database, lake::Lake& lake, catalog::Catalog& catalog,
                 batch::StateFiles& state_files, speed::SpeedLayer& speed,
                 ingest::LakeWriter& lake_writer, BatchOptions options);
  ~BatchScheduler();
  /// Called on the batch thread when a view has a new generation. Before start().
  void on_published(std::function<void(const std::shared_ptr<speed::ViewState>&)> call) {
    on_published_ = std::move(call);
  }
  void start();
  void stop();

  /// Gives the number of the run that will do it: the next one, which several requests may share.
  std::uint64_t request(bool full, std::string reason);
  void cancel();
  [[nodiscard]] BatchState state() const;
  [[nodiscard]] const batch::StateFiles& state_files() const { return state_files_; }
  /// Of groups in memory, for whoever maps events as a run does.
  [[nodiscard]] std::uint64_t table_bytes_max() const { return options_.table_bytes_max; }
  /// How much of the view's files the run under way has read, from 0 to 1; 0 where it is not its
  /// turn.
  [[nodiscard]] double built(ViewId view) const;

 private:
  void loop();
  void run(BatchRunSummary& summary);
  void run_streams(speed::Streams streams, BatchRunSummary& summary);
  Status run_view(speed::Streams streams, const speed::Rolled& rolled,
                  const std::shared_ptr<speed::ViewState>& view, BatchRunSummary& summary);
  Status compute(speed::Streams streams, const std::shared_ptr<speed::ViewState>& view,
                 const speed::ViewState::BatchInput& before, catalog::Generation& generation,
                 std::shared_ptr<const view::StateRun>& run);
  static Status audit(const speed::ViewState& view,
                      const std::shared_ptr<const view::StateRun>& run,
                      catalog::Generation& generation);
  [[nodiscard]] GenerationNumber next_number(ViewId view, GenerationNumber last) const;

  sql::Database& database_;
  lake::Lake& lake_;
  catalog::Catalog& catalog_;
  batch::StateFiles& state_files_;
  speed::SpeedLayer& speed_;
  ingest::LakeWriter& lake_writer_;
  const BatchOptions options_;
  std::function<void(const std::shared_ptr<speed::ViewState>&)> on_published_;
  batch::BatchProgress progress_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::optional<BatchRunSummary> requested_ GUARDED_BY(mutex_);
  std::uint64_t next_run_ GUARDED_BY(mutex_) = 1;
  BatchState state_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace millrace::serving
