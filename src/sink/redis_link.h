// A connection to a Redis, with TLS where it is asked for: commands gather and go out together, and
// their replies come in order. Waits for the network by poll(), never longer than it was given, and
// not long after `stopping` is set. Owns: the socket. Thread: one. Errors: kUnavailable
// (kStoreLost) where the connection is gone; kFailedPrecondition (kStoreRefused) for a certificate
// or a password that is not right. No error has the password.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sink/store_url.h"
#include "wire/redis.h"

namespace millrace::sink {

class RedisLink {
 public:
  /// Connected, logged in, and in the database of the address.
  static Result<std::unique_ptr<RedisLink>> connect(const StoreUrl& url, const StoreAccess& access,
                                                    const std::atomic<bool>& stopping);
  ~RedisLink();
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;

  void command(std::initializer_list<std::string_view> arguments);
  /// So many arguments follow by argument().
  void command_head(std::size_t arguments);
  void argument(std::string_view bytes) { wire::redis::append_argument(bytes, out_); }
  /// Of what is not sent yet.
  [[nodiscard]] std::size_t waiting_bytes() const { return out_.size(); }

  using Visit = std::function<Status(const wire::redis::Reply&)>;
  /// Sends all and waits for the replies.
  Status finish(const Visit& visit);
  /// Sends all; of the replies it takes those that are there, and waits only where too many are
  /// missing. The others are those of the next call.
  Status flow(const Visit& visit);
  /// One command alone; an error of Redis is kUnavailable.
  Result<wire::redis::Reply> run(std::initializer_list<std::string_view> arguments);

 private:
  using Clock = std::chrono::steady_clock;
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  RedisLink(int socket, const std::atomic<bool>& stopping) : socket_(socket), stopping_(stopping) {}
  Status start_tls(const StoreUrl& url, const StoreAccess& access);
  Status log_in(const StoreUrl& url, const std::string& password);
  Status wait(bool writes, Clock::time_point until) const;
  Status receive();
  Status send();
  /// Goes on until so few replies are missing.
  Status exchange(std::size_t missing_max, const Visit& visit);

  const int socket_;
  const std::atomic<bool>& stopping_;
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool tls_wants_write_ = false;
  std::size_t expected_ = 0;  // replies
  std::string out_;
  std::size_t sent_ = 0;
  std::string in_;
};

/// What an error reply of Redis means: whether the same may go well later.
[[nodiscard]] std::unexpected<Error> redis_error(std::string_view text);

}  // namespace millrace::sink
