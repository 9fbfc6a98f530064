// Where a subscriber of a view stands, as text that it gives back to go on from there: the view's
// id and the position in each of its streams, "1.7.120-98_5". Opaque to clients; safe in a header
// and in a URL. Thread: any. Errors: nullopt for text that no feed gave out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"
#include "model/position.h"

namespace millrace::serving {

struct FeedToken {
  ViewId view;
  std::vector<Position> position;  // of each stream of the view, in its order

  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<FeedToken> parse(std::string_view text);
  bool operator==(const FeedToken&) const = default;
};

}  // namespace millrace::serving
