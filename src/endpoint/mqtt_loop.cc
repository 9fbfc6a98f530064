#include "endpoint/mqtt_loop.h"

#include <fmt/format.h>
#include <pthread.h>

#include <boost/asio/post.hpp>

#include "endpoint/mqtt_connection.h"
#include "runtime/clock.h"

namespace millrace::endpoint {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kScratchBytes = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kTick{100};

}  // namespace

MqttLoop::MqttLoop(MqttServerState& state)
    : state_(state),
      work_(asio::make_work_guard(context_)),
      timer_(context_),
      topics_(state.broker.speed()),
      scratch_(kScratchBytes) {}

MqttLoop::~MqttLoop() { stop(); }

void MqttLoop::start(unsigned index, bool clock) {
  clock_ = clock;
  schedule_tick();
  thread_ = std::thread([this] { context_.run(); });
  pthread_setname_np(thread_.native_handle(), fmt::format("mqtt-{}", index).c_str());
}

void MqttLoop::adopt(MqttStream stream) {
  stream.attach(
      [loop = shared_from_this()](std::function<void()> task) { loop->post(std::move(task)); });
  asio::post(context_, [this, stream = std::move(stream)]() mutable {
    if (draining_) {
      stream.close();
      state_.connections.closed();
      return;
    }
    const std::uint64_t id = next_connection_++;
    const auto connection = std::make_shared<MqttConnection>(*this, id, std::move(stream));
    connections_.emplace(id, connection);
    connection->start();
  });
}

void MqttLoop::drain() {
  post([this] {
    draining_ = true;
    std::vector<std::shared_ptr<MqttConnection>> all;
    all.reserve(connections_.size());
    for (const auto& [id, connection] : connections_) all.push_back(connection);
    for (const auto& connection : all)
      connection->leave(wire::mqtt::ReasonCode::kServerShuttingDown);
  });
}

void MqttLoop::stop() {
  if (!thread_.joinable()) return;
  asio::post(context_, [this] {
    stopped_ = true;
    while (!connections_.empty()) {
      const std::shared_ptr<MqttConnection> connection = connections_.begin()->second;
      connection->close();
    }
    timer_.cancel();
    work_.reset();
    const MutexLock lock(mutex_);
    closed_ = true;
  });
  thread_.join();
  const MutexLock lock(mutex_);
  woken_.clear();
}

void MqttLoop::wake(std::shared_ptr<MqttConnection> connection) {
  bool first = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) return;
    first = woken_.empty();
    woken_.push_back(std::move(connection));
  }
  if (first) post([this] { deliver(); });
}

void MqttLoop::deliver() {
  std::vector<std::shared_ptr<MqttConnection>> woken;
  {
    const MutexLock lock(mutex_);
    woken.swap(woken_);
  }
  for (const auto& connection : woken) connection->awake();
}

void MqttLoop::post(std::function<void()> task) {
  const MutexLock lock(mutex_);
  if (!closed_) asio::post(context_, std::move(task));
}

void MqttLoop::remove(std::uint64_t connection) {
  if (connections_.erase(connection) > 0) state_.connections.closed();
}

void MqttLoop::schedule_tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) tick();
  });
}

void MqttLoop::tick() {
  if (stopped_) return;
  if (clock_ && !draining_) state_.broker.tick(runtime::wall_us() / 1000);
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<MqttConnection>> late;
  for (const auto& [id, connection] : connections_) {
    if (connection->deadline() <= now) late.push_back(connection);
  }
  for (const auto& connection : late) connection->time_is_over(now);
  schedule_tick();
}

}  // namespace millrace::endpoint
