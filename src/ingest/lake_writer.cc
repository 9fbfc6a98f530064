#include "ingest/lake_writer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "runtime/clock.h"
#include "runtime/thread_priority.h"

namespace millrace::ingest {

LakeWriter::LakeWriter(log::CommitLog& log, speed::SpeedLayer& speed, Ingest& ingest,
                       lake::Lake& lake, catalog::Catalog& catalog, batch::StateFiles& state_files,
                       LakeWriterOptions options)
    : log_(log),
      speed_(speed),
      ingest_(ingest),
      lake_(lake),
      catalog_(catalog),
      state_files_(state_files),
      options_(options) {}

LakeWriter::~LakeWriter() { stop(); }

void LakeWriter::start() {
  thread_ = std::thread([this] { loop(); });
}

void LakeWriter::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    committed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Status LakeWriter::wait_for(StreamId stream, CommitNumber commit, const std::atomic<bool>& cancel) {
  const MutexLock lock(mutex_);
  failures_.erase(stream);
  for (;;) {
    if (lake_.snapshot(stream)->last() >= commit) return {};
    if (stopping_ || cancel)
      return fail(ErrorCode::kCancelled, error_id::kStopping, "the server is stopping");
    if (const auto failure = failures_.find(stream); failure != failures_.end()) {
      return std::unexpected(failure->second);
    }
    asked_ = true;
    wake_.notify_all();
    committed_.wait_for(mutex_, std::chrono::milliseconds(200));
  }
}

Status LakeWriter::keep_failures(StreamId stream, speed::ViewFailures failures,
                                 const std::atomic<bool>& cancel) {
  std::vector<speed::ViewFailures> all;
  all.push_back(std::move(failures));
  ingest_.report(speed_.stream(stream), std::move(all));
  return ingest_.wait_for_failures(stream, [&] { return cancel.load(); });
}

Status LakeWriter::change_stream(const std::shared_ptr<speed::StreamState>& stream,
                                 const std::function<Status()>& change,
                                 const std::atomic<bool>& cancel) {
  const StreamId id = stream->definition().id;
  // Most of the tail goes while requests still come in.
  MR_RETURN_IF_ERROR(wait_for(id, stream->cut_edge().commit, cancel));
  MR_RETURN_IF_ERROR(ingest_.close_gate(id, [&] { return cancel.load(); }));
  auto status = wait_for(id, stream->cut_edge().commit, cancel);
  // The lake has it a moment before the tail lets it go.
  while (status && stream->tail_rows() != 0) {
    const MutexLock lock(mutex_);
    committed_.wait_for(mutex_, std::chrono::milliseconds(1));
  }
  if (status) status = change();
  ingest_.open_gate(id);
  return status;
}

void LakeWriter::loop() {
  runtime::lower_thread_priority("lake");
  const auto interval_us = static_cast<std::int64_t>(options_.commit_interval_ms * 1000);
  std::int64_t pause_ms = 0;
  for (;;) {
    bool any = false;
    {
      const MutexLock lock(mutex_);
      if (stopping_) return;
      const std::int64_t wait_ms =
          std::max<std::int64_t>(pause_ms, std::clamp<std::int64_t>(interval_us / 8000, 5, 200));
      if (!asked_ || pause_ms != 0) wake_.wait_for(mutex_, std::chrono::milliseconds(wait_ms));
      if (stopping_) return;
      asked_ = false;
      any = std::exchange(trim_asked_, false);
    }
    bool failed = false;
    for (const auto& stream : speed_.streams()) {
      if (stream->unedged_age_us(runtime::monotonic_us()) >= interval_us) stream->cut_edge();
      while (auto pending = stream->next_pending()) {
        {
          const MutexLock lock(mutex_);
          if (stopping_) return;
        }
        auto made = make_commit(*stream, *pending);
        if (!made && made.error().code == ErrorCode::kCancelled) return;
        if (!made) {
          counters_.failures.fetch_add(1, std::memory_order_relaxed);
          spdlog::error("lake commit {} of stream {}: {}", pending->edge.commit,
                        stream->definition().name, made.error().message);
          const MutexLock lock(mutex_);
          failures_.insert_or_assign(stream->definition().id, std::move(made).error());
          committed_.notify_all();
          failed = true;
          break;
        }
        any = true;
        const MutexLock lock(mutex_);
        committed_.notify_all();
      }
    }
    if (ingest_.is_save_of_requests_due()) {
      auto saved = ingest_.save_requests();
      if (!saved) spdlog::error("requests by Idempotency-Key: {}", saved.error().message);
      failed = failed || !saved;
      any = any || saved;
    }
    if (any) trim_log();
    pause_ms = failed ? std::clamp<std::int64_t>(pause_ms * 2, 100, 10'000) : 0;
  }
}

Status LakeWriter::make_commit(speed::StreamState& stream,
                               const speed::StreamState::PendingCommit& pending) {
  const auto& definition = stream.definition();
  if (speed_.stream(definition.id) == nullptr) {  // dropped meanwhile
    stream.committed(pending.edge.commit);
    return {};
  }
  // After a restart only events that the lake does not have are looked at again: so the rows among
  // them on which a view failed are in the quarantine first.
  MR_RETURN_IF_ERROR(ingest_.wait_for_failures(definition.id, [this] {
    const MutexLock lock(mutex_);
    return stopping_;
  }));
  MR_RETURN_IF_ERROR(ingest_.save_requests());
  std::vector<StreamBatch> batches;
  batches.reserve(pending.entries.size());
  for (const auto& entry : pending.entries) {
    MR_TRY(auto batch, load_tail_entry(log_, definition, entry));
    batches.push_back(std::move(batch));
  }
  MR_TRY(const auto commit, lake_.commit(definition, pending.edge.end, batches));
  MR_CHECK(commit.number == pending.edge.commit, "stream {}: edge {} became lake commit {}",
           definition.name, pending.edge.commit, commit.number);
  stream.committed(commit.number);
  counters_.commits.fetch_add(1, std::memory_order_relaxed);
  counters_.rows.fetch_add(pending.edge.rows, std::memory_order_relaxed);
  for (const auto& draft : pending.edge.checkpoints) {
    // A checkpoint only makes the next start quicker: without it the same states are computed from
    // the lake.
    if (auto written = write_checkpoint(definition, draft); !written) {
      spdlog::warn("checkpoint of view {} at commit {}: {}", draft.view, draft.commit,
                   written.error().message);
    }
  }
  return {};
}

Status LakeWriter::write_checkpoint(const StreamDefinition& stream,
                                    const speed::CheckpointDraft& draft) {
  const auto views = speed_.views();
  const auto found =
      std::ranges::find(views, draft.view, [](const auto& view) { return view->record().id; });
  if (found == views.end()) return {};  // dropped meanwhile
  const auto& view = *found;
  if (view->coverage().streams.front().cut_commit != draft.base_commit)
    return {};  // a newer generation made it worthless
  catalog::Checkpoint checkpoint{.view = draft.view,
                                 .stream = stream.id,
                                 .base_commit = draft.base_commit,
                                 .commit = draft.commit,
                                 .file = {},
                                 .skipped_rows = draft.skipped_rows};
  const auto fill = [&](view::StateRunWriter& writer) -> Status {
    MR_TRY(const auto groups, draft.states.cursor(view->compiled().plan, false));
    return view::write_all(*groups, writer);
  };
  MR_TRY(auto written, state_files_.write(batch::StateFiles::checkpoint_name(
                                              draft.view, draft.base_commit, draft.commit),
                                          view->compiled().fingerprint, fill));
  checkpoint.file = std::move(written.record);
  auto garbage = catalog_.add_checkpoint(checkpoint);
  if (!garbage) {
    state_files_.remove({checkpoint.file.name});
    return std::unexpected(std::move(garbage).error());
  }
  state_files_.remove(*garbage);
  counters_.checkpoints.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void LakeWriter::ask_trim() {
  const MutexLock lock(mutex_);
  trim_asked_ = true;
  wake_.notify_all();
}

void LakeWriter::trim_log() {
  std::map<log::StreamPartition, Offset> covered;
  for (const auto& stream : speed_.streams()) {
    const auto snapshot = lake_.snapshot(stream->definition().id);
    for (std::uint32_t p = 0; p < stream->definition().partitions; ++p) {
      covered[{stream->definition().id, PartitionId(p)}] = snapshot->end.end(PartitionId(p));
    }
  }
  covered[{kRequestsStream, PartitionId(0)}] = ingest_.requests_end();
  if (options_.also_covered) options_.also_covered(covered);
  if (auto trimmed = log_.trim(covered); !trimmed) spdlog::warn("log: {}", trimmed.error().message);
}

}  // namespace millrace::ingest
