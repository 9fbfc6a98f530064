#include "mosquitto_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "free_port.h"
#include "mqtt_load.h"

namespace millrace::bench {

namespace {

constexpr const char* kProgram = "/usr/sbin/mosquitto";

}  // namespace

Result<std::unique_ptr<MosquittoProcess>> MosquittoProcess::start(
    const std::filesystem::path& folder) {
  if (::access(kProgram, X_OK) != 0)
    return fail(ErrorCode::kNotFound, error_id::kInternal,
                "{} is not installed: apt-get install mosquitto", kProgram);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::unique_ptr<MosquittoProcess> broker(new MosquittoProcess);
  broker->port_ = free_port();
  const std::string config = (folder / "mosquitto.conf").string();
  std::ofstream(config) << fmt::format(
      "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
      "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\nsys_interval 1\n"
      "user root\n",
      broker->port_);
  const char* const arguments[] = {kProgram, "-c", config.c_str(), nullptr};
  broker->pid_ = ::fork();
  if (broker->pid_ == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), 2);
    ::execv(kProgram, const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end) {
    if (MqttClient::connect(broker->port_, "bench-start")) return broker;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "mosquitto does not answer on port {}",
              broker->port_);
}

MosquittoProcess::~MosquittoProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace millrace::bench
