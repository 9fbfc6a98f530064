// One listening socket: accepts, and deals the connections in turn to the io_contexts of a server's
// I/O threads. Any server has as many of these as it has ports. Owns: the socket. Thread: it
// accepts on the first context's thread; stop() on any. Errors: listen() gives kUnavailable where
// the address cannot be listened on, kInvalidArgument where it is not an IP address; a failed
// accept is tried again after a pause. Invariant: destroyed before the contexts, and after the
// threads that ran them.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "endpoint/peer.h"

namespace millrace::endpoint {

class Acceptor {
 public:
  /// Takes a connection that belongs to the context of this index. Thread: the first context's.
  using Take =
      std::function<void(std::size_t context, boost::asio::ip::tcp::socket socket, Peer peer)>;

  Acceptor(std::vector<boost::asio::io_context*> contexts, Take take);

  /// `what` is spoken there, for the error: "HTTP".
  Status listen(const std::string& address, std::uint16_t port, std::string_view what);
  /// Begins to accept. Once.
  void run() { accept(); }
  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void accept();

  const std::vector<boost::asio::io_context*> contexts_;
  const Take take_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  boost::asio::ip::tcp::endpoint from_;
  std::size_t next_ = 0;
  std::uint16_t port_ = 0;
};

/// How many connections a server has, and whether all are gone. The number itself is the server's
/// metric. Thread: any.
class ConnectionCount {
 public:
  explicit ConnectionCount(std::atomic<std::uint64_t>& open) : open_(open) {}

  [[nodiscard]] std::uint64_t open() const { return open_.load(); }
  void opened() { ++open_; }
  void closed() EXCLUDES(mutex_);
  /// False when the time is over first.
  bool wait_until_none(std::chrono::milliseconds timeout) EXCLUDES(mutex_);

 private:
  std::atomic<std::uint64_t>& open_;
  Mutex mutex_;
  CondVar none_;
};

}  // namespace millrace::endpoint
