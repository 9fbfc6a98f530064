// What state runs keep of what they read, and what they hold for themselves, in one budget for the
// whole process. The cache itself has threads, which this module has not:
// batch/shared_block_cache.h Thread: any, as for the runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace millrace::view {

class BlockCache {
 public:
  virtual ~BlockCache() = default;
  /// A run takes a number of its own, and numbers its parts.
  struct Key {
    std::uint64_t run = 0;
    std::uint64_t part = 0;
    bool operator==(const Key&) const = default;
  };
  using Value = std::shared_ptr<const void>;

  [[nodiscard]] virtual std::uint64_t take_run_number() = 0;
  /// Null where it is not there. The caller knows the type.
  [[nodiscard]] virtual Value find(const Key& key) = 0;
  /// Whether find() would give something now; nothing is remembered of it.
  [[nodiscard]] virtual bool has(const Key& key) const = 0;
  /// Something too large for the budget is not kept.
  virtual void put(const Key& key, Value value, std::size_t bytes) = 0;
  /// Bytes outside of the cache that count against its budget, and no longer do.
  virtual void hold(std::uint64_t bytes) = 0;
  virtual void release(std::uint64_t bytes) = 0;
};

}  // namespace millrace::view
