#include "server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace millrace::bench {

namespace {

constexpr int kReadySeconds = 120;
constexpr int kStopSeconds = 30;

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// "section.key" values as YAML.
std::string yaml_of(const ConfigValues& config) {
  std::map<std::string, std::string> sections;
  for (const auto& [name, value] : config) {
    const auto dot = name.find('.');
    sections[name.substr(0, dot)] += fmt::format("  {}: {}\n", name.substr(dot + 1), value);
  }
  std::string out;
  for (const auto& [section, keys] : sections) out += section + ":\n" + keys;
  return out;
}

/// 0 where the ready file names no such address.
std::uint16_t port_after(std::string_view ready, std::string_view address) {
  const auto at = ready.find(address);
  if (at == std::string_view::npos) return 0;
  std::uint16_t port = 0;
  std::from_chars(ready.data() + at + address.size(), ready.data() + ready.size(), port);
  return port;
}

std::uint64_t peak_of(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<ServerProcess>> ServerProcess::start(const std::filesystem::path& binary,
                                                            const std::filesystem::path& folder,
                                                            const ConfigValues& config) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::filesystem::remove(folder / "ready", error);
  std::ofstream(folder / "millrace.yaml") << yaml_of(config);
  std::unique_ptr<ServerProcess> server(new ServerProcess(folder));
  const std::string program = binary.string();
  const std::string data = (folder / "data").string();
  const std::string config_file = (folder / "millrace.yaml").string();
  const std::string ready = (folder / "ready").string();
  const std::string log = (folder / "server.log").string();
  const char* const arguments[] = {program.c_str(),
                                   "up",
                                   "--data",
                                   data.c_str(),
                                   "--http-port",
                                   "0",
                                   "--mqtt-port",
                                   "0",
                                   "--postgres-port",
                                   "0",
                                   "--ready-file",
                                   ready.c_str(),
                                   config.empty() ? nullptr : "--config",
                                   config_file.c_str(),
                                   nullptr};
  server->pid_ = ::fork();
  if (server->pid_ == 0) {
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(program.c_str(), const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  if (server->pid_ < 0)
    return fail(ErrorCode::kUnavailable, error_id::kInternal, "fork: {}", std::strerror(errno));
  MR_RETURN_IF_ERROR(server->wait_until_ready());
  return server;
}

Status ServerProcess::wait_until_ready() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kReadySeconds);
  while (std::chrono::steady_clock::now() < end) {
    const std::string ready = read_text(folder_ / "ready");
    if (ready.find('}') != std::string::npos) {
      port_ = port_after(ready, "http://127.0.0.1:");
      mqtt_port_ = port_after(ready, "mqtt://127.0.0.1:");
      postgres_port_ = port_after(ready, "postgresql://127.0.0.1:");
      return {};
    }
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return fail(ErrorCode::kUnavailable, error_id::kInternal, "the server ended at its start: {}",
                  log_tail());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return fail(ErrorCode::kUnavailable, error_id::kInternal,
              "the server is not ready after {} s: {}", kReadySeconds, log_tail());
}

std::string ServerProcess::postgres_url() const {
  return fmt::format("postgresql://bench@127.0.0.1:{}/millrace", postgres_port_);
}

std::string ServerProcess::log_tail() const {
  const std::string text = read_text(folder_ / "server.log");
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

std::uint64_t ServerProcess::peak_bytes() const {
  std::uint64_t sum = peak_of(pid_);
  std::error_code error;
  // Each thread lists the processes that it started itself.
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid_), error)) {
    std::istringstream children(read_text(task.path() / "children"));
    for (pid_t child = 0; children >> child;) sum += peak_of(child);
  }
  return sum;
}

double ServerProcess::cpu_seconds() const {
  const std::string stat = read_text(fmt::format("/proc/{}/stat", pid_));
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  // proc(5): utime and stime are the 14th and 15th fields; the third begins behind the name.
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  fields >> user >> system;
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double ServerProcess::thread_cpu_seconds(std::string_view name) const {
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid_), error)) {
    std::string comm = read_text(task.path() / "comm");
    if (comm.ends_with('\n')) comm.pop_back();
    if (comm != name) continue;
    const std::string stat = read_text(task.path() / "schedstat");
    return static_cast<double>(std::strtoull(stat.c_str(), nullptr, 10)) / 1e9;
  }
  return 0;
}

void ServerProcess::kill_now() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Status ServerProcess::stop() {
  if (pid_ <= 0) return {};
  ::kill(pid_, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kStopSeconds);
  int status = 0;
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
      return fail(ErrorCode::kUnavailable, error_id::kInternal, "the server ended badly: {}",
                  log_tail());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill_now();
  return fail(ErrorCode::kDeadlineExceeded, error_id::kInternal,
              "the server did not stop within {} s", kStopSeconds);
}

ServerProcess::~ServerProcess() { kill_now(); }

}  // namespace millrace::bench
