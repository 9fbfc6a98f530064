#include "endpoint/mqtt_server.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint/mqtt_loop.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// After a failed accept, most often for want of file descriptors, the next one waits for some to be
// closed.
constexpr std::chrono::milliseconds kAcceptPause{50};

std::unexpected<Error> cannot_listen(const MqttServerOptions& options, const error_code& ec) {
  auto failed =
      fail(ErrorCode::kUnavailable, error_id::kBadConfig, "cannot listen on {}:{} for MQTT: {}",
           options.address, options.port, ec.message());
  return std::unexpected(std::move(failed.error())
                             .with_hint("does another broker listen? --mqtt-port 0 picks a free "
                                        "port"));
}

}  // namespace

// The listening socket, on the first loop's thread, and the loops.
class MqttServer::Listener {
 public:
  Listener(MqttServerOptions options, access::Access& access, broker::Broker& broker,
           serving::ChangeFeed& feed)
      : state_(std::move(options), access, broker, feed) {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = state_.options.threads == 0 ? cores : state_.options.threads;
    for (unsigned i = 0; i < threads; ++i) loops_.push_back(std::make_shared<MqttLoop>(state_));
    acceptor_.emplace(loops_.front()->context());
    pause_.emplace(loops_.front()->context());
  }

  Status listen() {
    error_code ec;
    const auto address = asio::ip::make_address(state_.options.address, ec);
    if (ec) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                  "\"{}\" is not an IP address to listen on", state_.options.address);
    }
    const tcp::endpoint endpoint(address, state_.options.port);
    acceptor_->open(endpoint.protocol(), ec);
    if (!ec) acceptor_->set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_->bind(endpoint, ec);
    if (!ec) acceptor_->listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return cannot_listen(state_.options, ec);
    port_ = acceptor_->local_endpoint(ec).port();
    if (ec) return cannot_listen(state_.options, ec);
    return {};
  }

  void run() {
    accept();
    for (unsigned i = 0; i < loops_.size(); ++i) loops_[i]->start(i, i == 0);
  }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    asio::post(loops_.front()->context(), [this] {
      error_code ignored;
      acceptor_->close(ignored);
      pause_->cancel();
    });
    for (const auto& loop : loops_) loop->drain();
    state_.wait_until_no_connections(state_.options.stop_grace_time);
    for (const auto& loop : loops_) loop->stop();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const MqttMetrics& metrics() const { return state_.metrics; }

 private:
  void accept() {
    MqttLoop& loop = *loops_[next_loop_++ % loops_.size()];
    acceptor_->async_accept(loop.context(),
                            [this, &loop](const error_code& ec, tcp::socket socket) {
                              if (!acceptor_->is_open()) return;
                              if (!ec) {
                                deal(loop, std::move(socket));
                                accept();
                                return;
                              }
                              pause_->expires_after(kAcceptPause);
                              pause_->async_wait([this](const error_code&) {
                                if (acceptor_->is_open()) accept();
                              });
                            });
  }

  void deal(MqttLoop& loop, tcp::socket socket) {
    MqttMetrics& metrics = state_.metrics;
    if (metrics.connections_open.load() >= state_.options.connections_max) {
      ++metrics.connections_refused;
      return;  // closes it
    }
    ++metrics.connections_accepted;
    ++metrics.connections_open;
    loop.adopt(std::move(socket));
  }

  MqttServerState state_;
  std::vector<std::shared_ptr<MqttLoop>> loops_;
  // On the first loop's context, so they are destroyed before it.
  std::optional<tcp::acceptor> acceptor_;
  std::optional<asio::steady_timer> pause_;
  std::size_t next_loop_ = 0;
  std::uint16_t port_ = 0;
  bool stopped_ = false;
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

const MqttMetrics& MqttServer::metrics() const { return listener_->metrics(); }

void MqttServer::stop() { listener_->stop(); }

}  // namespace millrace::endpoint
