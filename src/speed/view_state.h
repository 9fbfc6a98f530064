// One materialized view in memory: the newest generation, and the delta after its cut. This pair is
// what every answer is merged from, and it changes in one step. The delta has at most two segments:
// `frozen`, which ends at the lake commit that a running batch job will cut at, and `active`, which
// goes on from there. A new generation drops the frozen one whole. A view over several streams is
// still one pair; its cut, and its delta's end, are a position in each of them. Thread: apply() on
// the speed layer's (under the stream's lock), roll() on the batch layer's (under the locks of all
// of them), publish() on the batch layer's, the rest on any. One
// mutex, held for microseconds by lookups and for one copy of the active segment by scans. Errors:
// the view's own failure (a generation that cannot be read, a stage that cannot run) is kept and
// answered. Invariant: generation + frozen + active are exactly the events before delta_end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "model/stream.h"
#include "speed/view_join.h"
#include "view/compiler.h"
#include "view/evaluator.h"
#include "view/finalizer.h"
#include "view/group_table.h"
#include "view/key_ranges.h"
#include "view/state_run.h"

namespace millrace::speed {

/// What an answer covers of one stream.
struct StreamCoverage {
  CommitNumber cut_commit;
  Position cut;
  Position delta_end;
};

/// What an answer covers (promise 7).
struct Coverage {
  GenerationNumber generation;
  std::vector<StreamCoverage> streams;  // in the order of the view's
  [[nodiscard]] std::uint64_t cut_events() const;
  [[nodiscard]] std::uint64_t events() const;
  /// Rows before delta_end that no group has, since an expression of the view failed on them.
  std::uint64_t skipped_rows = 0;
};

enum class ViewPhase { kBuilding, kLive, kFailed };
[[nodiscard]] std::string_view name(ViewPhase phase);

/// Learns which groups of a view events change. Called under the view's lock, on the thread that
/// changes the view: it must be short, and call nothing of the view.
class ViewWatcher {
 public:
  virtual ~ViewWatcher() = default;
  /// Events up to `delta_end` are in the view's answer, and may have changed the groups of
  /// `changed`.
  virtual void touched(const view::GroupTable& changed, std::span<const Position> delta_end) = 0;
  /// The view lives from here on, or has failed.
  virtual void phase_changed() = 0;
};

/// The keys of the groups that a view has.
struct ViewKeys {
  std::shared_ptr<const view::StateRun> base;
  std::shared_ptr<const view::GroupTable> frozen;  // may be null
  std::vector<std::string> active;
};

/// What a view has under some units. A unit is an encoded key, of a view over sessions the key
/// without the session.
struct UnitRows {
  std::shared_ptr<const ColumnBatch> rows;  // the view's columns, in the order of the units
  std::vector<std::uint32_t> ends;          // rows of unit i: [ends[i-1], ends[i])
  Coverage coverage;
};

/// A generation and its delta at one moment; never changes.
struct ViewSnapshot {
  std::shared_ptr<const view::StateRun> base;
  std::shared_ptr<const view::GroupTable> frozen;  // may be null
  std::shared_ptr<const view::GroupTable> active;
  Coverage coverage;
};

/// The delta's states from the cut `base_commit` to the end of lake commit `commit`, on the way to
/// a file.
struct CheckpointDraft {
  ViewId view;
  CommitNumber base_commit;
  CommitNumber commit;
  std::shared_ptr<const view::GroupTable> states;
  std::uint64_t skipped_rows = 0;
};

class ViewState {
 public:
  using Evaluators = std::vector<std::unique_ptr<view::Evaluator>>;
  /// What runs the compiled view over its streams.
  struct Stages {
    Evaluators evaluators;
    std::unique_ptr<view::JoinEvaluator> join;
  };
  /// An evaluator for each of the compiled view's inputs, or what joins its two streams.
  ViewState(catalog::ViewRecord record, view::CompiledView compiled, Evaluators evaluators,
            std::unique_ptr<view::Finalizer> finalizer,
            std::vector<sql::ReferenceTable> tables = {}, std::unique_ptr<ViewJoin> join = nullptr);

