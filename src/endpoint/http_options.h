// The limits of the HTTP server. Each bounds what one client, or all together, can make the server
// hold.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::endpoint {

class Tls;

struct HttpServerOptions {
  /// An IP address, not a name.
  std::string address = "127.0.0.1";
  /// 0 picks a free port; HttpServer::port() tells which.
  std::uint16_t port = 0;
  /// Without TLS there is no other port than that.
  bool plain = true;
  /// With a certificate there is a port with TLS, too; it outlives the server.
  Tls* tls = nullptr;
  std::uint16_t tls_port = 0;
  /// Web pages of these origins may ask, beside those of this server itself; "*": of all.
  std::vector<std::string> cors_origins;
  /// I/O threads; 0 means one for each core.
  unsigned threads = 0;

  std::size_t head_bytes_max = std::size_t{16} * 1024;
  /// Of one body as sent and as decompressed, where the route has no limit of its own.
  std::uint64_t body_bytes_max = std::uint64_t{64} * 1024 * 1024;
  /// Of all bodies that are received or wait for their answer.
  std::uint64_t body_bytes_in_flight_max = std::uint64_t{256} * 1024 * 1024;
  std::size_t connections_max = 4096;
  /// Of one address, and its requests a second; 0: any number.
  std::size_t peer_connections_max = 0;
  std::uint32_t peer_requests_per_second_max = 0;
  /// Requests of one connection that wait for their answer; then it is not read further.
  std::size_t requests_in_flight_max = 64;

  /// From the first byte of a head to its last.
  std::chrono::milliseconds head_time{10'000};
  /// From the end of the head to the last byte of the body.
  std::chrono::milliseconds body_time{60'000};
  /// Between two requests.
  std::chrono::milliseconds idle_time{75'000};
  /// Without any progress of a client that should read its answer.
  std::chrono::milliseconds write_time{60'000};
  /// After the last answer, for the client to close, so that no reset destroys the answer on its
  /// way.
  std::chrono::milliseconds linger_time{2'000};
  /// Answers without an end and upgraded connections.
  std::size_t streams_max = 2048;
  /// After this time without a byte such an answer gets a sign of life.
  std::chrono::milliseconds stream_heartbeat_time{15'000};
  /// For stop(): how long requests in flight may take to finish.
  std::chrono::milliseconds stop_grace_time{5'000};
};

}  // namespace millrace::endpoint
