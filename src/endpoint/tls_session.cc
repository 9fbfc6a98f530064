#include "endpoint/tls_session.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <string_view>
#include <utility>

#include "runtime/socket_bio.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

/// The one common name of the client's certificate; empty where there is none, or not just one.
std::string common_name(const SSL* ssl) {
  X509* const certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return {};
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* text = nullptr;
  const int bytes =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (bytes < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(bytes));
  OPENSSL_free(text);
  return name.find('\0') == std::string::npos ? name : std::string();
}

}  // namespace

TlsSession::TlsSession(Socket socket, Tls& tls, TlsProtocol protocol, std::string from)
    : socket_(std::move(socket)),
      tls_(tls),
      protocol_(protocol),
      from_(std::move(from)),
      ssl_(tls.accept(protocol)) {
  BIO* const bio = ssl_ == nullptr ? nullptr : runtime::socket_bio(socket_.native_handle());
  if (bio == nullptr) {
    failed();
    ssl_.reset();
    return;
  }
  SSL_set_bio(ssl_.get(), bio, bio);
}

TlsSession::~TlsSession() {
  if (!ready_ && !failed_) ++tls_.metrics().handshakes_failed;
}

std::string TlsSession::channel_binding() const {
  X509* const certificate = ssl_ == nullptr ? nullptr : SSL_get_certificate(ssl_.get());
  int digest_id = NID_undef;
  if (certificate == nullptr ||
      X509_get_signature_info(certificate, &digest_id, nullptr, nullptr, nullptr) != 1 ||
      digest_id == NID_undef)
    return {};
  // RFC 5929, 4.1: where the signature used MD5 or SHA-1, the digest is SHA-256.
  if (digest_id == NID_md5 || digest_id == NID_sha1) digest_id = NID_sha256;
  const EVP_MD* const digest = EVP_get_digestbynid(digest_id);
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (digest == nullptr || X509_digest(certificate, digest, bytes.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(bytes.data()), size};
}

std::size_t TlsSession::read_some(asio::mutable_buffer room, error_code& ec) {
  ec = {};
  std::size_t total = 0;
  if (room.size() == 0) return 0;
  if (failed_) {
    ec = asio::error::connection_reset;
    return 0;
  }
  do {
    ERR_clear_error();
    std::size_t got = 0;
    const int result =
        SSL_read_ex(ssl_.get(), static_cast<char*>(room.data()) + total, room.size() - total, &got);
    if (result != 1) {
      const error_code why = outcome(result, read_needs_);
      if (total == 0) ec = why;
      // What ended the stream is told by the next read.
      has_more_ = total != 0 && why != asio::error::would_block;
      break;
    }
    total += got;
    read_needs_ = Socket::wait_read;
    has_more_ = SSL_has_pending(ssl_.get()) != 0;
  } while (has_more_ && total < room.size());
  if (!ready_ && !failed_ && SSL_is_init_finished(ssl_.get()) == 1) shaken_hands();
  return total;
}

std::size_t TlsSession::write_some(asio::const_buffer bytes, error_code& ec) {
  ec = {};
  std::size_t total = 0;
  if (failed_) {
    ec = asio::error::connection_reset;
    return 0;
  }
  while (total < bytes.size()) {
    ERR_clear_error();
    std::size_t sent = 0;
    const int result = SSL_write_ex(ssl_.get(), static_cast<const char*>(bytes.data()) + total,
                                    bytes.size() - total, &sent);
    if (result != 1) {
      const error_code why = outcome(result, write_needs_);
      if (total == 0) ec = why;
      break;
    }
    total += sent;
    write_needs_ = Socket::wait_write;
  }
  if (!ready_ && !failed_ && SSL_is_init_finished(ssl_.get()) == 1) shaken_hands();
  return total;
}

error_code TlsSession::outcome(int result, Socket::wait_type& needs) {
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      needs = Socket::wait_read;
      return asio::error::would_block;
    case SSL_ERROR_WANT_WRITE:
      needs = Socket::wait_write;
      return asio::error::would_block;
    case SSL_ERROR_ZERO_RETURN:
      return asio::error::eof;
    case SSL_ERROR_SYSCALL:
      failed();
      return system_error == 0 ? error_code(asio::error::eof)
                               : error_code(system_error, boost::system::system_category());
    default:
      break;
  }
  const bool plain_http = !ready_ && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
  spdlog::debug("tls: {} from {}: {}", ready_ ? "bad data" : "no handshake", from_,
                take_tls_error());
  if (plain_http && protocol_ == TlsProtocol::kHttp) answer_plain_http();
  failed();
  return asio::error::connection_reset;
}

void TlsSession::failed() {
  if (!ready_ && !failed_) ++tls_.metrics().handshakes_failed;
  failed_ = true;
}

void TlsSession::shaken_hands() {
  ready_ = true;
  ++tls_.metrics().handshakes;
  // From now on a record costs one system call. Not before: what came behind the handshake would
  // lie in OpenSSL, and if it was a write that finished the handshake, nobody would look there.
  SSL_set_read_ahead(ssl_.get(), 1);
  if (tls_.common_name_is_user()) user_ = common_name(ssl_.get());
}

// Whoever typed http:// instead of https:// is told.
void TlsSession::answer_plain_http() {
  static constexpr std::string_view kAnswer =
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 43\r\n"
      "Connection: close\r\n\r\nthis port speaks TLS: ask with https://…\n";
  std::array<char, 4096> rest;
  error_code ignored;
  static_cast<void>(socket_.write_some(asio::buffer(kAnswer), ignored));
  // What is left unread would reset the connection and take the answer with it.
  static_cast<void>(socket_.read_some(asio::buffer(rest), ignored));
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void TlsSession::shutdown_send() {
  if (ready_ && !failed_) {
    ERR_clear_error();
    static_cast<void>(SSL_shutdown(ssl_.get()));
    ERR_clear_error();
  }
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace millrace::endpoint
