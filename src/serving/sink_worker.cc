#include "serving/sink_worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>

#include "runtime/clock.h"
#include "runtime/random.h"
#include "sink/postgres_target.h"
#include "sink/redis_target.h"

namespace millrace::serving {

namespace {

/// Batches that may lie here, of about a megabyte at most.
constexpr std::uint32_t kCredit = 8;
/// Rows of a transaction beyond which batches that are there already wait for the next.
constexpr std::size_t kRowsMax = 16'384;
/// A change of the view that is larger, or takes longer, is committed in pieces: each of its rows
/// is right, and the token says that more follows.
constexpr std::size_t kPieceRowsMax = 131'072;
constexpr std::int64_t kPieceUsMax = 1'000'000;
constexpr std::int64_t kTickUs = 1'000'000;
constexpr std::int64_t kPauseMinUs = 100'000;
constexpr std::int64_t kPauseMaxUs = 30'000'000;

/// For a column of SHOW SINKS.
std::string one_line(const Error& error) {
  return fmt::format("{}: {}{}{}", error.id, error.message, error.hint.empty() ? "" : "; ",
                     error.hint);
}

}  // namespace

std::string_view name(SinkState state) {
  switch (state) {
    case SinkState::kPaused:
      return "paused";
    case SinkState::kConnecting:
      return "connecting";
    case SinkState::kBackfilling:
      return "backfilling";
    case SinkState::kRunning:
      return "running";
    case SinkState::kWaiting:
      return "waiting";
    case SinkState::kStopped:
      return "stopped";
  }
  return "stopped";
}

/// What the feed gave and the store does not have yet.
class SinkWorker::Inbox final : public FeedSink {
 public:
  struct Item {
    std::optional<FeedStart> start;
    std::shared_ptr<const FeedShape> shape;  // with `start`
    std::shared_ptr<const FeedBatch> batch;
    std::optional<Error> end;
    std::int64_t came_us = 0;
  };

  void start(FeedStart why, const std::shared_ptr<const FeedShape>& shape,
             const std::string& /*token*/) override {
    put({.start = why, .shape = shape});
  }
  void batch(const std::shared_ptr<const FeedBatch>& batch) override { put({.batch = batch}); }
  void end(const Error& error) override { put({.end = error}); }

