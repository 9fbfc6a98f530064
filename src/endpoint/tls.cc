#include "endpoint/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <ctime>
#include <utility>

namespace millrace::endpoint {
namespace {

constexpr std::chrono::seconds kLookTime{1};
// By TlsProtocol.
constexpr std::array<std::string_view, 3> kProtocolNames = {"http/1.1", "mqtt", "postgresql"};
constexpr std::string_view kSessionContext = "millrace";

/// A client that names protocols must name ours: it may have been led here to misuse what another
/// protocol answers (RFC 9325, 3.7).
int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_bytes,
                    const unsigned char* offered, unsigned int offered_bytes, void* /*of all*/) {
  const auto* const wanted = static_cast<const std::string_view*>(SSL_get_app_data(ssl));
  for (unsigned int i = 0; i < offered_bytes && wanted != nullptr; i += 1U + offered[i]) {
    const std::string_view name(reinterpret_cast<const char*>(offered + i + 1), offered[i]);
    if (name != *wanted) continue;
    *out = offered + i + 1;
    *out_bytes = offered[i];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// Nobody can be asked for the password of a key.
int no_password(char* /*room*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

std::unexpected<Error> cannot_use(std::string_view what, std::string_view file,
                                  std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig, "{} {}: {}", what, file, why);
}

std::int64_t expiry_of(const SSL_CTX* context) {
  std::tm time{};
  const X509* const certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1)
    return 0;
  return timegm(&time);
}

void warn_of_expiry(std::int64_t expires_s, const std::string& file) {
  if (expires_s < std::time(nullptr))
    spdlog::warn("tls: the certificate {} has expired; clients will refuse it", file);
}

}  // namespace

std::string take_tls_error() {
  // The first one is the cause, the later ones are of those who passed it on.
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* const reason = ERR_reason_error_string(code);
  return reason == nullptr ? std::string("no reason given") : std::string(reason);
}

Result<std::unique_ptr<Tls>> Tls::load(TlsOptions options) {
  if (options.key.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "tls.certificate is set, and tls.key is not");
  }
  if (options.client_certificates != ClientCertificates::kNone && options.client_ca.empty()) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "tls.client_certificates asks for certificates, and tls.client_ca does not say "
                "whose");
  }
  auto tls = std::unique_ptr<Tls>(new Tls(std::move(options)));
  {
    const MutexLock lock(tls->mutex_);
    MR_RETURN_IF_ERROR(tls->reload_locked());
  }
  return tls;
}

Tls::Stamps Tls::stamps() const {
  Stamps all;
  std::size_t i = 0;
  for (const auto* file : {&options_.certificate, &options_.key, &options_.client_ca}) {
    struct stat status{};
    FileStamp& stamp = all[i++];
    if (file->empty() || ::stat(file->c_str(), &status) != 0) continue;
    stamp = {.inode = static_cast<std::int64_t>(status.st_ino),
             .bytes = status.st_size,
             .changed_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
  }
  return all;
}

Result<SslContextPtr> Tls::make_context() const {
  ERR_clear_error();
  SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const ctx = context.get();
  if (ctx == nullptr) return cannot_use("TLS", "", take_tls_error());
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_security_level(ctx, 2);
  // Requests end by themselves: a connection that is cut off between them loses nothing.
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle connections hold no buffers.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(ctx, &no_password);
  SSL_CTX_set_alpn_select_cb(ctx, &choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(ctx,
                                 reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                 static_cast<unsigned>(kSessionContext.size()));
  if (SSL_CTX_use_certificate_chain_file(ctx, options_.certificate.c_str()) != 1)
    return cannot_use("tls.certificate", options_.certificate, take_tls_error());
  if (SSL_CTX_use_PrivateKey_file(ctx, options_.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return cannot_use("tls.key", options_.key, take_tls_error());
  if (SSL_CTX_check_private_key(ctx) != 1) {
    return cannot_use("tls.key", options_.key,
                      fmt::format("is not the key of {}", options_.certificate));
  }
  if (options_.client_certificates == ClientCertificates::kNone) return context;

  if (SSL_CTX_load_verify_file(ctx, options_.client_ca.c_str()) != 1)
    return cannot_use("tls.client_ca", options_.client_ca, take_tls_error());
  SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(options_.client_ca.c_str()));
  const bool required = options_.client_certificates == ClientCertificates::kRequired;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  // A session that is taken up again would not look at the certificate again.
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(ctx, 0);
  return context;
}

Status Tls::reload_locked() {
  looked_ = std::chrono::steady_clock::now();
  // Before they are read: what changes meanwhile is looked at again.
  read_ = stamps();
  MR_TRY(context_, make_context());
  const std::int64_t expires_s = expiry_of(context_.get());
  metrics_.expires_s = expires_s;
  warn_of_expiry(expires_s, options_.certificate);
  return {};
}

Status Tls::reload() {
  const MutexLock lock(mutex_);
  if (auto done = reload_locked(); !done) {
    ++metrics_.reloads_failed;
    spdlog::error("tls: the old certificate stays in use: {}", done.error().message);
    return done;
  }
  ++metrics_.reloads;
  spdlog::info("tls: certificate {} was read again", options_.certificate);
  return {};
}

void Tls::reload_if_changed() {
  {
    const MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - looked_ < kLookTime) return;
    looked_ = now;
    if (stamps() == read_) return;
  }
  static_cast<void>(reload());
}

SslPtr Tls::accept(TlsProtocol protocol) {
  reload_if_changed();
  const MutexLock lock(mutex_);
  SslPtr ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return ssl;
  const auto& name = kProtocolNames[static_cast<std::size_t>(protocol)];
  SSL_set_app_data(ssl.get(), const_cast<std::string_view*>(&name));
  SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace millrace::endpoint