  /// As it was when the view was made: `replaces` stays when it has taken the other's place.
  [[nodiscard]] const catalog::ViewRecord& record() const { return record_; }
  [[nodiscard]] const view::CompiledView& compiled() const { return compiled_; }
  /// The reference tables that the view joins, in the version that it is made of.
  [[nodiscard]] std::span<const sql::ReferenceTable> tables() const { return tables_; }
  [[nodiscard]] bool is_native() const { return native_; }
  /// The same view over another definition of one of its streams.
  void replace_stages(const StreamDefinition& stream, Stages stages);

  /// Adds events of one of its streams that follow delta_end there; afterwards that is `end`. Gives
  /// the rows that are in no group, since an expression of the view failed on them.
  std::vector<view::FailedRow> apply(StreamId stream, std::span<const StreamBatch> batches,
                                     const Position& end);
  /// Ends the active segment at `cuts`, which are the present delta_end.
  void roll(std::vector<catalog::Cut> cuts);
  /// One step for readers: the new generation in, the segment that it covers out.
  /// The frozen segment must end at the generation's cuts.
  void publish(const catalog::Generation& generation, std::shared_ptr<const view::StateRun> base);
  /// Before the first apply(): the generation and the delta as they were found at the start.
  void restore(const catalog::Generation& generation, std::shared_ptr<const view::StateRun> base,
               view::GroupTable delta, std::vector<Position> delta_end, std::uint64_t skipped_rows);
  /// Before the first apply(): nothing is known before `start`; a full run makes the next
  /// generation after `last`.
  void start_building(std::vector<Position> start, GenerationNumber last = {});
  void fail(Error error);
  /// What the last batch run of this view said; none where it went well. The view answers as
  /// before.
  void note_run(std::optional<Error> error);

  [[nodiscard]] ViewPhase phase() const;
  /// Why the view failed, or why its last batch run did.
  [[nodiscard]] std::optional<Error> trouble() const;
  /// Whether its delta may begin at the present end: of a view that joins streams, the lake must
  /// have the history that the delta is joined with.
  [[nodiscard]] bool may_roll() const;
  /// Whether a batch run has something to do for it.
  [[nodiscard]] bool is_due() const;
  /// Returns when the view is no longer being built, or after `timeout_ms`.
  void wait_while_building(std::uint64_t timeout_ms) const;
  /// Errors: kUnavailable (kViewBuilding), or why the view failed.
  Result<ViewSnapshot> snapshot() const;
  /// The same of the groups in these ranges: `active` has no others. Of few keys it copies little,
  /// but walks over the keys of the active segment where a range is more than one.
  Result<ViewSnapshot> snapshot(const view::KeyRanges& ranges) const;
  /// The pair that a batch run starts from: generation and frozen segment. Base is null while
  /// building.
  struct BatchInput {
    catalog::Generation generation;
    std::shared_ptr<const view::StateRun> base;
    std::shared_ptr<const view::GroupTable> frozen;
    std::uint64_t frozen_skipped = 0;
  };
  [[nodiscard]] BatchInput batch_input() const;

  struct Lookup {
    std::shared_ptr<ColumnBatch>
        rows;  // the view's columns, one row per key that exists, in the keys' order
    Coverage coverage;
  };
  /// The merged rows of some encoded keys. Microseconds each; no SQL but for a final stage that has
  /// some. Not of a view over sessions.
  Result<Lookup> lookup(std::span<const std::string> keys) const;
  /// The same in the view as it was.
  Result<Lookup> lookup(const ViewSnapshot& snapshot, std::span<const std::string> keys) const;

  /// From here on the watcher is told what events change, and at once the present position; null:
  /// nobody is. Without a watcher events cost nothing more.
  void watch(std::shared_ptr<ViewWatcher> watcher);
  /// Errors: as snapshot(). The keys of the active segment are copied under the lock.
  Result<ViewKeys> keys() const;
  [[nodiscard]] std::shared_ptr<const view::StateRun> base() const;
  /// The rows of the units that `choose` appends. It runs under the view's lock, so what it reads
  /// of what a watcher was told fits the coverage. (view_units.cc)
  using ChooseUnits = std::function<void(std::vector<std::string>& units)>;
  Result<UnitRows> read_units(const ChooseUnits& choose) const;

