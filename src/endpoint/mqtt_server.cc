#include "endpoint/mqtt_server.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint/http_origin.h"
#include "endpoint/mqtt_loop.h"

namespace millrace::endpoint {

// The listening sockets, on the first loop's thread, and the loops.
class MqttServer::Listener {
 public:
  Listener(MqttServerOptions options, access::Access& access, broker::Broker& broker,
           serving::ChangeFeed& feed)
      : state_(std::move(options), access, broker, feed) {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = state_.options.threads == 0 ? cores : state_.options.threads;
    for (unsigned i = 0; i < threads; ++i) loops_.push_back(std::make_shared<MqttLoop>(state_));
  }

  Status listen() {
    const MqttServerOptions& options = state_.options;
    if (options.plain) MR_RETURN_IF_ERROR(listen(plain_, options.port, "MQTT", nullptr));
    if (options.tls != nullptr)
      MR_RETURN_IF_ERROR(listen(over_tls_, options.tls_port, "MQTT over TLS", options.tls));
    return {};
  }

  void run() {
    if (plain_) plain_->run();
    if (over_tls_) over_tls_->run();
    for (unsigned i = 0; i < loops_.size(); ++i) loops_[i]->start(i, i == 0);
  }

  void stop() {
    if (stopped_.exchange(true)) return;
    if (plain_) plain_->stop();
    if (over_tls_) over_tls_->stop();
    for (const auto& loop : loops_) loop->drain();
    static_cast<void>(state_.connections.wait_until_none(state_.options.stop_grace_time));
    for (const auto& loop : loops_) loop->stop();
  }

  [[nodiscard]] std::uint16_t port() const { return plain_ ? plain_->port() : 0; }
  [[nodiscard]] std::uint16_t tls_port() const { return over_tls_ ? over_tls_->port() : 0; }
  [[nodiscard]] const MqttMetrics& metrics() const { return state_.metrics; }

  HttpResponse web_socket(const HttpRequest& request, std::vector<std::string> origins) {
    WebSocketOptions options;
    options.subprotocols = {"mqtt", "mqttv3.1"};
    // One message may hold several packets.
    options.message_bytes_max = std::size_t{2} * state_.options.packet_bytes_max;
    options.allowed_origins = std::move(origins);
    return web_socket_answer(
        request, std::move(options),
        std::make_shared<MqttWebSocket>(
            [this](std::shared_ptr<MqttWebSocket> socket) { return adopt(std::move(socket)); },
            is_named_by_address(request.header("host"))));
  }

 private:
  Status listen(std::unique_ptr<Acceptor>& acceptor, std::uint16_t port, std::string_view what,
                Tls* tls) {
    std::vector<boost::asio::io_context*> contexts;
    for (const auto& loop : loops_) contexts.push_back(&loop->context());
    acceptor = std::make_unique<Acceptor>(
        std::move(contexts), [this, tls](std::size_t context, Transport::Socket socket, Peer peer) {
          deal(*loops_[context], std::move(socket), std::move(peer), tls);
        });
    return acceptor->listen(state_.options.address, port, what);
  }

  [[nodiscard]] bool is_full() {
    if (state_.connections.open() < state_.options.connections_max) return false;
    ++state_.metrics.connections_refused;
    return true;
  }

  /// Thread: any.
  bool adopt(std::shared_ptr<MqttWebSocket> socket) {
    if (stopped_ || is_full()) return false;
    ++state_.metrics.connections_accepted;
    state_.connections.opened();
    loops_[next_loop_++ % loops_.size()]->adopt(MqttStream(std::move(socket)));
    return true;
  }

  void deal(MqttLoop& loop, Transport::Socket socket, Peer peer, Tls* tls) {
    // What is refused closes.
    if (is_full()) return;
    auto transport = tls == nullptr
                         ? Transport(std::move(socket), std::move(peer))
                         : Transport(std::move(socket), std::move(peer), *tls, TlsProtocol::kMqtt);
    if (const std::size_t most = state_.options.peer_connections_max; most != 0) {
      auto [share, connections] = state_.peers.enter(transport.peer());
      transport.count_in(std::move(share));
      if (connections > most) {
        ++state_.metrics.connections_refused;
        return;
      }
    }
    ++state_.metrics.connections_accepted;
    state_.connections.opened();
    loop.adopt(MqttStream(std::move(transport)));
  }

  MqttServerState state_;
  std::vector<std::shared_ptr<MqttLoop>> loops_;
  // On the first loop's context, so they are destroyed before it.
  std::unique_ptr<Acceptor> plain_;
  std::unique_ptr<Acceptor> over_tls_;
  std::atomic<std::size_t> next_loop_ = 0;  // of the WebSockets
  std::atomic<bool> stopped_ = false;
};

MqttServer::MqttServer(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}

MqttServer::~MqttServer() { stop(); }

Result<std::unique_ptr<MqttServer>> MqttServer::start(MqttServerOptions options,
                                                      access::Access& access,
                                                      broker::Broker& broker,
                                                      serving::ChangeFeed& feed) {
  auto listener = std::make_unique<Listener>(std::move(options), access, broker, feed);
  MR_RETURN_IF_ERROR(listener->listen());
  listener->run();
  return std::unique_ptr<MqttServer>(new MqttServer(std::move(listener)));
}

std::uint16_t MqttServer::port() const { return listener_->port(); }

std::uint16_t MqttServer::tls_port() const { return listener_->tls_port(); }

const MqttMetrics& MqttServer::metrics() const { return listener_->metrics(); }

HttpResponse MqttServer::web_socket(const HttpRequest& request, std::vector<std::string> origins) {
  return listener_->web_socket(request, std::move(origins));
}

void MqttServer::stop() { listener_->stop(); }

}  // namespace millrace::endpoint
