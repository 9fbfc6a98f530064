#include "endpoint/postgres_loop.h"

#include <fmt/format.h>
#include <pthread.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "endpoint/postgres_connection.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kScratchBytes = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kTick{100};
/// Tokens expire without a change.
constexpr std::chrono::seconds kReview{10};
constexpr std::chrono::seconds kLook{1};

}  // namespace

PostgresLoop::PostgresLoop(std::shared_ptr<PostgresServerState> state)
    : state_(std::move(state)),
      work_(asio::make_work_guard(context_)),
      timer_(context_),
      scratch_(kScratchBytes) {}

PostgresLoop::~PostgresLoop() { stop(); }

void PostgresLoop::start(unsigned index) {
  schedule_tick();
  thread_ = std::thread([this] { context_.run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("postgres-{}", index).c_str());
}

void PostgresLoop::adopt(Transport transport) {
  asio::post(context_, [this, transport = std::move(transport)]() mutable {
    if (draining_) {
      transport.close();
      state_->connections.closed();
      return;
    }
    const std::uint64_t id = next_connection_++;
    const auto connection = std::make_shared<PostgresConnection>(*this, id, std::move(transport));
    connections_.emplace(id, connection);
    connection->start();
  });
}

std::vector<std::shared_ptr<PostgresConnection>> PostgresLoop::all() {
  std::vector<std::shared_ptr<PostgresConnection>> out;
  out.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) out.push_back(connection);
  return out;
}

void PostgresLoop::drain() {
  post([this] {
    draining_ = true;
    for (const auto& connection : all()) connection->leave();
  });
}

void PostgresLoop::stop() {
  if (!thread_.joinable()) return;
  asio::post(context_, [this] {
    stopped_ = true;
    for (const auto& connection : all()) connection->close();
    timer_.cancel();
    work_.reset();
    const MutexLock lock(mutex_);
    closed_ = true;
  });
  thread_.join();
}

void PostgresLoop::post(std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (!closed_) asio::post(context_, std::move(task));
}

void PostgresLoop::remove(std::uint64_t connection) {
  if (connections_.erase(connection) > 0) state_->connections.closed();
}

void PostgresLoop::schedule_tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) tick();
  });
}

void PostgresLoop::tick() {
  if (stopped_) return;
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<PostgresConnection>> late;
  for (const auto& [id, connection] : connections_) {
    if (connection->deadline() <= now) late.push_back(connection);
  }
  for (const auto& connection : late) connection->time_is_over(now);
  review();
  if (now >= look_due_) {
    look_due_ = now + kLook;
    for (const auto& connection : all()) connection->look_after();
  }
  schedule_tick();
}

void PostgresLoop::review() {
  const auto now = std::chrono::steady_clock::now();
  const std::uint64_t access = state_->access.version();
  if (access == reviewed_access_ && now < review_due_) return;
  reviewed_access_ = access;
  review_due_ = now + kReview;
  for (const auto& connection : all()) connection->review();
}

}  // namespace millrace::endpoint
