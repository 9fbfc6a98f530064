#include "endpoint/mqtt_web_socket.h"

#include <boost/asio/error.hpp>
#include <cstring>
#include <utility>

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;

/// Received and not yet read by the connection: beyond it the WebSocket is not read.
constexpr std::size_t kInBytesMax = std::size_t{256} * 1024;
/// Given to the WebSocket and not yet sent: beyond it nothing is taken.
constexpr std::size_t kUnsentBytesMax = std::size_t{64} * 1024;

}  // namespace

void MqttWebSocket::opened(std::shared_ptr<WebSocket> socket) {
  peer_ = socket->peer();
  peer_.local = peer_.local && by_address_;
  certified_user_ = socket->certified_user();
  {
    const MutexLock lock(mutex_);
    socket_ = socket;
  }
  if (!adopt_(shared_from_this())) socket->end(WebSocketEnd::kGoingAway, "the server is full");
}

void MqttWebSocket::message(std::string_view bytes, bool binary) {
  const MutexLock lock(mutex_);
  if (ended_ || socket_ == nullptr) return;
  if (!binary) {  // [MQTT-6.0.0-1]
    socket_->end(WebSocketEnd::kProtocolError, "MQTT comes in binary messages");
    ended_ = true;
    call(on_readable_, {});
    return;
  }
  in_.append(bytes);
  if (in_.size() > kInBytesMax && !std::exchange(paused_, true)) socket_->pause();
  call(on_readable_, {});
}

void MqttWebSocket::drained() {
  const MutexLock lock(mutex_);
  unsent_bytes_ = 0;
  call(on_writable_, {});
}

void MqttWebSocket::stopping() {
  const MutexLock lock(mutex_);
  if (socket_ != nullptr) socket_->end(WebSocketEnd::kGoingAway, "the server stops");
}

void MqttWebSocket::closed() {
  const MutexLock lock(mutex_);
  ended_ = true;
  socket_.reset();
  call(on_readable_, {});
  call(on_writable_, asio::error::connection_reset);
}

void MqttWebSocket::attach(Post post) {
  const MutexLock lock(mutex_);
  post_ = std::move(post);
}

// Never from here itself: the handler comes back for more.
void MqttWebSocket::call(Handler& handler, error_code ec) {
  if (handler == nullptr || post_ == nullptr) return;
  post_([handler = std::exchange(handler, nullptr), ec] { handler(ec); });
}

std::size_t MqttWebSocket::read_some(asio::mutable_buffer room, error_code& ec) {
  const MutexLock lock(mutex_);
  ec = {};
  if (in_.empty()) {
    ec = ended_ ? error_code(asio::error::eof) : error_code(asio::error::would_block);
    return 0;
  }
  const std::size_t bytes = std::min(room.size(), in_.size());
  std::memcpy(room.data(), in_.data(), bytes);
  in_.erase(0, bytes);
  // One that is idle holds no buffer.
  if (in_.empty()) std::string().swap(in_);
  if (paused_ && in_.size() < kInBytesMax / 2 && socket_ != nullptr) {
    paused_ = false;
    socket_->resume();
  }
  return bytes;
}

std::size_t MqttWebSocket::write_some(asio::const_buffer bytes, error_code& ec) {
  const MutexLock lock(mutex_);
  ec = {};
  if (ended_ || socket_ == nullptr) {
    ec = asio::error::broken_pipe;
    return 0;
  }
  if (unsent_bytes_ >= kUnsentBytesMax) {
    ec = asio::error::would_block;
    return 0;
  }
  unsent_bytes_ += bytes.size();
  socket_->send(std::string(static_cast<const char*>(bytes.data()), bytes.size()), true);
  return bytes.size();
}

void MqttWebSocket::async_wait_read(Handler handler) {
  const MutexLock lock(mutex_);
  on_readable_ = std::move(handler);
  if (!in_.empty() || ended_) call(on_readable_, {});
}

void MqttWebSocket::async_wait_write(Handler handler) {
  const MutexLock lock(mutex_);
  on_writable_ = std::move(handler);
  if (ended_ || unsent_bytes_ < kUnsentBytesMax) call(on_writable_, {});
}

void MqttWebSocket::close() {
  const MutexLock lock(mutex_);
  if (!std::exchange(ended_, true) && socket_ != nullptr) socket_->end(WebSocketEnd::kNormal, {});
  call(on_readable_, asio::error::operation_aborted);
  call(on_writable_, asio::error::operation_aborted);
}

}  // namespace millrace::endpoint
