#include "speed/view_state.h"

#include <algorithm>

#include "runtime/clock.h"

namespace millrace::speed {

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
      active_(compiled_.plan) {
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

void ViewState::roll(std::vector<catalog::Cut> cuts) {
  const MutexLock lock(mutex_);
  auto segment = std::make_shared<view::GroupTable>(std::move(active_));
  active_ = view::GroupTable(compiled_.plan);
  // A frozen segment is left where the batch run before this one did not end well.
  if (frozen_ != nullptr) segment->merge(*frozen_);
  frozen_ = std::move(segment);
  frozen_skipped_ += active_skipped_;
  active_skipped_ = 0;
  frozen_end_ = std::move(cuts);
}

void ViewState::publish(const catalog::Generation& generation,
                        std::shared_ptr<const view::StateRun> base) {
  const MutexLock lock(mutex_);
  MR_CHECK(frozen_ == nullptr || frozen_end_ == generation.cuts,
           "view {}: generation {} is not cut where the delta is", record_.name, generation.number);
  generation_ = generation;
  base_ = std::move(base);
  frozen_.reset();
  frozen_skipped_ = 0;
  if (phase_ == ViewPhase::kBuilding) phase_ = ViewPhase::kLive;
  run_error_.reset();
  built_.notify_all();
  if (watcher_ != nullptr) watcher_->phase_changed();
}

void ViewState::restore(const catalog::Generation& generation,
                        std::shared_ptr<const view::StateRun> base, view::GroupTable delta,
                        std::vector<Position> delta_end, std::uint64_t skipped_rows) {
  const MutexLock lock(mutex_);
  generation_ = generation;
  base_ = std::move(base);
  active_ = std::move(delta);
  active_skipped_ = skipped_rows;
  delta_end_ = std::move(delta_end);
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
  return ViewSnapshot{base_, frozen_, std::make_shared<const view::GroupTable>(active_),
                      coverage_locked()};
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
  return ViewSnapshot{base_, frozen_, std::move(some), coverage_locked()};
}

ViewState::BatchInput ViewState::batch_input() const {
  const MutexLock lock(mutex_);
  return {generation_, base_, frozen_, frozen_skipped_};
}

namespace {

/// Adds the states that the parts of a view have of some keys.
Status merge_parts(std::span<const std::string> keys, const view::StateRun& base,
                   const view::GroupTable* frozen, const view::GroupTable& active,
                   view::GroupTable& merged) {
  std::string state;
  for (const auto& key : keys) {
    if (const auto found = base.find(key)) MR_RETURN_IF_ERROR(merged.merge_state(key, *found));
    state.clear();
    if (frozen != nullptr && frozen->find_state(key, state))
      MR_RETURN_IF_ERROR(merged.merge_state(key, state));
    state.clear();
    if (active.find_state(key, state)) MR_RETURN_IF_ERROR(merged.merge_state(key, state));
  }
  return {};
}

}  // namespace

Result<ViewState::Lookup> ViewState::lookup(std::span<const std::string> keys) const {
  Lookup out;
  view::GroupTable merged(compiled_.plan);
  {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(usable_locked());
    out.coverage = coverage_locked();
    MR_RETURN_IF_ERROR(merge_parts(keys, *base_, frozen_.get(), active_, merged));
  }
  MR_TRY(out.rows, rows_of(merged, keys));
  return out;
}

Result<ViewState::Lookup> ViewState::lookup(const ViewSnapshot& snapshot,
                                            std::span<const std::string> keys) const {
  Lookup out{.rows = nullptr, .coverage = snapshot.coverage};
  view::GroupTable merged(compiled_.plan);
  MR_RETURN_IF_ERROR(
      merge_parts(keys, *snapshot.base, snapshot.frozen.get(), *snapshot.active, merged));
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

Result<std::shared_ptr<ColumnBatch>> ViewState::finalize(const view::GroupTable& merged,
                                                         bool whole) const {
  auto rows = [&] {
    if (compiled_.final_sql.empty()) return finalizer_->rows(merged, whole);
    const MutexLock lock(final_mutex_);
    return finalizer_->rows(merged, whole);
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

Result<Coverage> ViewState::collect(std::string_view prefix, view::GroupTable& merged) const {
  std::shared_ptr<const view::StateRun> base;
  std::shared_ptr<const view::GroupTable> frozen;
  Coverage coverage;
  std::string state;
  Status status;
  const auto add_matching = [&](const view::GroupTable& table) {
    table.for_each_key([&](std::string_view key) {
      if (!status || !key.starts_with(prefix)) return;
      state.clear();
      if (table.find_state(key, state)) status = merged.merge_state(key, state);
    });
  };
  {
    const MutexLock lock(mutex_);
    MR_RETURN_IF_ERROR(usable_locked());
    base = base_;
    frozen = frozen_;
    coverage = coverage_locked();
    add_matching(active_);
  }
  if (frozen != nullptr) add_matching(*frozen);
  MR_RETURN_IF_ERROR(status);
  for (std::size_t i = base->lower_bound(prefix);
       i < base->entries() && base->entry(i).key.starts_with(prefix); ++i) {
    MR_RETURN_IF_ERROR(merged.merge_state(base->entry(i).key, base->entry(i).state));
  }
  return coverage;
}

std::optional<CheckpointDraft> ViewState::checkpoint(CommitNumber commit) const {
  const MutexLock lock(mutex_);
  if (phase_ != ViewPhase::kLive || frozen_ != nullptr || record_.streams.size() != 1)
    return std::nullopt;
  return CheckpointDraft{record_.id, generation_.cuts.front().commit, commit,
                         std::make_shared<const view::GroupTable>(active_), active_skipped_};
}

std::size_t ViewState::delta_bytes() const {
  const MutexLock lock(mutex_);
  return active_.size_bytes() + (frozen_ == nullptr ? 0 : frozen_->size_bytes());
}

std::size_t ViewState::delta_groups() const {
  const MutexLock lock(mutex_);
  return active_.groups() + (frozen_ == nullptr ? 0 : frozen_->groups());
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
