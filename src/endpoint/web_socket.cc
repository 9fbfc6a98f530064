#include "endpoint/web_socket.h"

#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <optional>
#include <utility>

#include "endpoint/http_origin.h"
#include "endpoint/problem.h"

namespace millrace::endpoint {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr std::chrono::seconds kHandshakeTime{10};
/// For the client to answer the end and to close.
constexpr std::chrono::seconds kGoodbyeTime{2};

HttpResponse refusal(int status, ErrorCode code, std::string_view id, std::string message,
                     std::string hint) {
  return problem_with_status(status, Error{.code = code,
                                           .id = std::string(id),
                                           .message = std::move(message),
                                           .hint = std::move(hint),
                                           .place = {}});
}

class Connection : public HttpUpgrade,
                   public WebSocket,
                   public std::enable_shared_from_this<Connection> {
 public:
  Connection(const HttpRequest& request, WebSocketOptions options, std::string subprotocol,
             std::shared_ptr<WebSocketHandler> handler)
      : options_(std::move(options)),
        subprotocol_(std::move(subprotocol)),
        handler_(std::move(handler)) {
    request_.method(beast::http::verb::get);
    request_.target(request.path);
    request_.version(11);
    for (std::size_t i = 0; i < request.fields.size(); ++i) {
      const auto [name, value] = request.fields.at(i);
      request_.insert({name.data(), name.size()}, {value.data(), value.size()});
    }
  }

  // ---- the server's side, on the loop's thread ----

  void take(Transport transport, std::function<void()> gone) override {
    gone_ = std::move(gone);
    stream_.emplace(std::move(transport));
    set_handshake_time(kHandshakeTime);
    stream_->read_message_max(options_.message_bytes_max);
    if (!subprotocol_.empty()) {
      stream_->set_option(websocket::stream_base::decorator(
          [name = subprotocol_](websocket::response_type& answer) {
            answer.set(beast::http::field::sec_websocket_protocol, name);
          }));
    }
    stream_->async_accept(request_, [self = shared_from_this()](const error_code& ec) {
      // A stop may have come first: nothing reaches the handler after closed().
      if (ec || self->finished_) return self->finish();
      self->open_ = true;
      self->handler_->opened(self);
      self->receive();
      self->send_next();
    });
  }
  void stop() override {
    if (!finished_ && open_) {
      handler_->stopping();
    } else {
      close();
    }
  }
  void close() override {
    if (stream_) stream_->next_layer().close();
    finish();
  }
  void dropped() override { finish(); }

  // ---- the handler's side, on any thread ----

  void send(std::string message, bool binary) override {
    post([binary, message = std::move(message)](Connection& self) mutable {
      if (self.end_ || self.finished_) return;
      self.queue_bytes_ += message.size();
      if (self.queue_bytes_ > self.options_.queue_bytes_max) {
        self.close();
        return;
      }
      self.queue_.push_back({std::move(message), binary});
      self.send_next();
    });
  }
  void end(WebSocketEnd code, std::string reason) override {
    post([code, reason = std::move(reason)](Connection& self) {
      if (self.end_ || self.finished_) return;
      self.end_.emplace(static_cast<websocket::close_code>(code),
                        reason.substr(0, websocket::reason_string::static_capacity));
      self.send_next();
    });
  }
  void pause() override {
    post([](Connection& self) { self.paused_ = true; });
  }
  void resume() override {
    post([](Connection& self) {
      self.paused_ = false;
      self.receive();
    });
  }
  const Peer& peer() const override { return stream_->next_layer().peer(); }
  std::string_view certified_user() const override {
    return stream_->next_layer().certified_user();
  }

 private:
  struct Message {
    std::string bytes;
    bool binary;
  };

  template <class Work>
  void post(Work work) {
    // The executor belongs to the loop, which lives until its connections are gone.
    asio::post(stream_->get_executor(),
               [self = shared_from_this(), work = std::move(work)]() mutable { work(*self); });
  }

  /// Also of the handshake that ends it.
  void set_handshake_time(std::chrono::seconds time) {
    websocket::stream_base::timeout times{};
    times.handshake_timeout = time;
    times.idle_timeout = options_.idle_time;
    times.keep_alive_pings = true;
    stream_->set_option(times);
  }

  void receive() {
    if (receiving_ || paused_ || finished_ || !open_) return;
    receiving_ = true;
    stream_->async_read(buffer_, [self = shared_from_this()](const error_code& ec, std::size_t) {
      self->receiving_ = false;
      if (ec || self->finished_) return self->finish();
      const auto bytes = self->buffer_.cdata();
      self->handler_->message({static_cast<const char*>(bytes.data()), bytes.size()},
                              self->stream_->got_binary());
      self->buffer_.consume(bytes.size());
      self->receive();
    });
  }

  void send_next() {
    if (sending_ || finished_ || !open_ || ending_) return;
    if (queue_.empty()) {
      if (end_) say_goodbye();
      return;
    }
    sending_ = true;
    stream_->binary(queue_.front().binary);
    stream_->async_write(asio::buffer(queue_.front().bytes),
                         [self = shared_from_this()](const error_code& ec, std::size_t) {
                           self->sending_ = false;
                           if (ec || self->finished_) return self->finish();
                           self->queue_bytes_ -= self->queue_.front().bytes.size();
                           self->queue_.pop_front();
                           if (self->queue_.empty() && !self->end_) self->handler_->drained();
                           self->send_next();
                         });
  }

  void say_goodbye() {
    ending_ = true;
    set_handshake_time(kGoodbyeTime);
    stream_->async_close(*end_, [self = shared_from_this()](const error_code&) { self->close(); });
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    handler_->closed();
    if (stream_) stream_->next_layer().close();
    if (gone_) std::exchange(gone_, nullptr)();
  }

  const WebSocketOptions options_;
  const std::string subprotocol_;
  const std::shared_ptr<WebSocketHandler> handler_;
  beast::http::request<beast::http::empty_body> request_;
  std::optional<websocket::stream<Transport>> stream_;
  beast::flat_buffer buffer_;
  std::deque<Message> queue_;
  std::size_t queue_bytes_ = 0;
  std::optional<websocket::close_reason> end_;
  std::function<void()> gone_;
  bool open_ = false;
  bool receiving_ = false;
  bool sending_ = false;
  bool ending_ = false;
  bool paused_ = false;
  bool finished_ = false;
};

}  // namespace

