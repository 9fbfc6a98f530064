#include "serving/feed_token.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "model/stream.h"

namespace millrace::serving {

namespace {

constexpr std::string_view kVersion = "1.";
/// As many as a view may have, and more than any has.
constexpr std::size_t kStreamsMax = 1024;

/// Takes a number in its only form, without leading zeros, off the front.
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

}  // namespace

std::string FeedToken::text() const {
  std::string out = fmt::format("{}{}.", kVersion, view.value);
  for (std::size_t s = 0; s < position.size(); ++s) {
    if (s != 0) out += '_';
    if (position[s].partitions() == 0) out += '0';
    for (std::uint32_t p = 0; p < position[s].partitions(); ++p)
      out += fmt::format("{}{}", p == 0 ? "" : "-", position[s].end(PartitionId(p)).value);
  }
  return out;
}

std::optional<FeedToken> FeedToken::parse(std::string_view text) {
  if (!text.starts_with(kVersion)) return std::nullopt;
  text.remove_prefix(kVersion.size());
  const auto view = take_number(text);
  if (!view || *view > std::numeric_limits<std::uint32_t>::max() || !text.starts_with('.'))
    return std::nullopt;
  FeedToken token{ViewId(static_cast<std::uint32_t>(*view)), {}};
  do {
    text.remove_prefix(1);
    auto position = take_position(text);
    if (!position || token.position.size() == kStreamsMax) return std::nullopt;
    token.position.push_back(std::move(*position));
  } while (!text.empty() && text.front() == '_');
  if (!text.empty()) return std::nullopt;
  return token;
}

}  // namespace millrace::serving
