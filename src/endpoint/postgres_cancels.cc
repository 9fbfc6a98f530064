#include "endpoint/postgres_cancels.h"

#include <openssl/rand.h>

#include <array>
#include <utility>

#include "access/scram.h"
#include "base/check.h"

namespace millrace::endpoint {
namespace {

std::uint32_t random_key() {
  std::uint32_t key = 0;
  const int made = RAND_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key);
  MR_CHECK(made == 1, "no random bytes");
  return key;
}

std::array<char, 4> bytes_of(std::uint32_t key) {
  return {static_cast<char>(key >> 24), static_cast<char>(key >> 16), static_cast<char>(key >> 8),
          static_cast<char>(key)};
}

}  // namespace

PostgresCancels::Ticket PostgresCancels::enter(std::weak_ptr<serving::SqlSession> session) {
  Ticket ticket{.process = 0, .key = random_key()};
  const MutexLock lock(mutex_);
  // Some drivers read it as a number with a sign.
  do {
    last_process_ = (last_process_ + 1) & 0x7fffffff;
  } while (last_process_ == 0 || entries_.contains(last_process_));
  ticket.process = last_process_;
  entries_.emplace(ticket.process, Entry{ticket.key, std::move(session)});
  return ticket;
}

void PostgresCancels::leave(const Ticket& ticket) {
  const MutexLock lock(mutex_);
  entries_.erase(ticket.process);
}

bool PostgresCancels::cancel(std::uint32_t process, std::string_view key) {
  std::shared_ptr<serving::SqlSession> session;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(process);
    if (found == entries_.end()) return false;
    const auto expected = bytes_of(found->second.key);
    if (!access::equal_in_constant_time(key, {expected.data(), expected.size()})) return false;
    session = found->second.session.lock();
  }
  if (session == nullptr) return false;
  session->cancel();
  return true;
}

}  // namespace millrace::endpoint
