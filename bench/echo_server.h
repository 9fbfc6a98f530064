// The roofline of every request: an epoll loop on one thread that counts the bytes of a request,
// looks at none of them, and answers with the same bytes each time. Owns: its thread and socket.
// Thread: any. Errors: kUnavailable where no socket could be had.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace millrace::bench {

class EchoServer {
 public:
  /// `reply_bytes` is the size of head and body together, 64 at least.
  static Result<std::unique_ptr<EchoServer>> start(std::size_t request_bytes,
                                                   std::size_t reply_bytes);
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  EchoServer() = default;
  struct Loop;
  std::uint16_t port_ = 0;
  std::unique_ptr<Loop> loop_;
};

}  // namespace millrace::bench