  /// The view's rows of merged states; see view::Finalizer::rows().
  Result<std::shared_ptr<ColumnBatch>> finalize(const view::GroupTable& merged, bool whole) const;
  /// The view's rows of rows of group columns; see view::Finalizer::finish().
  Result<std::shared_ptr<ColumnBatch>> finish(std::shared_ptr<ColumnBatch> groups) const;

  /// Adds the merged states of all groups whose encoded key begins with `prefix` to `merged`. The
  /// lock is held for one walk over the delta's keys: for a whole view take snapshot().
  Result<Coverage> collect(std::string_view prefix, view::GroupTable& merged) const;

  /// A copy of the delta for a checkpoint at `commit`, whose end is the present delta_end; none
  /// while a batch run holds a frozen segment, before the view lives, and of a view over several
  /// streams: its delta has no edge in all of them at once but where a batch run cuts.
  [[nodiscard]] std::optional<CheckpointDraft> checkpoint(CommitNumber commit) const;

  [[nodiscard]] Coverage coverage() const;
  [[nodiscard]] std::size_t delta_bytes() const;
  [[nodiscard]] std::size_t delta_groups() const;
  [[nodiscard]] std::size_t base_groups() const;
  [[nodiscard]] std::uint64_t delta_events() const;

 private:
  Coverage coverage_locked() const REQUIRES(mutex_);
  Status evaluate_locked(StreamId stream, std::span<const StreamBatch> batches,
                         view::GroupTable& groups, std::vector<view::FailedRow>& failed)
      REQUIRES(mutex_);
  Status collect_units_locked(std::span<const std::string> units,
                              std::vector<view::GroupTable>& groups) const REQUIRES(mutex_);
  Result<std::vector<bool>> merge_keys_locked(std::span<const std::string> keys,
                                              view::GroupTable& merged) const REQUIRES(mutex_);
  Result<UnitRows> rows_of_keys(std::span<const std::string> keys, const view::GroupTable& merged,
                                const std::vector<bool>& present) const;
  Result<UnitRows> rows_of_each(std::span<const view::GroupTable> groups,
                                std::span<const std::string> keys) const;
  Status usable_locked() const REQUIRES(mutex_);
  Result<std::shared_ptr<ColumnBatch>> rows_of(const view::GroupTable& merged,
                                               std::span<const std::string> keys) const;
  void start_join(std::span<const Position> ends);

  // Constant after construction.
  const catalog::ViewRecord record_;
  const view::CompiledView compiled_;
  const bool native_;
  const std::unique_ptr<ViewJoin> join_;
  const std::vector<sql::ReferenceTable> tables_;

  // A final stage of SQL runs one answer at a time.
  mutable Mutex final_mutex_;
  const std::unique_ptr<view::Finalizer> finalizer_;

  mutable Mutex mutex_;
  Evaluators evaluators_ GUARDED_BY(mutex_);
  ViewPhase phase_ GUARDED_BY(mutex_) = ViewPhase::kBuilding;
  mutable CondVar built_;
  std::optional<Error> error_ GUARDED_BY(mutex_);
  std::optional<Error> run_error_ GUARDED_BY(mutex_);
  catalog::Generation generation_ GUARDED_BY(mutex_);
  std::shared_ptr<const view::StateRun> base_ GUARDED_BY(mutex_);
  std::shared_ptr<const view::GroupTable> frozen_ GUARDED_BY(mutex_);
  std::vector<catalog::Cut> frozen_end_ GUARDED_BY(mutex_);
  std::uint64_t frozen_skipped_ GUARDED_BY(mutex_) = 0;
  view::GroupTable active_ GUARDED_BY(mutex_);
  std::uint64_t active_skipped_ GUARDED_BY(mutex_) = 0;
  std::vector<Position> delta_end_ GUARDED_BY(mutex_);
  std::shared_ptr<ViewWatcher> watcher_ GUARDED_BY(mutex_);
};

}  // namespace millrace::speed
