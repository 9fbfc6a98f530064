// The server under measurement: the release program on a data folder of its own, started and ended
// here. Owns: the process. Thread: one owner. Errors: kUnavailable where it ends or is not ready in
// time, with the end of its log; whatever happens, the destructor leaves no process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"

namespace millrace::bench {

using ConfigValues = std::map<std::string, std::string>;  // "lake.commit_rows" -> "1000"

class ServerProcess {
 public:
  /// Starts, and waits until the ready file is there.
  static Result<std::unique_ptr<ServerProcess>> start(const std::filesystem::path& binary,
                                                      const std::filesystem::path& folder,
                                                      const ConfigValues& config);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint16_t mqtt_port() const { return mqtt_port_; }
  /// What libpq connects with.
  [[nodiscard]] std::string postgres_url() const;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::filesystem::path data_folder() const { return folder_ / "data"; }
  /// The most memory that it, and the processes it started, had at one time each, added up.
  [[nodiscard]] std::uint64_t peak_bytes() const;
  /// User and system time of the process, in seconds.
  [[nodiscard]] double cpu_seconds() const;
  /// Processor time of the thread of this name, in seconds, from the scheduler's nanoseconds.
  [[nodiscard]] double thread_cpu_seconds(std::string_view name) const;
  /// SIGKILL: nothing is flushed.
  void kill_now();
  /// SIGTERM, and waits.
  Status stop();

 private:
  explicit ServerProcess(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Status wait_until_ready();
  [[nodiscard]] std::string log_tail() const;

  std::filesystem::path folder_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::uint16_t mqtt_port_ = 0;
  std::uint16_t postgres_port_ = 0;
};

}  // namespace millrace::bench
