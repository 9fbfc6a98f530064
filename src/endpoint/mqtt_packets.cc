// What each packet of a client means. MQTT 5 is the OASIS standard of 2019-03-07.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "broker/topic_tree.h"
#include "endpoint/mqtt_connection.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "wire/mqtt_topic.h"

namespace millrace::endpoint {
namespace {

namespace mqtt = wire::mqtt;
using broker::PublishBatch;
using broker::Session;
using mqtt::PacketType;
using mqtt::QoS;
using mqtt::ReasonCode;

std::int64_t now_ms() { return runtime::wall_us() / 1000; }

broker::Will will_of(const mqtt::Will& will) {
  mqtt::Publish publish;
  publish.topic = will.topic;
  publish.payload = will.payload;
  publish.qos = will.qos;
  publish.retain = will.retain;
  publish.payload_is_utf8 = will.payload_is_utf8;
  publish.message_expiry_s = will.message_expiry_s;
  publish.content_type = will.content_type;
  publish.response_topic = will.response_topic;
  publish.correlation_data = will.correlation_data;
  publish.repeated = will.user_properties;
  return {.message = broker::Message::of(publish, 0, now_ms()), .delay_s = will.delay_s};
}

ReasonCode reason_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kResourceExhausted:
      return ReasonCode::kQuotaExceeded;
    case ErrorCode::kPayloadTooLarge:
      return ReasonCode::kPacketTooLarge;
    case ErrorCode::kUnauthenticated:
      return ReasonCode::kBadUserNameOrPassword;
    case ErrorCode::kPermissionDenied:
      return ReasonCode::kNotAuthorized;
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return error.id == error_id::kStopping ? ReasonCode::kServerShuttingDown
                                             : ReasonCode::kImplementationSpecificError;
    default:
      return ReasonCode::kImplementationSpecificError;
  }
}

}  // namespace

MqttConnection::Step MqttConnection::violated(const mqtt::Violation& violation) {
  loop_.state().metrics.violations.fetch_add(1, std::memory_order_relaxed);
  spdlog::debug("mqtt: {}", violation.text());
  if (state_ == State::kNew) {
    if (!mqtt::may_answer_connect(violation)) {
      close();
      return Step::kStop;
    }
    version_ = violation.version.value_or(mqtt::Version::k311);
    return refuse_connect(violation.reason, violation.what);
  }
  leave(violation.reason, violation.text());
  return Step::kStop;
}

MqttConnection::Step MqttConnection::protocol_error(ReasonCode reason, std::string_view what) {
  loop_.state().metrics.violations.fetch_add(1, std::memory_order_relaxed);
  leave(reason, what);
  return Step::kStop;
}

void MqttConnection::failed(const Error& error) {
  if (state_ == State::kOpen || state_ == State::kConnecting)
    leave(reason_of(error), error.message);
}

MqttConnection::Step MqttConnection::take_packet(const mqtt::Frame& frame) {
  if (state_ == State::kOpen && frame.type == PacketType::kPublish) return on_paced_publish(frame);
  const auto packet = mqtt::decode(frame.bytes, version_, mqtt::Receiver::kServer);
  if (!packet) return violated(packet.error());
  if (const auto* connect = std::get_if<mqtt::Connect>(&*packet)) {
    if (state_ == State::kNew) return on_connect(*connect);
    return protocol_error(ReasonCode::kProtocolError, "a second CONNECT [MQTT-3.1.0-2]");
  }
  if (state_ == State::kNew) {
    loop_.state().metrics.violations.fetch_add(1, std::memory_order_relaxed);
    close();  // [MQTT-3.1.0-1]
    return Step::kStop;
  }
  if (const auto* ack = std::get_if<mqtt::Ack>(&*packet)) return on_ack(*ack);
  if (const auto* subscribe = std::get_if<mqtt::Subscribe>(&*packet))
    return on_subscribe(*subscribe);
  if (const auto* unsubscribe = std::get_if<mqtt::Unsubscribe>(&*packet))
    return on_unsubscribe(*unsubscribe);
  if (const auto* disconnect = std::get_if<mqtt::Disconnect>(&*packet))
    return on_disconnect(*disconnect);
  if (std::holds_alternative<mqtt::PingReq>(*packet)) {
    mqtt::encode(mqtt::PingResp{}, version_, out_);
    return Step::kDone;
  }
  return protocol_error(ReasonCode::kProtocolError,
                        "AUTH without an authentication method in CONNECT (4.12)");
}

