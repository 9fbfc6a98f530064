// TLS from a client to a server, over a non-blocking socket that somebody else owns: checks that
// the server is the one that was asked for. Thread: one at a time. Errors: as of send(2) and
// recv(2), -1 and errno; EAGAIN says to wait for waits_for(), EPROTO that error() has the reason.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::client {

class TlsLink {
 public:
  /// `host`: a name or an IP address, as in the URL without brackets. `ca_file`: the authorities
  /// that are trusted (PEM), or empty for those of the system. Errors: kInvalidArgument for a file
  /// that cannot be read.
  static Result<std::unique_ptr<TlsLink>> make(int socket, const std::string& host,
                                               const std::string& ca_file);

  /// 1 when it is done.
  [[nodiscard]] ssize_t shake_hands();
  [[nodiscard]] ssize_t send(std::string_view bytes);
  /// 0 at the end.
  [[nodiscard]] ssize_t receive(char* room, std::size_t bytes);
  /// The server has closed, or sent something that nobody asked for.
  [[nodiscard]] bool has_ended_or_speaks();
  /// POLLIN or POLLOUT
  [[nodiscard]] short waits_for() const { return waits_for_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  TlsLink() = default;
  ssize_t outcome(int result, std::size_t bytes);

  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
  short waits_for_ = 0;
  std::string error_;
};

}  // namespace millrace::client
