// The server's certificate, and what it asks of clients: makes the TLS state of each new
// connection. The files are read again when they have changed, so that a renewed certificate needs
// no restart; connections that are open keep what they began with. Thread: any. Errors:
// kInvalidArgument (kBadConfig) for a file that cannot be read or does not fit; a reload that fails
// is logged and leaves the old ones in use. Invariant: no secret of a key is in an error or a log
// line.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "base/result.h"

namespace millrace::endpoint {

enum class ClientCertificates : std::uint8_t {
  kNone,      // not asked for
  kOptional,  // checked where there is one
  kRequired,
};

struct TlsOptions {
  /// PEM: the server's certificate and those up to the authority, and the key, without a password.
  std::string certificate;
  std::string key;
  /// PEM: the authorities that sign certificates of clients.
  std::string client_ca;
  ClientCertificates client_certificates = ClientCertificates::kNone;
  /// The common name of a client's certificate is the name of a user.
  bool common_name_is_user = false;
};

struct TlsMetrics {
  std::atomic<std::uint64_t> handshakes{0};
  /// Also those that were given up.
  std::atomic<std::uint64_t> handshakes_failed{0};
  std::atomic<std::uint64_t> reloads{0};
  std::atomic<std::uint64_t> reloads_failed{0};
  /// Of the server's certificate, in seconds since 1970.
  std::atomic<std::int64_t> expires_s{0};
};

/// What is spoken inside, as ALPN (RFC 7301) names it.
enum class TlsProtocol : std::uint8_t { kHttp, kMqtt, kPostgres };

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, SslFree>;
using SslContextPtr = std::unique_ptr<SSL_CTX, SslFree>;

class Tls {
 public:
  static Result<std::unique_ptr<Tls>> load(TlsOptions options);

  /// The server's side of a new connection, or null where there is no memory for it. Looks, at most
  /// once a second, whether the files have changed.
  [[nodiscard]] SslPtr accept(TlsProtocol protocol) EXCLUDES(mutex_);
  /// Reads the files now.
  Status reload() EXCLUDES(mutex_);
  [[nodiscard]] TlsMetrics& metrics() { return metrics_; }
  [[nodiscard]] bool common_name_is_user() const { return options_.common_name_is_user; }

 private:
  struct FileStamp {
    std::int64_t inode = 0;
    std::int64_t bytes = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const FileStamp&) const = default;
  };
  using Stamps = std::array<FileStamp, 3>;

  explicit Tls(TlsOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Stamps stamps() const;
  Result<SslContextPtr> make_context() const;
  Status reload_locked() REQUIRES(mutex_);
  void reload_if_changed() EXCLUDES(mutex_);

  const TlsOptions options_;
  TlsMetrics metrics_;
  Mutex mutex_;
  SslContextPtr context_ GUARDED_BY(mutex_);
  /// Of the files as they were when they were last read, whether or not they were good.
  Stamps read_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point looked_ GUARDED_BY(mutex_);
};

/// What OpenSSL's last error on this thread was, in words; clears its queue.
[[nodiscard]] std::string take_tls_error();

}  // namespace millrace::endpoint
