#include "view/row_adder.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <type_traits>

#include "view/log_buckets.h"
#include "view/ordered_bits.h"

namespace millrace::view {

/// The rows at hand. Row i of a piece is row `begin` + i of its columns.
struct RowAdder::Piece {
  std::span<const ColumnView> arguments;
  std::size_t begin;
  std::size_t rows;
  char* const* states;
  TextKeeper& texts;
};

namespace {

/// `words` are the bits of the rows that count, nullptr where all do.
template <class Add>
void for_each_row(const std::uint64_t* words, std::size_t rows, Add&& add) {
  if (words == nullptr) {
    for (std::size_t i = 0; i < rows; ++i) add(i);
    return;
  }
  for (std::size_t i = 0; i < rows; i += 64) {
    std::uint64_t word = words[i / 64];
    const std::size_t count = std::min<std::size_t>(64, rows - i);
    if (count < 64) word &= (std::uint64_t{1} << count) - 1;
    if (word == ~std::uint64_t{0}) {
      for (std::size_t k = 0; k < 64; ++k) add(i + k);
      continue;
    }
    for (; word != 0; word &= word - 1) add(i + static_cast<std::size_t>(std::countr_zero(word)));
  }
}

/// Adds to the owner of memory in each row's state; `add` gives the bytes that it took more.
template <class Owner, class Add>
std::size_t add_each(const Cell& cell, const std::uint64_t* words, std::size_t rows,
                     char* const* states, Add&& add) {
  std::size_t taken = 0;
  const std::uint32_t offset = cell.offset;
  for_each_row(words, rows,
               [&](std::size_t i) { taken += add(StateLayout::at<Owner>(states[i], offset), i); });
  return taken;
}

void add_extremes(const Cell& cell, const ColumnView& column, std::size_t begin, std::size_t rows,
                  const std::uint64_t* words, char* const* states) {
  const bool least = cell.is_least();
  const std::uint32_t offset = cell.offset;
  visit_fixed(column.type.physical(), [&](auto example) {
    using T = decltype(example);
    for_each_row(words, rows, [&](std::size_t i) {
      char* const state = states[i];
      state[cell.flag] = 1;
      const auto ordered = to_ordered(load_value<T>(column.data, begin + i));
      if constexpr (sizeof(T) == 16) {
        auto& best = StateLayout::at<WideBits>(state, offset);
        best.set(std::max<UInt128>(best.bits(), least ? ~ordered : ordered));
      } else {
        auto& best = StateLayout::at<std::uint64_t>(state, offset);
        const std::uint64_t bits = ordered;
        best = std::max(best, least ? ~bits : bits);
      }
    });
  });
}

void add_bits(const Cell& cell, const ColumnView& column, std::size_t begin, std::size_t rows,
              const std::uint64_t* words, char* const* states) {
  visit_fixed(column.type.physical(), [&](auto example) {
    using T = decltype(example);
    if constexpr (!std::is_floating_point_v<T>) {
      for_each_row(words, rows, [&](std::size_t i) {
        char* const state = states[i];
        state[cell.flag] = 1;
        auto& bits = StateLayout::at<WideBits>(state, cell.offset);
        const auto value =
            static_cast<UInt128>(static_cast<Int128>(load_value<T>(column.data, begin + i)));
        switch (cell.component) {
          case ComponentKind::kBitAnd:
            bits.set(bits.bits() | ~value);
            break;
          case ComponentKind::kBitOr:
            bits.set(bits.bits() | value);
            break;
          default:
            bits.set(bits.bits() ^ value);
            break;
        }
      });
    }
  });
}

void add_integers(const Cell& cell, const ColumnView& column, std::size_t begin, std::size_t rows,
                  const std::uint64_t* words, char* const* states) {
  visit_fixed(column.type.physical(), [&](auto example) {
    using T = decltype(example);
    if constexpr (!std::is_floating_point_v<T>) {
      for_each_row(words, rows, [&](std::size_t i) {
        StateLayout::at<IntegerSum>(states[i], cell.offset)
            .add(static_cast<Int128>(load_value<T>(column.data, begin + i)));
      });
    }
  });
}

void keep_text(const Cell& cell, char* state, std::string_view text, TextKeeper& texts) {
  auto& best = StateLayout::at<TextExtreme>(state, cell.offset);
  if (state[cell.flag] == 0 || (cell.is_least() ? text < best.view() : text > best.view())) {
    texts.assign(best, text);
    state[cell.flag] = 1;
  }
}

}  // namespace

const std::uint64_t* RowAdder::filter_words(std::uint32_t filter, const Piece& piece) {
  if (filter == filter_) return filtered_.data();
  filter_ = filter;
  const ColumnView& column = piece.arguments[filter];
  const auto* const values = column.as<std::uint8_t>() + piece.begin;
  for (std::size_t i = 0; i < piece.rows; i += 64) {
    std::uint64_t word = 0;
    const std::size_t count = std::min<std::size_t>(64, piece.rows - i);
    for (std::size_t k = 0; k < count; ++k) {
      word |= static_cast<std::uint64_t>(values[i + k] != 0) << k;
    }
    if (column.validity != nullptr) word &= column.validity[(piece.begin + i) / 64];
    filtered_[i / 64] = word;
  }
  return filtered_.data();
}

/// The bits of the rows that go into a component: its filter is TRUE and its arguments are there.
const std::uint64_t* RowAdder::select(const Cell& cell, const Piece& piece) {
  const std::uint64_t* only = nullptr;
  const auto take = [&](const std::uint64_t* words) {
    if (words == nullptr || words == only) return;
    if (only == nullptr) {
      only = words;
      return;
    }
    for (std::size_t i = 0; i * 64 < piece.rows; ++i) selected_[i] = only[i] & words[i];
    only = selected_.data();
  };
  const auto take_valid = [&](std::uint32_t argument) {
    const std::uint64_t* const validity = piece.arguments[argument].validity;
    if (validity != nullptr) take(validity + piece.begin / 64);
  };
  if (cell.filter) take(filter_words(*cell.filter, piece));
  if (cell.component == ComponentKind::kCountRows || cell.component == ComponentKind::kRows)
    return only;
  if (!cell.columns.empty()) {
    for (const CompositeColumn& column : cell.columns) take_valid(column.argument);
    return only;
  }
  take_valid(cell.argument);
  if (cell.second_argument != cell.argument) take_valid(cell.second_argument);
  return only;
}

std::size_t RowAdder::add_composites(const Cell& cell, const Piece& piece,
                                     const std::uint64_t* selected) {
  const EncodedKeys& composites =
      encoder_.encode(cell.columns, piece.arguments, piece.begin, piece.begin + piece.rows);
  switch (cell.kind) {
    case CellKind::kTextExtreme:
      for_each_row(selected, piece.rows, [&](std::size_t i) {
        keep_text(cell, piece.states[i], composites[i], piece.texts);
      });
      return 0;
    case CellKind::kSketch:
      return add_each<SketchCell>(cell, selected, piece.rows, piece.states,
                                  [&](SketchCell& sketch, std::size_t i) {
                                    const std::size_t before = sketch.heap_bytes();
                                    sketch.own().add_hash(HyperLogLog::hash(composites[i]));
                                    return sketch.heap_bytes() - before;
                                  });
    default:
      if (cell.rules.once) return add_once(cell, piece, composites, selected);
      return add_each<BagCell>(cell, selected, piece.rows, piece.states,
                               [&](BagCell& bag, std::size_t i) {
                                 const std::size_t before = bag.heap_bytes();
                                 bag.own().add(cell.rules, composites[i]);
                                 return bag.heap_bytes() - before;
                               });
  }
}

/// The bags of many groups do not fit into the cache, and behind each row stand three loads that
/// miss: the bag, its slot, the entry that the slot names. Each is asked for a number of rows
/// ahead.
std::size_t RowAdder::add_once(const Cell& cell, const Piece& piece, const EncodedKeys& composites,
                               const std::uint64_t* selected) {
  chosen_.clear();
  hashes_.clear();
  for_each_row(selected, piece.rows, [&](std::size_t i) {
    chosen_.push_back(static_cast<std::uint32_t>(i));
    hashes_.push_back(ValueBag::hash(composites[i]));
  });
  const std::size_t count = chosen_.size();
  const auto bag_of = [&](std::size_t k) -> BagCell& {
    return StateLayout::at<BagCell>(piece.states[chosen_[k]], cell.offset);
  };
  constexpr std::size_t kAhead = 8;
  std::size_t taken = 0;
  for (std::size_t k = 0; k < count + 3 * kAhead; ++k) {
    if (k < count) __builtin_prefetch(bag_of(k).get(), 1);
    if (k >= kAhead && k - kAhead < count) {
      const ValueBag* const bag = bag_of(k - kAhead).get();
      if (bag != nullptr) bag->prefetch_slot(hashes_[k - kAhead]);
    }
    if (k >= 2 * kAhead && k - 2 * kAhead < count) {
      const ValueBag* const bag = bag_of(k - 2 * kAhead).get();
      if (bag != nullptr) bag->prefetch_entry(hashes_[k - 2 * kAhead]);
    }
    if (k < 3 * kAhead) continue;
    const std::size_t at = k - 3 * kAhead;
    BagCell& bag = bag_of(at);
    const std::size_t before = bag.heap_bytes();
    bag.own().add_hashed(cell.rules, composites[chosen_[at]], hashes_[at]);
    taken += bag.heap_bytes() - before;
  }
  return taken;
}

std::size_t RowAdder::add(const StateLayout& layout, std::span<const ColumnView> arguments,
                          std::size_t begin, std::size_t rows, char* const* states,
                          TextKeeper& texts) {
  const Piece piece{arguments, begin, rows, states, texts};
  filter_ = std::numeric_limits<std::uint32_t>::max();
  std::size_t taken = 0;
  for (const Cell& cell : layout.cells()) {
    const std::uint64_t* const words = select(cell, piece);
    const std::uint32_t offset = cell.offset;
    if (cell.kind == CellKind::kCount) {
      for_each_row(words, rows,
                   [&](std::size_t i) { ++StateLayout::at<std::uint64_t>(states[i], offset); });
      continue;
    }
    if (!cell.columns.empty()) {
      taken += add_composites(cell, piece, words);
      continue;
    }
    const ColumnView& column = arguments[cell.argument];
    switch (cell.kind) {
      case CellKind::kCount:
      case CellKind::kSketch:
        break;
      case CellKind::kIntegerSum:
        add_integers(cell, column, begin, rows, words, states);
        break;
      case CellKind::kExactSum: {
        const auto add_values = [&](const auto* values) {
          taken += add_each<ExactSum>(cell, words, rows, states, [&](ExactSum& sum, std::size_t i) {
            return sum.add_tracked(static_cast<double>(values[begin + i]));
          });
        };
        if (column.type.physical() == PhysicalType::kFloat) {
          add_values(column.as<float>());
        } else {
          add_values(column.as<double>());
        }
        break;
      }
      case CellKind::kProductSum: {
        const auto* const x = column.as<double>() + begin;
        const auto* const y = arguments[cell.second_argument].as<double>() + begin;
        taken += add_each<ExactProductSum>(
            cell, words, rows, states,
            [&](ExactProductSum& sum, std::size_t i) { return sum.add_product(x[i], y[i]); });
        break;
      }
      case CellKind::kPowerSum: {
        const auto* const x = column.as<double>() + begin;
        const bool cube = cell.power == 3;
        taken += add_each<ExactPowerSum>(
            cell, words, rows, states, [&](ExactPowerSum& sum, std::size_t i) {
              return cube ? sum.add_cube(x[i]) : sum.add_fourth_power(x[i]);
            });
        break;
      }
      case CellKind::kExtreme:
      case CellKind::kWideExtreme:
        add_extremes(cell, column, begin, rows, words, states);
        break;
      case CellKind::kTextExtreme: {
        const auto* const values = column.as<StringRef>() + begin;
        for_each_row(words, rows,
                     [&](std::size_t i) { keep_text(cell, states[i], values[i].view(), texts); });
        break;
      }
      case CellKind::kBits:
        add_bits(cell, column, begin, rows, words, states);
        break;
      case CellKind::kBag: {  // of buckets: all others have columns
        const auto* const values = column.as<double>() + begin;
        taken += add_each<BagCell>(cell, words, rows, states, [&](BagCell& bag, std::size_t i) {
          char bucket[kBucketBytes];
          store_bucket(bucket_of(values[i]), bucket);
          const std::size_t before = bag.heap_bytes();
          bag.own().add(cell.rules, {bucket, kBucketBytes});
          return bag.heap_bytes() - before;
        });
        break;
      }
    }
  }
  return taken;
}

}  // namespace millrace::view
