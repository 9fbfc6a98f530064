// The HTTP/1.1 server: listens, deals accepted connections to its I/O threads in turn, stops in
// order. Fill an HttpRouter, start(), and answer requests through their Responder from any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "endpoint/http_metrics.h"
#include "endpoint/http_options.h"
#include "endpoint/http_router.h"

namespace millrace::endpoint {

/// Owns: the listening sockets, the I/O threads and all connections.
/// Thread: start() and stop() on one thread, the rest on any.
/// Errors: start() gives kUnavailable where the address cannot be listened on, kInvalidArgument
/// where it is
///   not an IP address. What goes wrong with a connection concerns that connection alone.
class HttpServer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options,
                                                                 HttpRouter router);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// 0 where that port is off.
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint16_t tls_port() const;
  [[nodiscard]] const HttpMetrics& metrics() const;

  /// Accepts nothing more, closes idle connections, lets requests in flight finish within the grace
  /// time, closes the rest and ends the threads. Blocks; more than once is harmless. Answers that
  /// come after it are dropped.
  void stop();

 private:
  class Listener;
  explicit HttpServer(std::unique_ptr<Listener> listener);

  std::unique_ptr<Listener> listener_;
};

}  // namespace millrace::endpoint
