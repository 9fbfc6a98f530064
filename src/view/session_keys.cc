#include "view/session_keys.h"

#include "view/key_codec.h"

namespace millrace::view {

Result<bool> SessionKeys::begins(std::string_view key) {
  MR_RETURN_IF_ERROR(split_key(key, keys_, columns_));
  const std::string_view time = columns_.back();
  const bool has_time = time.front() != 0;
  ColumnBatch value(std::span(&keys_.back(), 1));
  push_key_column(time, value.column(0), value.arena());
  const std::int64_t now_us = has_time ? value.column(0).data<std::int64_t>()[0] : 0;
  const std::string_view others = key.substr(0, key.size() - time.size());
  // Times ascend, so the difference of two is not negative; it fits 64 unsigned bits.
  const bool same = has_time && session_.size() == key.size() && session_.starts_with(others) &&
                    session_[others.size()] != 0 &&
                    static_cast<std::uint64_t>(now_us) - static_cast<std::uint64_t>(last_us_) <=
                        static_cast<std::uint64_t>(gap_us_);
  if (!same) session_ = key;
  last_us_ = now_us;
  return !same;
}

}  // namespace millrace::view
