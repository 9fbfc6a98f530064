#include "endpoint/http_loop.h"

#include <fmt/chrono.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <ctime>

#include "endpoint/http_connection.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kScratchBytes = 16 * 1024;

// Deadlines are looked at this often: a quarter of the shortest, so that none is late by more than
// that.
std::chrono::milliseconds tick_time(const HttpServerOptions& options) {
  const auto shortest = std::min({options.head_time, options.body_time, options.idle_time,
                                  options.write_time, options.linger_time});
  return std::clamp(shortest / 4, std::chrono::milliseconds(5), std::chrono::milliseconds(250));
}

}  // namespace

HttpLoop::HttpLoop(HttpServerState& state)
    : state_(state),
      work_(asio::make_work_guard(context_)),
      timer_(context_),
      mailbox_(
          std::make_shared<AnswerMailbox>([this] { asio::post(context_, [this] { deliver(); }); })),
      scratch_(kScratchBytes) {}

HttpLoop::~HttpLoop() { stop(); }

void HttpLoop::start(unsigned index) {
  thread_ = std::thread([this] { context_.run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("http-{}", index).c_str());
}

void HttpLoop::adopt(Transport transport, Admission admission) {
  asio::post(context_, [this, admission, transport = std::move(transport)]() mutable {
    const std::uint64_t id = next_connection_++;
    const auto connection = std::make_shared<HttpConnection>(*this, id, std::move(transport));
    connections_.emplace(id, connection);
    connection->start(admission);
    if (draining_) connection->drain();
    if (!ticking_) schedule_tick();
  });
}

void HttpLoop::drain() {
  asio::post(context_, [this] {
    draining_ = true;
    std::vector<std::shared_ptr<HttpConnection>> all;
    for (const auto& [id, connection] : connections_) all.push_back(connection);
    for (const auto& connection : all) connection->drain();
    const auto upgraded = upgraded_;
    for (const auto& [id, upgrade] : upgraded) upgrade->stop();
  });
}

void HttpLoop::stop() {
  if (!thread_.joinable()) return;
  asio::post(context_, [this] {
    mailbox_->close();
    while (!connections_.empty()) {
      const std::shared_ptr<HttpConnection> connection = connections_.begin()->second;
      connection->close();
    }
    const auto upgraded = upgraded_;
    for (const auto& [id, upgrade] : upgraded) upgrade->close();
    timer_.cancel();
    work_.reset();
  });
  thread_.join();
}

std::string_view HttpLoop::date() {
  const std::time_t now = std::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
  }
  return date_;
}

void HttpLoop::remove(std::uint64_t connection) {
  if (connections_.erase(connection) > 0) state_.connections.closed();
}

void HttpLoop::hand_over(std::uint64_t connection, std::shared_ptr<HttpUpgrade> upgrade,
                         Transport transport) {
  connections_.erase(connection);
  upgraded_.emplace(connection, upgrade);
  upgrade->take(std::move(transport), [this, connection] {
    if (upgraded_.erase(connection) == 0) return;
    --state_.metrics.streams_open;
    state_.connections.closed();
  });
  if (draining_) upgrade->stop();
}

void HttpLoop::deliver() {
  auto waiting = mailbox_->take();
  for (HttpAnswer& answer : waiting.answers) {
    const auto found = connections_.find(answer.tag.connection);
    if (found == connections_.end()) {
      // Nobody gets it: whoever would write more of it is told.
      if (answer.response.stream != nullptr) answer.response.stream->closed();
      continue;
    }
    // All answers of one connection go out in one write.
    if (found->second->store(answer.tag.sequence, std::move(answer.response))) {
      answered_.push_back(found->second);
    }
  }
  for (HttpStreamPart& part : waiting.parts) {
    const auto found = connections_.find(part.tag.connection);
    if (found == connections_.end()) continue;
    if (found->second->store_part(part.tag.sequence, std::move(part.bytes), part.last)) {
      answered_.push_back(found->second);
    }
  }
  for (const auto& connection : answered_) connection->advance();
  answered_.clear();
}

void HttpLoop::schedule_tick() {
  ticking_ = true;
  timer_.expires_after(tick_time(state_.options));
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) tick();
  });
}

void HttpLoop::tick() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<HttpConnection>> late;
  for (const auto& [id, connection] : connections_) {
    if (connection->deadline() <= now) late.push_back(connection);
  }
  for (const auto& connection : late) connection->time_is_over();
  ticking_ = false;
  if (!connections_.empty()) schedule_tick();
}

}  // namespace millrace::endpoint
