#include "cli/sql_link.h"

#include <boost/json.hpp>
#include <utility>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "model/column_batch.h"

namespace millrace::cli {
namespace {

namespace json = boost::json;

/// The server says when a statement has taken too long.
constexpr std::chrono::hours kStatementTime{24};
constexpr std::chrono::seconds kShortTime{5};

std::string session_of(std::string_view body) {
  boost::system::error_code failed;
  const auto document = json::parse(body, failed);
  if (failed || !document.is_object()) return {};
  const auto* name = document.get_object().if_contains("session");
  return name != nullptr && name->is_string() ? std::string(name->get_string()) : std::string();
}

bool is_forgotten(const client::HttpReply& reply) {
  return reply.status == 404 && error_of(reply).id == error_id::kBadRequest;
}

}  // namespace

SqlLink::SqlLink(std::string url, client::HttpClientOptions options, Waits waits)
    : url_(std::move(url)), options_(std::move(options)), waits_(std::move(waits)) {}

Result<std::unique_ptr<SqlLink>> SqlLink::open(const std::string& url,
                                               client::HttpClientOptions options, Waits waits) {
  std::unique_ptr<SqlLink> out(new SqlLink(url, std::move(options), std::move(waits)));
  MR_RETURN_IF_ERROR(out->open_session());
  return out;
}

SqlLink::~SqlLink() {
  if (!http_ || session_.empty()) return;
  auto options = options_;
  options.connect_time = options.request_time = kShortTime;
  if (auto http = client::HttpClient::connect(url_, options))
    static_cast<void>(http->request("DELETE", "/v1/sessions/" + session_));
}

Status SqlLink::connect() {
  auto options = options_;
  options.request_time = kStatementTime;
  options.waiting = [this] { return on_wait(); };
  auto http = client::HttpClient::connect(url_, std::move(options));
  if (!http) {
    Error error = std::move(http).error();
    return std::unexpected(error.code == ErrorCode::kInvalidArgument
                               ? std::move(error)
                               : connection_error(std::move(error)));
  }
  http_ = std::move(*http);
  return {};
}

Status SqlLink::open_session() {
  began_ = std::chrono::steady_clock::now();
  cancelled_ = false;
  if (!http_) MR_RETURN_IF_ERROR(connect());
  auto reply = http_->request("POST", "/v1/sessions");
  if (!reply) return std::unexpected(connection_error(std::move(reply).error()));
  if (!reply->ok()) return std::unexpected(error_of(*reply));
  session_ = session_of(reply->body);
  if (!session_.empty()) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "the server gave no session: {}",
              reply->body.substr(0, 200));
}

bool SqlLink::on_wait() {
  if (waits_) {
    waits_(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 began_));
  }
  if (!is_interrupted()) return true;
  // The end of the connection is the end of a SUBSCRIBE. Of a statement the server tells the end,
  // unless it takes too long for whoever presses Ctrl-C again.
  if (streams_ || cancelled_) return false;
  static_cast<void>(take_interrupt());
  cancelled_ = true;
  cancel();
  return true;
}

void SqlLink::cancel() const {
  auto options = options_;
  options.connect_time = options.request_time = kShortTime;
  if (auto http = client::HttpClient::connect(url_, options))
    static_cast<void>(http->request("POST", "/v1/sessions/" + session_ + "/cancel"));
}

Result<client::HttpReply> SqlLink::post(std::string_view statement,
                                        const client::HttpClient::Take* take) {
  std::string body = "{\"sql\":";
  append_json_string(body, statement);
  body += '}';
  for (bool again = false;; again = true) {
    if (session_.empty() || !http_) MR_RETURN_IF_ERROR(open_session());
    began_ = std::chrono::steady_clock::now();
    cancelled_ = false;
    streams_ = take != nullptr;
    const std::string target = "/v1/sessions/" + session_ + "/sql";
    const client::HttpHeaders headers{{"Content-Type", "application/json"}};
    auto reply = take != nullptr ? http_->stream("POST", target, body, headers, *take)
                                 : http_->request("POST", target, body, headers);
    streams_ = false;
    if (!reply) {
      Error error = connection_error(std::move(reply).error());
      // Whether the statement still runs there is not known: the next one has another session.
      if (take == nullptr) session_.clear();
      return std::unexpected(std::move(error));
    }
    if (again || !is_forgotten(*reply)) return reply;
    reopened_ = true;
    session_.clear();
  }
}

Result<std::string> SqlLink::run(std::string_view statement) {
  static_cast<void>(take_interrupt());
  MR_TRY(auto reply, post(statement, nullptr));
  if (!reply.ok()) return std::unexpected(error_of(reply));
  return std::move(reply.body);
}

Status SqlLink::stream(std::string_view statement,
                       const std::function<bool(std::string_view)>& take) {
  static_cast<void>(take_interrupt());
  std::string rest;
  const client::HttpClient::Take by_lines = [&](std::string_view bytes) {
    rest += bytes;
    std::size_t begin = 0;
    for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
      if (is_interrupted() || !take(std::string_view(rest).substr(begin, end - begin)))
        return false;
      begin = end + 1;
    }
    rest.erase(0, begin);
    return !is_interrupted();
  };
  auto reply = post(statement, &by_lines);
  if (!reply) return std::unexpected(std::move(reply).error());
  if (!reply->ok()) return std::unexpected(error_of(*reply));
  return {};
}

Result<std::string> SqlLink::get(std::string_view target) {
  began_ = std::chrono::steady_clock::now();
  if (!http_) MR_RETURN_IF_ERROR(connect());
  auto reply = http_->request("GET", target);
  if (!reply) return std::unexpected(connection_error(std::move(reply).error()));
  if (!reply->ok()) return std::unexpected(error_of(*reply));
  return std::move(reply->body);
}

}  // namespace millrace::cli
