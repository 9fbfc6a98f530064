#include "redis_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "free_port.h"

namespace millrace::bench {

namespace {

constexpr const char* kProgram = "/usr/bin/redis-server";
constexpr auto kStartTime = std::chrono::seconds(10);

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

Result<std::unique_ptr<RedisProcess>> RedisProcess::start(const std::filesystem::path& folder) {
  if (::access(kProgram, X_OK) != 0) {
    return fail(ErrorCode::kNotFound, error_id::kInternal,
                "{} is not installed: apt-get install redis-server", kProgram);
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::unique_ptr<RedisProcess> store(new RedisProcess);
  store->port_ = free_port();
  const std::string port = fmt::to_string(store->port_);
  const std::string dir = folder.string();
  const char* const arguments[] = {
      kProgram,       "--bind", "127.0.0.1", "--port",    port.c_str(),  "--save", "",
      "--appendonly", "no",     "--dir",     dir.c_str(), "--daemonize", "no",     nullptr};
  store->pid_ = ::fork();
  if (store->pid_ == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), 1);
    ::execv(kProgram, const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  const auto end = std::chrono::steady_clock::now() + kStartTime;
  while (std::chrono::steady_clock::now() < end) {
    store->fd_ = connect_to(store->port_);
    if (store->fd_ >= 0) return store;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "Redis does not answer on port {}",
              store->port_);
}

Result<std::string> RedisProcess::ask(std::string_view command) {
  const auto line = fmt::format("{}\r\n", command);
  std::string reply;
  if (::send(fd_, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size())) {
    // "$1\r\n2\r\n", or ":2\r\n"
    const auto lines = [&] { return std::ranges::count(reply, '\n'); };
    char buffer[4096];
    while (lines() < (reply.starts_with('$') && !reply.starts_with("$-1") ? 2 : 1)) {
      const auto size = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (size <= 0) break;
      reply.append(buffer, static_cast<std::size_t>(size));
    }
  }
  if (!reply.ends_with("\r\n") || reply.starts_with('-')) {
    return fail(ErrorCode::kUnavailable, error_id::kInternal, "Redis answers {} with {}", command,
                reply);
  }
  reply.resize(reply.size() - 2);
  const auto begin = reply.starts_with('$') ? reply.find('\n') + 1 : 1;
  return begin > reply.size() ? std::string() : reply.substr(begin);
}

RedisProcess::~RedisProcess() {
  if (fd_ >= 0) ::close(fd_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace millrace::bench
