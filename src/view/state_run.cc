#include "view/state_run.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "view/ordered_bits.h"
#include "view/state_layout.h"

namespace millrace::view {
namespace {

constexpr std::string_view kMagic = "MRSTATE\n";
constexpr std::string_view kEndMagic = "\nMRSTEND";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr std::size_t kHeaderBytes = 8 + 4 + 8;          // magic, version, fingerprint
constexpr std::size_t kIndexEntryBytes = 8 + 4 + 4 + 4;  // offset, bytes, entries, CRC32C
constexpr std::size_t kFooterBytes =
    8 + 4 + 8 + 4 + 8;  // index offset, blocks, entries, CRC32C, magic

struct Block {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;
  std::uint32_t entries = 0;
  std::uint32_t checksum = 0;
};

template <class... Args>
std::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum, "state run: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

/// The 8 bytes of a key from `skip` on, zeros behind its end.
std::uint64_t key_prefix(std::string_view key, std::size_t skip) {
  std::array<char, 8> raw = {};
  if (key.size() > skip)
    std::memcpy(raw.data(), key.data() + skip, std::min<std::size_t>(8, key.size() - skip));
  return load_big_endian<std::uint64_t>(raw.data());
}

}  // namespace

struct StateRunWriter::Impl {
  explicit Impl(std::uint64_t for_fingerprint) : fingerprint(for_fingerprint) { begin(); }

  void begin() {
    ByteWriter writer(file);
    writer.put_bytes(kMagic);
    writer.put(kVersion);
    writer.put(fingerprint);
    open = {.offset = kHeaderBytes};
  }

  void end_block() {
    if (open.entries == 0) return;
    open.bytes = static_cast<std::uint32_t>(file.size() - open.offset);
    open.checksum = crc32c(std::string_view(file).substr(open.offset));
    blocks.push_back(open);
    open = {.offset = file.size()};
  }

  std::uint64_t fingerprint;
  std::string file;
  std::vector<Block> blocks;
  Block open;
  std::string last_key;
  std::uint64_t entries = 0;
};

StateRunWriter::StateRunWriter(std::uint64_t fingerprint)
    : impl_(std::make_unique<Impl>(fingerprint)) {}
StateRunWriter::~StateRunWriter() = default;

void StateRunWriter::add(std::string_view key, std::string_view state) {
  MR_CHECK(impl_->entries == 0 || key > impl_->last_key, "keys of a state run do not ascend");
  MR_CHECK(key.size() + state.size() < std::numeric_limits<std::uint32_t>::max() / 2,
           "an entry of {} bytes", key.size() + state.size());
  ByteWriter writer(impl_->file);
  writer.put_string(key);
  writer.put_string(state);
  impl_->last_key.assign(key);
  ++impl_->entries;
  ++impl_->open.entries;
  if (impl_->file.size() - impl_->open.offset >= kBlockBytes) impl_->end_block();
}

std::uint64_t StateRunWriter::entries() const { return impl_->entries; }

std::string StateRunWriter::finish() {
  impl_->end_block();
  std::string& file = impl_->file;
  const std::uint64_t index_offset = file.size();
  ByteWriter writer(file);
  for (const Block& block : impl_->blocks) {
    writer.put(block.offset);
    writer.put(block.bytes);
    writer.put(block.entries);
    writer.put(block.checksum);
  }
  writer.put(index_offset);
  writer.put(static_cast<std::uint32_t>(impl_->blocks.size()));
  writer.put(impl_->entries);
  const std::string_view bytes = file;
  writer.put(crc32c(bytes.substr(index_offset), crc32c(bytes.substr(0, kHeaderBytes))));
  writer.put_bytes(kEndMagic);
  std::string out = std::move(file);
  impl_ = std::make_unique<Impl>(impl_->fingerprint);
  return out;
}

Result<std::shared_ptr<const StateRun>> StateRun::parse(std::string bytes,
                                                        std::uint64_t fingerprint) {
  auto run = std::make_shared<StateRun>();
  run->bytes_ = std::move(bytes);
  const std::string_view file = run->bytes_;
  if (file.size() < kHeaderBytes + kFooterBytes)
    return damaged("{} bytes are too few", file.size());
  if (!file.starts_with(kMagic)) return damaged("it does not begin with its magic bytes");
  ByteReader header(file.substr(kMagic.size(), kHeaderBytes - kMagic.size()));
  const auto version = header.get<std::uint32_t>();
  const auto written_for = header.get<std::uint64_t>();
  if (!file.ends_with(kEndMagic)) return damaged("it does not end with its magic bytes");

  const std::size_t footer_offset = file.size() - kFooterBytes;
  ByteReader footer(file.substr(footer_offset));
  const auto index_offset = footer.get<std::uint64_t>();
  const auto block_count = footer.get<std::uint32_t>();
  const auto entries = footer.get<std::uint64_t>();
  const auto checksum = footer.get<std::uint32_t>();
  if (index_offset < kHeaderBytes || index_offset > footer_offset ||
      footer_offset - index_offset != std::uint64_t{block_count} * kIndexEntryBytes) {
    return damaged("the index of {} blocks at {} does not fit {} bytes", block_count, index_offset,
                   file.size());
  }
  const std::string_view metadata =
      file.substr(index_offset, footer_offset - index_offset + 8 + 4 + 8);
  const std::uint32_t actual = crc32c(metadata, crc32c(file.substr(0, kHeaderBytes)));
  if (actual != checksum)
    return damaged("checksum is {:#010x}, its bytes give {:#010x}", checksum, actual);
  // Only now are version and fingerprint known to be what was written.
  if (version != kVersion) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
                "state run of version {}; this program reads version {}", version, kVersion);
  }
  if (written_for != fingerprint) {
    return damaged("it belongs to the view definition {:#x}, not to {:#x}", written_for,
                   fingerprint);
  }
  // An entry has two bytes at least, so a count beyond that is no reason to reserve memory.
  if (entries > index_offset / 2)
    return damaged("{} entries do not fit {} bytes", entries, index_offset);

  run->entries_.reserve(entries);
  ByteReader index(file.substr(index_offset, footer_offset - index_offset));
  std::uint64_t expected_offset = kHeaderBytes;
  std::string_view last_key;
  for (std::uint32_t number = 0; number < block_count; ++number) {
    Block block;
    block.offset = index.get<std::uint64_t>();
    block.bytes = index.get<std::uint32_t>();
    block.entries = index.get<std::uint32_t>();
    block.checksum = index.get<std::uint32_t>();
    if (block.offset != expected_offset || block.bytes > index_offset - block.offset) {
      return damaged("block {} lies at {} with {} bytes", number, block.offset, block.bytes);
    }
    expected_offset += block.bytes;
    const std::string_view content = file.substr(block.offset, block.bytes);
    const std::uint32_t block_actual = crc32c(content);
    if (block_actual != block.checksum) {
      return damaged("block {}: checksum is {:#010x}, its bytes give {:#010x}", number,
                     block.checksum, block_actual);
    }
    ByteReader reader(content);
    for (std::uint32_t i = 0; i < block.entries; ++i) {
      const std::string_view key = reader.get_string();
      const std::string_view state = reader.get_string();
      if (!reader.ok()) return damaged("block {}: entry {} is cut off", number, i);
      if (!run->entries_.empty() && key <= last_key)
        return damaged("block {}: keys do not ascend", number);
      last_key = key;
      run->entries_.push_back({.prefix = 0,
                               .offset = static_cast<std::uint64_t>(key.data() - file.data()),
                               .key_bytes = static_cast<std::uint32_t>(key.size()),
                               .state_bytes = static_cast<std::uint32_t>(state.size())});
    }
    if (!reader.at_end()) return damaged("block {} has bytes behind its last entry", number);
  }
  if (expected_offset != index_offset || run->entries_.size() != entries) {
    return damaged("{} of {} entries are there", run->entries_.size(), entries);
  }
  run->cache_prefixes();
  return run;
}

