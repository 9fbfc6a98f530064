#include "view/state_run.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "view/ordered_bits.h"
#include "view/run_filter.h"
#include "view/run_format.h"

namespace millrace::view {
namespace {

using run_format::kFooterBytes;
using run_format::kHeaderBytes;

constexpr std::size_t kPlaceBytes = 8 + 4 + 4 + 4;   // offset, bytes, entries, CRC32C
constexpr std::size_t kFilterBytes = 8 + 4 + 4 + 4;  // offset, bytes, CRC32C, end of its blocks
constexpr std::uint32_t kFilterLineBytes = 64;
/// Filters stand in the cache under numbers of their own.
constexpr std::uint64_t kFilterParts = std::uint64_t{1} << 32;
/// And what others note.
constexpr std::uint64_t kNoteParts = std::uint64_t{1} << 33;

/// The 8 bytes of a key from `skip` on, zeros behind its end.
std::uint64_t key_prefix(std::string_view key, std::size_t skip) {
  std::array<char, 8> raw = {};
  if (key.size() > skip)
    std::memcpy(raw.data(), key.data() + skip, std::min<std::size_t>(8, key.size() - skip));
  return load_big_endian<std::uint64_t>(raw.data());
}

class MemoryBytes final : public RunBytes {
 public:
  explicit MemoryBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  Status read(std::uint64_t offset, std::span<char> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return fail(ErrorCode::kDataLoss, error_id::kChecksum, "the bytes end at {}", bytes_.size());
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
  [[nodiscard]] std::string name() const override { return "in memory"; }

 private:
  const std::string bytes_;
};

}  // namespace

template <class... Args>
std::unexpected<Error> StateRun::damaged(fmt::format_string<Args...> format, Args&&... args) const {
  return fail(ErrorCode::kDataLoss, error_id::kChecksum, "state run {}: {}", bytes_->name(),
              fmt::format(format, std::forward<Args>(args)...));
}

Result<std::shared_ptr<const StateRun>> StateRun::open(std::shared_ptr<const RunBytes> bytes,
                                                       std::uint64_t fingerprint,
                                                       std::shared_ptr<BlockCache> cache) {
  const std::shared_ptr<StateRun> run(new StateRun());
  run->bytes_ = std::move(bytes);
  run->cache_ = std::move(cache);
  MR_RETURN_IF_ERROR(run->read_index(fingerprint));
  if (run->cache_ == nullptr) return run;
  run->number_ = run->cache_->take_run_number();
  run->held_ = run->size_bytes();
  run->cache_->hold(run->held_);
  return run;
}

Result<std::shared_ptr<const StateRun>> StateRun::parse(std::string bytes,
                                                        std::uint64_t fingerprint) {
  MR_TRY(auto run, open(std::make_shared<MemoryBytes>(std::move(bytes)), fingerprint, nullptr));
  MR_RETURN_IF_ERROR(run->verify([] { return true; }));
  return run;
}

std::shared_ptr<const StateRun> StateRun::empty() {
  static const std::shared_ptr<const StateRun> kEmpty(new StateRun());
  return kEmpty;
}

StateRun::~StateRun() {
  if (cache_ != nullptr) cache_->release(held_);
}

std::uint64_t StateRun::file_bytes() const { return bytes_ == nullptr ? 0 : bytes_->size(); }

std::size_t StateRun::size_bytes() const {
  return sizeof(*this) + places_.capacity() * sizeof(Place) + filters_.capacity() * sizeof(Filter) +
         first_keys_.capacity();
}

Status StateRun::read_index(std::uint64_t fingerprint) {
  const std::uint64_t size = bytes_->size();
  if (size < kHeaderBytes + kFooterBytes) return damaged("{} bytes are too few", size);
  std::string header(kHeaderBytes, '\0');
  std::string footer(kFooterBytes, '\0');
  const std::uint64_t footer_offset = size - kFooterBytes;
  MR_RETURN_IF_ERROR(bytes_->read(0, header));
  MR_RETURN_IF_ERROR(bytes_->read(footer_offset, footer));
  if (!header.starts_with(run_format::kMagic))
    return damaged("it does not begin with its magic bytes");
  if (!footer.ends_with(run_format::kEndMagic))
    return damaged("it does not end with its magic bytes");
  ByteReader header_reader(std::string_view(header).substr(run_format::kMagic.size()));
  const auto version = header_reader.get<std::uint32_t>();
  const auto written_for = header_reader.get<std::uint64_t>();
  ByteReader footer_reader(footer);
  const auto index_offset = footer_reader.get<std::uint64_t>();
  const auto blocks = footer_reader.get<std::uint32_t>();
  entries_ = footer_reader.get<std::uint64_t>();
  const auto checksum = footer_reader.get<std::uint32_t>();
  if (index_offset < kHeaderBytes || index_offset > footer_offset ||
      (footer_offset - index_offset) / kPlaceBytes < blocks) {
    return damaged("the index of {} blocks at {} does not fit {} bytes", blocks, index_offset,
                   size);
  }
  std::string index(footer_offset - index_offset, '\0');
  MR_RETURN_IF_ERROR(bytes_->read(index_offset, index));
  const std::uint32_t actual =
      crc32c(std::string_view(footer).substr(0, run_format::kFooterSummedBytes),
             crc32c(index, crc32c(header)));
  if (actual != checksum)
    return damaged("checksum is {:#010x}, its bytes give {:#010x}", checksum, actual);
  // Only now are version and fingerprint known to be what was written.
  if (version != run_format::kVersion && version != run_format::kVersionWithoutKeys) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kFormatVersion,
                "state run {} is of version {}; this program reads versions 1 to {}",
                bytes_->name(), version, run_format::kVersion);
  }
  if (written_for != fingerprint) {
    return damaged("it belongs to the view definition {:#x}, not to {:#x}", written_for,
                   fingerprint);
  }
  MR_RETURN_IF_ERROR(version == run_format::kVersion ? read_places(index, blocks)
                                                     : read_places_without_keys(index, blocks));
  MR_RETURN_IF_ERROR(check_places(index_offset));
  cache_prefixes();
  return {};
}

