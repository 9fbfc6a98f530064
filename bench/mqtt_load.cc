#include "mqtt_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "http_load.h"

namespace millrace::bench {

namespace {

using namespace wire::mqtt;

constexpr int kWaitMs = 30'000;
constexpr std::size_t kReadBytes = 256 * 1024;

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "{}: {}", what, std::strerror(errno));
}

Status wait_for(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  const int ready = ::poll(&entry, 1, kWaitMs);
  if (ready > 0) return {};
  if (ready < 0) return broken("poll");
  return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal, "the broker says nothing");
}

class Epoll {
 public:
  Epoll() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~Epoll() { ::close(fd_); }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  void watch(int operation, int fd, std::uint32_t events, std::size_t index) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = index;
    ::epoll_ctl(fd_, operation, fd, &event);
  }
  Result<std::span<const epoll_event>> wait() {
    const int count = ::epoll_wait(fd_, events_, kEvents, kWaitMs);
    if (count < 0) return broken("epoll_wait");
    if (count == 0)
      return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal, "the broker says nothing");
    return std::span<const epoll_event>(events_, static_cast<std::size_t>(count));
  }

 private:
  static constexpr int kEvents = 256;
  int fd_;
  epoll_event events_[kEvents];
};

}  // namespace

MqttClient::MqttClient(MqttClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      payloads_(std::move(other.payloads_)) {}

MqttClient& MqttClient::operator=(MqttClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  in_ = std::move(other.in_);
  out_ = std::move(other.out_);
  payloads_ = std::move(other.payloads_);
  return *this;
}

MqttClient::~MqttClient() {
  if (fd_ >= 0) ::close(fd_);
}

Result<MqttClient> MqttClient::connect(std::uint16_t port, std::string_view client_id) {
  MqttClient client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (client.fd_ < 0) return broken("no socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return broken("cannot connect");
  const int on = 1;
  ::setsockopt(client.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Connect packet;
  packet.version = Version::k311;
  packet.client_id = client_id;
  encode(packet, client.out_);
  bool accepted = false;
  MR_RETURN_IF_ERROR(client.await(PacketType::kConnAck, [&](std::string_view frame) {
    const auto answer = decode(frame, Version::k311, Receiver::kClient);
    accepted = answer && std::get<ConnAck>(*answer).reason == ReasonCode::kSuccess;
  }));
  if (!accepted)
    return fail(ErrorCode::kUnavailable, error_id::kInternal, "the broker refused the connection");
  return client;
}

Status MqttClient::subscribe(std::string_view filter, QoS qos) {
  std::string list;
  SubscriptionList::append({.filter = filter, .maximum_qos = qos}, list);
  encode(Subscribe{.packet_id = 1, .subscriptions = SubscriptionList(list, 1)}, Version::k311,
         out_);
  bool granted = false;
  MR_RETURN_IF_ERROR(await(PacketType::kSubAck, [&](std::string_view frame) {
    const auto answer = decode(frame, Version::k311, Receiver::kClient);
    granted = answer && std::get<SubAck>(*answer).codes == std::string(1, static_cast<char>(qos));
  }));
  if (granted) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "{} was not granted", filter);
}

Status MqttClient::ping() {
  encode(PingReq{}, Version::k311, out_);
  return await(PacketType::kPingResp, [](std::string_view) {});
}

Result<std::string> MqttClient::receive_payload() {
  while (payloads_.empty()) {
    MR_RETURN_IF_ERROR(wait_for(fd_, POLLIN));
    MR_RETURN_IF_ERROR(read([&](const Frame& frame) { return keep_payload(frame); }));
  }
  std::string payload = std::move(payloads_.front());
  payloads_.pop_front();
  return payload;
}

Status MqttClient::keep_payload(const Frame& frame) {
  const auto packet = decode_publish(frame.bytes, Version::k311, Receiver::kClient);
  if (!packet)
    return fail(ErrorCode::kInternal, error_id::kInternal, "a packet of type {} came early",
                static_cast<int>(frame.type));
  payloads_.emplace_back(packet->payload);
  return {};
}

Result<bool> MqttClient::flush() {
  std::size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t bytes =
        ::send(fd_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return broken("cannot send");
      break;
    }
    sent += static_cast<std::size_t>(bytes);
  }
  out_.erase(0, sent);
  return out_.empty();
}

Status MqttClient::read(const std::function<Status(const Frame&)>& visit) {
  // One buffer for all: ten thousand idle clients must not cost the machine ten thousand of them.
  thread_local std::string buffer(kReadBytes, '\0');
  const ssize_t bytes = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (bytes == 0)
    return fail(ErrorCode::kUnavailable, error_id::kInternal, "the broker closed the connection");
  if (bytes < 0) return errno == EAGAIN || errno == EINTR ? Status{} : Status(broken("recv"));
  std::string_view rest(buffer.data(), static_cast<std::size_t>(bytes));
  if (!in_.empty()) {
    in_.append(rest);
    rest = in_;
  }
  for (;;) {
    const Frame frame = try_frame(rest, kMaxPacketBytes);
    if (frame.state == Frame::State::kNeedMore) break;
    if (frame.state != Frame::State::kComplete)
      return fail(ErrorCode::kInternal, error_id::kInternal, "the broker sends no MQTT: {}",
                  frame.violation.text());
    MR_RETURN_IF_ERROR(visit(frame));
    rest.remove_prefix(frame.size);
  }
  in_ = std::string(rest);
  return {};
}

Status MqttClient::await(PacketType type, const std::function<void(std::string_view)>& take) {
  for (;;) {
    MR_TRY(const bool sent, flush());
    if (sent) break;
    MR_RETURN_IF_ERROR(wait_for(fd_, POLLOUT));
  }
  bool came = false;
  while (!came) {
    MR_RETURN_IF_ERROR(wait_for(fd_, POLLIN));
    MR_RETURN_IF_ERROR(read([&](const Frame& frame) -> Status {
      if (frame.type != type || came) return keep_payload(frame);
      came = true;
      take(frame.bytes);
      return {};
    }));
  }
  return {};
}

namespace {

/// One connection of publish_qos1: its packet identifiers are 1 to in_flight, each either free or
/// waiting for its PUBACK.
class Publishing {
 public:
  Publishing(MqttClient client, std::size_t in_flight)
      : client_(std::move(client)), sent_us_(in_flight + 1, 0) {
    for (std::size_t id = in_flight; id > 0; --id) free_.push_back(static_cast<std::uint16_t>(id));
  }
  MqttClient& client() { return client_; }
  [[nodiscard]] bool may_send() const { return !free_.empty(); }

  void send(std::string_view topic, std::string_view payload) {
    const std::uint16_t id = free_.back();
    free_.pop_back();
    sent_us_[id] = now_us();
    encode(Publish{.qos = QoS::kAtLeastOnce, .packet_id = id, .topic = topic, .payload = payload},
           Version::k311, client_.out());
  }
  /// Counts the acknowledgements that came.
  Status take_acknowledgements(Latencies& latencies, std::uint64_t& acknowledged) {
    const double now = now_us();
    return client_.read([&](const Frame& frame) -> Status {
      const auto packet = decode(frame.bytes, Version::k311, Receiver::kClient);
      const auto* ack = packet ? std::get_if<Ack>(&*packet) : nullptr;
      if (ack == nullptr || ack->type != PacketType::kPubAck || ack->packet_id >= sent_us_.size() ||
          sent_us_[ack->packet_id] == 0)
        return fail(ErrorCode::kInternal, error_id::kInternal,
                    "an acknowledgement of something that was not sent");
      latencies.add_us(now - sent_us_[ack->packet_id]);
      sent_us_[ack->packet_id] = 0;
      free_.push_back(ack->packet_id);
      ++acknowledged;
      return {};
    });
  }

 private:
  MqttClient client_;
  std::vector<double> sent_us_;  // by packet identifier; 0: not in flight
  std::vector<std::uint16_t> free_;
};

}  // namespace

Result<PublishResult> publish_qos1(const PublishLoad& load, const NextMessage& next) {
  std::vector<Publishing> connections;
  Epoll epoll;
  for (std::size_t i = 0; i < load.connections; ++i) {
    MR_TRY(auto client, MqttClient::connect(load.port, fmt::format("bench-publisher-{}", i)));
    epoll.watch(EPOLL_CTL_ADD, client.fd(), EPOLLIN, i);
    connections.emplace_back(std::move(client), load.in_flight);
  }
  PublishResult result;
  std::uint64_t sent = 0;
  std::uint64_t acknowledged = 0;
  std::string topic;
  std::string payload;
  const auto send_more = [&](std::size_t index) -> Status {
    Publishing& one = connections[index];
    for (; one.may_send() && sent < load.messages; ++sent) {
      next(index, sent, topic, payload);
      one.send(topic, payload);
    }
    MR_TRY(const bool all, one.client().flush());
    epoll.watch(EPOLL_CTL_MOD, one.client().fd(), all ? EPOLLIN : EPOLLIN | EPOLLOUT, index);
    return {};
  };
  const double begin = now_us();
  for (std::size_t i = 0; i < connections.size(); ++i) MR_RETURN_IF_ERROR(send_more(i));
  while (acknowledged < load.messages) {
    MR_TRY(const auto events, epoll.wait());
    for (const epoll_event& event : events) {
      const auto index = static_cast<std::size_t>(event.data.u64);
      if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0)
        MR_RETURN_IF_ERROR(
            connections[index].take_acknowledgements(result.latencies, acknowledged));
      MR_RETURN_IF_ERROR(send_more(index));
    }
  }
  result.seconds = (now_us() - begin) / 1e6;
  return result;
}

