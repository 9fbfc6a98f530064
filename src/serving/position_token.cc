#include "serving/position_token.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/crc32c.h"
#include "serving/position_text.h"

namespace millrace::serving {

namespace {

constexpr std::string_view kVersion = "p1.";
constexpr std::size_t kStreamsMax = 1024;
constexpr std::size_t kChecksumLetters = 8;

}  // namespace

void PositionToken::include(StreamId stream, const Position& position) {
  auto place = std::ranges::lower_bound(streams, stream, {}, &std::pair<StreamId, Position>::first);
  if (place == streams.end() || place->first != stream) {
    streams.emplace(place, stream, position);
    return;
  }
  for (std::uint32_t p = 0; p < position.partitions(); ++p) {
    const PartitionId partition(p);
    if (place->second.partitions() <= p || place->second.end(partition) < position.end(partition))
      place->second.set_end(partition, position.end(partition));
  }
}

std::string PositionToken::text() const {
  std::string out;
  out.reserve(kVersion.size() + 64 * streams.size());
  out = kVersion;
  for (const auto& [stream, position] : streams) {
    if (&stream != &streams.front().first) out += '_';
    fmt::format_to(std::back_inserter(out), "{}.", stream.value);
    append_position_text(out, position);
  }
  fmt::format_to(std::back_inserter(out), "~{:08x}", crc32c(out));
  return out;
}

std::optional<PositionToken> PositionToken::parse(std::string_view text) {
  if (!text.starts_with(kVersion) || text.size() < kVersion.size() + 1 + kChecksumLetters)
    return std::nullopt;
  const auto content = text.substr(0, text.size() - kChecksumLetters - 1);
  if (fmt::format("{}~{:08x}", content, crc32c(content)) != text) return std::nullopt;
  PositionToken token;
  auto rest = content.substr(kVersion.size());
  for (;;) {
    const auto stream = take_number(rest);
    if (!stream || *stream > std::numeric_limits<std::uint32_t>::max() || !rest.starts_with('.'))
      return std::nullopt;
    rest.remove_prefix(1);
    auto position = take_position(rest);
    const StreamId id(static_cast<std::uint32_t>(*stream));
    const bool in_order = token.streams.empty() || token.streams.back().first < id;
    if (!position || !in_order || token.streams.size() == kStreamsMax) return std::nullopt;
    token.streams.emplace_back(id, std::move(*position));
    if (rest.empty()) return token;
    if (rest.front() != '_') return std::nullopt;
    rest.remove_prefix(1);
  }
}

}  // namespace millrace::serving
