#include "view/group_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "view/key_codec.h"
#include "view/ordered_bits.h"
#include "view/row_adder.h"
#include "view/state_layout.h"
#include "view/state_values.h"

namespace millrace::view {
namespace {

/// An encoded key in two words: its length and its first 12 bytes (zeros behind a shorter one), or
/// its length, its first 4 bytes and the address of all. Equal words are equal keys where the key
/// is short.
struct KeyRef {
  static constexpr std::uint32_t kInlineBytes = 12;
  std::uint64_t head = 0;
  std::uint64_t tail = 0;

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(head); }
  [[nodiscard]] bool is_short() const { return size() <= kInlineBytes; }
  [[nodiscard]] const char* address() const { return reinterpret_cast<const char*>(tail); }
  /// Of this object's own bytes where the key is short.
  [[nodiscard]] std::string_view view() const {
    return {is_short() ? reinterpret_cast<const char*>(&head) + 4 : address(), size()};
  }
};
static_assert(sizeof(KeyRef) == 16);

std::uint64_t load64(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, 8);
  return word;
}

std::uint64_t load32(const char* bytes) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes, 4);
  return word;
}

/// `bytes` can be read for kKeySlackBytes beyond the key.
KeyRef make_key_with_slack(const char* bytes, std::uint32_t size) {
  KeyRef key;
  key.head = size | (load32(bytes) << 32);
  if (size > KeyRef::kInlineBytes) {
    key.tail = reinterpret_cast<std::uintptr_t>(bytes);
    return key;
  }
  key.tail = load64(bytes + 4);
  if (size <= 4) {
    key.tail = 0;
    const unsigned unused = 8 * (4 - size);
    key.head = (key.head << unused) >> unused;
    if (size == 0) key.head = 0;
  } else {
    const unsigned unused = 8 * (12 - size);
    key.tail = (key.tail << unused) >> unused;
  }
  return key;
}

KeyRef make_key(std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  if (size > KeyRef::kInlineBytes) return make_key_with_slack(bytes.data(), size);
  std::array<char, 12 + kKeySlackBytes> padded = {};
  if (size != 0) std::memcpy(padded.data(), bytes.data(), size);
  return make_key_with_slack(padded.data(), size);
}

/// The high and the low half of a product, folded: every bit of either factor reaches every bit of
/// the result.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const UInt128 product = static_cast<UInt128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

constexpr std::uint64_t kSeed0 = 0x9e3779b97f4a7c15;  // digits of the golden ratio
constexpr std::uint64_t kSeed1 = 0xd1342543de82ef95;  // a multiplier of a full-period generator
constexpr std::uint64_t kSeed2 = 0x2545f4914f6cdd1d;  // of xorshift64*