MqttConnection::Step MqttConnection::refuse_connect(ReasonCode reason, std::string_view text) {
  mqtt::ConnAck answer;
  answer.reason = reason;
  if (v5() && problem_information_ && !text.empty()) answer.reason_string = text;
  mqtt::encode(answer, version_, out_);
  state_ = State::kLeaving;
  write_began_ = std::chrono::steady_clock::now();
  send();
  return Step::kStop;
}

MqttConnection::Step MqttConnection::on_connect(const mqtt::Connect& connect) {
  const auto& options = loop_.state().options;
  version_ = connect.version;
  problem_information_ = connect.request_problem_information;
  if (connect.authentication_method)
    return refuse_connect(ReasonCode::kBadAuthenticationMethod,
                          "extended authentication is not supported");
  const Peer& peer = stream_.peer();
  auto& access = loop_.state().access;
  auto principal =
      connect.user_name
          ? access.authenticate(*connect.user_name, connect.password.value_or(""), peer.address)
          : Result<access::Principal>(access.certified(stream_.certified_user(), peer.local));
  if (principal && !access.is_known(*principal))
    principal = fail(ErrorCode::kPermissionDenied, error_id::kNotAuthenticated,
                     "say who you are: a user name and a password, or a token as the password");
  if (!principal) {
    loop_.state().metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
    return refuse_connect(reason_of(principal.error()), principal.error().message);
  }
  principal_ = *principal;
  if (connect.client_id.size() > options.client_id_bytes_max)
    return refuse_connect(ReasonCode::kClientIdentifierNotValid, "the client id is too long");
  std::string client_id(connect.client_id);
  if (client_id.empty()) {
    if (!v5() && !connect.clean_start)
      return refuse_connect(ReasonCode::kClientIdentifierNotValid, {});  // [MQTT-3.1.3-8]
    client_id = fmt::format("auto-{:016x}{:016x}", runtime::random_u64(), runtime::random_u64());
    assigned_id_ = client_id;
  }
  // A session is its user's alone: another user with the same client id has another one.
  if (const std::string_view user = principal_.name(); !user.empty())
    client_id = fmt::format("{}\x1f{}", user, client_id);
  std::optional<broker::Will> will;
  if (connect.will) {
    const std::string_view topic = connect.will->topic;
    if (topic.starts_with('$') || topic.starts_with(kViewTopics) ||
        broker::count_levels(topic) > options.topic_levels_max)
      return refuse_connect(ReasonCode::kTopicNameInvalid, "the will's topic is not allowed");
    if (!loop_.state().access.topic_allowed(principal_, Privilege::kPublish, topic)) {
      loop_.state().metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
      return refuse_connect(ReasonCode::kNotAuthorized, "the will may not be published");
    }
    will = will_of(*connect.will);
  }
  keep_alive_s_ = connect.keep_alive_s;
  if (v5() && options.keep_alive_max_s != 0 &&
      (keep_alive_s_ == 0 || keep_alive_s_ > options.keep_alive_max_s)) {
    keep_alive_s_ = options.keep_alive_max_s;
    keep_alive_capped_ = true;
  }
  const std::uint32_t expiry_max = loop_.state().broker.limits().session_expiry_max_s;
  const std::uint32_t asked =
      v5() ? connect.session_expiry_s : (connect.clean_start ? 0 : broker::kNeverExpires);
  expiry_s_ = std::min(asked, expiry_max);
  expiry_capped_ = expiry_s_ != asked;
  client_receive_maximum_ = connect.receive_maximum;
  client_packet_max_ = connect.maximum_packet_size;
  client_aliases_max_ = std::min(connect.topic_alias_maximum, options.topic_aliases_max);
  state_ = State::kConnecting;
  // A connection that ended meanwhile must not keep the session.
  loop_.state().broker.connect(
      {.client_id = std::move(client_id),
       .clean = connect.clean_start,
       .expiry_s = expiry_s_,
       .will = std::move(will)},
      shared_from_this(), [self = shared_from_this()](Result<broker::Connected> connected) {
        auto shared = std::make_shared<Result<broker::Connected>>(std::move(connected));
        self->loop_.post([self, shared] { self->on_connected(std::move(*shared)); });
      });
  return Step::kDone;
}

