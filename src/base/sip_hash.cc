#include "base/sip_hash.h"

#include <bit>
#include <cstring>

namespace millrace {

namespace {

struct SipState {
  std::uint64_t v0;
  std::uint64_t v1;
  std::uint64_t v2;
  std::uint64_t v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void take(std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  [[nodiscard]] std::uint64_t sum() const { return v0 ^ v1 ^ v2 ^ v3; }
};

}  // namespace

Hash128 sip_hash_128(const SipHashKey& key, std::string_view bytes) {
  SipState state{.v0 = key.low ^ 0x736f6d6570736575,
                 .v1 = key.high ^ 0x646f72616e646f6d ^ 0xee,
                 .v2 = key.low ^ 0x6c7967656e657261,
                 .v3 = key.high ^ 0x7465646279746573};
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    state.take(word);
  }
  std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  for (std::size_t i = 0; at + i < bytes.size(); ++i)
    last |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  state.take(last);
  state.v2 ^= 0xee;
  state.rounds(4);
  Hash128 out;
  out.low = state.sum();
  state.v1 ^= 0xdd;
  state.rounds(4);
  out.high = state.sum();
  return out;
}

}  // namespace millrace
