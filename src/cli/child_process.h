// A server of our own as a child process: started with its output in a file, asked to stop, and
// ended when the parent is gone. Owns: the process. Thread: one at a time. Errors: kUnavailable
// where it cannot be started.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace millrace::cli {

class ChildProcess {
 public:
  /// Runs this very program with other arguments, in a process group of its own, so that Ctrl-C
  /// reaches only the parent, which then stops the child.
  static Result<std::unique_ptr<ChildProcess>> start_self(const std::vector<std::string>& arguments,
                                                          const std::filesystem::path& output);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// The exit code, or minus the signal, once it has ended.
  std::optional<int> ended();
  /// SIGTERM, and SIGKILL where that does not end it in time. Gives what ended() does.
  int stop(std::chrono::milliseconds patience);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> ended_;
};

}  // namespace millrace::cli
