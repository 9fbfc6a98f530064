#include "cli/api_client.h"

#include <boost/json.hpp>
#include <utility>

#include "cli/commands.h"
#include "model/column_batch.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;

ErrorCode code_of(int status, std::string_view id) {
  switch (status) {
    case 400:
    case 422:
      return ErrorCode::kInvalidArgument;
    case 401:
      return ErrorCode::kUnauthenticated;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 409:
      return id == error_id::kAlreadyExists ? ErrorCode::kAlreadyExists
                                            : ErrorCode::kFailedPrecondition;
    case 413:
      return ErrorCode::kPayloadTooLarge;
    case 415:
      return ErrorCode::kUnsupportedMediaType;
    case 429:
      return ErrorCode::kResourceExhausted;
    case 503:
      return ErrorCode::kUnavailable;
    case 504:
      return ErrorCode::kDeadlineExceeded;
    default:
      return ErrorCode::kInternal;
  }
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint32_t number_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr) return 0;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint32_t>(error);
  return error ? 0 : number;
}

Result<std::string> body_of(Result<client::HttpReply> reply) {
  if (!reply) return std::unexpected(connection_error(std::move(reply).error()));
  if (!reply->ok()) return std::unexpected(error_of(*reply));
  return std::move(reply->body);
}

}  // namespace

client::HttpClientOptions http_options(const ClientOptions& client) {
  client::HttpClientOptions options;
  if (!client.ca.empty()) options.ca_file = client.ca;
  return options;
}

Error connection_error(Error error) {
  error.id.clear();
  return error;
}

Error error_of(const client::HttpReply& reply) {
  boost::system::error_code failed;
  const auto document = json::parse(reply.body, failed);
  Error error;
  error.id = error_id::kInternal;
  if (!failed && document.is_object()) {
    const auto& object = document.get_object();
    if (auto id = text_of(object, "code"); !id.empty()) error.id = std::move(id);
    error.message = text_of(object, "detail");
    error.hint = text_of(object, "hint");
    error.place = {number_of(object, "line"), number_of(object, "column")};
  }
  error.code = code_of(reply.status, error.id);
  if (error.message.empty()) {
    error.message =
        fmt::format("the server answered with HTTP status {} and no reason", reply.status);
  }
  return error;
}

Result<ApiClient> ApiClient::connect(std::string_view url, client::HttpClientOptions options) {
  auto http = client::HttpClient::connect(url, options);
  if (!http) {
    Error error = std::move(http).error();
    // A wrong URL is the caller's mistake, not the connection's.
    if (error.code == ErrorCode::kInvalidArgument) return std::unexpected(std::move(error));
    error = connection_error(std::move(error));
    if (error.hint.empty()) {
      error.hint = fmt::format(
          "is the server up? `millrace up` starts one; --server or MILLRACE_SERVER "
          "tells where it is (now {})",
          url);
    }
    return std::unexpected(std::move(error));
  }
  return ApiClient(std::move(*http));
}

Result<std::string> ApiClient::get(std::string_view target) {
  return body_of(http_.request("GET", target));
}

Result<std::string> ApiClient::post(std::string_view target, std::string_view json) {
  return body_of(http_.request("POST", target, json, {{"Content-Type", "application/json"}}));
}

Result<std::string> ApiClient::sql(std::string_view statement) {
  std::string body = "{\"sql\":";
  append_json_string(body, statement);
  body += '}';
  return post("/v1/sql", body);
}

}  // namespace millrace::cli
