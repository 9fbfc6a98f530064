#include "serving/position_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "model/stream.h"

namespace millrace::serving {

std::string position_text(const Position& position) {
  std::string out;
  append_position_text(out, position);
  return out;
}

void append_position_text(std::string& out, const Position& position) {
  fmt::format_to(std::back_inserter(out), "{}", position.end(PartitionId(0)).value);
  for (std::uint32_t p = 1; p < position.partitions(); ++p)
    fmt::format_to(std::back_inserter(out), "-{}", position.end(PartitionId(p)).value);
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto digits = static_cast<std::size_t>(stop - text.data());
  if (code != std::errc() || (digits > 1 && text.front() == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

std::optional<Position> take_position(std::string_view& text) {
  std::vector<std::uint64_t> ends;
  for (;;) {
    const auto end = take_number(text);
    if (!end || ends.size() == kPartitionsMax) return std::nullopt;
    ends.push_back(*end);
    if (text.empty() || text.front() != '-') break;
    text.remove_prefix(1);
  }
  Position position(static_cast<std::uint32_t>(ends.size()));
  for (std::uint32_t p = 0; p < ends.size(); ++p) position.set_end(PartitionId(p), Offset(ends[p]));
  return position;
}

}  // namespace millrace::serving
