#include "bridge/remote_source.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "broker/topic_tree.h"
#include "model/column_batch.h"
#include "runtime/clock.h"

namespace millrace::bridge {

namespace mqtt = wire::mqtt;
using mqtt::QoS;
using mqtt::ReasonCode;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kConnectTime{10'000};
constexpr milliseconds kFirstPause{200};
constexpr milliseconds kLongestPause{30'000};
constexpr std::uint16_t kKeepAliveS = 30;
/// How long the other broker is to keep the session of a client that is away.
constexpr std::uint32_t kSessionS = 30 * 86'400;
/// Of messages that are not durable yet; MQTT 5 tells the other broker the first.
constexpr std::uint16_t kInFlightMax = 1024;
constexpr std::uint64_t kBytesInFlightMax = std::uint64_t{4} << 20;
constexpr std::size_t kPacketBytesMax = std::size_t{2} << 20;
/// While a subscriber of this broker has no room.
constexpr milliseconds kFullPause{10};

std::unexpected<Error> failed(std::string message) {
  return fail(ErrorCode::kUnavailable, error_id::kBusy, "{}", message);
}

}  // namespace

std::string_view name(SourceState state) {
  switch (state) {
    case SourceState::kPaused:
      return "paused";
    case SourceState::kConnecting:
      return "connecting";
    case SourceState::kConnected:
      return "connected";
    case SourceState::kWaiting:
      return "waiting";
  }
  return "waiting";
}

RemoteSource::RemoteSource(catalog::ConnectionRecord record, BrokerUrl url, broker::Broker& broker)
    : record_(std::move(record)),
      url_(std::move(url)),
      broker_(broker),
      topics_(broker.speed()),
      publisher_(std::make_shared<broker::Session>(0, "", /*durable=*/false)) {}

RemoteSource::~RemoteSource() { stop(); }

void RemoteSource::start() {
  set_state(SourceState::kConnecting);
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "bridge");
}

void RemoteSource::stop() {
  stopping_ = true;
  answers_->wake.set();
  if (thread_.joinable()) thread_.join();
  set_state(SourceState::kPaused);
}

RemoteSource::Status RemoteSource::status() const {
  const MutexLock lock(mutex_);
  return status_;
}

void RemoteSource::set_state(SourceState state, std::string error) {
  const MutexLock lock(mutex_);
  status_ = {state, std::move(error)};
}

std::string RemoteSource::filter() const {
  return record_.share.empty() ? record_.topic
                               : fmt::format("$share/{}/{}", record_.share, record_.topic);
}

void RemoteSource::run() {
  milliseconds pause = kFirstPause;
  while (!stopping()) {
    const auto before = counters_.connects.load();
    const auto ended = serve();
    if (stopping()) break;
    if (counters_.connects.load() != before) pause = kFirstPause;
    spdlog::info("connection {}: {}; it is tried again in {} ms", record_.name,
                 ended.error().message, pause.count());
    set_state(SourceState::kWaiting, ended.error().message);
    for (auto left = pause; left.count() > 0 && !stopping(); left -= kFirstPause)
      std::this_thread::sleep_for(std::min(left, kFirstPause));
    pause = std::min(pause * 2, kLongestPause);
  }
}

millrace::Status RemoteSource::serve() {
  in_.clear();
  taken_ = 0;
  out_.clear();
  // What the other broker has no acknowledgement of comes again.
  first_slot_ += in_flight_.size();
  in_flight_.clear();
  bytes_in_flight_ = 0;
  counters_.waiting = 0;
  {
    const MutexLock lock(answers_->mutex);
    answers_->slots.clear();
    answers_->failure.reset();
  }
  batch_ = std::make_unique<broker::PublishBatch>(
      broker_, topics_,
      [shared = answers_](const std::vector<broker::PublishBatch::Answer>& answers,
                          const std::optional<Error>& error) {
        const MutexLock lock(shared->mutex);
        if (error) {
          shared->failure = error;
        } else {
          for (const auto& one : answers) {
            shared->slots.push_back(one.slot);
            if (one.reason == ReasonCode::kPayloadFormatInvalid) ++shared->quarantined;
          }
        }
        shared->wake.set();
      });
  if (!record_.stream.empty()) {
    stream_ = {
        .stream = broker_.speed().find_stream(record_.stream), .head = "{", .bare_column = {}};
    if (stream_.stream == nullptr)
      return failed(fmt::format("there is no stream {}", record_.stream));
    const auto& columns = stream_.stream->definition().columns;
    if (columns.size() == 1) {
      append_json_string(stream_.bare_column, columns.front().name);
      stream_.bare_column += ':';
    }
  }
  MR_TRY(auto link, ByteLink::connect(url_, stopping_, kConnectTime));
  MR_RETURN_IF_ERROR(hello(link));
  counters_.connects.fetch_add(1, std::memory_order_relaxed);
  set_state(SourceState::kConnected);
  spdlog::info("connection {}: subscribed to {} at {}", record_.name, filter(), record_.url);
  return exchange(link);
}

Result<std::optional<mqtt::Packet>> RemoteSource::next_packet(ByteLink& link,
                                                              milliseconds patience) {
  in_.erase(0, std::exchange(taken_, 0));
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    const auto frame = mqtt::try_frame(in_, kPacketBytesMax);
    if (frame.state == mqtt::Frame::State::kComplete) {
      taken_ = frame.size;
      auto packet = mqtt::decode(frame.bytes, version_, mqtt::Receiver::kClient);
      if (!packet) return failed(packet.error().text());
      return std::optional(std::move(*packet));
    }
    if (frame.state != mqtt::Frame::State::kNeedMore) return failed(frame.violation.text());
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0 || stopping()) return failed("the other broker does not answer");
    MR_RETURN_IF_ERROR(link.send(out_));
    link.wait(answers_->wake, true, !out_.empty(), std::min(left, kFirstPause));
    MR_RETURN_IF_ERROR(link.receive(in_));
  }
}

