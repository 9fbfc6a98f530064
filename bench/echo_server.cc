#include "echo_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <unordered_map>
#include <vector>

namespace millrace::bench {

struct EchoServer::Loop {
  int listener = -1;
  int epoll = -1;
  int stop = -1;
  std::size_t request_bytes = 0;
  std::string reply;
  std::unordered_map<int, std::size_t> received;  // of the request that is under way
  std::vector<char> buffer = std::vector<char>(std::size_t{1} << 20);
  std::thread thread;

  ~Loop() {
    if (thread.joinable()) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(stop, &one, sizeof(one));
      thread.join();
    }
    for (const auto& [fd, bytes] : received) ::close(fd);
    for (const int fd : {listener, epoll, stop}) {
      if (fd >= 0) ::close(fd);
    }
  }

  void watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  void run() {
    epoll_event events[64];
    for (;;) {
      const int count = ::epoll_wait(epoll, events, 64, -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == stop) return;
        if (fd == listener) {
          accept_one();
        } else if (!serve(fd)) {
          received.erase(fd);
          ::close(fd);
        }
      }
    }
  }

  void accept_one() {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    received[fd] = 0;
    watch(fd);
  }

  bool serve(int fd) {
    const ssize_t bytes = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (bytes <= 0) return bytes < 0 && (errno == EAGAIN || errno == EINTR);
    std::size_t& have = received[fd];
    have += static_cast<std::size_t>(bytes);
    while (have >= request_bytes) {
      have -= request_bytes;
      if (::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(reply.size()))
        return false;
    }
    return true;
  }
};

Result<std::unique_ptr<EchoServer>> EchoServer::start(std::size_t request_bytes,
                                                      std::size_t reply_bytes) {
  auto loop = std::make_unique<Loop>();
  loop->request_bytes = request_bytes;
  // The length of the head depends on the number in it: the second turn has the right one.
  std::size_t body_bytes = reply_bytes;
  std::string head;
  for (int turn = 0; turn < 2; ++turn) {
    head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {:8}\r\n\r\n", body_bytes);
    body_bytes = reply_bytes > head.size() ? reply_bytes - head.size() : 0;
  }
  head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {:8}\r\n\r\n", body_bytes);
  loop->reply = head + std::string(body_bytes, 'x');

  loop->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  loop->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  loop->stop = ::eventfd(0, EFD_CLOEXEC);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(loop->listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(loop->listener, 128) != 0 ||
      ::getsockname(loop->listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return fail(ErrorCode::kUnavailable, error_id::kInternal, "no port for the echo: {}",
                std::strerror(errno));
  }
  loop->watch(loop->listener);
  loop->watch(loop->stop);
  std::unique_ptr<EchoServer> server(new EchoServer());
  server->port_ = ntohs(address.sin_port);
  server->loop_ = std::move(loop);
  server->loop_->thread = std::thread([raw = server->loop_.get()] { raw->run(); });
  return server;
}

EchoServer::~EchoServer() = default;

}  // namespace millrace::bench
