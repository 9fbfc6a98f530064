#include "view/run_filter.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

namespace millrace::view {

namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kKeysOfALine = 64;  // 8 bits each
/// Odd factors, digits of roots: each takes other bits of the hash to the top.
constexpr std::array<std::uint32_t, 6> kFactors = {0x9e3779b1, 0x85ebca77, 0xc2b2ae3d,
                                                   0x27d4eb2f, 0x165667b1, 0x7feb352d};

std::size_t line_of(std::uint64_t hash, std::size_t lines) {
  return static_cast<std::size_t>(((hash >> 32) * lines) >> 32) * kLineBytes;
}

/// One of the 512 bits of a line.
std::uint32_t bit_of(std::uint64_t hash, std::uint32_t factor) {
  return (static_cast<std::uint32_t>(hash) * factor) >> 23;
}

}  // namespace

std::uint64_t filter_hash(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

std::string make_filter(std::span<const std::uint64_t> hashes) {
  const std::size_t lines =
      std::max<std::size_t>(1, (hashes.size() + kKeysOfALine - 1) / kKeysOfALine);
  std::string out(lines * kLineBytes, '\0');
  for (const std::uint64_t hash : hashes) {
    char* const line = out.data() + line_of(hash, lines);
    for (const std::uint32_t factor : kFactors) {
      const std::uint32_t bit = bit_of(hash, factor);
      line[bit / 8] = static_cast<char>(line[bit / 8] | (1 << (bit % 8)));
    }
  }
  return out;
}

bool may_contain(std::string_view filter, std::uint64_t hash) {
  const char* const line = filter.data() + line_of(hash, filter.size() / kLineBytes);
  return std::ranges::all_of(kFactors, [&](std::uint32_t factor) {
    const std::uint32_t bit = bit_of(hash, factor);
    return ((line[bit / 8] >> (bit % 8)) & 1) != 0;
  });
}

}  // namespace millrace::view
