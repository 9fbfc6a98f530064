// One client as the broker knows it, connected or not: what waits for it and how far each message
// has come. A message of QoS 1 or 2 gets the session's next sequence number, and its packet id is a
// function of that number: so after a restart, which gives the same numbers, a message goes out
// under the very id under which the client may have it already. Nothing is written before sending.
// Thread: any; one mutex, taken after the broker's. What only the broker touches says so. Errors:
// none. Invariant: the sequence numbers in the queue have no gap; what is done with stays as an
// empty place until it is at the front.
#pragma once

#include <algorithm>
#include <boost/container/deque.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "broker/event.h"
#include "broker/message.h"
#include "wire/mqtt.h"

namespace millrace::broker {

/// A connection, as the broker sees it. Thread: any; the calls only say so to the connection.
class ClientLink {
 public:
  virtual ~ClientLink() = default;
  /// Something waits for the session.
  virtual void wake() = 0;
  /// The connection is to end, for this reason.
  virtual void end(wire::mqtt::ReasonCode reason) = 0;
};

/// The subscription identifiers under which a message goes to a session: most often none or one.
class SubscriptionIds {
 public:
  void add(std::uint32_t id) {
    if (id == 0) return;
    if (first_ == 0) {
      first_ = id;
      return;
    }
    if (more_ == nullptr) more_ = std::make_unique<std::vector<std::uint32_t>>(1, first_);
    more_->push_back(id);
  }
  [[nodiscard]] std::span<const std::uint32_t> all() const {
    if (more_ != nullptr) return *more_;
    return {&first_, first_ == 0 ? std::size_t{0} : std::size_t{1}};
  }

 private:
  std::uint32_t first_ = 0;
  std::unique_ptr<std::vector<std::uint32_t>> more_;
};

/// A message on its way to one session.
struct Delivery {
  enum class State : std::uint8_t {
    kQueued,
    kSent,
    kPubRec,    // PUBREC is here, and on its way into the log
    kReceived,  // PUBREL is due or sent
    kDone,
  };
  std::shared_ptr<const Message> message;
  SubscriptionIds ids;
  wire::mqtt::QoS qos = wire::mqtt::QoS::kAtMostOnce;
  bool retain = false;
  bool dup = false;
  State state = State::kQueued;
};

/// What the connection is to write next.
struct Outgoing {
  const Delivery* delivery = nullptr;  // null: PUBREL of `packet_id`
  std::uint16_t packet_id = 0;
};

class Session {
 public:
  Session(SessionId id, std::string client_id, bool durable)
      : id_(id), client_id_(std::move(client_id)), durable_(durable) {}

  [[nodiscard]] SessionId id() const { return id_; }
  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  /// Its changes go through the log.
  [[nodiscard]] bool durable() const { return durable_; }

  /// The client is there; what was under way before is sent again. Gives the connection that it
  /// takes the place of.
  std::shared_ptr<ClientLink> attach(std::shared_ptr<ClientLink> link) EXCLUDES(mutex_);
  /// False where another connection has the session.
  bool detach(const ClientLink* link) EXCLUDES(mutex_);
  std::shared_ptr<ClientLink> link() const EXCLUDES(mutex_);
  [[nodiscard]] bool connected() const EXCLUDES(mutex_);

  /// Room as far as the limits go.
  struct Room {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] bool has_room(const Room& limit, std::size_t message_bytes) const EXCLUDES(mutex_);
  /// Puts a message behind the others and wakes the connection.
  void offer(Delivery delivery) EXCLUDES(mutex_);
  /// The same, for replay: as it was, with its number.
  void restore(std::uint64_t sequence, Delivery delivery) EXCLUDES(mutex_);

  /// What became of an Outgoing.
  enum class Taken : std::uint8_t {
    kWritten,
    kSkipped,  // expired, or larger than the client takes: it counts as delivered
    kFull,     // not now
  };
  /// Gives visit(Outgoing) what may go out, in order, until it answers kFull. At most
  /// `receive_maximum` messages of QoS 1 and 2 are without their last acknowledgement.
  template <class Visit>
  void take(std::uint16_t receive_maximum, Visit&& visit) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    while (!passing_.empty()) {
      const Delivery& delivery = passing_.front();
      if (visit(Outgoing{&delivery, 0}) == Taken::kFull) return;
      bytes_ -= delivery.message->size_bytes();
      passing_.pop_front();
    }
    while (may_send(receive_maximum)) {
      Delivery& delivery = queue_[next_ - first_];
      if (delivery.state != Delivery::State::kDone) {
        const bool release = delivery.state == Delivery::State::kReceived;
        const auto taken = visit(Outgoing{release ? nullptr : &delivery, packet_id_of(next_)});
        if (taken == Taken::kFull) return;
        if (taken == Taken::kSkipped) {
          if (durable_) acked_.push_back(next_);
          finish(delivery);
        } else {
          if (!release) delivery.state = Delivery::State::kSent;
          delivery.dup = true;  // from the second time on
          ++in_flight_;
        }
      }
      ++next_;
    }
    pop_done();
  }

