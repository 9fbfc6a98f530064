// A session of SQL on a server, over HTTP (docs/reference/http.md, sessions): one statement after
// the other, each of which can be cancelled while its answer is waited for. A session that the
// server has forgotten is opened again. Owns: the connection, and the session, which it closes.
// Thread: one. Errors: those of the server; kUnavailable; kCancelled where Ctrl-C ended it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "cli/api_client.h"
#include "client/http_client.h"

namespace millrace::cli {

class SqlLink {
 public:
  /// `waits` is called now and then with how long the answer has been waited for.
  using Waits = std::function<void(std::chrono::milliseconds)>;
  static Result<std::unique_ptr<SqlLink>> open(const std::string& url,
                                               client::HttpClientOptions options, Waits waits);
  ~SqlLink();
  SqlLink(const SqlLink&) = delete;
  SqlLink& operator=(const SqlLink&) = delete;

  /// The answer of /v1/sessions/{session}/sql. Ctrl-C has the server end the statement; a second
  /// one gives the connection up.
  Result<std::string> run(std::string_view statement);
  /// SUBSCRIBE: each line to `take`, until that says false, or Ctrl-C. An empty one: time passes.
  Status stream(std::string_view statement, const std::function<bool(std::string_view)>& take);
  Result<std::string> get(std::string_view target);
  [[nodiscard]] const std::string& url() const { return url_; }
  /// Once, that the session is another than before, with no settings and no transaction.
  [[nodiscard]] bool take_reopened() { return std::exchange(reopened_, false); }

 private:
  SqlLink(std::string url, client::HttpClientOptions options, Waits waits);
  Status connect();
  Status open_session();
  [[nodiscard]] bool on_wait();
  void cancel() const;
  Result<client::HttpReply> post(std::string_view statement, const client::HttpClient::Take* take);

  const std::string url_;
  client::HttpClientOptions options_;
  const Waits waits_;
  std::optional<client::HttpClient> http_;
  std::string session_;
  std::chrono::steady_clock::time_point began_;
  bool streams_ = false;
  bool cancelled_ = false;
  bool reopened_ = false;
};

}  // namespace millrace::cli