std::uint32_t hash_key(const KeyRef& key) {
  std::uint64_t hash = 0;
  if (key.is_short()) {
    hash = mix(key.head ^ kSeed0, key.tail ^ kSeed1);
  } else {
    const char* at = key.address();
    std::size_t left = key.size();
    hash = left ^ kSeed2;
    for (; left > 16; left -= 16, at += 16)
      hash = mix(load64(at) ^ kSeed0 ^ hash, load64(at + 8) ^ kSeed1);
    // The last 16 bytes, which may overlap; a key of 13..16 bytes by two overlapping words.
    const char* const end = at + left;
    const bool whole = key.size() >= 16;
    hash = mix(load64(whole ? end - 16 : at) ^ kSeed0 ^ hash, load64(end - 8) ^ kSeed1);
  }
  hash = mix(hash, kSeed2);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

/// Both longer than KeyRef::kInlineBytes and of equal size.
bool equal_bytes(const char* a, const char* b, std::uint32_t size) {
  std::uint32_t at = 0;
  for (; at + 8 <= size; at += 8) {
    if (load64(a + at) != load64(b + at)) return false;
  }
  return load64(a + size - 8) == load64(b + size - 8);
}

bool equal_keys(const KeyRef& a, const KeyRef& b) {
  if (a.head != b.head) return false;
  return a.tail == b.tail || (!a.is_short() && equal_bytes(a.address(), b.address(), a.size()));
}

/// The keys of rows of one column of fixed width up to 8, made in registers.
template <class T>
void make_fixed_keys(const ColumnView& column, std::size_t begin, std::size_t end, KeyRef* keys) {
  for (std::size_t row = begin; row < end; ++row) {
    KeyRef& key = keys[row - begin];
    if (!column.valid(row)) {
      key.head = 1;  // one byte, 0x00
      key.tail = 0;
      continue;
    }
    char raw[8] = {};
    store_big_endian(raw, to_ordered(load_value<T>(column.data, row)));
    const std::uint64_t value = load64(raw);
    // 0x01 and the first three bytes behind the size; the rest in the second word.
    key.head = (1 + sizeof(T)) | (std::uint64_t{1} << 32) | (value << 40);
    key.tail = value >> 24;
  }
}

/// Appends the finalized row of one state; `key_columns` is scratch.
Status push_state_row(const AggregatePlan& plan, const StateLayout& layout, std::string_view key,
                      const char* state, std::span<const OutputColumn> outputs,
                      std::vector<std::string_view>& key_columns, ColumnBatch& out) {
  // All is checked before the first value is pushed, so that no row stays half.
  for (const OutputColumn& output : outputs) {
    if (output.kind != OutputKind::kKey) MR_RETURN_IF_ERROR(check_value(layout, state, output));
  }
  MR_RETURN_IF_ERROR(split_key(key, plan.keys, key_columns));
  for (std::size_t c = 0; c < outputs.size(); ++c) {
    if (outputs[c].kind == OutputKind::kKey) {
      push_key_column(key_columns[outputs[c].inputs[0]], out.column(c), out.arena());
    } else {
      push_value(layout, state, outputs[c], out.column(c), out.arena());
    }
  }
  return {};
}

}  // namespace

struct GroupTable::Impl {
  // A slot is 0, or the hash in its upper half and the group's number + 1 in its lower. Behind the
  // last slot the first ones stand once more, so that a window of slots never wraps.
  static constexpr std::size_t kWindowSlots = 4;
  static constexpr std::size_t kMirrorSlots = kWindowSlots - 1;
  static constexpr std::size_t kStepRows = 64;
  static constexpr std::size_t kSlotsMin = 64;
  static constexpr std::size_t kChunkBytes = 256 * 1024;
  static constexpr std::size_t kFirstRows = 16;
  /// Below this a table stays in the second level cache, and prefetching only costs.
  static constexpr std::size_t kPrefetchBytes = 512 * 1024;
  /// Values that find their group without a hash: as many as the second level cache has room for;
  /// and how many more than twice the groups they may be.
  static constexpr Int128 kDirectMax = 16 * 1024;
  static constexpr Int128 kDirectFirst = 1024;

  explicit Impl(const AggregatePlan& for_plan) : plan(for_plan), layout(for_plan, sizeof(KeyRef)) {
    chunk_shift = static_cast<unsigned>(std::bit_width(
                      std::max<std::size_t>(kFirstRows, kChunkBytes / layout.stride()))) -
                  1;
  }
  Impl(const Impl& other)
      : plan(other.plan),
        layout(other.layout),
        chunk_shift(other.chunk_shift),
        slots(other.slots),
        heap_bytes(other.heap_bytes) {
    for (std::size_t group = 0; group < other.groups; ++group) {
      const char* const from = other.row(group);
      char* const to = add_row();
      auto& key = StateLayout::at<KeyRef>(to, 0);
      key = StateLayout::at<KeyRef>(from, 0);
      if (!key.is_short()) keep_key(key);
      layout.copy(to, from, texts);
    }
  }
  Impl& operator=(const Impl&) = delete;
  ~Impl() { drop_rows(); }

  [[nodiscard]] char* row(std::size_t group) const {
    return chunks[group >> chunk_shift].get() +
           (group & ((std::size_t{1} << chunk_shift) - 1)) * layout.stride();
  }
  [[nodiscard]] const KeyRef& key(std::size_t group) const {
    return StateLayout::at<KeyRef>(row(group), 0);
  }

