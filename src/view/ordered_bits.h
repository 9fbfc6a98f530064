// Values of fixed width as unsigned integers that order as the values do, so that keys compare by
// bytes and min and max by one unsigned comparison. Doubles become canonical on the way: -0.0 is
// 0.0, and there is one NaN, the largest of all. Pure functions.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "model/type.h"

namespace millrace::view {

/// The unsigned integer of the same width as T.
template <class T>
using OrderedBits = std::conditional_t<
    sizeof(T) == 1, std::uint8_t,
    std::conditional_t<
        sizeof(T) == 2, std::uint16_t,
        std::conditional_t<sizeof(T) == 4, std::uint32_t,
                           std::conditional_t<sizeof(T) == 8, std::uint64_t, UInt128>>>>;

template <class T>
[[nodiscard]] inline OrderedBits<T> to_ordered(T value) {
  using Bits = OrderedBits<T>;
  constexpr Bits kTop = static_cast<Bits>(Bits{1} << (sizeof(T) * 8 - 1));
  if constexpr (std::is_same_v<T, bool>) {
    return value ? 1 : 0;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (value != value) value = std::numeric_limits<T>::quiet_NaN();
    if (value == 0) value = 0;
    const auto bits = std::bit_cast<Bits>(value);
    return static_cast<Bits>((bits & kTop) != 0 ? ~bits : bits | kTop);
  } else if constexpr (std::is_same_v<T, Int128> || std::is_signed_v<T>) {
    return static_cast<Bits>(static_cast<Bits>(value) ^ kTop);
  } else {
    return value;
  }
}

/// The inverse. Of bits that to_ordered() never gives (a second NaN, -0.0, a boolean of 2) see
/// is_canonical().
template <class T>
[[nodiscard]] inline T from_ordered(OrderedBits<T> bits) {
  using Bits = OrderedBits<T>;
  constexpr Bits kTop = static_cast<Bits>(Bits{1} << (sizeof(T) * 8 - 1));
  if constexpr (std::is_same_v<T, bool>) {
    return bits != 0;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::bit_cast<T>(static_cast<Bits>((bits & kTop) != 0 ? bits ^ kTop : ~bits));
  } else if constexpr (std::is_same_v<T, Int128> || std::is_signed_v<T>) {
    return static_cast<T>(static_cast<Bits>(bits ^ kTop));
  } else {
    return bits;
  }
}

template <class T>
[[nodiscard]] inline bool is_canonical(OrderedBits<T> bits) {
  return to_ordered<T>(from_ordered<T>(bits)) == bits;
}

/// Of a value as it lies in a column; a boolean byte that is not 0 is true.
template <class T>
[[nodiscard]] inline T load_value(const void* data, std::size_t row) {
  if constexpr (std::is_same_v<T, bool>) {
    return static_cast<const std::uint8_t*>(data)[row] != 0;
  } else {
    T value;
    std::memcpy(&value, static_cast<const char*>(data) + row * sizeof(T), sizeof(T));
    return value;
  }
}

template <class Bits>
inline void store_big_endian(char* out, Bits bits) {
  if constexpr (sizeof(Bits) == 16) {
    store_big_endian(out, static_cast<std::uint64_t>(bits >> 64));
    store_big_endian(out + 8, static_cast<std::uint64_t>(bits));
  } else {
    if constexpr (sizeof(Bits) == 2) bits = __builtin_bswap16(bits);
    if constexpr (sizeof(Bits) == 4) bits = __builtin_bswap32(bits);
    if constexpr (sizeof(Bits) == 8) bits = __builtin_bswap64(bits);
    std::memcpy(out, &bits, sizeof(Bits));
  }
}

template <class Bits>
[[nodiscard]] inline Bits load_big_endian(const char* in) {
  if constexpr (sizeof(Bits) == 16) {
    return (static_cast<UInt128>(load_big_endian<std::uint64_t>(in)) << 64) |
           load_big_endian<std::uint64_t>(in + 8);
  } else {
    Bits bits;
    std::memcpy(&bits, in, sizeof(Bits));
    if constexpr (sizeof(Bits) == 2) bits = __builtin_bswap16(bits);
    if constexpr (sizeof(Bits) == 4) bits = __builtin_bswap32(bits);
    if constexpr (sizeof(Bits) == 8) bits = __builtin_bswap64(bits);
    return bits;
  }
}

/// Calls `visit` with a value of the C++ type of a physical type of fixed width; bool and not
/// uint8_t for kBool. The caller has dealt with kString.
template <class Visit>
decltype(auto) visit_fixed(PhysicalType physical, Visit&& visit) {
  switch (physical) {
    case PhysicalType::kBool:
      return visit(bool{});
    case PhysicalType::kInt8:
      return visit(std::int8_t{});
    case PhysicalType::kInt16:
      return visit(std::int16_t{});
    case PhysicalType::kInt32:
      return visit(std::int32_t{});
    case PhysicalType::kInt64:
      return visit(std::int64_t{});
    case PhysicalType::kInt128:
      return visit(Int128{});
    case PhysicalType::kUInt8:
      return visit(std::uint8_t{});
    case PhysicalType::kUInt16:
      return visit(std::uint16_t{});
    case PhysicalType::kUInt32:
      return visit(std::uint32_t{});
    case PhysicalType::kUInt64:
      return visit(std::uint64_t{});
    case PhysicalType::kFloat:
      return visit(float{});
    case PhysicalType::kDouble:
    case PhysicalType::kString:
      break;
  }
  return visit(double{});
}

}  // namespace millrace::view
