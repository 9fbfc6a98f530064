// The MQTT broker without sockets and packets: sessions, subscriptions, retained messages, and what
// becomes of a PUBLISH. The state that must survive (persistent sessions, what waits for them,
// retained messages) is a function of the events in the broker's partition of the commit log, in
// their order, and changes only when an event comes back from the log; a start reads the checkpoint
// and the events behind it. What clients without a persistent session own changes at once and lives
// in memory alone. Owns: all sessions; the checkpoint file. Thread: any; one mutex for the index
// and the sessions' maps, taken before a session's own. Callbacks of durable steps run on the apply
// thread (ingest.h). Errors: those of ingest. Invariant: an acknowledgement (the callbacks) is
// given after what it promises is durable; events are applied in the order of the log, at the start
// too.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "broker/event.h"
#include "broker/limits.h"
#include "broker/session.h"
#include "broker/subscriptions.h"
#include "broker/topic_tree.h"
#include "ingest/ingest.h"
#include "log/commit_log.h"
#include "runtime/file_system.h"
#include "speed/speed_layer.h"

namespace millrace::broker {

struct Counters {
  std::atomic<std::uint64_t> published{0};         // messages from clients
  std::atomic<std::uint64_t> published_bytes{0};   // their payloads
  std::atomic<std::uint64_t> stream_messages{0};   // of these: events of streams
  std::atomic<std::uint64_t> refused{0};           // for want of room
  std::atomic<std::uint64_t> delivered{0};         // put into a session's queue
  std::atomic<std::uint64_t> dropped{0};           // QoS 0, to a client that does not keep up
  std::atomic<std::uint64_t> expired{0};           // never sent: their time was over
  std::atomic<std::uint64_t> slow_disconnects{0};  // clients without a persistent session
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> checkpoints{0};
};

struct Sizes {
  std::uint64_t sessions = 0;
  std::uint64_t connected = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t retained = 0;
  std::uint64_t retained_bytes = 0;
  std::uint64_t queued = 0;
};

struct ConnectRequest {
  std::string client_id;
  bool clean = true;
  std::uint32_t expiry_s = 0;
  std::optional<Will> will;
};
struct Connected {
  std::shared_ptr<Session> session;
  bool present = false;
};

struct SubscribeRequest {
  struct One {
    std::string filter;
    SubscriptionOptions options;
    wire::mqtt::RetainHandling retain_handling = wire::mqtt::RetainHandling::kSend;
    /// Not kSuccess: refused by the connection already.
    wire::mqtt::ReasonCode refused = wire::mqtt::ReasonCode::kSuccess;
  };
  std::vector<One> all;
};

class Broker {
 public:
  Broker(runtime::FileSystem& files, std::filesystem::path folder, speed::SpeedLayer& speed,
         Limits limits);
  ~Broker();

  // The start, on one thread: open() gives what the checkpoint covers, replay() takes what the log
  // has behind it, start() begins to serve.
  Result<Offset> open();
  Status replay(const log::RecoveredBatch& batch);
  void start(ingest::Ingest& ingest, log::CommitLog& log, std::function<void()> covers_more);
  /// Ends the thread that writes checkpoints. Nothing is published afterwards.
  void stop();

  using ConnectDone = std::function<void(Result<Connected>)>;
  /// The client's session is attached to `link` when `done` says so.
  void connect(ConnectRequest request, std::shared_ptr<ClientLink> link, ConnectDone done);
  /// The connection is gone. With `publish_will`, not by the client's wish.
  void disconnect(const std::shared_ptr<Session>& session, const ClientLink* link,
                  bool publish_will, std::optional<std::uint32_t> expiry_s);

  using CodesDone = std::function<void(Result<std::vector<wire::mqtt::ReasonCode>>)>;
  void subscribe(const std::shared_ptr<Session>& session, SubscribeRequest request, CodesDone done);
  void unsubscribe(const std::shared_ptr<Session>& session, std::vector<std::string> filters,
                   CodesDone done);

  /// What the session is subscribed to.
  [[nodiscard]] std::vector<std::pair<std::string, SubscriptionOptions>> subscriptions_of(
      const Session& session) const;

  // Steps of QoS 2 and acknowledgements.
  using StepDone = std::function<void(Status)>;
  /// PUBRELs from the client. A code for each: kPacketIdentifierNotFound where there is nothing to
  /// release.
  void release(const std::shared_ptr<Session>& session,
               const std::vector<std::uint16_t>& packet_ids, CodesDone done);
  /// PUBRECs from the client, for sequences of Session::pubrec(): durable when it is done.
  void pubrec(const std::shared_ptr<Session>& session, std::vector<std::uint64_t> sequences,
              StepDone done);
  /// Tells the log what Session::take_acked() gives. Nobody waits for it.
  void tell_acked(const std::shared_ptr<Session>& session);

  /// Sends what is due: wills, ends of sessions, $SYS. Call it a few times a second.
  void tick(std::int64_t now_ms);

