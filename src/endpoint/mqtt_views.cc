#include "endpoint/mqtt_views.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <span>

namespace millrace::endpoint {

using wire::mqtt::Publish;
using wire::mqtt::QoS;
using wire::mqtt::RetainHandling;

namespace {
/// A batch is what one client holds of a view while it is slow.
constexpr std::size_t kKeysPerBatch = 256;
}  // namespace

std::shared_ptr<const ViewMessages> ViewMessageCache::messages(
    const std::shared_ptr<const serving::FeedBatch>& batch) {
  auto messages = last_.lock();
  if (messages != nullptr && messages->batch == batch) return messages;
  messages = ViewMessages::of(batch);
  last_ = messages;
  return messages;
}

/// Hands to the connection's thread what the feed gives on its own.
class MqttViews::Sink : public serving::FeedSink {
 public:
  Sink(std::weak_ptr<MqttViews> views, std::weak_ptr<Followed> followed, bool snapshot)
      : views_(std::move(views)), followed_(std::move(followed)), snapshot_(snapshot) {}
  void start(serving::FeedStart why, const std::shared_ptr<const serving::FeedShape>& /*shape*/,
             const std::string& /*token*/) override {
    // Other columns may mean other topics; and whoever asked for no snapshot at first needs one
    // where it missed changes.
    if (why == serving::FeedStart::kReplaced || (why == serving::FeedStart::kSlow && !snapshot_))
      tell(What::kAgain, nullptr);
  }
  void batch(const std::shared_ptr<const serving::FeedBatch>& batch) override {
    tell(What::kBatch, batch);
  }
  void end(const Error& error) override {
    spdlog::debug("mqtt: a view is not followed any more: {}", error.message);
    tell(What::kEnded, nullptr);
  }

 private:
  void tell(What what, std::shared_ptr<const serving::FeedBatch> batch) {
    const auto views = views_.lock();
    auto followed = followed_.lock();
    if (views != nullptr && followed != nullptr)
      views->arrived({std::move(followed), what, std::move(batch)});
  }
  const std::weak_ptr<MqttViews> views_;
  const std::weak_ptr<Followed> followed_;
  const bool snapshot_;
};

MqttViews::~MqttViews() {
  for (const auto& followed : followed_) followed->handle->cancel();
}

bool MqttViews::has_room(const std::string& filter, const ViewFilter& parsed,
                         std::size_t before) const {
  if (subscriptions_.contains(filter)) return true;
  if (subscriptions_.size() + before >= kFiltersMax) return false;
  const auto views = feed_.views();
  const auto more = std::ranges::count_if(views, [&](const auto& view) {
    return parsed.conditions(*view).has_value() && access_.may_follow(who_, view->record().name);
  });
  return followed_.size() + static_cast<std::size_t>(more) <= kFeedsMax;
}

void MqttViews::subscribe(const std::string& filter, ViewFilter parsed,
                          const broker::SubscriptionOptions& options, RetainHandling handling) {
  auto& subscription = subscriptions_[filter];
  const bool known = subscription != nullptr;
  if (known && handling == RetainHandling::kSend) {
    end_feeds(*subscription);
    subscription.reset();
  }
  if (subscription == nullptr) {
    subscription = std::make_shared<Subscription>(
        Subscription{.filter = filter, .parsed = std::move(parsed), .options = options});
  } else {
    subscription->options = options;
  }
  open_feeds(subscription, handling != RetainHandling::kDoNotSend);
}

void MqttViews::unsubscribe(std::string_view filter) {
  const auto found = subscriptions_.find(filter);
  if (found == subscriptions_.end()) return;
  end_feeds(*found->second);
  subscriptions_.erase(found);
}

void MqttViews::review() {
  for (const auto& [filter, subscription] : subscriptions_) open_feeds(subscription, true);
}

bool MqttViews::follows(const Subscription& subscription, std::string_view view) const {
  return std::ranges::any_of(followed_, [&](const auto& followed) {
    return followed->subscription.get() == &subscription && followed->view == view;
  });
}

void MqttViews::open_feeds(const std::shared_ptr<Subscription>& subscription, bool snapshot) {
  for (const auto& view : feed_.views()) {
    const std::string& name = view->record().name;
    auto conditions = subscription->parsed.conditions(*view);
    if (!conditions || follows(*subscription, name) || !access_.may_follow(who_, name)) continue;
    if (followed_.size() >= kFeedsMax) {
      spdlog::warn("mqtt: a client follows {} views, the most there can be; {} is not among them",
                   followed_.size(), name);
      return;
    }
    auto followed = std::make_shared<Followed>(
        Followed{.subscription = subscription, .view = name, .handle = {}});
    auto handle =
        feed_.subscribe({.view = name,
                         .where = std::move(*conditions),
                         .after = {},
                         .snapshot = snapshot,
                         .keys_max = kKeysPerBatch,
                         .allowed =
                             [&access = access_, who = who_, name] {
                               return access.may_follow(who, name)
                                          ? Status()
                                          : access.require(who, Privilege::kSubscribe, name);
                             }},
                        std::make_shared<Sink>(weak_from_this(), followed, snapshot));
    // A level that is no value of its column: no key of the view matches.
    if (!handle) continue;
    followed->handle = std::move(*handle);
    followed_.push_back(std::move(followed));
  }
}

void MqttViews::end_feeds(const Subscription& subscription) {
  std::erase_if(followed_, [&](const auto& followed) {
    if (followed->subscription.get() != &subscription) return false;
    followed->over = true;
    followed->handle->cancel();
    return true;
  });
}

void MqttViews::arrived(Arrived news) {
  {
    const MutexLock lock(mutex_);
    mailbox_.push_back(std::move(news));
  }
  if (const auto link = link_.lock()) link->wake();
}

void MqttViews::collect() {
  std::vector<Arrived> fresh;
  {
    const MutexLock lock(mutex_);
    fresh.swap(mailbox_);
  }
  bool again = false;
  for (auto& one : fresh) {
    if (one.what == What::kBatch) {
      arrived_.push_back(std::move(one));
      continue;
    }
    again = again || (one.what == What::kAgain && !one.followed->over);
    one.followed->over = true;
    one.followed->handle->cancel();
    std::erase(followed_, one.followed);
  }
  drop_over();
  if (again) review();
}

void MqttViews::drop_over() {
  while (!arrived_.empty() && arrived_.front().followed->over) {
    current_.reset();
    arrived_.pop_front();
  }
}

void MqttViews::begin() {
  current_ = cache_.messages(arrived_.front().batch);
  at_ = 0;
}

void MqttViews::finish() {
  arrived_.front().followed->handle->grant();
  current_.reset();
  arrived_.pop_front();
  drop_over();
}

Publish MqttViews::message() const {
  const Arrived& from = arrived_.front();
  const auto& options = from.followed->subscription->options;
  Publish out;
  out.topic = current_->topic(at_);
  out.payload = current_->payload(at_);
  out.qos = std::min(options.qos, QoS::kAtLeastOnce);
  // Rows that were there before the subscription are retained messages; a change has the flag as
  // published, for those who ask for that.
  out.retain = from.batch->snapshot || options.retain_as_published;
  out.payload_is_utf8 = !out.payload.empty();
  if (!out.payload.empty()) out.content_type = "application/json";
  if (options.id != 0) out.subscription_ids = std::span(&options.id, 1);
  return out;
}

}  // namespace millrace::endpoint
