// The limits of the MQTT listener, and who may do what. Each limit bounds what one client, or all
// together, can make the server hold; the broker's own are in broker/limits.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::endpoint {

class Tls;

struct MqttServerOptions {
  /// An IP address, not a name.
  std::string address = "127.0.0.1";
  /// 0 picks a free port; MqttServer::port() tells which.
  std::uint16_t port = 0;
  /// Without TLS there is no other port than that.
  bool plain = true;
  /// With a certificate there is a port with TLS, too; it outlives the server.
  Tls* tls = nullptr;
  std::uint16_t tls_port = 0;
  /// I/O threads; 0 means one for each core.
  unsigned threads = 0;

  std::size_t connections_max = 100'000;
  /// Of one address; 0: any number.
  std::size_t peer_connections_max = 0;
  std::uint32_t packet_bytes_max = 2 * 1024 * 1024;
  std::size_t client_id_bytes_max = 256;
  std::uint16_t topic_levels_max = 32;
  /// Messages of QoS 1 and 2 of one client that wait for their acknowledgement.
  std::uint16_t receive_maximum = 16'384;
  std::uint16_t topic_aliases_max = 16;
  /// Longest pause that a client may ask for; 0: any, also none at all.
  std::uint16_t keep_alive_max_s = 0;
  /// Payloads that wait for the log: of one client, and of all.
  std::uint64_t client_bytes_in_flight_max = std::uint64_t{4} * 1024 * 1024;
  std::uint64_t bytes_in_flight_max = std::uint64_t{32} * 1024 * 1024;

  /// Of packets that have begun to come and are not whole, of all clients, but for small ones.
  std::uint64_t unfinished_bytes_max = std::uint64_t{64} * 1024 * 1024;

  /// From the connection to its CONNECT.
  std::chrono::milliseconds connect_time{10'000};
  /// From the first byte of a packet to its last, whatever keep-alive the client asked for.
  std::chrono::milliseconds packet_time{60'000};
  /// What one client may publish a second; 0: any number. In excess it is not read for a while.
  std::uint64_t client_messages_per_second_max = 0;
  std::uint64_t client_bytes_per_second_max = 0;
  /// Without any progress of a client that should read.
  std::chrono::milliseconds write_time{30'000};
  /// How long a client waits for a subscriber whose queue is full, before it is refused.
  std::chrono::milliseconds full_time{5'000};
  /// For stop(): how long farewells may take.
  std::chrono::milliseconds stop_grace_time{2'000};
};

}  // namespace millrace::endpoint
