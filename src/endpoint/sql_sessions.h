// Sessions of SQL for clients without a connection of their own: what the interactive shell and
// pages use over HTTP to have transactions, settings, cursors and a way to cancel. A session has a
// random name that only its client knows, and is its user's alone. Owns: the sessions; one that
// nobody used for kIdleTime goes when the next one is asked for. Thread: any. Errors: kNotFound
// (kBadRequest), kFailedPrecondition (kBusy) where a statement of the session runs already,
// kResourceExhausted (kBusy). Invariant: one statement of a session at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "access/access.h"
#include "base/mutex.h"
#include "base/result.h"
#include "serving/sql_session.h"

namespace millrace::endpoint {

class SqlSessions {
 public:
  static constexpr std::size_t kSessionsMax = 200;
  static constexpr std::chrono::minutes kIdleTime{15};

  explicit SqlSessions(serving::StatementRunner& statements, access::Access& access)
      : statements_(statements), access_(access) {}

  /// Its name.
  Result<std::string> open(const access::Principal& who) EXCLUDES(mutex_);
  /// The right to run statements of a session, until it goes.
  class Lease;
  Result<std::shared_ptr<Lease>> take(std::string_view name, const access::Principal& who)
      EXCLUDES(mutex_);
  /// Ends the statement that runs.
  Status cancel(std::string_view name, const access::Principal& who) EXCLUDES(mutex_);
  Status close(std::string_view name, const access::Principal& who) EXCLUDES(mutex_);

 private:
  struct Entry;
  using Entries = std::map<std::string, std::shared_ptr<Entry>, std::less<>>;
  Result<std::shared_ptr<Entry>> find(std::string_view name, const access::Principal& who) const
      REQUIRES(mutex_);
  void forget_idle() REQUIRES(mutex_);

  serving::StatementRunner& statements_;
  access::Access& access_;
  mutable Mutex mutex_;
  Entries entries_ GUARDED_BY(mutex_);
};

class SqlSessions::Lease {
 public:
  explicit Lease(std::shared_ptr<Entry> entry);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  [[nodiscard]] serving::SqlSession& session() const;
  /// The rows of a SUBSCRIBE ended by an error.
  void failed() { failed_ = true; }

 private:
  const std::shared_ptr<Entry> entry_;
  bool failed_ = false;
};

}  // namespace millrace::endpoint
