// What the groups of each block of a state run are at best in some order of rows, so that the first
// rows of that order are found without reading blocks that cannot have one of them. It is worked
// out by reading the whole run once, and lies in the run's cache from then on. Thread: immutable;
// any. Errors: those of the run, and of what makes the sort keys.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/state_run.h"

namespace millrace::serving {

class BlockBounds {
 public:
  /// Puts the sort key of a group that has this state alone behind `out`.
  using MakeKey =
      std::function<Status(std::string_view key, std::string_view state, std::string& out)>;
  /// `order` tells one order from all others of the run's view.
  static Result<std::shared_ptr<const BlockBounds>> of(const view::StateRun& run,
                                                       std::uint64_t order,
                                                       const MakeKey& make_key);

  /// Not greater than the sort key of any group of the block: the least of them, or its beginning.
  [[nodiscard]] std::string_view least(std::size_t block) const {
    return std::string_view(bytes_).substr(ends_[block], ends_[block + 1] - ends_[block]);
  }
  /// Whether it is the whole key.
  [[nodiscard]] bool is_whole(std::size_t block) const { return least(block).size() < kBytesMax; }
  [[nodiscard]] std::size_t size_bytes() const {
    return sizeof(*this) + bytes_.capacity() + ends_.capacity() * sizeof(std::uint32_t);
  }

 private:
  /// More of a key decides little, and there is one for each block.
  static constexpr std::size_t kBytesMax = 32;

  BlockBounds() = default;

  std::string bytes_;
  std::vector<std::uint32_t> ends_ = {0};
};

}  // namespace millrace::serving
