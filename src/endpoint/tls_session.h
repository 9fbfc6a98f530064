// TLS on one accepted connection, server's side: OpenSSL straight on the non-blocking socket, so
// that an idle connection holds no buffer. The handshake happens while the stream is read or
// written. Owns: the socket. Thread: the connection's. Errors: as error codes of Asio; a peer that
// does not speak TLS ends the connection, and one that speaks HTTP is told so first. Invariant:
// after would_block from read_some() there is nothing to read before the socket is ready for
// read_needs(); only bytes that OpenSSL has already are not announced by the socket, has_more()
// tells of them.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "endpoint/tls.h"

namespace millrace::endpoint {

class TlsSession {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  TlsSession(Socket socket, Tls& tls, TlsProtocol protocol, std::string from);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  [[nodiscard]] Socket& socket() { return socket_; }
  [[nodiscard]] bool ready() const { return ready_; }
  /// The common name of the client's certificate where it stands for a user.
  [[nodiscard]] const std::string& user() const { return user_; }

  /// What SCRAM can be bound to: the server certificate's digest, "tls-server-end-point" (RFC
  /// 5929); empty where the certificate's signature has no digest of its own.
  [[nodiscard]] std::string channel_binding() const;

  std::size_t read_some(boost::asio::mutable_buffer room, boost::system::error_code& ec);
  std::size_t write_some(boost::asio::const_buffer bytes, boost::system::error_code& ec);
  /// A read would give something without waiting.
  [[nodiscard]] bool has_more() const { return has_more_; }
  [[nodiscard]] Socket::wait_type read_needs() const { return read_needs_; }
  [[nodiscard]] Socket::wait_type write_needs() const { return write_needs_; }
  /// Tells the client that nothing more comes.
  void shutdown_send();

 private:
  boost::system::error_code outcome(int result, Socket::wait_type& needs);
  void failed();
  void shaken_hands();
  void answer_plain_http();

  Socket socket_;
  Tls& tls_;
  const TlsProtocol protocol_;
  const std::string from_;  // for the log
  SslPtr ssl_;
  std::string user_;
  Socket::wait_type read_needs_ = Socket::wait_read;
  Socket::wait_type write_needs_ = Socket::wait_write;
  bool ready_ = false;
  bool failed_ = false;
  bool has_more_ = false;
};

}  // namespace millrace::endpoint
