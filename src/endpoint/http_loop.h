// One I/O thread of the HTTP server with the connections that were dealt to it. A connection never
// leaves its loop, so nothing in it is locked. Thread: as each function says. Errors: none.
// Invariant: the mailbox is closed before the io_context ends.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "endpoint/acceptor.h"
#include "endpoint/http_metrics.h"
#include "endpoint/http_options.h"
#include "endpoint/http_responder.h"
#include "endpoint/http_router.h"
#include "endpoint/http_stream.h"

namespace millrace::endpoint {

class HttpConnection;

/// What becomes of a connection: the two latter are told so, and closed.
enum class Admission : std::uint8_t { kGranted, kServerIsFull, kPeerHasEnough };

/// What all loops of one server share. Constant after construction but for the counters.
struct HttpServerState {
  HttpServerState(HttpServerOptions server_options, HttpRouter server_router)
      : options(std::move(server_options)), router(std::move(server_router)) {}

  const HttpServerOptions options;
  const HttpRouter router;
  HttpMetrics metrics;

  PeerLimits peers;
  ConnectionCount connections{metrics.connections_open};
};

class HttpLoop {
 public:
  explicit HttpLoop(HttpServerState& state);
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  /// The server's side. Thread: any.
  void start(unsigned index);
  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  /// Takes over an accepted connection of this loop's context().
  void adopt(Transport transport, Admission admission);
  /// Idle connections close; the others after the answers to what they have already begun.
  void drain();
  /// Closes what is left, ends the thread and waits for it. Once.
  void stop();

  /// The connections' side. Thread: the loop's.
  [[nodiscard]] HttpServerState& state() { return state_; }
  [[nodiscard]] const std::shared_ptr<AnswerMailbox>& mailbox() { return mailbox_; }
  [[nodiscard]] bool draining() const { return draining_; }
  /// "Sun, 06 Nov 1994 08:49:37 GMT", of the present second.
  [[nodiscard]] std::string_view date();
  /// Room for bytes that nobody wants.
  [[nodiscard]] std::vector<char>& scratch() { return scratch_; }
  void remove(std::uint64_t connection);
  /// The connection's stream belongs to another protocol from here on.
  void hand_over(std::uint64_t connection, std::shared_ptr<HttpUpgrade> upgrade,
                 Transport transport);

 private:
  void deliver();
  void schedule_tick();
  void tick();

  HttpServerState& state_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<AnswerMailbox> mailbox_;
  std::thread thread_;

  // Of the loop's thread.
  std::unordered_map<std::uint64_t, std::shared_ptr<HttpConnection>> connections_;
  std::unordered_map<std::uint64_t, std::shared_ptr<HttpUpgrade>> upgraded_;
  std::vector<std::shared_ptr<HttpConnection>> answered_;
  std::uint64_t next_connection_ = 1;
  bool ticking_ = false;
  bool draining_ = false;
  std::int64_t date_second_ = 0;
  std::string date_;
  std::vector<char> scratch_;
};

}  // namespace millrace::endpoint