  void drop_rows() {
    if (!layout.needs_drop()) return;
    for (std::size_t group = 0; group < groups; ++group) layout.drop(row(group));
  }

  /// Room for one more group; nothing is written there. May move the rows of the first chunk.
  char* add_row() {
    if (groups == row_capacity) add_row_memory();
    return row(groups++);
  }

  void add_row_memory() {
    const std::size_t chunk_rows = std::size_t{1} << chunk_shift;
    const std::size_t stride = layout.stride();
    if (groups < chunk_rows) {
      const std::size_t rows = std::min(chunk_rows, std::max(kFirstRows, groups * 4));
      auto grown = std::make_unique_for_overwrite<char[]>(rows * stride);
      if (groups != 0) std::memcpy(grown.get(), chunks.front().get(), groups * stride);
      chunks.resize(1);
      chunks.front() = std::move(grown);
      row_capacity = rows;
    } else {
      chunks.push_back(std::make_unique_for_overwrite<char[]>(chunk_rows * stride));
      row_capacity += chunk_rows;
    }
  }

  void keep_key(KeyRef& key_ref) {
    const std::string_view kept = key_arena.copy({key_ref.address(), key_ref.size()});
    key_ref.tail = reinterpret_cast<std::uintptr_t>(kept.data());
  }

  /// Slots, without the mirrored ones behind them.
  [[nodiscard]] std::size_t slot_count() const {
    return slots.empty() ? 0 : slots.size() - kMirrorSlots;
  }

  void set_slot(std::size_t place, std::uint64_t slot) {
    slots[place] = slot;
    if (place < kMirrorSlots) slots[slot_count() + place] = slot;
  }

  void grow_slots() {
    const std::vector<std::uint64_t> old = std::move(slots);
    const std::size_t old_count = old.empty() ? 0 : old.size() - kMirrorSlots;
    const std::size_t count = std::max(kSlotsMin, old_count * 2);
    slots = std::vector<std::uint64_t>(count + kMirrorSlots, 0);
    for (std::size_t i = 0; i < old_count; ++i) {
      if (old[i] == 0) continue;
      std::size_t place = (old[i] >> 32) & (count - 1);
      while (slots[place] != 0) place = (place + 1) & (count - 1);
      set_slot(place, old[i]);
    }
  }

  /// The group of a key, or nothing.
  [[nodiscard]] std::optional<std::uint32_t> find(const KeyRef& wanted) const {
    if (slots.empty()) return std::nullopt;
    const std::uint32_t hash = hash_key(wanted);
    const std::size_t mask = slot_count() - 1;
    for (std::size_t place = hash & mask;; place = (place + 1) & mask) {
      const std::uint64_t slot = slots[place];
      if (slot == 0) return std::nullopt;
      if (static_cast<std::uint32_t>(slot >> 32) != hash) continue;
      const std::uint32_t group = static_cast<std::uint32_t>(slot) - 1;
      if (equal_keys(key(group), wanted)) return group;
    }
  }

  std::uint32_t find_or_add(const KeyRef& wanted, std::uint32_t hash) {
    // At most 0.7 full, so that a run of full slots stays short.
    if (groups * 10 >= slot_count() * 7) grow_slots();
    const std::size_t mask = slot_count() - 1;
    std::size_t place = hash & mask;
    while (true) {
      const std::uint64_t slot = slots[place];
      if (slot == 0) break;
      if (static_cast<std::uint32_t>(slot >> 32) == hash) {
        const std::uint32_t group = static_cast<std::uint32_t>(slot) - 1;
        if (equal_keys(key(group), wanted)) return group;
      }
      place = (place + 1) & mask;
    }
    MR_CHECK(groups < std::numeric_limits<std::uint32_t>::max() - 1, "{} groups in one table",
             groups);
    char* const made = add_row();
    auto& kept = StateLayout::at<KeyRef>(made, 0);
    kept = wanted;
    if (!kept.is_short()) keep_key(kept);
    layout.make(made);
    set_slot(place, (static_cast<std::uint64_t>(hash) << 32) | groups);
    return static_cast<std::uint32_t>(groups - 1);
  }

