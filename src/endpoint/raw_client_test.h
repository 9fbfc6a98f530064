// An HTTP client for tests: what it sends byte for byte, and what comes back.
#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::endpoint {

constexpr std::chrono::milliseconds kPatience{10'000};

// A socket that sends any bytes and reads until something is there, or the patience ends.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  [[nodiscard]] int descriptor() const { return socket_; }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  // Appends what comes next to received(). False at the end of the stream.
  bool receive() {
    pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(kPatience.count())) != 1) {
      ADD_FAILURE() << "nothing came; so far: " << received_;
      return false;
    }
    char room[65536];
    const ssize_t bytes = ::recv(socket_, room, sizeof room, 0);
    if (bytes <= 0) return false;
    received_.append(room, static_cast<std::size_t>(bytes));
    return true;
  }
  std::string read_until(std::string_view mark) {
    while (received_.find(mark) == std::string::npos) {
      if (!receive()) return "";
    }
    const std::size_t end = received_.find(mark) + mark.size();
    std::string text = received_.substr(0, end);
    received_.erase(0, end);
    return text;
  }
  std::string read_bytes(std::size_t count) {
    while (received_.size() < count) {
      if (!receive()) break;
    }
    std::string text = received_.substr(0, count);
    received_.erase(0, text.size());
    return text;
  }
  std::string read_to_end() {
    while (receive()) {
    }
    return std::exchange(received_, "");
  }

 private:
  int socket_;
  std::string received_;
};

struct Reply {
  int status = 0;
  std::string head;
  std::string body;
  std::string header(std::string_view name) const {
    const std::size_t at = head.find(fmt::format("\r\n{}: ", name));
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  // The error id of a problem document.
  std::string code() const {
    const std::size_t at = body.find("\"code\":\"");
    return at == std::string::npos ? "" : body.substr(at + 8, 6);
  }
};

inline Reply read_reply(RawClient& client, bool has_body = true) {
  Reply reply;
  reply.head = client.read_until("\r\n\r\n");
  if (reply.head.size() < 12) return reply;
  reply.status = std::stoi(reply.head.substr(9, 3));
  const std::string length = reply.header("Content-Length");
  if (has_body && !length.empty()) reply.body = client.read_bytes(std::stoul(length));
  return reply;
}

inline Reply exchange(std::uint16_t port, std::string_view request) {
  RawClient client(port);
  client.send(request);
  return read_reply(client);
}

inline std::string get(std::string_view target, std::string_view more_fields = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", target, more_fields);
}
inline std::string post(std::string_view target, std::string_view body,
                        std::string_view fields = "") {
  return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
                     target, body.size(), fields, body);
}

}  // namespace millrace::endpoint
