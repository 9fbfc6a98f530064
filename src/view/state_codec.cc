// The bytes of partial states (docs/reference/state_format.md, version 1): the encodings of the
// cells that state_layout.h lays out. Every encoding is canonical: a decoder refuses all bytes that
// an encoder does not give. It takes no more memory than a few times the bytes it is given.
#include <array>
#include <cstring>

#include "view/log_buckets.h"
#include "view/ordered_bits.h"
#include "view/short_varint.h"
#include "view/state_layout.h"

namespace millrace::view {
namespace {

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

void encode_bag(const Cell& cell, const BagCell& bag, std::string& out) {
  ByteWriter writer(out);
  if (bag.get() == nullptr) {
    writer.put_varint(0);
    return;
  }
  const std::vector<ValueBag::Entry> entries = bag.get()->sorted(cell.rules);
  writer.put_varint(entries.size());
  for (const ValueBag::Entry& entry : entries) {
    if (cell.component == ComponentKind::kBuckets) {
      writer.put_bytes(entry.composite);
    } else {
      writer.put_string(entry.composite);
    }
    if (cell.rules.counted) writer.put_varint(entry.count);
  }
}

bool decode_bag(ByteReader& in, const Cell& cell, BagCell& bag) {
  const auto entries = get_short_varint(in);
  // An entry takes two bytes or more.
  if (!entries || *entries > in.remaining() / 2) return false;
  if (*entries == 0) return true;
  if (cell.rules.limit != 0 && *entries > cell.rules.limit) return false;
  ValueBag& values = bag.own();
  std::vector<std::string_view> columns;
  std::string_view last;
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < *entries; ++i) {
    std::string_view composite;
    if (cell.component == ComponentKind::kBuckets) {
      composite = in.get_bytes(kBucketBytes);
      if (!in.ok() || !is_bucket(load_bucket(composite))) return false;
    } else {
      const auto size = get_short_varint(in);
      if (!size) return false;
      composite = in.get_bytes(*size);
      if (!in.ok() || !split_composite(composite, cell.columns, columns)) return false;
    }
    // Ascending, and each once where it is kept once.
    if (i != 0 && (cell.rules.once ? composite <= last : composite < last)) return false;
    last = composite;
    std::uint64_t count = 1;
    if (cell.rules.counted) {
      const auto counted = get_short_varint(in);
      if (!counted || *counted == 0) return false;
      count = *counted;
      if (count > static_cast<std::uint64_t>(INT64_MAX) - total) return false;
      total += count;
    }
    values.append(cell.rules, composite, count);
  }
  return true;
}

void encode_bits(const Cell& cell, const WideBits& bits, std::string& out) {
  const UInt128 value = cell.component == ComponentKind::kBitAnd ? ~bits.bits() : bits.bits();
  std::array<char, sizeof(value)> raw = {};
  std::memcpy(raw.data(), &value, sizeof(value));
  out.append(raw.data(), size_bytes(cell.type.physical()));
}

bool decode_bits(ByteReader& in, const Cell& cell, WideBits& bits) {
  const std::string_view raw = in.get_bytes(size_bytes(cell.type.physical()));
  if (!in.ok()) return false;
  visit_fixed(cell.type.physical(), [&](auto example) {
    using T = decltype(example);
    if constexpr (!std::is_floating_point_v<T>) {
      const auto value = static_cast<UInt128>(static_cast<Int128>(load_value<T>(raw.data(), 0)));
      bits.set(cell.component == ComponentKind::kBitAnd ? ~value : value);
    }
  });
  return true;
}

bool decode_extreme(ByteReader& in, const Cell& cell, char* state) {
  return visit_fixed(cell.type.physical(), [&](auto example) {
    using T = decltype(example);
    const std::string_view raw = in.get_bytes(sizeof(T));
    if (!in.ok()) return false;
    const auto bits = load_big_endian<OrderedBits<T>>(raw.data());
    UInt128 cell_bits = bits;
    if (cell.is_least()) cell_bits = ~cell_bits;
    if (cell.kind == CellKind::kWideExtreme) {
      StateLayout::at<WideBits>(state, cell.offset).set(cell_bits);
    } else {
      StateLayout::at<std::uint64_t>(state, cell.offset) = static_cast<std::uint64_t>(cell_bits);
    }
    return is_canonical<T>(bits);
  });
}

/// A text, or the smallest composite.
bool decode_text(ByteReader& in, const Cell& cell, TextExtreme& text) {
  const auto size = get_short_varint(in);
  if (!size || *size > in.remaining() || *size > std::uint32_t(-1)) return false;
  const std::string_view bytes = in.get_bytes(*size);
  text = {bytes.data(), static_cast<std::uint32_t>(*size), 0};
  std::vector<std::string_view> columns;
  return cell.columns.empty() || split_composite(bytes, cell.columns, columns);
}

bool decode_cell(ByteReader& in, const Cell& cell, char* state) {
  switch (cell.kind) {
    case CellKind::kCount: {
      const auto count = get_short_varint(in);
      if (!count || *count > static_cast<std::uint64_t>(INT64_MAX)) return false;
      StateLayout::at<std::uint64_t>(state, cell.offset) = *count;
      return true;
    }
    case CellKind::kIntegerSum:
      return decode_integer_sum(in, StateLayout::at<IntegerSum>(state, cell.offset));
    case CellKind::kExactSum:
      StateLayout::at<ExactSum>(state, cell.offset).merge_encoded(in);
      return in.ok();
    case CellKind::kProductSum:
      StateLayout::at<ExactProductSum>(state, cell.offset).merge_encoded(in);
      return in.ok();
    case CellKind::kPowerSum:
      StateLayout::at<ExactPowerSum>(state, cell.offset).merge_encoded(in);
      return in.ok();
    case CellKind::kExtreme:
    case CellKind::kWideExtreme:
      return decode_extreme(in, cell, state);
    case CellKind::kTextExtreme:
      return decode_text(in, cell, StateLayout::at<TextExtreme>(state, cell.offset));
    case CellKind::kBits:
      return decode_bits(in, cell, StateLayout::at<WideBits>(state, cell.offset));
    case CellKind::kBag:
      return decode_bag(in, cell, StateLayout::at<BagCell>(state, cell.offset));
    case CellKind::kSketch: {
      // None where no register is set, so that equal states take equal memory.
      ByteReader ahead = in;
      if (ahead.get<std::uint8_t>() == 0 && ahead.ok()) {
        in = ahead;
        return true;
      }
      return StateLayout::at<SketchCell>(state, cell.offset).own().decode(in);
    }
  }
  return false;
}

}  // namespace