  /// What the client answered. False: nothing with this packet id is under way at this step.
  bool puback(std::uint16_t packet_id) EXCLUDES(mutex_);
  enum class PubRec : std::uint8_t { kUnknown, kNew, kRepeated };
  /// kNew: the caller makes it durable where the session is, and calls pubrec_stored().
  PubRec pubrec(std::uint16_t packet_id, bool refused, std::uint64_t& sequence) EXCLUDES(mutex_);
  bool pubcomp(std::uint16_t packet_id) EXCLUDES(mutex_);
  /// A packet id for a message of QoS 1 that is not of the queue, until its PUBACK or the end of
  /// the connection: rows of views, which are not sent again but anew. 0: not now.
  [[nodiscard]] std::uint16_t begin_row(std::uint16_t receive_maximum) EXCLUDES(mutex_);
  /// What was acknowledged since the last call, to be told to the log.
  std::vector<std::uint64_t> take_acked() EXCLUDES(mutex_);

  /// What the log says: at replay it does the work, before it is known already.
  void acked(std::span<const std::uint64_t> sequences) EXCLUDES(mutex_);
  void pubrec_stored(std::span<const std::uint64_t> sequences) EXCLUDES(mutex_);

  /// PUBLISH of QoS 2 from the client.
  enum class Inbound : std::uint8_t { kNew, kPending, kStored };
  Inbound receive(std::uint16_t packet_id) EXCLUDES(mutex_);
  void receive_stored(std::uint16_t packet_id) EXCLUDES(mutex_);
  /// Also when a PUBLISH could not be taken. False where the id is not known.
  bool release(std::uint16_t packet_id) EXCLUDES(mutex_);
  [[nodiscard]] bool holds(std::uint16_t packet_id) const EXCLUDES(mutex_);
  [[nodiscard]] std::vector<std::uint16_t> received() const EXCLUDES(mutex_);

  [[nodiscard]] std::uint64_t queued() const EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t next_sequence() const EXCLUDES(mutex_);
  void set_next_sequence(std::uint64_t sequence) EXCLUDES(mutex_);
  /// visit(sequence, delivery) of what is not done.
  template <class Visit>
  void for_each_queued(Visit&& visit) const EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < queue_.size(); ++i) {
      if (queue_[i].state != Delivery::State::kDone) visit(first_ + i, queue_[i]);
    }
  }

  // Under the broker's mutex.
  std::unordered_map<std::string, SubscriptionOptions> subscriptions;
  std::uint32_t expiry_s = 0;
  std::optional<Will> will;
  std::int64_t detached_at_ms = 0;  // 0: connected
  bool ending = false;              // its end is on its way into the log
  std::uint64_t match_stamp = 0;
  std::size_t match_index = 0;

 private:
  /// Of the queue; the ids above are of rows.
  static constexpr std::uint64_t kPacketIds = 49'151;
  static constexpr std::uint16_t kRowIds = 16'384;
  [[nodiscard]] static std::uint16_t packet_id_of(std::uint64_t sequence) {
    return static_cast<std::uint16_t>(sequence % kPacketIds + 1);
  }
  [[nodiscard]] bool may_send(std::uint16_t receive_maximum) const REQUIRES(mutex_) {
    // All that are under way have different packet ids.
    return link_ != nullptr &&
           next_ - first_ < std::min<std::uint64_t>(queue_.size(), kPacketIds) &&
           in_flight_ < receive_maximum;
  }
  [[nodiscard]] Delivery* find(std::uint16_t packet_id, std::uint64_t& sequence) REQUIRES(mutex_);
  void finish(Delivery& delivery) REQUIRES(mutex_);
  void pop_done() REQUIRES(mutex_);

  const SessionId id_;
  const std::string client_id_;
  const bool durable_;

  /// Not the standard one, which has 600 bytes also while it is empty.
  using Queue = boost::container::deque<Delivery>;

  mutable Mutex mutex_;
  std::shared_ptr<ClientLink> link_ GUARDED_BY(mutex_);
  Queue queue_ GUARDED_BY(mutex_);              // QoS 1 and 2
  std::uint64_t first_ GUARDED_BY(mutex_) = 0;  // sequence number of the queue's front
  std::uint64_t next_ GUARDED_BY(mutex_) = 0;   // of the first that is not sent
  std::uint32_t in_flight_ GUARDED_BY(mutex_) = 0;
  std::unordered_set<std::uint16_t> rows_ GUARDED_BY(mutex_);  // packet ids under way
  std::uint16_t next_row_ GUARDED_BY(mutex_) = 0;
  Queue passing_ GUARDED_BY(mutex_);              // QoS 0
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;    // of both
  std::uint64_t waiting_ GUARDED_BY(mutex_) = 0;  // of the queue, not done
  std::vector<std::uint64_t> acked_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint16_t, bool> received_ GUARDED_BY(mutex_);  // stored?
};

}  // namespace millrace::broker
