// One I/O thread of the MQTT listener with the connections that were dealt to it. A connection
// never leaves its loop, so nothing in it is locked; who has news for it from another thread puts
// it into the loop's mailbox. Thread: as each function says. Errors: none.
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

#include "access/access.h"
#include "base/mutex.h"
#include "broker/broker.h"
#include "broker/stream_topics.h"
#include "endpoint/acceptor.h"
#include "endpoint/mqtt_metrics.h"
#include "endpoint/mqtt_options.h"
#include "endpoint/mqtt_stream.h"

namespace millrace::endpoint {

class MqttConnection;

/// What all loops of one server share. Constant after construction but for the counters.
struct MqttServerState {
  MqttServerState(MqttServerOptions server_options, access::Access& server_access,
                  broker::Broker& server_broker)
      : options(std::move(server_options)), access(server_access), broker(server_broker) {}

  const MqttServerOptions options;
  access::Access& access;
  broker::Broker& broker;
  MqttMetrics metrics;

  PeerLimits peers;
  ConnectionCount connections{metrics.connections_open};
};

/// Connections and callbacks keep it: news may come after the server is gone.
class MqttLoop : public std::enable_shared_from_this<MqttLoop> {
 public:
  explicit MqttLoop(MqttServerState& state);
  ~MqttLoop();
  MqttLoop(const MqttLoop&) = delete;
  MqttLoop& operator=(const MqttLoop&) = delete;

  /// The server's side. Thread: any. One of the loops is the broker's clock.
  void start(unsigned index, bool clock);
  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  void adopt(MqttStream stream);
  void drain();
  /// Closes what is left, ends the thread and waits for it. Once.
  void stop();

  /// Thread: any. The connection looks at its session soon.
  void wake(std::shared_ptr<MqttConnection> connection) EXCLUDES(mutex_);
  /// Thread: any. Runs on the loop's thread; not after stop().
  void post(std::function<void()> task) EXCLUDES(mutex_);

  /// The connections' side. Thread: the loop's.
  [[nodiscard]] MqttServerState& state() { return state_; }
  [[nodiscard]] broker::StreamTopicCache& topics() { return topics_; }
  /// Where every connection receives, one at a time.
  [[nodiscard]] std::vector<char>& scratch() { return scratch_; }
  void remove(std::uint64_t connection);

 private:
  void deliver() EXCLUDES(mutex_);
  void schedule_tick();
  void tick();

  MqttServerState& state_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::thread thread_;

  Mutex mutex_;
  std::vector<std::shared_ptr<MqttConnection>> woken_ GUARDED_BY(mutex_);
  /// The context runs no more tasks.
  bool closed_ GUARDED_BY(mutex_) = false;

  // Of the loop's thread.
  broker::StreamTopicCache topics_;
  std::unordered_map<std::uint64_t, std::shared_ptr<MqttConnection>> connections_;
  std::uint64_t next_connection_ = 1;
  bool clock_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  std::vector<char> scratch_;
};

}  // namespace millrace::endpoint
