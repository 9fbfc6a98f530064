#include "view/state_layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/check.h"
#include "view/ordered_bits.h"

namespace millrace::view {
namespace {

Cell make_cell(const AggregatePlan& plan, const Component& component) {
  Cell cell;
  cell.component = component.kind;
  if (component.kind == ComponentKind::kCountRows) return cell;
  cell.argument = component.arguments.front().index;
  MR_CHECK(cell.argument < plan.arguments.size(), "component of argument {} of {}", cell.argument,
           plan.arguments.size());
  cell.type = plan.arguments[cell.argument];
  const PhysicalType physical = cell.type.physical();
  switch (component.kind) {
    case ComponentKind::kCountRows:
    case ComponentKind::kCount:
      cell.kind = CellKind::kCount;
      break;
    case ComponentKind::kSumInteger:
      MR_CHECK(physical != PhysicalType::kString && physical != PhysicalType::kFloat &&
                   physical != PhysicalType::kDouble,
               "an integer sum of {}", cell.type.sql());
      cell.kind = CellKind::kIntegerSum;
      break;
    case ComponentKind::kSumDouble:
      MR_CHECK(physical == PhysicalType::kFloat || physical == PhysicalType::kDouble,
               "an exact sum of {}", cell.type.sql());
      cell.kind = CellKind::kExactSum;
      break;
    case ComponentKind::kMin:
    case ComponentKind::kMax:
      cell.kind = physical == PhysicalType::kString   ? CellKind::kTextExtreme
                  : physical == PhysicalType::kInt128 ? CellKind::kWideExtreme
                                                      : CellKind::kExtreme;
      break;
    default:
      MR_CHECK(false, "component kind {} has no cell", static_cast<int>(component.kind));
  }
  return cell;
}

std::size_t cell_bytes(CellKind kind) {
  switch (kind) {
    case CellKind::kCount:
    case CellKind::kExtreme:
      return 8;
    case CellKind::kWideExtreme:
    case CellKind::kTextExtreme:
      return 16;
    case CellKind::kIntegerSum:
      return sizeof(IntegerSum);
    case CellKind::kExactSum:
      return sizeof(ExactSum);
  }
  return 0;
}

bool is_extreme(CellKind kind) {
  return kind == CellKind::kExtreme || kind == CellKind::kWideExtreme ||
         kind == CellKind::kTextExtreme;
}

/// Whether `text` takes the place of what a min or max has.
bool wins(const Cell& cell, std::string_view text, std::string_view old) {
  return cell.component == ComponentKind::kMin ? text < old : text > old;
}

/// The ordered bits of the value of a min or max of fixed width.
UInt128 ordered_value(const Cell& cell, const char* state) {
  const bool wide = cell.kind == CellKind::kWideExtreme;
  UInt128 bits = wide ? StateLayout::at<WideExtreme>(state, cell.offset).bits()
                      : StateLayout::at<std::uint64_t>(state, cell.offset);
  if (cell.component == ComponentKind::kMin) bits = ~bits;
  return wide ? bits : bits & ~std::uint64_t{0};
}

/// Two's complement in the fewest bytes, little endian, behind the number of them.
void encode_integer_sum(const IntegerSum& sum, std::string& out) {
  // bits() is the signed low part, so its sign reaches into the third word.
  const std::uint64_t third =
      static_cast<std::uint64_t>(sum.overflow) + (sum.bits() < 0 ? ~std::uint64_t{0} : 0);
  std::array<std::uint8_t, 24> bytes = {};
  const std::array<std::uint64_t, 3> words = {sum.low, sum.high, third};
  std::memcpy(bytes.data(), words.data(), bytes.size());
  std::size_t size = bytes.size();
  const std::uint8_t fill = (bytes.back() & 0x80) != 0 ? 0xff : 0;
  while (size > 0 && bytes[size - 1] == fill &&
         (size == 1 ? fill == 0 : ((bytes[size - 2] ^ fill) & 0x80) == 0)) {
    --size;
  }
  out.push_back(static_cast<char>(size));
  out.append(reinterpret_cast<const char*>(bytes.data()), size);
}

bool decode_integer_sum(ByteReader& in, IntegerSum& sum) {
  const std::size_t size = in.get<std::uint8_t>();
  const std::string_view raw = size <= 24 ? in.get_bytes(size) : std::string_view();
  if (!in.ok() || size > 24) return false;
  if (size == 0) return true;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(raw[i]); };
  const std::uint8_t fill = (byte(size - 1) & 0x80) != 0 ? 0xff : 0;
  // The last byte must be needed, else two encodings have one value.
  if (byte(size - 1) == fill && (size == 1 ? fill == 0 : ((byte(size - 2) ^ fill) & 0x80) == 0))
    return false;
  std::array<std::uint8_t, 24> bytes = {};
  bytes.fill(fill);
  std::memcpy(bytes.data(), raw.data(), size);
  std::array<std::uint64_t, 3> words = {};
  std::memcpy(words.data(), bytes.data(), bytes.size());
  sum.low = words[0];
  sum.high = words[1];
  sum.overflow = static_cast<std::int64_t>(words[2] + (sum.bits() < 0 ? 1 : 0));
  return true;
}

bool decode_varint(ByteReader& in, std::uint64_t& value) {
  const std::size_t before = in.remaining();
  value = in.get_varint();
  // The shortest form only.
  const std::size_t used = before - in.remaining();
  const auto bits = static_cast<std::size_t>(std::bit_width(value));
  return in.ok() && used == std::max<std::size_t>(1, (bits + 6) / 7);
}

Int128 power_of_ten(unsigned exponent) {
  Int128 power = 1;
  for (unsigned i = 0; i < exponent; ++i) power *= 10;
  return power;
}

/// sum / count in the floating point type that DuckDB has for the argument: its avg of at most 16
/// bits divides doubles, its avg of more divides long doubles and rounds again. The scale of a
/// DECIMAL goes into the divisor.
double integer_average(Int128 sum, std::int64_t count, const Type& argument) {
  const auto scale = static_cast<double>(power_of_ten(argument.scale));
  if (size_bytes(argument.physical()) <= 2 && argument.kind != TypeKind::kUSmallInt) {
    return static_cast<double>(static_cast<std::int64_t>(sum)) /
           (static_cast<double>(count) * scale);
  }
  return static_cast<double>(static_cast<long double>(sum) /
                             (static_cast<long double>(count) * scale));
}

void push_int128(Int128 value, ColumnVector& out) {
  switch (out.type().physical()) {
    case PhysicalType::kInt16:
      out.push(static_cast<std::int16_t>(value));
      break;
    case PhysicalType::kInt32:
      out.push(static_cast<std::int32_t>(value));
      break;
    case PhysicalType::kInt64:
      out.push(static_cast<std::int64_t>(value));
      break;
    default:
      out.push(value);
      break;
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
    exact_sums_ = exact_sums_ || cell.kind == CellKind::kExactSum;
    texts_ = texts_ || cell.kind == CellKind::kTextExtreme;
    cells_.push_back(cell);
  }
  for (Cell& cell : cells_) {
    if (is_extreme(cell.kind)) cell.flag = static_cast<std::uint32_t>(end++);
  }
  stride_ = (end + 7) / 8 * 8;
}

void StateLayout::make(char* state) const {
  std::memset(state + head_bytes_, 0, stride_ - head_bytes_);
  if (!exact_sums_) return;
  for (const Cell& cell : cells_) {
    if (cell.kind == CellKind::kExactSum) new (state + cell.offset) ExactSum;
  }
}

void StateLayout::drop(char* state) const {
  if (!exact_sums_) return;
  for (const Cell& cell : cells_) {
    if (cell.kind == CellKind::kExactSum) at<ExactSum>(state, cell.offset).~ExactSum();
  }
}

void StateLayout::copy(char* to, const char* from, TextKeeper& texts) const {
  std::memcpy(to + head_bytes_, from + head_bytes_, stride_ - head_bytes_);
  if (!exact_sums_ && !texts_) return;
  for (const Cell& cell : cells_) {
    if (cell.kind == CellKind::kExactSum) {
      new (to + cell.offset) ExactSum(at<ExactSum>(from, cell.offset));
    } else if (cell.kind == CellKind::kTextExtreme) {
      auto& text = at<TextExtreme>(to, cell.offset);
      text = {};
      texts.assign(text, at<TextExtreme>(from, cell.offset).view());
    }
  }
}

std::size_t StateLayout::heap_bytes(const char* state) const {
  std::size_t sum = 0;
  if (!exact_sums_) return sum;
  for (const Cell& cell : cells_) {
    if (cell.kind == CellKind::kExactSum) sum += at<ExactSum>(state, cell.offset).heap_bytes();
  }
  return sum;
}

std::size_t StateLayout::merge(char* into, const char* from, TextKeeper& texts) const {
  std::size_t taken = 0;
  for (const Cell& cell : cells_) {
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
      case CellKind::kExactSum: {
        auto& sum = at<ExactSum>(into, cell.offset);
        const std::size_t before = sum.heap_bytes();
        sum.merge(at<ExactSum>(from, cell.offset));
        taken += sum.heap_bytes() - before;
        break;
      }
      case CellKind::kExtreme: {
        auto& best = at<std::uint64_t>(into, cell.offset);
        best = std::max(best, at<std::uint64_t>(from, cell.offset));
        break;
      }
      case CellKind::kWideExtreme: {
        auto& best = at<WideExtreme>(into, cell.offset);
        best.set(std::max(best.bits(), at<WideExtreme>(from, cell.offset).bits()));
        break;
      }
      case CellKind::kTextExtreme: {
        if (from[cell.flag] == 0) break;
        auto& best = at<TextExtreme>(into, cell.offset);
        const std::string_view text = at<TextExtreme>(from, cell.offset).view();
        if (into[cell.flag] == 0 || wins(cell, text, best.view())) texts.assign(best, text);
        break;
      }
    }
    if (is_extreme(cell.kind))
      into[cell.flag] = static_cast<char>(into[cell.flag] | from[cell.flag]);
  }
  return taken;
}

