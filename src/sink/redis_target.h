// Keys of a Redis that are kept equal to a view: "prefix:key" is a hash, or a string of JSON, of
// each row. The token is a field of the hash "prefix:%state", set in the MULTI that changes the
// rows and watched in between, so that an emptied Redis and another writer are found. A backfill
// gathers the names of its keys in the set "prefix:%stage" and takes away what is not in it; while
// it goes on, "whole" of the state is 0. Owns: a connection. Thread: one. Errors: target.h.
// Invariant: keys that begin with "prefix:" and were there before any sink are not written over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sink/redis_link.h"
#include "sink/target.h"

namespace millrace::sink {

class RedisTarget final : public Target {
 public:
  /// `writer` names the sink among all that ever were. Where it `owned` the keys already, it does
  /// not take them from another again.
  RedisTarget(StoreUrl url, StoreAccess access, bool as_json, TargetShape shape, std::string writer,
              bool owned, const std::atomic<bool>& stopping);

  Result<std::string> open() override;
  void close() override;
  Status begin_backfill() override;
  Status put(const TargetChanges& changes) override;
  Status commit(const std::string& token) override;
  Status check() override;

 private:
  Status take_over();
  Status watch();
  void begin();
  void end();
  void remove(const TargetChanges& changes);
  void write_hash(std::span<const ColumnView> views, std::size_t row);
  void write_json(std::span<const ColumnView> views, std::size_t row);
  Status sweep();
  Status remove_unstaged(std::vector<std::string>& keys);
  /// Leaves it in key_.
  void make_key(std::span<const ColumnView> parts, std::size_t row);

  const StoreUrl url_;
  const StoreAccess access_;
  const bool as_json_;
  const TargetShape shape_;
  const std::string writer_;
  const std::atomic<bool>& stopping_;
  const std::string state_;
  const std::string stage_;
  const std::string pattern_;
  std::vector<std::string> json_names_;  // "name": of each column
  std::unique_ptr<RedisLink> link_;
  std::string token_;
  bool owned_;
  bool in_transaction_ = false;
  bool backfilling_ = false;
  std::string key_;
  std::string value_;
};

}  // namespace millrace::sink