  /// The states of `rows` keys.
  void find_states(const KeyRef* keys, std::size_t rows, char** out) {
    std::array<std::uint32_t, kPieceRows> hashes;
    for (std::size_t i = 0; i < rows; ++i) hashes[i] = hash_key(keys[i]);
    if (slots.empty()) grow_slots();
    const bool large = groups * layout.stride() + slots.size() * 8 > kPrefetchBytes;
    std::array<std::uint32_t, kStepRows> named;
    for (std::size_t begin = 0; begin < rows; begin += kStepRows) {
      const std::size_t count = std::min(kStepRows, rows - begin);
      const std::uint32_t* const step_hashes = hashes.data() + begin;
      if (large) {
        name_groups<true>(step_hashes, count, rows - begin, named.data());
      } else {
        name_groups<false>(step_hashes, count, rows - begin, named.data());
      }
      take_states(keys + begin, step_hashes, named.data(), count, begin, out);
    }
  }

  /// Of each hash the number + 1 of the group that has it, 0 where none does. No branch depends on
  /// the data, so that the loads of many rows overlap. Where the table is large two loads that miss
  /// stand behind each other, the slot and the row that it names: the slots of the next step are
  /// asked for here, and the rows of this one.
  template <bool kLarge>
  void name_groups(const std::uint32_t* hashes, std::size_t count, std::size_t known,
                   std::uint32_t* named) const {
    const std::uint64_t* const all = slots.data();
    const std::size_t mask = slot_count() - 1;
    const std::size_t stride = layout.stride();
    if constexpr (kLarge) {
      for (std::size_t i = kStepRows; i < std::min(2 * kStepRows, known); ++i) {
        __builtin_prefetch(all + (hashes[i] & mask));
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t hash = hashes[i];
      const std::uint64_t* const at = all + (hash & mask);
      // Groups never go, so a slot that has the hash belongs to it wherever it lies behind the
      // hash's place.
      std::uint32_t found = 0;
      for (std::size_t k = kWindowSlots; k-- > 0;) {
        const std::uint64_t slot = at[k];
        found = static_cast<std::uint32_t>(slot >> 32) == hash ? static_cast<std::uint32_t>(slot)
                                                               : found;
      }
      named[i] = found;
      if constexpr (kLarge) {
        if (found != 0) {
          const char* const state = row(found - 1);
          for (std::size_t line = 0; line < stride; line += 64) __builtin_prefetch(state + line, 1);
        }
      }
    }
  }

  void take_states(const KeyRef* keys, const std::uint32_t* hashes, const std::uint32_t* named,
                   std::size_t count, std::size_t done, char** out) {
    const std::size_t stride = layout.stride();
    const unsigned shift = chunk_shift;
    const std::size_t in_chunk = (std::size_t{1} << shift) - 1;
    const std::unique_ptr<char[]>* all = chunks.data();
    for (std::size_t i = 0; i < count; ++i) {
      if (named[i] != 0) [[likely]] {
        const std::size_t group = named[i] - 1;
        char* const state = all[group >> shift].get() + (group & in_chunk) * stride;
        if (equal_keys(StateLayout::at<KeyRef>(state, 0), keys[i])) [[likely]] {
          out[done + i] = state;
          continue;
        }
      }
      const auto first =
          chunks.empty() ? 0 : reinterpret_cast<std::uintptr_t>(chunks.front().get());
      char* const state = row(find_or_add(keys[i], hashes[i]));
      // A first chunk that grew has moved, and all rows until now were in it.
      char* const moved = chunks.front().get();
      if (reinterpret_cast<std::uintptr_t>(moved) != first) {
        for (std::size_t k = 0; k < done + i; ++k) {
          out[k] = moved + (reinterpret_cast<std::uintptr_t>(out[k]) - first);
        }
      }
      out[done + i] = state;
      all = chunks.data();
    }
  }

  /// Where the only key is an integer and all of its values lie close together, the group of a
  /// value that came before is found by the value itself. Many views group by a small number.
  template <class T>
  void find_direct(const ColumnView& column, std::size_t begin, std::size_t rows, char** states) {
    std::array<std::uint32_t, kPieceRows> named;  // number + 1; 0: not found by its value
    const std::uint32_t* const known = direct.data();
    const std::size_t size = direct.size();
    const auto base = static_cast<std::uint64_t>(direct_base);
    std::size_t misses = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      const auto value = static_cast<std::int64_t>(load_value<T>(column.data, begin + i));
      const std::uint64_t place = static_cast<std::uint64_t>(value) - base;
      named[i] = place < size && column.valid(begin + i) ? known[place] : 0;
      misses += named[i] == 0 ? 1 : 0;
    }
    for (std::size_t i = 0; i < rows && misses != 0; ++i) {
      if (named[i] != 0) continue;
      KeyRef wanted;
      make_fixed_keys<T>(column, begin + i, begin + i + 1, &wanted);
      const std::uint32_t group = find_or_add(wanted, hash_key(wanted));
      named[i] = group + 1;
      if (column.valid(begin + i)) {
        know_direct(static_cast<std::int64_t>(load_value<T>(column.data, begin + i)), group);
      }
    }
    // Only now: a new group may have moved the rows of the first chunk.
    const std::size_t stride = layout.stride();
    const unsigned shift = chunk_shift;
    const std::size_t in_chunk = (std::size_t{1} << shift) - 1;
    const std::unique_ptr<char[]>* const all = chunks.data();
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t group = named[i] - 1;
      states[i] = all[group >> shift].get() + (group & in_chunk) * stride;
    }
  }

  /// Notes the group of a value; gives up where the values lie too far apart.
  void know_direct(std::int64_t value, std::uint32_t group) {
    if (!direct_useful) return;
    if (direct.empty()) {
      direct_base = value;
      direct.assign(1, 0);
    }
    const auto end = static_cast<Int128>(direct_base) + static_cast<Int128>(direct.size());
    if (value < direct_base || value >= end) {
      const std::int64_t low = std::min(value, direct_base);
      const Int128 range = std::max<Int128>(value + Int128{1}, end) - low;
      // Values far apart would take more memory than their groups.
      if (range > kDirectMax || range > kDirectFirst + 2 * static_cast<Int128>(groups)) {
        direct_useful = false;
        direct = {};
        return;
      }
      std::vector<std::uint32_t> wider(static_cast<std::size_t>(range), 0);
      std::ranges::copy(direct, wider.begin() + (direct_base - low));
      direct = std::move(wider);
      direct_base = low;
    }
    direct[static_cast<std::size_t>(value - direct_base)] = group + 1;
  }

  void update(const BatchView& batch) {
    const std::size_t key_count = plan.keys.size();
    MR_CHECK(batch.columns.size() == key_count + plan.arguments.size(),
             "{} columns for {} keys and {} arguments", batch.columns.size(), key_count,
             plan.arguments.size());
    const auto key_columns = batch.columns.first(key_count);
    const bool one_fixed = key_count == 1 && !key_columns[0].type.is_string() &&
                           millrace::size_bytes(key_columns[0].type.physical()) <= 8;
    std::array<KeyRef, kPieceRows> keys;
    std::array<char*, kPieceRows> states;
    EncodedKeys encoded;
    for (std::size_t begin = 0; begin < batch.rows; begin += kPieceRows) {
      const std::size_t rows = std::min(kPieceRows, batch.rows - begin);
      if (key_count == 0) {
        std::fill_n(states.begin(), rows, row(find_or_add(KeyRef{}, hash_key(KeyRef{}))));
      } else {
        bool found = false;
        if (one_fixed) {
          visit_fixed(key_columns[0].type.physical(), [&](auto example) {
            using T = decltype(example);
            if constexpr (sizeof(T) <= 8) {
              if constexpr (std::is_integral_v<T>) {
                if (direct_useful) {
                  find_direct<T>(key_columns[0], begin, rows, states.data());
                  found = true;
                  return;
                }
              }
              make_fixed_keys<T>(key_columns[0], begin, begin + rows, keys.data());
            }
          });
        } else {
          encode_keys(key_columns, begin, begin + rows, encoded);
          std::uint32_t at = 0;
          for (std::size_t i = 0; i < rows; ++i) {
            keys[i] = make_key_with_slack(encoded.bytes.data() + at, encoded.ends[i] - at);
            at = encoded.ends[i];
          }
        }
        if (!found) find_states(keys.data(), rows, states.data());
      }
      heap_bytes +=
          adder.add(layout, batch.columns.subspan(key_count), begin, rows, states.data(), texts);
    }
  }

  /// Group numbers in the order of their keys.
  [[nodiscard]] std::vector<std::uint32_t> sorted() const {
    struct Place {
      std::uint64_t prefix;
      std::uint32_t group;
    };
    std::vector<Place> places(groups);
    for (std::uint32_t group = 0; group < groups; ++group) {
      const std::string_view bytes = key(group).view();
      char raw[8] = {};
      std::memcpy(raw, bytes.data(), std::min<std::size_t>(8, bytes.size()));
      places[group] = {load_big_endian<std::uint64_t>(raw), group};
    }
    std::sort(places.begin(), places.end(), [&](const Place& a, const Place& b) {
      if (a.prefix != b.prefix) return a.prefix < b.prefix;
      return key(a.group).view() < key(b.group).view();
    });
    std::vector<std::uint32_t> out(groups);
    for (std::size_t i = 0; i < groups; ++i) out[i] = places[i].group;
    return out;
  }

  Status push_row(std::uint32_t group, std::span<const OutputColumn> outputs,
                  std::vector<std::string_view>& key_columns, ColumnBatch& out) const {
    return push_state_row(plan, layout, key(group).view(), row(group), outputs, key_columns, out);
  }

  AggregatePlan plan;
  StateLayout layout;
  unsigned chunk_shift = 0;
  std::vector<std::uint64_t> slots;
  std::vector<std::unique_ptr<char[]>> chunks;
  std::size_t row_capacity = 0;
  std::size_t groups = 0;
  std::size_t heap_bytes = 0;  // of cells that own memory
  Arena key_arena;
  TextKeeper texts;
  RowAdder adder;
  /// Of the values from direct_base on: number + 1 of the group, 0 where none is known. Not copied.
  std::vector<std::uint32_t> direct;
  std::int64_t direct_base = 0;
  bool direct_useful = true;
};

