#include "bridge/byte_link.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"

namespace millrace::bridge {

namespace {

constexpr std::size_t kReceiveBytes = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kLook{100};

std::unexpected<Error> broken(std::string_view what, int number) {
  return fail(ErrorCode::kUnavailable, error_id::kBusy, "{}: {}", what, std::strerror(number));
}

int milliseconds_of(std::chrono::milliseconds patience) {
  return static_cast<int>(std::clamp<std::int64_t>(patience.count(), 0, 60'000));
}

/// 0: connected; an errno otherwise.
int connect_one(int socket, const addrinfo& address, const std::atomic<bool>& stopping,
                std::chrono::milliseconds patience) {
  if (::connect(socket, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{.fd = socket, .events = POLLOUT, .revents = 0};
  auto left = patience;
  while (::poll(&waiting, 1, static_cast<int>(kLook.count())) <= 0) {
    left -= kLook;
    if (left.count() <= 0) return ETIMEDOUT;
    if (stopping.load()) return ECANCELED;
  }
  int number = 0;
  socklen_t size = sizeof(number);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size) != 0) return errno;
  return number;
}

}  // namespace

Wake::Wake() : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  MR_CHECK(descriptor_ >= 0, "no eventfd: {}", std::strerror(errno));
}

Wake::~Wake() { ::close(descriptor_); }

void Wake::set() {
  // It fails only where the counter is full: then it is set.
  static_cast<void>(::eventfd_write(descriptor_, 1));
}

void Wake::clear() {
  eventfd_t ignored = 0;
  static_cast<void>(::eventfd_read(descriptor_, &ignored));
}

Result<ByteLink> ByteLink::connect(const BrokerUrl& url, const std::atomic<bool>& stopping,
                                   std::chrono::milliseconds patience) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int failure =
      ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (failure != 0) {
    return fail(ErrorCode::kUnavailable, error_id::kBusy, "{}: {}", url.host,
                ::gai_strerror(failure));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, ::freeaddrinfo);
  int number = EADDRNOTAVAIL;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int socket =
        ::socket(one->ai_family, one->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol);
    if (socket < 0) {
      number = errno;
      continue;
    }
    ByteLink link(socket);
    number = connect_one(socket, *one, stopping, patience);
    if (number == 0) {
      const int yes = 1;
      static_cast<void>(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)));
      return link;
    }
  }
  return broken(fmt::format("cannot connect to {}:{}", url.host, url.port), number);
}

ByteLink::ByteLink(ByteLink&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}

ByteLink::~ByteLink() {
  if (socket_ >= 0) ::close(socket_);
}

void ByteLink::wait(const Wake& wake, bool reads, bool writes,
                    std::chrono::milliseconds patience) const {
  const auto events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
  std::array<pollfd, 2> waiting{{{.fd = socket_, .events = events, .revents = 0},
                                 {.fd = wake.descriptor(), .events = POLLIN, .revents = 0}}};
  static_cast<void>(::poll(waiting.data(), waiting.size(), milliseconds_of(patience)));
}

Status ByteLink::receive(std::string& in) {
  const std::size_t before = in.size();
  in.resize(before + kReceiveBytes);
  const auto got = ::recv(socket_, in.data() + before, kReceiveBytes, 0);
  const int number = errno;
  in.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) return {};
  if (got == 0)
    return fail(ErrorCode::kUnavailable, error_id::kBusy, "the other broker closed the connection");
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return {};
  return broken("the connection broke", number);
}

Status ByteLink::send(std::string& out) {
  while (!out.empty()) {
    const auto sent = ::send(socket_, out.data(), out.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      out.erase(0, static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    return broken("the connection broke", errno);
  }
  return {};
}

}  // namespace millrace::bridge
