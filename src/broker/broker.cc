#include "broker/broker.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "broker/publish_batch.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "wire/mqtt_topic.h"
#include "wire/record_batch.h"

namespace millrace::broker {

using wire::mqtt::QoS;
using wire::mqtt::ReasonCode;
using wire::mqtt::RetainHandling;

namespace {

std::int64_t now_ms() { return runtime::wall_us() / 1000; }

bool is_logged(const Event& event) {
  const auto* published = std::get_if<Published>(&event);
  return published == nullptr || !published->passing;
}

}  // namespace

Broker::Broker(runtime::FileSystem& files, std::filesystem::path folder, speed::SpeedLayer& speed,
               Limits limits)
    : files_(files), folder_(std::move(folder)), speed_(speed), limits_(limits) {
  const MutexLock lock(mutex_);
  // Of an earlier run's sessions nothing may be taken for one of this run.
  next_volatile_ += runtime::random_u64() >> 2;
}

Broker::~Broker() { stop(); }

Status Broker::replay(const log::RecoveredBatch& batch) {
  std::uint64_t offset = batch.base_offset.value;
  Status status;
  const MutexLock lock(mutex_);
  MR_RETURN_IF_ERROR(
      wire::for_each_record(batch.batch, [&](std::string_view bytes) REQUIRES(mutex_) {
        const std::uint64_t at = offset++;
        if (at < covered_.load() || !status) return;
        auto event = decode_event(bytes);
        if (!event) {
          status = fail(ErrorCode::kDataLoss, error_id::kInternal,
                        "the broker's event {} of the log does not decode", at);
          return;
        }
        apply(*event, at, Mode::kReplay);
      }));
  applied_end_ = std::max(applied_end_, offset);
  bytes_since_checkpoint_ += batch.batch.size();
  return status;
}

void Broker::start(ingest::Ingest& ingest, log::CommitLog& log, std::function<void()> covers_more) {
  ingest_ = &ingest;
  log_ = &log;
  covers_more_ = std::move(covers_more);
  started_ms_ = now_ms();
  std::vector<Event> events;
  {
    const MutexLock lock(mutex_);
    // Whoever was connected when the program ended is not any more.
    for (const auto& [id, session] : sessions_) {
      if (session->detached_at_ms == 0)
        events.emplace_back(Detached{id, started_ms_, session->will.has_value(), std::nullopt});
      if (session->expiry_s == 0) events.emplace_back(Ended{id});
    }
    if (!sessions_.empty() || retained_.size() != 0) {
      spdlog::info("mqtt: {} sessions, {} subscriptions, {} retained messages are back",
                   sessions_.size(), subscriptions_.size(), retained_.size());
    }
  }
  if (!events.empty()) {
    append(std::move(events), [](const Status& status) {
      if (!status) spdlog::warn("mqtt: sessions at the start: {}", status.error().message);
    });
  }
  writer_ = std::thread([this] { write_checkpoints(); });
}

void Broker::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    checkpoint_due_.notify_all();
  }
  if (writer_.joinable()) writer_.join();
}

void Broker::connect(ConnectRequest request, std::shared_ptr<ClientLink> link, ConnectDone done) {
  request.expiry_s =
      request.expiry_s == 0 ? 0 : std::min(request.expiry_s, limits_.session_expiry_max_s);
  Opened opened{.client_id = request.client_id,
                .clean = request.clean,
                .expiry_s = request.expiry_s,
                .will = std::move(request.will)};
  auto shared_done = std::make_shared<ConnectDone>(std::move(done));
  std::shared_ptr<Session> volatile_session;
  {
    const MutexLock lock(mutex_);
    const auto existing = clients_.find(request.client_id);
    const bool known = existing != clients_.end();
    const bool counted = known || opening_.contains(request.client_id);
    if (!counted && sessions_.size() + opening_only_ >= limits_.sessions_max) {
      (*shared_done)(fail(ErrorCode::kResourceExhausted, error_id::kBusy,
                          "there are {} MQTT sessions, the limit (mqtt.sessions_max)",
                          sessions_.size() + opening_only_));
      return;
    }
    if (request.expiry_s == 0 && (!known || !existing->second->durable())) {
      Event event = std::move(opened);
      apply(event, next_volatile_++, Mode::kLive);
      volatile_session = clients_.at(request.client_id);
      volatile_session->attach(link);
    } else {
      begin_opening(request.client_id);
    }
  }
  if (volatile_session != nullptr) {
    publish_due_wills();
    (*shared_done)(Connected{std::move(volatile_session), false});
    return;
  }
  std::vector<Event> events;
  events.emplace_back(std::move(opened));
  auto entry = attach(std::move(events));
  entry.stored = [this, apply_events = std::move(entry.stored), link = std::move(link),
                  client_id = request.client_id, shared_done](Offset base) {
    apply_events(base);
    std::shared_ptr<Session> session;
    std::shared_ptr<ClientLink> before;
    {
      const MutexLock lock(mutex_);
      if (const auto found = clients_.find(client_id); found != clients_.end()) {
        session = found->second;
        before = session->attach(link);
      }
    }
    if (session == nullptr) {
      (*shared_done)(fail(ErrorCode::kUnavailable, error_id::kBusy,
                          "another connection of the client came and went meanwhile"));
      return;
    }
    if (before != nullptr) before->end(ReasonCode::kSessionTakenOver);
    publish_due_wills();
    const bool present = session->durable() && session->id() != base.value;
    (*shared_done)(Connected{std::move(session), present});
  };
  ingest_->append(std::move(entry), [this, client_id = std::move(request.client_id),
                                     shared_done](const Result<ingest::IngestReply>& reply) {
    end_opening(client_id);
    if (!reply) (*shared_done)(std::unexpected(reply.error()));
  });
}

