#include "ingest/seen_values.h"

#include <algorithm>

namespace millrace::ingest {

namespace {

constexpr std::size_t kSlotsMin = 16;

/// A slot of zeros is a free one, so no value has that hash.
Hash128 stored(const Hash128& hash) { return hash == Hash128() ? Hash128{1, 0} : hash; }

/// The lower half chooses the table, the upper one the slot.
std::size_t table_of(const Hash128& hash) { return hash.low & 0xff; }

}  // namespace

std::int64_t SeenValues::horizon_us(std::int64_t now_us) const {
  constexpr auto kNever = std::numeric_limits<std::int64_t>::min();
  if (!within_us_) return kNever;
  const std::int64_t newest = std::max(newest_us_, now_us);
  return newest < kNever + *within_us_ ? kNever : newest - *within_us_;
}

std::size_t SeenValues::slot_of(const Table& table, const Hash128& hash) {
  const std::size_t mask = table.hashes.size() - 1;
  std::size_t slot = hash.high & mask;
  while (!(table.hashes[slot] == hash) && !(table.hashes[slot] == Hash128()))
    slot = (slot + 1) & mask;
  return slot;
}

bool SeenValues::contains(const Hash128& value, std::int64_t now_us) const {
  const Hash128 hash = stored(value);
  const Table& table = tables_[table_of(hash)];
  if (table.hashes.empty()) return false;
  const std::size_t slot = slot_of(table, hash);
  if (table.hashes[slot] == Hash128()) return false;
  return !within_us_ || table.times[slot] >= horizon_us(now_us);
}

void SeenValues::insert(const SeenValue& value) {
  newest_us_ = std::max(newest_us_, value.time_us);
  if (value.time_us < horizon_us(value.time_us)) return;
  const Hash128 hash = stored(value.hash);
  Table& table = tables_[table_of(hash)];
  // Linear probing stays short up to three quarters.
  if ((table.used + 1) * 4 > table.hashes.size() * 3) grow(table);
  put(table, hash, value.time_us);
}

void SeenValues::put(Table& table, const Hash128& hash, std::int64_t time_us) {
  const std::size_t slot = slot_of(table, hash);
  if (table.hashes[slot] == Hash128()) {
    table.hashes[slot] = hash;
    if (within_us_) table.times[slot] = time_us;
    ++table.used;
    ++size_;
  } else if (within_us_) {
    table.times[slot] = std::max(table.times[slot], time_us);
  }
}

void SeenValues::grow(Table& table) {
  const std::int64_t horizon = horizon_us(newest_us_);
  const auto lives = [&](std::size_t slot) {
    return !(table.hashes[slot] == Hash128()) && (!within_us_ || table.times[slot] >= horizon);
  };
  std::uint64_t living = 0;
  for (std::size_t slot = 0; slot < table.hashes.size(); ++slot) living += lives(slot) ? 1 : 0;
  std::size_t slots = kSlotsMin;
  while (slots < living * 2) slots *= 2;
  Table bigger;
  bigger.hashes.resize(slots);
  if (within_us_) bigger.times.resize(slots);
  size_ -= table.used;
  for (std::size_t slot = 0; slot < table.hashes.size(); ++slot) {
    if (lives(slot)) put(bigger, table.hashes[slot], within_us_ ? table.times[slot] : 0);
  }
  table = std::move(bigger);
}

std::uint64_t SeenValues::size_bytes() const {
  std::uint64_t sum = 0;
  for (const Table& table : tables_) {
    sum +=
        table.hashes.capacity() * sizeof(Hash128) + table.times.capacity() * sizeof(std::int64_t);
  }
  return sum;
}

}  // namespace millrace::ingest