void StateRun::add_place(Place place, std::string_view first_key) {
  place.key_offset = first_keys_.size();
  place.key_bytes = static_cast<std::uint32_t>(first_key.size());
  first_keys_.append(first_key);
  places_.push_back(place);
}

Status StateRun::read_places(std::string_view index, std::uint32_t blocks) {
  ByteReader reader(index);
  const auto filters = reader.get<std::uint32_t>();
  if (filters > index.size() / kFilterBytes) return damaged("an index of {} filters", filters);
  filters_.reserve(filters);
  for (std::uint32_t i = 0; i < filters; ++i) {
    Filter filter;
    filter.offset = reader.get<std::uint64_t>();
    filter.bytes = reader.get<std::uint32_t>();
    filter.checksum = reader.get<std::uint32_t>();
    filter.blocks_end = reader.get<std::uint32_t>();
    filters_.push_back(filter);
  }
  places_.reserve(blocks);
  for (std::uint32_t i = 0; i < blocks; ++i) {
    Place place;
    place.offset = reader.get<std::uint64_t>();
    place.bytes = reader.get<std::uint32_t>();
    place.entries = reader.get<std::uint32_t>();
    place.checksum = reader.get<std::uint32_t>();
    add_place(place, reader.get_string());
  }
  if (!reader.at_end()) return damaged("its index does not fit {} blocks", blocks);
  first_keys_.shrink_to_fit();
  return {};
}

