#include "sink/redis_link.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/socket_bio.h"

namespace millrace::sink {

namespace {

namespace redis = wire::redis;

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::seconds kConnectPatience{10};
constexpr int kLookMs = 100;
constexpr std::size_t kReceiveBytes = std::size_t{64} << 10;
/// Replies that Redis keeps while it is sent more: some bytes each.
constexpr std::size_t kMissingMax = 100'000;

std::unexpected<Error> lost(std::string_view why) {
  return fail(ErrorCode::kUnavailable, error_id::kStoreLost, "Redis: {}", why);
}
std::unexpected<Error> lost_by(int number) { return lost(std::strerror(number)); }

std::string tls_reason() {
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(number)) return std::strerror(static_cast<int>(ERR_GET_REASON(number)));
  const char* const reason = ERR_reason_error_string(number);
  return reason == nullptr ? "the connection broke" : reason;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> room{};
  return ::inet_pton(AF_INET, host.c_str(), room.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), room.data()) == 1;
}

/// The first of a host's addresses that a connection can be begun to; -1 and errno otherwise.
Result<int> begin_connecting(const StoreUrl& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int failure =
      ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (failure != 0) return lost(fmt::format("{}: {}", url.host, ::gai_strerror(failure)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
  int number = EADDRNOTAVAIL;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int socket =
        ::socket(one->ai_family, one->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol);
    if (socket < 0) continue;
    if (::connect(socket, one->ai_addr, one->ai_addrlen) == 0 || errno == EINPROGRESS)
      return socket;
    number = errno;
    ::close(socket);
  }
  return lost_by(number);
}

}  // namespace

std::unexpected<Error> redis_error(std::string_view text) {
  const auto word = text.substr(0, text.find(' '));
  // Loading, out of memory, a copy that only reads, a password that is to be changed: all may pass.
  const bool lasts = word == "WRONGTYPE" || (word == "ERR" && !text.starts_with("ERR max number"));
  if (!lasts) return lost(text.substr(0, 300));
  return fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused, "Redis refuses: {}",
              text.substr(0, 300));
}

Result<std::unique_ptr<RedisLink>> RedisLink::connect(const StoreUrl& url,
                                                      const StoreAccess& access,
                                                      const std::atomic<bool>& stopping) {
  MR_TRY(const std::string password, password_of(access));
  MR_TRY(const int socket, begin_connecting(url));
  std::unique_ptr<RedisLink> link(new RedisLink(socket, stopping));
  MR_RETURN_IF_ERROR(link->wait(/*writes=*/true, Clock::now() + kConnectPatience));
  int number = 0;
  socklen_t size = sizeof(number);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
  if (number != 0) return lost(fmt::format("{}:{}: {}", url.host, url.port, std::strerror(number)));
  const int yes = 1;
  static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)));
  if (url.tls) MR_RETURN_IF_ERROR(link->start_tls(url, access));
  MR_RETURN_IF_ERROR(link->log_in(url, password));
  return link;
}

RedisLink::~RedisLink() { ::close(socket_); }

Status RedisLink::start_tls(const StoreUrl& url, const StoreAccess& access) {
  ERR_clear_error();
  context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const int trusted = access.ca_file.empty()
                          ? SSL_CTX_set_default_verify_paths(context)
                          : SSL_CTX_load_verify_file(context, access.ca_file.c_str());
  if (trusted != 1) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
                "the authorities in {} cannot be read: {}", access.ca_file, tls_reason());
  }
  ssl_.reset(SSL_new(context));
  if (is_address(url.host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), url.host.c_str());
  } else {
    SSL_set1_host(ssl_.get(), url.host.c_str());
    SSL_set_tlsext_host_name(ssl_.get(), url.host.c_str());
  }
  BIO* const bio = runtime::socket_bio(socket_);
  SSL_set_bio(ssl_.get(), bio, bio);
  const auto until = Clock::now() + kConnectPatience;
  for (;;) {
    ERR_clear_error();
    const int got = SSL_connect(ssl_.get());
    if (got == 1) return {};
    const int why = SSL_get_error(ssl_.get(), got);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
      if (SSL_get_verify_result(ssl_.get()) != X509_V_OK) {
        return fail(ErrorCode::kFailedPrecondition, error_id::kStoreRefused,
                    "the certificate of {} does not hold: {}", url.host,
                    X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get())));
      }
      return lost(tls_reason());
    }
    tls_wants_write_ = why == SSL_ERROR_WANT_WRITE;
    MR_RETURN_IF_ERROR(wait(tls_wants_write_, until));
  }
}

