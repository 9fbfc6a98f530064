#include "http_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

namespace millrace::bench {

namespace {

std::unexpected<Error> broken(std::string_view what) {
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "{}: {}", what, std::strerror(errno));
}

/// Sends from `sent` on; false where the socket is full.
Result<bool> send_some(int fd, const Request& request, std::size_t& sent, int flags) {
  const std::size_t total = request.head.size() + request.body.size();
  while (sent < total) {
    iovec parts[2];
    int count = 0;
    const auto add = [&](std::string_view text, std::size_t skip) {
      if (skip < text.size())
        parts[count++] = {const_cast<char*>(text.data()) + skip, text.size() - skip};
    };
    add(request.head, sent);
    add(request.body, sent > request.head.size() ? sent - request.head.size() : 0);
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<std::size_t>(count);
    const ssize_t bytes = ::sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    if (bytes < 0) {
      if (errno == EAGAIN) return false;
      if (errno == EINTR) continue;
      return broken("cannot send");
    }
    sent += static_cast<std::size_t>(bytes);
  }
  return true;
}

std::string_view header_value(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      auto value = line.substr(name.size() + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    }
  }
  return {};
}

}  // namespace

double now_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string request_head(std::string_view method, std::string_view target,
                         std::string_view content_type, std::size_t body_bytes) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, target);
  if (body_bytes != 0)
    head += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", content_type, body_bytes);
  return head + "\r\n";
}

void ReplyReader::clear() {
  buffer_.clear();
  head_bytes_ = 0;
  body_bytes_ = 0;
  status_ = 0;
}

Status ReplyReader::parse_head() {
  const auto end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  const std::string_view head = std::string_view(buffer_).substr(0, end + 2);
  const auto length = header_value(head, "Content-Length");
  const char* status = buffer_.data() + 9;
  if (!head.starts_with("HTTP/1.1 ") || head.size() < 12 ||
      std::from_chars(status, status + 3, status_).ec != std::errc() ||
      std::from_chars(length.data(), length.data() + length.size(), body_bytes_).ec !=
          std::errc()) {
    return fail(ErrorCode::kInternal, error_id::kInternal,
                "the answer is no HTTP with a Content-Length: {}", head.substr(0, 200));
  }
  head_bytes_ = end + 4;
  return {};
}

Result<bool> ReplyReader::read_from(int fd) {
  for (;;) {
    if (head_bytes_ == 0) MR_RETURN_IF_ERROR(parse_head());
    if (head_bytes_ != 0 && buffer_.size() >= head_bytes_ + body_bytes_) return true;
    const std::size_t have = buffer_.size();
    const std::size_t want =
        head_bytes_ == 0 ? 4096 : std::max<std::size_t>(head_bytes_ + body_bytes_ - have, 1);
    buffer_.resize(have + want);
    const ssize_t bytes = ::recv(fd, buffer_.data() + have, want, MSG_DONTWAIT);
    buffer_.resize(have + static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)));
    if (bytes == 0)
      return fail(ErrorCode::kUnavailable, error_id::kInternal, "the server closed the connection");
    if (bytes < 0) {
      if (errno == EAGAIN) return false;
      if (errno != EINTR) return broken("cannot receive");
    }
  }
}

