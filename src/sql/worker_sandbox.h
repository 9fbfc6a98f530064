// Takes from the calling process what a query does not need: before DuckDB starts a thread, before
// any text of a user. Nothing of it can be given back.
//   limits        memory, no core files, no file growth, few descriptors; killed when the server
//   dies privileges    no new ones, capabilities dropped Landlock      the lake folder read-only,
//   no other file, no TCP, no signals out seccomp-BPF   no sockets, no programs, no open for
//   writing, no change of any path, no io_uring, no ptrace
// Thread: the only one of the process. Errors: kFailedPrecondition where this kernel cannot do it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace millrace::sql {

struct SandboxOptions {
  /// Files, and folders with all that lies in them; what does not exist is left out.
  std::vector<std::filesystem::path> readable;
  /// Of address space; 0: no limit.
  std::uint64_t address_bytes_max = 0;
  /// Goes on where the kernel has no Landlock.
  bool allow_without_landlock = false;
};

Status enter_sandbox(const SandboxOptions& options);

}  // namespace millrace::sql
