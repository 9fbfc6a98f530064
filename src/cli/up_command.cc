// `millrace up`: the server, in this process.
#include "cli/commands.h"
#include "server/up.h"

namespace millrace::cli {

ExitCode run(const UpCommand& command) {
  server::UpOptions options;
  options.pipelines = command.pipelines;
  options.config_file = command.config;
  if (command.data) options.data = *command.data;
  if (command.listen) options.listen = *command.listen;
  if (command.http_port) options.http_port = *command.http_port;
  if (command.mqtt_port) options.mqtt_port = *command.mqtt_port;
  options.ready_file = command.ready_file;
  return static_cast<ExitCode>(server::run_up(options));
}

}  // namespace millrace::cli
