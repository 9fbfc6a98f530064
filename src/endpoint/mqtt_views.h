// The rows of views that one MQTT connection has subscribed to. For each of its filters, and each
// view that the filter can match and the client may read, it follows the change feed, which gives
// the next batch when the one before is written: so a client costs one batch a view, however large
// the view and however slow the client. Nothing of it is kept for a client that is away: rows are
// state, and a session that comes back gets all present ones. Thread: the connection's, but for
// what the feed tells. Errors: a feed that ends is opened again by review(), where it may be.
// Invariant: batches are written in the order in which the feed read them, so a client never gets
// an older row of a key after a newer one.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/access.h"
#include "base/mutex.h"
#include "broker/session.h"
#include "broker/topic_tree.h"
#include "endpoint/view_topics.h"
#include "serving/change_feed.h"
#include "wire/mqtt.h"

namespace millrace::endpoint {

/// The last batch that a thread made messages of: most often the next connection has the same.
/// Thread: one.
class ViewMessageCache {
 public:
  [[nodiscard]] std::shared_ptr<const ViewMessages> messages(
      const std::shared_ptr<const serving::FeedBatch>& batch);

 private:
  std::weak_ptr<const ViewMessages> last_;
};

class MqttViews : public std::enable_shared_from_this<MqttViews> {
 public:
  /// What one client may have of these.
  static constexpr std::size_t kFiltersMax = 256;
  static constexpr std::size_t kFeedsMax = 256;

  MqttViews(serving::ChangeFeed& feed, access::Access& access, ViewMessageCache& cache,
            access::Principal who, std::weak_ptr<broker::ClientLink> link)
      : feed_(feed), access_(access), cache_(cache), who_(std::move(who)), link_(std::move(link)) {}
  ~MqttViews();
  MqttViews(const MqttViews&) = delete;
  MqttViews& operator=(const MqttViews&) = delete;

  /// Whether it can be subscribed to, behind `before` others that will be.
  [[nodiscard]] bool has_room(const std::string& filter, const ViewFilter& parsed,
                              std::size_t before) const;
  void subscribe(const std::string& filter, ViewFilter parsed,
                 const broker::SubscriptionOptions& options, wire::mqtt::RetainHandling handling);
  void unsubscribe(std::string_view filter);
  /// Opens what is missing: views that came, and that the client may read now.
  void review();

  /// visit(publish) with QoS, retain flag and subscription identifier, until it answers kFull.
  template <class Visit>
  void take(Visit&& visit) {
    collect();
    while (!arrived_.empty()) {
      const Arrived& next = arrived_.front();
      if (current_ == nullptr) begin();
      for (; at_ < current_->all.size(); ++at_) {
        if (!broker::matches(next.followed->subscription->filter, current_->topic(at_))) continue;
        if (visit(message()) == broker::Session::Taken::kFull) return;
      }
      finish();
    }
  }

 private:
  struct Subscription {
    std::string filter;
    ViewFilter parsed;
    broker::SubscriptionOptions options;
  };
  struct Followed;
  class Sink;
  enum class What : std::uint8_t {
    kBatch,
    kEnded,
    kAgain,  // it is to be followed anew: its topics or what was seen of it are others now
  };
  struct Arrived {
    std::shared_ptr<Followed> followed;
    What what = What::kBatch;
    std::shared_ptr<const serving::FeedBatch> batch;
  };
  struct Followed {
    std::shared_ptr<Subscription> subscription;
    std::string view;
    std::shared_ptr<serving::FeedSubscription> handle;
    bool over = false;
  };

  void arrived(Arrived news) EXCLUDES(mutex_);
  void collect() EXCLUDES(mutex_);
  void begin();
  void finish();
  void drop_over();
  [[nodiscard]] wire::mqtt::Publish message() const;
  void open_feeds(const std::shared_ptr<Subscription>& subscription, bool snapshot);
  void end_feeds(const Subscription& subscription);
  [[nodiscard]] bool follows(const Subscription& subscription, std::string_view view) const;

  serving::ChangeFeed& feed_;
  access::Access& access_;
  ViewMessageCache& cache_;
  const access::Principal who_;
  const std::weak_ptr<broker::ClientLink> link_;
  std::map<std::string, std::shared_ptr<Subscription>, std::less<>> subscriptions_;
  std::list<std::shared_ptr<Followed>> followed_;
  std::deque<Arrived> arrived_;
  /// Of arrived_.front().
  std::shared_ptr<const ViewMessages> current_;
  std::size_t at_ = 0;

  Mutex mutex_;
  std::vector<Arrived> mailbox_ GUARDED_BY(mutex_);
};

}  // namespace millrace::endpoint
