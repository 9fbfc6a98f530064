#include "speed/stream_state.h"

#include <algorithm>

namespace millrace::speed {

namespace {
constexpr std::int64_t kRateWindowUs = 1'000'000;
}

StreamState::StreamState(StreamDefinition definition, const TailOptions& options,
                         std::atomic<std::uint64_t>& tail_bytes, CommitNumber last_commit,
                         const Position& lake_end)
    : options_(options),
      tail_bytes_(tail_bytes),
      definitions_{std::move(definition)},
      applied_(definitions_.back().partitions),
      last_edge_{last_commit, lake_end} {
  definition_ = &definitions_.back();
  for (std::uint32_t p = 0; p < definitions_.back().partitions; ++p) {
    applied_.set_end(PartitionId(p), lake_end.end(PartitionId(p)));
  }
  events_ = applied_.events();
}

std::vector<ViewFailures> StreamState::apply(std::vector<TailEntry> entries) {
  const MutexLock lock(mutex_);
  std::vector<StreamBatch> batches;
  batches.reserve(entries.size());
  for (const auto& entry : entries) {
    const auto& batch = entry.batch;
    MR_CHECK(batch.base_offset == applied_.end(batch.partition),
             "stream {} partition {}: offset {} comes after {}", definition().name, batch.partition,
             batch.base_offset, applied_.end(batch.partition));
    applied_.set_end(batch.partition, entry.end_offset());
    batches.push_back(batch);
  }
  std::vector<ViewFailures> failures;
  for (const auto& view : views_) {
    auto rows = view->apply(definition().id, batches, applied_);
    if (!rows.empty())
      failures.push_back({view->record().id, view->record().name, std::move(rows)});
  }
  if (!entries.empty()) {
    const std::int64_t now_us = entries.front().applied_us;
    if (now_us - rate_window_us_ >= kRateWindowUs) {
      rate_ = rate_window_us_ == 0 ? 0
                                   : static_cast<double>(rate_rows_) * 1e6 /
                                         static_cast<double>(now_us - rate_window_us_);
      rate_window_us_ = now_us;
      rate_rows_ = 0;
    }
    for (const auto& entry : entries) rate_rows_ += entry.rows;
  }
  for (auto& entry : entries) {
    if (rows_since_edge_ == 0) oldest_unedged_us_ = entry.applied_us;
    rows_since_edge_ += entry.rows;
    rows_since_checkpoint_ += entry.rows;
    tail_rows_ += entry.rows;
    const std::uint64_t bytes = entry.batch.columns->size_bytes();
    if (tail_bytes_.load(std::memory_order_relaxed) + bytes > options_.tail_bytes_max) {
      entry.batch.columns.reset();
    } else {
      tail_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    }
    tail_.push_back(std::move(entry));
  }
  events_.store(applied_.events(), std::memory_order_release);
  if (rows_since_edge_ >= options_.commit_rows) cut_edge_locked();
  return failures;
}

void StreamState::redefine(StreamDefinition definition,
                           std::map<ViewId, ViewState::Stages> stages) {
  const MutexLock lock(mutex_);
  MR_CHECK(tail_.empty(), "stream {} is altered with {} events in its tail", definition.name,
           tail_rows_);
  definitions_.push_back(std::move(definition));
  definition_.store(&definitions_.back(), std::memory_order_release);
  for (const auto& view : views_) {
    const auto made = stages.find(view->record().id);
    if (made != stages.end()) view->replace_stages(definitions_.back(), std::move(made->second));
  }
}

catalog::Cut StreamState::cut_edge_locked() {
  if (rows_since_edge_ == 0) return last_edge_;
  last_edge_ = {CommitNumber(last_edge_.commit.value + 1), applied_};
  LakeEdge edge{last_edge_.commit, applied_, rows_since_edge_, {}};
  if (rows_since_checkpoint_ >= options_.checkpoint_rows || checkpoint_wanted_) {
    bool all = true;
    for (const auto& view : views_) {
      if (auto draft = view->checkpoint(edge.commit)) {
        edge.checkpoints.push_back(std::move(*draft));
      } else {
        all = false;
      }
    }
    rows_since_checkpoint_ = 0;
    if (all) checkpoint_wanted_ = false;
  }
  edges_.push_back(std::move(edge));
  rows_since_edge_ = 0;
  return last_edge_;
}

catalog::Cut StreamState::cut_edge() {
  const MutexLock lock(mutex_);
  return cut_edge_locked();
}

void StreamState::at_edge(const std::function<void(const catalog::Cut&, Views&)>& during) {
  const MutexLock lock(mutex_);
  during(cut_edge_locked(), views_);
}

void StreamState::remove_view(ViewId view) {
  const MutexLock lock(mutex_);
  std::erase_if(views_, [&](const auto& other) { return other->record().id == view; });
}

std::vector<std::shared_ptr<ViewState>> StreamState::views() const {
  const MutexLock lock(mutex_);
  return views_;
}

std::optional<StreamState::PendingCommit> StreamState::next_pending() const {
  const MutexLock lock(mutex_);
  if (edges_.empty()) return std::nullopt;
  PendingCommit pending{edges_.front(), {}};
  std::uint64_t rows = 0;
  for (const auto& entry : tail_) {
    if (rows == pending.edge.rows) break;
    rows += entry.rows;
    pending.entries.push_back(entry);
  }
  MR_CHECK(rows == pending.edge.rows, "stream {}: commit {} has {} rows, the tail gives {}",
           definition().name, pending.edge.commit, pending.edge.rows, rows);
  return pending;
}

void StreamState::committed(CommitNumber commit) {
  const MutexLock lock(mutex_);
  MR_CHECK(!edges_.empty() && edges_.front().commit == commit,
           "stream {}: commit {} was not the next one", definition().name, commit);
  std::uint64_t rows = edges_.front().rows;
  tail_rows_ -= rows;
  while (rows > 0) {
    const auto& entry = tail_.front();
    rows -= entry.rows;
    if (entry.batch.columns != nullptr) {
      tail_bytes_.fetch_sub(entry.batch.columns->size_bytes(), std::memory_order_relaxed);
    }
    tail_.pop_front();
  }
  edges_.pop_front();
}

void StreamState::want_checkpoint() {
  const MutexLock lock(mutex_);
  checkpoint_wanted_ = true;
}

StreamState::Snapshot StreamState::snapshot(const std::function<void()>& also) const {
  const MutexLock lock(mutex_);
  if (also) also();
  return {applied_, {tail_.begin(), tail_.end()}};
}

void StreamState::hold(const std::function<void(const Position& applied)>& during) const {
  const MutexLock lock(mutex_);
  during(applied_);
}

Position StreamState::applied() const {
  const MutexLock lock(mutex_);
  return applied_;
}

std::uint64_t StreamState::tail_rows() const {
  const MutexLock lock(mutex_);
  return tail_rows_;
}

double StreamState::rate(std::int64_t now_us) const {
  const MutexLock lock(mutex_);
  return now_us - rate_window_us_ > 3 * kRateWindowUs ? 0 : rate_;
}

std::int64_t StreamState::unedged_age_us(std::int64_t now_us) const {
  const MutexLock lock(mutex_);
  return rows_since_edge_ == 0 ? 0 : now_us - oldest_unedged_us_;
}

}  // namespace millrace::speed
