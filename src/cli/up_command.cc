// `millrace up`: the server, in this process.
#include <charconv>

#include "cli/commands.h"
#include "server/up.h"

namespace millrace::cli {

namespace {

/// The command line has checked that it is a port, or "off".
void take_port(const std::optional<std::string>& given, std::optional<std::uint16_t>& port) {
  if (!given) return;
  port.reset();
  std::uint16_t number = 0;
  const auto [end, failed] = std::from_chars(given->data(), given->data() + given->size(), number);
  if (failed == std::errc()) port = number;
}

}  // namespace

ExitCode run(const UpCommand& command) {
  server::UpOptions options;
  options.pipelines = command.pipelines;
  options.config_file = command.config;
  if (command.data) options.data = *command.data;
  if (command.listen) options.listen = *command.listen;
  take_port(command.http_port, options.http_port);
  take_port(command.mqtt_port, options.mqtt_port);
  take_port(command.postgres_port, options.postgres_port);
  take_port(command.https_port, options.https_port);
  take_port(command.mqtts_port, options.mqtts_port);
  options.needs_tls =
      (command.https_port && options.https_port) || (command.mqtts_port && options.mqtts_port);
  options.ready_file = command.ready_file;
  return static_cast<ExitCode>(server::run_up(options));
}

}  // namespace millrace::cli
