#include "serving/feed_token.h"

#include <fmt/format.h>

#include <limits>

#include "serving/position_text.h"

namespace millrace::serving {

namespace {

constexpr std::string_view kVersion = "1.";
/// As many as a view may have, and more than any has.
constexpr std::size_t kStreamsMax = 1024;

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
