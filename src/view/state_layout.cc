#include "view/state_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace millrace::view {
namespace {

bool is_float(const Type& type) {
  return type.physical() == PhysicalType::kFloat || type.physical() == PhysicalType::kDouble;
}

bool keeps_composites(ComponentKind kind) {
  return kind == ComponentKind::kRows || kind == ComponentKind::kValues ||
         kind == ComponentKind::kDistinct || kind == ComponentKind::kHyperLogLog;
}

std::size_t argument_count(ComponentKind kind) {
  if (kind == ComponentKind::kCountRows) return 0;
  return kind == ComponentKind::kSumProduct ? 2 : 1;
}

/// A plan that breaks these rules is a bug of the compiler.
void check_component(const AggregatePlan& plan, const Component& component) {
  const int kind = static_cast<int>(component.kind);
  const auto& arguments = component.arguments;
  const std::size_t wanted = argument_count(component.kind);
  MR_CHECK(keeps_composites(component.kind) ? !arguments.empty() : arguments.size() == wanted,
           "component kind {} of {} arguments", kind, arguments.size());
  for (const ComponentArgument& argument : arguments) {
    MR_CHECK(argument.index < plan.arguments.size(), "component of argument {} of {}",
             argument.index, plan.arguments.size());
  }
  if (component.filter) {
    MR_CHECK(*component.filter < plan.arguments.size() &&
                 plan.arguments[*component.filter].kind == TypeKind::kBoolean,
             "component kind {} is filtered by argument {}, which is no BOOLEAN", kind,
             *component.filter);
  }
  const auto all = [&](auto&& fits) {
    for (const ComponentArgument& argument : arguments) {
      const Type& type = plan.arguments[argument.index];
      MR_CHECK(fits(type), "component kind {} of {}", kind, type.sql());
    }
  };
  switch (component.kind) {
    case ComponentKind::kSumInteger:
      all([](const Type& type) { return !type.is_string() && !is_float(type); });
      break;
    case ComponentKind::kSumDouble:
      all(is_float);
      break;
    case ComponentKind::kBitAnd:
    case ComponentKind::kBitOr:
    case ComponentKind::kBitXor:
      all([](const Type& type) { return type.is_integer(); });
      break;
    case ComponentKind::kSumPower:
      MR_CHECK(component.parameter >= 2 && component.parameter <= 4, "a sum of x to the power {}",
               component.parameter);
      [[fallthrough]];
    case ComponentKind::kSumProduct:
    case ComponentKind::kBuckets:
      all([](const Type& type) { return type.physical() == PhysicalType::kDouble; });
      break;
    case ComponentKind::kMin:
    case ComponentKind::kMax:
      // The bytes of a nested value do not order as it does: kRows has its order.
      all([](const Type& type) { return !type.is_nested(); });
      break;
    case ComponentKind::kCountRows:
    case ComponentKind::kCount:
    case ComponentKind::kRows:
    case ComponentKind::kValues:
    case ComponentKind::kDistinct:
    case ComponentKind::kHyperLogLog:
      break;
  }
}

CellKind cell_kind(const Component& component, const Type& type) {
  switch (component.kind) {
    case ComponentKind::kCountRows:
    case ComponentKind::kCount:
      return CellKind::kCount;
    case ComponentKind::kSumInteger:
      return CellKind::kIntegerSum;
    case ComponentKind::kSumDouble:
      return CellKind::kExactSum;
    case ComponentKind::kMin:
    case ComponentKind::kMax:
      if (type.is_string()) return CellKind::kTextExtreme;
      return type.physical() == PhysicalType::kInt128 ? CellKind::kWideExtreme : CellKind::kExtreme;
    case ComponentKind::kBitAnd:
    case ComponentKind::kBitOr:
    case ComponentKind::kBitXor:
      return CellKind::kBits;
    case ComponentKind::kSumPower:
      return component.parameter == 2 ? CellKind::kProductSum : CellKind::kPowerSum;
    case ComponentKind::kSumProduct:
      return CellKind::kProductSum;
    case ComponentKind::kRows:
      return component.parameter == 1 ? CellKind::kTextExtreme : CellKind::kBag;
    case ComponentKind::kValues:
    case ComponentKind::kDistinct:
    case ComponentKind::kBuckets:
      return CellKind::kBag;
    case ComponentKind::kHyperLogLog:
      return CellKind::kSketch;
  }
  return CellKind::kCount;
}

Cell make_cell(const AggregatePlan& plan, const Component& component) {
  check_component(plan, component);
  Cell cell;
  cell.component = component.kind;
  cell.filter = component.filter;
  if (!component.arguments.empty()) {
    cell.argument = component.arguments.front().index;
    cell.second_argument = component.arguments.back().index;
    cell.type = plan.arguments[cell.argument];
  }
  cell.kind = cell_kind(component, cell.type);
  if (component.kind == ComponentKind::kSumPower) cell.power = component.parameter;
  const bool rows = component.kind == ComponentKind::kRows;
  if (keeps_composites(component.kind)) {
    for (const ComponentArgument& argument : component.arguments) {
      // Only in kRows does the order of a column matter; elsewhere it is that of the values.
      cell.columns.push_back({.type = plan.arguments[argument.index],
                              .argument = argument.index,
                              .descending = rows && argument.descending,
                              .nulls_last = rows && argument.nulls_last});
    }
  }
  cell.rules = {.once = !rows,
                .counted = component.kind == ComponentKind::kValues ||
                           component.kind == ComponentKind::kBuckets,
                .limit = rows ? component.parameter : 0};
  return cell;
}

std::size_t cell_bytes(CellKind kind) {
  switch (kind) {
    case CellKind::kCount:
    case CellKind::kExtreme:
      return 8;
    case CellKind::kWideExtreme:
    case CellKind::kBits:
      return sizeof(WideBits);
    case CellKind::kTextExtreme:
      return sizeof(TextExtreme);
    case CellKind::kIntegerSum:
      return sizeof(IntegerSum);
    case CellKind::kExactSum:
      return sizeof(ExactSum);
    case CellKind::kProductSum:
      return sizeof(ExactProductSum);
    case CellKind::kPowerSum:
      return sizeof(ExactPowerSum);
    case CellKind::kBag:
      return sizeof(BagCell);
    case CellKind::kSketch:
      return sizeof(SketchCell);
  }
  return 0;
}

/// Whether `text` takes the place of what a min or max has.
bool wins(const Cell& cell, std::string_view text, std::string_view old) {
  return cell.is_least() ? text < old : text > old;
}

/// The bag becomes both; returns nothing, the caller compares the heap bytes.
void merge_bags(const BagRules& rules, BagCell& into, const BagCell& from) {
  if (from.get() == nullptr) return;
  // Held, so that it stays as it is even where both cells share it.
  const BagCell other = from;
  if (into.get() == nullptr) {
    into = other;
  } else if (other.get()->entries() > into.get()->entries() * 2) {
    // To copy the larger one is cheaper than to look up each of its entries.
    BagCell larger = other;
    larger.own().merge(rules, *into.get());
    into = std::move(larger);
  } else {
    into.own().merge(rules, *other.get());
  }
}

}  // namespace