Status RedisLink::log_in(const StoreUrl& url, const std::string& password) {
  if (!password.empty() && !url.user.empty()) {
    command({"AUTH", url.user, password});
  } else if (!password.empty()) {
    command({"AUTH", password});
  }
  command({"SELECT", url.database});
  return finish([](const redis::Reply& reply) -> Status {
    // Redis says only what was wrong, and not with which password.
    if (reply.is(redis::Reply::Kind::kError)) return redis_error(reply.text);
    return {};
  });
}

Status RedisLink::wait(bool writes, Clock::time_point until) const {
  for (;;) {
    if (stopping_.load())
      return fail(ErrorCode::kCancelled, error_id::kStopping, "the sink is stopped");
    pollfd waiting{
        .fd = socket_, .events = static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), .revents = 0};
    if (::poll(&waiting, 1, kLookMs) > 0) return {};
    if (Clock::now() >= until) return lost("no answer in time");
  }
}

Status RedisLink::receive() {
  const std::size_t before = in_.size();
  in_.resize(before + kReceiveBytes);
  ssize_t got = 0;
  int number = 0;
  if (ssl_ == nullptr) {
    got = ::recv(socket_, in_.data() + before, kReceiveBytes, 0);
    number = errno;
  } else {
    ERR_clear_error();
    got = SSL_read(ssl_.get(), in_.data() + before, static_cast<int>(kReceiveBytes));
    const int why = got > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), static_cast<int>(got));
    number = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    if (why == SSL_ERROR_ZERO_RETURN) got = 0;
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_ZERO_RETURN) got = -1;
  }
  in_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) return {};
  if (got == 0) return lost("it closed the connection");
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return {};
  return lost_by(number);
}

Status RedisLink::send() {
  while (sent_ < out_.size()) {
    const char* const from = out_.data() + sent_;
    const std::size_t left = out_.size() - sent_;
    ssize_t gone = 0;
    int number = 0;
    if (ssl_ == nullptr) {
      gone = ::send(socket_, from, left, MSG_NOSIGNAL);
      number = errno;
    } else {
      ERR_clear_error();
      gone = SSL_write(ssl_.get(), from, static_cast<int>(std::min<std::size_t>(left, 1U << 20)));
      const int why = gone > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), static_cast<int>(gone));
      number = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    }
    if (gone > 0) {
      sent_ += static_cast<std::size_t>(gone);
    } else if (number == EAGAIN || number == EWOULDBLOCK) {
      return {};
    } else if (number != EINTR) {
      return lost_by(number);
    }
  }
  out_.clear();
  sent_ = 0;
  return {};
}

void RedisLink::command_head(std::size_t arguments) {
  redis::append_command_head(arguments, out_);
  ++expected_;
}

void RedisLink::command(std::initializer_list<std::string_view> arguments) {
  command_head(arguments.size());
  for (const auto one : arguments) argument(one);
}

Status RedisLink::finish(const Visit& visit) { return exchange(0, visit); }

Status RedisLink::flow(const Visit& visit) { return exchange(kMissingMax, visit); }

Status RedisLink::exchange(std::size_t missing_max, const Visit& visit) {
  const auto done = [&] { return out_.empty() && expected_ <= missing_max; };
  Status first;
  auto until = Clock::now() + kPatience;
  while (!done()) {
    MR_RETURN_IF_ERROR(send());
    std::string_view left = in_;
    while (expected_ != 0) {
      MR_TRY(const auto reply, redis::take_reply(left));
      if (!reply) break;
      --expected_;
      until = Clock::now() + kPatience;
      if (first && visit) first = visit(*reply);
    }
    in_.erase(0, in_.size() - left.size());
    if (done()) break;
    // TLS may hold bytes that poll() does not see.
    if (ssl_ == nullptr || SSL_pending(ssl_.get()) == 0)
      MR_RETURN_IF_ERROR(wait(sent_ < out_.size(), until));
    MR_RETURN_IF_ERROR(receive());
  }
  return first;
}

Result<redis::Reply> RedisLink::run(std::initializer_list<std::string_view> arguments) {
  command(arguments);
  redis::Reply out;
  MR_RETURN_IF_ERROR(finish([&](const redis::Reply& reply) -> Status {
    if (reply.is(redis::Reply::Kind::kError)) return redis_error(reply.text);
    out = reply;
    return {};
  }));
  return out;
}

}  // namespace millrace::sink
