// Keeps one store outside equal to a view: follows the view by the change feed, as the SELECT of
// the sink has it, and gives each batch to the target together with the token of where it stands.
// Whatever is lost, of the store, the connection or this program, the token that the store has says
// how it goes on: with what changed since, or, where that is not known any more, with all rows.
// Owns: a thread, and on it the target. Thread: any for start(), stop() and info(). Errors: a store
// that is not there is tried again, ever more seldom up to half a minute; one that refuses a row,
// or a SELECT that means nothing any more, ends the work until the sink is resumed. Invariant:
// memory holds at most kCredit batches of the feed.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "catalog/catalog.h"
#include "serving/change_feed.h"
#include "serving/sink_select.h"
#include "sink/store_url.h"
#include "sink/target.h"
#include "speed/speed_layer.h"
#include "sql/database.h"

namespace millrace::serving {

enum class SinkState : std::uint8_t {
  kPaused,
  kConnecting,
  kBackfilling,
  kRunning,
  kWaiting,  // for the store
  kStopped,  // by an error that would come again
};
[[nodiscard]] std::string_view name(SinkState state);

struct SinkInfo {
  catalog::SinkRecord record;  // without its password
  sink::StoreKind kind = sink::StoreKind::kPostgres;
  SinkState state = SinkState::kPaused;
  std::string error;  // why it waits or has stopped
  std::uint64_t rows = 0;
  std::uint64_t deletes = 0;
  std::uint64_t commits = 0;
  std::uint64_t backfills = 0;
  std::uint64_t connects = 0;
  std::uint64_t errors = 0;
  /// Events that the view has and the store does not.
  std::uint64_t lag_events = 0;
  /// How long ago the store had all that the view has.
  std::int64_t lag_us = 0;
  std::string position;  // the token of the last commit
};

class SinkWorker {
 public:
  SinkWorker(catalog::SinkRecord record, sink::StoreUrl url, ChangeFeed& feed,
             speed::SpeedLayer& speed, sql::Database& database);
  ~SinkWorker();
  SinkWorker(const SinkWorker&) = delete;
  SinkWorker& operator=(const SinkWorker&) = delete;

  void start();
  /// What the store has stays.
  void stop();
  [[nodiscard]] SinkInfo info() const EXCLUDES(mutex_);
  [[nodiscard]] const catalog::SinkRecord& record() const { return record_; }
  [[nodiscard]] const sink::StoreUrl& url() const { return url_; }

 private:
  class Inbox;
  /// Of one connection to the store.
  struct Run;

  void loop();
  Status serve();
  Status take(Run& run);
  Status give(Run& run, const std::shared_ptr<const FeedBatch>& batch, std::int64_t came_us);
  Status commit(Run& run, const std::string& token);
  [[nodiscard]] std::unique_ptr<sink::Target> make_target(const sink::TargetShape& shape) const;
  void set_state(SinkState state, std::string error = {}) EXCLUDES(mutex_);
  void set_following(std::shared_ptr<FeedSubscription> handle, std::shared_ptr<Inbox> inbox)
      EXCLUDES(mutex_);
  [[nodiscard]] bool has_all(std::uint64_t& lag_events) const EXCLUDES(mutex_);
  void wait(std::int64_t pause_us) EXCLUDES(mutex_);

  const catalog::SinkRecord record_;
  const sink::StoreUrl url_;
  ChangeFeed& feed_;
  speed::SpeedLayer& speed_;
  sql::Database& database_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  std::atomic<std::uint64_t> rows_{0};
  std::atomic<std::uint64_t> deletes_{0};
  std::atomic<std::uint64_t> commits_{0};
  std::atomic<std::uint64_t> backfills_{0};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> events_{0};   // that the last commit covers
  std::atomic<std::int64_t> fresh_us_{0};  // when the store last had all
  std::atomic<bool> busy_{false};          // batches that are not committed

  mutable Mutex mutex_;
  mutable CondVar changed_;
  SinkState state_ GUARDED_BY(mutex_) = SinkState::kPaused;
  std::string error_ GUARDED_BY(mutex_);
  std::string position_ GUARDED_BY(mutex_);
  std::shared_ptr<FeedSubscription> handle_ GUARDED_BY(mutex_);
  std::shared_ptr<Inbox> inbox_ GUARDED_BY(mutex_);
};

}  // namespace millrace::serving
