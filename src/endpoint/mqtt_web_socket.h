// MQTT over a WebSocket (MQTT 5, section 6): what stands between the WebSocket, which lives on a
// thread of the HTTP server, and the MQTT connection on a thread of the MQTT listener. To the
// latter it looks like a Transport: a stream of bytes, since packets may span messages. Memory: the
// WebSocket is not read while too much waits here, and takes no more before what was sent has left.
// Thread: as each function says. Errors: as error codes of Asio. Invariant: socket_ is set from
// opened() to closed(), for its executor lives no longer; a stored handler is called once.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "endpoint/web_socket.h"

namespace millrace::endpoint {

class MqttWebSocket : public WebSocketHandler, public std::enable_shared_from_this<MqttWebSocket> {
 public:
  using error_code = boost::system::error_code;
  /// Makes it a connection of the listener; false where there is none any more. Thread: the
  /// WebSocket's.
  using Adopt = std::function<bool(std::shared_ptr<MqttWebSocket>)>;
  /// Runs a task on the connection's thread, or drops it where that has ended.
  using Post = std::function<void(std::function<void()>)>;

  /// `by_address`: the client named the server by its address (http_origin.h); else it is not taken
  /// for one of this machine.
  MqttWebSocket(Adopt adopt, bool by_address) : adopt_(std::move(adopt)), by_address_(by_address) {}

  // ---- the WebSocket's side, on its thread ----
  void opened(std::shared_ptr<WebSocket> socket) override EXCLUDES(mutex_);
  void message(std::string_view bytes, bool binary) override EXCLUDES(mutex_);
  void drained() override EXCLUDES(mutex_);
  void stopping() override EXCLUDES(mutex_);
  void closed() override EXCLUDES(mutex_);

  // ---- the connection's side, on its thread ----
  /// Before all others.
  void attach(Post post) EXCLUDES(mutex_);
  [[nodiscard]] const Peer& peer() const { return peer_; }
  [[nodiscard]] std::string_view certified_user() const { return certified_user_; }
  std::size_t read_some(boost::asio::mutable_buffer room, error_code& ec) EXCLUDES(mutex_);
  std::size_t write_some(boost::asio::const_buffer bytes, error_code& ec) EXCLUDES(mutex_);
  void async_wait_read(std::function<void(error_code)> handler) EXCLUDES(mutex_);
  /// Calls the handler when write_some() may take something.
  void async_wait_write(std::function<void(error_code)> handler) EXCLUDES(mutex_);
  /// Nothing more is sent or received: what was sent before still leaves.
  void close() EXCLUDES(mutex_);

 private:
  using Handler = std::function<void(error_code)>;
  void call(Handler& handler, error_code ec) REQUIRES(mutex_);

  const Adopt adopt_;
  const bool by_address_;
  // Written in opened(), which is before anybody reads them.
  Peer peer_;
  std::string certified_user_;

  Mutex mutex_;
  Post post_ GUARDED_BY(mutex_);
  std::shared_ptr<WebSocket> socket_ GUARDED_BY(mutex_);
  std::string in_ GUARDED_BY(mutex_);
  std::size_t unsent_bytes_ GUARDED_BY(mutex_) = 0;
  bool paused_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  Handler on_readable_ GUARDED_BY(mutex_);
  Handler on_writable_ GUARDED_BY(mutex_);
};

}  // namespace millrace::endpoint
