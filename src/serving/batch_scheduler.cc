#include "serving/batch_scheduler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "batch/audit.h"
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
  for (const auto& streams : speed_.connected_streams()) {
    run_streams(streams, summary);
    if (summary.error && summary.error->code == ErrorCode::kCancelled) return;
  }
}

void BatchScheduler::run_streams(speed::Streams streams, BatchRunSummary& summary) {
  const bool due = std::ranges::any_of(streams, [&](const auto& stream) {
    return std::ranges::any_of(stream->views(),
                               [&](const auto& view) { return summary.full || view->is_due(); });
  });
  if (!due) return;
  // What goes wrong with one stream or view stops no other.
  const auto note = [&](Error error) {
    if (!summary.error || error.code == ErrorCode::kCancelled) summary.error = std::move(error);
  };
  // A view that joins streams is cut when the lake has the history that its delta is joined with.
  for (const auto& stream : streams) {
    const auto views = stream->views();
    if (std::ranges::all_of(views, [](const auto& view) { return view->may_roll(); })) continue;
    const auto& definition = stream->definition();
    if (auto there =
            lake_writer_.wait_for(definition.id, stream->cut_edge().commit, progress_.cancel);
        !there) {
      note(std::move(there).error().within("stream {}", definition.name));
      return;
    }
  }
  const auto rolled = speed::cut_and_roll(streams, summary.full);
  if (rolled.wait) request(summary.full, summary.reason);
  std::vector<StreamId> behind;
  for (const auto& stream : streams) {
    const auto& definition = stream->definition();
    auto there = lake_writer_.wait_for(definition.id, rolled.edges.at(definition.id).commit,
                                       progress_.cancel);
    if (there) continue;
    behind.push_back(definition.id);
    note(std::move(there).error().within("stream {}", definition.name));
    if (summary.error->code == ErrorCode::kCancelled) return;
  }
  for (const auto& view : rolled.views) {
    const auto& reads = view->record().streams;
    if (view->phase() == speed::ViewPhase::kFailed ||
        std::ranges::find_first_of(reads, behind) != reads.end()) {
      continue;
    }
    auto status = run_view(streams, rolled, view, summary);
    if (status) continue;
    if (status.error().code != ErrorCode::kCancelled) view->note_run(status.error());
    note(std::move(status).error().within("view {}", view->record().name));
    if (summary.error->code == ErrorCode::kCancelled) return;
  }
  for (const auto& stream : streams) stream->want_checkpoint();
}

GenerationNumber BatchScheduler::next_number(ViewId view, GenerationNumber last) const {
  // The catalog may have newer ones than the view started from: those whose files were found
  // damaged.
  for (const auto& other : catalog_.generations(view)) last = std::max(last, other.number);
  return GenerationNumber(last.value + 1);
}

/// The generation's states, into its file: from the one before, or, where it is to be full, from
/// the lake alone.
Status BatchScheduler::compute(speed::Streams streams,
                               const std::shared_ptr<speed::ViewState>& view,
                               const speed::ViewState::BatchInput& before,
                               catalog::Generation& generation,
                               std::shared_ptr<const view::StateRun>& run) {
  batch::BatchInput input{.view = &view->compiled(),
                          .streams = {},
                          .base = generation.full ? nullptr : before.base,
                          .tables = view->tables(),
                          .scratch = &state_files_,
                          .table_bytes_max = options_.table_bytes_max};
  std::map<StreamId, std::vector<view::FailedRow>> failures;
  const auto keep_failures = [&](StreamId stream) -> Status {
    return lake_writer_.keep_failures(
        stream, {view->record().id, view->record().name, std::exchange(failures[stream], {})},
        progress_.cancel);
  };
  input.failed = [&](StreamId stream, view::FailedRow row) -> Status {
    auto& rows = failures[stream];
    rows.push_back(std::move(row));
    return rows.size() < kFailuresAtOnce ? Status() : keep_failures(stream);
  };
  for (std::size_t i = 0; i < generation.cuts.size(); ++i) {
    const auto stream = std::ranges::find(streams, view->record().streams[i],
                                          [](const auto& one) { return one->definition().id; });
    input.streams.push_back(
        {.stream = &(*stream)->definition(),
         .after = generation.full ? CommitNumber(0) : before.generation.cuts[i].commit,
         .upto = generation.cuts[i].commit});
  }
  const std::string name = batch::StateFiles::generation_name(generation.view, generation.number);
  MR_TRY(auto output, batch::run_batch_job(database_, lake_, state_files_, name, input, progress_));
  // Before the generation is recorded, which counts them as skipped and is never looked at again.
  for (const auto& [stream, rows] : failures) {
    if (rows.empty()) continue;
    if (auto kept = keep_failures(stream); !kept) {
      state_files_.remove({name});
      return kept;
    }
  }
  generation.file = std::move(output.generation.record);
  generation.skipped_rows =
      output.skipped_rows + (generation.full ? 0 : before.generation.skipped_rows);
  run = std::move(output.generation.run);
  return {};
}

