// One connection to another MQTT broker, as its subscriber: takes what comes as if its publisher
// had sent it here, and acknowledges it there only when it is durable and visible here. So what the
// other broker has acknowledged and keeps for this client (QoS 1, a session that stays) is not lost
// by a crash of either side; what comes twice is dropped by the stream's dedup column. Owns: a
// thread, and on it the socket. Thread: any for start(), stop() and status(). Errors: end the
// connection, which is tried again, ever more seldom up to half a minute; status() has the last.
// Invariant: acknowledgements leave in the order of the messages [MQTT-4.6.0-2], each after its
// message is durable.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "bridge/broker_url.h"
#include "bridge/byte_link.h"
#include "broker/broker.h"
#include "broker/publish_batch.h"
#include "catalog/catalog.h"
#include "speed/speed_layer.h"
#include "wire/mqtt.h"

namespace millrace::bridge {

enum class SourceState : std::uint8_t { kPaused, kConnecting, kConnected, kWaiting };
[[nodiscard]] std::string_view name(SourceState state);

struct SourceCounters {
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> redelivered{0};  // with the mark that they may have come before
  std::atomic<std::uint64_t> unmatched{0};    // no stream and no subscriber here wants them
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> waiting{0};  // taken, and not durable yet
};

class RemoteSource {
 public:
  RemoteSource(catalog::ConnectionRecord record, BrokerUrl url, broker::Broker& broker);
  ~RemoteSource();
  RemoteSource(const RemoteSource&) = delete;
  RemoteSource& operator=(const RemoteSource&) = delete;

  void start();
  /// What is not acknowledged comes again, next time.
  void stop();

  struct Status {
    SourceState state = SourceState::kPaused;
    std::string error;  // why it is not connected; empty where it is
  };
  [[nodiscard]] Status status() const EXCLUDES(mutex_);
  [[nodiscard]] const SourceCounters& counters() const { return counters_; }
  [[nodiscard]] std::uint64_t quarantined() const { return answers_->quarantined.load(); }
  [[nodiscard]] const catalog::ConnectionRecord& record() const { return record_; }

 private:
  /// What the apply thread tells; it may outlive the source.
  struct Answers {
    Wake wake;
    Mutex mutex;
    std::vector<std::uint64_t> slots GUARDED_BY(mutex);
    std::optional<Error> failure GUARDED_BY(mutex);
    std::atomic<std::uint64_t> quarantined{0};
  };
  struct InFlight {
    std::uint16_t packet_id = 0;  // 0: nobody waits
    std::uint32_t bytes = 0;
    bool answered = false;
  };

  void run();
  void set_state(SourceState state, std::string error = {}) EXCLUDES(mutex_);
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }

  // Of the thread.
  millrace::Status serve();
  millrace::Status hello(ByteLink& link);
  Result<std::optional<wire::mqtt::Packet>> next_packet(ByteLink& link,
                                                        std::chrono::milliseconds patience);
  millrace::Status exchange(ByteLink& link);
  millrace::Status take_packets(ByteLink& link);
  millrace::Status take(const wire::mqtt::Publish& publish, std::uint32_t bytes);
  millrace::Status take_for_topics(const wire::mqtt::Publish& publish, std::uint64_t slot);
  millrace::Status collect_answers();
  void answered(std::uint64_t slot);
  void append_acks();
  [[nodiscard]] std::string filter() const;

  const catalog::ConnectionRecord record_;
  const BrokerUrl url_;
  broker::Broker& broker_;
  SourceCounters counters_;
  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  mutable Mutex mutex_;
  Status status_ GUARDED_BY(mutex_);

  // Of the thread.
  wire::mqtt::Version version_ = wire::mqtt::Version::k5;
  broker::StreamTopicCache topics_;
  std::shared_ptr<broker::Session> publisher_;
  std::unique_ptr<broker::PublishBatch> batch_;
  broker::StreamTopic stream_;  // without a stream where the topics decide
  std::deque<InFlight> in_flight_;
  std::uint64_t first_slot_ = 0;
  std::uint64_t bytes_in_flight_ = 0;
  std::string in_;
  std::size_t taken_ = 0;
  std::string out_;
  std::chrono::steady_clock::time_point last_sent_;
  std::chrono::steady_clock::time_point last_received_;
};

}  // namespace millrace::bridge
