#include "serving/batch_scheduler.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "runtime/clock.h"
#include "runtime/thread_priority.h"

namespace millrace::serving {

namespace {
constexpr std::size_t kRunsShown = 20;
constexpr std::size_t kFailuresAtOnce = 1000;
}  // namespace

BatchScheduler::BatchScheduler(sql::Database& database, lake::Lake& lake, catalog::Catalog& catalog,
                               batch::StateFiles& state_files, speed::SpeedLayer& speed,
                               ingest::LakeWriter& lake_writer, BatchOptions options)
    : database_(database),
      lake_(lake),
      catalog_(catalog),
      state_files_(state_files),
      speed_(speed),
      lake_writer_(lake_writer),
      options_(options) {}

BatchScheduler::~BatchScheduler() { stop(); }

void BatchScheduler::start() {
  thread_ = std::thread([this] { loop(); });
}

void BatchScheduler::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    progress_.cancel = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::uint64_t BatchScheduler::request(bool full, std::string reason) {
  const MutexLock lock(mutex_);
  if (!requested_) {
    requested_.emplace();
    requested_->run = next_run_++;
    requested_->reason = std::move(reason);
  }
  requested_->full = requested_->full || full;
  changed_.notify_all();
  return requested_->run;
}

void BatchScheduler::cancel() {
  const MutexLock lock(mutex_);
  if (state_.running) progress_.cancel = true;
}

BatchState BatchScheduler::state() const {
  const MutexLock lock(mutex_);
  BatchState out = state_;
  out.pending = requested_.has_value();
  out.rows_total = progress_.rows_total;
  out.rows_done = progress_.rows_done;
  return out;
}

double BatchScheduler::built(ViewId view) const {
  const MutexLock lock(mutex_);
  const auto total = static_cast<double>(progress_.rows_total);
  if (state_.view_id != view || total == 0) return 0;
  return std::min(1.0, static_cast<double>(progress_.rows_done) / total);
}

void BatchScheduler::loop() {
  runtime::lower_thread_priority("batch");
  std::int64_t last_scheduled = runtime::monotonic_us();
  const auto interval_us = static_cast<std::int64_t>(options_.interval_ms * 1000);
  // After a failure the next run of our own is put off, so that a broken file does not keep all
  // cores busy.
  std::int64_t not_before = 0;
  for (;;) {
    BatchRunSummary summary;
    {
      const MutexLock lock(mutex_);
      if (!requested_ && !stopping_)
        changed_.wait_for(
            mutex_, std::chrono::milliseconds(std::min<std::uint64_t>(options_.interval_ms, 100)));
      if (stopping_) return;
      const std::int64_t now = runtime::monotonic_us();
      if (!requested_ && now >= not_before) {
        const char* reason = nullptr;
        if (speed_.delta_bytes() > options_.delta_bytes_max)
          reason = "memory";
        else if (now - last_scheduled >= interval_us)
          reason = "schedule";
        if (reason != nullptr) {
          requested_.emplace();
          requested_->run = next_run_++;
          requested_->reason = reason;
        }
      }
      if (!requested_) continue;
      summary = std::move(*requested_);
      requested_.reset();
      summary.started_us = runtime::wall_us();
      state_.running = true;
      state_.current = summary;
      progress_.cancel = false;
    }
    const std::int64_t started = runtime::monotonic_us();
    last_scheduled = started;
    run(summary);
    summary.duration_us = runtime::monotonic_us() - started;
    if (summary.error) {
      not_before = runtime::monotonic_us() + 5'000'000;
      if (summary.error->code != ErrorCode::kCancelled) {
        spdlog::error("batch run {} ({}): {}", summary.run, summary.reason, summary.error->message);
      }
    }
    const MutexLock lock(mutex_);
    state_.running = false;
    state_.view.clear();
    state_.view_id = {};
    ++state_.runs;
    if (summary.error) ++state_.failures;
    state_.drift_rows += summary.drift_rows;
    state_.last.insert(state_.last.begin(), std::move(summary));
    if (state_.last.size() > kRunsShown) state_.last.pop_back();
    changed_.notify_all();
  }
}

void BatchScheduler::run(BatchRunSummary& summary) {
  for (const auto& stream : speed_.streams()) {
    auto status = run_stream(stream, summary);
    if (!status) {
      // The other streams' views do not wait for this one's.
      if (!summary.error)
        summary.error = std::move(status).error().within("stream {}", stream->definition().name);
      if (summary.error->code == ErrorCode::kCancelled) return;
    }
  }
}

Status BatchScheduler::run_stream(const std::shared_ptr<speed::StreamState>& stream,
                                  BatchRunSummary& summary) {
  const Position applied = stream->applied();
  const auto views = stream->views();
  const bool due = std::ranges::any_of(views, [&](const auto& view) {
    return summary.full || view->phase() == speed::ViewPhase::kBuilding ||
           !(view->coverage().cut == applied);
  });
  if (!due) return {};
  const auto rolled = stream->cut_edge_and_roll();
  MR_RETURN_IF_ERROR(
      lake_writer_.wait_for(stream->definition().id, rolled.edge.commit, progress_.cancel));
  Status first;
  for (const auto& view : rolled.views) {
    if (view->phase() == speed::ViewPhase::kFailed) continue;
    auto status = run_view(stream->definition(), rolled.edge, view, summary);
    if (!status && status.error().code == ErrorCode::kCancelled) return status;
    if (!status) view->note_run(status.error());
    if (!status && first)
      first = std::unexpected(std::move(status).error().within("view {}", view->record().name));
  }
  stream->want_checkpoint();
  return first;
}

Status BatchScheduler::run_view(const StreamDefinition& stream,
                                const speed::StreamState::EdgePoint& edge,
                                const std::shared_ptr<speed::ViewState>& view,
                                BatchRunSummary& summary) {
  const std::int64_t started = runtime::monotonic_us();
  {
    const MutexLock lock(mutex_);
    state_.view = view->record().name;
    state_.view_id = view->record().id;
    progress_.rows_done = 0;
    progress_.rows_total = 0;
    state_.view_started_us = runtime::wall_us();
  }
  const auto before = view->batch_input();
  const bool full = summary.full || before.base == nullptr;
  batch::BatchInput input{.view = &view->compiled(),
                          .stream = &stream,
                          .after = full ? CommitNumber(0) : before.generation.cut_commit,
                          .upto = edge.commit,
                          .base = full ? nullptr : before.base,
                          .tables = view->tables()};
  speed::ViewFailures failures{view->record().id, view->record().name, {}};
  const auto keep_failures = [&]() -> Status {
    if (failures.rows.empty()) return {};
    return lake_writer_.keep_failures(
        stream.id, {failures.view, failures.name, std::exchange(failures.rows, {})},
        progress_.cancel);
  };
  input.failed = [&](view::FailedRow row) -> Status {
    failures.rows.push_back(std::move(row));
    return failures.rows.size() < kFailuresAtOnce ? Status() : keep_failures();
  };
  MR_TRY(const auto output, batch::run_batch_job(database_, lake_, input, progress_));
  // Before the generation, which counts them as skipped and is never looked at again.
  MR_RETURN_IF_ERROR(keep_failures());

  catalog::Generation generation;
  generation.view = view->record().id;
  // The catalog may have newer ones than the view started from: those whose files were found
  // damaged.
  generation.number = before.generation.number;
  for (const auto& other : catalog_.generations(view->record().id)) {
    generation.number = std::max(generation.number, other.number);
  }
  ++generation.number.value;
  generation.cut_commit = edge.commit;
  generation.cut = edge.end;
  generation.events = edge.end.events();
  generation.full = full;
  generation.skipped_rows = output.skipped_rows + (full ? 0 : before.generation.skipped_rows);
  if (before.base != nullptr && before.frozen != nullptr) {
    MR_TRY(const auto drift,
           batch::audit(view->compiled().plan, *before.base, *before.frozen, *output.run));
    generation.drift_rows = drift.rows;
    if (drift.rows != 0) {
      spdlog::error(
          "audit: view {} at commit {}: {} groups differ between batch and speed layer, the first "
          "has key {}",
          view->record().name, edge.commit, drift.rows, fmt::join(drift.first_key, " "));
    }
  }
  const std::string name = batch::StateFiles::generation_name(generation.view, generation.number);
  MR_TRY(generation.file, state_files_.write(name, output.run_bytes, output.run->entries()));
  generation.created_us = runtime::wall_us();
  generation.duration_us = runtime::monotonic_us() - started;
  auto garbage = catalog_.add_generation(generation, options_.generations_kept);
  if (!garbage) {
    state_files_.remove({name});
    if (garbage.error().code == ErrorCode::kNotFound) return {};  // dropped meanwhile
    return std::unexpected(std::move(garbage).error());
  }
  view->publish(generation, output.run);
  state_files_.remove(*garbage);
  if (on_published_) on_published_(view);
  ++summary.generations;
  summary.drift_rows += generation.drift_rows;
  const MutexLock lock(mutex_);
  state_.current.generations = summary.generations;
  return {};
}

}  // namespace millrace::serving
