#include "endpoint/sql_sessions.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <atomic>

#include "base/check.h"
#include "runtime/clock.h"

namespace millrace::endpoint {
namespace {

std::string random_name() {
  std::array<unsigned char, 16> bytes{};
  const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
  MR_CHECK(got == static_cast<ssize_t>(bytes.size()), "no random bytes: {}", got);
  std::string out;
  for (const auto byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

struct SqlSessions::Entry {
  Entry(serving::StatementRunner& statements, const access::Principal& principal)
      : who(principal), session(statements, principal) {}

  const access::Principal who;
  serving::SqlSession session;
  std::atomic<bool> taken{false};
  std::atomic<std::int64_t> used_us{runtime::monotonic_us()};
};

SqlSessions::Lease::Lease(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}

SqlSessions::Lease::~Lease() {
  entry_->session.end_rows(failed_);
  entry_->used_us = runtime::monotonic_us();
  entry_->taken.store(false, std::memory_order_release);
}

serving::SqlSession& SqlSessions::Lease::session() const { return entry_->session; }

void SqlSessions::forget_idle() {
  const std::int64_t since =
      runtime::monotonic_us() -
      std::chrono::duration_cast<std::chrono::microseconds>(kIdleTime).count();
  std::erase_if(entries_, [&](const auto& one) {
    const auto& entry = *one.second;
    return !entry.taken && (entry.used_us < since || !access_.is_current(entry.who));
  });
}

Result<std::string> SqlSessions::open(const access::Principal& who) {
  const MutexLock lock(mutex_);
  forget_idle();
  if (entries_.size() >= kSessionsMax) {
    return std::unexpected(
        Error{.code = ErrorCode::kResourceExhausted,
              .id = std::string(error_id::kBusy),
              .message = fmt::format("{} SQL sessions are open, which is the limit", kSessionsMax),
              .hint = "close those that are not needed, or wait",
              .place = {}});
  }
  auto name = random_name();
  entries_.emplace(name, std::make_shared<Entry>(statements_, who));
  return name;
}

Result<std::shared_ptr<SqlSessions::Entry>> SqlSessions::find(std::string_view name,
                                                              const access::Principal& who) const {
  const auto found = entries_.find(name);
  // Whose it is, nobody else learns.
  if (found != entries_.end() && found->second->who.text() == who.text() &&
      access_.is_current(found->second->who)) {
    return found->second;
  }
  return std::unexpected(Error{.code = ErrorCode::kNotFound,
                               .id = std::string(error_id::kBadRequest),
                               .message = "there is no SQL session of this name",
                               .hint = fmt::format("one that is idle for {} minutes ends: open "
                                                   "another with POST /v1/sessions",
                                                   kIdleTime.count()),
                               .place = {}});
}

Result<std::shared_ptr<SqlSessions::Lease>> SqlSessions::take(std::string_view name,
                                                              const access::Principal& who) {
  const MutexLock lock(mutex_);
  forget_idle();
  MR_TRY(auto entry, find(name, who));
  if (entry->taken.exchange(true, std::memory_order_acquire)) {
    return std::unexpected(
        Error{.code = ErrorCode::kFailedPrecondition,
              .id = std::string(error_id::kBusy),
              .message = "a statement of this session is running",
              .hint = "wait for its answer, or cancel it: POST /v1/sessions/{session}/cancel",
              .place = {}});
  }
  return std::make_shared<Lease>(std::move(entry));
}

Status SqlSessions::cancel(std::string_view name, const access::Principal& who) {
  const MutexLock lock(mutex_);
  MR_TRY(const auto entry, find(name, who));
  entry->session.cancel();
  return {};
}

Status SqlSessions::close(std::string_view name, const access::Principal& who) {
  const MutexLock lock(mutex_);
  MR_TRY(const auto entry, find(name, who));
  entry->session.cancel();
  entries_.erase(entries_.find(name));
  return {};
}

}  // namespace millrace::endpoint