void StateRun::cache_prefixes() {
  if (entries_.empty()) return;
  // The keys ascend, so what the first and the last share all share: a prefix of what comes behind
  // tells more.
  const std::string_view first = entry(0).key;
  const std::string_view last = entry(entries_.size() - 1).key;
  shared_ = static_cast<std::uint32_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
  for (std::size_t i = 0; i < entries_.size(); ++i)
    entries_[i].prefix = key_prefix(entry(i).key, shared_);
}

std::shared_ptr<const StateRun> StateRun::empty() {
  static const std::shared_ptr<const StateRun> kEmpty = std::make_shared<StateRun>();
  return kEmpty;
}

StateRun::Entry StateRun::entry(std::size_t index) const {
  const Place& place = entries_[index];
  const std::string_view file = bytes_;
  // The state's length stands between key and state.
  const std::size_t length_bytes =
      (static_cast<std::size_t>(std::bit_width(place.state_bytes | 1U)) + 6) / 7;
  return {.key = file.substr(place.offset, place.key_bytes),
          .state = file.substr(place.offset + place.key_bytes + length_bytes, place.state_bytes)};
}

std::size_t StateRun::lower_bound(std::string_view key) const {
  if (entries_.empty()) return 0;
  const std::string_view shared = std::string_view(bytes_).substr(entries_.front().offset, shared_);
  const int side = key.substr(0, shared_).compare(shared);
  if (side != 0) return side < 0 ? 0 : entries_.size();
  const std::uint64_t prefix = key_prefix(key, shared_);
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), key, [&](const Place& place, std::string_view wanted) {
        if (place.prefix != prefix) return place.prefix < prefix;
        return std::string_view(bytes_).substr(place.offset, place.key_bytes) < wanted;
      });
  return static_cast<std::size_t>(found - entries_.begin());
}

std::optional<std::string_view> StateRun::find(std::string_view key) const {
  const std::size_t index = lower_bound(key);
  if (index == entries_.size()) return std::nullopt;
  const Entry found = entry(index);
  if (found.key != key) return std::nullopt;
  return found.state;
}

std::size_t StateRun::size_bytes() const {
  return sizeof(*this) + bytes_.capacity() + entries_.capacity() * sizeof(Place);
}

Status merge_runs(const AggregatePlan& plan, const StateRun& a, const StateRun& b,
                  const std::function<void(std::string_view key, std::string_view state)>& visit) {
  const StateLayout layout(plan, 0);
  SingleState first(layout);
  SingleState second(layout);
  std::string merged;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.entries() && j < b.entries()) {
    const StateRun::Entry left = a.entry(i);
    const StateRun::Entry right = b.entry(j);
    const auto order = left.key <=> right.key;
    if (order < 0) {
      visit(left.key, left.state);
      ++i;
    } else if (order > 0) {
      visit(right.key, right.state);
      ++j;
    } else {
      TextKeeper texts;
      first.reset();
      second.reset();
      if (!layout.decode(left.state, first.get())) return no_state(left.state.size());
      if (!layout.decode(right.state, second.get())) return no_state(right.state.size());
      layout.merge(first.get(), second.get(), texts);
      merged.clear();
      layout.encode(first.get(), merged);
      visit(left.key, merged);
      ++i;
      ++j;
    }
  }
  for (; i < a.entries(); ++i) visit(a.entry(i).key, a.entry(i).state);
  for (; j < b.entries(); ++j) visit(b.entry(j).key, b.entry(j).state);
  return {};
}

}  // namespace millrace::view