void StateLayout::encode(const char* state, std::string& out) const {
  ByteWriter writer(out);
  writer.put(kStateVersion);
  for (const Cell& cell : cells_) {
    switch (cell.kind) {
      case CellKind::kCount:
        writer.put_varint(at<std::uint64_t>(state, cell.offset));
        break;
      case CellKind::kIntegerSum:
        encode_integer_sum(at<IntegerSum>(state, cell.offset), out);
        break;
      case CellKind::kExactSum:
        at<ExactSum>(state, cell.offset).encode(out);
        break;
      case CellKind::kExtreme:
      case CellKind::kWideExtreme: {
        out.push_back(state[cell.flag]);
        if (state[cell.flag] == 0) break;
        const UInt128 bits = ordered_value(cell, state);
        visit_fixed(cell.type.physical(), [&](auto example) {
          std::array<char, sizeof(example)> raw = {};
          store_big_endian(raw.data(), static_cast<OrderedBits<decltype(example)>>(bits));
          out.append(raw.data(), raw.size());
        });
        break;
      }
      case CellKind::kTextExtreme:
        out.push_back(state[cell.flag]);
        if (state[cell.flag] != 0) writer.put_string(at<TextExtreme>(state, cell.offset).view());
        break;
    }
  }
}

bool StateLayout::decode(std::string_view bytes, char* state) const {
  ByteReader in(bytes);
  if (in.get<std::uint8_t>() != kStateVersion) return false;
  for (const Cell& cell : cells_) {
    if (is_extreme(cell.kind)) {
      const auto flag = in.get<std::uint8_t>();
      if (!in.ok() || flag > 1) return false;
      state[cell.flag] = static_cast<char>(flag);
      if (flag == 0) continue;
    }
    switch (cell.kind) {
      case CellKind::kCount: {
        std::uint64_t count = 0;
        if (!decode_varint(in, count) || count > static_cast<std::uint64_t>(INT64_MAX))
          return false;
        at<std::uint64_t>(state, cell.offset) = count;
        break;
      }
      case CellKind::kIntegerSum:
        if (!decode_integer_sum(in, at<IntegerSum>(state, cell.offset))) return false;
        break;
      case CellKind::kExactSum:
        at<ExactSum>(state, cell.offset).merge_encoded(in);
        break;
      case CellKind::kExtreme:
      case CellKind::kWideExtreme: {
        const bool good = visit_fixed(cell.type.physical(), [&](auto example) {
          using T = decltype(example);
          const std::string_view raw = in.get_bytes(sizeof(T));
          if (!in.ok()) return false;
          const auto bits = load_big_endian<OrderedBits<T>>(raw.data());
          UInt128 cell_bits = bits;
          if (cell.component == ComponentKind::kMin) cell_bits = ~cell_bits;
          if (cell.kind == CellKind::kWideExtreme) {
            at<WideExtreme>(state, cell.offset).set(cell_bits);
          } else {
            at<std::uint64_t>(state, cell.offset) = static_cast<std::uint64_t>(cell_bits);
          }
          return is_canonical<T>(bits);
        });
        if (!good) return false;
        break;
      }
      case CellKind::kTextExtreme: {
        std::uint64_t size = 0;
        if (!decode_varint(in, size) || size > in.remaining()) return false;
        const std::string_view text = in.get_bytes(size);
        at<TextExtreme>(state, cell.offset) = {text.data(), static_cast<std::uint32_t>(size), 0};
        break;
      }
    }
    if (!in.ok()) return false;
  }
  return in.at_end();
}

