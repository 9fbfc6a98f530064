#include "client/tls_link.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <array>
#include <cerrno>

#include "runtime/socket_bio.h"

namespace millrace::client {
namespace {

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> room{};
  return ::inet_pton(AF_INET, host.c_str(), room.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), room.data()) == 1;
}

std::string last_error() {
  const char* const reason = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace

Result<std::unique_ptr<TlsLink>> TlsLink::make(int socket, const std::string& host,
                                               const std::string& ca_file) {
  ERR_clear_error();
  std::unique_ptr<TlsLink> link(new TlsLink());
  link->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = link->context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const int trusted = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                                      : SSL_CTX_load_verify_file(context, ca_file.c_str());
  if (trusted != 1) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "the authorities in {} cannot be read: {}", ca_file, last_error());
  }
  link->ssl_.reset(SSL_new(context));
  SSL* const ssl = link->ssl_.get();
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
  } else {
    SSL_set1_host(ssl, host.c_str());
    SSL_set_tlsext_host_name(ssl, host.c_str());
  }
  static constexpr std::array<unsigned char, 9> kHttp = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_set_alpn_protos(ssl, kHttp.data(), kHttp.size());
  BIO* const bio = runtime::socket_bio(socket);
  SSL_set_bio(ssl, bio, bio);
  return link;
}

ssize_t TlsLink::shake_hands() {
  ERR_clear_error();
  return outcome(SSL_connect(ssl_.get()), 1);
}

ssize_t TlsLink::send(std::string_view bytes) {
  ERR_clear_error();
  std::size_t sent = 0;
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
  const ssize_t done = outcome(result, sent);
  if (done != 0) return done;
  errno = EPIPE;
  return -1;
}

ssize_t TlsLink::receive(char* room, std::size_t bytes) {
  ERR_clear_error();
  std::size_t got = 0;
  const int result = SSL_read_ex(ssl_.get(), room, bytes, &got);
  return outcome(result, got);
}

bool TlsLink::has_ended_or_speaks() {
  // A readable socket says little: new session tickets come at any time.
  ERR_clear_error();
  char next = 0;
  std::size_t got = 0;
  const int result = SSL_peek_ex(ssl_.get(), &next, 1, &got);
  return outcome(result, got) != -1 || errno != EAGAIN;
}

ssize_t TlsLink::outcome(int result, std::size_t bytes) {
  if (result == 1) return static_cast<ssize_t>(bytes);
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      waits_for_ = POLLIN;
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_WANT_WRITE:
      waits_for_ = POLLOUT;
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:
      errno = system_error == 0 ? ECONNRESET : system_error;
      return -1;
    default:
      break;
  }
  const long verified = SSL_get_verify_result(ssl_.get());
  error_ = verified == X509_V_OK ? last_error()
                                 : fmt::format("the server's certificate is not trusted: {}",
                                               X509_verify_cert_error_string(verified));
  ERR_clear_error();
  errno = EPROTO;
  return -1;
}

}  // namespace millrace::client
