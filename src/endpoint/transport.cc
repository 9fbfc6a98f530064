#include "endpoint/transport.h"

namespace millrace::endpoint {

using boost::asio::ip::tcp;

namespace {

tcp::socket prepared(tcp::socket socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.non_blocking(true, ignored);
  return socket;
}

}  // namespace

Transport::Transport(Socket socket, Peer peer)
    : socket_(prepared(std::move(socket))), peer_(std::move(peer)) {}

Transport::Transport(Socket socket, Peer peer, Tls& tls, TlsProtocol protocol)
    : socket_(socket.get_executor()),
      peer_(std::move(peer)),
      tls_(std::make_shared<TlsSession>(prepared(std::move(socket)), tls, protocol,
                                        peer_.address)) {}

Transport::~Transport() {
  // What waits for the socket holds the session, not the stream.
  if (tls_ != nullptr) close();
}

void Transport::start_tls(Tls& tls, TlsProtocol protocol) {
  tls_ = std::make_shared<TlsSession>(std::move(socket_), tls, protocol, peer_.address);
}

char Transport::peek() {
  char first = 0;
  error_code ec;
  const std::size_t got =
      socket_.receive(boost::asio::buffer(&first, 1), tcp::socket::message_peek, ec);
  return ec || got == 0 ? '\0' : first;
}

void Transport::shutdown_send() {
  if (tls_ != nullptr) {
    tls_->shutdown_send();
    return;
  }
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Transport::close() {
  if (tls_ != nullptr) tls_->shutdown_send();
  error_code ignored;
  socket().close(ignored);
}

void beast_close_socket(Transport& transport) { transport.close(); }

}  // namespace millrace::endpoint
