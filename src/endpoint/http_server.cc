#include "endpoint/http_server.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint/http_loop.h"

namespace millrace::endpoint {

// The listening sockets, on the first loop's thread, and the loops.
class HttpServer::Listener {
 public:
  Listener(HttpServerOptions options, HttpRouter router)
      : state_(std::move(options), std::move(router)) {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = state_.options.threads == 0 ? cores : state_.options.threads;
    for (unsigned i = 0; i < threads; ++i) loops_.push_back(std::make_unique<HttpLoop>(state_));
  }

  Status listen() {
    const HttpServerOptions& options = state_.options;
    if (options.plain) MR_RETURN_IF_ERROR(listen(plain_, options.port, "HTTP", nullptr));
    if (options.tls != nullptr)
      MR_RETURN_IF_ERROR(listen(over_tls_, options.tls_port, "HTTP over TLS", options.tls));
    return {};
  }

  void run() {
    if (plain_) plain_->run();
    if (over_tls_) over_tls_->run();
    for (unsigned i = 0; i < loops_.size(); ++i) loops_[i]->start(i);
  }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    if (plain_) plain_->stop();
    if (over_tls_) over_tls_->stop();
    for (const auto& loop : loops_) loop->drain();
    static_cast<void>(state_.connections.wait_until_none(state_.options.stop_grace_time));
    for (const auto& loop : loops_) loop->stop();
  }

  [[nodiscard]] std::uint16_t port() const { return plain_ ? plain_->port() : 0; }
  [[nodiscard]] std::uint16_t tls_port() const { return over_tls_ ? over_tls_->port() : 0; }
  [[nodiscard]] const HttpMetrics& metrics() const { return state_.metrics; }

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

  void deal(HttpLoop& loop, Transport::Socket socket, Peer peer, Tls* tls) {
    // Those that are told 503 live on for a moment; when they too become many, the rest just
    // closes.
    const std::size_t most = state_.options.connections_max;
    const std::size_t open = state_.connections.open();
    if (open >= most) ++state_.metrics.connections_refused;
    if (open > most + most / 8) return;
    auto transport = tls == nullptr
                         ? Transport(std::move(socket), std::move(peer))
                         : Transport(std::move(socket), std::move(peer), *tls, TlsProtocol::kHttp);
    const std::optional<Admission> admission =
        open >= most ? Admission::kServerIsFull : admit(transport);
    if (!admission) return;
    ++state_.metrics.connections_accepted;
    state_.connections.opened();
    loop.adopt(std::move(transport), *admission);
  }

  /// Whether its address has enough; nothing where it has so many that it is not even told.
  std::optional<Admission> admit(Transport& transport) {
    const auto& options = state_.options;
    const std::size_t most = options.peer_connections_max;
    if (most == 0 && options.peer_requests_per_second_max == 0) return Admission::kGranted;
    auto [share, connections] = state_.peers.enter(transport.peer());
    transport.count_in(std::move(share));
    if (most == 0 || connections <= most) return Admission::kGranted;
    ++state_.metrics.connections_refused;
    if (connections > most + most / 8 + 1) return std::nullopt;
    return Admission::kPeerHasEnough;
  }

  HttpServerState state_;
  std::vector<std::unique_ptr<HttpLoop>> loops_;
  // On the first loop's context, so they are destroyed before it.
  std::unique_ptr<Acceptor> plain_;
  std::unique_ptr<Acceptor> over_tls_;
  bool stopped_ = false;
};

HttpServer::HttpServer(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}

HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                      HttpRouter router) {
  auto listener = std::make_unique<Listener>(std::move(options), std::move(router));
  MR_RETURN_IF_ERROR(listener->listen());
  listener->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

std::uint16_t HttpServer::port() const { return listener_->port(); }

std::uint16_t HttpServer::tls_port() const { return listener_->tls_port(); }

const HttpMetrics& HttpServer::metrics() const { return listener_->metrics(); }

void HttpServer::stop() { listener_->stop(); }

}  // namespace millrace::endpoint
