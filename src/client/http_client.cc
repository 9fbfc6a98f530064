#include "client/http_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>

#include "format/base64.h"

namespace millrace::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kReplyLineBytesMax = std::size_t{64} * 1024;
constexpr std::size_t kReplyHeadersMax = 256;
constexpr std::size_t kReceiveBytes = std::size_t{64} * 1024;
constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  const auto lower = [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter;
  };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

std::string_view find_header(const HttpHeaders& headers, std::string_view wanted) {
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, wanted)) return value;
  }
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <class T>
bool parse_number(std::string_view text, T& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::unexpected<Error> not_an_answer(std::string_view what) {
  return fail(ErrorCode::kInternal, "", "what the server sent is not an HTTP answer: {}", what);
}

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kUnavailable, "", "the connection to the server broke: {}", what);
}

std::string system_text(int error) {
  std::array<char, 256> room{};
  return ::strerror_r(error, room.data(), room.size());
}

bool may_repeat(std::string_view method, const HttpHeaders& headers) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || !find_header(headers, "idempotency-key").empty();
}

}  // namespace

std::string_view HttpReply::header(std::string_view name) const {
  return find_header(headers, name);
}

std::string authorization_of_environment() {
  const char* const token = std::getenv("MILLRACE_TOKEN");
  if (token != nullptr && *token != '\0') return fmt::format("Bearer {}", token);
  const char* const user = std::getenv("MILLRACE_USER");
  const char* const password = std::getenv("MILLRACE_PASSWORD");
  if (user == nullptr || password == nullptr) return {};
  return "Basic " + format::base64_encode(fmt::format("{}:{}", user, password));
}

std::string ca_file_of_environment() {
  const char* const file = std::getenv("MILLRACE_CA");
  return file == nullptr ? "" : file;
}

Result<HttpClient> HttpClient::connect(std::string_view url, HttpClientOptions options) {
  const bool tls = url.starts_with(kHttps);
  const std::string_view scheme = tls ? kHttps : kHttp;
  std::string_view authority = url.starts_with(scheme) ? url.substr(scheme.size()) : "";
  authority = authority.substr(0, authority.find('/'));
  std::string_view host = authority;
  std::string_view port = tls ? "443" : "80";
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  std::uint16_t number = 0;
  if (host.empty() || !parse_number(port, number)) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadConfig,
                "\"{}\" is not an address of the form http://host:port or https://host:port", url);
  }
  HttpClient client({.url = fmt::format("{}{}", scheme, authority),
                     .host = std::string(host),
                     .port = std::string(port),
                     .tls = tls},
                    std::move(options));
  MR_RETURN_IF_ERROR(client.open());
  return client;
}

HttpClient::HttpClient(Address address, HttpClientOptions options)
    : address_(std::move(address)), options_(std::move(options)) {}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : address_(std::move(other.address_)),
      options_(std::move(other.options_)),
      socket_(std::exchange(other.socket_, -1)),
      tls_(std::move(other.tls_)),
      buffer_(std::move(other.buffer_)),
      used_(std::exchange(other.used_, 0)),
      filled_(std::exchange(other.filled_, 0)) {}

HttpClient& HttpClient::operator=(HttpClient&& other) noexcept {
  if (this != &other) {
    close();
    address_ = std::move(other.address_);
    options_ = std::move(other.options_);
    socket_ = std::exchange(other.socket_, -1);
    tls_ = std::move(other.tls_);
    buffer_ = std::move(other.buffer_);
    used_ = std::exchange(other.used_, 0);
    filled_ = std::exchange(other.filled_, 0);
  }
  return *this;
}

HttpClient::~HttpClient() { close(); }

