#include "model/position.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

namespace millrace {

Offset Position::end(PartitionId partition) const {
  return Offset(partition.value < ends_.size() ? ends_[partition.value] : 0);
}

void Position::set_end(PartitionId partition, Offset end) {
  if (partition.value >= ends_.size()) ends_.resize(partition.value + 1, 0);
  ends_[partition.value] = end.value;
}

std::uint64_t Position::events() const {
  std::uint64_t sum = 0;
  for (const auto end : ends_) sum += end;
  return sum;
}

bool Position::covers(const Position& other) const {
  for (std::uint32_t p = 0; p < other.partitions(); ++p) {
    if (end(PartitionId(p)) < other.end(PartitionId(p))) return false;
  }
  return true;
}

bool Position::operator==(const Position& other) const {
  return covers(other) && other.covers(*this);
}

std::string Position::json() const {
  std::string out = "{";
  for (std::size_t p = 0; p < ends_.size(); ++p) {
    out += fmt::format("{}\"{}\":{}", p == 0 ? "" : ",", p, ends_[p]);
  }
  return out + "}";
}

Result<Position> Position::parse(std::string_view json) {
  boost::system::error_code error;
  const auto value = boost::json::parse(json, error);
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadValue,
                "a position is an object of partition numbers and end offsets, not {}", json);
  };
  if (error || !value.is_object()) return bad();
  Position position;
  for (const auto& [key, end] : value.get_object()) {
    std::uint32_t partition = 0;
    const auto [stop, code] = std::from_chars(key.data(), key.data() + key.size(), partition);
    if (code != std::errc() || stop != key.data() + key.size() || partition >= 65536) return bad();
    boost::system::error_code no_number;
    const auto offset = end.to_number<std::uint64_t>(no_number);
    if (no_number) return bad();
    position.set_end(PartitionId(partition), Offset(offset));
  }
  return position;
}

}  // namespace millrace