void Broker::disconnect(const std::shared_ptr<Session>& session, const ClientLink* link,
                        bool publish_will, std::optional<std::uint32_t> expiry_s) {
  if (!session->detach(link)) return;
  if (expiry_s) expiry_s = std::min(*expiry_s, limits_.session_expiry_max_s);
  std::vector<Event> events;
  std::shared_ptr<const Message> will_now;
  {
    const MutexLock lock(mutex_);
    if (!session->durable()) {
      if (!publish_will) session->will.reset();
      if (const auto own = sessions_.find(session->id()); own != sessions_.end())
        remove_session(own->second, Mode::kLive);
    } else {
      const bool ends = expiry_s.value_or(session->expiry_s) == 0;
      const bool has_will = publish_will && session->will.has_value();
      if (has_will && (ends || session->will->delay_s == 0)) will_now = session->will->message;
      events.emplace_back(
          Detached{session->id(), now_ms(), has_will && will_now == nullptr, expiry_s});
      if (ends) events.emplace_back(Ended{session->id()});
    }
  }
  if (will_now != nullptr) {
    publish_own(std::move(will_now), std::move(events));
  } else if (!events.empty()) {
    append(std::move(events), {});
  }
  publish_due_wills();
}

ReasonCode Broker::check_subscription(const Session& session, const SubscribeRequest::One& one) {
  if (one.refused != ReasonCode::kSuccess) return one.refused;
  const auto shared = wire::mqtt::shared_filter(one.filter);
  const std::string_view path = shared ? shared->filter : std::string_view(one.filter);
  if (count_levels(path) > limits_.topic_levels_max) return ReasonCode::kTopicFilterInvalid;
  const bool known = session.subscriptions.contains(one.filter);
  if (!known && session.subscriptions.size() >= limits_.subscriptions_per_client_max)
    return ReasonCode::kQuotaExceeded;
  if (!shared && one.retain_handling != RetainHandling::kDoNotSend &&
      !retained_fit(session, one.filter))
    return ReasonCode::kQuotaExceeded;
  return static_cast<ReasonCode>(one.options.qos);
}

void Broker::subscribe(const std::shared_ptr<Session>& session, SubscribeRequest request,
                       CodesDone done) {
  std::vector<ReasonCode> codes;
  Subscribed event{.session = session->id(), .at_ms = now_ms(), .all = {}};
  {
    const MutexLock lock(mutex_);
    for (auto& one : request.all) {
      const ReasonCode code = check_subscription(*session, one);
      codes.push_back(code);
      if (wire::mqtt::is_error(code)) continue;
      const bool fresh = !session->subscriptions.contains(one.filter);
      const bool send = one.retain_handling == RetainHandling::kSend ||
                        (one.retain_handling == RetainHandling::kSendIfNew && fresh);
      const bool shared = wire::mqtt::shared_filter(one.filter).has_value();
      event.all.push_back({std::move(one.filter), one.options, send && !shared});
    }
    if (!session->durable()) {
      apply_subscribed(event);
      event.all.clear();
    }
  }
  if (event.all.empty()) {
    done(std::move(codes));
    return;
  }
  std::vector<Event> events;
  events.emplace_back(std::move(event));
  append(std::move(events), [codes = std::move(codes), done = std::move(done)](Status status) {
    if (status) {
      done(codes);
    } else {
      done(std::unexpected(std::move(status).error()));
    }
  });
}

