// The limits of the PostgreSQL listener. Each bounds what one client, or all together, can make the
// server hold; how large an answer may be is the statement's (serving/statement_runner.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace millrace::endpoint {

class Tls;

struct PostgresServerOptions {
  /// An IP address, not a name.
  std::string address = "127.0.0.1";
  /// 0 picks a free port; PostgresServer::port() tells which.
  std::uint16_t port = 0;
  /// With a certificate clients may ask for TLS, on the same port; it outlives the server.
  Tls* tls = nullptr;
  /// Who does not ask for TLS is refused.
  bool tls_required = false;
  /// I/O threads; 0 means one for each core.
  unsigned threads = 0;

  std::size_t connections_max = 10'000;
  /// Of one address; 0: any number.
  std::size_t peer_connections_max = 0;
  std::size_t message_bytes_max = std::size_t{16} * 1024 * 1024;
  /// Of messages that have begun to come and are not whole, of all clients, but for small ones.
  std::uint64_t unfinished_bytes_max = std::uint64_t{128} * 1024 * 1024;
  /// Prepared statements that one connection keeps, and portals.
  std::size_t statements_max = 1'000;
  std::size_t portals_max = 256;
  /// The texts of these statements and the parameters of these portals.
  std::size_t prepared_bytes_max = std::size_t{32} * 1024 * 1024;
  /// Of answers that clients have not read yet, of all connections.
  std::uint64_t held_bytes_max = std::uint64_t{1} * 1024 * 1024 * 1024;

  /// From the connection to the end of its authentication.
  std::chrono::milliseconds connect_time{10'000};
  /// Without any progress of a client that should read.
  std::chrono::milliseconds write_time{60'000};
  /// For stop(): how long statements that are cancelled and farewells may take.
  std::chrono::milliseconds stop_grace_time{2'000};
};

}  // namespace millrace::endpoint
