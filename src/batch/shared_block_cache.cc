#include "batch/shared_block_cache.h"

#include <utility>

namespace millrace::batch {

namespace {
/// Of an item beside its value: the nodes of list and map.
constexpr std::size_t kItemBytes = 128;
}  // namespace

std::uint64_t SharedBlockCache::shard_bytes_max() const {
  const std::uint64_t held = held_.load(std::memory_order_relaxed);
  const std::uint64_t least = bytes_max_ / 8;
  return (held + least > bytes_max_ ? least : bytes_max_ - held) / kShards;
}

SharedBlockCache::Value SharedBlockCache::find(const Key& key) {
  Shard& shard = shards_[shard_of(key)];
  const MutexLock lock(shard.mutex);
  const auto found = shard.places.find(key);
  if (found == shard.places.end()) {
    ++shard.misses;
    return nullptr;
  }
  ++shard.hits;
  found->second->asked = true;
  return found->second->value;
}

bool SharedBlockCache::has(const Key& key) const {
  const Shard& shard = shards_[shard_of(key)];
  const MutexLock lock(shard.mutex);
  return shard.places.contains(key);
}

void SharedBlockCache::put(const Key& key, Value value, std::size_t bytes) {
  bytes += kItemBytes;
  const std::uint64_t most = shard_bytes_max();
  if (bytes > most) return;
  Shard& shard = shards_[shard_of(key)];
  // What goes is destroyed outside of the lock.
  std::list<Item> gone;
  const MutexLock lock(shard.mutex);
  if (shard.places.contains(key)) return;  // another thread was quicker
  while (!shard.items.empty() && shard.bytes + bytes > most) {
    if (std::exchange(shard.items.back().asked, false)) {
      shard.items.splice(shard.items.begin(), shard.items, std::prev(shard.items.end()));
      continue;
    }
    shard.bytes -= shard.items.back().bytes;
    shard.places.erase(shard.items.back().key);
    gone.splice(gone.begin(), shard.items, std::prev(shard.items.end()));
  }
  shard.items.push_front({key, std::move(value), bytes, false});
  shard.places.emplace(key, shard.items.begin());
  shard.bytes += bytes;
}

SharedBlockCache::Statistics SharedBlockCache::statistics() const {
  Statistics out;
  out.held_bytes = held_.load(std::memory_order_relaxed);
  for (const Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    out.bytes += shard.bytes;
    out.hits += shard.hits;
    out.misses += shard.misses;
  }
  return out;
}

}  // namespace millrace::batch
