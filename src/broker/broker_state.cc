// The broker's state as a function of its events: each step here runs the same at the start, from
// the log, as it ran the first time. What depends on connections and clocks only passes by.
#include <algorithm>

#include "broker/broker.h"

namespace millrace::broker {

using wire::mqtt::QoS;
using wire::mqtt::ReasonCode;

namespace {
std::int64_t seconds(std::uint32_t s) { return std::int64_t{s} * 1000; }

bool is_logged(const Event& event) {
  const auto* published = std::get_if<Published>(&event);
  return published == nullptr || !published->passing;
}
}  // namespace

void Broker::apply(std::vector<Event>& events, Offset base) {
  std::uint64_t offset = base.value;
  {
    const MutexLock lock(mutex_);
    for (Event& event : events) {
      const bool logged = is_logged(event);
      apply(event, offset, Mode::kLive);
      if (logged) ++offset;
    }
    applied_end_ = offset;
  }
  counters_.events.fetch_add(offset - base.value, std::memory_order_relaxed);
  publish_due_wills();
}

void Broker::apply(Event& event, std::uint64_t offset, Mode mode) {
  const auto with = [&](SessionId id, auto&& change) REQUIRES(mutex_) {
    if (const auto session = find(id)) change(*session);
  };
  if (auto* opened = std::get_if<Opened>(&event)) {
    apply_opened(*opened, offset, mode);
  } else if (const auto* ended = std::get_if<Ended>(&event)) {
    // A client that came back before this was written has its session.
    const auto session = find(ended->session);
    if (session == nullptr) return;
    session->ending = false;
    if (session->detached_at_ms != 0) remove_session(session, mode);
  } else if (const auto* subscribed = std::get_if<Subscribed>(&event)) {
    apply_subscribed(*subscribed);
  } else if (const auto* unsubscribed = std::get_if<Unsubscribed>(&event)) {
    const auto session = find(unsubscribed->session);
    if (session == nullptr) return;
    for (const auto& filter : unsubscribed->filters) subscriptions_.remove(*session, filter);
    subscription_count_.store(subscriptions_.size(), std::memory_order_release);
  } else if (const auto* published = std::get_if<Published>(&event)) {
    apply_published(*published);
  } else if (const auto* received = std::get_if<Received>(&event)) {
    with(received->session, [&](Session& s) { s.receive_stored(received->packet_id); });
  } else if (const auto* released = std::get_if<Released>(&event)) {
    with(released->session, [&](Session& s) { s.release(released->packet_id); });
  } else if (const auto* acked = std::get_if<Acked>(&event)) {
    with(acked->session, [&](Session& s) { s.acked(acked->sequences); });
  } else if (const auto* pubrec = std::get_if<PubReceived>(&event)) {
    with(pubrec->session, [&](Session& s) { s.pubrec_stored(pubrec->sequences); });
  } else if (const auto* detached = std::get_if<Detached>(&event)) {
    apply_detached(*detached);
  } else if (const auto* will_done = std::get_if<WillDone>(&event)) {
    with(will_done->session, [&](Session& s) { s.will.reset(); });
  }
}

void Broker::apply_opened(Opened& event, std::uint64_t offset, Mode mode) {
  std::shared_ptr<Session> session;
  if (const auto existing = clients_.find(event.client_id); existing != clients_.end()) {
    session = existing->second;
    if (event.clean || !session->durable()) {
      remove_session(session, mode);
      session = nullptr;
    } else if (mode == Mode::kLive && session->connected() && session->will &&
               session->will->delay_s == 0) {
      wills_.push_back(session->will->message);
    }
  }
  if (session == nullptr) {
    const bool durable = event.expiry_s != 0;
    // What ends with its connection is no more after a restart.
    if (!durable && mode == Mode::kReplay) return;
    const SessionId id = durable || offset >= kFirstVolatileSession ? offset : next_volatile_++;
    session = add_session(id, event.client_id, durable);
  }
  session->expiry_s = event.expiry_s;
  session->will = std::move(event.will);
  session->detached_at_ms = 0;
  session->ending = false;
}

void Broker::apply_subscribed(const Subscribed& event) {
  const auto session = find(event.session);
  if (session == nullptr) return;
  for (const auto& one : event.all) {
    subscriptions_.add(*session, one.filter, one.options);
    if (one.send_retained) send_retained(*session, one.filter, one.options, event.at_ms);
  }
  subscription_count_.store(subscriptions_.size(), std::memory_order_release);
}

void Broker::apply_published(const Published& event) {
  const auto& message = event.message;
  if (message->retain() && !event.passing) retain(message);
  for (auto& match : subscriptions_.match(message->topic(), message->publisher())) {
    give(*match.session, message, std::min(match.qos, message->qos()),
         match.retain_as_published && message->retain(), std::move(match.ids), !event.passing);
  }
  for (const auto& chosen : event.chosen) {
    const auto session = find(chosen.session);
    if (session == nullptr) continue;
    SubscriptionIds ids;
    ids.add(chosen.options.id);
    give(*session, message, std::min(chosen.options.qos, message->qos()),
         chosen.options.retain_as_published && message->retain(), std::move(ids), !event.passing);
  }
}

void Broker::apply_detached(const Detached& event) {
  const auto session = find(event.session);
  if (session == nullptr) return;
  session->detached_at_ms = std::max<std::int64_t>(event.at_ms, 1);
  if (event.expiry_s) session->expiry_s = *event.expiry_s;
  if (!event.keeps_will) session->will.reset();
  if (session->will) set_due(*session, event.at_ms + seconds(session->will->delay_s));
  if (session->expiry_s != kNeverExpires)
    set_due(*session, event.at_ms + seconds(session->expiry_s));
}

void Broker::set_due(const Session& session, std::int64_t at_ms) {
  due_.emplace(at_ms, session.id());
}

void Broker::begin_opening(const std::string& client_id) {
  if (opening_[client_id]++ == 0 && !clients_.contains(client_id)) ++opening_only_;
}

void Broker::end_opening(const std::string& client_id) {
  const MutexLock lock(mutex_);
  const auto found = opening_.find(client_id);
  if (--found->second != 0) return;
  opening_.erase(found);
  if (!clients_.contains(client_id)) --opening_only_;
}

std::shared_ptr<Session> Broker::find(SessionId id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second;
}

std::shared_ptr<Session> Broker::add_session(SessionId id, const std::string& client_id,
                                             bool durable) {
  auto session = std::make_shared<Session>(id, client_id, durable);
  if (!clients_.contains(client_id) && opening_.contains(client_id)) --opening_only_;
  sessions_[id] = session;
  clients_[client_id] = session;
  return session;
}

void Broker::remove_session(const std::shared_ptr<Session>& session, Mode mode) {
  // Held: the maps let it go.
  const std::shared_ptr<Session> gone = session;
  subscriptions_.remove_all(*gone);
  subscription_count_.store(subscriptions_.size(), std::memory_order_release);
  if (const auto client = clients_.find(gone->client_id());
      client != clients_.end() && client->second == gone) {
    clients_.erase(client);
    if (opening_.contains(gone->client_id())) ++opening_only_;
  }
  sessions_.erase(gone->id());
  if (mode == Mode::kReplay) return;
  if (gone->will) {
    wills_.push_back(gone->will->message);
    gone->will.reset();
  }
  if (const auto link = gone->link()) link->end(ReasonCode::kSessionTakenOver);
}

void Broker::retain(const std::shared_ptr<const Message>& message) {
  const std::string_view topic = message->topic();
  if (message->payload().empty()) {
    if (const auto* before = retained_.find(topic)) {
      retained_bytes_ -= (*before)->size_bytes();
      retained_.erase(topic);
    }
    return;
  }
  auto& place = retained_.at(topic);
  if (place != nullptr) retained_bytes_ -= place->size_bytes();
  retained_bytes_ += message->size_bytes();
  place = message;
}

void Broker::give(Session& session, const std::shared_ptr<const Message>& message, QoS qos,
                  bool retain, SubscriptionIds ids, bool durable_message) {
  if (session.durable()) {
    // The queue of a persistent session is what the log makes of it.
    if (!durable_message) qos = QoS::kAtMostOnce;
    if (qos == QoS::kAtMostOnce && !session.connected()) return;
  }
  if (qos == QoS::kAtMostOnce || !session.durable()) {
    const Session::Room room{limits_.queue_messages_max, limits_.queue_bytes_max};
    if (!session.has_room(room, message->size_bytes())) {
      if (qos == QoS::kAtMostOnce) {
        counters_.dropped.fetch_add(1, std::memory_order_relaxed);
      } else if (const auto link = session.link()) {
        counters_.slow_disconnects.fetch_add(1, std::memory_order_relaxed);
        link->end(ReasonCode::kQuotaExceeded);
      }
      return;
    }
  }
  counters_.delivered.fetch_add(1, std::memory_order_relaxed);
  session.offer({.message = message, .ids = std::move(ids), .qos = qos, .retain = retain});
}

void Broker::send_retained(Session& session, std::string_view filter,
                           const SubscriptionOptions& options, std::int64_t at_ms) {
  const std::function<bool(const std::shared_ptr<const Message>&)> send =
      [&](const std::shared_ptr<const Message>& message) REQUIRES(mutex_) {
        if (message->expired(at_ms)) return true;
        if (options.no_local && message->publisher() == session.id()) return true;
        SubscriptionIds ids;
        ids.add(options.id);
        give(session, message, std::min(options.qos, message->qos()), true, std::move(ids), true);
        return true;
      };
  retained_.for_each_topic_of(filter, send);
}

}  // namespace millrace::broker