void Broker::unsubscribe(const std::shared_ptr<Session>& session, std::vector<std::string> filters,
                         CodesDone done) {
  std::vector<ReasonCode> codes;
  Unsubscribed event{.session = session->id(), .filters = {}};
  {
    const MutexLock lock(mutex_);
    for (auto& filter : filters) {
      const bool known = session->subscriptions.contains(filter);
      codes.push_back(known ? ReasonCode::kSuccess : ReasonCode::kNoSubscriptionExisted);
      if (!known) continue;
      if (session->durable()) {
        event.filters.push_back(std::move(filter));
      } else {
        subscriptions_.remove(*session, filter);
      }
    }
    subscription_count_.store(subscriptions_.size(), std::memory_order_release);
  }
  if (event.filters.empty()) {
    done(std::move(codes));
    return;
  }
  std::vector<Event> events;
  events.emplace_back(std::move(event));
  append(std::move(events), [codes = std::move(codes), done = std::move(done)](Status status) {
    if (status) {
      done(codes);
    } else {
      done(std::unexpected(std::move(status).error()));
    }
  });
}

std::vector<std::pair<std::string, SubscriptionOptions>> Broker::subscriptions_of(
    const Session& session) const {
  const MutexLock lock(mutex_);
  return {session.subscriptions.begin(), session.subscriptions.end()};
}

void Broker::release(const std::shared_ptr<Session>& session,
                     const std::vector<std::uint16_t>& packet_ids, CodesDone done) {
  std::vector<ReasonCode> codes;
  std::vector<Event> events;
  for (const std::uint16_t packet_id : packet_ids) {
    const bool held = session->holds(packet_id);
    codes.push_back(held ? ReasonCode::kSuccess : ReasonCode::kPacketIdentifierNotFound);
    if (!held) continue;
    if (session->durable()) {
      events.emplace_back(Released{session->id(), packet_id});
    } else {
      session->release(packet_id);
    }
  }
  if (events.empty()) {
    done(std::move(codes));
    return;
  }
  append(std::move(events), [codes = std::move(codes), done = std::move(done)](Status status) {
    if (status) {
      done(codes);
    } else {
      done(std::unexpected(std::move(status).error()));
    }
  });
}

void Broker::pubrec(const std::shared_ptr<Session>& session, std::vector<std::uint64_t> sequences,
                    StepDone done) {
  if (!session->durable()) {
    done({});
    return;
  }
  std::vector<Event> events;
  events.emplace_back(PubReceived{session->id(), std::move(sequences)});
  append(std::move(events), std::move(done));
}

void Broker::tell_acked(const std::shared_ptr<Session>& session) {
  auto sequences = session->take_acked();
  if (sequences.empty()) return;
  std::vector<Event> events;
  events.emplace_back(Acked{session->id(), std::move(sequences)});
  // Where the log is too busy to take it, a restart sends these messages again.
  append(std::move(events), {});
}

Broker::Route Broker::route(const Message& message) {
  Route out;
  const bool at_most_once = message.qos() == QoS::kAtMostOnce;
  const Session::Room room{limits_.queue_messages_max, limits_.queue_bytes_max};
  const MutexLock lock(mutex_);
  const auto look_at = [&](const Session& session, QoS wanted) {
    out.any = true;
    if (at_most_once || wanted == QoS::kAtMostOnce || !session.durable()) return;
    out.durable = true;
    if (!session.has_room(room, message.size_bytes())) out.reason = ReasonCode::kQuotaExceeded;
  };
  for (const auto& match : subscriptions_.match(message.topic(), message.publisher()))
    look_at(*match.session, match.qos);
  out.chosen = subscriptions_.choose(message.topic());
  for (const auto& chosen : out.chosen) {
    if (const auto session = find(chosen.session)) look_at(*session, chosen.options.qos);
  }
  if (message.retain()) {
    out.durable = true;
    const auto* before = retained_.find(message.topic());
    const bool clears = message.payload().empty();
    if (!clears && ((before == nullptr && retained_.size() >= limits_.retained_max) ||
                    retained_bytes_ + message.size_bytes() > limits_.retained_bytes_max))
      out.reason = ReasonCode::kQuotaExceeded;
  }
  if (out.durable && Message::held_bytes() > limits_.message_bytes_max)
    out.reason = ReasonCode::kQuotaExceeded;
  return out;
}

void Broker::pass(const Published& published) {
  const MutexLock lock(mutex_);
  apply_published(published);
}

ingest::Attached Broker::attach(std::vector<Event> events) {
  std::string bytes;
  std::vector<std::size_t> ends;
  for (const Event& event : events) {
    if (!is_logged(event)) continue;
    encode_event(event, bytes);
    ends.push_back(bytes.size());
  }
  std::vector<std::string_view> values;
  values.reserve(ends.size());
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    values.push_back(std::string_view(bytes).substr(begin, end - begin));
    begin = end;
  }
  ingest::Attached out;
  out.entry.stream = kBrokerStream;
  out.entry.record_count = static_cast<std::uint32_t>(values.size());
  wire::encode_record_batch(values, runtime::wall_us() / 1000 * 1000, out.entry.batch);
  auto shared = std::make_shared<std::vector<Event>>(std::move(events));
  out.stored = [this, shared, size = out.entry.batch.size()](Offset base) {
    apply(*shared, base);
    const MutexLock lock(mutex_);
    bytes_since_checkpoint_ += size;
    if (checkpoint_is_due()) checkpoint_due_.notify_all();
  };
  return out;
}

