// The sinks: what exists (the catalog's records) and what runs. Owns: their threads. Thread: any.
// Errors: kNotFound (kSinkNotFound), kAlreadyExists, kInvalidArgument (kNotSinkable, kBadOption),
// and those of the catalog. Invariant: what is in the catalog and not paused runs from start() to
// stop(); no two write to the same object of a store. No error and no info has a password.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "serving/change_feed.h"
#include "serving/sink_worker.h"
#include "speed/speed_layer.h"
#include "sql/database.h"

namespace millrace::serving {

class Sinks {
 public:
  Sinks(catalog::Catalog& catalog, ChangeFeed& feed, speed::SpeedLayer& speed,
        sql::Database& database)
      : catalog_(catalog), feed_(feed), speed_(speed), database_(database) {}
  ~Sinks() { stop(); }

  /// When the feed runs.
  void start() EXCLUDES(mutex_);
  /// Before the feed. Idempotent.
  void stop() EXCLUDES(mutex_);

  /// The store need not be there. The view is that of the record's SELECT.
  Status create(catalog::SinkRecord record) EXCLUDES(mutex_);
  /// What the store has stays there.
  Status drop(std::string_view name) EXCLUDES(mutex_);
  /// Resuming one that has stopped lets it try again.
  Status pause(std::string_view name, bool paused) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<SinkInfo> infos() const EXCLUDES(mutex_);
  [[nodiscard]] std::vector<std::string> readers_of(std::string_view view) const;

 private:
  using Workers = std::vector<std::unique_ptr<SinkWorker>>;
  void run(const catalog::SinkRecord& record) REQUIRES(mutex_);
  [[nodiscard]] Workers::iterator find(std::string_view name) REQUIRES(mutex_);

  catalog::Catalog& catalog_;
  ChangeFeed& feed_;
  speed::SpeedLayer& speed_;
  sql::Database& database_;
  mutable Mutex mutex_;
  bool running_ GUARDED_BY(mutex_) = false;
  Workers workers_ GUARDED_BY(mutex_);
};

}  // namespace millrace::serving
