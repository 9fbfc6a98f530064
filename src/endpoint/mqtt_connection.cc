#include "endpoint/mqtt_connection.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>

#include "runtime/clock.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
namespace mqtt = wire::mqtt;
using boost::system::error_code;
using broker::Delivery;
using broker::Session;
using mqtt::ReasonCode;

/// Messages are put into the output up to here; the rest waits in the session.
constexpr std::size_t kOutBytes = std::size_t{64} * 1024;
constexpr std::size_t kKeptBytes = std::size_t{4} * 1024;
constexpr std::chrono::milliseconds kAgain{10};
/// With this every connection begins (3.1.1).
constexpr char kConnectByte = 0x10;
/// Of a CONNECT: from clients of whom nothing is known.
constexpr std::uint32_t kConnectBytes = 256 * 1024;

/// A buffer that grew for a burst does not stay.
void release_if_large(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) std::string().swap(buffer);
}

}  // namespace

MqttConnection::MqttConnection(MqttLoop& loop, std::uint64_t id, MqttStream stream)
    : keeps_loop_(loop.shared_from_this()), loop_(loop), id_(id), stream_(std::move(stream)) {}

void MqttConnection::start() {
  last_packet_ = std::chrono::steady_clock::now();
  set_deadline();
  receive();
}

void MqttConnection::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  loop_.wake(shared_from_this());
}

void MqttConnection::end(ReasonCode reason) {
  on_loop([](MqttConnection& self, ReasonCode why) { self.leave(why); })(reason);
}

void MqttConnection::awake() {
  woken_.store(false, std::memory_order_release);
  if (state_ == State::kOpen) flush();
}

bool MqttConnection::may_read() const {
  const auto& options = loop_.state().options;
  if (state_ == State::kNew || state_ == State::kLeaving) return true;
  if (state_ != State::kOpen || waits_) return false;
  if (sending_.size() - sent_ + out_.size() > 4 * kOutBytes) return false;
  return bytes_in_flight_ < options.client_bytes_in_flight_max;
}

void MqttConnection::receive() {
  if (receiving_ || !may_read()) return;
  receiving_ = true;
  // Idle connections wait without a buffer.
  stream_.async_wait_read(
      [self = shared_from_this()](const error_code& ec) { self->on_readable(ec); });
}

void MqttConnection::on_readable(const error_code& ec) {
  receiving_ = false;
  if (state_ == State::kClosed) return;
  if (ec) {
    close();
    return;
  }
  auto& scratch = loop_.scratch();
  error_code failure;
  const std::size_t got = stream_.read_some(asio::buffer(scratch), failure);
  if (failure == asio::error::would_block || failure == asio::error::try_again) {
    receive();
    return;
  }
  if (failure || got == 0) {
    close();
    return;
  }
  loop_.state().metrics.received_bytes.fetch_add(got, std::memory_order_relaxed);
  if (state_ == State::kLeaving) {
    receive();  // nobody wants it; a reset would destroy the farewell on its way
    return;
  }
  if (in_.empty()) {
    const std::string_view bytes(scratch.data(), got);
    const std::size_t taken = take_packets(bytes);
    if (state_ != State::kClosed) in_.assign(bytes.substr(taken));
  } else {
    in_.append(scratch.data(), got);
    const std::size_t taken = take_packets(in_);
    in_.erase(0, taken);
    if (in_.empty()) release_if_large(in_);
  }
  after_packets();
}

// What has come of packets that are not whole is bounded for all clients together: whoever begins
// packets and does not end them must not fill the memory.
void MqttConnection::charge_unfinished() {
  if (in_.empty()) release_if_large(in_);
  auto& all = loop_.state().unfinished_bytes;
  const std::uint64_t bytes = in_.capacity() > kKeptBytes ? in_.capacity() : 0;
  const std::uint64_t before = std::exchange(unfinished_bytes_, bytes);
  if (bytes == before) return;
  const auto total = all.fetch_add(bytes - before, std::memory_order_relaxed) + bytes - before;
  // What waits_ is whole: not the client makes it wait.
  if (bytes < before || waits_ || total <= loop_.state().options.unfinished_bytes_max) return;
  if (state_ == State::kOpen) {
    leave(ReasonCode::kQuotaExceeded, "too many packets of all clients are not whole");
  } else {
    close();
  }
  std::string().swap(in_);
  all.fetch_sub(std::exchange(unfinished_bytes_, 0), std::memory_order_relaxed);
}

