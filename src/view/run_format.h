// The fixed parts of a state run's file. Source: docs/reference/state_format.md, "State runs"
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace millrace::view::run_format {

inline constexpr std::string_view kMagic = "MRSTATE\n";
inline constexpr std::string_view kEndMagic = "\nMRSTEND";
/// Version 1 has no filters, and no keys in its index; it is read, and not written any more.
inline constexpr std::uint32_t kVersionWithoutKeys = 1;
inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::size_t kHeaderBytes = 8 + 4 + 8;  // magic, version, fingerprint
/// Offset of the index, blocks, entries, CRC32C, magic.
inline constexpr std::size_t kFooterBytes = 8 + 4 + 8 + 4 + 8;
inline constexpr std::size_t kFooterSummedBytes = 8 + 4 + 8;  // that its CRC32C covers
/// A cold look-up reads one block; an entry of the index is held for each.
inline constexpr std::size_t kBlockBytes = 8 * 1024;
/// A filter ends with the block that makes it this many.
inline constexpr std::size_t kFilterKeys = 64 * 1024;

}  // namespace millrace::view::run_format
