#include "speed/view_state.h"

#include <algorithm>
#include <utility>

#include "runtime/clock.h"

namespace millrace::speed {

namespace {
/// Tables of a frozen segment that is left by failed runs, before they are merged into one.
constexpr std::size_t kTablesMax = 8;

/// Runs of a segment, before the next table that is spilled takes them with it into one run.
constexpr std::size_t kRunsMax = 16;

bool has_table(const view::GroupParts& parts,
               const std::shared_ptr<const view::GroupTable>& table) {
  return std::ranges::find(parts.tables, table) != parts.tables.end();
}

/// One run instead of the parts that it was made of. False where they are not in `parts` any more.
bool put_in_place(view::GroupParts& parts, const view::GroupParts& of,
                  const std::shared_ptr<const view::StateRun>& run) {
  const auto is_of = [&](const auto& one) {
    return std::ranges::find(of.runs, one) != of.runs.end();
  };
  if (!has_table(parts, of.tables.front())) return false;
  if (static_cast<std::size_t>(std::ranges::count_if(parts.runs, is_of)) != of.runs.size())
    return false;
  std::erase(parts.tables, of.tables.front());
  std::erase_if(parts.runs, is_of);
  parts.runs.push_back(run);
  return true;
}

}  // namespace

std::string_view name(ViewPhase phase) {
  switch (phase) {
    case ViewPhase::kBuilding:
      return "building";
    case ViewPhase::kLive:
      return "live";
    case ViewPhase::kFailed:
      return "failed";
  }
  return "failed";
}

std::uint64_t Coverage::cut_events() const {
  std::uint64_t sum = 0;
  for (const auto& stream : streams) sum += stream.cut.events();
  return sum;
}

std::uint64_t Coverage::events() const {
  std::uint64_t sum = 0;
  for (const auto& stream : streams) sum += stream.delta_end.events();
  return sum;
}

ViewState::ViewState(catalog::ViewRecord record, view::CompiledView compiled,
                     std::vector<std::unique_ptr<view::Evaluator>> evaluators,
                     std::unique_ptr<view::Finalizer> finalizer,
                     std::vector<sql::ReferenceTable> tables, std::unique_ptr<ViewJoin> join)
    : record_(std::move(record)),
      compiled_(std::move(compiled)),
      native_(join == nullptr &&
              std::ranges::all_of(evaluators, [](const auto& one) { return one->is_native(); })),
      join_(std::move(join)),
      tables_(std::move(tables)),
      finalizer_(std::move(finalizer)),
      evaluators_(std::move(evaluators)),
      active_(compiled_.plan),
      parts_(std::make_shared<const view::GroupParts>()) {
  MR_CHECK(evaluators_.size() == compiled_.inputs.size(), "view {}: {} evaluators for {} inputs",
           record_.name, evaluators_.size(), compiled_.inputs.size());
  generation_.view = record_.id;
  generation_.cuts.resize(record_.streams.size());
  delta_end_.resize(record_.streams.size());
}

void ViewState::replace_stages(const StreamDefinition& stream, Stages stages) {
  if (join_ != nullptr) join_->redefine(stream, std::move(stages.join));
  const MutexLock lock(mutex_);
  MR_CHECK(stages.evaluators.size() == evaluators_.size(), "view {}: {} evaluators for {} inputs",
           record_.name, stages.evaluators.size(), evaluators_.size());
  evaluators_ = std::move(stages.evaluators);
}

std::vector<view::FailedRow> ViewState::apply(StreamId stream, std::span<const StreamBatch> batches,
                                              const Position& end) {
  const auto place = std::ranges::find(record_.streams, stream);
  MR_CHECK(place != record_.streams.end(), "view {} does not read stream {}", record_.name, stream);
  std::vector<view::FailedRow> failed;
  const auto note = [&](view::FailedRow row) { failed.push_back(std::move(row)); };
  // A join may have to read the lake: readers do not wait for that.
  std::optional<view::GroupTable> pairs;
  std::uint64_t skipped = 0;
  Status status;
  if (join_ != nullptr && phase() != ViewPhase::kFailed) {
    pairs.emplace(compiled_.plan);
    status = join_->apply(stream, batches, end, *pairs, skipped, note);
  }
  const MutexLock lock(mutex_);
  delta_end_[static_cast<std::size_t>(place - record_.streams.begin())] = end;
  if (phase_ == ViewPhase::kFailed) return failed;
  if (pairs) {
    if (status) {
      active_.merge(*pairs);
      active_skipped_ += skipped;
      if (watcher_ != nullptr) watcher_->touched(*pairs, delta_end_);
    }
  } else if (watcher_ == nullptr) {
    status = evaluate_locked(stream, batches, active_, failed);
  } else {
    // Merging is exact, so a table of its own for these events changes no bit, and its keys are
    // those that they touch.
    view::GroupTable changed(compiled_.plan);
    status = evaluate_locked(stream, batches, changed, failed);
    active_.merge(changed);
    watcher_->touched(changed, delta_end_);
  }
  if (!status) {
    // Not one row's fault: without these events the view would be wrong, so it answers the error
    // instead.
    phase_ = ViewPhase::kFailed;
    error_ = std::move(status).error().within("view {}", record_.name);
    built_.notify_all();
    if (watcher_ != nullptr) watcher_->phase_changed();
  }
  return failed;
}

Status ViewState::evaluate_locked(StreamId stream, std::span<const StreamBatch> batches,
                                  view::GroupTable& groups, std::vector<view::FailedRow>& failed) {
  for (std::size_t i = 0; i < evaluators_.size(); ++i) {
    if (compiled_.inputs[i].stream != stream) continue;
    MR_RETURN_IF_ERROR(
        evaluators_[i]->run(batches, groups, active_skipped_,
                            [&](view::FailedRow row) { failed.push_back(std::move(row)); }));
  }
  return {};
}

void ViewState::watch(std::shared_ptr<ViewWatcher> watcher) {
  const MutexLock lock(mutex_);
  watcher_ = std::move(watcher);
  if (watcher_ != nullptr) watcher_->touched(view::GroupTable(compiled_.plan), delta_end_);
}

void ViewState::settle_locked() {
  view::GroupParts all;
  if (base_ != nullptr) all.runs.push_back(base_);
  if (frozen_) all.add(*frozen_);
  all.add(active_parts_);
  parts_ = std::make_shared<const view::GroupParts>(std::move(all));
}

void ViewState::roll(std::vector<catalog::Cut> cuts) {
  const MutexLock lock(mutex_);
  view::GroupParts segment = std::exchange(active_parts_, {});
  if (active_.groups() != 0)
    segment.tables.push_back(std::make_shared<const view::GroupTable>(std::move(active_)));
  active_ = view::GroupTable(compiled_.plan);
  // A frozen segment is left where the batch run before this one did not end well.
  if (frozen_) segment.add(*std::move(frozen_));
  if (segment.tables.size() > kTablesMax) {
    view::GroupTable merged = *segment.tables.front();
    for (const auto& table : std::span(segment.tables).subspan(1)) merged.merge(*table);
    segment.tables = {std::make_shared<const view::GroupTable>(std::move(merged))};
  }
  frozen_ = std::move(segment);
  frozen_skipped_ += active_skipped_;
  active_skipped_ = 0;
  frozen_end_ = std::move(cuts);
  settle_locked();
}

void ViewState::publish(const catalog::Generation& generation,
                        std::shared_ptr<const view::StateRun> base) {
  // What goes is destroyed after the lock: large tables, and files.
  std::shared_ptr<const view::GroupParts> before;
  std::optional<view::GroupParts> covered;
  const MutexLock lock(mutex_);
  MR_CHECK(!frozen_ || frozen_end_ == generation.cuts,
           "view {}: generation {} is not cut where the delta is", record_.name, generation.number);
  generation_ = generation;
  before = parts_;
  covered = std::exchange(frozen_, std::nullopt);
  base_ = std::move(base);
  frozen_skipped_ = 0;
  settle_locked();
  if (phase_ == ViewPhase::kBuilding) phase_ = ViewPhase::kLive;
  run_error_.reset();
  built_.notify_all();
  if (watcher_ != nullptr) watcher_->phase_changed();
}

void ViewState::restore(const catalog::Generation& generation,
                        std::shared_ptr<const view::StateRun> base, view::GroupParts delta,
                        std::vector<Position> delta_end, std::uint64_t skipped_rows) {
  const MutexLock lock(mutex_);
  generation_ = generation;
  base_ = std::move(base);
  // Tables become the one that events go into.
  for (const auto& table : std::exchange(delta.tables, {})) active_.merge(*table);
  active_parts_ = std::move(delta);
  active_skipped_ = skipped_rows;
  delta_end_ = std::move(delta_end);
  settle_locked();
  start_join(delta_end_);
  phase_ = ViewPhase::kLive;
}

void ViewState::start_building(std::vector<Position> start, GenerationNumber last) {
  const MutexLock lock(mutex_);
  generation_.number = last;
  delta_end_ = std::move(start);
  start_join(delta_end_);
  phase_ = ViewPhase::kBuilding;
}

void ViewState::start_join(std::span<const Position> ends) {
  if (join_ == nullptr) return;
  for (std::size_t i = 0; i < ends.size(); ++i) join_->start(record_.streams[i], ends[i]);
}

bool ViewState::may_roll() const {
  return join_ == nullptr || phase() != ViewPhase::kBuilding || join_->has_history();
}

void ViewState::fail(Error error) {
  const MutexLock lock(mutex_);
  phase_ = ViewPhase::kFailed;
  error_ = std::move(error);
  built_.notify_all();
  if (watcher_ != nullptr) watcher_->phase_changed();
}

void ViewState::note_run(std::optional<Error> error) {
  const MutexLock lock(mutex_);
  run_error_ = std::move(error);
}

std::optional<Error> ViewState::trouble() const {
  const MutexLock lock(mutex_);
  return phase_ == ViewPhase::kFailed ? error_ : run_error_;
}

void ViewState::wait_while_building(std::uint64_t timeout_ms) const {
  const std::int64_t end = runtime::monotonic_us() + static_cast<std::int64_t>(timeout_ms) * 1000;
  const MutexLock lock(mutex_);
  while (phase_ == ViewPhase::kBuilding) {
    const std::int64_t left_us = end - runtime::monotonic_us();
    if (left_us <= 0) return;
    built_.wait_for(mutex_, std::chrono::microseconds(left_us));
  }
}

bool ViewState::is_due() const { return phase() == ViewPhase::kBuilding || delta_events() != 0; }

ViewPhase ViewState::phase() const {
  const MutexLock lock(mutex_);
  return phase_;
}

Coverage ViewState::coverage_locked() const {
  Coverage out{.generation = generation_.number,
               .streams = {},
               .skipped_rows = generation_.skipped_rows + frozen_skipped_ + active_skipped_};
  out.streams.reserve(delta_end_.size());
  for (std::size_t i = 0; i < delta_end_.size(); ++i) {
    const auto& cut = generation_.cuts[i];
    out.streams.push_back({.cut_commit = cut.commit, .cut = cut.end, .delta_end = delta_end_[i]});
  }
  return out;
}

Coverage ViewState::coverage() const {
  const MutexLock lock(mutex_);
  return coverage_locked();
}

Status ViewState::usable_locked() const {
  if (phase_ == ViewPhase::kLive) return {};
  if (phase_ == ViewPhase::kFailed) return std::unexpected(*error_);
  return std::unexpected(Error{
      .code = ErrorCode::kUnavailable,
      .id = std::string(error_id::kViewBuilding),
      .message = fmt::format("view {} is being built from the stream's history", record_.name),
      .hint = "ask again in a moment; GET /v1/batch shows the progress",
      .place = {}});
}

Result<ViewSnapshot> ViewState::snapshot() const {
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(usable_locked());
  ViewSnapshot out{*parts_, coverage_locked()};
  if (active_.groups() != 0)
    out.parts.tables.push_back(std::make_shared<const view::GroupTable>(active_));
  return out;
}

Result<ViewSnapshot> ViewState::snapshot(const view::KeyRanges& ranges) const {
  if (ranges.is_all()) return snapshot();
  auto some = std::make_shared<view::GroupTable>(compiled_.plan);
  std::string state;
  Status status;
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(usable_locked());
  const view::GroupTable* const active = &active_;
  const auto take = [&](std::string_view key) {
    state.clear();
    if (status && active->find_state(key, state)) status = some->merge_state(key, state);
  };
  if (ranges.are_points()) {
    for (const auto& range : ranges.ranges()) take(range.begin);
  } else {
    active->for_each_key([&](std::string_view key) {
      if (ranges.contains(key)) take(key);
    });
  }
  MR_RETURN_IF_ERROR(status);
  ViewSnapshot out{*parts_, coverage_locked()};
  if (some->groups() != 0) out.parts.tables.push_back(std::move(some));
  return out;
}

ViewState::BatchInput ViewState::batch_input() const {
  const MutexLock lock(mutex_);
  return {generation_, base_, frozen_, frozen_skipped_};
}

Result<ViewState::Lookup> ViewState::lookup(std::span<const std::string> keys) const {
  Lookup out;
  view::GroupTable merged(compiled_.plan);
  std::shared_ptr<const view::GroupParts> parts;
  std::vector<bool> present(keys.size(), false);
  {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(usable_locked());
    out.coverage = coverage_locked();
    parts = parts_;
    MR_RETURN_IF_ERROR(merge_active_locked(keys, merged, present));
  }
  for (const auto& key : keys) {
    MR_TRY(const bool found, parts->add_to(key, merged));
    static_cast<void>(found);
  }
  MR_TRY(out.rows, rows_of(merged, keys));
  return out;
}

bool ViewState::is_cached(std::span<const std::string> keys) const {
  std::shared_ptr<const view::GroupParts> parts;
  {
    const MutexLock lock(mutex_);
    parts = parts_;
  }
  return parts->is_cached(keys);
}

Result<ViewState::Lookup> ViewState::lookup(const ViewSnapshot& snapshot,
                                            std::span<const std::string> keys) const {
  Lookup out{.rows = nullptr, .coverage = snapshot.coverage};
  view::GroupTable merged(compiled_.plan);
  for (const auto& key : keys) {
    MR_TRY(const bool found, snapshot.parts.add_to(key, merged));
    static_cast<void>(found);
  }
  MR_TRY(out.rows, rows_of(merged, keys));
  return out;
}

Result<std::shared_ptr<ColumnBatch>> ViewState::rows_of(const view::GroupTable& merged,
                                                        std::span<const std::string> keys) const {
  auto rows = [&] {
    if (compiled_.final_sql.empty()) return finalizer_->rows_of(merged, keys);
    const MutexLock lock(final_mutex_);
    return finalizer_->rows_of(merged, keys);
  }();
  if (!rows) return std::unexpected(std::move(rows).error().within("view {}", record_.name));
  return rows;
}

Result<std::shared_ptr<ColumnBatch>> ViewState::finish(std::shared_ptr<ColumnBatch> groups) const {
  if (compiled_.final_sql.empty()) return groups;
  auto rows = [&] {
    const MutexLock lock(final_mutex_);
    return finalizer_->finish(std::move(groups));
  }();
  if (!rows) return std::unexpected(std::move(rows).error().within("view {}", record_.name));
  return rows;
}

std::optional<CheckpointDraft> ViewState::checkpoint(CommitNumber commit) const {
  const MutexLock lock(mutex_);
  if (phase_ != ViewPhase::kLive || frozen_ || record_.streams.size() != 1) return std::nullopt;
  CheckpointDraft out{record_.id, generation_.cuts.front().commit, commit, active_parts_,
                      active_skipped_};
  out.states.tables.push_back(std::make_shared<const view::GroupTable>(active_));
  return out;
}

view::GroupParts ViewState::choose_spill_locked() {
  std::shared_ptr<const view::GroupTable> table;
  const auto take_largest = [&](const view::GroupParts& parts) {
    for (const auto& one : parts.tables) {
      if (table == nullptr || one->size_bytes() > table->size_bytes()) table = one;
    }
  };
  take_largest(active_parts_);
  if (frozen_) take_largest(*frozen_);
  if (active_.groups() != 0 && (table == nullptr || active_.size_bytes() > table->size_bytes())) {
    table = std::make_shared<const view::GroupTable>(
        std::exchange(active_, view::GroupTable(compiled_.plan)));
    active_parts_.tables.push_back(table);
    settle_locked();
  }
  view::GroupParts out;
  if (table == nullptr) return out;
  const auto& segment = has_table(active_parts_, table) ? active_parts_ : *frozen_;
  if (segment.runs.size() >= kRunsMax) out.runs = segment.runs;
  out.tables.push_back(std::move(table));
  return out;
}

Result<bool> ViewState::spill(view::RunScratch& scratch) {
  view::GroupParts chosen;
  {
    const MutexLock lock(mutex_);
    chosen = choose_spill_locked();
  }
  if (chosen.empty()) return false;
  MR_TRY(const auto run,
         scratch.spill(compiled_.fingerprint, [&](view::StateRunWriter& writer) -> Status {
           MR_TRY(const auto groups, chosen.cursor(compiled_.plan, false));
           return view::write_all(*groups, writer);
         }));
  std::shared_ptr<const view::GroupParts> before;  // destroyed after the lock
  const MutexLock lock(mutex_);
  // A roll may have frozen or merged them, a new generation may cover them: then the run is not
  // needed.
  bool replaced = put_in_place(active_parts_, chosen, run);
  if (frozen_) replaced = put_in_place(*frozen_, chosen, run) || replaced;
  if (replaced) {
    before = parts_;
    settle_locked();
  }
  return true;
}

std::size_t ViewState::delta_bytes() const {
  const MutexLock lock(mutex_);
  return (active_.groups() == 0 ? 0 : active_.size_bytes()) + parts_->table_bytes();
}

std::size_t ViewState::delta_groups() const {
  const MutexLock lock(mutex_);
  return active_.groups() + parts_->groups() - (base_ == nullptr ? 0 : base_->entries());
}

std::size_t ViewState::base_groups() const {
  const MutexLock lock(mutex_);
  return base_ == nullptr ? 0 : base_->entries();
}

std::uint64_t ViewState::delta_events() const {
  const MutexLock lock(mutex_);
  const auto coverage = coverage_locked();
  return coverage.events() - coverage.cut_events();
}

}  // namespace millrace::speed
