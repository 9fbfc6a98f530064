// A position: the vector of end offsets of all partitions of a stream. Half-open: an end offset is
// the first offset that is not included, so "nothing yet" is 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ids.h"

namespace millrace {

class Position {
 public:
  Position() = default;
  explicit Position(std::uint32_t partitions) : ends_(partitions, 0) {}

  [[nodiscard]] std::uint32_t partitions() const {
    return static_cast<std::uint32_t>(ends_.size());
  }
  /// 0 for a partition that the vector does not hold.
  [[nodiscard]] Offset end(PartitionId partition) const;
  void set_end(PartitionId partition, Offset end);
  /// Number of events before the position.
  [[nodiscard]] std::uint64_t events() const;
  /// Every partition of this is at or after that of `other`.
  [[nodiscard]] bool covers(const Position& other) const;
  /// {"0": 17, "1": 4}
  [[nodiscard]] std::string json() const;
  static Result<Position> parse(std::string_view json);

  bool operator==(const Position& other) const;

 private:
  std::vector<std::uint64_t> ends_;
};

}  // namespace millrace
