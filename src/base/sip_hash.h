// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012): a hash that nobody can steer
// who does not know its key. For tables that keep only the hash of a value and take two equal
// hashes for two equal values. Thread: any. Errors: none.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace {

struct SipHashKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

[[nodiscard]] Hash128 sip_hash_128(const SipHashKey& key, std::string_view bytes);

}  // namespace millrace
