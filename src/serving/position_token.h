// What a client has seen or written, as text that it gives back with a later read, so that the read
// does not fall behind it: a position in each of some streams, with a checksum. Opaque to clients;
// safe in a header and in a URL. Thread: any. Errors: nullopt for text that no answer gave out.
// Invariant: streams in the order of their ids, each once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/ids.h"
#include "model/position.h"

namespace millrace::serving {

struct PositionToken {
  std::vector<std::pair<StreamId, Position>> streams;

  /// Afterwards the token stands at or after `position` in each of its partitions.
  void include(StreamId stream, const Position& position);
  /// "p1.3.17-4_5.9~1c2d3e4f"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<PositionToken> parse(std::string_view text);
  bool operator==(const PositionToken&) const = default;
};

}  // namespace millrace::serving
