// Certificates made for a test, and a blocking TLS client by OpenSSL, for tests of the ports with
// TLS from the outside.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "endpoint/raw_client_test.h"
#include "endpoint/tls.h"
#include "runtime/socket_bio.h"

namespace millrace::endpoint {

struct OpenSslFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree>;
using CertificatePtr = std::unique_ptr<X509, OpenSslFree>;

/// An authority of its own, which signs what a test needs. Keys are of a curve: quick to make.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name) : key_(EVP_EC_gen("P-256")) {
    certificate_ = make(name, key_.get(), 365, true);
  }
  /// Writes <folder>/<file>.crt and .key for a server at 127.0.0.1, or a client of that name.
  void issue(const std::filesystem::path& folder, const std::string& file, const std::string& name,
             int days = 30) const {
    const KeyPtr key(EVP_EC_gen("P-256"));
    const CertificatePtr certificate = make(name, key.get(), days, false);
    write(folder / (file + ".crt"),
          [&](std::FILE* out) { PEM_write_X509(out, certificate.get()); });
    write(folder / (file + ".key"), [&](std::FILE* out) {
      PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  void write_certificate(const std::filesystem::path& file) const {
    write(file, [&](std::FILE* out) { PEM_write_X509(out, certificate_.get()); });
  }

 private:
  template <class Print>
  static void write(const std::filesystem::path& file, Print print) {
    // In place of the old one at once, as tools that renew certificates do.
    const std::string next = file.string() + ".next";
    std::FILE* const out = std::fopen(next.c_str(), "w");
    ASSERT_NE(out, nullptr) << next;
    print(out);
    std::fclose(out);
    std::filesystem::rename(next, file);
  }
  CertificatePtr make(const std::string& name, EVP_PKEY* key, int days, bool authority) const {
    CertificatePtr made(X509_new());
    X509* const x509 = made.get();
    X509_set_version(x509, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), -86'400 * 40L);
    X509_gmtime_adj(X509_getm_notAfter(x509), 86'400L * days);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509* const issuer = authority ? x509 : certificate_.get();
    X509_set_issuer_name(x509, X509_get_subject_name(issuer));
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
    const auto extend = [&](int id, const char* value) {
      X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
      X509_add_ext(x509, extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!authority) extend(NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    X509_sign(x509, authority ? key : key_.get(), EVP_sha256());
    return made;
  }

  KeyPtr key_;
  CertificatePtr certificate_;
};

/// A folder with an authority's certificate ca.crt, gone at the end.
class CertificateFolder {
 public:
  CertificateFolder() : authority_("Test authority") {
    std::string pattern = (std::filesystem::temp_directory_path() / "millrace-tls-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    authority_.write_certificate(folder_ / "ca.crt");
    authority_.issue(folder_, "server", "first");
  }
  ~CertificateFolder() { std::filesystem::remove_all(folder_); }
  CertificateFolder(const CertificateFolder&) = delete;
  CertificateFolder& operator=(const CertificateFolder&) = delete;

  void issue(const std::string& file, const std::string& name, int days = 30) const {
    authority_.issue(folder_, file, name, days);
  }
  [[nodiscard]] std::string path(const std::string& file) const { return folder_ / file; }
  [[nodiscard]] TlsOptions options() const {
    return {.certificate = path("server.crt"), .key = path("server.key"), .client_ca = {}};
  }
  [[nodiscard]] std::unique_ptr<Tls> load(TlsOptions options) const {
    auto tls = Tls::load(std::move(options));
    EXPECT_TRUE(tls) << tls.error().text();
    return tls ? std::move(*tls) : nullptr;
  }

 private:
  TestAuthority authority_;
  std::filesystem::path folder_;
};

struct TlsClientOptions {
  std::string ca;           // empty: any server is trusted
  std::string certificate;  // of the client: this with .crt and .key
  std::string alpn;         // one protocol
  int version_max = 0;
};

class TlsClient {
 public:
  TlsClient(std::uint16_t port, const TlsClientOptions& options) : plain_(port) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (!options.ca.empty()) {
      SSL_CTX_load_verify_file(context_.get(), options.ca.c_str());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!options.certificate.empty()) {
      SSL_CTX_use_certificate_file(context_.get(), (options.certificate + ".crt").c_str(),
                                   SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), (options.certificate + ".key").c_str(),
                                  SSL_FILETYPE_PEM);
    }
    if (options.version_max != 0)
      SSL_CTX_set_max_proto_version(context_.get(), options.version_max);
    SSL_CTX_set_options(context_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    ssl_.reset(SSL_new(context_.get()));
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), "127.0.0.1");
    if (!options.alpn.empty()) {
      const std::string list = static_cast<char>(options.alpn.size()) + options.alpn;
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    BIO* const bio = runtime::socket_bio(plain_.descriptor());
    SSL_set_bio(ssl_.get(), bio, bio);
    timeval patience{.tv_sec = kPatience.count() / 1000, .tv_usec = 0};
    ::setsockopt(plain_.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = SSL_connect(ssl_.get()) == 1;
    if (!connected_) error_ = take_tls_error();
  }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  /// What the server does not take, it does not answer.
  void send(std::string_view bytes) {
    std::size_t sent = 0;
    if (!bytes.empty()) SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
  }
  bool receive() {
    char room[65536];
    std::size_t got = 0;
    if (SSL_read_ex(ssl_.get(), room, sizeof room, &got) != 1) return false;
    received_.append(room, got);
    return true;
  }
  std::string read_until(std::string_view mark) {
    while (received_.find(mark) == std::string::npos) {
      if (!receive()) return "";
    }
    return take(received_.find(mark) + mark.size());
  }
  std::string read_bytes(std::size_t count) {
    while (received_.size() < count) {
      if (!receive()) break;
    }
    return take(std::min(count, received_.size()));
  }
  std::string read_to_end() {
    while (receive()) {
    }
    return take(received_.size());
  }
  [[nodiscard]] std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned bytes = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &bytes);
    return {reinterpret_cast<const char*>(name), bytes};
  }
  [[nodiscard]] std::string server_name() const {
    char name[256] = {};
    X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr) return {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof name);
    return name;
  }
  SSL* ssl() { return ssl_.get(); }

 private:
  std::string take(std::size_t count) {
    std::string text = received_.substr(0, count);
    received_.erase(0, count);
    return text;
  }

  RawClient plain_;
  std::unique_ptr<SSL_CTX, OpenSslFree> context_;
  std::unique_ptr<SSL, OpenSslFree> ssl_;
  std::string received_;
  std::string error_;
  bool connected_ = false;
};

inline Reply read_reply(TlsClient& client) {
  Reply reply;
  reply.head = client.read_until("\r\n\r\n");
  if (reply.head.size() < 12) return reply;
  reply.status = std::stoi(reply.head.substr(9, 3));
  const std::string length = reply.header("Content-Length");
  if (!length.empty()) reply.body = client.read_bytes(std::stoul(length));
  return reply;
}

}  // namespace millrace::endpoint
