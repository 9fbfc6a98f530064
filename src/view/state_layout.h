// How the partial state of one group lies in memory and as bytes (docs/internals/state_format.md,
// version 1): the one place that knows each component's cell. GroupTable keeps such states behind a
// key; merge_states() and merge_runs() need no table. A state is `stride()` bytes, 8-aligned, begun
// by make() and ended by drop(). It may be moved by copying its bytes. Thread: immutable; any.
// Errors: decode() is false on bytes that are no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/column_batch.h"
#include "view/aggregate_plan.h"
#include "view/exact_sum.h"

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

/// min and max of strings. The bytes belong to the owner of the state, or to nobody while a state
/// is decoded.
struct TextExtreme {
  const char* data;
  std::uint32_t size;
  std::uint32_t capacity;
  [[nodiscard]] std::string_view view() const { return {data, size}; }
};

/// min and max of all else: the ordered bits of a max, the inverted ones of a min, so that both are
/// "the larger unsigned wins" and zero loses against everything.
struct WideExtreme {
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
  kExtreme,
  kWideExtreme,
  kTextExtreme
};

struct Cell {
  CellKind kind = CellKind::kCount;
  ComponentKind component = ComponentKind::kCountRows;
  Type type;                   // of the argument
  std::uint32_t argument = 0;  // index into AggregatePlan::arguments
  std::uint32_t offset = 0;
  std::uint32_t flag = 0;  // min and max: offset of the byte that is 1 once there is a value
};

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
  [[nodiscard]] bool needs_drop() const { return exact_sums_; }
  /// Makes `to` a copy of `from`, its texts in `texts`.
  void copy(char* to, const char* from, TextKeeper& texts) const;
  /// Adds `from`, a state of the same layout. Returns how many more bytes lie on the heap.
  std::size_t merge(char* into, const char* from, TextKeeper& texts) const;
  [[nodiscard]] std::size_t heap_bytes(const char* state) const;

  void encode(const char* state, std::string& out) const;
  /// Into an empty state. Texts point into `bytes`. After false the state must still be dropped.
  [[nodiscard]] bool decode(std::string_view bytes, char* state) const;

  /// Whether a state can give the rows of these columns; then push_value() cannot fail.
  Status check_value(const char* state, const OutputColumn& output) const;
  /// Appends the finalized value of any output that is not a key.
  void push_value(const char* state, const OutputColumn& output, ColumnVector& out,
                  Arena& arena) const;

  template <class T>
  static T& at(char* state, std::uint32_t offset) {
    return *reinterpret_cast<T*>(state + offset);
  }
  template <class T>
  static const T& at(const char* state, std::uint32_t offset) {
    return *reinterpret_cast<const T*>(state + offset);
  }

 private:
  [[nodiscard]] std::int64_t count_at(const char* state, std::uint32_t component) const;

  std::vector<Cell> cells_;
  std::size_t head_bytes_;
  std::size_t stride_ = 0;
  bool exact_sums_ = false;
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
