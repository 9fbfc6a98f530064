// `millrace plan VIEW`: the document that the operator outside of the server is opened with.
#include "cli/api_client.h"
#include "cli/commands.h"
#include "model/stream.h"

namespace millrace::cli {

ExitCode run(const PlanCommand& command) {
  const Terminal& terminal = command.client.terminal;
  // Nothing in a name wants encoding in a path.
  if (const auto good = check_object_name(command.view); !good)
    return report(terminal, good.error());
  auto api = ApiClient::connect(command.client.server, http_options(command.client));
  if (!api) return report(terminal, api.error());
  const auto plan = api->get(fmt::format("/v1/views/{}/plan", command.view));
  if (!plan) return report(terminal, plan.error());
  return print(*plan + "\n") ? ExitCode::kOk : ExitCode::kFailure;
}

}  // namespace millrace::cli