Result<HttpReply> HttpClient::request(std::string_view method, std::string_view target,
                                      std::string_view body, const HttpHeaders& headers) {
  std::string head;
  fmt::format_to(std::back_inserter(head), "{} {} HTTP/1.1\r\nHost: {}\r\n", method, target,
                 std::string_view(address_.url).substr((address_.tls ? kHttps : kHttp).size()));
  if (!body.empty() || method == "POST" || method == "PUT") {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", body.size());
  }
  if (!options_.authorization.empty() && find_header(headers, "authorization").empty()) {
    fmt::format_to(std::back_inserter(head), "Authorization: {}\r\n", options_.authorization);
  }
  for (const auto& [name, value] : headers) {
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  }
  head += "\r\n";

  const bool head_only = method == "HEAD";
  if (socket_ >= 0 && closed_by_server()) close();
  if (socket_ < 0) MR_RETURN_IF_ERROR(open());
  Attempt first = attempt(head, body, head_only);
  if (first.reply || !first.broke_without_answer || !may_repeat(method, headers)) {
    return std::move(first.reply);
  }
  MR_RETURN_IF_ERROR(open());
  return attempt(head, body, head_only).reply;
}

Result<HttpReply> HttpClient::stream(std::string_view method, std::string_view target,
                                     std::string_view body, const HttpHeaders& headers,
                                     const Take& take) {
  take_ = &take;
  auto reply = request(method, target, body, headers);
  take_ = nullptr;
  return reply;
}

HttpClient::Attempt HttpClient::attempt(std::string_view head, std::string_view body,
                                        bool head_only) {
  any_answer_ = false;
  sent_all_ = false;
  ended_ = false;
  const Deadline deadline =
      take_ != nullptr ? Deadline::max() : steady_clock::now() + options_.request_time;
  Result<HttpReply> reply = [&]() -> Result<HttpReply> {
    MR_RETURN_IF_ERROR(send(head, body, deadline));
    return receive(head_only, deadline);
  }();
  if (!reply) {
    const bool broke = reply.error().code == ErrorCode::kUnavailable && !any_answer_;
    close();
    return {.reply = std::unexpected(std::move(reply).error().within("{}", address_.url)),
            .broke_without_answer = broke};
  }
  if (!sent_all_ || equal_ignoring_case(reply->header("connection"), "close")) close();
  return {.reply = std::move(reply)};
}

// ---- the connection ----

Status HttpClient::open() {
  close();
  used_ = filled_ = 0;
  std::string name = address_.host;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), address_.port.c_str(), &wanted, &found);
      error != 0) {
    return fail(ErrorCode::kUnavailable, "", "cannot find the host of {}: {}", address_.url,
                ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, &::freeaddrinfo);
  const Deadline deadline = steady_clock::now() + options_.connect_time;
  std::string why = "no address";
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    socket_ = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) {
      why = system_text(errno);
      continue;
    }
    int error = ::connect(socket_, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      short ready = 0;
      if (const Status waited = wait_for(POLLOUT, deadline, ready); !waited) {
        error = ETIMEDOUT;
      } else {
        socklen_t size = sizeof error;
        ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    if (error == 0) {
      const int on = 1;
      ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return address_.tls ? open_tls(name, deadline) : Status();
    }
    why = system_text(error);
    close();
  }
  auto failed = fail(ErrorCode::kUnavailable, "", "cannot connect to {}: {}", address_.url, why);
  return std::unexpected(std::move(failed.error()).with_hint("is \"millrace up\" running there?"));
}

Status HttpClient::open_tls(const std::string& name, Deadline deadline) {
  auto made = TlsLink::make(socket_, name, options_.ca_file);
  if (!made) {
    close();
    return std::unexpected(std::move(made).error());
  }
  tls_ = std::move(*made);
  while (tls_->shake_hands() != 1) {
    short ready = 0;
    if (errno == EAGAIN) {
      if (Status waited = wait_for(tls_->waits_for(), deadline, ready); waited) continue;
    }
    auto failed = fail(ErrorCode::kUnavailable, "", "no TLS with {}: {}", address_.url,
                       tls_->error().empty() ? "the server does not speak it" : tls_->error());
    close();
    return std::unexpected(std::move(failed.error())
                               .with_hint("--ca FILE or MILLRACE_CA names the authority of the "
                                          "server's certificate"));
  }
  return {};
}

