#include "serving/change_feed.h"

#include <algorithm>
#include <utility>

#include "base/ascii_case.h"
#include "runtime/clock.h"
#include "serving/feed_view.h"

namespace millrace::serving {

namespace {
constexpr std::int64_t kTickUs = 1'000'000;

Error stopping() {
  return {.code = ErrorCode::kUnavailable,
          .id = std::string(error_id::kStopping),
          .message = "the server stops",
          .hint = "come back with the last position in a moment",
          .place = {}};
}

Error no_view(std::string_view name) {
  return {.code = ErrorCode::kNotFound,
          .id = std::string(error_id::kViewNotFound),
          .message = fmt::format("materialized view {} does not exist", name),
          .hint = {},
          .place = {}};
}
}  // namespace

struct ChangeFeed::Arrival {
  std::shared_ptr<FeedSubscription> handle;
  std::shared_ptr<FeedSink> sink;
  FeedRequest request;
};

/// How other threads reach the feed's. Outlives the feed for as long as somebody holds a
/// subscription or a view is watched.
struct FeedWake {
  Mutex mutex;
  CondVar changed;
  bool urgent GUARDED_BY(mutex) = false;
  bool touched GUARDED_BY(mutex) = false;
  bool names GUARDED_BY(mutex) = false;
  bool stopping GUARDED_BY(mutex) = false;
  std::vector<std::function<void()>> arrivals GUARDED_BY(mutex);
  std::atomic<std::uint64_t> names_version{1};

  void set(bool FeedWake::* flag) EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    // While what was touched waits for its turn, the thread is not woken for more of it.
    if (std::exchange(this->*flag, true)) return;
    changed.notify_one();
  }
};

std::string_view name(FeedStart start) {
  switch (start) {
    case FeedStart::kSubscribed:
      return "subscribed";
    case FeedStart::kResumed:
      return "resumed";
    case FeedStart::kPositionUnknown:
      return "position unknown";
    case FeedStart::kSlow:
      return "slow";
    case FeedStart::kReplaced:
      return "replaced";
  }
  return "subscribed";
}

void FeedSubscription::grant(std::uint32_t batches) {
  credit_.fetch_add(batches, std::memory_order_acq_rel);
  wake_->set(&FeedWake::urgent);
}

void FeedSubscription::cancel() {
  cancelled_ = true;
  wake_->set(&FeedWake::urgent);
}

std::optional<std::string> FeedSubscription::token() const {
  const MutexLock lock(mutex_);
  if (touched_ == nullptr) return std::nullopt;
  auto position = touched_->position_at(cursor_);
  if (!position) return std::nullopt;
  return FeedToken{view_, std::move(*position)}.text();
}

void FeedSubscription::stand_at(std::shared_ptr<const TouchedKeys> touched, ViewId view,
                                std::uint64_t cursor) {
  const MutexLock lock(mutex_);
  touched_ = std::move(touched);
  view_ = view;
  cursor_ = cursor;
}

ChangeFeed::ChangeFeed(speed::SpeedLayer& speed, FeedOptions options)
    : speed_(speed), options_(options), wake_(std::make_shared<FeedWake>()) {
  speed_.on_names_changed([wake = wake_] {
    wake->names_version.fetch_add(1, std::memory_order_release);
    wake->set(&FeedWake::names);
  });
}

ChangeFeed::~ChangeFeed() { stop(); }

std::vector<std::shared_ptr<speed::ViewState>> ChangeFeed::views() const {
  return speed_.named_views();
}

std::uint64_t ChangeFeed::names_version() const {
  return wake_->names_version.load(std::memory_order_acquire);
}

void ChangeFeed::start() {
  thread_ = std::thread([this] { loop(); });
}