void TextKeeper::assign(TextExtreme& cell, std::string_view text) {
  if (text.size() > cell.capacity) {
    const std::size_t room =
        std::max<std::size_t>({text.size(), std::size_t{cell.capacity} * 2, 16});
    cell.capacity = static_cast<std::uint32_t>(std::min<std::size_t>(room, std::uint32_t(-1)));
    cell.data = arena_.allocate(cell.capacity);
  }
  if (!text.empty()) std::memcpy(const_cast<char*>(cell.data), text.data(), text.size());
  cell.size = static_cast<std::uint32_t>(text.size());
}

StateLayout::StateLayout(const AggregatePlan& plan, std::size_t head_bytes)
    : head_bytes_(head_bytes) {
  std::size_t end = head_bytes;
  for (const Component& component : plan.components) {
    Cell cell = make_cell(plan, component);
    cell.offset = static_cast<std::uint32_t>(end);
    end += cell_bytes(cell.kind);
    visit_owner(cell.kind, [&](auto) { owners_ = true; });
    texts_ = texts_ || cell.kind == CellKind::kTextExtreme;
    cells_.push_back(std::move(cell));
  }
  for (Cell& cell : cells_) {
    if (cell.is_flagged()) cell.flag = static_cast<std::uint32_t>(end++);
  }
  stride_ = (end + 7) / 8 * 8;
}

void StateLayout::make(char* state) const {
  std::memset(state + head_bytes_, 0, stride_ - head_bytes_);
  if (!owners_) return;
  for (const Cell& cell : cells_) {
    visit_owner(cell.kind, [&](auto owner) {
      using Owner = typename decltype(owner)::type;
      new (state + cell.offset) Owner;
    });
  }
}

void StateLayout::drop(char* state) const {
  if (!owners_) return;
  for (const Cell& cell : cells_) {
    visit_owner(cell.kind, [&](auto owner) {
      using Owner = typename decltype(owner)::type;
      at<Owner>(state, cell.offset).~Owner();
    });
  }
}