std::size_t MqttConnection::take_packets(std::string_view bytes) {
  std::size_t taken = 0;
  waits_ = false;
  const auto& options = loop_.state().options;
  if (state_ == State::kNew && !bytes.empty() && bytes.front() != kConnectByte) {
    // Not MQTT at all, and not to be held until the time for a CONNECT is over [MQTT-3.1.0-1].
    loop_.state().metrics.violations.fetch_add(1, std::memory_order_relaxed);
    close();
    return 0;
  }
  while (state_ == State::kNew || state_ == State::kOpen) {
    const auto frame =
        mqtt::try_frame(bytes.substr(taken), state_ == State::kNew
                                                 ? std::min(options.packet_bytes_max, kConnectBytes)
                                                 : options.packet_bytes_max);
    if (frame.state == mqtt::Frame::State::kNeedMore) break;
    if (frame.state != mqtt::Frame::State::kComplete) {
      violated(frame.violation);
      break;
    }
    const Step step = take_packet(frame);
    if (step == Step::kWait) {
      waits_ = true;
      break;
    }
    if (step == Step::kStop) break;
    taken += frame.size;
    last_packet_ = std::chrono::steady_clock::now();
    loop_.state().metrics.received_packets.fetch_add(1, std::memory_order_relaxed);
  }
  if (taken != 0 || in_.empty()) packet_began_ = std::chrono::steady_clock::now();
  return taken;
}

void MqttConnection::after_packets() {
  if (state_ == State::kClosed) return;
  charge_unfinished();
  if (state_ == State::kClosed) return;
  if (batch_ != nullptr) batch_->flush();
  if (state_ == State::kOpen) {
    send_steps();
    loop_.state().broker.tell_acked(session_);
    append_acks();
    flush();
  }
  set_deadline();
  if (state_ == State::kOpen && waits_) try_again_soon();
  receive();
}

void MqttConnection::try_again_soon() {
  if (again_ == nullptr) again_ = std::make_unique<asio::steady_timer>(loop_.context());
  const auto pace = pace_wait(std::chrono::steady_clock::now());
  again_->expires_after(std::max<MqttPace::Clock::duration>(kAgain, pace));
  again_->async_wait([self = shared_from_this()](const error_code& ec) {
    if (ec || self->state_ != State::kOpen) return;
    std::string bytes = std::exchange(self->in_, {});
    const std::size_t taken = self->take_packets(bytes);
    bytes.erase(0, taken);
    self->in_ = std::move(bytes);
    self->after_packets();
  });
}

MqttPace::Clock::duration MqttConnection::pace_wait(MqttPace::Clock::time_point now) const {
  return std::max(message_pace_.wait(now), byte_pace_.wait(now));
}

void MqttConnection::flush() {
  fill();
  send();
}

void MqttConnection::fill() {
  if (state_ != State::kOpen || session_ == nullptr || subscribing_ != 0) return;
  more_to_fill_ = false;
  // In turn, so that neither holds up the other for good.
  if (rows_first_) fill_from_views();
  fill_from_session();
  if (!rows_first_) fill_from_views();
  rows_first_ = !rows_first_;
}

bool MqttConnection::is_full() {
  if (out_.size() < kOutBytes && sending_.size() - sent_ < kOutBytes) return false;
  more_to_fill_ = true;
  return true;
}

void MqttConnection::fill_from_session() {
  const std::int64_t now_ms = runtime::wall_us() / 1000;
  session_->take(client_receive_maximum_, [&](const broker::Outgoing& outgoing) {
    return is_full() ? Session::Taken::kFull : write_outgoing(outgoing, now_ms);
  });
}

void MqttConnection::fill_from_views() {
  if (views_ == nullptr) return;
  views_->take(
      [&](const mqtt::Publish& row) { return is_full() ? Session::Taken::kFull : write_row(row); });
}