void ChangeFeed::stop() {
  {
    const MutexLock lock(wake_->mutex);
    wake_->stopping = true;
    wake_->changed.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

Result<std::shared_ptr<FeedSubscription>> ChangeFeed::subscribe(FeedRequest request,
                                                                std::shared_ptr<FeedSink> sink) {
  const auto view = speed_.find_view(request.view);
  if (view == nullptr) return std::unexpected(no_view(request.view));
  MR_RETURN_IF_ERROR(FeedFilter::bind(*view, request.where));
  if (counters_.subscribers.fetch_add(1) >= options_.subscribers_max) {
    --counters_.subscribers;
    return fail(ErrorCode::kResourceExhausted, error_id::kBusy,
                "{} subscribers follow views, which is the limit", options_.subscribers_max);
  }
  std::shared_ptr<FeedSubscription> handle(new FeedSubscription(wake_, request.credit));
  const MutexLock lock(wake_->mutex);
  if (wake_->stopping) {
    --counters_.subscribers;
    return std::unexpected(stopping());
  }
  wake_->arrivals.emplace_back(
      [this, arrival = Arrival{handle, std::move(sink), std::move(request)}] { admit(arrival); });
  wake_->urgent = true;
  wake_->changed.notify_one();
  return handle;
}

void ChangeFeed::loop() {
  std::int64_t not_before_us = 0;
  std::int64_t review_us = runtime::monotonic_us() + kTickUs;
  FeedView::Left left;
  for (;;) {
    std::vector<std::function<void()>> arrivals;
    bool names = false;
    bool changes_too = false;
    {
      const MutexLock lock(wake_->mutex);
      const std::int64_t tick_us = runtime::monotonic_us() + kTickUs;
      for (;;) {
        const std::int64_t now_us = runtime::monotonic_us();
        const bool changed = wake_->touched || left.later;
        changes_too = changed && now_us >= not_before_us;
        if (changes_too || wake_->urgent || wake_->names || wake_->stopping || left.at_once ||
            now_us >= tick_us) {
          break;
        }
        const std::int64_t until_us = changed ? std::min(not_before_us, tick_us) : tick_us;
        wake_->changed.wait_for(wake_->mutex, std::chrono::microseconds(until_us - now_us));
      }
      if (wake_->stopping) break;
      wake_->urgent = false;
      names = std::exchange(wake_->names, false);
      if (changes_too) wake_->touched = false;
      arrivals.swap(wake_->arrivals);
    }
    if (names) look_names_up();
    for (const auto& arrival : arrivals) arrival();
    const bool later = left.later && !changes_too;
    left = {};
    if (const std::int64_t now_us = runtime::monotonic_us(); now_us >= review_us) {
      review_us = now_us + kTickUs;
      for (const auto& [name, view] : views_) view->review();
    }
    for (const auto& [name, view] : views_) {
      const auto more = view->serve(changes_too);
      left.at_once = left.at_once || more.at_once;
      left.later = left.later || more.later;
    }
    left.later = left.later || later;
    if (changes_too) not_before_us = runtime::monotonic_us() + options_.pause_us;
    let_go_of_idle_views();
  }
  std::vector<std::function<void()>> arrivals;
  {
    const MutexLock lock(wake_->mutex);
    arrivals.swap(wake_->arrivals);
  }
  for (const auto& arrival : arrivals) arrival();
  for (const auto& [name, view] : views_) view->end(stopping());
  views_.clear();
}

void ChangeFeed::admit(Arrival arrival) {
  const auto view = speed_.find_view(arrival.request.view);
  if (view == nullptr) {
    --counters_.subscribers;
    arrival.sink->end(no_view(arrival.request.view));
    return;
  }
  auto& followed = views_[lower_name(arrival.request.view)];
  if (followed == nullptr) {
    followed = std::make_unique<FeedView>(view, options_, counters_, walk_bytes_,
                                          [wake = wake_] { wake->set(&FeedWake::touched); });
  } else if (followed->view() != view) {
    followed->replace(view);
  }
  followed->add(std::move(arrival.handle), std::move(arrival.sink), std::move(arrival.request));
}

void ChangeFeed::look_names_up() {
  std::erase_if(views_, [&](const auto& entry) {
    auto& [name, followed] = entry;
    auto view = speed_.find_view(name);
    if (view == nullptr) {
      followed->end(no_view(followed->view()->record().name));
      return true;
    }
    if (view != followed->view()) followed->replace(std::move(view));
    return false;
  });
}

void ChangeFeed::let_go_of_idle_views() {
  const std::int64_t now_us = runtime::monotonic_us();
  std::erase_if(views_, [&](const auto& entry) {
    const auto& view = *entry.second;
    return !view.has_followers() && now_us - view.idle_since_us() >= options_.linger_us;
  });
}

}  // namespace millrace::serving
