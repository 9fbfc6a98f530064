// What an MQTT connection reads and writes: a Transport, or a WebSocket. Thread: the connection's.
// Errors: as error codes of Asio.
#pragma once

#include <memory>
#include <utility>
#include <variant>

#include "endpoint/mqtt_web_socket.h"
#include "endpoint/transport.h"

namespace millrace::endpoint {

class MqttStream {
 public:
  using error_code = boost::system::error_code;

  explicit MqttStream(Transport transport) : stream_(std::move(transport)) {}
  explicit MqttStream(std::shared_ptr<MqttWebSocket> socket) : stream_(std::move(socket)) {}

  /// Where a WebSocket calls its handlers.
  void attach(MqttWebSocket::Post post) {
    if (auto* const socket = web_socket()) socket->attach(std::move(post));
  }
  [[nodiscard]] const Peer& peer() {
    auto* const socket = web_socket();
    return socket == nullptr ? transport().peer() : socket->peer();
  }
  [[nodiscard]] std::string_view certified_user() {
    auto* const socket = web_socket();
    return socket == nullptr ? transport().certified_user() : socket->certified_user();
  }
  std::size_t read_some(boost::asio::mutable_buffer room, error_code& ec) {
    auto* const socket = web_socket();
    return socket == nullptr ? transport().read_some(room, ec) : socket->read_some(room, ec);
  }
  std::size_t write_some(boost::asio::const_buffer bytes, error_code& ec) {
    auto* const socket = web_socket();
    return socket == nullptr ? transport().write_some(bytes, ec) : socket->write_some(bytes, ec);
  }
  /// handler(error_code), when there may be something to read.
  template <class Handler>
  void async_wait_read(Handler handler) {
    if (auto* const socket = web_socket()) {
      socket->async_wait_read(std::move(handler));
    } else {
      transport().async_wait_read(std::move(handler));
    }
  }
  /// handler(error_code, bytes); the bytes stay where they are until then.
  template <class Handler>
  void async_write_some(boost::asio::const_buffer bytes, Handler handler) {
    auto* const socket = web_socket();
    if (socket == nullptr) {
      transport().async_write_some(bytes, std::move(handler));
      return;
    }
    socket->async_wait_write([socket, bytes, handler = std::move(handler)](error_code ec) mutable {
      const std::size_t written = ec ? 0 : socket->write_some(bytes, ec);
      handler(ec, written);
    });
  }
  void shutdown_send() {
    if (auto* const socket = web_socket()) {
      socket->close();
    } else {
      transport().shutdown_send();
    }
  }
  void close() {
    if (auto* const socket = web_socket()) {
      socket->close();
    } else {
      transport().close();
    }
  }

 private:
  [[nodiscard]] Transport& transport() { return std::get<Transport>(stream_); }
  [[nodiscard]] MqttWebSocket* web_socket() {
    auto* const socket = std::get_if<std::shared_ptr<MqttWebSocket>>(&stream_);
    return socket == nullptr ? nullptr : socket->get();
  }

  std::variant<Transport, std::shared_ptr<MqttWebSocket>> stream_;
};

}  // namespace millrace::endpoint
