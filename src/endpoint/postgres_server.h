// The PostgreSQL listener: frontend/backend protocol 3.0 over TCP, and over TLS on the same port
// where there is a certificate, in front of a SQL session for each client. Listens, deals accepted
// connections to its I/O threads in turn, stops in order.
#pragma once

#include <cstdint>
#include <memory>

#include "access/access.h"
#include "base/result.h"
#include "endpoint/postgres_metrics.h"
#include "endpoint/postgres_options.h"
#include "runtime/worker_pool.h"
#include "serving/statement_runner.h"

namespace millrace::endpoint {

/// Owns: the listening socket, the I/O threads and all connections. Borrows: what runs statements,
/// and the pool that waits for them; the pool is closed before that goes, and may be after this.
/// Thread: start() and stop() on one thread, the rest on any.
/// Errors: as HttpServer's.
class PostgresServer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<PostgresServer>> start(
      PostgresServerOptions options, access::Access& access, serving::StatementRunner& statements,
      runtime::WorkerPool& pool);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] const PostgresMetrics& metrics() const;

  /// Accepts nothing more, cancels what runs, tells every client that the server stops, and ends
  /// the threads. Blocks; more than once is harmless.
  void stop();

 private:
  class Listener;
  explicit PostgresServer(std::unique_ptr<Listener> listener);

  std::unique_ptr<Listener> listener_;
};

}  // namespace millrace::endpoint
