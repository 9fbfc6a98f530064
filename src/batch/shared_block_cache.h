// The cache of all state runs: blocks and filters. What was asked for since it was last looked at
// stays, the oldest of all else goes (second chance): a hit moves nothing. What the
// runs hold for themselves (their indexes) counts against the same budget, of which blocks always
// have an eighth. Thread: any; a mutex per shard, held for a look-up.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "base/mutex.h"
#include "view/block_cache.h"

namespace millrace::batch {

class SharedBlockCache final : public view::BlockCache {
 public:
  explicit SharedBlockCache(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  [[nodiscard]] std::uint64_t take_run_number() override {
    return next_run_.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] Value find(const Key& key) override;
  [[nodiscard]] bool has(const Key& key) const override;
  void put(const Key& key, Value value, std::size_t bytes) override;
  void hold(std::uint64_t bytes) override { held_.fetch_add(bytes, std::memory_order_relaxed); }
  void release(std::uint64_t bytes) override { held_.fetch_sub(bytes, std::memory_order_relaxed); }

  struct Statistics {
    std::uint64_t bytes = 0;
    std::uint64_t held_bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
  };
  [[nodiscard]] Statistics statistics() const;

 private:
  static constexpr std::size_t kShards = 16;
  struct Item {
    Key key;
    Value value;
    std::size_t bytes = 0;
    bool asked = false;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return (key.run * 0x9e3779b97f4a7c15) ^ (key.part * 0xd1342543de82ef95);
    }
  };
  struct alignas(64) Shard {
    mutable Mutex mutex;
    std::list<Item> items GUARDED_BY(mutex);  // the youngest first
    std::unordered_map<Key, std::list<Item>::iterator, KeyHash> places GUARDED_BY(mutex);
    std::uint64_t bytes GUARDED_BY(mutex) = 0;
    std::uint64_t hits GUARDED_BY(mutex) = 0;
    std::uint64_t misses GUARDED_BY(mutex) = 0;
  };
  [[nodiscard]] std::uint64_t shard_bytes_max() const;
  [[nodiscard]] static std::size_t shard_of(const Key& key) {
    return (KeyHash()(key) >> 32) % kShards;
  }

  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> next_run_{1};
  std::atomic<std::uint64_t> held_{0};
  std::array<Shard, kShards> shards_;
};

}  // namespace millrace::batch
