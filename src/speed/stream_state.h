// One stream in memory: how far it is applied, its views, and its tail: the events that are in the
// log but not yet in the lake. The tail is what the next lake commits are made of, and what ad-hoc
// SQL reads beside the lake. Edges: positions at which lake commits end. They lie between rounds of
// apply(), are numbered as the commits will be, and wait here until the lake has them. Memory: the
// decoded columns of the tail count against a budget shared by all streams; beyond it new batches
// keep only their place in the log and are decoded again when they are needed. Thread: apply() on
// the speed layer's thread, the rest on any; one mutex per stream. Invariant: the tail holds
// exactly the events from the lake's end to `applied`, each partition in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "log/commit_log.h"
#include "model/stream.h"
#include "speed/view_state.h"

namespace millrace::speed {

struct TailOptions {
  /// A lake commit is due when this many rows wait.
  std::uint64_t commit_rows = 262'144;
  /// Decoded columns of all tails together.
  std::uint64_t tail_bytes_max = std::uint64_t{384} << 20;
  /// Checkpoint the views' deltas at an edge when this many events came since the last one.
  std::uint64_t checkpoint_rows = 2'000'000;
};

struct TailEntry {
  StreamBatch batch;  // columns are null where the budget did not allow to keep them
  log::LogPlace place;
  std::uint32_t rows = 0;
  std::int64_t applied_us = 0;  // monotonic

  [[nodiscard]] Offset end_offset() const { return Offset(batch.base_offset.value + rows); }
};

struct LakeEdge {
  CommitNumber commit;
  Position end;
  std::uint64_t rows = 0;
  std::vector<CheckpointDraft> checkpoints;
};

/// Rows of the stream on which a view failed.
struct ViewFailures {
  ViewId view;
  std::string name;
  std::vector<view::FailedRow> rows;
};

class StreamState {
 public:
  /// The lake has commits up to `last_commit`, which ends at `lake_end`.
  StreamState(StreamDefinition definition, const TailOptions& options,
              std::atomic<std::uint64_t>& tail_bytes, CommitNumber last_commit,
              const Position& lake_end);

  /// The present one; a reference stays good as long as the stream, also when it is altered.
  [[nodiscard]] const StreamDefinition& definition() const {
    return *definition_.load(std::memory_order_acquire);
  }
  /// Another definition from here on, with stages of the stream's views for it. Nothing is in
  /// the tail, and no event comes in meanwhile.
  void redefine(StreamDefinition definition, std::map<ViewId, ViewState::Stages> stages);

  /// Events of one or more partitions that follow `applied`, in log order: into every view, then
  /// visible. Gives the rows on which views failed.
  std::vector<ViewFailures> apply(std::vector<TailEntry> entries);

  /// Ends the present lake commit here, if it has any rows. Gives the newest edge, made now or
  /// earlier, or the last lake commit.
  catalog::Cut cut_edge();
  /// The same; `during` runs between two rounds of apply(), and may change which views take part.
  /// What is done with several streams at one moment: moment.h.
  using Views = std::vector<std::shared_ptr<ViewState>>;
  void at_edge(const std::function<void(const catalog::Cut&, Views&)>& during);
  void remove_view(ViewId view);
  [[nodiscard]] std::vector<std::shared_ptr<ViewState>> views() const;

  /// The oldest edge whose commit is to be made, with its events.
  struct PendingCommit {
    LakeEdge edge;
    std::vector<TailEntry> entries;
  };
  [[nodiscard]] std::optional<PendingCommit> next_pending() const;
  /// The lake has the edge: its events leave the tail.
  void committed(CommitNumber commit);
  /// Asks for a checkpoint at the next edge, whatever the rows.
  void want_checkpoint();

  struct Snapshot {
    Position applied;
    std::vector<TailEntry> tail;
  };
  /// `also` runs under the same lock, so that what it reads fits the snapshot.
  Snapshot snapshot(const std::function<void()>& also = {}) const;
  /// Runs `during` between two rounds of apply(), under the same lock.
  void hold(const std::function<void(const Position& applied)>& during) const;
  [[nodiscard]] Position applied() const;
  /// Number of events before `applied`; never waits for a round that is being applied.
  [[nodiscard]] std::uint64_t events() const { return events_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t tail_rows() const;
  /// Of a quarantine stream: records that could not be decoded and were not brought back.
  [[nodiscard]] std::uint64_t quarantined() const {
    const std::int64_t open = quarantined_.load(std::memory_order_relaxed);
    return open < 0 ? 0 : static_cast<std::uint64_t>(open);
  }
  void add_quarantined(std::int64_t records) {
    quarantined_.fetch_add(records, std::memory_order_relaxed);
  }
  /// Events per second over the last full second or more; 0 where nothing came for a while.
  [[nodiscard]] double rate(std::int64_t now_us) const;
  /// Age of the oldest event that no edge covers yet; 0 where there is none.
  [[nodiscard]] std::int64_t unedged_age_us(std::int64_t now_us) const;

 private:
  catalog::Cut cut_edge_locked() REQUIRES(mutex_);

  // Constant after construction.
  std::atomic<const StreamDefinition*> definition_{nullptr};
  const TailOptions options_;
  std::atomic<std::uint64_t>& tail_bytes_;
  std::atomic<std::uint64_t> events_{0};
  std::atomic<std::int64_t> quarantined_{0};

  mutable Mutex mutex_;
  std::deque<StreamDefinition> definitions_ GUARDED_BY(mutex_);  // oldest first; addresses stay
  Position applied_ GUARDED_BY(mutex_);
  std::deque<TailEntry> tail_ GUARDED_BY(mutex_);
  std::deque<LakeEdge> edges_ GUARDED_BY(mutex_);
  catalog::Cut last_edge_ GUARDED_BY(mutex_);  // of the newest edge or the last lake commit
  std::uint64_t rows_since_edge_ GUARDED_BY(mutex_) = 0;
  std::uint64_t rows_since_checkpoint_ GUARDED_BY(mutex_) = 0;
  bool checkpoint_wanted_ GUARDED_BY(mutex_) = false;
  std::int64_t oldest_unedged_us_ GUARDED_BY(mutex_) = 0;
  std::uint64_t tail_rows_ GUARDED_BY(mutex_) = 0;
  std::int64_t rate_window_us_ GUARDED_BY(mutex_) = 0;  // start of the window that is being counted
  std::uint64_t rate_rows_ GUARDED_BY(mutex_) = 0;
  double rate_ GUARDED_BY(mutex_) = 0;
  Views views_ GUARDED_BY(mutex_);
};

}  // namespace millrace::speed
