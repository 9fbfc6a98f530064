// Debian's Redis as the store to write to: on a free port, without persistence. Owns: the process,
// and a connection to it. Thread: one owner. Errors: kNotFound where it is not installed,
// kUnavailable where it does not start or the connection broke.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::bench {

class RedisProcess {
 public:
  static Result<std::unique_ptr<RedisProcess>> start(const std::filesystem::path& folder);
  ~RedisProcess();
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// The reply to one command of words without blanks, whose reply is a number or a text.
  Result<std::string> ask(std::string_view command);

 private:
  RedisProcess() = default;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  int fd_ = -1;
};

}  // namespace millrace::bench
