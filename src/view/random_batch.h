// For tests: random columns of any type, with few distinct values (so that groups meet), NULLs, and
// the values that break things: extremes, -0.0, NaN of several kinds, infinities, subnormals, NUL
// bytes, long strings.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "model/column_batch.h"
#include "model/nested_value.h"
#include "view/ordered_bits.h"

namespace millrace::view {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }

inline double random_double(Random& random) {
  using Limits = std::numeric_limits<double>;
  switch (below(random, 16)) {
    case 0:
      return 0.0;
    case 1:
      return -0.0;
    case 2:
      return below(random, 8) == 0 ? std::bit_cast<double>(0xfff8000000000123) : 1.0;
    case 3:
      return below(random, 8) == 0 ? Limits::infinity() : -1.0;
    case 4:
      return below(random, 8) == 0 ? -Limits::infinity() : 0.1;
    case 5:
      return Limits::max();
    case 6:
      return -Limits::max();
    case 7:
      return Limits::denorm_min() * static_cast<double>(below(random, 1000));
    case 8:
      return -Limits::min();
    case 9:
    case 10:
      return std::bit_cast<double>(random() & 0xbfefffffffffffff);  // any exponent below the last
    default:
      return static_cast<double>(static_cast<std::int64_t>(random()) >> below(random, 60)) / 100.0;
  }
}

inline std::string random_text(Random& random) {
  switch (below(random, 8)) {
    case 0:
      return "";
    case 1:
      return std::string(below(random, 4), '\0');
    case 2:
      return std::string(1 + below(random, 40), static_cast<char>('a' + below(random, 3)));
    case 3:
      return std::string("\0\xff", 2) + std::string(below(random, 3), '\0');
    case 4:
      return "key of more than twelve bytes " + std::to_string(below(random, 4));
    case 5:
      return std::string("\xff\xff\x01", 1 + below(random, 3));
    default:
      return std::to_string(below(random, 12));
  }
}

template <class T>
T random_integer(Random& random) {
  switch (below(random, 8)) {
    case 0:
      return static_cast<T>(static_cast<UInt128>(1) << (sizeof(T) * 8 - 1));  // least, if signed
    case 1:
      return static_cast<T>((static_cast<UInt128>(1) << (sizeof(T) * 8 - 1)) - 1);  // greatest
    case 2:
      return static_cast<T>(-1);
    case 3:
      return static_cast<T>((static_cast<UInt128>(random()) << 64) | random());
    default:
      return static_cast<T>(below(random, 6));
  }
}

inline std::string random_nested(Random& random, const Type& type);

inline void push_random(Random& random, ColumnVector& column, Arena& arena) {
  const Type type = column.type();
  if (below(random, 8) == 0) {
    column.push_null();
  } else if (type.is_nested()) {
    column.push_string(random_nested(random, type), arena);
  } else if (type.is_string()) {
    column.push_string(random_text(random), arena);
  } else {
    visit_fixed(type.physical(), [&](auto example) {
      using T = decltype(example);
      if constexpr (std::is_same_v<T, bool>) {
        column.push(below(random, 2) == 1);
      } else if constexpr (std::is_floating_point_v<T>) {
        column.push(static_cast<T>(random_double(random)));
      } else if (type.kind == TypeKind::kDecimal) {
        column.push(static_cast<T>(static_cast<std::int64_t>(below(random, 19)) - 9));
      } else {
        column.push(random_integer<T>(random));
      }
    });
  }
}

inline void append_random_element(Random& random, const Type& type, bool is_key, std::string& out) {
  ColumnBatch one(std::span(&type, 1));
  do {
    push_random(random, one.column(0), one.arena());
  } while (is_key && !one.column(0).valid(one.rows() - 1));
  append_element(out, one.column(0).view(), one.rows() - 1);
}

inline std::string random_nested(Random& random, const Type& type) {
  std::string out;
  std::uint64_t times = 1;
  if (type.kind != TypeKind::kStruct) {
    times = below(random, 4);
    append_count(out, times);
  }
  for (; times != 0; --times) {
    for (std::size_t i = 0; i < type.fields().size(); ++i) {
      append_random_element(random, type.fields()[i].type, type.kind == TypeKind::kMap && i == 0,
                            out);
    }
  }
  return out;
}

inline std::vector<Type> all_types() {
  std::vector<Type> types;
  for (int kind = 0; kind <= static_cast<int>(TypeKind::kTime); ++kind) {
    Type type{.kind = static_cast<TypeKind>(kind)};
    if (type.kind != TypeKind::kDecimal) {
      types.push_back(type);
      continue;
    }
    for (const int width : {4, 9, 18, 38}) {
      types.push_back(
          {.kind = TypeKind::kDecimal, .width = static_cast<std::uint8_t>(width), .scale = 2});
    }
  }
  const Type text{.kind = TypeKind::kVarchar};
  const Type real{.kind = TypeKind::kDouble};
  types.push_back({.kind = TypeKind::kTime});
  types.push_back(Type::list(text));
  types.push_back(Type::list(Type::list(real)));
  types.push_back(Type::structure({{"a", real}, {"b", text}, {"c", Type::list(real)}}));
  types.push_back(Type::map({.kind = TypeKind::kInteger}, Type::structure({{"a", text}})));
  return types;
}

inline Type random_type(Random& random) {
  static const std::vector<Type> kTypes = all_types();
  return kTypes[below(random, kTypes.size())];
}

inline ColumnBatch random_batch(Random& random, const std::vector<Type>& types, std::size_t rows) {
  ColumnBatch batch(types);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < types.size(); ++c)
      push_random(random, batch.column(c), batch.arena());
  }
  return batch;
}

}  // namespace millrace::view
