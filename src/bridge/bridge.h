// The connections to other brokers: what exists (the catalog's records) and what runs. Owns: their
// threads. Thread: any. Errors: kNotFound (kConnectionNotFound), kAlreadyExists, kInvalidArgument
// (kBadOption), and those of the catalog. Invariant: what is in the catalog and not paused runs
// from start() to stop(). No error and no status has a password.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "bridge/remote_source.h"
#include "broker/broker.h"
#include "catalog/catalog.h"

namespace millrace::bridge {

struct ConnectionInfo {
  catalog::ConnectionRecord record;  // without its password
  RemoteSource::Status status;
  std::uint64_t messages = 0;
  std::uint64_t redelivered = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t unmatched = 0;
  std::uint64_t connects = 0;
  std::uint64_t waiting = 0;
};

class Bridge {
 public:
  Bridge(catalog::Catalog& catalog, broker::Broker& broker) : catalog_(catalog), broker_(broker) {}

  void start() EXCLUDES(mutex_);
  /// Before what takes the messages. Idempotent.
  void stop() EXCLUDES(mutex_);

  /// Without a client id it gets one of its own.
  Status create(catalog::ConnectionRecord record) EXCLUDES(mutex_);
  Status drop(std::string_view name) EXCLUDES(mutex_);
  Status pause(std::string_view name, bool paused) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<ConnectionInfo> connections() const EXCLUDES(mutex_);

 private:
  void run(const catalog::ConnectionRecord& record) REQUIRES(mutex_);
  [[nodiscard]] std::vector<std::unique_ptr<RemoteSource>>::iterator find(std::string_view name)
      REQUIRES(mutex_);

  catalog::Catalog& catalog_;
  broker::Broker& broker_;
  mutable Mutex mutex_;
  bool running_ GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<RemoteSource>> sources_ GUARDED_BY(mutex_);
};

}  // namespace millrace::bridge
