// What all connections of one PostgreSQL listener share. Constant after construction but for the
// counters. Thread: any. Errors: none.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "access/access.h"
#include "endpoint/acceptor.h"
#include "endpoint/peer_limits.h"
#include "endpoint/postgres_cancels.h"
#include "endpoint/postgres_metrics.h"
#include "endpoint/postgres_options.h"
#include "runtime/worker_pool.h"
#include "serving/statement_runner.h"

namespace millrace::endpoint {

struct PostgresServerState {
  PostgresServerState(PostgresServerOptions server_options, access::Access& server_access,
                      serving::StatementRunner& server_statements, runtime::WorkerPool& server_pool)
      : options(std::move(server_options)),
        access(server_access),
        statements(server_statements),
        pool(server_pool) {}

  const PostgresServerOptions options;
  access::Access& access;
  serving::StatementRunner& statements;
  runtime::WorkerPool& pool;
  PostgresMetrics metrics;
  /// Of messages that are not whole yet, but for small ones.
  std::atomic<std::uint64_t> unfinished_bytes{0};
  PeerLimits peers;
  PostgresCancels cancels;
  ConnectionCount connections{metrics.connections_open};
};

}  // namespace millrace::endpoint