Session::Taken MqttConnection::write_outgoing(const broker::Outgoing& outgoing,
                                              std::int64_t now_ms) {
  if (outgoing.delivery == nullptr) {
    write_ack(mqtt::PacketType::kPubRel, outgoing.packet_id, ReasonCode::kSuccess);
    return Session::Taken::kWritten;
  }
  const Delivery& delivery = *outgoing.delivery;
  if (!delivery.dup && delivery.message->expired(now_ms)) {
    loop_.state().broker.counters().expired.fetch_add(1, std::memory_order_relaxed);
    return Session::Taken::kSkipped;
  }
  mqtt::Publish publish = delivery.message->publish(now_ms);
  if (!may_deliver(publish.topic)) return Session::Taken::kSkipped;
  publish.qos = delivery.qos;
  publish.retain = delivery.retain;
  publish.dup = delivery.dup;
  publish.packet_id = outgoing.packet_id;
  publish.subscription_ids = delivery.ids.all();
  if (!fits(publish)) return Session::Taken::kSkipped;  // as if it had been sent [MQTT-3.1.2-25]
  write_publish(publish);
  return Session::Taken::kWritten;
}

Session::Taken MqttConnection::write_row(mqtt::Publish publish) {
  if (!fits(publish)) return Session::Taken::kSkipped;
  if (publish.qos != mqtt::QoS::kAtMostOnce) {
    publish.packet_id = session_->begin_row(client_receive_maximum_);
    if (publish.packet_id == 0) return Session::Taken::kFull;
  }
  write_publish(publish);
  return Session::Taken::kWritten;
}

bool MqttConnection::fits(const mqtt::Publish& publish) const {
  const std::size_t max = client_packet_max_ == 0 ? mqtt::kMaxPacketBytes : client_packet_max_;
  return mqtt::encoded_size(publish, version_) <= max;
}

void MqttConnection::write_publish(mqtt::Publish& publish) {
  if (client_aliases_max_ != 0) {
    const auto known = sent_aliases_.find(std::string(publish.topic));
    if (known != sent_aliases_.end()) {
      publish.topic_alias = known->second;
      publish.topic = {};
    } else if (sent_aliases_.size() < client_aliases_max_) {
      publish.topic_alias = static_cast<std::uint16_t>(sent_aliases_.size() + 1);
      sent_aliases_.emplace(publish.topic, publish.topic_alias);
      // The alias itself must not make it too large.
      if (!fits(publish)) {
        sent_aliases_.erase(std::string(publish.topic));
        publish.topic_alias = 0;
      }
    }
  }
  mqtt::encode(publish, version_, out_);
  loop_.state().metrics.sent_messages.fetch_add(1, std::memory_order_relaxed);
}

void MqttConnection::send() {
  if (state_ == State::kClosed || sent_ < sending_.size() || out_.empty()) return;
  sending_.swap(out_);
  release_if_large(out_);
  sent_ = 0;
  write_began_ = std::chrono::steady_clock::now();
  // Most often the socket takes it at once.
  error_code ec;
  const std::size_t bytes = stream_.write_some(asio::buffer(sending_), ec);
  if (ec && ec != asio::error::would_block && ec != asio::error::try_again) {
    close();
    return;
  }
  on_sent({}, ec ? 0 : bytes);
}

void MqttConnection::on_sent(const error_code& ec, std::size_t bytes) {
  if (state_ == State::kClosed) return;
  if (ec) {
    close();
    return;
  }
  loop_.state().metrics.sent_bytes.fetch_add(bytes, std::memory_order_relaxed);
  sent_ += bytes;
  if (bytes != 0) write_began_ = std::chrono::steady_clock::now();
  if (sent_ < sending_.size()) {
    stream_.async_write_some(
        asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
        [self = shared_from_this()](const error_code& failure, std::size_t written) {
          self->on_sent(failure, written);
        });
    set_deadline();
    return;
  }
  release_if_large(sending_);
  sent_ = 0;
  if (state_ == State::kLeaving && out_.empty()) {
    stream_.shutdown_send();
    receive();
    return;
  }
  set_deadline();
  // Not from within itself: one client's queue must not hold the loop.
  if (more_to_fill_) wake();
  if (!out_.empty()) send();
  receive();
}

