// A WebSocket (RFC 6455) on a connection of the HTTP server; the frames are Beast's. A handler of a
// route answers with web_socket_answer(); from then on the WebSocketHandler gets the messages.
// Sends pings by itself and ends connections that answer none. Memory: one message that is being
// received, and what was sent and has not left; whoever sends waits for drained(), and what goes
// beyond a bound ends the connection. Thread: as each function says. Errors: end the connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "endpoint/http_message.h"
#include "endpoint/http_stream.h"

namespace millrace::endpoint {

struct WebSocketOptions {
  /// Those that the server speaks, the best first; empty: none is asked for. A client that offers
  /// none of them is refused.
  std::vector<std::string> subprotocols;
  std::size_t message_bytes_max = std::size_t{64} << 10;
  /// Of messages that wait to be sent.
  std::size_t queue_bytes_max = std::size_t{16} << 20;
  /// Without anything from the client; a ping is sent after half of it.
  std::chrono::seconds idle_time{60};
  /// Pages of these origins may connect, beside those of this server itself; "*": of all.
  std::vector<std::string> allowed_origins;
};

/// RFC 6455, section 7.4.1.
enum class WebSocketEnd : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kBadData = 1007,
  kPolicy = 1008,
  kTooBig = 1009,
  kInternal = 1011,
};

/// Thread: any. What is sent after the end is dropped.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  virtual void send(std::string message, bool binary) = 0;
  /// What was sent before still leaves.
  virtual void end(WebSocketEnd code, std::string reason) = 0;
  /// No message is received until resume(); at most one more comes.
  virtual void pause() = 0;
  virtual void resume() = 0;
  /// Who is at the other end. Thread: the connection's; from opened() to closed().
  [[nodiscard]] virtual const Peer& peer() const = 0;
  [[nodiscard]] virtual std::string_view certified_user() const = 0;
};

/// Thread: the connection's, one call at a time.
class WebSocketHandler {
 public:
  virtual ~WebSocketHandler() = default;
  virtual void opened(std::shared_ptr<WebSocket> socket) = 0;
  virtual void message(std::string_view bytes, bool binary) = 0;
  /// All that was sent has left.
  virtual void drained() = 0;
  /// The server stops: send what is to be said, and end().
  virtual void stopping() = 0;
  /// The last call. Also where the connection ended before it was opened.
  virtual void closed() = 0;
};

/// Whether the request asks for a WebSocket.
[[nodiscard]] bool asks_for_web_socket(const HttpRequest& request);

/// The answer that makes the connection a WebSocket, or a problem: 426 where it asks for none, 403
/// for a page of another origin. To be given while the handler of the route runs.
[[nodiscard]] HttpResponse web_socket_answer(const HttpRequest& request, WebSocketOptions options,
                                             std::shared_ptr<WebSocketHandler> handler);

}  // namespace millrace::endpoint
