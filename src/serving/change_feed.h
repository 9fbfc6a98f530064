// Pushes the rows of materialized views to whoever follows them: first all rows (a snapshot), then
// those that change, each the exact merged answer at a stated position. Knows no protocol: SSE,
// WebSocket and MQTT each have a sink. A subscriber gets a batch only when it has given credit for
// it, and costs the same memory however slow it is: what it has not seen yet is found in a memory
// of recently changed keys, one per view, in which a key stands once. Who falls behind that memory
// starts anew. Threads: one of its own does all reading and calls all sinks; subscribe(), grant()
// and cancel() on any. Errors: kNotFound (kViewNotFound), kInvalidArgument, kResourceExhausted
// (kBusy). Invariant: where a batch has a token, the rows that the subscriber has are the view's at
// the batch's coverage, to the bit.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "serving/feed_token.h"
#include "serving/touched_keys.h"
#include "serving/view_reader.h"
#include "speed/speed_layer.h"

namespace millrace::serving {

/// What the batches of one view look like, until its definition is replaced.
struct FeedShape {
  std::shared_ptr<const speed::ViewState> view;
  std::vector<Column> columns;
  /// The view's group key, without the start of a session. A column that the view does not show has
  /// no name.
  std::vector<Column> key;
};

/// Why a subscriber begins. But for kResumed it forgets the rows that it has.
enum class FeedStart : std::uint8_t {
  kSubscribed,
  kResumed,          // what follows changes the rows of its token
  kPositionUnknown,  // what changed since its token is not known any more
  kSlow,             // it fell behind
  kReplaced,         // the view has another definition, and other columns
};
[[nodiscard]] std::string_view name(FeedStart start);

/// Some keys and what the view has under them now. Never changes; shared by all who get the same.
struct FeedBatch {
  std::shared_ptr<const FeedShape> shape;
  bool snapshot = false;
  /// More follows at once: only with it are the subscriber's rows those of one position.
  bool more = false;
  /// With `snapshot`: there may be keys that an earlier piece had and that changed since.
  bool touched_too = false;
  std::shared_ptr<const ColumnBatch> keys;  // no columns where the view has no group key
  std::shared_ptr<const ColumnBatch> rows;
  /// Of key i are the rows [row_ends[i-1], row_ends[i]): none where the key is gone or HAVING drops
  /// it, several where it has several sessions.
  std::vector<std::uint32_t> row_ends;
  speed::Coverage coverage;
  std::string token;  // empty while `more`
};

/// Where the batches go. Called on the feed's thread, which it must not block; kept alive by the
/// subscription. May call grant() and cancel().
class FeedSink {
 public:
  virtual ~FeedSink() = default;
  /// Before the first batch, and again where the subscriber must forget its rows. The token is
  /// empty where a snapshot follows. Takes no credit.
  virtual void start(FeedStart why, const std::shared_ptr<const FeedShape>& shape,
                     const std::string& token) = 0;
  virtual void batch(const std::shared_ptr<const FeedBatch>& batch) = 0;
  /// The last call: the view was dropped or cannot be read, or the server stops.
  virtual void end(const Error& error) = 0;
};

struct FeedRequest {
  std::string view;
  /// Equalities on columns of the key.
  std::vector<ViewRequest::Equal> where;
  /// A batch's token: go on from there, where that is still known.
  std::string after;
  /// Without it a subscriber is told only what changes from now on.
  bool snapshot = true;
  std::uint32_t credit = 1;
  /// Keys of a batch at most; 0: as many as the feed gives.
  std::size_t keys_max = 0;
  /// Asked before each batch, when its rows are read, and once a second, on the feed's thread: an
  /// error ends the subscription.
  std::function<Status()> allowed = {};
};

struct FeedOptions {
  TouchedKeysLimits touched;
  std::size_t subscribers_max = 10'000;
  /// Of keys that snapshots under way hold; beyond it the next ones wait.
  std::size_t walk_bytes_max = std::size_t{64} << 20;
  std::size_t keys_per_batch_max = 1024;
  /// Between two readings of what changed.
  std::int64_t pause_us = 2'000;
  /// What is remembered of a view without subscribers, for those who come back.
  std::int64_t linger_us = 60'000'000;
};

struct FeedWake;
class FeedView;

class FeedSubscription {
 public:
  /// So many more batches may come.
  void grant(std::uint32_t batches = 1);
  /// The sink may be called once more, by a call that has begun.
  void cancel();
  /// Where it stands, if it has seen everything up to now: for keeping idle clients' tokens new.
  [[nodiscard]] std::optional<std::string> token() const EXCLUDES(mutex_);

 private:
  friend class ChangeFeed;
  friend class FeedView;
  FeedSubscription(std::shared_ptr<FeedWake> wake, std::uint32_t credit)
      : wake_(std::move(wake)), credit_(credit) {}
  /// Where it stands from here on; without a memory nowhere.
  void stand_at(std::shared_ptr<const TouchedKeys> touched, ViewId view, std::uint64_t cursor)
      EXCLUDES(mutex_);

  const std::shared_ptr<FeedWake> wake_;
  std::atomic<std::uint32_t> credit_;
  std::atomic<bool> cancelled_{false};
  mutable Mutex mutex_;
  std::shared_ptr<const TouchedKeys> touched_ GUARDED_BY(mutex_);
  ViewId view_ GUARDED_BY(mutex_);
  std::uint64_t cursor_ GUARDED_BY(mutex_) = 0;
};

struct FeedCounters {
  std::atomic<std::uint64_t> subscribers{0};
  std::atomic<std::uint64_t> batches{0};
  std::atomic<std::uint64_t> keys{0};
  std::atomic<std::uint64_t> snapshots{0};
  std::atomic<std::uint64_t> fell_behind{0};
};

class ChangeFeed {
 public:
  ChangeFeed(speed::SpeedLayer& speed, FeedOptions options);
  ~ChangeFeed();
  void start();
  /// Ends all subscriptions. Idempotent.
  void stop();

  Result<std::shared_ptr<FeedSubscription>> subscribe(FeedRequest request,
                                                      std::shared_ptr<FeedSink> sink);
  [[nodiscard]] const FeedCounters& counters() const { return counters_; }
  /// The views that can be followed, and a number that grows when one comes, goes or is replaced.
  [[nodiscard]] std::vector<std::shared_ptr<speed::ViewState>> views() const;
  [[nodiscard]] std::uint64_t names_version() const;

 private:
  struct Arrival;
  void loop();
  void admit(Arrival arrival);
  void look_names_up();
  void let_go_of_idle_views();

  speed::SpeedLayer& speed_;
  const FeedOptions options_;
  const std::shared_ptr<FeedWake> wake_;
  FeedCounters counters_;
  // Of the feed's thread.
  std::map<std::string, std::unique_ptr<FeedView>> views_;
  std::size_t walk_bytes_ = 0;
  std::thread thread_;
};

}  // namespace millrace::serving
