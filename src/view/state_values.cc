#include "view/state_values.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/check.h"
#include "view/log_buckets.h"
#include "view/moments.h"
#include "view/ordered_bits.h"

// Averages and quantiles are the same bits on every machine.
#pragma STDC FP_CONTRACT OFF

namespace millrace::view {
namespace {

using Entries = std::vector<ValueBag::Entry>;

/// A nested value is one string of a column, whose size has 32 bits.
constexpr std::uint64_t kNestedBytesMax = std::uint64_t{1} << 31;

Int128 power_of_ten(unsigned exponent) {
  Int128 power = 1;
  for (unsigned i = 0; i < exponent; ++i) power *= 10;
  return power;
}

bool fits(const IntegerSum& sum, const Type& type) {
  if (sum.overflow != 0) return false;
  if (type.kind != TypeKind::kDecimal) return true;
  const Int128 bound = power_of_ten(type.width);
  return sum.bits() < bound && sum.bits() > -bound;
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

void push_integer(Int128 value, ColumnVector& out) {
  visit_fixed(out.type().physical(), [&](auto example) {
    using T = decltype(example);
    out.push(static_cast<T>(value));
  });
}

Entries entries_of(const Cell& cell, const char* state) {
  const ValueBag* const bag = StateLayout::at<BagCell>(state, cell.offset).get();
  return bag == nullptr ? Entries() : bag->sorted(cell.rules);
}

/// The composites of kRows, each once, in order.
Entries rows_of(const Cell& cell, const char* state) {
  if (cell.kind == CellKind::kBag) return entries_of(cell, state);
  if (state[cell.flag] == 0) return {};
  return {{.composite = StateLayout::at<TextExtreme>(state, cell.offset).view()}};
}

/// One column of the composites of a cell, as a key column.
class ColumnReader {
 public:
  ColumnReader(const Cell& cell, std::uint32_t column) : columns_(cell.columns), column_(column) {}
  /// Lives until the next call.
  std::string_view operator()(std::string_view composite) {
    MR_CHECK(split_composite(composite, columns_, parts_), "{} bytes are no composite",
             composite.size());
    return key_column_of(parts_[column_], columns_[column_], scratch_);
  }
  [[nodiscard]] const Type& type() const { return columns_[column_].type; }

 private:
  const std::vector<CompositeColumn>& columns_;
  std::uint32_t column_;
  std::vector<std::string_view> parts_;
  std::string scratch_;
};

bool is_null(std::string_view key_column) { return key_column.front() == 0; }

void append_count(std::string& out, std::uint64_t count) {
  out.push_back(1);
  ByteWriter(out).put(count);
}

/// A list or map of `size` elements that `fill` appends.
template <class Fill>
std::string nested(std::uint64_t size, Fill&& fill) {
  std::string out;
  ByteWriter(out).put_varint(size);
  fill(out);
  return out;
}

std::string row_list(const Cell& cell, const OutputColumn& output, const Entries& rows) {
  ColumnReader value(cell, output.column);
  return nested(rows.size(), [&](std::string& out) {
    for (const auto& row : rows) append_key_element(out, value(row.composite), value.type());
  });
}

/// The last composite of a key counts; a NULL is no key.
std::string row_map(const Cell& cell, const OutputColumn& output, const Entries& rows) {
  ColumnReader key(cell, 0);
  ColumnReader value(cell, output.column);
  std::string body;
  std::uint64_t keys = 0;
  std::string key_bytes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    key_bytes = key(rows[i].composite);
    if (is_null(key_bytes)) continue;
    if (i + 1 < rows.size() && key(rows[i + 1].composite) == key_bytes) continue;
    append_key_element(body, key_bytes, key.type());
    append_key_element(body, value(rows[i].composite), value.type());
    ++keys;
  }
  return nested(keys, [&](std::string& out) { out += body; });
}

std::string value_list(const Cell& cell, const OutputColumn& output, const Entries& values) {
  ColumnReader value(cell, output.column);
  std::uint64_t size = 0;
  for (const auto& entry : values) size += entry.count;
  return nested(size, [&](std::string& out) {
    std::string element;
    for (const auto& entry : values) {
      element.clear();
      append_key_element(element, value(entry.composite), value.type());
      for (std::uint64_t i = 0; i < entry.count; ++i) out += element;
    }
  });
}

std::string value_counts(const Cell& cell, const OutputColumn& output, const Entries& values) {
  ColumnReader value(cell, output.column);
  return nested(values.size(), [&](std::string& out) {
    for (const auto& entry : values) {
      append_key_element(out, value(entry.composite), value.type());
      append_count(out, entry.count);
    }
  });
}

std::string top_count(const Cell& cell, const OutputColumn& output, Entries values) {
  std::ranges::sort(values, [](const auto& a, const auto& b) {
    return a.count != b.count ? a.count > b.count : a.composite < b.composite;
  });
  values.resize(std::min<std::size_t>(values.size(), output.limit));
  ColumnReader value(cell, output.column);
  return nested(values.size(), [&](std::string& out) {
    for (const auto& entry : values) {
      out.push_back(1);
      append_key_element(out, value(entry.composite), value.type());
      append_count(out, entry.count);
    }
  });
}

/// A value and the sum of its weights, of which one of the two kinds of sum is used.
struct WeightedValue {
  std::string value;
  IntegerSum integers = {};
  ExactProductSum doubles;
};

/// Adds count * weight, which may need more than 128 bits.
void add_weighted(IntegerSum& sum, Int128 weight, std::uint64_t count) {
  // Horner's rule: digits of 32 bits times a count of 63 fit, and so does the first one, of 64.
  const auto times = static_cast<Int128>(count);
  IntegerSum product = {};
  product.add((weight >> 64) * times);
  for (const int shift : {32, 0}) {
    for (int bit = 0; bit < 32; ++bit) {
      product.carry(product.overflow);
      product.add(product.bits());
    }
    product.add(((weight >> shift) & 0xffffffff) * times);
  }
  sum.carry(product.overflow);
  sum.add(product.bits());
}

std::vector<WeightedValue> weighted_values(const Cell& cell, const Entries& values) {
  ColumnReader value(cell, 0);
  ColumnReader weight(cell, 1);
  std::vector<WeightedValue> out;
  for (const auto& entry : values) {
    const std::string_view key = value(entry.composite);
    if (out.empty() || out.back().value != key) {
      out.emplace_back();
      out.back().value = key;
    }
    const std::string_view encoded = weight(entry.composite).substr(1);
    visit_fixed(weight.type().physical(), [&](auto example) {
      using T = decltype(example);
      const T number = from_ordered<T>(load_big_endian<OrderedBits<T>>(encoded.data()));
      if constexpr (std::is_floating_point_v<T>) {
        // Both halves of a count are doubles, and the product of each is exact.
        const auto wide = static_cast<double>(number);
        const auto low = static_cast<double>(entry.count & 0xffffffff);
        const auto high = static_cast<double>(entry.count >> 32) * 0x1p32;
        if (low != 0) out.back().doubles.add_product(wide, low);
        if (high != 0) out.back().doubles.add_product(wide, high);
      } else {
        add_weighted(out.back().integers, static_cast<Int128>(number), entry.count);
      }
    });
  }
  return out;
}

bool is_float(const Type& type) {
  return type.physical() == PhysicalType::kFloat || type.physical() == PhysicalType::kDouble;
}

std::string top_sum(const Cell& cell, const OutputColumn& output, const Entries& values) {
  std::vector<WeightedValue> sums = weighted_values(cell, values);
  const bool doubles = is_float(cell.columns[1].type);
  std::vector<std::uint32_t> order(sums.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto rank = [&](std::uint32_t i) {
    return doubles ? static_cast<UInt128>(to_ordered(sums[i].doubles.round()))
                   : to_ordered(sums[i].integers.bits());
  };
  std::vector<UInt128> ranks(sums.size());
  for (const std::uint32_t i : order) ranks[i] = rank(i);
  // Those of an equal sum stay in the order of their values.
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return ranks[a] != ranks[b] ? ranks[a] > ranks[b] : a < b;
  });
  order.resize(std::min<std::size_t>(order.size(), output.limit));
  return nested(order.size(), [&](std::string& out) {
    for (const std::uint32_t i : order) {
      out.push_back(1);
      append_key_element(out, sums[i].value, cell.columns[0].type);
      out.push_back(1);
      char raw[sizeof(Int128)];
      if (doubles) {
        const double sum = sums[i].doubles.round();
        std::memcpy(raw, &sum, sizeof(sum));
        out.append(raw, sizeof(sum));
      } else {
        const Int128 sum = sums[i].integers.bits();
        std::memcpy(raw, &sum, sizeof(sum));
        out.append(raw, sizeof(sum));
      }
    }
  });
}

/// The bucket in which the row lies that quantile_disc would give: of rank max(1, ceil(q * rows)),
/// rows counted from 1 in ascending order.
std::uint32_t quantile_bucket(const Entries& buckets, double quantile) {
  std::uint64_t rows = 0;
  for (const auto& entry : buckets) rows += entry.count;
  // As DuckDB computes it: its own roundings decide where the product is close to a whole number.
  const auto all = static_cast<double>(rows);
  const double above = std::floor(all - std::clamp(quantile, 0.0, 1.0) * all);
  const std::uint64_t rank =
      std::max<std::uint64_t>(rows - static_cast<std::uint64_t>(above), 1) - 1;
  std::uint64_t below = 0;
  for (const auto& entry : buckets) {
    below += entry.count;
    if (rank < below) return load_bucket(entry.composite);
  }
  return load_bucket(buckets.back().composite);
}

/// A quantile as a value of its type: to a whole number of the least unit where the type has one.
template <class Push>
void give_quantile(std::uint32_t bucket, const Type& type, Push&& push) {
  visit_fixed(type.physical(), [&](auto example) {
    using T = decltype(example);
    if constexpr (std::is_floating_point_v<T>) {
      push(static_cast<T>(bucket_value(bucket)));
    } else if constexpr (std::is_same_v<T, bool>) {
      push(bucket_value(bucket) >= 0.5);
    } else {
      double value =
          type.kind == TypeKind::kDecimal
              ? std::nearbyint(bucket_value(bucket) * static_cast<double>(power_of_ten(type.scale)))
              : bucket_whole_value(bucket);
      if (std::isnan(value)) value = std::numeric_limits<double>::infinity();
      constexpr bool kSigned = std::is_same_v<T, Int128> || std::is_signed_v<T>;
      constexpr auto kBits = static_cast<int>(sizeof(T)) * 8 - (kSigned ? 1 : 0);
      constexpr T kLeast =
          kSigned ? static_cast<T>(static_cast<UInt128>(1) << (kBits % 128)) : T{0};
      constexpr T kGreatest = static_cast<T>(~kLeast);
      // The power is a double, the greatest value behind it need not be.
      if (value >= std::ldexp(1.0, kBits)) {
        push(kGreatest);
      } else if (value <= (kSigned ? -std::ldexp(1.0, kBits) : 0.0)) {
        push(kLeast);
      } else {
        push(static_cast<T>(value));
      }
    }
  });
}

std::string quantile_list(const OutputColumn& output, const Entries& buckets) {
  return nested(output.quantiles.size(), [&](std::string& out) {
    for (const double quantile : output.quantiles) {
      give_quantile(quantile_bucket(buckets, quantile), output.type.element(), [&](auto value) {
        char raw[sizeof(value)];
        std::memcpy(raw, &value, sizeof(value));
        out.push_back(1);
        out.append(raw, sizeof(value));
      });
    }
  });
}

std::vector<MomentSum> moment_sums(const StateLayout& layout, const char* state,
                                   const OutputColumn& output) {
  std::vector<MomentSum> out;
  for (std::size_t i = 1; i < output.inputs.size(); ++i) {
    const Cell& cell = layout.cells()[output.inputs[i]];
    const auto take = [&](const auto& sum) {
      out.push_back({.digits = sum.digits(), .finite = sum.is_finite()});
    };
    if (cell.kind == CellKind::kExactSum) {
      take(StateLayout::at<ExactSum>(state, cell.offset));
    } else if (cell.kind == CellKind::kProductSum) {
      take(StateLayout::at<ExactProductSum>(state, cell.offset));
    } else {
      MR_CHECK(cell.kind == CellKind::kPowerSum, "column {} is made of component {}", output.name,
               output.inputs[i]);
      take(StateLayout::at<ExactPowerSum>(state, cell.offset));
    }
  }
  return out;
}

std::unexpected<Error> too_large(const OutputColumn& output, std::string_view what,
                                 std::string_view type) {
  return fail(ErrorCode::kInvalidArgument, error_id::kOutOfRange,
              "the {} in column \"{}\" does not fit {}", what, output.name, type);
}

Status check_nested(const Cell& cell, const char* state, const OutputColumn& output) {
  const bool each = output.kind == OutputKind::kValueList;
  std::uint64_t bytes = 0;
  for (const auto& entry : entries_of(cell, state)) {
    // An element is no longer than its composite, but for a long text's size.
    const std::uint64_t element = entry.composite.size() + 10;
    if (each && entry.count > kNestedBytesMax / element) return too_large(output, "list", "2 GiB");
    bytes += element * (each ? entry.count : 1) + 20;
    if (bytes > kNestedBytesMax) return too_large(output, "list", "2 GiB");
  }
  return {};
}

}  // namespace

