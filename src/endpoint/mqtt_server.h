// The MQTT listener: MQTT 3.1, 3.1.1 and 5.0 over TCP, TLS and WebSockets, in front of the broker.
// Listens, deals accepted connections to its I/O threads in turn, stops in order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "access/access.h"
#include "base/result.h"
#include "broker/broker.h"
#include "endpoint/http_message.h"
#include "endpoint/mqtt_metrics.h"
#include "endpoint/mqtt_options.h"

namespace millrace::endpoint {

/// Owns: the listening sockets, the I/O threads and all connections. Borrows: the broker, which
/// outlives it and takes nothing more of it after stop().
/// Thread: start() and stop() on one thread, the rest on any.
/// Errors: as HttpServer's.
class MqttServer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<MqttServer>> start(MqttServerOptions options,
                                                                 access::Access& access,
                                                                 broker::Broker& broker);
  ~MqttServer();
  MqttServer(const MqttServer&) = delete;
  MqttServer& operator=(const MqttServer&) = delete;

  /// 0 where that port is off.
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint16_t tls_port() const;
  [[nodiscard]] const MqttMetrics& metrics() const;

  /// The answer that makes an HTTP connection one of MQTT, as a WebSocket; pages of `origins` may.
  /// Thread: any, while the server exists; the HTTP server stops before it is destroyed.
  [[nodiscard]] HttpResponse web_socket(const HttpRequest& request,
                                        std::vector<std::string> origins);

  /// Accepts nothing more, tells every client that the server stops, and ends the threads. Blocks;
  /// more than once is harmless.
  void stop();

 private:
  class Listener;
  explicit MqttServer(std::unique_ptr<Listener> listener);

  std::unique_ptr<Listener> listener_;
};

}  // namespace millrace::endpoint
