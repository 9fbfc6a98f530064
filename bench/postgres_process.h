// Debian's PostgreSQL 15 as the store to compare with: a new cluster on a free port, with enough
// shared memory that all of it stays there. A root makes it the user postgres, since initdb refuses
// to be root. Owns: the process and its folder's content. Thread: one owner. Errors: kNotFound
// where it is not installed, kUnavailable where it does not start.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace millrace::bench {

class PostgresProcess {
 public:
  static Result<std::unique_ptr<PostgresProcess>> start(const std::filesystem::path& folder);
  ~PostgresProcess();
  PostgresProcess(const PostgresProcess&) = delete;
  PostgresProcess& operator=(const PostgresProcess&) = delete;
  /// What libpq connects with.
  [[nodiscard]] std::string url() const;

 private:
  PostgresProcess() = default;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace millrace::bench
