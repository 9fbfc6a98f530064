// One I/O thread of the PostgreSQL listener with the connections that were dealt to it. A
// connection never leaves its loop, so nothing in it is locked; the pool gives back what it did
// through post(). Thread: as each function says. Errors: none.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "endpoint/postgres_state.h"
#include "endpoint/transport.h"

namespace millrace::endpoint {

class PostgresConnection;

/// Connections and tasks of the pool keep it: they may end after the server is gone.
class PostgresLoop : public std::enable_shared_from_this<PostgresLoop> {
 public:
  explicit PostgresLoop(std::shared_ptr<PostgresServerState> state);
  ~PostgresLoop();
  PostgresLoop(const PostgresLoop&) = delete;
  PostgresLoop& operator=(const PostgresLoop&) = delete;

  /// The server's side. Thread: any.
  void start(unsigned index);
  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  void adopt(Transport transport);
  void drain();
  /// Closes what is left, ends the thread and waits for it. Once.
  void stop();

  /// Thread: any. Runs on the loop's thread; not after stop().
  void post(std::function<void()> task) EXCLUDES(mutex_);

  /// The connections' side. Thread: the loop's.
  [[nodiscard]] PostgresServerState& state() { return *state_; }
  [[nodiscard]] const std::shared_ptr<PostgresServerState>& shared_state() { return state_; }
  /// Where every connection receives, one at a time.
  [[nodiscard]] std::vector<char>& scratch() { return scratch_; }
  void remove(std::uint64_t connection);

 private:
  [[nodiscard]] std::vector<std::shared_ptr<PostgresConnection>> all();
  void schedule_tick();
  void tick();
  void review();

  const std::shared_ptr<PostgresServerState> state_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::thread thread_;

  Mutex mutex_;
  /// The context runs no more tasks.
  bool closed_ GUARDED_BY(mutex_) = false;

  // Of the loop's thread.
  std::uint64_t reviewed_access_ = 0;
  std::chrono::steady_clock::time_point review_due_;
  std::chrono::steady_clock::time_point look_due_;
  std::unordered_map<std::uint64_t, std::shared_ptr<PostgresConnection>> connections_;
  std::uint64_t next_connection_ = 1;
  bool draining_ = false;
  bool stopped_ = false;
  std::vector<char> scratch_;
};

}  // namespace millrace::endpoint
