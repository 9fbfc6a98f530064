// One MQTT connection: receives, takes packets apart, hands PUBLISHes to the broker by the read,
// and writes acknowledgements in the order of the PUBLISHes, whatever order they become durable in.
// It holds no buffer while it is idle. Not reading is its back-pressure: while too much of the
// client waits for the log, or a subscriber's queue is full. Thread: its loop's, but for wake() and
// end(). Errors: a packet against the specification ends the connection, with its reason in MQTT 5;
// so does what cannot be made durable. Invariant: PUBACK and PUBREC leave in the order of their
// PUBLISHes [MQTT-4.6.0-2]; the session is attached exactly while state_ is kOpen or kLeaving.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/container/deque.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "access/access.h"
#include "broker/broker.h"
#include "broker/publish_batch.h"
#include "endpoint/mqtt_loop.h"
#include "endpoint/mqtt_pace.h"
#include "endpoint/mqtt_views.h"
#include "wire/mqtt.h"

namespace millrace::endpoint {

class MqttConnection : public broker::ClientLink,
                       public std::enable_shared_from_this<MqttConnection> {
 public:
  MqttConnection(MqttLoop& loop, std::uint64_t id, MqttStream stream);

  void start();
  // Of the broker, any thread.
  void wake() override;
  void end(wire::mqtt::ReasonCode reason) override;

  /// The session has news.
  void awake();
  /// Views came or went, or time passed; with `rights`, grants or users have changed.
  void review(bool rights);
  /// Ends it from the server's side: says why, where the client can hear it, then closes.
  void leave(wire::mqtt::ReasonCode reason, std::string_view text = {});
  void close();

  [[nodiscard]] std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  void time_is_over(std::chrono::steady_clock::time_point now);

 private:
  enum class State : std::uint8_t { kNew, kConnecting, kOpen, kLeaving, kClosed };
  /// What becomes of a packet.
  enum class Step : std::uint8_t {
    kDone,
    kWait,  // it stays where it is, and comes again
    kStop,  // the connection ends
  };
  /// A PUBLISH from its packet until it is kept; those of QoS 1 and 2 until their acknowledgement.
  struct InFlight {
    std::uint16_t packet_id = 0;
    wire::mqtt::QoS qos = wire::mqtt::QoS::kAtLeastOnce;
    bool answered = false;
    wire::mqtt::ReasonCode reason = wire::mqtt::ReasonCode::kSuccess;
    std::uint32_t bytes = 0;
  };

  // mqtt_connection.cc: the socket.
  void receive();
  void on_readable(const boost::system::error_code& ec);
  std::size_t take_packets(std::string_view bytes);
  void charge_unfinished();
  void after_packets();
  void try_again_soon();
  /// How long the client's next message has to wait for its turn.
  [[nodiscard]] MqttPace::Clock::duration pace_wait(MqttPace::Clock::time_point now) const;
  void flush();
  void send();
  void on_sent(const boost::system::error_code& ec, std::size_t bytes);
  void fill();
  void fill_from_session();
  void fill_from_views();
  [[nodiscard]] bool is_full();
  [[nodiscard]] broker::Session::Taken write_outgoing(const broker::Outgoing& outgoing,
                                                      std::int64_t now_ms);
  [[nodiscard]] broker::Session::Taken write_row(wire::mqtt::Publish publish);
  void write_publish(wire::mqtt::Publish& publish);
  [[nodiscard]] bool fits(const wire::mqtt::Publish& publish) const;
  [[nodiscard]] bool may_read() const;
  void set_deadline();
  void detach(bool publish_will, std::optional<std::uint32_t> expiry_s);

  // mqtt_rights.cc: what the client may subscribe to, and may still.
  /// The filter without "$share/group/".
  [[nodiscard]] bool may_subscribe(std::string_view filter);
  [[nodiscard]] bool may_deliver(std::string_view topic);
  [[nodiscard]] MqttViews& views();
  void resume_subscriptions();

  // mqtt_packets.cc: what each packet means.
  Step take_packet(const wire::mqtt::Frame& frame);
  Step on_connect(const wire::mqtt::Connect& connect);
  Step refuse_connect(wire::mqtt::ReasonCode reason, std::string_view text);
  void on_connected(Result<broker::Connected> connected);
  Step on_paced_publish(const wire::mqtt::Frame& frame);
  Step on_publish(const wire::mqtt::Frame& frame);
  Step refuse_publish(const wire::mqtt::Publish& publish, wire::mqtt::ReasonCode reason);
  Step on_ack(const wire::mqtt::Ack& ack);
  Step on_subscribe(const wire::mqtt::Subscribe& subscribe);
  Step on_unsubscribe(const wire::mqtt::Unsubscribe& unsubscribe);
  Step on_disconnect(const wire::mqtt::Disconnect& disconnect);
  Step violated(const wire::mqtt::Violation& violation);
  Step protocol_error(wire::mqtt::ReasonCode reason, std::string_view what);
  void send_steps();
  void answer(std::vector<broker::PublishBatch::Answer> answers, const std::optional<Error>& error);
  void append_acks();
  void failed(const Error& error);
  void write_ack(wire::mqtt::PacketType type, std::uint16_t packet_id,
                 wire::mqtt::ReasonCode reason);
  [[nodiscard]] bool v5() const { return version_ == wire::mqtt::Version::k5; }
  /// A callback for this connection, run on its loop while it is there.
  template <class Run>
  auto on_loop(Run run);

  /// What Asio has of the connection needs the loop's context; the session may hold it longest.
  const std::shared_ptr<MqttLoop> keeps_loop_;
  MqttLoop& loop_;
  const std::uint64_t id_;
  MqttStream stream_;
  State state_ = State::kNew;
  wire::mqtt::Version version_ = wire::mqtt::Version::k311;
  std::atomic<bool> woken_{false};

  // What CONNECT said.
  access::Principal principal_ = access::Principal::anonymous(/*from_this_machine=*/false);
  std::shared_ptr<broker::Session> session_;
  // What it may receive, as of this version of the rights.
  std::uint64_t rights_version_ = 0;
  bool may_receive_all_ = false;
  std::unordered_map<std::string, bool> may_receive_;
  std::string assigned_id_;
  std::uint32_t expiry_s_ = 0;
  bool expiry_capped_ = false;
  bool problem_information_ = true;
  std::uint16_t keep_alive_s_ = 0;
  bool keep_alive_capped_ = false;
  std::uint16_t client_receive_maximum_ = 65'535;
  std::uint32_t client_packet_max_ = 0;
  std::uint16_t client_aliases_max_ = 0;

  // In.
  std::string in_;                      // the beginning of a packet
  std::uint64_t unfinished_bytes_ = 0;  // its part of that of all
  std::chrono::steady_clock::time_point packet_began_;
  MqttPace message_pace_;
  MqttPace byte_pace_;
  bool is_paced_ = false;
  bool receiving_ = false;
  bool waits_ = false;  // a packet in in_ is to be looked at again
  std::optional<std::chrono::steady_clock::time_point> full_since_;
  std::unique_ptr<boost::asio::steady_timer> again_;
  std::unique_ptr<broker::PublishBatch> batch_;
  std::vector<std::string> aliases_;
  /// As in broker/session.h: an idle connection has none.
  boost::container::deque<InFlight> in_flight_;
  std::uint64_t first_slot_ = 0;
  std::uint64_t bytes_in_flight_ = 0;
  std::uint32_t unacknowledged_ = 0;  // of in_flight_: QoS 1 and 2
  std::vector<std::uint16_t> releases_;
  std::vector<std::pair<std::uint64_t, std::uint16_t>> pubrecs_;

  // Out.
  std::string out_;
  std::string sending_;
  std::size_t sent_ = 0;
  std::unordered_map<std::string, std::uint16_t> sent_aliases_;
  bool more_to_fill_ = false;
  std::shared_ptr<MqttViews> views_;  // from the first filter on that can match rows of views
  bool rows_first_ = false;
  /// Subscriptions without their SUBACK: what they bring comes after it.
  std::uint32_t subscribing_ = 0;

  std::chrono::steady_clock::time_point last_packet_;
  std::chrono::steady_clock::time_point write_began_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

template <class Run>
auto MqttConnection::on_loop(Run run) {
  return [self = weak_from_this(), loop = keeps_loop_, run = std::move(run)](auto... value) {
    loop->post([self, run, ... value = std::move(value)]() mutable {
      if (const auto connection = self.lock()) run(*connection, std::move(value)...);
    });
  };
}

}  // namespace millrace::endpoint