GroupTable::GroupTable(const AggregatePlan& plan) : impl_(std::make_unique<Impl>(plan)) {}
GroupTable::GroupTable(const GroupTable& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}
GroupTable::GroupTable(GroupTable&& other) noexcept = default;
GroupTable& GroupTable::operator=(GroupTable&& other) noexcept = default;
GroupTable::~GroupTable() = default;

void GroupTable::update(const BatchView& rows) { impl_->update(rows); }

Status GroupTable::merge_state(std::string_view key, std::string_view state) {
  std::vector<std::string_view> columns;
  MR_RETURN_IF_ERROR(split_key(key, impl_->plan.keys, columns));
  SingleState decoded(impl_->layout);
  if (!impl_->layout.decode(state, decoded.get())) return no_state(state.size());
  const KeyRef wanted = make_key(key);
  const std::uint32_t group = impl_->find_or_add(wanted, hash_key(wanted));
  impl_->heap_bytes += impl_->layout.merge(impl_->row(group), decoded.get(), impl_->texts);
  return {};
}

void GroupTable::merge(const GroupTable& other) {
  MR_CHECK(impl_->plan == other.impl_->plan, "tables of two plans are merged");
  const Impl& from = *other.impl_;
  const std::size_t count = from.groups;
  for (std::size_t group = 0; group < count; ++group) {
    const KeyRef& key = from.key(group);
    const std::uint32_t into = impl_->find_or_add(key, hash_key(key));
    impl_->heap_bytes += impl_->layout.merge(impl_->row(into), from.row(group), impl_->texts);
  }
}

