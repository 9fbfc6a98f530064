// `millrace generate`: events of the generator into a file, to standard output, or to a server, at
// a rate.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/json_fields.h"
#include "client/generator.h"
#include "runtime/clock.h"

namespace millrace::cli {
namespace {

constexpr std::size_t kRowsPerRequestMax = 1'000;
/// A rate is kept by so many requests a second at most.
constexpr double kRequestsPerSecond = 20;
constexpr std::int64_t kProgressEveryUs = 500'000;
constexpr auto kBusyPause = std::chrono::milliseconds(200);

using LineSink = std::function<Status(const std::string& ndjson)>;

/// Pulls all lines through the sink, each when it is due.
Status generate(const GenerateCommand& command, client::Generator& generator,
                const LineSink& sink) {
  const auto& terminal = command.client.terminal;
  const auto rows =
      command.rate == 0
          ? kRowsPerRequestMax
          : std::clamp<std::size_t>(static_cast<std::size_t>(command.rate / kRequestsPerSecond), 1,
                                    kRowsPerRequestMax);
  const std::int64_t started_us = runtime::monotonic_us();
  std::int64_t progress_us = started_us;
  std::string lines;
  while (generator.next_batch(lines, rows)) {
    MR_RETURN_IF_ERROR(sink(lines));
    lines.clear();
    const std::int64_t now_us = runtime::monotonic_us();
    if (now_us - progress_us >= kProgressEveryUs) {
      progress_us = now_us;
      const auto made = generator.totals().lines;
      const double seconds = static_cast<double>(now_us - started_us) / 1e6;
      terminal.progress(
          fmt::format("{} events, {}/s", grouped(made),
                      grouped(static_cast<std::uint64_t>(static_cast<double>(made) / seconds))));
    }
    if (command.rate > 0) {
      const auto early_us = generator.due_us() - (now_us - started_us);
      if (early_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(early_us));
    }
  }
  terminal.end_progress();
  return {};
}

Status write_to_file(const GenerateCommand& command, client::Generator& generator) {
  if (command.out.empty() || command.out == "-") {
    return generate(command, generator, [](const std::string& lines) -> Status {
      if (print(lines)) return {};
      return fail(ErrorCode::kUnavailable, error_id::kDiskFailed,
                  "nobody reads standard output any more");
    });
  }
  std::ofstream file(command.out, std::ios::binary | std::ios::trunc);
  MR_RETURN_IF_ERROR(generate(command, generator, [&](const std::string& lines) -> Status {
    file << lines;
    if (file) return {};
    return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{} cannot be written",
                command.out);
  }));
  file.close();
  if (file) return {};
  return fail(ErrorCode::kUnavailable, error_id::kDiskFailed, "{} cannot be written", command.out);
}

Status create_stream(const ClientOptions& client, client::EventKind kind) {
  MR_TRY(auto api, ApiClient::connect(client.server, http_options(client)));
  const auto made = api.sql(client::stream_sql(kind));
  if (!made && made.error().code != ErrorCode::kAlreadyExists) return std::unexpected(made.error());
  return {};
}

struct PostTotals {
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
};

Status post_lines(client::HttpClient& http, const std::string& target, const std::string& lines,
                  PostTotals& totals) {
  while (true) {
    auto reply = http.request("POST", target, lines, {{"Content-Type", "application/x-ndjson"}});
    if (!reply) return std::unexpected(connection_error(std::move(reply).error()));
    if (reply->status == 429) {
      // Nothing of it was taken.
      std::this_thread::sleep_for(kBusyPause);
      continue;
    }
    boost::system::error_code error;
    const auto document = boost::json::parse(reply->body, error);
    // 422: every line of it was bad, which was asked for.
    if ((!reply->ok() && reply->status != 422) || error || !document.is_object() ||
        !document.get_object().contains("accepted")) {
      return std::unexpected(error_of(*reply));
    }
    totals.accepted += number_field<std::uint64_t>(document.get_object(), "accepted");
    totals.rejected += number_field<std::uint64_t>(document.get_object(), "rejected_count");
    return {};
  }
}

Status post_to_server(const GenerateCommand& command, client::EventKind kind,
                      client::Generator& generator) {
  const auto& url = command.client.server;
  if (command.create) MR_RETURN_IF_ERROR(create_stream(command.client, kind));
  auto http = client::HttpClient::connect(url, http_options(command.client));
  if (!http) return std::unexpected(connection_error(std::move(http).error()));
  const auto target = fmt::format("/v1/streams/{}/events", client::stream_name(kind));
  PostTotals totals;
  const std::int64_t started_us = runtime::monotonic_us();
  MR_RETURN_IF_ERROR(generate(command, generator, [&](const std::string& lines) {
    return post_lines(*http, target, lines, totals);
  }));
  const double seconds = static_cast<double>(runtime::monotonic_us() - started_us) / 1e6;
  command.client.terminal.note(fmt::format("{} events accepted, {} rejected, in {:.2f} s",
                                           grouped(totals.accepted), grouped(totals.rejected),
                                           seconds));
  return {};
}

}  // namespace

ExitCode run(const GenerateCommand& command) {
  const auto& terminal = command.client.terminal;
  const auto kind = client::parse_event_kind(command.kind);
  if (!kind) return report(terminal, kind.error());
  auto generator = client::Generator::make({.kind = *kind,
                                            .count = command.count,
                                            .seed = command.seed,
                                            .rate = command.rate,
                                            .late = command.late,
                                            .duplicates = command.duplicates,
                                            .bad = command.bad});
  if (!generator) {
    terminal.error(generator.error());
    return ExitCode::kUsage;
  }
  const auto done = command.post ? post_to_server(command, *kind, *generator)
                                 : write_to_file(command, *generator);
  if (!done) {
    terminal.end_progress();
    return report(terminal, done.error());
  }
  return ExitCode::kOk;
}

}  // namespace millrace::cli
