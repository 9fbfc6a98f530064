// The composites that a group has seen: each row's (kRows), each once (kDistinct), or each with how
// often it came (kValues, kBuckets). They lie one behind the other in one block; up to a few are
// found by looking through them, more by a hash index. Owns its memory. Thread: one at a time.
// Errors: none. Invariant: what encode() gives depends on what was added alone, not on the order.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace millrace::view {

/// How a component keeps its composites: the same for all its bags.
struct BagRules {
  bool once = false;     // equal composites are one entry
  bool counted = false;  // and have a count
  /// Where not 0: only the so many smallest matter (not with `once`).
  std::uint32_t limit = 0;
};

class ValueBag {
 public:
  struct Entry {
    std::string_view composite;
    std::uint64_t count = 1;
  };

  ValueBag() = default;
  /// A value of its own, with one reference.
  ValueBag(const ValueBag& other);
  ValueBag& operator=(const ValueBag&) = delete;

  void add(const BagRules& rules, std::string_view composite, std::uint64_t count = 1);
  /// The same for a caller that has the hash of the composite (with `once`), and who may ask for
  /// the memory that add() is going to touch some rows before: first the slot, then the entry.
  void add_hashed(const BagRules& rules, std::string_view composite, std::uint64_t hash,
                  std::uint64_t count = 1);
  static std::uint64_t hash(std::string_view composite);
  void prefetch_slot(std::uint64_t hash) const {
    if (slots_ != nullptr) __builtin_prefetch(slots_.get() + place_of(hash), 1);
  }
  void prefetch_entry(std::uint64_t hash) const {
    if (slots_ == nullptr) return;
    const std::uint64_t slot = slots_[place_of(hash)];
    if (slot != 0) __builtin_prefetch(bytes_.get() + (slot & kPlaceMask) - 1, 1);
  }
  /// Adds a composite that is not less than those there, and with `once` greater: without a look
  /// for it.
  void append(const BagRules& rules, std::string_view composite, std::uint64_t count = 1);
  void merge(const BagRules& rules, const ValueBag& other);
  /// Ascending; where the rules limit them no more than that.
  [[nodiscard]] std::vector<Entry> sorted(const BagRules& rules) const;
  /// Number of entries, of which a limit may still drop some.
  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::size_t size_bytes() const {
    return sizeof(ValueBag) + capacity_ + slot_count() * sizeof(std::uint64_t);
  }

  std::atomic<std::uint32_t> references{1};

 private:
  /// Up to this many entries a look through them is faster than the index, and takes no memory.
  static constexpr std::uint64_t kScanMax = 8;
  static constexpr unsigned kPlaceBits = 40;
  static constexpr std::uint64_t kPlaceMask = (std::uint64_t{1} << kPlaceBits) - 1;
  static constexpr std::uint64_t kNoEntry = ~std::uint64_t{0};

  [[nodiscard]] std::size_t slot_count() const {
    return slots_ == nullptr ? 0 : std::size_t{1} << slot_bits_;
  }
  /// The entry at a place, and in `next` where the one behind it begins.
  Entry entry_at(const BagRules& rules, std::uint64_t place, std::uint64_t& next) const;
  [[nodiscard]] std::uint64_t find(const BagRules& rules, std::string_view composite,
                                   std::uint64_t hash) const;
  void add_to_count(std::uint64_t place, std::uint64_t count);
  /// The slot where a hash begins to look: its upper bits, so that a slot, which has 24 of them,
  /// tells where it goes in a larger index.
  [[nodiscard]] std::uint64_t place_of(std::uint64_t hash) const {
    return hash >> (64 - slot_bits_);
  }
  void put_slot(std::uint64_t slot, std::uint64_t hash);
  void grow_index(const BagRules& rules);
  void keep_smallest(const BagRules& rules);

  // A slot is 0, or the upper 24 bits of the hash and the place of an entry + 1.
  std::unique_ptr<std::uint64_t[]> slots_;
  std::unique_ptr<char[]> bytes_;
  std::uint64_t used_ = 0;
  std::uint64_t capacity_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t last_ = 0;  // place of the entry that was appended last
  /// With a limit: the place of the greatest of `limit` entries; what is greater does not matter.
  std::uint64_t bound_ = kNoEntry;
  std::uint8_t slot_bits_ = 0;
  bool ascending_ = true;  // the entries stand in their order
};

}  // namespace millrace::view
