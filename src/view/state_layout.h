// How the partial state of one group lies in memory and as bytes (docs/reference/state_format.md,
// version 1): the one place that knows each component's cell. GroupTable keeps such states behind a
// key; merge_states() and merge_runs() need no table. A state is `stride()` bytes, 8-aligned, begun
// by make() and ended by drop(). It may be moved by copying its bytes. What goes into the cells is
// row_adder.h, what comes out state_values.h. Thread: immutable; any. Errors: decode() is false on
// bytes that are no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "view/aggregate_plan.h"
#include "view/composite.h"
#include "view/exact_sum.h"
#include "view/hyper_log_log.h"
#include "view/shared_cell.h"
#include "view/value_bag.h"

namespace millrace::view {

inline constexpr std::uint8_t kStateVersion = 1;

/// Cells. All zero bytes are "nothing yet" for each of them.
struct IntegerSum {
  // The value is bits + 2^128 * overflow.
  std::uint64_t low;
  std::uint64_t high;
  std::int64_t overflow;

  void add(Int128 value) {
    const auto old = static_cast<Int128>((static_cast<UInt128>(high) << 64) | low);
    Int128 sum = 0;
    if (__builtin_add_overflow(old, value, &sum)) [[unlikely]]
      carry(value < 0 ? -1 : 1);
    low = static_cast<std::uint64_t>(sum);
    high = static_cast<std::uint64_t>(static_cast<UInt128>(sum) >> 64);
  }
  /// Wraps, as only forged states can make it.
  void carry(std::int64_t by) {
    overflow = static_cast<std::int64_t>(static_cast<std::uint64_t>(overflow) +
                                         static_cast<std::uint64_t>(by));
  }
  [[nodiscard]] Int128 bits() const {
    return static_cast<Int128>((static_cast<UInt128>(high) << 64) | low);
  }
};

/// min and max of strings, and the smallest composite. The bytes belong to the owner of the state,
/// or to nobody while a state is decoded.
struct TextExtreme {
  const char* data;
  std::uint32_t size;
  std::uint32_t capacity;
  [[nodiscard]] std::string_view view() const { return {data, size}; }
};

/// min and max of all else: the ordered bits of a max, the inverted ones of a min, so that both are
/// "the larger unsigned wins" and zero loses against everything. bit_and, bit_or and bit_xor: the
/// bits in two's complement, those of a bit_and inverted, so that it is an "or" as well.
struct WideBits {
  std::uint64_t low;
  std::uint64_t high;
  [[nodiscard]] UInt128 bits() const { return (static_cast<UInt128>(high) << 64) | low; }
  void set(UInt128 value) {
    low = static_cast<std::uint64_t>(value);
    high = static_cast<std::uint64_t>(value >> 64);
  }
};

enum class CellKind : std::uint8_t {
  kCount,
  kIntegerSum,
  kExactSum,
  kProductSum,
  kPowerSum,
  kExtreme,
  kWideExtreme,
  kTextExtreme,
  kBits,
  kBag,
  kSketch,
};

struct Cell {
  CellKind kind = CellKind::kCount;
  ComponentKind component = ComponentKind::kCountRows;
  Type type;                          // of the first argument
  std::uint32_t argument = 0;         // index into AggregatePlan::arguments
  std::uint32_t second_argument = 0;  // of kSumProduct; else as `argument`
  std::optional<std::uint32_t> filter;
  std::uint32_t power = 0;  // of kSumPower
  std::uint32_t offset = 0;
  std::uint32_t flag = 0;  // of those is_flagged(): offset of the byte that is 1 once a row went in
  std::vector<CompositeColumn> columns;  // of kRows, kValues, kDistinct, kHyperLogLog
  BagRules rules;                        // of kBag
  [[nodiscard]] bool is_flagged() const {
    return kind >= CellKind::kExtreme && kind <= CellKind::kBits;
  }
  /// For these the smallest wins.
  [[nodiscard]] bool is_least() const { return component != ComponentKind::kMax; }
};

using BagCell = SharedCell<ValueBag>;
using SketchCell = SharedCell<HyperLogLog>;

/// Calls `visit` with std::type_identity of the type of a cell that owns memory; not at all for the
/// others.
template <class Visit>
void visit_owner(CellKind kind, Visit&& visit) {
  switch (kind) {
    case CellKind::kExactSum:
      return visit(std::type_identity<ExactSum>());
    case CellKind::kProductSum:
      return visit(std::type_identity<ExactProductSum>());
    case CellKind::kPowerSum:
      return visit(std::type_identity<ExactPowerSum>());
    case CellKind::kBag:
      return visit(std::type_identity<BagCell>());
    case CellKind::kSketch:
      return visit(std::type_identity<SketchCell>());
    case CellKind::kCount:
    case CellKind::kIntegerSum:
    case CellKind::kExtreme:
    case CellKind::kWideExtreme:
    case CellKind::kTextExtreme:
    case CellKind::kBits:
      return;
  }
}

/// The memory of texts that a TextExtreme keeps.
class TextKeeper {
 public:
  /// Takes a copy, in the old place where it fits. Places that became too small stay until the
  /// keeper goes: they grow by doubling, so they are fewer bytes than those in use.
  void assign(TextExtreme& cell, std::string_view text);
  [[nodiscard]] std::size_t size_bytes() const { return arena_.size_bytes(); }

