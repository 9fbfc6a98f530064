#include "tests/sql/session.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <future>
#include <iostream>
#include <thread>

#include "server/config.h"

namespace millrace::sql_cases {

namespace {

constexpr std::uint64_t kNever = 3'600'000;
constexpr auto kPollInterval = std::chrono::milliseconds(1);
constexpr auto kLiveWait = std::chrono::seconds(240);
constexpr int kReplyWaitMs = 300'000;

std::unexpected<Error> failed(std::string text) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "{}", text);
}

/// Lake commits and batch runs happen when a test wants them.
server::Config test_config() {
  server::Config config;
  config.log_segment_bytes = std::uint64_t{1} << 20;
  config.lake_commit_interval_ms = kNever;
  config.batch_interval_ms = kNever;
  return config;
}

Status write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(file, bytes.data(), bytes.size());
    if (written <= 0) return failed("the node's process does not read");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<LocalSession>> LocalSession::open(const std::filesystem::path& folder) {
  MR_TRY(auto node, server::Node::open(folder, test_config()));
  std::unique_ptr<LocalSession> session(new LocalSession(std::move(node)));
  return session;
}

Status LocalSession::run(std::string_view sql) {
  auto result = node_->statements().run(sql);
  if (!result) return std::unexpected(std::move(result).error());
  return {};
}

Status LocalSession::post(std::string_view stream, std::string_view lines) {
  const auto state = node_->speed().find_stream(stream);
  if (state == nullptr) return failed(fmt::format("there is no stream {}", stream));
  std::promise<Result<ingest::IngestReply>> promise;
  node_->ingest().submit(
      state, PaddedBytes::copy_of(lines), format::JsonFraming::kLines, "test",
      [&](Result<ingest::IngestReply> reply) { promise.set_value(std::move(reply)); });
  auto reply = promise.get_future().get();
  if (!reply) return std::unexpected(std::move(reply).error());
  if (!reply->rejected.empty()) {
    return failed(fmt::format("{} rows of {} were refused, the first: {}", reply->rejected.size(),
                              stream, reply->rejected.front().reason));
  }
  return {};
}

Status LocalSession::run_batch(bool full) {
  const auto run = node_->batch().request(full, "test");
  for (;;) {
    for (const auto& summary : node_->batch().state().last) {
      if (summary.run != run) continue;
      if (summary.error) return std::unexpected(*summary.error);
      if (summary.drift_rows != 0) {
        return failed(fmt::format("the audit found {} groups where batch and speed layer differ",
                                  summary.drift_rows));
      }
      return {};
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

Status LocalSession::begin_batch() {
  node_->batch().request(false, "test");
  return {};
}

Status LocalSession::wait_until_live() {
  auto& speed = node_->speed();
  const auto is_live = [&](const speed::ViewState& view) {
    return view.phase() != speed::ViewPhase::kBuilding &&
           std::ranges::all_of(view.record().tables, [&](const catalog::TableUse& use) {
             const auto table = node_->catalog().table(use.table);
             return table && table->newest().version == use.version;
           });
  };
  const auto deadline = std::chrono::steady_clock::now() + kLiveWait;
  for (;;) {
    const auto named = speed.named_views();
    for (const auto& view : named) {
      if (view->phase() == speed::ViewPhase::kFailed)
        return failed(fmt::format("view {} failed", view->record().name));
    }
    if (speed.views().size() == named.size() &&
        std::ranges::all_of(named, [&](const auto& view) { return is_live(*view); })) {
      return {};
    }
    if (std::chrono::steady_clock::now() > deadline) return failed("a view is not built in time");
    std::this_thread::sleep_for(kPollInterval);
  }
}

Result<std::unique_ptr<HostedSession>> HostedSession::open(const std::filesystem::path& folder) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
    return failed("no pipe for the node's process");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string verb = "node-host";
  std::string place = folder.string();
  std::array<char*, 4> arguments = {verb.data(), verb.data(), place.data(), nullptr};
  pid_t process = 0;
  const int error =
      ::posix_spawn(&process, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  if (error != 0) return failed(fmt::format("posix_spawn: {}", std::strerror(error)));
  std::unique_ptr<HostedSession> session(new HostedSession(process, in[1], out[0]));
  MR_RETURN_IF_ERROR(session->read_reply());  // it says when it has recovered
  return session;
}

HostedSession::~HostedSession() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  ::close(in_);
  ::close(out_);
}

Status HostedSession::ask(std::string_view verb, std::string_view argument,
                          std::string_view payload) {
  MR_RETURN_IF_ERROR(write_all(in_, fmt::format("{} {} {}\n", verb, argument, payload.size())));
  MR_RETURN_IF_ERROR(write_all(in_, payload));
  return read_reply();
}

Status HostedSession::read_reply() {
  std::string line;
  for (;;) {
    pollfd ready{.fd = out_, .events = POLLIN, .revents = 0};
    char byte = 0;
    if (::poll(&ready, 1, kReplyWaitMs) <= 0 || ::read(out_, &byte, 1) != 1)
      return failed("the node's process ended or does not answer");
    if (byte == '\n') break;
    line += byte;
  }
  if (line == "ok") return {};
  return failed(line);
}

int node_host_main(std::span<char*> arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto answer = [](const Status& status) {
    std::string text = status ? "ok" : status.error().text();
    std::ranges::replace(text, '\n', ' ');
    return write_all(STDOUT_FILENO, text + "\n").has_value();
  };
  auto session = LocalSession::open(arguments[2]);
  if (!session) {
    static_cast<void>(answer(std::unexpected(session.error())));
    return 1;
  }
  if (!answer({})) return 1;
  std::string verb;
  std::string argument;
  std::size_t size = 0;
  while (std::cin >> verb >> argument >> size) {
    std::string payload(size, '\0');
    std::cin.get();
    std::cin.read(payload.data(), static_cast<std::streamsize>(size));
    Status status;
    if (verb == "run") {
      status = (*session)->run(payload);
    } else if (verb == "post") {
      status = (*session)->post(argument, payload);
    } else if (verb == "batch") {
      status = (*session)->run_batch(argument == "full");
    } else if (verb == "begin") {
      status = (*session)->begin_batch();
    } else if (verb == "live") {
      status = (*session)->wait_until_live();
    }
    if (!answer(status)) return 1;
  }
  return 0;
}

}  // namespace millrace::sql_cases
