// What is done with several streams at one moment: a view over them is added, cut and switched when
// none of them applies anything, so that its generation and its delta part at one position in each.
// Each stream has an edge there. Thread: any; the streams' locks are taken in the order of their
// ids. Invariant: after cut_and_roll() the frozen segment of a view ends at the edges of all its
// streams.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "speed/stream_state.h"

namespace millrace::speed {

using Streams = std::span<const std::shared_ptr<StreamState>>;

/// Adds a view over these streams (in the order of its record) that starts at their present
/// positions. `prepare` sees those before the view takes part.
void add_view(Streams streams, const std::shared_ptr<ViewState>& view,
              const std::function<void(std::span<const catalog::Cut>)>& prepare);

struct Rolled {
  std::map<StreamId, catalog::Cut> edges;
  std::vector<std::shared_ptr<ViewState>> views;  // that a batch run may cut there
  bool wait = false;                              // others may not be cut yet (ViewState::may_roll)
  /// Those of the view's streams, in its order.
  [[nodiscard]] std::vector<catalog::Cut> cuts_of(const ViewState& view) const;
};
/// Ends the present lake commit of each stream, and with it the active segment of all views that
/// read these streams and no other. Views without an event after their generation are left as they
/// are unless `all`.
Rolled cut_and_roll(Streams streams, bool all);

/// `switch_names` runs when all views have the same events; then `removed` takes part in none of
/// the streams any more. So whoever asks by name never sees fewer events after it.
void switch_view(Streams streams, ViewId removed, const std::function<void()>& switch_names);

}  // namespace millrace::speed