void MqttConnection::set_deadline() {
  const auto& options = loop_.state().options;
  auto deadline = std::chrono::steady_clock::time_point::max();
  if (state_ == State::kNew || state_ == State::kConnecting) {
    deadline = last_packet_ + options.connect_time;
  } else if (state_ == State::kLeaving) {
    deadline = write_began_ + options.stop_grace_time;
  } else if (keep_alive_s_ != 0) {
    // One and a half times the client's promise [MQTT-3.1.2-22].
    deadline = last_packet_ + std::chrono::milliseconds(std::int64_t{keep_alive_s_} * 1500);
  }
  if (state_ == State::kOpen && !in_.empty() && !waits_)
    deadline = std::min(deadline, packet_began_ + options.packet_time);
  if (sent_ < sending_.size()) deadline = std::min(deadline, write_began_ + options.write_time);
  deadline_ = deadline;
}

void MqttConnection::time_is_over(std::chrono::steady_clock::time_point now) {
  set_deadline();
  // While nothing is read for back-pressure the client's packets count when they are read.
  if (state_ == State::kOpen && !may_read() && sent_ == sending_.size()) {
    last_packet_ = now;
    packet_began_ = now;
    set_deadline();
  }
  if (deadline_ > now) return;
  loop_.state().metrics.timeouts.fetch_add(1, std::memory_order_relaxed);
  const bool can_write = sent_ >= sending_.size();
  if (state_ == State::kOpen && can_write) {
    const auto& options = loop_.state().options;
    const bool silent = keep_alive_s_ != 0 && in_.empty();
    if (silent || packet_began_ + options.packet_time > now) {
      leave(ReasonCode::kKeepAliveTimeout);
    } else {
      leave(ReasonCode::kImplementationSpecificError,
            "a packet was not whole in time (mqtt.packet_time_ms)");
    }
  } else {
    close();
  }
}

void MqttConnection::leave(ReasonCode reason, std::string_view text) {
  if (state_ == State::kClosed || state_ == State::kLeaving) return;
  const bool open = state_ == State::kOpen;
  if (open && v5()) {
    mqtt::Disconnect packet;
    packet.reason = reason;
    if (problem_information_ && !text.empty()) packet.reason_string = text;
    mqtt::encode(packet, version_, out_);
  }
  if (open && reason != ReasonCode::kSuccess && reason != ReasonCode::kServerShuttingDown) {
    spdlog::info("mqtt: client \"{}\" is disconnected: {}{}{}",
                 session_ == nullptr ? std::string() : session_->client_id(), mqtt::name(reason),
                 text.empty() ? "" : ": ", text);
  }
  if (batch_ != nullptr) batch_->flush();
  detach(/*publish_will=*/true, std::nullopt);
  if (out_.empty() && sent_ >= sending_.size()) {
    close();
    return;
  }
  state_ = State::kLeaving;
  write_began_ = std::chrono::steady_clock::now();
  set_deadline();
  send();
}

void MqttConnection::detach(bool publish_will, std::optional<std::uint32_t> expiry_s) {
  if (session_ == nullptr) return;
  const auto session = std::exchange(session_, nullptr);
  views_.reset();
  loop_.state().broker.disconnect(session, this, publish_will, expiry_s);
}

void MqttConnection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  if (batch_ != nullptr) batch_->flush();
  detach(/*publish_will=*/true, std::nullopt);
  state_ = State::kClosed;
  if (again_ != nullptr) again_->cancel();
  loop_.state().metrics.bytes_in_flight.fetch_sub(bytes_in_flight_, std::memory_order_relaxed);
  bytes_in_flight_ = 0;
  loop_.state().unfinished_bytes.fetch_sub(std::exchange(unfinished_bytes_, 0),
                                           std::memory_order_relaxed);
  stream_.close();
  loop_.remove(id_);
}

}  // namespace millrace::endpoint
