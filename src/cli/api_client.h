// The HTTP API as the commands use it: a JSON document or an Error, with the id and the place that
// the server gave. Thread: one at a time. Errors: those of the server's problem documents;
// kUnavailable, kDeadlineExceeded without an
//   id where the connection itself failed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/http_client.h"

namespace millrace::cli {

class ApiClient {
 public:
  static Result<ApiClient> connect(std::string_view url, client::HttpClientOptions options = {});

  /// The body of a good answer.
  Result<std::string> get(std::string_view target);
  Result<std::string> post(std::string_view target, std::string_view json);
  /// Any statement; the answer of /v1/sql.
  Result<std::string> sql(std::string_view statement);
  [[nodiscard]] const std::string& url() const { return http_.url(); }

 private:
  explicit ApiClient(client::HttpClient http) : http_(std::move(http)) {}
  client::HttpClient http_;
};

/// The error that an answer with a bad status describes.
[[nodiscard]] Error error_of(const client::HttpReply& reply);
/// The same error as one of the connection: without an id.
[[nodiscard]] Error connection_error(Error error);

}  // namespace millrace::cli