Status check_value(const StateLayout& layout, const char* state, const OutputColumn& output) {
  const Cell& cell = layout.cells()[output.inputs[0]];
  switch (output.kind) {
    case OutputKind::kSum:
    case OutputKind::kAvg: {
      if (cell.kind != CellKind::kIntegerSum) return {};
      const bool average = output.kind == OutputKind::kAvg;
      const auto& sum = StateLayout::at<IntegerSum>(state, cell.offset);
      if (average ? sum.overflow == 0 : fits(sum, output.type)) return {};
      return too_large(output, "sum", average ? "HUGEINT" : output.type.sql());
    }
    case OutputKind::kRowList:
    case OutputKind::kRowMap:
    case OutputKind::kValueList:
    case OutputKind::kValueCounts:
      return cell.kind == CellKind::kBag ? check_nested(cell, state, output) : Status();
    case OutputKind::kTopSum: {
      // Of narrower weights no sum can leave 128 bits.
      if (cell.columns[1].type.physical() != PhysicalType::kInt128) return {};
      for (const WeightedValue& value : weighted_values(cell, entries_of(cell, state))) {
        if (value.integers.overflow != 0) return too_large(output, "sum", "HUGEINT");
      }
      return {};
    }
    default:
      return {};
  }
}

void push_value(const StateLayout& layout, const char* state, const OutputColumn& output,
                ColumnVector& out, Arena& arena) {
  const Cell& cell = layout.cells()[output.inputs[0]];
  if (is_moment(output.kind)) {
    const auto value = moment(output.kind, layout.count_at(state, output.inputs[0]),
                              moment_sums(layout, state, output));
    if (value) {
      out.push(*value);
    } else {
      out.push_null();
    }
    return;
  }
  // Of no row: NULL.
  const auto push_nested = [&](const Entries& entries, auto&& make) {
    if (entries.empty()) {
      out.push_null();
    } else {
      out.push_string(make(cell, output, entries), arena);
    }
  };
  switch (output.kind) {
    case OutputKind::kCount:
      out.push(layout.count_at(state, output.inputs[0]));
      break;
    case OutputKind::kSum:
      if (layout.count_at(state, output.inputs[1]) == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kExactSum) {
        out.push(StateLayout::at<ExactSum>(state, cell.offset).round());
      } else if (cell.kind == CellKind::kProductSum) {
        out.push(StateLayout::at<ExactProductSum>(state, cell.offset).round());
      } else {
        MR_CHECK(cell.kind == CellKind::kIntegerSum, "column {} is the sum of component {}",
                 output.name, output.inputs[0]);
        push_integer(StateLayout::at<IntegerSum>(state, cell.offset).bits(), out);
      }
      break;
    case OutputKind::kAvg: {
      const std::int64_t count = layout.count_at(state, output.inputs[1]);
      if (count == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kExactSum) {
        out.push(StateLayout::at<ExactSum>(state, cell.offset).round() /
                 static_cast<double>(count));
      } else {
        out.push(integer_average(StateLayout::at<IntegerSum>(state, cell.offset).bits(), count,
                                 cell.type));
      }
      break;
    }
    case OutputKind::kMin:
    case OutputKind::kMax:
      if (state[cell.flag] == 0) {
        out.push_null();
      } else if (cell.kind == CellKind::kTextExtreme) {
        out.push_string(StateLayout::at<TextExtreme>(state, cell.offset).view(), arena);
      } else {
        const UInt128 bits = StateLayout::ordered_value(cell, state);
        visit_fixed(cell.type.physical(), [&](auto example) {
          using T = decltype(example);
          out.push(from_ordered<T>(static_cast<OrderedBits<T>>(bits)));
        });
      }
      break;
    case OutputKind::kBits:
      if (state[cell.flag] == 0) {
        out.push_null();
      } else {
        const UInt128 bits = StateLayout::at<WideBits>(state, cell.offset).bits();
        push_integer(static_cast<Int128>(cell.component == ComponentKind::kBitAnd ? ~bits : bits),
                     out);
      }
      break;
    case OutputKind::kRowValue: {
      const Entries rows = rows_of(cell, state);
      if (rows.empty()) {
        out.push_null();
      } else {
        push_key_column(ColumnReader(cell, output.column)(rows.front().composite), out, arena);
      }
      break;
    }
    case OutputKind::kRowList:
      push_nested(rows_of(cell, state), row_list);
      break;
    case OutputKind::kRowMap:
      push_nested(rows_of(cell, state), row_map);
      break;
    case OutputKind::kValueList:
      push_nested(entries_of(cell, state), value_list);
      break;
    case OutputKind::kValueCounts:
      push_nested(entries_of(cell, state), value_counts);
      break;
    case OutputKind::kTopCount:
      push_nested(entries_of(cell, state), top_count);
      break;
    case OutputKind::kTopSum:
      push_nested(entries_of(cell, state), top_sum);
      break;
    case OutputKind::kDistinctCount: {
      const ValueBag* const bag = StateLayout::at<BagCell>(state, cell.offset).get();
      out.push(static_cast<std::int64_t>(bag == nullptr ? 0 : bag->entries()));
      break;
    }
    case OutputKind::kApproxCount: {
      const HyperLogLog* const sketch = StateLayout::at<SketchCell>(state, cell.offset).get();
      out.push(sketch == nullptr ? std::int64_t{0} : sketch->estimate());
      break;
    }
    case OutputKind::kApproxQuantile: {
      const Entries buckets = entries_of(cell, state);
      if (buckets.empty()) {
        out.push_null();
      } else if (output.type.kind == TypeKind::kList) {
        out.push_string(quantile_list(output, buckets), arena);
      } else {
        give_quantile(quantile_bucket(buckets, output.quantiles.front()), output.type,
                      [&](auto value) { out.push(value); });
      }
      break;
    }
    default:
      MR_CHECK(false, "output kind {} is no value of a state", static_cast<int>(output.kind));
  }
}

}  // namespace millrace::view
