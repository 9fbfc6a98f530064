// What an MQTT client may subscribe to and receive, and what becomes of that when a grant, a
// password or a token is taken back while it is connected or away.
#include <algorithm>

#include "endpoint/mqtt_connection.h"
#include "wire/mqtt_topic.h"

namespace millrace::endpoint {

using wire::mqtt::ReasonCode;

namespace {
/// Topics of which a connection remembers whether it may receive them.
constexpr std::size_t kRememberedMax = 1024;
}  // namespace

bool MqttConnection::may_subscribe(std::string_view filter) {
  auto& access = loop_.state().access;
  const auto of_views = ViewFilter::parse(filter);
  if (!of_views || !of_views->only_views)
    return access.topic_allowed(principal_, Privilege::kSubscribe, filter);
  // A wildcard in the place of the view's name gives the views that the client may read; what
  // others there are cannot be told from the answer.
  return !of_views->view || access.may_follow(principal_, *of_views->view);
}

bool MqttConnection::may_deliver(std::string_view topic) {
  auto& access = loop_.state().access;
  const std::uint64_t version = access.version();
  if (version != rights_version_ || may_receive_.size() >= kRememberedMax) {
    rights_version_ = version;
    may_receive_all_ = access.is_admin(principal_);
    may_receive_.clear();
  }
  if (may_receive_all_) return true;
  const auto [place, fresh] = may_receive_.try_emplace(std::string(topic), false);
  if (fresh) place->second = access.topic_allowed(principal_, Privilege::kSubscribe, topic);
  return place->second;
}

MqttViews& MqttConnection::views() {
  if (views_ == nullptr) {
    auto& state = loop_.state();
    views_ = std::make_shared<MqttViews>(state.feed, state.access, loop_.view_messages(),
                                         principal_, weak_from_this());
  }
  return *views_;
}

void MqttConnection::resume_subscriptions() {
  auto& broker = loop_.state().broker;
  std::vector<std::string> forbidden;
  for (auto& [filter, options] : broker.subscriptions_of(*session_)) {
    const auto shared = wire::mqtt::shared_filter(filter);
    if (!may_subscribe(shared ? shared->filter : filter)) {
      forbidden.push_back(std::move(filter));
      continue;
    }
    if (shared) continue;
    // Rows are not queued for a client that is away: it gets those of now.
    auto parsed = ViewFilter::parse(filter);
    if (parsed && views().has_room(filter, *parsed, 0))
      views().subscribe(filter, std::move(*parsed), options, wire::mqtt::RetainHandling::kSend);
  }
  if (!forbidden.empty()) broker.unsubscribe(session_, std::move(forbidden), [](const auto&) {});
}

void MqttConnection::review(bool rights) {
  if (state_ != State::kOpen) return;
  auto& state = loop_.state();
  if (!state.access.is_current(principal_)) {
    state.metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
    leave(ReasonCode::kNotAuthorized, "what the client logged in with is not valid any more");
    return;
  }
  if (rights && !state.access.is_admin(principal_)) {
    std::vector<std::string> forbidden;
    for (auto& [filter, options] : state.broker.subscriptions_of(*session_)) {
      const auto shared = wire::mqtt::shared_filter(filter);
      if (!may_subscribe(shared ? shared->filter : filter)) forbidden.push_back(std::move(filter));
    }
    if (!forbidden.empty()) {
      // MQTT has no way to end a subscription from this side, so the client must learn it by losing
      // its connection; its session goes on without the subscription.
      state.metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
      const std::string text =
          fmt::format("the right to subscribe to {} was taken back", forbidden.front());
      state.broker.unsubscribe(session_, std::move(forbidden), [](const auto&) {});
      leave(ReasonCode::kNotAuthorized, text);
      return;
    }
  }
  if (views_ != nullptr) views_->review();
}

}  // namespace millrace::endpoint
