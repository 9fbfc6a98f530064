#include "view/run_block.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "view/ordered_bits.h"

namespace millrace::view {

namespace {

/// The string at `at` with its length before it; `at` goes behind it. All was checked by parse().
std::string_view take_string(const char*& at) {
  std::size_t size = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(*at++);
    size |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const std::string_view out(at, size);
  at += size;
  return out;
}

/// The 4 bytes of a key from `skip` on, zeros behind its end.
std::uint32_t key_prefix(std::string_view key, std::size_t skip) {
  std::array<char, 4> raw = {};
  if (key.size() > skip)
    std::memcpy(raw.data(), key.data() + skip, std::min<std::size_t>(4, key.size() - skip));
  return load_big_endian<std::uint32_t>(raw.data());
}

}  // namespace

Result<std::shared_ptr<const RunBlock>> RunBlock::parse(std::string bytes, std::uint32_t entries) {
  // An entry has two bytes at least, so a count beyond that is no reason to reserve memory.
  if (entries == 0 || entries > bytes.size() / 2) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "{} entries do not fit {} bytes",
                entries, bytes.size());
  }
  const std::shared_ptr<RunBlock> block(new RunBlock());
  block->bytes_ = std::move(bytes);
  block->places_.reserve(entries);
  ByteReader reader(block->bytes_);
  std::string_view last;
  for (std::uint32_t i = 0; i < entries; ++i) {
    const auto place = static_cast<std::uint32_t>(block->bytes_.size() - reader.remaining());
    const std::string_view key = reader.get_string();
    reader.get_string();
    if (!reader.ok())
      return fail(ErrorCode::kDataLoss, error_id::kChecksum, "entry {} is cut off", i);
    if (i != 0 && key <= last)
      return fail(ErrorCode::kDataLoss, error_id::kChecksum, "keys do not ascend at entry {}", i);
    last = key;
    block->places_.push_back(place);
  }
  if (!reader.at_end()) {
    return fail(ErrorCode::kDataLoss, error_id::kChecksum, "{} bytes stand behind the last entry",
                reader.remaining());
  }
  block->cache_prefixes();
  return block;
}

RunBlock::Entry RunBlock::entry(std::size_t index) const {
  const char* at = bytes_.data() + places_[index];
  const std::string_view key = take_string(at);
  return {.key = key, .state = take_string(at)};
}

std::string_view RunBlock::key(std::size_t index) const {
  const char* at = bytes_.data() + places_[index];
  return take_string(at);
}

void RunBlock::cache_prefixes() {
  // The keys ascend, so what the first and the last share all share.
  const std::string_view first = key(0);
  const std::string_view last = key(places_.size() - 1);
  shared_ = static_cast<std::size_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
  prefixes_.reserve(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) prefixes_.push_back(key_prefix(key(i), shared_));
}

std::size_t RunBlock::lower_bound(std::string_view wanted) const {
  const int side = wanted.substr(0, shared_).compare(key(0).substr(0, shared_));
  if (side != 0) return side < 0 ? 0 : places_.size();
  const auto [begin, end] = std::ranges::equal_range(prefixes_, key_prefix(wanted, shared_));
  const auto found = std::lower_bound(places_.begin() + (begin - prefixes_.begin()),
                                      places_.begin() + (end - prefixes_.begin()), wanted,
                                      [&](std::uint32_t place, std::string_view than) {
                                        const char* at = bytes_.data() + place;
                                        return take_string(at) < than;
                                      });
  return static_cast<std::size_t>(found - places_.begin());
}

}  // namespace millrace::view