std::size_t GroupTable::groups() const { return impl_->groups; }

std::size_t GroupTable::size_bytes() const {
  return sizeof(Impl) + impl_->slots.capacity() * sizeof(std::uint64_t) +
         impl_->direct.capacity() * sizeof(std::uint32_t) +
         impl_->row_capacity * impl_->layout.stride() + impl_->chunks.capacity() * sizeof(void*) +
         impl_->key_arena.size_bytes() + impl_->texts.size_bytes() + impl_->heap_bytes;
}

bool GroupTable::find_state(std::string_view key, std::string& state) const {
  const auto group = impl_->find(make_key(key));
  if (!group) return false;
  impl_->layout.encode(impl_->row(*group), state);
  return true;
}

bool GroupTable::has_key(std::string_view key) const {
  return impl_->find(make_key(key)).has_value();
}

void GroupTable::for_each_sorted(
    const std::function<void(std::string_view key, std::string_view state)>& visit) const {
  std::string state;
  for (const std::uint32_t group : impl_->sorted()) {
    state.clear();
    impl_->layout.encode(impl_->row(group), state);
    visit(impl_->key(group).view(), state);
  }
}

void GroupTable::for_each_key(const std::function<void(std::string_view key)>& visit) const {
  for (std::size_t group = 0; group < impl_->groups; ++group) visit(impl_->key(group).view());
}