void StateLayout::copy(char* to, const char* from, TextKeeper& texts) const {
  std::memcpy(to + head_bytes_, from + head_bytes_, stride_ - head_bytes_);
  if (!owners_ && !texts_) return;
  for (const Cell& cell : cells_) {
    if (cell.kind == CellKind::kTextExtreme) {
      auto& text = at<TextExtreme>(to, cell.offset);
      text = {};
      texts.assign(text, at<TextExtreme>(from, cell.offset).view());
    }
    visit_owner(cell.kind, [&](auto owner) {
      using Owner = typename decltype(owner)::type;
      new (to + cell.offset) Owner(at<Owner>(from, cell.offset));
    });
  }
}

std::size_t StateLayout::heap_bytes(const char* state) const {
  std::size_t sum = 0;
  if (!owners_) return sum;
  for (const Cell& cell : cells_) {
    visit_owner(cell.kind, [&](auto owner) {
      using Owner = typename decltype(owner)::type;
      sum += at<Owner>(state, cell.offset).heap_bytes();
    });
  }
  return sum;
}

UInt128 StateLayout::ordered_value(const Cell& cell, const char* state) {
  const bool wide = cell.kind == CellKind::kWideExtreme;
  UInt128 bits =
      wide ? at<WideBits>(state, cell.offset).bits() : at<std::uint64_t>(state, cell.offset);
  if (cell.is_least()) bits = ~bits;
  return wide ? bits : bits & ~std::uint64_t{0};
}

std::size_t StateLayout::merge(char* into, const char* from, TextKeeper& texts) const {
  std::size_t taken = 0;
  for (const Cell& cell : cells_) {
    merge_cell(cell, into, from, texts);
    visit_owner(cell.kind, [&](auto owner) {
      using Owner = typename decltype(owner)::type;
      auto& mine = at<Owner>(into, cell.offset);
      const auto& other = at<Owner>(from, cell.offset);
      const std::size_t before = mine.heap_bytes();
      if constexpr (std::is_same_v<Owner, BagCell>) {
        merge_bags(cell.rules, mine, other);
      } else if constexpr (std::is_same_v<Owner, SketchCell>) {
        if (mine.get() == nullptr) {
          mine = other;
        } else if (other.get() != nullptr && other.get() != mine.get()) {
          mine.own().merge(*other.get());
        }
      } else {
        mine.merge(other);
      }
      taken += mine.heap_bytes() - before;
    });
  }
  return taken;
}

void StateLayout::merge_cell(const Cell& cell, char* into, const char* from,
                             TextKeeper& texts) const {
  switch (cell.kind) {
    case CellKind::kCount: {
      auto& count = at<std::uint64_t>(into, cell.offset);
      count += at<std::uint64_t>(from, cell.offset);
      break;
    }
    case CellKind::kIntegerSum: {
      auto& sum = at<IntegerSum>(into, cell.offset);
      const auto& other = at<IntegerSum>(from, cell.offset);
      sum.carry(other.overflow);
      sum.add(other.bits());
      break;
    }
    case CellKind::kExtreme: {
      auto& best = at<std::uint64_t>(into, cell.offset);
      best = std::max(best, at<std::uint64_t>(from, cell.offset));
      break;
    }
    case CellKind::kWideExtreme: {
      auto& best = at<WideBits>(into, cell.offset);
      best.set(std::max(best.bits(), at<WideBits>(from, cell.offset).bits()));
      break;
    }
    case CellKind::kTextExtreme: {
      if (from[cell.flag] == 0) break;
      auto& best = at<TextExtreme>(into, cell.offset);
      const std::string_view text = at<TextExtreme>(from, cell.offset).view();
      if (into[cell.flag] == 0 || wins(cell, text, best.view())) texts.assign(best, text);
      break;
    }
    case CellKind::kBits: {
      auto& bits = at<WideBits>(into, cell.offset);
      const UInt128 other = at<WideBits>(from, cell.offset).bits();
      bits.set(cell.component == ComponentKind::kBitXor ? bits.bits() ^ other
                                                        : bits.bits() | other);
      break;
    }
    case CellKind::kExactSum:
    case CellKind::kProductSum:
    case CellKind::kPowerSum:
    case CellKind::kBag:
    case CellKind::kSketch:
      return;
  }
  if (cell.is_flagged()) into[cell.flag] = static_cast<char>(into[cell.flag] | from[cell.flag]);
}

SingleState::SingleState(const StateLayout& layout)
    : layout_(layout), words_(layout.stride() / 8 + 1) {
  layout_.make(get());
}

SingleState::~SingleState() { layout_.drop(get()); }

void SingleState::reset() {
  layout_.drop(get());
  layout_.make(get());
}

}  // namespace millrace::view
