// What the aggregate stage does with rows: adds a piece of a batch to the states of its groups,
// component by component, column by column. Owns scratch memory only. Thread: one at a time.
// Errors: none. Cost: no allocation per row for components of fixed width.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "view/composite.h"
#include "view/state_layout.h"

namespace millrace::view {

/// Rows are looked up and added in pieces of this many, so that keys, hashes and row addresses stay
/// in the cache. A multiple of 64: a piece begins at a word of a validity bitmap.
inline constexpr std::size_t kPieceRows = 1024;
static_assert(kPieceRows % 64 == 0);

class RowAdder {
 public:
  /// Adds the rows [begin, begin + rows) of the argument columns, row begin + i to states[i].
  /// `begin` is a multiple of 64, `rows` at most kPieceRows. Returns how many more bytes lie on the
  /// heap, which wraps where it is less.
  std::size_t add(const StateLayout& layout, std::span<const ColumnView> arguments,
                  std::size_t begin, std::size_t rows, char* const* states, TextKeeper& texts);

 private:
  using Words = std::array<std::uint64_t, kPieceRows / 64>;
  struct Piece;

  const std::uint64_t* select(const Cell& cell, const Piece& piece);
  const std::uint64_t* filter_words(std::uint32_t filter, const Piece& piece);
  std::size_t add_composites(const Cell& cell, const Piece& piece, const std::uint64_t* selected);

  std::size_t add_once(const Cell& cell, const Piece& piece, const EncodedKeys& composites,
                       const std::uint64_t* selected);

  CompositeEncoder encoder_;
  std::vector<std::uint32_t> chosen_;  // rows that go in
  std::vector<std::uint64_t> hashes_;  // of their composites
  Words selected_ = {};
  Words filtered_ = {};
  std::uint32_t filter_ = std::numeric_limits<std::uint32_t>::max();  // of filtered_
};

}  // namespace millrace::view
