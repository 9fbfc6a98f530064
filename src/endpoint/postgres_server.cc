#include "endpoint/postgres_server.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "endpoint/acceptor.h"
#include "endpoint/postgres_loop.h"

namespace millrace::endpoint {

// The listening socket, on the first loop's thread, and the loops.
class PostgresServer::Listener {
 public:
  Listener(PostgresServerOptions options, access::Access& access,
           serving::StatementRunner& statements, runtime::WorkerPool& pool)
      : state_(
            std::make_shared<PostgresServerState>(std::move(options), access, statements, pool)) {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = state_->options.threads == 0 ? cores : state_->options.threads;
    for (unsigned i = 0; i < threads; ++i) loops_.push_back(std::make_shared<PostgresLoop>(state_));
  }

  Status listen() {
    std::vector<boost::asio::io_context*> contexts;
    for (const auto& loop : loops_) contexts.push_back(&loop->context());
    acceptor_ = std::make_unique<Acceptor>(
        std::move(contexts), [this](std::size_t context, Transport::Socket socket, Peer peer) {
          deal(*loops_[context], std::move(socket), std::move(peer));
        });
    return acceptor_->listen(state_->options.address, state_->options.port, "PostgreSQL");
  }

  void run() {
    acceptor_->run();
    for (unsigned i = 0; i < loops_.size(); ++i) loops_[i]->start(i);
  }

  void stop() {
    if (stopped_.exchange(true)) return;
    acceptor_->stop();
    for (const auto& loop : loops_) loop->drain();
    static_cast<void>(state_->connections.wait_until_none(state_->options.stop_grace_time));
    for (const auto& loop : loops_) loop->stop();
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_->port(); }
  [[nodiscard]] const PostgresMetrics& metrics() const { return state_->metrics; }

 private:
  void deal(PostgresLoop& loop, Transport::Socket socket, Peer peer) {
    auto& metrics = state_->metrics;
    const auto refused = [&] { ++metrics.connections_refused; };
    // What is refused closes.
    if (state_->connections.open() >= state_->options.connections_max) return refused();
    boost::system::error_code ignored;
    // An idle client that vanished is noticed at last.
    socket.set_option(boost::asio::socket_base::keep_alive(true), ignored);
    Transport transport(std::move(socket), std::move(peer));
    if (const std::size_t most = state_->options.peer_connections_max; most != 0) {
      auto [share, connections] = state_->peers.enter(transport.peer());
      transport.count_in(std::move(share));
      if (connections > most) return refused();
    }
    ++metrics.connections_accepted;
    state_->connections.opened();
    loop.adopt(std::move(transport));
  }

  const std::shared_ptr<PostgresServerState> state_;
  std::vector<std::shared_ptr<PostgresLoop>> loops_;
  // On the first loop's context, so it is destroyed before it.
  std::unique_ptr<Acceptor> acceptor_;
  std::atomic<bool> stopped_ = false;
};

PostgresServer::PostgresServer(std::unique_ptr<Listener> listener)
    : listener_(std::move(listener)) {}

PostgresServer::~PostgresServer() { stop(); }

Result<std::unique_ptr<PostgresServer>> PostgresServer::start(PostgresServerOptions options,
                                                              access::Access& access,
                                                              serving::StatementRunner& statements,
                                                              runtime::WorkerPool& pool) {
  auto listener = std::make_unique<Listener>(std::move(options), access, statements, pool);
  MR_RETURN_IF_ERROR(listener->listen());
  listener->run();
  return std::unique_ptr<PostgresServer>(new PostgresServer(std::move(listener)));
}

std::uint16_t PostgresServer::port() const { return listener_->port(); }

const PostgresMetrics& PostgresServer::metrics() const { return listener_->metrics(); }

void PostgresServer::stop() { listener_->stop(); }

}  // namespace millrace::endpoint
