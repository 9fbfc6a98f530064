// `millrace batch run`: starts a run and waits for its end, with progress.
#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/batch_state.h"
#include "cli/commands.h"

namespace millrace::cli {

ExitCode run(const BatchRunCommand& command) {
  const auto& terminal = command.client.terminal;
  const bool json = command.client.format == OutputFormat::kJson;
  auto api = ApiClient::connect(command.client.server, http_options(command.client));
  if (!api) return report(terminal, api.error());
  const auto number = start_batch(*api, command.full);
  if (!number) return report(terminal, number.error());
  if (!command.wait) {
    const auto text = json ? fmt::format("{{\"run\":{}}}\n", *number)
                           : fmt::format("run {} is asked for\n", *number);
    return print(text) ? ExitCode::kOk : ExitCode::kFailure;
  }
  const auto state = wait_for_batch(*api, *number, [&](const BatchState& now) -> Status {
    terminal.progress(now.progress_text());
    return {};
  });
  terminal.end_progress();
  if (!state) return report(terminal, state.error());
  if (const auto* ended = state->ended(*number)) {
    terminal.note(fmt::format("run {} made {} generations in {:.2f} s, drift of {} rows",
                              ended->run, ended->generations, ended->seconds, ended->drift_rows));
  }
  return print_table(command.client, generations_table(*state), state->json);
}

}  // namespace millrace::cli
