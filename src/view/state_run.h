// An immutable sorted run of (key, state): the content of a generation's or a checkpoint's file,
// and the index that key lookups of the serving layer use. Header, blocks with a CRC32C each, block
// index, footer with a CRC32C over the rest of the metadata; all bytes are covered by some
// checksum. docs/reference/state_format.md Thread: immutable once parsed; any. Errors: kDataLoss
// (kChecksum), kFailedPrecondition (kFormatVersion) for a version from the future.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/aggregate_plan.h"

namespace millrace::view {

/// Keys must come in strictly ascending order of bytes.
class StateRunWriter {
 public:
  /// `fingerprint`: of the view's definition, so that a file is never read as another view's.
  explicit StateRunWriter(std::uint64_t fingerprint);
  ~StateRunWriter();
  void add(std::string_view key, std::string_view state);
  [[nodiscard]] std::uint64_t entries() const;
  /// The whole file. The writer is empty afterwards.
  std::string finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class StateRun {
 public:
  struct Entry {
    std::string_view key;
    std::string_view state;
  };

  /// Checks every checksum and the order of the keys. Keeps the bytes.
  static Result<std::shared_ptr<const StateRun>> parse(std::string bytes,
                                                       std::uint64_t fingerprint);
  static std::shared_ptr<const StateRun> empty();

  [[nodiscard]] std::size_t entries() const { return entries_.size(); }
  [[nodiscard]] Entry entry(std::size_t index) const;
  /// Microseconds at worst: a binary search with a cached prefix of each key.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const;
  /// Index of the first entry whose key is not less.
  [[nodiscard]] std::size_t lower_bound(std::string_view key) const;
  [[nodiscard]] std::size_t size_bytes() const;

 private:
  struct Place {
    std::uint64_t prefix;  // 8 bytes of the key behind the shared_ ones, big endian
    std::uint64_t offset;  // of the key in bytes_
    std::uint32_t key_bytes;
    std::uint32_t state_bytes;
  };
  void cache_prefixes();

  std::string bytes_;
  std::vector<Place> entries_;
  std::uint32_t shared_ = 0;  // so many first bytes are the same in all keys
};

/// merge by key of two sorted runs, in one pass, into a writer's file. `visit` sees each merged
/// entry.
Status merge_runs(const AggregatePlan& plan, const StateRun& a, const StateRun& b,
                  const std::function<void(std::string_view key, std::string_view state)>& visit);

}  // namespace millrace::view