  // For PublishBatch.
  struct Route {
    wire::mqtt::ReasonCode reason = wire::mqtt::ReasonCode::kSuccess;  // else: not now
    bool any = false;
    /// A persistent session has to get it, or it is retained: it goes through the log.
    bool durable = false;
    std::vector<Published::Chosen> chosen;
  };
  /// Where a message would go. Counts nothing and changes nothing but the turns of shared groups.
  [[nodiscard]] Route route(const Message& message);
  /// To those who are connected and have no persistent session, now.
  void pass(const Published& published);
  /// Appends events on their own; `done` is told when they are durable and applied.
  void append(std::vector<Event> events, StepDone done);
  /// Events for the group of somebody's records; at least one is for the log. None of them is
  /// applied where the log does not take the group.
  [[nodiscard]] ingest::Attached attach(std::vector<Event> events);
  [[nodiscard]] ingest::Ingest& ingest() { return *ingest_; }
  [[nodiscard]] const speed::SpeedLayer& speed() const { return speed_; }
  [[nodiscard]] bool routes_nothing() const {
    return subscription_count_.load(std::memory_order_acquire) == 0;
  }
  [[nodiscard]] Counters& counters() { return counters_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  [[nodiscard]] Sizes sizes() const;
  /// The log may forget the broker's events before this.
  [[nodiscard]] Offset covered() const { return Offset(covered_.load(std::memory_order_acquire)); }

 private:
  friend class CheckpointCodec;
  enum class Mode : std::uint8_t { kReplay, kLive };
  void apply(std::vector<Event>& events, Offset base);
  void apply(Event& event, std::uint64_t offset, Mode mode) REQUIRES(mutex_);
  void apply_opened(Opened& event, std::uint64_t offset, Mode mode) REQUIRES(mutex_);
  void apply_subscribed(const Subscribed& event) REQUIRES(mutex_);
  void apply_published(const Published& event) REQUIRES(mutex_);
  void apply_detached(const Detached& event) REQUIRES(mutex_);

  /// A client's session is on its way into the log: it counts as one that is there.
  void begin_opening(const std::string& client_id) REQUIRES(mutex_);
  void end_opening(const std::string& client_id) EXCLUDES(mutex_);
  std::shared_ptr<Session> find(SessionId id) const REQUIRES(mutex_);
  std::shared_ptr<Session> add_session(SessionId id, const std::string& client_id, bool durable)
      REQUIRES(mutex_);
  void remove_session(const std::shared_ptr<Session>& session, Mode mode) REQUIRES(mutex_);
  void retain(const std::shared_ptr<const Message>& message) REQUIRES(mutex_);
  void give(Session& session, const std::shared_ptr<const Message>& message, wire::mqtt::QoS qos,
            bool retain, SubscriptionIds ids, bool durable_message) REQUIRES(mutex_);
  /// Retained messages that a filter matches; false where they are more than the session has room
  /// for.
  bool retained_fit(const Session& session, std::string_view filter) REQUIRES(mutex_);
  void send_retained(Session& session, std::string_view filter, const SubscriptionOptions& options,
                     std::int64_t at_ms) REQUIRES(mutex_);
  wire::mqtt::ReasonCode check_subscription(const Session& session,
                                            const SubscribeRequest::One& one) REQUIRES(mutex_);
  /// Wills and messages of the server's own.
  void publish_own(std::shared_ptr<const Message> message, std::vector<Event> with);
  void publish_due_wills();
  void publish_system(std::int64_t now_ms);
  void set_due(const Session& session, std::int64_t at_ms) REQUIRES(mutex_);

  std::string encode_checkpoint() REQUIRES(mutex_);
  Status decode_checkpoint(std::string_view bytes);
  void write_checkpoints();
  [[nodiscard]] bool checkpoint_is_due() const REQUIRES(mutex_);

  runtime::FileSystem& files_;
  const std::filesystem::path folder_;
  speed::SpeedLayer& speed_;
  const Limits limits_;
  ingest::Ingest* ingest_ = nullptr;
  log::CommitLog* log_ = nullptr;
  std::function<void()> covers_more_;
  Counters counters_;
  std::atomic<std::uint64_t> subscription_count_{0};
  std::atomic<std::uint64_t> covered_{0};
  std::int64_t system_due_ms_ = 0;  // of tick()
  std::int64_t started_ms_ = 0;

  mutable Mutex mutex_;
  std::unordered_map<SessionId, std::shared_ptr<Session>> sessions_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::shared_ptr<Session>> clients_ GUARDED_BY(mutex_);
  /// Connects on their way into the log, by client; and how many of these clients have no session.
  std::unordered_map<std::string, std::uint32_t> opening_ GUARDED_BY(mutex_);
  std::uint64_t opening_only_ GUARDED_BY(mutex_) = 0;
  Subscriptions subscriptions_ GUARDED_BY(mutex_);
  TopicTree<std::shared_ptr<const Message>> retained_ GUARDED_BY(mutex_);
  std::uint64_t retained_bytes_ GUARDED_BY(mutex_) = 0;
  SessionId next_volatile_ GUARDED_BY(mutex_) = kFirstVolatileSession;
  /// When to look at a session again: its will, its end.
  std::set<std::pair<std::int64_t, SessionId>> due_ GUARDED_BY(mutex_);
  /// Wills whose sessions ended; published when the mutex is free.
  std::vector<std::shared_ptr<const Message>> wills_ GUARDED_BY(mutex_);
  std::uint64_t applied_end_ GUARDED_BY(mutex_) = 0;
  std::uint64_t bytes_since_checkpoint_ GUARDED_BY(mutex_) = 0;
  std::uint64_t checkpoint_bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t log_bytes_at_checkpoint_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  CondVar checkpoint_due_;
  std::thread writer_;
};

}  // namespace millrace::broker