std::int64_t StateLayout::count_at(const char* state, std::uint32_t component) const {
  return static_cast<std::int64_t>(at<std::uint64_t>(state, cells_[component].offset));
}

Status StateLayout::check_value(const char* state, const OutputColumn& output) const {
  if (output.kind != OutputKind::kSum && output.kind != OutputKind::kAvg) return {};
  const Cell& cell = cells_[output.inputs[0]];
  if (cell.kind != CellKind::kIntegerSum) return {};
  const auto& sum = at<IntegerSum>(state, cell.offset);
  bool fits = sum.overflow == 0;
  if (output.kind == OutputKind::kSum && output.type.kind == TypeKind::kDecimal) {
    const Int128 bound = power_of_ten(output.type.width);
    fits = fits && sum.bits() < bound && sum.bits() > -bound;
  }
  if (fits) return {};
  return fail(ErrorCode::kInvalidArgument, error_id::kOutOfRange,
              "the sum in column \"{}\" does not fit {}", output.name,
              output.kind == OutputKind::kAvg ? "HUGEINT" : output.type.sql());
}

void StateLayout::push_value(const char* state, const OutputColumn& output, ColumnVector& out,
                             Arena& arena) const {
  const Cell& cell = cells_[output.inputs[0]];
  switch (output.kind) {
    case OutputKind::kKey:
      MR_CHECK(false, "a key is no value of a state");
      break;
    case OutputKind::kCount:
      out.push(count_at(state, output.inputs[0]));
      break;
    case OutputKind::kSum:
      if (count_at(state, output.inputs[1]) == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kExactSum) {
        out.push(at<ExactSum>(state, cell.offset).round());
      } else {
        push_int128(at<IntegerSum>(state, cell.offset).bits(), out);
      }
      break;
    case OutputKind::kAvg: {
      const std::int64_t count = count_at(state, output.inputs[1]);
      if (count == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kExactSum) {
        out.push(at<ExactSum>(state, cell.offset).round() / static_cast<double>(count));
      } else {
        out.push(integer_average(at<IntegerSum>(state, cell.offset).bits(), count, cell.type));
      }
      break;
    }
    case OutputKind::kMin:
    case OutputKind::kMax:
      if (state[cell.flag] == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kTextExtreme) {
        out.push_string(at<TextExtreme>(state, cell.offset).view(), arena);
      } else {
        const UInt128 bits = ordered_value(cell, state);
        visit_fixed(cell.type.physical(), [&](auto example) {
          using T = decltype(example);
          out.push(from_ordered<T>(static_cast<OrderedBits<T>>(bits)));
        });
      }
      break;
    default:
      MR_CHECK(false, "output kind {} has no value", static_cast<int>(output.kind));
  }
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

std::unexpected<Error> no_state(std::size_t bytes) {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum,
              "{} bytes are no partial state of this view", bytes);
}

}  // namespace millrace::view