millrace::Status RemoteSource::hello(ByteLink& link) {
  mqtt::Connect connect;
  connect.version = version_;
  connect.clean_start = record_.clean;
  connect.client_id = record_.client_id;
  connect.keep_alive_s = kKeepAliveS;
  connect.session_expiry_s = record_.clean ? 0 : kSessionS;
  connect.receive_maximum = kInFlightMax;
  connect.maximum_packet_size = kPacketBytesMax;
  if (!record_.user.empty()) connect.user_name = record_.user;
  if (!record_.password.empty()) connect.password = record_.password;
  mqtt::encode(connect, out_);
  const auto older = [&]() -> millrace::Status {
    version_ = mqtt::Version::k311;
    return failed("the other broker does not speak MQTT 5, so 3.1.1 is tried");
  };
  const bool is_v5 = version_ == mqtt::Version::k5;
  auto answer = next_packet(link, kConnectTime);
  // A broker that does not know version 5 answers with a CONNACK of 3.1.1, or just closes.
  if (!answer) return is_v5 && !stopping() ? older() : std::unexpected(answer.error());
  const auto* ack = std::get_if<mqtt::ConnAck>(&**answer);
  if (ack == nullptr) return failed("the other broker does not answer CONNECT with CONNACK");
  if (ack->reason == ReasonCode::kUnsupportedProtocolVersion && is_v5) return older();
  if (ack->reason != ReasonCode::kSuccess) {
    return failed(
        fmt::format("the other broker refused the connection: {}", mqtt::name(ack->reason)));
  }
  std::string list;
  const std::string wanted = filter();
  mqtt::Subscription one;
  one.filter = wanted;
  one.maximum_qos = record_.qos == 0 ? QoS::kAtMostOnce : QoS::kAtLeastOnce;
  // Retained messages are events of before: once is enough.
  one.retain_handling = mqtt::RetainHandling::kSendIfNew;
  mqtt::SubscriptionList::append(one, list);
  mqtt::Subscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.subscriptions = mqtt::SubscriptionList(list, 1);
  mqtt::encode(subscribe, version_, out_);
  last_sent_ = last_received_ = steady_clock::now();
  // Messages of a session that was there may come before the SUBACK.
  for (;;) {
    MR_TRY(const auto packet, next_packet(link, kConnectTime));
    if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
      MR_RETURN_IF_ERROR(take(*publish, static_cast<std::uint32_t>(taken_)));
      continue;
    }
    const auto* granted = std::get_if<mqtt::SubAck>(&*packet);
    if (granted == nullptr) continue;
    const auto code = static_cast<ReasonCode>(granted->codes.empty() ? '\x80' : granted->codes[0]);
    if (mqtt::is_error(code)) {
      return failed(fmt::format("the other broker refused the subscription to {}: {}", wanted,
                                mqtt::name(code)));
    }
    break;
  }
  in_.erase(0, std::exchange(taken_, 0));
  batch_->flush();
  return {};
}

millrace::Status RemoteSource::exchange(ByteLink& link) {
  const auto ping_after = std::chrono::seconds(kKeepAliveS / 2);
  const auto silent_max = std::chrono::seconds(kKeepAliveS * 3 / 2);
  bool first = true;  // what came behind the SUBACK lies in in_
  for (;;) {
    answers_->wake.clear();
    if (stopping()) break;
    MR_RETURN_IF_ERROR(collect_answers());
    append_acks();
    const auto now = steady_clock::now();
    if (now - last_sent_ >= ping_after) {
      mqtt::encode(mqtt::PingReq{}, version_, out_);
      last_sent_ = now;
    }
    if (now - last_received_ >= silent_max) return failed("the other broker is silent");
    MR_RETURN_IF_ERROR(link.send(out_));
    const bool reads = bytes_in_flight_ < kBytesInFlightMax && in_flight_.size() < 2 * kInFlightMax;
    if (!reads) last_received_ = now;  // nobody listens to it
    if (!first) link.wait(answers_->wake, reads, !out_.empty(), milliseconds(1000));
    first = false;
    if (!reads) continue;
    const std::size_t before = in_.size();
    MR_RETURN_IF_ERROR(link.receive(in_));
    if (in_.size() != before) last_received_ = steady_clock::now();
    MR_RETURN_IF_ERROR(take_packets(link));
  }
  // A clean end: the session stays where it is to stay.
  mqtt::encode(mqtt::Disconnect{}, version_, out_);
  return link.send(out_);
}