void MqttConnection::on_connected(Result<broker::Connected> connected) {
  if (!connected) {
    if (state_ != State::kConnecting) return;
    const auto reason = connected.error().code == ErrorCode::kResourceExhausted
                            ? ReasonCode::kServerBusy
                            : ReasonCode::kServerUnavailable;
    static_cast<void>(refuse_connect(reason, connected.error().message));
    return;
  }
  session_ = connected->session;
  if (state_ != State::kConnecting) {
    // The client, or the server, went away meanwhile.
    detach(/*publish_will=*/true, std::nullopt);
    return;
  }
  const auto& options = loop_.state().options;
  state_ = State::kOpen;
  mqtt::ConnAck answer;
  answer.session_present = connected->present;
  if (expiry_capped_) answer.session_expiry_s = expiry_s_;
  answer.receive_maximum = options.receive_maximum;
  answer.maximum_packet_size = options.packet_bytes_max;
  answer.topic_alias_maximum = options.topic_aliases_max;
  if (!assigned_id_.empty()) answer.assigned_client_id = assigned_id_;
  if (keep_alive_capped_) answer.server_keep_alive_s = keep_alive_s_;
  mqtt::encode(answer, version_, out_);
  std::string().swap(assigned_id_);
  if (connected->present) resume_subscriptions();
  last_packet_ = std::chrono::steady_clock::now();
  // Packets that came behind CONNECT.
  std::string bytes = std::exchange(in_, {});
  const std::size_t taken = take_packets(bytes);
  bytes.erase(0, taken);
  in_ = std::move(bytes);
  after_packets();
}

MqttConnection::Step MqttConnection::refuse_publish(const mqtt::Publish& publish,
                                                    ReasonCode reason) {
  if (!v5()) {
    // Before version 5 an acknowledgement has no reason, and ours means "kept".
    leave(reason, {});
    return Step::kStop;
  }
  if (publish.qos == QoS::kAtMostOnce) return Step::kDone;
  in_flight_.push_back(
      {.packet_id = publish.packet_id, .qos = publish.qos, .answered = true, .reason = reason});
  ++unacknowledged_;
  return Step::kDone;
}

MqttConnection::Step MqttConnection::on_paced_publish(const mqtt::Frame& frame) {
  const auto& options = loop_.state().options;
  if (options.client_messages_per_second_max == 0 && options.client_bytes_per_second_max == 0)
    return on_publish(frame);
  const auto now = std::chrono::steady_clock::now();
  if (pace_wait(now) > MqttPace::Clock::duration(0)) {
    if (!std::exchange(is_paced_, true))
      loop_.state().metrics.paced.fetch_add(1, std::memory_order_relaxed);
    return Step::kWait;
  }
  is_paced_ = false;
  const Step step = on_publish(frame);
  if (step != Step::kDone) return step;
  message_pace_.charge(now, 1, options.client_messages_per_second_max);
  byte_pace_.charge(now, frame.size, options.client_bytes_per_second_max);
  return step;
}

