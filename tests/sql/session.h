// A node that a test drives: in this process, or in one of its own that can be killed. Thread: one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/node.h"

namespace millrace::sql_cases {

class Session {
 public:
  virtual ~Session() = default;
  virtual Status run(std::string_view sql) = 0;
  /// JSON Lines; all must be accepted.
  virtual Status post(std::string_view stream, std::string_view lines) = 0;
  /// Runs the batch layer to its end; an error also where the audit finds a difference.
  virtual Status run_batch(bool full) = 0;
  /// Asks for a batch run and does not wait.
  virtual Status begin_batch() = 0;
  /// Waits until no view is being built, nor built again over newer tables.
  virtual Status wait_until_live() = 0;
};

class LocalSession : public Session {
 public:
  static Result<std::unique_ptr<LocalSession>> open(const std::filesystem::path& folder);
  Status run(std::string_view sql) override;
  Status post(std::string_view stream, std::string_view lines) override;
  Status run_batch(bool full) override;
  Status begin_batch() override;
  Status wait_until_live() override;
  [[nodiscard]] server::Node& node() { return *node_; }

 private:
  explicit LocalSession(std::unique_ptr<server::Node> node) : node_(std::move(node)) {}
  std::unique_ptr<server::Node> node_;
};

/// This program again, as `node-host FOLDER`: commands on its standard input, answers on its
/// standard output.
class HostedSession : public Session {
 public:
  static Result<std::unique_ptr<HostedSession>> open(const std::filesystem::path& folder);
  /// Kills it.
  ~HostedSession() override;
  HostedSession(const HostedSession&) = delete;
  HostedSession& operator=(const HostedSession&) = delete;
  Status run(std::string_view sql) override { return ask("run", "-", sql); }
  Status post(std::string_view stream, std::string_view lines) override {
    return ask("post", stream, lines);
  }
  Status run_batch(bool full) override { return ask("batch", full ? "full" : "-", ""); }
  Status begin_batch() override { return ask("begin", "-", ""); }
  Status wait_until_live() override { return ask("live", "-", ""); }

 private:
  HostedSession(pid_t process, int in, int out) : process_(process), in_(in), out_(out) {}
  Status ask(std::string_view verb, std::string_view argument, std::string_view payload);
  Status read_reply();

  pid_t process_;
  int in_;
  int out_;
};

/// The main function of the process behind a HostedSession.
int node_host_main(std::span<char*> arguments);

}  // namespace millrace::sql_cases
