// Tells of most keys that a part of a state run does not have that it does not have them: a Bloom
// filter of one cache line a key, 8 bits a key, wrong for about one absent key of forty. Its bytes
// stand in files: docs/reference/state_format.md Thread: immutable; any.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace::view {

[[nodiscard]] std::uint64_t filter_hash(std::string_view key);
/// The filter of keys with these hashes: whole lines of 64 bytes.
[[nodiscard]] std::string make_filter(std::span<const std::uint64_t> hashes);
/// Whether a key with this hash may be among them. `filter` is make_filter()'s.
[[nodiscard]] bool may_contain(std::string_view filter, std::uint64_t hash);

}  // namespace millrace::view
