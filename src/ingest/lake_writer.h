// Moves the tail into the lake: one thread that makes the due edges of all streams into lake
// commits, writes the checkpoints that belong to them, and lets the log go behind them. An edge is
// due when a stream has enough rows, when its oldest event has waited long enough, or when somebody
// waits for it.
// Thread: its own; wait_for() on any.
// Errors: a commit that fails is tried again with growing pauses; the tail grows meanwhile and
// nothing is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "batch/state_files.h"
#include "catalog/catalog.h"
#include "ingest/ingest.h"
#include "lake/lake.h"
#include "log/commit_log.h"
#include "speed/speed_layer.h"

namespace millrace::ingest {

struct LakeWriterOptions {
  std::uint64_t commit_interval_ms = 10'000;
  /// Adds what is covered of partitions of the log that are no stream's. On the writer's thread.
  std::function<void(std::map<log::StreamPartition, Offset>& covered)> also_covered = {};
};

struct LakeWriterCounters {
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> rows{0};
  std::atomic<std::uint64_t> failures{0};
  std::atomic<std::uint64_t> checkpoints{0};
};

class LakeWriter {
 public:
  LakeWriter(log::CommitLog& log, speed::SpeedLayer& speed, Ingest& ingest, lake::Lake& lake,
             catalog::Catalog& catalog, batch::StateFiles& state_files, LakeWriterOptions options);
  ~LakeWriter();
  void start();
  void stop();

  /// Waits until the lake has the commit. Errors: kCancelled when stopping, kDataLoss where it
  /// cannot be made.
  Status wait_for(StreamId stream, CommitNumber commit, const std::atomic<bool>& cancel);
  /// Runs `change` at a moment at which the lake has all events of the stream and none is on its
  /// way: what comes later meets what `change` made. Requests wait meanwhile. Errors: those of
  /// wait_for() and of `change`.
  Status change_stream(const std::shared_ptr<speed::StreamState>& stream,
                       const std::function<Status()>& change, const std::atomic<bool>& cancel);
  /// More of the log is covered than before, and no lake commit says so.
  void ask_trim();
  [[nodiscard]] Ingest& ingest() { return ingest_; }
  /// Rows on which a view failed in a batch run: in the quarantine on return, each once. Errors:
  /// kCancelled.
  Status keep_failures(StreamId stream, speed::ViewFailures failures,
                       const std::atomic<bool>& cancel);
  [[nodiscard]] const LakeWriterCounters& counters() const { return counters_; }

 private:
  void loop();
  Status make_commit(speed::StreamState& stream, const speed::StreamState::PendingCommit& pending);
  Status write_checkpoint(const StreamDefinition& stream, const speed::CheckpointDraft& draft);
  void trim_log();

  log::CommitLog& log_;
  speed::SpeedLayer& speed_;
  Ingest& ingest_;
  lake::Lake& lake_;
  catalog::Catalog& catalog_;
  batch::StateFiles& state_files_;
  const LakeWriterOptions options_;
  LakeWriterCounters counters_;

  Mutex mutex_;
  CondVar wake_;
  CondVar committed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool asked_ GUARDED_BY(mutex_) = false;
  bool trim_asked_ GUARDED_BY(mutex_) = false;
  std::map<StreamId, Error> failures_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace millrace::ingest
