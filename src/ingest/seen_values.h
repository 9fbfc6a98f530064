// The values of a stream's dedup column that were seen, each as a keyed hash of 128 bits with the
// time of its record: 16 bytes a value, 24 with an interval, at a load of a half on average. 256
// small tables instead of one, so that growing one is short. What is older than the interval is not
// found any more, and goes when its table would have to grow. Thread: one at a time. Errors: none.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/sip_hash.h"

namespace millrace::ingest {

struct SeenValue {
  Hash128 hash;
  std::int64_t time_us = 0;
};

class SeenValues {
 public:
  /// No interval: nothing is ever forgotten.
  explicit SeenValues(std::optional<std::int64_t> within_us) : within_us_(within_us) {}

  /// Whether the value was seen, and not longer ago than the interval before `now_us` or before the
  /// newest record, whichever is later.
  [[nodiscard]] bool contains(const Hash128& hash, std::int64_t now_us) const;
  /// Remembers a value; of two times of a value the later one stays.
  void insert(const SeenValue& value);
  /// What is older than this is not remembered.
  [[nodiscard]] std::int64_t horizon_us(std::int64_t now_us) const;
  /// Values that are kept, forgotten ones that are still in the tables included.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t size_bytes() const;

 private:
  static constexpr std::size_t kTables = 256;
  struct Table {
    std::vector<Hash128> hashes;      // zero: free
    std::vector<std::int64_t> times;  // none without an interval
    std::uint64_t used = 0;
  };
  /// The slot of the hash, or the free one where it would lie.
  [[nodiscard]] static std::size_t slot_of(const Table& table, const Hash128& hash);
  void grow(Table& table);
  void put(Table& table, const Hash128& hash, std::int64_t time_us);

  const std::optional<std::int64_t> within_us_;
  std::int64_t newest_us_ = std::numeric_limits<std::int64_t>::min();
  std::uint64_t size_ = 0;
  std::array<Table, kTables> tables_;
};

}  // namespace millrace::ingest
