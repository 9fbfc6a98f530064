// A worker process on two pipes. Ended by its own id, and waited for.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "op/arrow_ipc.h"
#include "op/frame.h"
#include "transport.h"

extern char** environ;

namespace millrace::parity {

namespace {

using op::Frame;
using op::FrameOp;

std::unexpected<Error> failed(std::string_view what) {
  return fail(ErrorCode::kInternal, error_id::kInternal, "worker: {}", what);
}

class WorkerTransport : public Transport {
 public:
  WorkerTransport(std::string path, std::string plan, std::uint64_t memory_bytes)
      : path_(std::move(path)), plan_(std::move(plan)), memory_(std::to_string(memory_bytes)) {}
  ~WorkerTransport() override { stop(); }

  Status start() {
    int to[2];
    int from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return failed(strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    std::string option = "--memory";
    char* arguments[] = {path_.data(), option.data(), memory_.data(), nullptr};
    const int error = posix_spawn(&pid_, path_.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
    reader_ = {};
    if (error != 0) {
      pid_ = 0;
      return failed(path_ + ": " + strerror(error));
    }
    return send(FrameOp::kHello, plan_, [&](const Frame& answer) -> Status {
      hello_ = answer.payload;
      return {};
    });
  }

  Result<std::string> hello() override { return hello_; }
  Result<Emitted> partial(const op::OwnedBatch& rows) override {
    std::string payload(1, '\0');
    op::append_arrow_stream(rows, payload);
    Emitted out;
    MR_RETURN_IF_ERROR(send(FrameOp::kPartial, payload, [&](const Frame& answer) -> Status {
      if (answer.op == FrameOp::kStates) {
        MR_TRY(auto states, read_states(answer.payload));
        out.states.insert(out.states.end(), states.begin(), states.end());
      } else if (answer.op == FrameOp::kSkipped) {
        MR_TRY(auto skipped, read_skipped(answer.payload));
        out.skipped.insert(out.skipped.end(), skipped.begin(), skipped.end());
      }
      return {};
    }));
    return out;
  }
  Status merge(std::span<const State> states) override {
    for (const auto& stream : write_states(states, 5'000))
      MR_RETURN_IF_ERROR(send(FrameOp::kMerge, stream, [](const Frame&) { return Status(); }));
    return {};
  }
  Result<std::vector<State>> flush() override {
    std::vector<State> out;
    MR_RETURN_IF_ERROR(send(FrameOp::kFlush, {}, [&](const Frame& answer) -> Status {
      if (answer.op != FrameOp::kStates) return {};
      MR_TRY(auto states, read_states(answer.payload));
      out.insert(out.end(), states.begin(), states.end());
      return {};
    }));
    return out;
  }
  Result<std::string> finalize() override {
    std::string out;
    MR_RETURN_IF_ERROR(send(FrameOp::kFinalize, "\1", [&](const Frame& answer) -> Status {
      if (answer.op == FrameOp::kRows) out += answer.payload;
      return {};
    }));
    return out;
  }
  Result<bool> kill_and_restart() override {
    kill(pid_, SIGKILL);
    stop();
    MR_RETURN_IF_ERROR(start());
    return true;
  }

 private:
  void stop() {
    if (to_ >= 0) close(to_);
    if (from_ >= 0) close(from_);
    to_ = from_ = -1;
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// Shows every answer; the last one has the op of the frame.
  template <class Visit>
  Status send(FrameOp op, std::string_view payload, const Visit& visit) {
    std::string bytes;
    op::append_frame(bytes, op, ++seq_, payload);
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t written = write(to_, rest.data(), rest.size());
      if (written < 0) return failed(fmt::format("it takes no frame: {}", strerror(errno)));
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    for (;;) {
      MR_TRY(auto frame, reader_.next());
      if (!frame) {
        char piece[65536];
        const ssize_t size = read(from_, piece, sizeof(piece));
        if (size <= 0) return failed("it ended before its answer");
        reader_.feed({piece, static_cast<std::size_t>(size)});
        continue;
      }
      if (frame->seq != seq_) return failed("an answer to another frame");
      if (frame->op == FrameOp::kErr) return failed(frame->payload);
      MR_RETURN_IF_ERROR(visit(*frame));
      if (frame->op == op) return {};
    }
  }

  std::string path_;
  std::string plan_;
  std::string memory_;
  std::string hello_;
  pid_t pid_ = 0;
  int to_ = -1;
  int from_ = -1;
  std::uint32_t seq_ = 0;
  op::FrameReader reader_;
};

}  // namespace

Result<std::unique_ptr<Transport>> start_worker(const std::string& path, const std::string& plan,
                                                std::uint64_t memory_bytes) {
  auto out = std::make_unique<WorkerTransport>(path, plan, memory_bytes);
  MR_RETURN_IF_ERROR(out->start());
  return std::unique_ptr<Transport>(std::move(out));
}

}  // namespace millrace::parity
