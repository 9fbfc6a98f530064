// The short cut of the inner loop of ingest: the common forms of the common types without a call
// and without a loop over bytes. What it takes it stores exactly as put_field() would; at
// everything else it says no, and put_field() decides. Needs 16 readable bytes behind a token
// (PaddedBytes has 64). Thread: any; the caller alone holds the column. Errors: none of its own.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "format/json_text.h"
#include "model/column_batch.h"

namespace millrace::format {

static_assert(std::endian::native == std::endian::little,
              "words of text are compared as little-endian numbers");

inline std::uint64_t load_word(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// The first `bytes` bytes of a word, 0 to 8; the rest becomes zero.
inline std::uint64_t first_bytes(std::uint64_t word, std::size_t bytes) {
  return bytes >= 8 ? word : word & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

/// Up to 16 bytes as two words that compare in two instructions. `at` has 16 readable bytes.
struct ShortText {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  static constexpr std::size_t kBytesMax = 16;

  static ShortText load(const char* at, std::size_t size) {
    return {first_bytes(load_word(at), size),
            size <= 8 ? 0 : first_bytes(load_word(at + 8), size - 8)};
  }
  bool operator==(const ShortText&) const = default;

  [[nodiscard]] bool has_backslash() const { return (zero_bytes(low) | zero_bytes(high)) != 0; }

 private:
  // H. Warren, Hacker's Delight, 6-1: not zero exactly where a byte of word ^ "\\\\\\\\\\\\\\\\" is
  // zero.
  static std::uint64_t zero_bytes(std::uint64_t word) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    const std::uint64_t other = word ^ (kOnes * '\\');
    return (other - kOnes) & ~other & (kOnes * 0x80);
  }
};

/// Eight digits at once. False where one of them is none.
inline bool eight_digits(std::uint64_t word, std::uint64_t& value) {
  constexpr std::uint64_t kZeros = 0x3030303030303030;
  if (((word & 0xf0f0f0f0f0f0f0f0) | (((word + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) >> 4)) !=
      0x3333333333333333) {
    return false;
  }
  // Pairs, then fours, then all eight, each by one multiplication.
  word -= kZeros;
  word = word * 10 + (word >> 8);
  word = ((word & 0x000000ff000000ff) * 0x000f424000000064 +
          ((word >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
         32;
  value = word;
  return true;
}

/// An integer of up to 18 digits as JSON writes it, without fraction and exponent.
[[gnu::always_inline]] inline bool small_integer(std::string_view token, std::int64_t& value) {
  const char* at = token.data();
  std::size_t size = token.size();
  const bool negative = *at == '-';
  at += negative;
  size -= negative;
  if (size - 1 > 17 || (*at == '0' && size > 1)) return false;
  std::uint64_t sum = 0;
  while (size >= 8) {
    std::uint64_t part = 0;
    if (!eight_digits(load_word(at), part)) return false;
    sum = sum * 100'000'000 + part;
    at += 8;
    size -= 8;
  }
  for (; size != 0; --size, ++at) {
    const auto digit = static_cast<unsigned char>(*at - '0');
    if (digit > 9) return false;
    sum = sum * 10 + digit;
  }
  value = negative ? -static_cast<std::int64_t>(sum) : static_cast<std::int64_t>(sum);
  return true;
}

[[gnu::always_inline]] inline bool put_common_text(std::string_view token, ColumnVector& column,
                                                   Arena& arena) {
  if (token.front() != '"') return false;
  const std::string_view inside = token.substr(1, token.size() - 2);
  if (inside.size() > ShortText::kBytesMax) {
    if (std::memchr(inside.data(), '\\', inside.size()) != nullptr) return false;
    column.push(StringRef(arena.copy(inside)));
    return true;
  }
  const ShortText text = ShortText::load(inside.data(), inside.size());
  if (text.has_backslash()) return false;
  if (inside.size() > StringRef::kInlineBytes) {
    column.push(StringRef(arena.copy(inside)));
    return true;
  }
  // StringRef: 4 bytes of size, 12 bytes of text with zeros behind.
  const std::uint64_t words[2] = {inside.size() | text.low << 32, text.low >> 32 | text.high << 32};
  StringRef ref;
  std::memcpy(static_cast<void*>(&ref), words, sizeof(ref));
  column.push(ref);
  return true;
}

/// True where the value was one of the common forms and is stored now.
[[gnu::always_inline]] inline bool put_common_field(std::string_view token, ColumnVector& column,
                                                    Arena& arena) {
  constexpr std::int64_t kYear9999Millis = 253'402'300'799'999;
  switch (column.type().kind) {
    case TypeKind::kVarchar:
      return put_common_text(token, column, arena);
    case TypeKind::kBigInt: {
      std::int64_t value = 0;
      if (!small_integer(token, value)) return false;
      column.push(value);
      return true;
    }
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampTz: {
      std::int64_t millis = 0;
      if (!small_integer(token, millis) || millis < 0 || millis > kYear9999Millis) return false;
      column.push(millis * 1000);
      return true;
    }
    case TypeKind::kDouble: {
      JsonNumber number;
      if (token.front() == '"' || !scan_number(token, number) || !number.is_exact_double())
        return false;
      column.push(nearest_double(token, number));
      return true;
    }
    case TypeKind::kBoolean: {
      if (token != "true" && token != "false") return false;
      column.push(static_cast<std::uint8_t>(token.size() == 4));
      return true;
    }
    default:
      return false;
  }
}

}  // namespace millrace::format
