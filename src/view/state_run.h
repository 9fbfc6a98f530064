// An immutable sorted run of (key, state): the content of a generation's or a checkpoint's file, or
// groups that memory had no room for. What is in memory is the first key of each block; blocks are
// read when they are asked for, and lie in the process's cache. Every byte is covered by a checksum
// that is compared when the byte is read: those of the index in open(), a block's when it is read.
// docs/reference/state_format.md Thread: immutable once opened; any. Errors: kDataLoss (kChecksum)
// names the run and the offset; kFailedPrecondition (kFormatVersion) for a version from the future;
// what the file says. So each read may fail, and none gives a wrong answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/block_cache.h"
#include "view/run_block.h"
#include "view/run_bytes.h"

namespace millrace::view {

class StateRun {
 public:
  using Block = std::shared_ptr<const RunBlock>;
  struct Found {
    Block block;  // keeps the state's bytes
    std::string_view state;
  };

  /// Checks the index, and none of the blocks but in a file of version 1, which is read whole.
  /// Without a cache each read goes to the bytes.
  static Result<std::shared_ptr<const StateRun>> open(std::shared_ptr<const RunBytes> bytes,
                                                      std::uint64_t fingerprint,
                                                      std::shared_ptr<BlockCache> cache);
  /// Bytes in memory, all of them checked.
  static Result<std::shared_ptr<const StateRun>> parse(std::string bytes,
                                                       std::uint64_t fingerprint);
  static std::shared_ptr<const StateRun> empty();
  ~StateRun();

  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] Result<std::optional<Found>> find(std::string_view key) const;
  /// Whether find() would read nothing now but what is in the cache.
  [[nodiscard]] bool is_cached(std::string_view key) const;
  /// Reads every byte. Ends early, without an error, when `go_on` says false.
  [[nodiscard]] Status verify(const std::function<bool()>& go_on) const;
  /// What it holds in memory for itself.
  [[nodiscard]] std::size_t size_bytes() const;
  [[nodiscard]] std::uint64_t file_bytes() const;

  // For cursors:
  [[nodiscard]] std::size_t blocks() const { return places_.size(); }
  /// The block that has `key`, or would have it; the first one where the key is less than all.
  [[nodiscard]] std::size_t block_of(std::string_view key) const;
  /// `kept`: in the cache, for whoever comes next; a walk over all of a run does not.
  [[nodiscard]] Result<Block> block(std::size_t number, bool kept) const;
  [[nodiscard]] std::string_view first_key(std::size_t block) const {
    return std::string_view(first_keys_)
        .substr(places_[block].key_offset, places_[block].key_bytes);
  }

  /// Something that was worked out of the run, which never changes; it lies in the cache under a
  /// number that the caller gives, of less than 32 bits, and may be gone at any time. Null then.
  template <class T>
  [[nodiscard]] std::shared_ptr<const T> noted(std::uint64_t number) const {
    return std::static_pointer_cast<const T>(find_note(number));
  }
  void note(std::uint64_t number, std::shared_ptr<const void> value, std::size_t bytes) const;

 private:
  struct Place {
    std::uint64_t prefix = 0;  // 8 bytes of the first key behind the shared_ ones, big endian
    std::uint64_t offset = 0;
    std::uint64_t key_offset = 0;  // in first_keys_
    std::uint32_t key_bytes = 0;
    std::uint32_t bytes = 0;
    std::uint32_t entries = 0;
    std::uint32_t checksum = 0;
  };
  struct Filter {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t checksum = 0;
    std::uint32_t blocks_end = 0;  // the first block that it does not tell of
  };

  StateRun() = default;
  Status read_index(std::uint64_t fingerprint);
  Status read_places(std::string_view index, std::uint32_t blocks);
  Status read_places_without_keys(std::string_view index, std::uint32_t blocks);
  Status check_places(std::uint64_t index_offset) const;
  void add_place(Place place, std::string_view first_key);
  void cache_prefixes();
  [[nodiscard]] std::shared_ptr<const void> find_note(std::uint64_t number) const;
  /// The number of blocks whose first key is not greater.
  [[nodiscard]] std::size_t blocks_upto(std::string_view key) const;
  Result<std::string> read(std::uint64_t offset, std::uint32_t bytes, std::uint32_t checksum,
                           std::string_view what) const;
  Result<Block> load(std::size_t number) const;
  template <class T>
  std::shared_ptr<const T> cached(std::uint64_t part) const;
  void keep(std::uint64_t part, BlockCache::Value value, std::size_t bytes) const;
  /// Of a block; null where no filter tells of it.
  [[nodiscard]] const Filter* filter_of(std::size_t block) const;
  [[nodiscard]] std::uint64_t part_of(const Filter& filter) const;
  Result<bool> may_have(std::size_t block, std::string_view key) const;
  template <class... Args>
  std::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) const;

  std::shared_ptr<const RunBytes> bytes_;
  std::shared_ptr<BlockCache> cache_;
  std::uint64_t number_ = 0;  // in the cache
  std::uint64_t held_ = 0;    // of the cache's budget
  std::uint64_t entries_ = 0;
  std::vector<Place> places_;
  std::vector<Filter> filters_;
  std::string first_keys_;
  std::uint32_t shared_ = 0;  // so many first bytes are the same in all first keys
};

}  // namespace millrace::view
