// An MQTT client that costs little itself, on the codec of src/wire: blocking for the handshake and
// for questions, one epoll loop for loads. It speaks 3.1.1. Thread: each object one owner. Errors:
// kUnavailable where the connection broke, kDeadlineExceeded where nothing came for 30 s, kInternal
// where a packet came that has no place there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "latencies.h"
#include "wire/mqtt.h"

namespace millrace::bench {

class MqttClient {
 public:
  /// Connects with a clean session and without keep-alive, and waits for CONNACK.
  static Result<MqttClient> connect(std::uint16_t port, std::string_view client_id);
  MqttClient(MqttClient&& other) noexcept;
  MqttClient& operator=(MqttClient&& other) noexcept;
  ~MqttClient();
  [[nodiscard]] int fd() const { return fd_; }

  /// Waits for SUBACK.
  Status subscribe(std::string_view filter, wire::mqtt::QoS qos);
  /// Waits for PINGRESP.
  Status ping();
  /// Gives the next PUBLISH; waits for it. Those that came while something else was awaited are
  /// first.
  Result<std::string> receive_payload();

  /// Packets to be sent: append, then flush().
  std::string& out() { return out_; }
  /// False: the socket is full for now, and wants EPOLLOUT.
  Result<bool> flush();
  /// Reads what is there, and gives each whole packet to visit.
  Status read(const std::function<Status(const wire::mqtt::Frame&)>& visit);

 private:
  explicit MqttClient(int fd) : fd_(fd) {}
  /// Flushes, and waits until a packet of this type came.
  Status await(wire::mqtt::PacketType type, const std::function<void(std::string_view)>& take);

  Status keep_payload(const wire::mqtt::Frame& frame);

  int fd_ = -1;
  std::string in_;
  std::string out_;
  std::deque<std::string> payloads_;
};

struct PublishLoad {
  std::uint16_t port = 0;
  std::size_t connections = 1;
  std::size_t in_flight = 1;  // of each connection, at most 65,535
  std::uint64_t messages = 0;
};
struct PublishResult {
  double seconds = 0;
  Latencies latencies;
};
/// The topic and the payload of message `number`; both stay as they are until the next call.
using NextMessage = std::function<void(std::size_t connection, std::uint64_t number,
                                       std::string& topic, std::string& payload)>;
/// Publishes at QoS 1, each connection as many in flight as allowed, until all are acknowledged.
Result<PublishResult> publish_qos1(const PublishLoad& load, const NextMessage& next);

/// Publishes numbers to `topic` at QoS 0, the next one when all clients, which subscribe to it,
/// have the last: how long each took until the last client had it. Every client must get every
/// number once.
Result<Latencies> fan_out(std::uint16_t port, std::vector<MqttClient>& clients,
                          std::string_view topic, std::uint64_t messages);

}  // namespace millrace::bench