void HttpClient::close() {
  tls_.reset();
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

// Between two requests a server has nothing to say: anything readable is the end of the connection.
bool HttpClient::closed_by_server() {
  if (used_ < filled_) return true;
  if (tls_ != nullptr) return tls_->has_ended_or_speaks();
  pollfd peek{.fd = socket_, .events = POLLIN, .revents = 0};
  return ::poll(&peek, 1, 0) != 0;
}

Status HttpClient::wait_for(short events, Deadline deadline, short& ready) {
  for (;;) {
    auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    const bool asks = options_.waiting && left > HttpClientOptions::kWaitingTime;
    if (asks) left = HttpClientOptions::kWaitingTime;
    pollfd waiting{.fd = socket_, .events = events, .revents = 0};
    const int count =
        ::poll(&waiting, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (count > 0) {
      ready = waiting.revents;
      return {};
    }
    const int error = count < 0 ? errno : 0;
    if (options_.waiting && (asks || error == EINTR) && count <= 0 && !options_.waiting())
      return fail(ErrorCode::kCancelled, "", "the request was given up");
    if (count == 0 && asks) continue;
    if (count == 0) {
      return fail(ErrorCode::kDeadlineExceeded, "", "the server did not answer in time");
    }
    if (error != EINTR) return broken(system_text(error));
  }
}

ssize_t HttpClient::send_some(std::array<std::string_view, 2>& parts) {
  if (tls_ != nullptr) return tls_->send(parts[0].empty() ? parts[1] : parts[0]);
  std::array<iovec, 2> pieces{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    pieces[i] = {.iov_base = const_cast<char*>(parts[i].data()), .iov_len = parts[i].size()};
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return ::sendmsg(socket_, &message, MSG_NOSIGNAL);
}

// Stops early, without an error, where the server answers before it has all of the body.
Status HttpClient::send(std::string_view head, std::string_view body, Deadline deadline) {
  std::array<std::string_view, 2> parts{head, body};
  while (!parts[0].empty() || !parts[1].empty()) {
    const ssize_t sent = send_some(parts);
    if (sent >= 0) {
      auto count = static_cast<std::size_t>(sent);
      for (std::string_view& part : parts) {
        const std::size_t taken = std::min(count, part.size());
        part.remove_prefix(taken);
        count -= taken;
      }
      continue;
    }
    if (errno == EINTR) continue;
    // The answer that says why the server hung up may be waiting.
    if (errno == EPIPE || errno == ECONNRESET) return {};
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broken(system_text(errno));
    short ready = 0;
    if (tls_ != nullptr) {
      MR_RETURN_IF_ERROR(wait_for(tls_->waits_for(), deadline, ready));
      continue;
    }
    MR_RETURN_IF_ERROR(wait_for(POLLIN | POLLOUT, deadline, ready));
    if ((ready & POLLIN) != 0) return {};
  }
  sent_all_ = true;
  return {};
}

Status HttpClient::receive_more(Deadline deadline) {
  if (used_ == filled_) used_ = filled_ = 0;
  if (buffer_.size() - filled_ < kReceiveBytes / 2) buffer_.resize(filled_ + kReceiveBytes);
  for (;;) {
    char* const room = buffer_.data() + filled_;
    const std::size_t room_bytes = buffer_.size() - filled_;
    const ssize_t bytes =
        tls_ == nullptr ? ::recv(socket_, room, room_bytes, 0) : tls_->receive(room, room_bytes);
    if (bytes > 0) {
      filled_ += static_cast<std::size_t>(bytes);
      any_answer_ = true;
      return {};
    }
    const int error = errno;
    if (bytes < 0 && error == EINTR) continue;
    if (bytes < 0 && (error == EAGAIN || error == EWOULDBLOCK)) {
      short ready = 0;
      MR_RETURN_IF_ERROR(wait_for(tls_ == nullptr ? POLLIN : tls_->waits_for(), deadline, ready));
      continue;
    }
    ended_ = bytes == 0;
    return broken(ended_ ? std::string("the server closed it") : system_text(error));
  }
}

// ---- the answer ----

Result<std::string> HttpClient::receive_line(Deadline deadline) {
  for (;;) {
    const std::size_t end = unused().find("\r\n");
    if (end != std::string::npos) {
      std::string line(unused().substr(0, end));
      used_ += end + 2;
      return line;
    }
    if (unused().size() > kReplyLineBytesMax) return not_an_answer("a line does not end");
    MR_RETURN_IF_ERROR(receive_more(deadline));
  }
}

Result<HttpReply> HttpClient::receive(bool head_only, Deadline deadline) {
  HttpReply reply;
  do {
    MR_TRY(const std::string line, receive_line(deadline));
    if (!line.starts_with("HTTP/1.") || line.size() < 12 ||
        !parse_number(std::string_view(line).substr(9, 3), reply.status)) {
      return not_an_answer(line.substr(0, 80));
    }
    reply.headers.clear();
    for (;;) {
      MR_TRY(const std::string field, receive_line(deadline));
      if (field.empty()) break;
      const std::size_t colon = field.find(':');
      if (colon == std::string::npos || reply.headers.size() == kReplyHeadersMax) {
        return not_an_answer(field.substr(0, 80));
      }
      reply.headers.emplace_back(field.substr(0, colon),
                                 trimmed(std::string_view(field).substr(colon + 1)));
    }
  } while (reply.status / 100 == 1);  // "100 Continue" goes before the answer

  if (head_only || reply.status == 204 || reply.status == 304) return reply;
  const std::string_view length = reply.header("content-length");
  if (equal_ignoring_case(reply.header("transfer-encoding"), "chunked")) {
    const bool streams = take_ != nullptr && reply.ok();
    MR_RETURN_IF_ERROR(receive_chunks(reply.body, deadline, streams ? take_ : nullptr));
  } else if (!length.empty()) {
    std::size_t bytes = 0;
    if (!parse_number(length, bytes)) return not_an_answer("Content-Length is not a number");
    MR_RETURN_IF_ERROR(receive_bytes(bytes, reply.body, deadline));
  } else {
    MR_RETURN_IF_ERROR(receive_to_end(reply.body, deadline));
  }
  return reply;
}

Status HttpClient::receive_bytes(std::size_t count, std::string& out, Deadline deadline) {
  if (count > options_.reply_bytes_max - out.size()) {
    return fail(ErrorCode::kResourceExhausted, "", "the answer has more than {} bytes",
                options_.reply_bytes_max);
  }
  while (count > 0) {
    if (used_ == filled_) MR_RETURN_IF_ERROR(receive_more(deadline));
    const std::size_t taken = std::min(count, filled_ - used_);
    out.append(unused().substr(0, taken));
    used_ += taken;
    count -= taken;
  }
  return {};
}

Status HttpClient::receive_chunks(std::string& body, Deadline deadline, const Take* take) {
  for (;;) {
    MR_TRY(const std::string line, receive_line(deadline));
    std::size_t bytes = 0;
    const std::string_view digits = trimmed(std::string_view(line).substr(0, line.find(';')));
    if (!parse_number(digits, bytes, 16)) return not_an_answer("a chunk without its size");
    if (bytes == 0) break;
    MR_RETURN_IF_ERROR(receive_bytes(bytes, body, deadline));
    MR_TRY(const std::string end, receive_line(deadline));
    if (!end.empty()) return not_an_answer("a chunk without its end");
    if (take == nullptr) continue;
    if (!(*take)(body)) return fail(ErrorCode::kCancelled, "", "the answer was given up");
    body.clear();
  }
  for (;;) {  // trailers
    MR_TRY(const std::string line, receive_line(deadline));
    if (line.empty()) return {};
  }
}

Status HttpClient::receive_to_end(std::string& body, Deadline deadline) {
  for (;;) {
    MR_RETURN_IF_ERROR(receive_bytes(filled_ - used_, body, deadline));
    if (Status more = receive_more(deadline); !more) {
      close();
      if (ended_) return {};
      return more;
    }
  }
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char letter : text) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '-' || letter == '.' ||
                       letter == '_' || letter == '~';
    if (plain) {
      encoded += letter;
    } else {
      fmt::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<unsigned char>(letter));
    }
  }
  return encoded;
}

}  // namespace millrace::client
