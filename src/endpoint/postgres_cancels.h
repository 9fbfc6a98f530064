// Which session a CancelRequest means. The process id and the key that a client got at its start
// are all that it needs, and the only thing that lets it. Owns: the registrations, not the
// sessions. Thread: any. Errors: none; a request that fits nothing does nothing, and its client
// learns nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "base/mutex.h"
#include "serving/sql_session.h"

namespace millrace::endpoint {

class PostgresCancels {
 public:
  struct Ticket {
    std::uint32_t process = 0;
    std::uint32_t key = 0;
  };

  /// With a process id that no other session has, and a random key.
  [[nodiscard]] Ticket enter(std::weak_ptr<serving::SqlSession> session) EXCLUDES(mutex_);
  void leave(const Ticket& ticket) EXCLUDES(mutex_);
  /// `key` as it came. False where there is no such session.
  bool cancel(std::uint32_t process, std::string_view key) EXCLUDES(mutex_);

 private:
  struct Entry {
    std::uint32_t key = 0;
    std::weak_ptr<serving::SqlSession> session;
  };

  Mutex mutex_;
  std::unordered_map<std::uint32_t, Entry> entries_ GUARDED_BY(mutex_);
  std::uint32_t last_process_ GUARDED_BY(mutex_) = 0;
};

}  // namespace millrace::endpoint