  std::optional<Item> take(std::int64_t patience_us) {
    const MutexLock lock(mutex_);
    if (items_.empty() && !woken_)
      changed_.wait_for(mutex_, std::chrono::microseconds(patience_us));
    if (items_.empty()) return std::nullopt;
    auto item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  [[nodiscard]] bool empty() const {
    const MutexLock lock(mutex_);
    return items_.empty();
  }
  void wake() {
    const MutexLock lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

 private:
  void put(Item item) {
    item.came_us = runtime::monotonic_us();
    const MutexLock lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Item> items_ GUARDED_BY(mutex_);
  bool woken_ GUARDED_BY(mutex_) = false;
};

struct SinkWorker::Run {
  std::shared_ptr<speed::ViewState> view;
  std::unique_ptr<SinkSelect> select;
  std::unique_ptr<sink::Target> target;
  std::shared_ptr<Inbox> inbox;
  std::shared_ptr<FeedSubscription> handle;
  bool started = false;
  bool backfilling = false;
  std::size_t pending_rows = 0;
  bool pending = false;
  std::int64_t pending_since_us = 0;
  // Of the last batch.
  std::uint64_t events = 0;
  std::int64_t came_us = 0;

  ~Run() {
    if (handle != nullptr) handle->cancel();
  }
};

SinkWorker::SinkWorker(catalog::SinkRecord record, sink::StoreUrl url, ChangeFeed& feed,
                       speed::SpeedLayer& speed, sql::Database& database)
    : record_(std::move(record)),
      url_(std::move(url)),
      feed_(feed),
      speed_(speed),
      database_(database),
      fresh_us_(runtime::monotonic_us()) {}

SinkWorker::~SinkWorker() { stop(); }

void SinkWorker::start() {
  set_state(SinkState::kConnecting);
  thread_ = std::thread([this] { loop(); });
}

void SinkWorker::stop() {
  stopping_ = true;
  {
    const MutexLock lock(mutex_);
    if (inbox_ != nullptr) inbox_->wake();
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void SinkWorker::set_state(SinkState state, std::string error) {
  const MutexLock lock(mutex_);
  state_ = state;
  error_ = std::move(error);
}

void SinkWorker::set_following(std::shared_ptr<FeedSubscription> handle,
                               std::shared_ptr<Inbox> inbox) {
  const MutexLock lock(mutex_);
  handle_ = std::move(handle);
  inbox_ = std::move(inbox);
}

void SinkWorker::wait(std::int64_t pause_us) {
  const std::int64_t until_us = runtime::monotonic_us() + pause_us;
  const MutexLock lock(mutex_);
  for (;;) {
    const std::int64_t left_us = until_us - runtime::monotonic_us();
    if (left_us <= 0 || stopping_.load()) return;
    changed_.wait_for(mutex_, std::chrono::microseconds(left_us));
  }
}

void SinkWorker::loop() {
  std::int64_t pause_us = kPauseMinUs;
  while (!stopping_.load()) {
    const auto commits = commits_.load();
    auto ended = serve();
    set_following(nullptr, nullptr);
    busy_ = false;
    if (stopping_.load()) break;
    ++errors_;
    const std::string text = one_line(ended.error());
    if (!retryable(ended.error().code)) {
      spdlog::error("sink {} stops: {}", record_.name, text);
      set_state(SinkState::kStopped, text);
      return;
    }
    // Something went well in between: it is another trouble.
    if (commits_.load() != commits) pause_us = kPauseMinUs;
    if (pause_us == kPauseMinUs) spdlog::warn("sink {}: {}", record_.name, text);
    set_state(SinkState::kWaiting, text);
    const auto jitter = static_cast<std::int64_t>(runtime::random_u64() %
                                                  static_cast<std::uint64_t>(pause_us / 2 + 1));
    wait(pause_us / 2 + jitter);
    pause_us = std::min(pause_us * 2, kPauseMaxUs);
  }
  set_state(SinkState::kPaused);
}

std::unique_ptr<sink::Target> SinkWorker::make_target(const sink::TargetShape& shape) const {
  sink::StoreAccess access{.password = record_.password,
                           .password_file = record_.password_file,
                           .tls = record_.tls,
                           .ca_file = record_.ca_file};
  if (url_.kind == sink::StoreKind::kRedis) {
    return std::make_unique<sink::RedisTarget>(url_, std::move(access), record_.format == "json",
                                               shape, record_.uid, connects_.load() != 0,
                                               stopping_);
  }
  return std::make_unique<sink::PostgresTarget>(url_, std::move(access), shape, record_.uid,
                                                stopping_);
}

Status SinkWorker::serve() {
  Run run;
  run.view = speed_.find_view(record_.view);
  if (run.view == nullptr) {
    return fail(ErrorCode::kNotFound, error_id::kViewNotFound, "there is no materialized view {}",
                record_.view);
  }
  MR_TRY(run.select, SinkSelect::compile(database_, *run.view, record_.select, url_.kind));
  run.target = make_target(run.select->shape());
  MR_TRY(const std::string token, run.target->open());
  ++connects_;
  run.inbox = std::make_shared<Inbox>();
  FeedRequest request;
  request.view = record_.view;
  request.after = token;
  request.credit = kCredit;
  MR_TRY(run.handle, feed_.subscribe(std::move(request), run.inbox));
  set_following(run.handle, run.inbox);
  {
    const MutexLock lock(mutex_);
    position_ = token;
  }
  while (!stopping_.load()) MR_RETURN_IF_ERROR(take(run));
  return {};
}

Status SinkWorker::take(Run& run) {
  auto item = run.inbox->take(kTickUs);
  if (!item) {
    if (stopping_.load() || run.backfilling || run.pending) return {};
    std::uint64_t lag_events = 0;
    MR_RETURN_IF_ERROR(run.target->check());
    if (has_all(lag_events)) fresh_us_ = runtime::monotonic_us();
    return {};
  }
  if (item->end) return std::unexpected(*item->end);
  if (item->batch != nullptr) {
    busy_ = true;
    MR_RETURN_IF_ERROR(give(run, item->batch, item->came_us));
    run.handle->grant();
    return {};
  }
  if (item->shape->view != run.view) {
    // Its columns may be others: all is opened again.
    return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "view {} has another definition",
                record_.view);
  }
  run.started = true;
  run.pending = false;
  run.pending_rows = 0;
  run.backfilling = *item->start != FeedStart::kResumed;
  if (run.backfilling) {
    ++backfills_;
    MR_RETURN_IF_ERROR(run.target->begin_backfill());
  }
  set_state(run.backfilling ? SinkState::kBackfilling : SinkState::kRunning);
  return {};
}

Status SinkWorker::give(Run& run, const std::shared_ptr<const FeedBatch>& batch,
                        std::int64_t came_us) {
  MR_TRY(const auto changes, run.select->project(*batch));
  MR_RETURN_IF_ERROR(run.target->put(changes));
  rows_ += changes.rows->rows();
  deletes_ += changes.gone_count;
  if (!std::exchange(run.pending, true)) run.pending_since_us = runtime::monotonic_us();
  run.pending_rows += changes.rows->rows() + changes.gone_count;
  run.events = batch->coverage.events();
  run.came_us = came_us;
  const bool more_waits = !run.inbox->empty() && run.pending_rows < kRowsMax;
  if (!batch->token.empty() && (run.backfilling || !more_waits)) return commit(run, batch->token);
  const bool is_long = run.pending_rows >= kPieceRowsMax ||
                       runtime::monotonic_us() - run.pending_since_us >= kPieceUsMax;
  if (batch->token.empty() && is_long && !run.backfilling) return commit(run, {});
  return {};
}

Status SinkWorker::commit(Run& run, const std::string& token) {
  MR_RETURN_IF_ERROR(run.target->commit(token));
  run.pending = false;
  run.pending_rows = 0;
  ++commits_;
  if (token.empty()) return {};
  events_ = run.events;
  fresh_us_ = run.came_us;
  busy_ = false;
  const bool was_backfill = std::exchange(run.backfilling, false);
  const MutexLock lock(mutex_);
  position_ = token;
  if (was_backfill) state_ = SinkState::kRunning;
  return {};
}

bool SinkWorker::has_all(std::uint64_t& lag_events) const {
  const auto view = speed_.find_view(record_.view);
  const std::uint64_t now = view == nullptr ? 0 : view->coverage().events();
  lag_events = now - std::min(now, events_.load());
  const MutexLock lock(mutex_);
  // Events that touch no key of the view change nothing in the store.
  const bool all = (state_ == SinkState::kRunning) && handle_ != nullptr && handle_->token() &&
                   inbox_->empty() && !busy_.load();
  if (all) lag_events = 0;
  return all;
}

SinkInfo SinkWorker::info() const {
  SinkInfo out{.record = record_,
               .kind = url_.kind,
               .rows = rows_.load(),
               .deletes = deletes_.load(),
               .commits = commits_.load(),
               .backfills = backfills_.load(),
               .connects = connects_.load(),
               .errors = errors_.load()};
  out.record.password.clear();
  const bool all = has_all(out.lag_events);
  out.lag_us = all ? 0 : runtime::monotonic_us() - fresh_us_.load();
  const MutexLock lock(mutex_);
  out.state = state_;
  out.error = error_;
  out.position = position_;
  return out;
}

}  // namespace millrace::serving
