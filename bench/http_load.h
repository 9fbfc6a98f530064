// A small HTTP/1.1 client that costs little itself: a blocking connection for questions, and one
// epoll loop that keeps many connections busy, each with one request under way. Open loop by a rate
// (a late request counts from when it was due), closed loop without. Thread: each object one owner.
// Errors: kUnavailable where the connection broke, kInternal where the answer is no HTTP with a
// Content-Length.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "latencies.h"

namespace millrace::bench {

/// Microseconds of the monotonic clock.
[[nodiscard]] double now_us();

/// "POST /v1/... HTTP/1.1" and its headers, the empty line too.
[[nodiscard]] std::string request_head(std::string_view method, std::string_view target,
                                       std::string_view content_type, std::size_t body_bytes);

/// Takes one answer apart as it comes.
class ReplyReader {
 public:
  /// Reads what the socket has. False: nothing more for now.
  Result<bool> read_from(int fd);
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::string_view body() const {
    return std::string_view(buffer_).substr(head_bytes_, body_bytes_);
  }
  [[nodiscard]] std::size_t total_bytes() const { return head_bytes_ + body_bytes_; }
  void clear();

 private:
  Status parse_head();
  std::string buffer_;
  std::size_t head_bytes_ = 0;  // 0: the head is not whole yet
  std::size_t body_bytes_ = 0;
  int status_ = 0;
};

class Connection {
 public:
  static Result<Connection> open(std::uint16_t port);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  ~Connection();
  [[nodiscard]] int fd() const { return fd_; }

  struct Reply {
    int status = 0;
    std::string body;
  };
  /// Sends a request, and waits for nothing.
  Status send(std::string_view method, std::string_view target, std::string_view body,
              std::string_view content_type);
  /// Waits for the whole answer of the request that was sent.
  Result<Reply> receive();
  /// Both.
  Result<Reply> ask(std::string_view method, std::string_view target, std::string_view body = {},
                    std::string_view content_type = "application/json");

 private:
  explicit Connection(int fd) : fd_(fd) {}
  int fd_ = -1;
};

struct Request {
  std::string_view head;  // both stay as they are until the answer is there
  std::string_view body;
};

struct LoadOptions {
  std::uint16_t port = 0;
  std::size_t connections = 1;
  double requests_per_second = 0;  // of all connections together; 0: closed loop
};
struct LoadResult {
  std::uint64_t requests = 0;
  double seconds = 0;
  Latencies latencies;
  std::size_t request_bytes = 0;  // of the last one
  std::size_t reply_bytes = 0;
};
/// False: this connection has no more to send.
using NextRequest = std::function<bool(std::size_t connection, Request& request)>;
/// An error ends the load with it.
using OnReply = std::function<Status(std::size_t connection, const ReplyReader& reply)>;

Result<LoadResult> run_load(const LoadOptions& options, const NextRequest& next,
                            const OnReply& on_reply);

/// For OnReply: every answer must have this status.
Status expect_status(const ReplyReader& reply, int status);

}  // namespace millrace::bench