/// The keys are those that stand in the blocks.
Status StateRun::read_places_without_keys(std::string_view index, std::uint32_t blocks) {
  if (index.size() != std::size_t{blocks} * kPlaceBytes)
    return damaged("its index does not fit {} blocks", blocks);
  ByteReader reader(index);
  places_.reserve(blocks);
  for (std::uint32_t i = 0; i < blocks; ++i) {
    Place place;
    place.offset = reader.get<std::uint64_t>();
    place.bytes = reader.get<std::uint32_t>();
    place.entries = reader.get<std::uint32_t>();
    place.checksum = reader.get<std::uint32_t>();
    MR_TRY(auto bytes, read(place.offset, place.bytes, place.checksum, "block"));
    const auto block = RunBlock::parse(std::move(bytes), place.entries);
    if (!block) return damaged("block {}: {}", i, block.error().message);
    add_place(place, (*block)->key(0));
  }
  return {};
}

/// Blocks and filters lie one behind the other, and their first keys ascend.
Status StateRun::check_places(std::uint64_t index_offset) const {
  std::uint64_t expected = kHeaderBytes;
  std::uint64_t entries = 0;
  std::size_t filter = 0;
  const auto lies_there = [&](std::uint64_t offset, std::uint32_t bytes) {
    if (offset != expected || bytes > index_offset - expected) return false;
    expected += bytes;
    return true;
  };
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (!lies_there(place.offset, place.bytes))
      return damaged("block {} lies at {} with {} bytes", i, place.offset, place.bytes);
    if (i != 0 && first_key(i) <= first_key(i - 1)) return damaged("block {}: keys descend", i);
    entries += place.entries;
    if (filter == filters_.size() || filters_[filter].blocks_end != i + 1) continue;
    const Filter& there = filters_[filter++];
    if (!lies_there(there.offset, there.bytes) || there.bytes == 0 ||
        there.bytes % kFilterLineBytes != 0) {
      return damaged("filter {} lies at {} with {} bytes", filter - 1, there.offset, there.bytes);
    }
  }
  if (expected != index_offset || entries != entries_ || filter != filters_.size())
    return damaged("{} of {} entries are there", entries, entries_);
  return {};
}