millrace::Status RemoteSource::take_packets(ByteLink& link) {
  std::size_t at = 0;
  for (;;) {
    const auto frame = mqtt::try_frame(std::string_view(in_).substr(at), kPacketBytesMax);
    if (frame.state == mqtt::Frame::State::kNeedMore) break;
    if (frame.state != mqtt::Frame::State::kComplete) return failed(frame.violation.text());
    auto packet = mqtt::decode(frame.bytes, version_, mqtt::Receiver::kClient);
    if (!packet) return failed(packet.error().text());
    if (const auto* publish = std::get_if<mqtt::Publish>(&*packet)) {
      MR_RETURN_IF_ERROR(take(*publish, static_cast<std::uint32_t>(frame.size)));
    } else if (const auto* end = std::get_if<mqtt::Disconnect>(&*packet)) {
      return failed(
          fmt::format("the other broker ended the connection: {}", mqtt::name(end->reason)));
    }
    at += frame.size;
  }
  in_.erase(0, at);
  batch_->flush();
  append_acks();
  return link.send(out_);
}

millrace::Status RemoteSource::take(const mqtt::Publish& publish, std::uint32_t bytes) {
  if (publish.qos == QoS::kExactlyOnce)
    return failed("the other broker sends QoS 2 where QoS 1 was asked for");
  counters_.messages.fetch_add(1, std::memory_order_relaxed);
  counters_.bytes.fetch_add(publish.payload.size(), std::memory_order_relaxed);
  if (publish.dup) counters_.redelivered.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t slot = first_slot_ + in_flight_.size();
  in_flight_.push_back({.packet_id = publish.packet_id, .bytes = bytes});
  bytes_in_flight_ += bytes;
  counters_.waiting.fetch_add(1, std::memory_order_relaxed);
  if (stream_.stream != nullptr) {
    if (broker_.speed().find_stream(record_.stream) != stream_.stream)
      return failed(fmt::format("stream {} was dropped", record_.stream));
    batch_->add_event(stream_, publish, slot);
    return {};
  }
  return take_for_topics(publish, slot);
}

millrace::Status RemoteSource::take_for_topics(const mqtt::Publish& publish, std::uint64_t slot) {
  // These are this broker's own.
  if (publish.topic.starts_with('$') || publish.topic.starts_with("views/") ||
      broker::count_levels(publish.topic) > broker_.limits().topic_levels_max) {
    counters_.unmatched.fetch_add(1, std::memory_order_relaxed);
    answered(slot);
    return {};
  }
  mqtt::Publish message = publish;
  // It was retained there; here it is a message like others.
  message.retain = false;
  message.topic_alias = 0;
  for (;;) {
    const auto added = batch_->add(publisher_, message, slot, runtime::wall_us() / 1000);
    switch (added.outcome) {
      case broker::PublishBatch::Outcome::kPending:
        return {};
      case broker::PublishBatch::Outcome::kAnswered:
        if (added.reason == ReasonCode::kNoMatchingSubscribers)
          counters_.unmatched.fetch_add(1, std::memory_order_relaxed);
        answered(slot);
        return {};
      case broker::PublishBatch::Outcome::kFull:
        batch_->flush();
        if (stopping()) return failed("it is stopped");
        std::this_thread::sleep_for(kFullPause);
    }
  }
}

millrace::Status RemoteSource::collect_answers() {
  std::vector<std::uint64_t> slots;
  {
    const MutexLock lock(answers_->mutex);
    if (answers_->failure) return std::unexpected(*answers_->failure);
    slots.swap(answers_->slots);
  }
  for (const std::uint64_t slot : slots) answered(slot);
  return {};
}

void RemoteSource::answered(std::uint64_t slot) {
  // Answers to messages of an earlier connection are of no use: they come again.
  if (slot < first_slot_ || slot - first_slot_ >= in_flight_.size()) return;
  in_flight_[slot - first_slot_].answered = true;
}

void RemoteSource::append_acks() {
  while (!in_flight_.empty() && in_flight_.front().answered) {
    const InFlight entry = in_flight_.front();
    in_flight_.pop_front();
    ++first_slot_;
    bytes_in_flight_ -= entry.bytes;
    counters_.waiting.fetch_sub(1, std::memory_order_relaxed);
    if (entry.packet_id == 0) continue;
    mqtt::Ack ack;
    ack.type = mqtt::PacketType::kPubAck;
    ack.packet_id = entry.packet_id;
    mqtt::encode(ack, version_, out_);
    last_sent_ = steady_clock::now();
  }
}

}  // namespace millrace::bridge
