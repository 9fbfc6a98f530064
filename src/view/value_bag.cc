#include "view/value_bag.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace millrace::view {
namespace {

constexpr std::size_t kCountBytes = 8;

}  // namespace

ValueBag::ValueBag(const ValueBag& other)
    : used_(other.used_),
      capacity_(other.used_),
      entries_(other.entries_),
      last_(other.last_),
      bound_(other.bound_),
      slot_bits_(other.slot_bits_),
      ascending_(other.ascending_) {
  if (used_ != 0) {
    bytes_ = std::make_unique_for_overwrite<char[]>(used_);
    std::memcpy(bytes_.get(), other.bytes_.get(), used_);
  }
  if (other.slots_ != nullptr) {
    slots_ = std::make_unique_for_overwrite<std::uint64_t[]>(other.slot_count());
    std::memcpy(slots_.get(), other.slots_.get(), other.slot_count() * sizeof(std::uint64_t));
  }
}

std::uint64_t ValueBag::hash(std::string_view composite) {
  return XXH3_64bits(composite.data(), composite.size());
}

// An entry is the size of the composite as a varint, the composite, and its count in 8 bytes where
// the rules have it.
ValueBag::Entry ValueBag::entry_at(const BagRules& rules, std::uint64_t place,
                                   std::uint64_t& next) const {
  const char* at = bytes_.get() + place;
  std::uint64_t size = static_cast<std::uint8_t>(*at++);
  if (size >= 0x80) {
    size &= 0x7f;
    for (unsigned shift = 7;; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at++);
      size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  Entry entry{.composite = {at, size}};
  at += size;
  if (rules.counted) {
    std::memcpy(&entry.count, at, kCountBytes);
    at += kCountBytes;
  }
  next = static_cast<std::uint64_t>(at - bytes_.get());
  return entry;
}

std::uint64_t ValueBag::find(const BagRules& rules, std::string_view composite,
                             std::uint64_t hash) const {
  std::uint64_t next = 0;
  if (slots_ == nullptr) {
    for (std::uint64_t place = 0; place < used_; place = next) {
      if (entry_at(rules, place, next).composite == composite) return place;
    }
    return kNoEntry;
  }
  const std::uint64_t mask = slot_count() - 1;
  for (std::uint64_t i = place_of(hash);; i = (i + 1) & mask) {
    const std::uint64_t slot = slots_[i];
    if (slot == 0) return kNoEntry;
    if ((slot >> kPlaceBits) != (hash >> kPlaceBits)) continue;
    const std::uint64_t place = (slot & kPlaceMask) - 1;
    if (entry_at(rules, place, next).composite == composite) return place;
  }
}

void ValueBag::append(const BagRules& rules, std::string_view composite, std::uint64_t count) {
  std::array<char, 10> head;
  std::size_t head_bytes = 0;
  for (std::uint64_t size = composite.size();; size >>= 7) {
    head[head_bytes++] = static_cast<char>(size < 0x80 ? size : size | 0x80);
    if (size < 0x80) break;
  }
  const std::uint64_t need =
      used_ + head_bytes + composite.size() + (rules.counted ? kCountBytes : 0);
  MR_CHECK(need < kPlaceMask, "the values of one group take {} bytes", need);
  if (need > capacity_) {
    // The first block holds one entry: most groups of a wide view see few values.
    const std::uint64_t room = entries_ == 0 ? need : std::max(need, capacity_ * 2);
    auto grown = std::make_unique_for_overwrite<char[]>(room);
    if (used_ != 0) std::memcpy(grown.get(), bytes_.get(), used_);
    bytes_ = std::move(grown);
    capacity_ = room;
  }
  if (ascending_ && entries_ != 0) {
    std::uint64_t next = 0;
    ascending_ = entry_at(rules, last_, next).composite <= composite;
  }
  last_ = used_;
  char* at = bytes_.get() + used_;
  std::memcpy(at, head.data(), head_bytes);
  at += head_bytes;
  std::memcpy(at, composite.data(), composite.size());
  at += composite.size();
  if (rules.counted) std::memcpy(at, &count, kCountBytes);
  used_ = need;
  ++entries_;
}

void ValueBag::add_to_count(std::uint64_t place, std::uint64_t count) {
  std::uint64_t next = 0;
  std::uint64_t sum = entry_at({.once = true, .counted = true}, place, next).count + count;
  std::memcpy(bytes_.get() + next - kCountBytes, &sum, kCountBytes);
}

void ValueBag::put_slot(std::uint64_t slot, std::uint64_t hash) {
  const std::uint64_t mask = slot_count() - 1;
  std::uint64_t i = place_of(hash);
  while (slots_[i] != 0) i = (i + 1) & mask;
  slots_[i] = slot;
}

void ValueBag::grow_index(const BagRules& rules) {
  const std::size_t old_count = slot_count();
  const std::unique_ptr<std::uint64_t[]> old = std::move(slots_);
  // At most 5/8 full, also after twice as many.
  slot_bits_ = static_cast<std::uint8_t>(std::bit_width(entries_ * 16 / 5));
  slots_ = std::make_unique<std::uint64_t[]>(std::size_t{1} << slot_bits_);
  if (old != nullptr && slot_bits_ <= 64 - kPlaceBits) {
    for (std::size_t i = 0; i < old_count; ++i) {
      if (old[i] != 0) put_slot(old[i], old[i]);
    }
    return;
  }
  std::uint64_t next = 0;
  for (std::uint64_t place = 0; place < used_; place = next) {
    const std::uint64_t of_entry = hash(entry_at(rules, place, next).composite);
    put_slot((of_entry >> kPlaceBits << kPlaceBits) | (place + 1), of_entry);
  }
}

void ValueBag::add(const BagRules& rules, std::string_view composite, std::uint64_t count) {
  if (!rules.once) {
    if (rules.limit != 0 && bound_ != kNoEntry) {
      std::uint64_t next = 0;
      if (entry_at(rules, bound_, next).composite <= composite) return;
    }
    append(rules, composite, count);
    // Half of the work is thrown away, so that each row's share of it is small.
    if (rules.limit != 0 && entries_ >= std::uint64_t{rules.limit} * 2 + kScanMax) {
      keep_smallest(rules);
    }
    return;
  }
  add_hashed(rules, composite, entries_ > kScanMax ? hash(composite) : 0, count);
}

void ValueBag::add_hashed(const BagRules& rules, std::string_view composite, std::uint64_t hash,
                          std::uint64_t count) {
  const bool indexed = entries_ > kScanMax;
  if (indexed && entries_ * 8 >= slot_count() * 5) grow_index(rules);
  const std::uint64_t found = find(rules, composite, hash);
  if (found != kNoEntry) {
    if (rules.counted) add_to_count(found, count);
    return;
  }
  append(rules, composite, count);
  if (indexed) put_slot((hash >> kPlaceBits << kPlaceBits) | (last_ + 1), hash);
}

void ValueBag::merge(const BagRules& rules, const ValueBag& other) {
  std::uint64_t next = 0;
  for (std::uint64_t place = 0; place < other.used_; place = next) {
    const Entry entry = other.entry_at(rules, place, next);
    add(rules, entry.composite, entry.count);
  }
}

std::vector<ValueBag::Entry> ValueBag::sorted(const BagRules& rules) const {
  std::vector<Entry> out;
  out.reserve(entries_);
  std::uint64_t next = 0;
  for (std::uint64_t place = 0; place < used_; place = next) {
    out.push_back(entry_at(rules, place, next));
  }
  const auto before = [](const Entry& a, const Entry& b) { return a.composite < b.composite; };
  if (rules.limit != 0 && out.size() > rules.limit) {
    if (!ascending_) std::nth_element(out.begin(), out.begin() + rules.limit, out.end(), before);
    out.resize(rules.limit);
  }
  if (!ascending_) std::sort(out.begin(), out.end(), before);
  return out;
}

void ValueBag::keep_smallest(const BagRules& rules) {
  const std::vector<Entry> kept = sorted(rules);
  ValueBag smaller;
  for (const Entry& entry : kept) smaller.append(rules, entry.composite, entry.count);
  bytes_ = std::move(smaller.bytes_);
  used_ = smaller.used_;
  capacity_ = smaller.capacity_;
  entries_ = smaller.entries_;
  bound_ = last_ = smaller.last_;
  ascending_ = true;
}

}  // namespace millrace::view