void StateLayout::encode(const char* state, std::string& out) const {
  ByteWriter writer(out);
  writer.put(kStateVersion);
  for (const Cell& cell : cells_) {
    if (cell.is_flagged()) {
      out.push_back(state[cell.flag]);
      if (state[cell.flag] == 0) continue;
    }
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
      case CellKind::kProductSum:
        at<ExactProductSum>(state, cell.offset).encode(out);
        break;
      case CellKind::kPowerSum:
        at<ExactPowerSum>(state, cell.offset).encode(out);
        break;
      case CellKind::kExtreme:
      case CellKind::kWideExtreme: {
        const UInt128 bits = ordered_value(cell, state);
        visit_fixed(cell.type.physical(), [&](auto example) {
          std::array<char, sizeof(example)> raw = {};
          store_big_endian(raw.data(), static_cast<OrderedBits<decltype(example)>>(bits));
          out.append(raw.data(), raw.size());
        });
        break;
      }
      case CellKind::kTextExtreme:
        writer.put_string(at<TextExtreme>(state, cell.offset).view());
        break;
      case CellKind::kBits:
        encode_bits(cell, at<WideBits>(state, cell.offset), out);
        break;
      case CellKind::kBag:
        encode_bag(cell, at<BagCell>(state, cell.offset), out);
        break;
      case CellKind::kSketch: {
        const HyperLogLog* const sketch = at<SketchCell>(state, cell.offset).get();
        if (sketch == nullptr) {
          writer.put_varint(0);
        } else {
          sketch->encode(out);
        }
        break;
      }
    }
  }
}

bool StateLayout::decode(std::string_view bytes, char* state) const {
  ByteReader in(bytes);
  if (in.get<std::uint8_t>() != kStateVersion) return false;
  for (const Cell& cell : cells_) {
    if (cell.is_flagged()) {
      const auto flag = in.get<std::uint8_t>();
      if (!in.ok() || flag > 1) return false;
      state[cell.flag] = static_cast<char>(flag);
      if (flag == 0) continue;
    }
    if (!decode_cell(in, cell, state)) return false;
  }
  return in.at_end();
}

std::unexpected<Error> no_state(std::size_t bytes) {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum,
              "{} bytes are no partial state of this view", bytes);
}

}  // namespace millrace::view