void StateRun::cache_prefixes() {
  if (places_.empty()) return;
  // The keys ascend, so what the first and the last share all share: a prefix of what comes behind
  // tells more.
  const std::string_view first = first_key(0);
  const std::string_view last = first_key(places_.size() - 1);
  shared_ = static_cast<std::uint32_t>(
      std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
  for (std::size_t i = 0; i < places_.size(); ++i)
    places_[i].prefix = key_prefix(first_key(i), shared_);
}

std::size_t StateRun::blocks_upto(std::string_view key) const {
  if (places_.empty()) return 0;
  const int side = key.substr(0, shared_).compare(first_key(0).substr(0, shared_));
  if (side != 0) return side < 0 ? 0 : places_.size();
  const std::uint64_t prefix = key_prefix(key, shared_);
  const auto found = std::upper_bound(
      places_.begin(), places_.end(), key, [&](std::string_view wanted, const Place& place) {
        if (place.prefix != prefix) return prefix < place.prefix;
        return wanted < std::string_view(first_keys_).substr(place.key_offset, place.key_bytes);
      });
  return static_cast<std::size_t>(found - places_.begin());
}

std::size_t StateRun::block_of(std::string_view key) const {
  return std::max<std::size_t>(1, blocks_upto(key)) - 1;
}

Result<std::string> StateRun::read(std::uint64_t offset, std::uint32_t bytes,
                                   std::uint32_t checksum, std::string_view what) const {
  if (offset > bytes_->size() || bytes > bytes_->size() - offset)
    return damaged("{} at {} with {} bytes lies outside of it", what, offset, bytes);
  std::string out(bytes, '\0');
  MR_RETURN_IF_ERROR(bytes_->read(offset, out));
  const std::uint32_t actual = crc32c(out);
  if (actual != checksum) {
    return damaged("{} at offset {}: checksum is {:#010x}, its {} bytes give {:#010x}", what,
                   offset, checksum, bytes, actual);
  }
  return out;
}

Result<StateRun::Block> StateRun::load(std::size_t number) const {
  const Place& place = places_[number];
  MR_TRY(auto bytes, read(place.offset, place.bytes, place.checksum, "block"));
  auto block = RunBlock::parse(std::move(bytes), place.entries);
  if (!block) return damaged("block at offset {}: {}", place.offset, block.error().message);
  const bool last = number + 1 == places_.size();
  if ((*block)->key(0) != first_key(number) ||
      (!last && (*block)->key((*block)->entries() - 1) >= first_key(number + 1))) {
    return damaged("block at offset {}: its keys are not those of the index", place.offset);
  }
  return block;
}

template <class T>
std::shared_ptr<const T> StateRun::cached(std::uint64_t part) const {
  if (cache_ == nullptr) return nullptr;
  return std::static_pointer_cast<const T>(cache_->find({number_, part}));
}

void StateRun::keep(std::uint64_t part, BlockCache::Value value, std::size_t bytes) const {
  if (cache_ != nullptr) cache_->put({number_, part}, std::move(value), bytes);
}

std::shared_ptr<const void> StateRun::find_note(std::uint64_t number) const {
  return cached<void>(kNoteParts + number);
}

void StateRun::note(std::uint64_t number, std::shared_ptr<const void> value,
                    std::size_t bytes) const {
  keep(kNoteParts + number, std::move(value), bytes);
}

Result<StateRun::Block> StateRun::block(std::size_t number, bool kept) const {
  if (!kept) return load(number);
  if (auto there = cached<RunBlock>(number)) return there;
  MR_TRY(auto loaded, load(number));
  keep(number, loaded, loaded->size_bytes());
  return loaded;
}

const StateRun::Filter* StateRun::filter_of(std::size_t block) const {
  const auto found = std::upper_bound(
      filters_.begin(), filters_.end(), block,
      [](std::size_t wanted, const Filter& filter) { return wanted < filter.blocks_end; });
  return found == filters_.end() ? nullptr : &*found;
}

std::uint64_t StateRun::part_of(const Filter& filter) const {
  return kFilterParts + static_cast<std::uint64_t>(&filter - filters_.data());
}

Result<bool> StateRun::may_have(std::size_t block, std::string_view key) const {
  const Filter* const there = filter_of(block);
  if (there == nullptr) return true;
  const std::uint64_t part = part_of(*there);
  auto filter = cached<std::string>(part);
  if (filter == nullptr) {
    MR_TRY(auto bytes, read(there->offset, there->bytes, there->checksum, "filter"));
    filter = std::make_shared<const std::string>(std::move(bytes));
    keep(part, filter, sizeof(std::string) + filter->capacity());
  }
  return may_contain(*filter, filter_hash(key));
}

bool StateRun::is_cached(std::string_view key) const {
  const std::size_t upto = blocks_upto(key);
  if (upto == 0) return true;
  if (cache_ == nullptr) return false;
  if (cache_->has({number_, upto - 1})) return true;
  const Filter* const there = filter_of(upto - 1);
  if (there == nullptr) return false;
  const auto filter = cached<std::string>(part_of(*there));
  return filter != nullptr && !may_contain(*filter, filter_hash(key));
}

Result<std::optional<StateRun::Found>> StateRun::find(std::string_view key) const {
  const std::size_t upto = blocks_upto(key);
  if (upto == 0) return std::nullopt;
  const std::size_t number = upto - 1;
  auto there = cached<RunBlock>(number);
  if (there == nullptr) {
    MR_TRY(const bool may, may_have(number, key));
    if (!may) return std::nullopt;
    MR_TRY(there, load(number));
    keep(number, there, there->size_bytes());
  }
  const std::size_t index = there->lower_bound(key);
  if (index == there->entries()) return std::nullopt;
  const auto entry = there->entry(index);
  if (entry.key != key) return std::nullopt;
  return Found{std::move(there), entry.state};
}

Status StateRun::verify(const std::function<bool()>& go_on) const {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (!go_on()) return {};
    MR_TRY(const auto block, load(i));
  }
  for (const Filter& filter : filters_) {
    MR_TRY(const auto bytes, read(filter.offset, filter.bytes, filter.checksum, "filter"));
  }
  return {};
}

}  // namespace millrace::view
