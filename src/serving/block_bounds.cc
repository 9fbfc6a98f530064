#include "serving/block_bounds.h"

#include <algorithm>

namespace millrace::serving {

Result<std::shared_ptr<const BlockBounds>> BlockBounds::of(const view::StateRun& run,
                                                           std::uint64_t order,
                                                           const MakeKey& make_key) {
  if (auto known = run.noted<BlockBounds>(order)) return known;
  const std::shared_ptr<BlockBounds> bounds(new BlockBounds());
  std::string least;
  std::string key;
  for (std::size_t number = 0; number < run.blocks(); ++number) {
    MR_TRY(const auto block, run.block(number, false));
    for (std::size_t i = 0; i < block->entries(); ++i) {
      const auto entry = block->entry(i);
      key.clear();
      MR_RETURN_IF_ERROR(make_key(entry.key, entry.state, key));
      if (i == 0 || key < least) std::swap(least, key);
    }
    bounds->bytes_.append(least, 0, kBytesMax);
    bounds->ends_.push_back(static_cast<std::uint32_t>(bounds->bytes_.size()));
  }
  run.note(order, bounds, bounds->size_bytes());
  return std::shared_ptr<const BlockBounds>(bounds);
}

}  // namespace millrace::serving