MqttConnection::Step MqttConnection::on_publish(const mqtt::Frame& frame) {
  const auto& options = loop_.state().options;
  auto decoded = mqtt::decode_publish(frame.bytes, version_, mqtt::Receiver::kServer);
  if (!decoded) return violated(decoded.error());
  mqtt::Publish& publish = *decoded;
  if (publish.topic_alias != 0) {
    if (publish.topic_alias > options.topic_aliases_max)
      return protocol_error(ReasonCode::kTopicAliasInvalid, "[MQTT-3.3.2-9]");
    if (aliases_.size() < publish.topic_alias) aliases_.resize(publish.topic_alias);
    std::string& alias = aliases_[publish.topic_alias - 1U];
    if (publish.topic.empty()) {
      if (alias.empty())
        return protocol_error(ReasonCode::kProtocolError, "an unknown topic alias (3.3.2.3.4)");
      publish.topic = alias;
    } else {
      alias = publish.topic;
    }
  }
  if (publish.qos != QoS::kAtMostOnce && unacknowledged_ >= options.receive_maximum) {
    if (v5()) return protocol_error(ReasonCode::kReceiveMaximumExceeded, "[MQTT-3.3.4-9]");
    return Step::kWait;
  }
  if (loop_.state().metrics.bytes_in_flight.load(std::memory_order_relaxed) >
      options.bytes_in_flight_max)
    return Step::kWait;
  if (publish.topic.starts_with(kViewTopics))
    return refuse_publish(publish, ReasonCode::kNotAuthorized);
  if (publish.topic.starts_with('$') ||
      broker::count_levels(publish.topic) > options.topic_levels_max)
    return refuse_publish(publish, ReasonCode::kTopicNameInvalid);
  if (!loop_.state().access.topic_allowed(principal_, Privilege::kPublish, publish.topic)) {
    loop_.state().metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
    return refuse_publish(publish, ReasonCode::kNotAuthorized);
  }
  if (batch_ == nullptr) {
    batch_ = std::make_unique<PublishBatch>(
        loop_.state().broker, loop_.topics(),
        on_loop([](MqttConnection& self, std::vector<PublishBatch::Answer> answers,
                   const std::optional<Error>& error) { self.answer(std::move(answers), error); }));
  }
  const bool quiet = publish.qos == QoS::kAtMostOnce;
  const std::uint64_t slot = first_slot_ + in_flight_.size();
  const auto added = batch_->add(session_, publish, slot, now_ms());
  const auto bytes = static_cast<std::uint32_t>(frame.size);
  switch (added.outcome) {
    case PublishBatch::Outcome::kFull: {
      const auto now = std::chrono::steady_clock::now();
      if (!full_since_) full_since_ = now;
      if (now - *full_since_ < options.full_time) return Step::kWait;
      full_since_.reset();
      loop_.state().broker.counters().refused.fetch_add(1, std::memory_order_relaxed);
      return refuse_publish(publish, added.reason == ReasonCode::kSuccess
                                         ? ReasonCode::kPacketIdentifierInUse
                                         : added.reason);
    }
    case PublishBatch::Outcome::kAnswered:
      full_since_.reset();
      if (quiet) return Step::kDone;
      in_flight_.push_back({.packet_id = publish.packet_id,
                            .qos = publish.qos,
                            .answered = true,
                            .reason = added.reason});
      ++unacknowledged_;
      return Step::kDone;
    case PublishBatch::Outcome::kPending:
      full_since_.reset();
      in_flight_.push_back({.packet_id = publish.packet_id, .qos = publish.qos, .bytes = bytes});
      if (!quiet) ++unacknowledged_;
      bytes_in_flight_ += bytes;
      loop_.state().metrics.bytes_in_flight.fetch_add(bytes, std::memory_order_relaxed);
      return Step::kDone;
  }
  return Step::kDone;
}

void MqttConnection::answer(std::vector<PublishBatch::Answer> answers,
                            const std::optional<Error>& error) {
  if (state_ != State::kOpen) return;
  if (error) {
    // A passing fault: the client connects again and repeats what has no acknowledgement.
    failed(*error);
    return;
  }
  for (const auto& one : answers) {
    if (one.slot == broker::kNoSlot || one.slot < first_slot_ ||
        one.slot - first_slot_ >= in_flight_.size())
      continue;
    InFlight& entry = in_flight_[one.slot - first_slot_];
    entry.answered = true;
    entry.reason = one.reason;
  }
  append_acks();
  flush();
  set_deadline();
  receive();
}