void Broker::append(std::vector<Event> events, StepDone done) {
  ingest_->append(attach(std::move(events)),
                  [done = std::move(done)](const Result<ingest::IngestReply>& reply) {
                    if (!done) return;
                    if (reply) {
                      done({});
                    } else {
                      done(std::unexpected(reply.error()));
                    }
                  });
}

void Broker::publish_own(std::shared_ptr<const Message> message, std::vector<Event> with) {
  StreamTopicCache topics(speed_);
  PublishBatch batch(*this, topics, {});
  batch.add_own(message, std::move(with));
  batch.flush();
}

void Broker::publish_due_wills() {
  std::vector<std::shared_ptr<const Message>> wills;
  {
    const MutexLock lock(mutex_);
    wills.swap(wills_);
  }
  for (auto& will : wills) publish_own(std::move(will), {});
}

void Broker::tick(std::int64_t now) {
  struct Due {
    SessionId session = 0;
    std::shared_ptr<const Message> will;
    bool ends = false;
  };
  std::vector<Due> due;
  {
    const MutexLock lock(mutex_);
    while (!due_.empty() && due_.begin()->first <= now) {
      const auto session = find(due_.begin()->second);
      due_.erase(due_.begin());
      if (session == nullptr || session->detached_at_ms == 0 || session->connected() ||
          session->ending)
        continue;
      Due one{.session = session->id(), .will = {}};
      const std::int64_t away_ms = now - session->detached_at_ms;
      one.ends =
          session->expiry_s != kNeverExpires && away_ms >= std::int64_t{session->expiry_s} * 1000;
      if (session->will && (one.ends || away_ms >= std::int64_t{session->will->delay_s} * 1000)) {
        one.will = session->will->message;
        session->will.reset();
      }
      session->ending = one.ends;
      due.push_back(std::move(one));
    }
    if (checkpoint_is_due()) checkpoint_due_.notify_all();
  }
  for (auto& one : due) {
    std::vector<Event> events;
    if (one.ends) {
      events.emplace_back(Ended{one.session});
    } else if (one.will != nullptr) {
      events.emplace_back(WillDone{one.session});
    }
    if (one.will != nullptr) {
      publish_own(std::move(one.will), std::move(events));
    } else if (!events.empty()) {
      append(std::move(events), {});
    }
  }
  if (now >= system_due_ms_) {
    system_due_ms_ = now + 10'000;
    publish_system(now);
  }
}

void Broker::publish_system(std::int64_t now) {
  if (routes_nothing()) return;
  const Sizes all = sizes();
  const std::pair<std::string_view, std::string> values[] = {
      {"$SYS/broker/version", fmt::format("Millrace {}", MR_VERSION)},
      {"$SYS/broker/uptime", fmt::format("{}", (now - started_ms_) / 1000)},
      {"$SYS/broker/clients/connected", fmt::format("{}", all.connected)},
      {"$SYS/broker/clients/total", fmt::format("{}", all.sessions)},
      {"$SYS/broker/subscriptions/count", fmt::format("{}", all.subscriptions)},
      {"$SYS/broker/retained messages/count", fmt::format("{}", all.retained)},
      {"$SYS/broker/messages/received", fmt::format("{}", counters_.published.load())},
      {"$SYS/broker/messages/stored", fmt::format("{}", all.queued)},
  };
  for (const auto& [topic, value] : values) {
    pass({Message::of(topic, value, QoS::kAtMostOnce, false), {}, true});
  }
}

Sizes Broker::sizes() const {
  const MutexLock lock(mutex_);
  Sizes out{.sessions = sessions_.size(),
            .subscriptions = subscriptions_.size(),
            .retained = retained_.size(),
            .retained_bytes = retained_bytes_};
  for (const auto& [id, session] : sessions_) {
    out.connected += session->connected() ? 1 : 0;
    out.queued += session->queued();
  }
  return out;
}

bool Broker::retained_fit(const Session& session, std::string_view filter) {
  std::uint64_t left =
      limits_.queue_messages_max - std::min(limits_.queue_messages_max, session.queued());
  return retained_.for_each_topic_of(filter, [&](const auto&) { return left-- != 0; });
}

}  // namespace millrace::broker