Result<Latencies> fan_out(std::uint16_t port, std::vector<MqttClient>& clients,
                          std::string_view topic, std::uint64_t messages) {
  Epoll epoll;
  for (std::size_t i = 0; i < clients.size(); ++i)
    epoll.watch(EPOLL_CTL_ADD, clients[i].fd(), EPOLLIN, i);
  MR_TRY(auto publisher, MqttClient::connect(port, "bench-fan-out"));
  Latencies latencies;
  std::vector<std::uint64_t> received(clients.size(), 0);
  for (std::uint64_t number = 0; number < messages; ++number) {
    const std::string payload = fmt::to_string(number);
    encode(Publish{.topic = topic, .payload = payload}, Version::k311, publisher.out());
    const double begin = now_us();
    MR_TRY(const bool sent, publisher.flush());
    if (!sent) return fail(ErrorCode::kInternal, error_id::kInternal, "a small message waits");
    for (std::size_t left = clients.size(); left > 0;) {
      MR_TRY(const auto events, epoll.wait());
      for (const epoll_event& event : events) {
        const auto index = static_cast<std::size_t>(event.data.u64);
        MR_RETURN_IF_ERROR(clients[index].read([&](const Frame& frame) -> Status {
          const auto packet = decode_publish(frame.bytes, Version::k311, Receiver::kClient);
          if (!packet || packet->payload != payload || received[index] != number)
            return fail(ErrorCode::kInternal, error_id::kInternal,
                        "subscriber {} got something else than message {}", index, number);
          ++received[index];
          --left;
          return {};
        }));
      }
    }
    latencies.add_us(now_us() - begin);
  }
  return latencies;
}

}  // namespace millrace::bench