void MqttConnection::append_acks() {
  std::vector<std::uint16_t> refused;
  while (!in_flight_.empty() && in_flight_.front().answered) {
    const InFlight entry = in_flight_.front();
    in_flight_.pop_front();
    ++first_slot_;
    bytes_in_flight_ -= entry.bytes;
    loop_.state().metrics.bytes_in_flight.fetch_sub(entry.bytes, std::memory_order_relaxed);
    if (entry.qos == QoS::kAtMostOnce) continue;
    --unacknowledged_;
    const bool twice = entry.qos == QoS::kExactlyOnce;
    write_ack(twice ? PacketType::kPubRec : PacketType::kPubAck, entry.packet_id, entry.reason);
    // With an error PUBREC is the last word, and the id is free (4.3.3).
    if (twice && v5() && mqtt::is_error(entry.reason)) refused.push_back(entry.packet_id);
  }
  if (!refused.empty()) loop_.state().broker.release(session_, refused, [](const auto&) {});
}

void MqttConnection::write_ack(PacketType type, std::uint16_t packet_id, ReasonCode reason) {
  mqtt::Ack ack;
  ack.type = type;
  ack.packet_id = packet_id;
  ack.reason = reason;
  if (reason == ReasonCode::kPayloadFormatInvalid && v5() && problem_information_)
    ack.reason_string = "no event of the stream; it is kept in the stream's quarantine";
  mqtt::encode(ack, version_, out_);
}

MqttConnection::Step MqttConnection::on_ack(const mqtt::Ack& ack) {
  switch (ack.type) {
    case PacketType::kPubAck:
      session_->puback(ack.packet_id);
      break;
    case PacketType::kPubRec: {
      std::uint64_t sequence = 0;
      const bool refused = mqtt::is_error(ack.reason);
      switch (session_->pubrec(ack.packet_id, refused, sequence)) {
        case Session::PubRec::kNew:
          pubrecs_.emplace_back(sequence, ack.packet_id);
          break;
        case Session::PubRec::kRepeated:
          write_ack(PacketType::kPubRel, ack.packet_id, ReasonCode::kSuccess);
          break;
        case Session::PubRec::kUnknown:
          if (!refused)
            write_ack(PacketType::kPubRel, ack.packet_id, ReasonCode::kPacketIdentifierNotFound);
          break;
      }
      break;
    }
    case PacketType::kPubRel:
      releases_.push_back(ack.packet_id);
      break;
    case PacketType::kPubComp:
      session_->pubcomp(ack.packet_id);
      break;
    default:
      break;
  }
  return Step::kDone;
}

void MqttConnection::send_steps() {
  auto& broker = loop_.state().broker;
  if (!releases_.empty()) {
    const auto packet_ids = std::exchange(releases_, {});
    broker.release(
        session_, packet_ids,
        on_loop([packet_ids](MqttConnection& self, const Result<std::vector<ReasonCode>>& codes) {
          if (self.state_ != State::kOpen) return;
          if (!codes) {
            self.failed(codes.error());
            return;
          }
          for (std::size_t i = 0; i < packet_ids.size(); ++i)
            self.write_ack(PacketType::kPubComp, packet_ids[i], (*codes)[i]);
          self.flush();
        }));
  }
  if (!pubrecs_.empty()) {
    const auto pubrecs = std::exchange(pubrecs_, {});
    std::vector<std::uint64_t> sequences;
    sequences.reserve(pubrecs.size());
    for (const auto& [sequence, packet_id] : pubrecs) sequences.push_back(sequence);
    broker.pubrec(session_, std::move(sequences),
                  on_loop([pubrecs](MqttConnection& self, const Status& status) {
                    if (self.state_ != State::kOpen) return;
                    if (!status) {
                      self.failed(status.error());
                      return;
                    }
                    for (const auto& [sequence, packet_id] : pubrecs)
                      self.write_ack(PacketType::kPubRel, packet_id, ReasonCode::kSuccess);
                    self.flush();
                  }));
  }
}