Result<Connection> Connection::open(std::uint16_t port) {
  Connection out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (out.fd_ < 0) return broken("cannot make a socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(out.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return broken(fmt::format("cannot connect to port {}", port));
  }
  const int on = 1;
  ::setsockopt(out.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return out;
}

Connection::Connection(Connection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Connection& Connection::operator=(Connection&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
Connection::~Connection() {
  if (fd_ >= 0) ::close(fd_);
}

Status Connection::send(std::string_view method, std::string_view target, std::string_view body,
                        std::string_view content_type) {
  const std::string head = request_head(method, target, content_type, body.size());
  std::size_t sent = 0;
  MR_TRY(const bool all, send_some(fd_, {head, body}, sent, 0));
  if (!all) return broken("cannot send");
  return {};
}

Result<Connection::Reply> Connection::ask(std::string_view method, std::string_view target,
                                          std::string_view body, std::string_view content_type) {
  MR_RETURN_IF_ERROR(send(method, target, body, content_type));
  return receive();
}

Result<Connection::Reply> Connection::receive() {
  ReplyReader reader;
  for (;;) {
    MR_TRY(const bool done, reader.read_from(fd_));
    if (done) return Reply{reader.status(), std::string(reader.body())};
    pollfd wait{fd_, POLLIN, 0};
    ::poll(&wait, 1, -1);
  }
}

Status expect_status(const ReplyReader& reply, int status) {
  if (reply.status() == status) return {};
  return fail(ErrorCode::kInternal, error_id::kInternal, "the server answers {}: {}",
              reply.status(), reply.body().substr(0, 300));
}

namespace {

struct Slot {
  Connection connection;
  Request request;
  std::size_t sent = 0;
  bool busy = false;
  bool wants_write = false;
  double started_us = 0;
  ReplyReader reader;
};

class LoadLoop {
 public:
  LoadLoop(const LoadOptions& options, const NextRequest& next, const OnReply& on_reply)
      : options_(options),
        next_(next),
        on_reply_(on_reply),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~LoadLoop() { ::close(epoll_); }
  LoadLoop(const LoadLoop&) = delete;
  LoadLoop& operator=(const LoadLoop&) = delete;

  Result<LoadResult> run() {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      MR_TRY(auto connection, Connection::open(options_.port));
      slots_.push_back({.connection = std::move(connection), .request = {}, .reader = {}});
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, slots_[i].connection.fd(), &event);
      idle_.push_back(options_.connections - 1 - i);
    }
    const double begin = now_us();
    due_us_ = begin;
    while (!exhausted_ || idle_.size() != slots_.size()) {
      MR_RETURN_IF_ERROR(start_requests());
      MR_RETURN_IF_ERROR(wait());
    }
    result_.seconds = (now_us() - begin) / 1e6;
    return std::move(result_);
  }

 private:
  Status start_requests() {
    while (!exhausted_ && !idle_.empty()) {
      const double now = now_us();
      if (options_.requests_per_second > 0 && due_us_ > now) return {};
      const std::size_t index = idle_.back();
      Slot& slot = slots_[index];
      if (!next_(index, slot.request)) {
        exhausted_ = true;
        return {};
      }
      idle_.pop_back();
      slot.busy = true;
      slot.sent = 0;
      slot.reader.clear();
      slot.started_us = options_.requests_per_second > 0 ? due_us_ : now;
      if (options_.requests_per_second > 0) due_us_ += 1e6 / options_.requests_per_second;
      MR_RETURN_IF_ERROR(send_more(index));
    }
    return {};
  }

  Status send_more(std::size_t index) {
    Slot& slot = slots_[index];
    MR_TRY(const bool all, send_some(slot.connection.fd(), slot.request, slot.sent, MSG_DONTWAIT));
    if (slot.wants_write == !all) return {};
    slot.wants_write = !all;
    epoll_event event{};
    event.events = EPOLLIN | (slot.wants_write ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
    event.data.u64 = index;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, slot.connection.fd(), &event);
    return {};
  }

  Status wait() {
    if (idle_.size() == slots_.size() && exhausted_) return {};
    timespec timeout{};
    const bool timed = options_.requests_per_second > 0 && !exhausted_ && !idle_.empty();
    if (timed) {
      const double left_us = std::max(0.0, due_us_ - now_us());
      timeout.tv_sec = static_cast<time_t>(left_us / 1e6);
      timeout.tv_nsec =
          static_cast<long>((left_us - static_cast<double>(timeout.tv_sec) * 1e6) * 1e3);
    }
    epoll_event events[64];
    const int count = ::epoll_pwait2(epoll_, events, 64, timed ? &timeout : nullptr, nullptr);
    if (count < 0 && errno != EINTR) return broken("cannot wait");
    for (int i = 0; i < count; ++i) {
      const auto index = static_cast<std::size_t>(events[i].data.u64);
      if ((events[i].events & EPOLLOUT) != 0) MR_RETURN_IF_ERROR(send_more(index));
      if ((events[i].events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0)
        MR_RETURN_IF_ERROR(receive(index));
    }
    return {};
  }

  Status receive(std::size_t index) {
    Slot& slot = slots_[index];
    MR_TRY(const bool done, slot.reader.read_from(slot.connection.fd()));
    if (!done || !slot.busy) return {};
    slot.busy = false;
    ++result_.requests;
    result_.latencies.add_us(now_us() - slot.started_us);
    result_.request_bytes = slot.request.head.size() + slot.request.body.size();
    result_.reply_bytes = slot.reader.total_bytes();
    idle_.push_back(index);
    return on_reply_(index, slot.reader);
  }

  const LoadOptions& options_;
  const NextRequest& next_;
  const OnReply& on_reply_;
  int epoll_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> idle_;
  bool exhausted_ = false;
  double due_us_ = 0;
  LoadResult result_;
};

}  // namespace

Result<LoadResult> run_load(const LoadOptions& options, const NextRequest& next,
                            const OnReply& on_reply) {
  return LoadLoop(options, next, on_reply).run();
}

}  // namespace millrace::bench
