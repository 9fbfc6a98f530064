// Debian's mosquitto as the broker to compare with: on a free port, without persistence (it writes
// nothing to disk), without limits on its queues, without a log. Owns: the process. Thread: one
// owner. Errors: kNotFound where it is not installed, kUnavailable where it does not start.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/result.h"

namespace millrace::bench {

class MosquittoProcess {
 public:
  static Result<std::unique_ptr<MosquittoProcess>> start(const std::filesystem::path& folder);
  ~MosquittoProcess();
  MosquittoProcess(const MosquittoProcess&) = delete;
  MosquittoProcess& operator=(const MosquittoProcess&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  MosquittoProcess() = default;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace millrace::bench