/// Against what the speed layer answered at the generation's cut.
Status BatchScheduler::audit(const speed::ViewState& view,
                             const std::shared_ptr<const view::StateRun>& run,
                             catalog::Generation& generation) {
  // Of now: a frozen segment may have been spilled since the run began.
  auto now = view.batch_input();
  if (!now.frozen) return {};
  auto states = std::move(*now.frozen);
  states.runs.push_back(now.base);
  MR_TRY(auto drift, batch::audit(view.compiled(), states, run));
  generation.drift_rows = drift.rows;
  for (const auto& row : drift.first) {
    spdlog::error("audit: view {} generation {}: {}: the batch layer has {}; the speed layer {}",
                  view.record().name, generation.number, row.key.empty() ? "the row" : row.key,
                  row.batch, row.speed);
  }
  generation.drift = std::move(drift.first);
  return {};
}

Status BatchScheduler::run_view(speed::Streams streams, const speed::Rolled& rolled,
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
  auto before = view->batch_input();
  // Not held while the run goes on: it may have to leave the memory.
  before.frozen.reset();
  catalog::Generation generation;
  generation.view = view->record().id;
  generation.cuts = rolled.cuts_of(*view);
  for (const auto& cut : generation.cuts) generation.events += cut.end.events();
  generation.number = next_number(generation.view, before.generation.number);
  generation.full = summary.full || before.base == nullptr;
  std::shared_ptr<const view::StateRun> run;
  auto computed = compute(streams, view, before, generation, run);
  if (!computed && computed.error().code == ErrorCode::kDataLoss && !generation.full) {
    // The generation before may be what is damaged; the lake has all that it was made of.
    spdlog::error("view {}: {}; it is computed again from the lake", view->record().name,
                  computed.error().message);
    generation.full = true;
    computed = compute(streams, view, before, generation, run);
  }
  MR_RETURN_IF_ERROR(computed);
  if (before.base != nullptr) {
    // What of the speed layer's states is on disk may be damaged too: then nothing can be said.
    if (auto audited = audit(*view, run, generation); !audited) {
      spdlog::error("audit: view {} generation {}: {}", view->record().name, generation.number,
                    audited.error().message);
    }
  }
  generation.created_us = runtime::wall_us();
  generation.duration_us = runtime::monotonic_us() - started;
  auto garbage = catalog_.add_generation(generation, options_.generations_kept);
  if (!garbage) {
    state_files_.remove({generation.file.name});
    if (garbage.error().code == ErrorCode::kNotFound) return {};  // dropped meanwhile
    return std::unexpected(std::move(garbage).error());
  }
  view->publish(generation, std::move(run));
  state_files_.remove(*garbage);
  if (on_published_) on_published_(view);
  ++summary.generations;
  summary.drift_rows += generation.drift_rows;
  const MutexLock lock(mutex_);
  state_.current.generations = summary.generations;
  return {};
}

}  // namespace millrace::serving