bool asks_for_web_socket(const HttpRequest& request) {
  return request.method == "GET" && lists_token(request.header("upgrade"), "websocket") &&
         lists_token(request.header("connection"), "upgrade");
}

HttpResponse web_socket_answer(const HttpRequest& request, WebSocketOptions options,
                               std::shared_ptr<WebSocketHandler> handler) {
  if (!asks_for_web_socket(request) || request.header("sec-websocket-version") != "13" ||
      !request.fields.contains("sec-websocket-key")) {
    auto response = refusal(426, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                            "this is a WebSocket, version 13, and the request is none",
                            "connect with a WebSocket client to ws://…");
    response.headers.emplace_back("Upgrade", "websocket");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
    return response;
  }
  // Browsers let any page open a WebSocket to any server and only say whose page it is.
  if (!is_origin_allowed(request, options.allowed_origins)) {
    return refusal(403, ErrorCode::kPermissionDenied, error_id::kBadRequest,
                   fmt::format("pages of {} may not connect", request.header("origin")),
                   "list the origin in http.cors_origins");
  }
  std::string subprotocol;
  for (const auto& name : options.subprotocols) {
    if (!lists_token(request.header("sec-websocket-protocol"), name)) continue;
    subprotocol = name;
    break;
  }
  if (subprotocol.empty() && !options.subprotocols.empty()) {
    return refusal(400, ErrorCode::kInvalidArgument, error_id::kBadRequest,
                   "the client offers no subprotocol that is spoken here",
                   fmt::format("offer {}", fmt::join(options.subprotocols, " or ")));
  }
  HttpResponse response;
  response.upgrade = std::make_shared<Connection>(request, std::move(options),
                                                  std::move(subprotocol), std::move(handler));
  return response;
}

}  // namespace millrace::endpoint
