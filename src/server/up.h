// `millrace up`: opens the node, runs the pipeline's statements, serves until it is told to stop.
// Errors: the exit codes of docs/reference/cli.md; 5 where another server has the data folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::server {

struct UpOptions {
  std::vector<std::string>
      pipelines;  // files of statements; one that exists already is passed over
  std::string data = "./millrace-data";
  std::string config_file;  // empty: ./millrace.yaml where there is one
  std::string listen = "127.0.0.1";
  /// 0: a free one; none: that door stays closed. Those with TLS need a certificate.
  std::optional<std::uint16_t> http_port = 8080;
  std::optional<std::uint16_t> mqtt_port = 1883;
  std::optional<std::uint16_t> https_port = 8443;
  std::optional<std::uint16_t> mqtts_port = 8883;
  /// With TLS on the same port where there is a certificate.
  std::optional<std::uint16_t> postgres_port = 5433;
  bool needs_tls = false;  // a port with TLS was asked for
  std::string ready_file;  // empty: none
};

/// Gives the exit code of the process.
int run_up(const UpOptions& options);

}  // namespace millrace::server