void GroupTable::clear() { impl_ = std::make_unique<Impl>(impl_->plan); }

Status GroupTable::finalize(std::span<const OutputColumn> outputs, bool sorted,
                            ColumnBatch& out) const {
  std::vector<std::string_view> key_columns;
  out.reserve(out.rows() + impl_->groups);
  if (sorted) {
    for (const std::uint32_t group : impl_->sorted()) {
      MR_RETURN_IF_ERROR(impl_->push_row(group, outputs, key_columns, out));
    }
    return {};
  }
  for (std::uint32_t group = 0; group < impl_->groups; ++group) {
    MR_RETURN_IF_ERROR(impl_->push_row(group, outputs, key_columns, out));
  }
  return {};
}

Result<bool> GroupTable::finalize_one(std::string_view key, std::span<const OutputColumn> outputs,
                                      ColumnBatch& out) const {
  const auto group = impl_->find(make_key(key));
  if (!group) return false;
  std::vector<std::string_view> key_columns;
  MR_RETURN_IF_ERROR(impl_->push_row(*group, outputs, key_columns, out));
  return true;
}

struct GroupFold::Impl {
  explicit Impl(const AggregatePlan& for_plan)
      : plan(for_plan), layout(for_plan, 0), sum(layout), decoded(layout) {}

  AggregatePlan plan;
  StateLayout layout;
  TextKeeper texts;
  SingleState sum;
  SingleState decoded;
  std::vector<std::string_view> key_columns;
};

GroupFold::GroupFold(const AggregatePlan& plan) : impl_(std::make_unique<Impl>(plan)) {}
GroupFold::GroupFold(GroupFold&& other) noexcept = default;
GroupFold& GroupFold::operator=(GroupFold&& other) noexcept = default;
GroupFold::~GroupFold() = default;

Status GroupFold::add(std::string_view state) {
  impl_->decoded.reset();
  if (!impl_->layout.decode(state, impl_->decoded.get())) return no_state(state.size());
  impl_->layout.merge(impl_->sum.get(), impl_->decoded.get(), impl_->texts);
  return {};
}

void GroupFold::encode(std::string& out) { impl_->layout.encode(impl_->sum.get(), out); }

Status GroupFold::finalize(std::string_view key, std::span<const OutputColumn> outputs,
                           ColumnBatch& out) {
  return push_state_row(impl_->plan, impl_->layout, key, impl_->sum.get(), outputs,
                        impl_->key_columns, out);
}

void GroupFold::clear() {
  impl_->sum.reset();
  impl_->texts = {};
}

Status merge_states(const AggregatePlan& plan, std::string_view a, std::string_view b,
                    std::string& out) {
  const StateLayout layout(plan, 0);
  TextKeeper texts;
  SingleState first(layout);
  SingleState second(layout);
  if (!layout.decode(a, first.get())) return no_state(a.size());
  if (!layout.decode(b, second.get())) return no_state(b.size());
  layout.merge(first.get(), second.get(), texts);
  layout.encode(first.get(), out);
  return {};
}

}  // namespace millrace::view
