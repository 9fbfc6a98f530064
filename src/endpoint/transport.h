// The byte stream of an accepted connection: TCP, or TLS over it. To HTTP and MQTT it looks like
// Asio's socket, non-blocking, and to Beast like an AsyncStream; what runs over it does not know
// which of the two it is. The plain path is the socket itself. Owns: the socket. Thread: the
// connection's. Errors: as error codes of Asio. Invariant: one read and one write under way at
// most.
#pragma once

#include <algorithm>
#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/role.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "endpoint/peer.h"
#include "endpoint/peer_limits.h"
#include "endpoint/tls_session.h"

namespace millrace::endpoint {

class Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;
  using error_code = boost::system::error_code;

  Transport(Socket socket, Peer peer);
  Transport(Socket socket, Peer peer, Tls& tls, TlsProtocol protocol);
  ~Transport();
  Transport(Transport&&) noexcept = default;
  Transport& operator=(Transport&&) noexcept = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// TLS over what was plain so far, as PostgreSQL's clients ask for it. Nothing may be under way.
  void start_tls(Tls& tls, TlsProtocol protocol);
  [[nodiscard]] bool is_encrypted() const { return tls_ != nullptr; }
  /// For SCRAM; empty without TLS.
  [[nodiscard]] std::string channel_binding() const {
    return tls_ == nullptr ? std::string() : tls_->channel_binding();
  }
  /// The first byte that waits in a plain socket, which stays there; 0 where there is none.
  [[nodiscard]] char peek();

  [[nodiscard]] executor_type get_executor() { return socket().get_executor(); }
  [[nodiscard]] const Peer& peer() const { return peer_; }
  /// The user that the client's certificate stands for, once it has come; empty for none.
  [[nodiscard]] std::string_view certified_user() const {
    return tls_ == nullptr ? std::string_view() : std::string_view(tls_->user());
  }
  /// What its address has of the server, from now on with this connection; null without limits.
  void count_in(std::shared_ptr<PeerShare> share) { share_ = std::move(share); }
  [[nodiscard]] PeerShare* share() const { return share_.get(); }
  [[nodiscard]] bool shaking_hands() const { return tls_ != nullptr && !tls_->ready(); }

  std::size_t read_some(boost::asio::mutable_buffer room, error_code& ec) {
    return tls_ == nullptr ? socket_.read_some(room, ec) : tls_->read_some(room, ec);
  }
  std::size_t write_some(boost::asio::const_buffer bytes, error_code& ec) {
    return tls_ == nullptr ? socket_.write_some(bytes, ec) : tls_->write_some(bytes, ec);
  }

  /// Calls handler(error_code) when there is something to read; it may turn out to be nothing.
  template <class Handler>
  void async_wait_read(Handler handler) {
    if (tls_ == nullptr) {
      socket_.async_wait(Socket::wait_read, std::move(handler));
    } else if (tls_->has_more()) {
      boost::asio::post(get_executor(),
                        [handler = std::move(handler)]() mutable { handler(error_code()); });
    } else {
      tls_->socket().async_wait(tls_->read_needs(), std::move(handler));
    }
  }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& room) {
          if (tls_ == nullptr) {
            socket_.async_read_some(room, std::move(handler));
          } else {
            TlsRead<Buffers> read{tls_, room};
            boost::asio::async_compose<decltype(handler), void(error_code, std::size_t)>(
                std::move(read), handler, tls_->socket());
          }
        },
        token, buffers);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const Buffers& bytes) {
          if (tls_ == nullptr) {
            socket_.async_write_some(bytes, std::move(handler));
          } else {
            TlsWrite<Buffers> write{tls_, bytes};
            boost::asio::async_compose<decltype(handler), void(error_code, std::size_t)>(
                std::move(write), handler, tls_->socket());
          }
        },
        token, buffers);
  }

  void shutdown_send();
  void close();

 private:
  /// The steps of a read over TLS. They keep the session: Beast may end the stream meanwhile.
  template <class Buffers>
  struct TlsRead {
    std::shared_ptr<TlsSession> session;
    Buffers buffers;
    bool begun = false;

    template <class Self>
    void operator()(Self& self, const error_code& failed = {}) {
      TlsSession& tls = *session;
      if (!std::exchange(begun, true)) {
        if (tls.has_more()) {
          boost::asio::post(tls.socket().get_executor(), std::move(self));
        } else {
          tls.socket().async_wait(tls.read_needs(), std::move(self));
        }
        return;
      }
      if (failed) return self.complete(failed, 0);
      error_code ec;
      const std::size_t bytes = tls.read_some(first_of(buffers), ec);
      if (ec == boost::asio::error::would_block) {
        tls.socket().async_wait(tls.read_needs(), std::move(self));
        return;
      }
      self.complete(ec, bytes);
    }
    static boost::asio::mutable_buffer first_of(const Buffers& all) {
      for (auto at = boost::asio::buffer_sequence_begin(all);
           at != boost::asio::buffer_sequence_end(all); ++at) {
        const boost::asio::mutable_buffer buffer = *at;
        if (buffer.size() != 0) return buffer;
      }
      return {};
    }
  };

  template <class Buffers>
  struct TlsWrite {
    std::shared_ptr<TlsSession> session;
    Buffers buffers;
    bool begun = false;

    template <class Self>
    void operator()(Self& self, const error_code& failed = {}) {
      TlsSession& tls = *session;
      if (!std::exchange(begun, true)) {
        tls.socket().async_wait(tls.write_needs(), std::move(self));
        return;
      }
      if (failed) return self.complete(failed, 0);
      // Several small pieces are one record.
      std::array<char, 4096> record;
      error_code ec;
      const std::size_t bytes = tls.write_some(gather(buffers, record), ec);
      if (ec == boost::asio::error::would_block) {
        tls.socket().async_wait(tls.write_needs(), std::move(self));
        return;
      }
      self.complete(ec, bytes);
    }
    static boost::asio::const_buffer gather(const Buffers& all, std::array<char, 4096>& record) {
      const auto begin = boost::asio::buffer_sequence_begin(all);
      const auto end = boost::asio::buffer_sequence_end(all);
      if (begin == end) return {};
      if (std::next(begin) == end) return *begin;
      return boost::asio::buffer(record.data(),
                                 boost::asio::buffer_copy(boost::asio::buffer(record), all));
    }
  };

  [[nodiscard]] Socket& socket() { return tls_ == nullptr ? socket_ : tls_->socket(); }

  Socket socket_;  // not open where there is TLS: that has it
  Peer peer_;
  std::shared_ptr<TlsSession> tls_;
  std::shared_ptr<PeerShare> share_;
};

/// How Beast ends a WebSocket: the client has until the stream's own time limit to close.
template <class Handler>
void async_teardown(boost::beast::role_type /*role*/, Transport& transport, Handler&& handler) {
  using boost::system::error_code;
  transport.shutdown_send();
  boost::asio::async_compose<Handler, void(error_code)>(
      [&transport, rest = std::make_shared<std::array<char, 1024>>()](
          auto& self, const error_code& ec = {}, std::size_t /*bytes*/ = 0) mutable {
        if (ec) return self.complete(ec == boost::asio::error::eof ? error_code() : ec);
        const auto room = boost::asio::buffer(*rest);
        transport.async_read_some(room, std::move(self));
      },
      handler, transport);
}
void beast_close_socket(Transport& transport);

}  // namespace millrace::endpoint