MqttConnection::Step MqttConnection::on_subscribe(const mqtt::Subscribe& subscribe) {
  broker::SubscribeRequest request;
  struct OfViews {
    std::size_t index = 0;
    std::string filter;
    ViewFilter parsed;
    broker::SubscriptionOptions options;
    mqtt::RetainHandling handling = mqtt::RetainHandling::kSend;
  };
  auto of_views = std::make_shared<std::vector<OfViews>>();
  subscribe.subscriptions.for_each([&](const mqtt::Subscription& one) {
    const auto shared = mqtt::shared_filter(one.filter);
    const std::string_view filter = shared ? shared->filter : one.filter;
    auto parsed = ViewFilter::parse(filter);
    ReasonCode refused = ReasonCode::kSuccess;
    if (!may_subscribe(filter)) {
      loop_.state().metrics.not_authorized.fetch_add(1, std::memory_order_relaxed);
      refused = ReasonCode::kNotAuthorized;
    } else if (shared && parsed && parsed->only_views) {
      // A row is state: whoever takes a part of the rows has a part of the answer.
      refused = ReasonCode::kSharedSubscriptionsNotSupported;
    } else if (!shared && parsed &&
               !views().has_room(std::string(filter), *parsed, of_views->size())) {
      refused = ReasonCode::kQuotaExceeded;
    }
    const broker::SubscriptionOptions options{.qos = one.maximum_qos,
                                              .no_local = one.no_local,
                                              .retain_as_published = one.retain_as_published,
                                              .id = subscribe.subscription_id};
    if (refused == ReasonCode::kSuccess && !shared && parsed) {
      of_views->push_back({request.all.size(), std::string(filter), std::move(*parsed), options,
                           one.retain_handling});
    }
    request.all.push_back({.filter = std::string(one.filter),
                           .options = options,
                           .retain_handling = one.retain_handling,
                           .refused = refused});
  });
  ++subscribing_;
  loop_.state().broker.subscribe(
      session_, std::move(request),
      on_loop([packet_id = subscribe.packet_id, of_views](
                  MqttConnection& self, const Result<std::vector<ReasonCode>>& codes) {
        --self.subscribing_;
        if (self.state_ != State::kOpen) return;
        if (!codes) {
          self.failed(codes.error());
          return;
        }
        std::string bytes;
        for (const ReasonCode code : *codes) bytes.push_back(static_cast<char>(code));
        mqtt::SubAck answer;
        answer.packet_id = packet_id;
        answer.codes = bytes;
        mqtt::encode(answer, self.version_, self.out_);
        for (auto& one : *of_views) {
          if (mqtt::is_error((*codes)[one.index])) continue;
          self.views().subscribe(one.filter, std::move(one.parsed), one.options, one.handling);
        }
        self.flush();
      }));
  return Step::kDone;
}

MqttConnection::Step MqttConnection::on_unsubscribe(const mqtt::Unsubscribe& unsubscribe) {
  std::vector<std::string> filters;
  unsubscribe.filters.for_each([&](std::string_view filter) {
    if (views_ != nullptr) views_->unsubscribe(filter);
    filters.emplace_back(filter);
  });
  loop_.state().broker.unsubscribe(
      session_, std::move(filters),
      on_loop([packet_id = unsubscribe.packet_id](MqttConnection& self,
                                                  const Result<std::vector<ReasonCode>>& codes) {
        if (self.state_ != State::kOpen) return;
        if (!codes) {
          self.failed(codes.error());
          return;
        }
        std::string bytes;
        for (const ReasonCode code : *codes) bytes.push_back(static_cast<char>(code));
        mqtt::SubAck answer;
        answer.type = PacketType::kUnsubAck;
        answer.packet_id = packet_id;
        answer.codes = bytes;
        mqtt::encode(answer, self.version_, self.out_);
        self.flush();
      }));
  return Step::kDone;
}

MqttConnection::Step MqttConnection::on_disconnect(const mqtt::Disconnect& disconnect) {
  if (disconnect.session_expiry_s && expiry_s_ == 0 && *disconnect.session_expiry_s != 0)
    return protocol_error(ReasonCode::kProtocolError,
                          "a session that ends with its connection cannot be kept (3.14.2.2.2)");
  if (batch_ != nullptr) batch_->flush();
  loop_.state().broker.tell_acked(session_);
  detach(disconnect.reason != ReasonCode::kSuccess, disconnect.session_expiry_s);
  close();
  return Step::kStop;
}

}  // namespace millrace::endpoint
