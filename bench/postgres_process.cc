#include "postgres_process.h"

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "free_port.h"

namespace millrace::bench {

namespace {

constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin";
constexpr auto kStartTime = std::chrono::seconds(20);

/// Starts a program as `user` where one is given.
pid_t spawn(const std::vector<std::string>& arguments, const passwd* user, const std::string& log) {
  std::vector<char*> pointers;
  for (const auto& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (user != nullptr) {
    const bool changed =
        ::setgroups(0, nullptr) == 0 && ::setgid(user->pw_gid) == 0 && ::setuid(user->pw_uid) == 0;
    if (!changed) ::_exit(126);
  }
  ::execv(pointers[0], pointers.data());
  ::_exit(127);
}

Status wait_for_end(pid_t pid, std::string_view program, const std::string& log) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "{} failed: see {}", program, log);
}

}  // namespace

Result<std::unique_ptr<PostgresProcess>> PostgresProcess::start(
    const std::filesystem::path& folder) {
  const std::string initdb = fmt::format("{}/initdb", kPrograms);
  if (::access(initdb.c_str(), X_OK) != 0) {
    return fail(ErrorCode::kNotFound, error_id::kInternal,
                "{} is not there: apt-get install postgresql-15", initdb);
  }
  const passwd* user = nullptr;
  if (::geteuid() == 0) {
    user = ::getpwnam("postgres");
    if (user == nullptr)
      return fail(ErrorCode::kNotFound, error_id::kInternal, "there is no user postgres");
  }
  // The user postgres must be able to go through every folder above.
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto home = std::filesystem::absolute(folder);
  if (user != nullptr) {
    std::filesystem::permissions(
        home.parent_path(),
        std::filesystem::perms::others_exec | std::filesystem::perms::group_exec,
        std::filesystem::perm_options::add, error);
    if (::chown(home.c_str(), user->pw_uid, user->pw_gid) != 0)
      return fail(ErrorCode::kUnavailable, error_id::kInternal, "chown {}", home.string());
  }
  const std::string data = (home / "data").string();
  const std::string log = home.string() + ".log";
  MR_RETURN_IF_ERROR(wait_for_end(spawn({initdb, "-D", data, "-A", "trust", "-U", "postgres", "-N",
                                         "--no-locale", "-E", "UTF8"},
                                        user, log),
                                  "initdb", log));
  std::unique_ptr<PostgresProcess> server(new PostgresProcess);
  server->port_ = free_port();
  server->pid_ =
      spawn({fmt::format("{}/postgres", kPrograms), "-D", data, "-p", fmt::to_string(server->port_),
             "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c",
             "shared_buffers=1GB", "-c", "max_wal_size=4GB", "-c", "work_mem=256MB"},
            user, log);
  const auto end = std::chrono::steady_clock::now() + kStartTime;
  while (std::chrono::steady_clock::now() < end) {
    if (PQping(server->url().c_str()) == PQPING_OK) return server;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fail(ErrorCode::kUnavailable, error_id::kInternal, "PostgreSQL does not answer: see {}",
              log);
}

std::string PostgresProcess::url() const {
  return fmt::format("postgresql://postgres@127.0.0.1:{}/postgres", port_);
}

PostgresProcess::~PostgresProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGQUIT);  // all of its processes end at once
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace millrace::bench