 private:
  Arena arena_;
};

class StateLayout {
 public:
  /// `head_bytes` at the front of each state are the caller's.
  StateLayout(const AggregatePlan& plan, std::size_t head_bytes);

  [[nodiscard]] std::size_t stride() const { return stride_; }
  [[nodiscard]] const std::vector<Cell>& cells() const { return cells_; }

  /// Makes an empty state; the head is left alone.
  void make(char* state) const;
  void drop(char* state) const;
  [[nodiscard]] bool needs_drop() const { return owners_; }
  /// Makes `to` a copy of `from`, its texts in `texts`.
  void copy(char* to, const char* from, TextKeeper& texts) const;
  /// Adds `from`, a state of the same layout. Returns how many more bytes lie on the heap, which
  /// wraps where it is less.
  std::size_t merge(char* into, const char* from, TextKeeper& texts) const;
  [[nodiscard]] std::size_t heap_bytes(const char* state) const;

  void encode(const char* state, std::string& out) const;
  /// Into an empty state. Texts point into `bytes`. After false the state must still be dropped.
  [[nodiscard]] bool decode(std::string_view bytes, char* state) const;

  [[nodiscard]] std::int64_t count_at(const char* state, std::uint32_t component) const {
    return static_cast<std::int64_t>(at<std::uint64_t>(state, cells_[component].offset));
  }
  /// The ordered bits (ordered_bits.h) of the value of a min or max of fixed width.
  static UInt128 ordered_value(const Cell& cell, const char* state);

  template <class T>
  static T& at(char* state, std::uint32_t offset) {
    return *reinterpret_cast<T*>(state + offset);
  }
  template <class T>
  static const T& at(const char* state, std::uint32_t offset) {
    return *reinterpret_cast<const T*>(state + offset);
  }

 private:
  void merge_cell(const Cell& cell, char* into, const char* from, TextKeeper& texts) const;

  std::vector<Cell> cells_;
  std::size_t head_bytes_;
  std::size_t stride_ = 0;
  bool owners_ = false;
  bool texts_ = false;
};

/// One state by itself, for work without a table.
class SingleState {
 public:
  explicit SingleState(const StateLayout& layout);
  SingleState(const SingleState&) = delete;
  SingleState& operator=(const SingleState&) = delete;
  ~SingleState();
  [[nodiscard]] char* get() { return reinterpret_cast<char*>(words_.data()); }
  /// Empty again.
  void reset();

 private:
  const StateLayout& layout_;
  std::vector<std::uint64_t> words_;
};

[[nodiscard]] std::unexpected<Error> no_state(std::size_t bytes);

}  // namespace millrace::view
