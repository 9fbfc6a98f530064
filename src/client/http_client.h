// A blocking HTTP/1.1 client for the command line, the generator and tests: one keep-alive
// connection. Owns: its socket. Thread: one at a time. Errors: kUnavailable, nobody listens, or the
// connection broke; kDeadlineExceeded, no answer in time; kCancelled, the caller gave up;
//   kInvalidArgument, the URL is wrong; kInternal, what came is not an HTTP answer. An answer with
//   any status, also 4xx and 5xx, is a value.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "client/tls_link.h"

namespace millrace::client {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpReply {
  int status = 0;
  HttpHeaders headers;
  std::string body;

  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
  /// The first header of this name in any case of letters; empty where there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// The value of an Authorization header: "Bearer ..." from MILLRACE_TOKEN, or "Basic ..." from
/// MILLRACE_USER and MILLRACE_PASSWORD; empty without. From the environment, because arguments can
/// be listed by others.
[[nodiscard]] std::string authorization_of_environment();

/// MILLRACE_CA, or empty.
[[nodiscard]] std::string ca_file_of_environment();

struct HttpClientOptions {
  std::chrono::milliseconds connect_time{5'000};
  /// From the first byte sent to the last byte of the answer.
  std::chrono::milliseconds request_time{120'000};
  std::size_t reply_bytes_max = std::size_t{1} << 30;
  /// Sent with each request where it is not empty and the request has none of its own.
  std::string authorization = authorization_of_environment();
  /// For https: a file (PEM) with the authorities that are trusted; empty: those of the system.
  std::string ca_file = ca_file_of_environment();
  /// Called every kWaitingTime while the server is waited for; false ends the request, and the
  /// connection, with kCancelled.
  std::function<bool()> waiting = {};
  static constexpr std::chrono::milliseconds kWaitingTime{100};
};

class HttpClient {
 public:
  /// "http://127.0.0.1:8080", "https://localhost", "http://[::1]:8080". Connects at once.
  [[nodiscard]] static Result<HttpClient> connect(std::string_view url,
                                                  HttpClientOptions options = {});
  HttpClient(HttpClient&& other) noexcept;
  HttpClient& operator=(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  /// `target`: "/v1/views/delays?origin=JFK", already percent-encoded. Host and Content-Length are
  /// added to `headers`. A connection that the server has closed meanwhile is opened again before
  /// anything is sent; a request that broke without an answer is sent once more only if that cannot
  /// do harm: GET, HEAD, PUT, DELETE, OPTIONS, or with an Idempotency-Key.
  [[nodiscard]] Result<HttpReply> request(std::string_view method, std::string_view target,
                                          std::string_view body = {},
                                          const HttpHeaders& headers = {});

  /// The same for an answer without an end: a body in chunks of a good status goes to `take` as it
  /// comes, and not into the reply; false ends it, and the connection, with kCancelled. There is no
  /// time in which the answer must have come.
  using Take = std::function<bool(std::string_view bytes)>;
  [[nodiscard]] Result<HttpReply> stream(std::string_view method, std::string_view target,
                                         std::string_view body, const HttpHeaders& headers,
                                         const Take& take);

  /// "http://127.0.0.1:8080"
  [[nodiscard]] const std::string& url() const { return address_.url; }

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  struct Attempt {
    Result<HttpReply> reply;
    bool broke_without_answer = false;
  };

  struct Address {
    std::string url;  // "https://host:8443"
    std::string host;
    std::string port;
    bool tls = false;
  };

  HttpClient(Address address, HttpClientOptions options);

  Status open();
  void close();
  [[nodiscard]] Status open_tls(const std::string& name, Deadline deadline);
  [[nodiscard]] bool closed_by_server();
  [[nodiscard]] std::string_view unused() const {
    return std::string_view(buffer_).substr(used_, filled_ - used_);
  }
  Attempt attempt(std::string_view head, std::string_view body, bool head_only);
  Status send(std::string_view head, std::string_view body, Deadline deadline);
  ssize_t send_some(std::array<std::string_view, 2>& parts);
  Result<HttpReply> receive(bool head_only, Deadline deadline);
  Status receive_more(Deadline deadline);
  Result<std::string> receive_line(Deadline deadline);
  Status receive_bytes(std::size_t count, std::string& out, Deadline deadline);
  Status receive_chunks(std::string& body, Deadline deadline, const Take* take);
  Status receive_to_end(std::string& body, Deadline deadline);
  Status wait_for(short events, Deadline deadline, short& ready);

  Address address_;
  HttpClientOptions options_;
  int socket_ = -1;
  std::unique_ptr<TlsLink> tls_;
  // Received and not yet used: buffer_[used_, filled_).
  std::string buffer_;
  std::size_t used_ = 0;
  std::size_t filled_ = 0;
  const Take* take_ = nullptr;  // of the request that is a stream
  bool any_answer_ = false;
  bool sent_all_ = false;
  bool ended_ = false;
};

/// "a b/c" -> "a%20b%2Fc", for one segment or one query value of a target.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace millrace::client
